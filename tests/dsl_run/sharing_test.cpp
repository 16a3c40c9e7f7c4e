// What forks and retries cost, by the engine's own counters.
#include <gmock/gmock.h>

#include <algorithm>

#include "runtime/backend.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using runtime::kPageTokens;
using testing::World;
using testing::WorldOptions;

std::string long_text(int words) {
  std::string out;
  for (int i = 0; i < words; ++i) out += "word" + std::to_string(i) + " ";
  return out;
}

std::uint64_t prompt_of(const std::string& source) {
  World world;
  EXPECT_TRUE(world.run(source));
  return world.engine->stats().prompt_tokens;
}

TEST(Sharing, ARetryComputesAtMostAPageAgain) {
  World world;
  const std::string ask = "user \"" + long_text(60) + "\" ";
  const auto out = world.run("gen main() -> int { " + ask + R"(
      retry 5 { assistant "Say $[x: line(1..12), max=16, temperature=1]" require x == "", "no" }
      else { return 0 }
      return 1 })");
  ASSERT_TRUE(out) << out.error().rendered;
  const auto stats = world.engine->stats();
  // Five tries: each after the first begins where the block does.
  EXPECT_LE(stats.recomputed_tokens, 4U * kPageTokens);
  EXPECT_GT(stats.generated_tokens, 0U);
  EXPECT_EQ(stats.reused_tokens + stats.computed_tokens, stats.prompt_tokens);
  // The head was computed once: what was computed in all is the head, four messages with their
  // turns, five openings.
  const std::uint64_t head = prompt_of("gen main() -> line { " + ask +
                                       R"(assistant "Say $[x: line(1..12), max=16]" return x })");
  EXPECT_LE(stats.computed_tokens, head + 4 * 40);
}

TEST(Sharing, AForksBranchesBeginInOneStepAndShareEveryPageBefore) {
  std::mutex mutex;
  std::vector<std::vector<std::vector<runtime::PageId>>> steps;  // page tables by step
  for (const unsigned threads : {1U, 3U}) {
    steps.clear();
    WorldOptions options;
    options.threads = threads;
    options.on_step = [&](const runtime::Batch& batch) {
      const std::lock_guard lock(mutex);
      steps.push_back(batch.sequences);
    };
    World world(options);
    const std::string trunk = "user \"" + long_text(40) + "\" ";
    const auto out = world.run("gen main() -> string[] { " + trunk + R"(
        let warm = fork { assistant "Now: $[w: bool]" yield w }
        return fork i in 1..8 { assistant "${i} is $[a: line(8..8), max=20]" yield a } })");
    ASSERT_TRUE(out) << out.error().rendered;
    const std::uint64_t before =
        prompt_of("gen main() -> bool { " + trunk + R"(assistant "$[w: bool]" return w })") - 8;
    const std::lock_guard lock(mutex);
    const auto several = std::find_if(steps.begin(), steps.end(),
                                      [](const auto& tables) { return tables.size() > 1; });
    ASSERT_NE(several, steps.end());
    EXPECT_EQ(several->size(), 8U);  // nobody began earlier
    const std::size_t shared = before / kPageTokens;
    ASSERT_GE(shared, 4U);
    for (const auto& table : *several) {
      ASSERT_GE(table.size(), shared);
      EXPECT_TRUE(std::equal(table.begin(), table.begin() + static_cast<std::ptrdiff_t>(shared),
                             several->front().begin()));
    }
    const auto stats = world.engine->stats();
    EXPECT_EQ(stats.recomputed_tokens, 0U);
    EXPECT_LE(stats.computed_tokens, before + 8 + 9 * 24);
    EXPECT_TRUE(world.engine->check_idle());
  }
}

// Forty branches in a pool that holds a few: those that have ended make room for those that come,
// while the fork still runs; nobody's pages go who comes back.
TEST(Sharing, ABranchThatHasYieldedGivesItsPagesBackWhileOthersRun) {
  for (const unsigned threads : {1U, 3U}) {
    WorldOptions options;
    options.threads = threads;
    options.pages = 120;
    World world(options);
    const auto out = world.run("gen main() -> string[] { user \"" + long_text(40) + R"("
        return fork i in 1..40 {
          assistant "${i} is $[a: line(60..60), max=70]"
          yield a
        } })");
    ASSERT_TRUE(out) << out.error().rendered;
    const auto stats = world.engine->stats();
    EXPECT_GT(stats.evicted_pages.dead, 50U);
    EXPECT_EQ(stats.evicted_pages.once, 0U);
    EXPECT_EQ(stats.evicted_pages.again, 0U);
    EXPECT_EQ(stats.evicted_pages.expected, 0U);
    EXPECT_EQ(stats.recomputed_tokens, 0U);
    EXPECT_TRUE(world.engine->check_idle());
  }
}

// Fork after fork, each of which fits beside what others left in the tree: that stays.
TEST(Sharing, WhatEndedBranchesHeldGoesBeforeAnythingElse) {
  WorldOptions options;
  options.pages = 160;
  World world(options);
  const std::string other = "gen main() -> bool { user \"Another prompt: " + long_text(50) +
                            "\" assistant \"$[w: bool]\" return w }";
  ASSERT_TRUE(world.run(other));
  const auto out = world.run("gen main() -> int { user \"" + long_text(40) + R"("
      for round in 1..12 {
        let ideas = fork i in 1..6 {
          assistant "${round} ${i} is $[a: line(60..60), max=70]"
          user "And?"
          assistant "It is $[b: line(30..30), max=40]"
          yield b
        }
        assistant "${len(ideas)}"
        user "On."
      }
      return 1 })");
  ASSERT_TRUE(out) << out.error().rendered;
  const auto after = world.engine->stats();
  EXPECT_GT(after.evicted_pages.dead, 200U);
  EXPECT_EQ(after.evicted_pages.once, 0U);
  EXPECT_EQ(after.evicted_pages.again, 0U);
  EXPECT_EQ(after.evicted_pages.expected, 0U);
  ASSERT_TRUE(world.run(other));
  EXPECT_GT(world.engine->stats().found_tokens - after.found_tokens, 300U);
  EXPECT_TRUE(world.engine->check_idle());
}

}  // namespace
}  // namespace espalier::dsl
