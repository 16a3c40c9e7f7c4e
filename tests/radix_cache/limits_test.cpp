// Large shapes: long paths, deep trees, many requests. Nothing may recurse, leak, or lose count.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {
namespace {

constexpr std::uint32_t kLong = 100'000;

std::vector<TokenId> zigzag(std::uint32_t count) {
  std::vector<TokenId> out(count);
  for (std::uint32_t i = 0; i < count; ++i) out[i] = static_cast<TokenId>(i % 997);
  return out;
}

/// Plans the whole path in steps of `rows`. The rows of all steps.
std::uint32_t compute(RadixCache& cache, Lease& lease, std::uint32_t rows) {
  std::uint32_t all = 0;
  for (;;) {
    StepPlan plan;
    const std::uint32_t taken = cache.plan(lease, plan, rows).size();
    cache.seal(plan);
    cache.commit(plan);
    if (taken == 0) return all;
    all += taken;
  }
}

void expect_sound(const RadixCache& cache) {
  const Status ok = cache.check();
  EXPECT_TRUE(ok.has_value()) << ok.error().message;
}

TEST(RadixLimits, APathOfAHundredThousandTokens) {
  RadixCache cache({.pages = kLong / kPageTokens});
  const auto path = zigzag(kLong);
  Lease a = cache.open(0);
  cache.extend(a, path);
  EXPECT_EQ(compute(cache, a, 4096), kLong);
  Lease b = cache.open(0);
  EXPECT_EQ(cache.extend(b, path).reused, kLong);
  EXPECT_EQ(cache.usage().nodes, 1u);
  cache.rollback(b, 3);
  a = Lease();
  EXPECT_EQ(cache.usage().evictable, kLong / kPageTokens - 1);
  expect_sound(cache);
}

TEST(RadixLimits, AChainOfAHundredThousandNodes) {
  RadixCache cache({.pages = kLong / kPageTokens});
  const auto path = zigzag(kLong);
  Lease a = cache.open(0);
  cache.extend(a, path);
  // A branch at every position splits the path into nodes of one token; the branches go, the nodes
  // stay.
  const std::vector<TokenId> other = {5000};
  for (std::uint32_t i = 1; i < kLong; ++i) {
    Lease branch = cache.fork(a);
    cache.rollback(branch, i);
    cache.extend(branch, other);
  }
  EXPECT_EQ(cache.usage().nodes, kLong);
  EXPECT_EQ(compute(cache, a, 8192), kLong);
  EXPECT_EQ(cache.usage().held, kLong / kPageTokens);
  EXPECT_EQ(cache.tokens(a), path);
  std::vector<PageId> pages;
  cache.page_table(a, kLong, pages);
  std::sort(pages.begin(), pages.end());
  EXPECT_EQ(std::unique(pages.begin(), pages.end()) - pages.begin(), kLong / kPageTokens);
  expect_sound(cache);
  Lease b = cache.open(0);
  EXPECT_EQ(cache.extend(b, path).reused, kLong);
  cache.mark_dead(b);
  a = Lease();
  b = Lease();
  EXPECT_EQ(cache.usage().evictable, kLong / kPageTokens);
  expect_sound(cache);
  cache.clear();
  EXPECT_EQ(cache.usage().nodes, 0u);
  EXPECT_EQ(cache.usage().free, kLong / kPageTokens);
  expect_sound(cache);
}

TEST(RadixLimits, ThousandsOfForksOfOnePlace) {
  RadixCache cache({.pages = 8192});
  Lease trunk = cache.open(0);
  cache.extend(trunk, zigzag(1000));
  compute(cache, trunk, 1000);
  std::vector<Lease> forks;
  for (TokenId i = 0; i < 5000; ++i) {
    forks.push_back(cache.fork(trunk));
    const std::vector<TokenId> own = {10'000 + i};
    cache.extend(forks.back(), own);
  }
  StepPlan plan;
  for (Lease& fork : forks) EXPECT_EQ(cache.plan(fork, plan, 10).size(), 1u);
  cache.seal(plan);
  EXPECT_EQ(plan.copies().size(), 4999u);  // one has the right to append
  cache.commit(plan);
  expect_sound(cache);
  forks.clear();
  EXPECT_EQ(cache.usage().evictable, 4999u);
  expect_sound(cache);
}

TEST(RadixLimits, AHundredThousandRequestsLeaveNothingBehind) {
  RadixCache cache({.pages = 64, .max_tokens = 2000});
  std::mt19937_64 random(7);
  std::vector<Lease> running;
  for (std::uint64_t i = 0; i < 100'000; ++i) {
    cache.set_time(i);
    if (running.size() == 6)
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(random() % 6));
    running.push_back(cache.open(random() % 50 == 0 ? i : 0));  // spaces of one request come and go
    std::vector<TokenId> tokens(1 + random() % 40);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 2);
    cache.extend(running.back(), tokens);
    StepPlan plan;
    for (Lease& lease : running) cache.plan(lease, plan, 16);
    cache.seal(plan);
    if (random() % 8 == 0) {
      cache.abandon(plan);
    } else {
      cache.commit(plan);
    }
    if (i % 1000 == 0) expect_sound(cache);
  }
  running.clear();
  EXPECT_EQ(cache.usage().evictable, cache.usage().held);
  expect_sound(cache);
  cache.clear();
  const Usage end = cache.usage();
  EXPECT_EQ(end.free, 64u);
  EXPECT_EQ(end.nodes, 0u);
  expect_sound(cache);
}

TEST(RadixLimits, RememberedTokensAreBoundedAndLeasedOnesAreKept) {
  RadixCache cache({.pages = 4096, .max_tokens = 1000});
  Lease kept = cache.open(0);
  cache.extend(kept, zigzag(3000));
  compute(cache, kept, 3000);
  EXPECT_EQ(cache.ready(kept), 3000u);
  {
    Lease other = cache.open(1);
    cache.extend(other, zigzag(500));
    compute(cache, other, 500);
  }
  EXPECT_EQ(cache.usage().held, 188u);  // what nobody holds went at once
  kept = Lease();
  EXPECT_LE(cache.usage().held, 63u);
  EXPECT_GT(cache.usage().held, 60u);
  expect_sound(cache);
}

}  // namespace
}  // namespace espalier::radix_cache
