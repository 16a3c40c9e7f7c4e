// The cache against the naive model in tests/support/radix_model.h: random operations, every
// promise after each.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/support/radix_model.h"

namespace espalier::radix_cache::model {
namespace {

// A failed check ends the process; the seed must be seen even so.
volatile std::sig_atomic_t g_seed = 0;
void print_seed(int) {
  char text[64];
  const int length = std::snprintf(text, sizeof text, "radix model: aborted at seed %d\n",
                                   static_cast<int>(g_seed));
  (void)!std::fwrite(text, 1, static_cast<std::size_t>(length), stderr);
  std::signal(SIGABRT, SIG_DFL);
  std::raise(SIGABRT);
}

struct Totals {
  std::uint64_t rows = 0, copies = 0, extra = 0, evicted = 0, ahead = 0;
};

/// ESPALIER_SEED runs that one alone; ESPALIER_RUNS sets how many.
Totals try_seeds(const Setting& setting, int runs, std::size_t operations) {
  Totals totals;
  const char* one = std::getenv("ESPALIER_SEED");
  const char* many = std::getenv("ESPALIER_RUNS");
  const int first = one != nullptr ? std::atoi(one) : 1;
  const int last = one != nullptr ? first : many != nullptr ? std::atoi(many) : runs;
  std::signal(SIGABRT, print_seed);
  for (int seed = first; seed <= last; ++seed) {
    g_seed = seed;
    const auto list = random_operations(static_cast<std::uint64_t>(seed), operations);
    Model model(setting);
    if (const auto broken = model.run(list)) {
      const auto small =
          shrink(list, [&](const auto& fewer) { return Model(setting).run(fewer).has_value(); });
      ADD_FAILURE() << "ESPALIER_SEED=" << seed << ": " << *broken
                    << "\nshrunk: " << *Model(setting).run(small) << "\n"
                    << print(small);
      break;
    }
    totals.rows += model.rows();
    totals.copies += model.copies();
    totals.extra += model.extra_writes();
    totals.evicted += model.evicted();
    totals.ahead += model.ahead();
  }
  std::signal(SIGABRT, SIG_DFL);
  return totals;
}

TEST(RadixModel, RoomyPoolKeepsEverything) {
  const Totals t = try_seeds({.pages = 2048, .alphabet = 2}, 150, 400);
  EXPECT_GT(t.copies, 100u);
  EXPECT_GT(t.extra, 100u);
  EXPECT_GT(t.ahead, 1000u);
  EXPECT_EQ(t.evicted, 0u);
}

TEST(RadixModel, SixtyFourPages) {
  const Totals t = try_seeds({.pages = 64, .alphabet = 3, .longest = 500, .leases = 20}, 80, 1200);
  EXPECT_GT(t.copies, 100u);
  EXPECT_GT(t.extra, 100u);
  EXPECT_GT(t.evicted, 100u);
}

TEST(RadixModel, EightPagesThrash) {
  const Totals t = try_seeds({.pages = 8, .alphabet = 2, .longest = 90}, 400, 500);
  EXPECT_GT(t.evicted, 1000u);
  EXPECT_GT(t.ahead, 1000u);
}

TEST(RadixModel, WishesUnderABudget) {
  try_seeds({.pages = 64, .alphabet = 3, .leases = 8, .retained = 6}, 100, 500);
  try_seeds({.pages = 12, .alphabet = 2, .longest = 90, .retained = 3}, 150, 400);
  try_seeds({.pages = 64, .alphabet = 2, .retained = 0}, 20, 300);
}

TEST(RadixModel, AlmostNoPages) {
  try_seeds({.pages = 1, .alphabet = 2, .longest = 40}, 60, 300);
  try_seeds({.pages = 2, .alphabet = 2, .longest = 40}, 60, 300);
  try_seeds({.pages = 0, .alphabet = 2, .longest = 40}, 20, 200);
}

TEST(RadixModel, ABoundOnRememberedTokens) {
  try_seeds({.pages = 64, .max_tokens = 100, .alphabet = 2}, 150, 400);
}

TEST(RadixModel, TheHashDecidesNothing) {
  // With every key of the child table colliding.
  try_seeds({.pages = 24, .hash_mask = 0, .alphabet = 4}, 150, 400);
  try_seeds({.pages = 24, .hash_mask = 3, .alphabet = 4}, 100, 400);
}

TEST(RadixModel, ManyLeases) {
  try_seeds({.pages = 40, .alphabet = 2, .longest = 120, .leases = 60}, 60, 800);
}

}  // namespace
}  // namespace espalier::radix_cache::model
