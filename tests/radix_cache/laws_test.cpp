// The cache's promises one by one, on small trees that can be followed by hand.
#include <gtest/gtest.h>

#include <numeric>
#include <optional>
#include <vector>

#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {
namespace {

std::vector<TokenId> range(TokenId first, std::size_t count) {
  std::vector<TokenId> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// Plans up to `rows` rows for the lease alone, as a step of its own. The number of rows it took.
std::uint32_t compute(RadixCache& cache, Lease& lease, std::uint32_t rows = UINT32_MAX) {
  StepPlan plan;
  cache.plan(lease, plan, rows);
  cache.seal(plan);
  const auto count = static_cast<std::uint32_t>(plan.rows().size());
  cache.commit(plan);
  return count;
}

std::vector<PageId> table(const RadixCache& cache, const Lease& lease, std::uint32_t length) {
  std::vector<PageId> out;
  cache.page_table(lease, length, out);
  return out;
}

#define EXPECT_SOUND(cache)                                      \
  do {                                                           \
    const Status status_ = (cache).check();                      \
    EXPECT_TRUE(status_.has_value()) << status_.error().message; \
  } while (false)

TEST(RadixCache, WhatOneLeaseComputedAnotherFinds) {
  RadixCache cache({.pages = 64});
  const auto prompt = range(0, 40);
  {
    Lease a = cache.open(0);
    EXPECT_EQ(cache.extend(a, prompt).fresh, 40u);
    EXPECT_EQ(cache.ready(a), 0u);
    EXPECT_EQ(compute(cache, a), 40u);
    EXPECT_EQ(cache.ready(a), 40u);
  }
  EXPECT_EQ(cache.usage().held, 3u);
  EXPECT_EQ(cache.usage().evictable, 3u);
  Lease b = cache.open(0);
  EXPECT_EQ(cache.extend(b, prompt).reused, 40u);
  EXPECT_EQ(cache.ready(b), 40u);
  EXPECT_EQ(compute(cache, b), 0u);
  EXPECT_EQ(cache.tokens(b), prompt);
  Lease other = cache.open(1);
  EXPECT_EQ(cache.extend(other, prompt).reused, 0u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, AForkSharesEveryPageBeforeIt) {
  RadixCache cache({.pages = 64});
  Lease a = cache.open(0);
  cache.extend(a, range(0, 40));
  compute(cache, a);
  Lease b = cache.fork(a);
  cache.extend(a, range(100, 20));
  cache.extend(b, range(200, 20));
  // The first to plan appends in place, the second copies the head of the boundary page.
  EXPECT_EQ(cache.pages_needed(a, 60), 1u);
  EXPECT_EQ(cache.pages_needed(b, 60), 1u);
  StepPlan plan;
  EXPECT_EQ(cache.plan(a, plan, 100).size(), 20u);
  EXPECT_EQ(cache.pages_needed(b, 60), 2u);
  EXPECT_EQ(cache.plan(b, plan, 100).size(), 20u);
  cache.seal(plan);
  ASSERT_EQ(plan.copies().size(), 1u);
  EXPECT_EQ(plan.copies()[0].slots, 8u);
  EXPECT_EQ(plan.copies()[0].from, table(cache, a, 40)[2]);
  cache.commit(plan);
  const auto ta = table(cache, a, 60);
  const auto tb = table(cache, b, 60);
  ASSERT_EQ(ta.size(), 4u);
  EXPECT_EQ(ta[0], tb[0]);
  EXPECT_EQ(ta[1], tb[1]);
  EXPECT_NE(ta[2], tb[2]);
  EXPECT_NE(ta[3], tb[3]);
  EXPECT_EQ(cache.usage().held, 6u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, ACommonColdPromptIsComputedOnceInOneStep) {
  RadixCache cache({.pages = 64});
  Lease a = cache.open(0), b = cache.open(0);
  auto pa = range(0, 40), pb = range(0, 40);
  pa.push_back(1000);
  pb.push_back(2000);
  cache.extend(a, pa);
  EXPECT_EQ(cache.extend(b, pb).reused, 40u);
  StepPlan plan;
  EXPECT_EQ(cache.plan(a, plan, 100).size(), 41u);
  const RowRange follower = cache.plan(b, plan, 100);
  EXPECT_EQ(follower.begin, 41u);
  EXPECT_EQ(follower.size(), 1u);
  cache.seal(plan);
  // The follower's page gets its head from the leader's rows, as they are computed.
  EXPECT_TRUE(plan.copies().empty());
  EXPECT_EQ(plan.writes().size(), 42u + 8u);
  EXPECT_EQ(plan.rows()[32].writes, 2u);
  EXPECT_EQ(plan.rows()[31].writes, 1u);
  cache.commit(plan);
  EXPECT_EQ(cache.ready(b), 41u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, AFollowerWaitsForALeaderThatHasNotGotThereAndGoesOnWithoutIt) {
  RadixCache cache({.pages = 64});
  Lease b = cache.open(0);
  {
    Lease a = cache.open(0);
    cache.extend(a, range(0, 100));
    cache.extend(b, range(0, 60));
    cache.extend(b, range(500, 4));
    StepPlan plan;
    EXPECT_EQ(cache.plan(a, plan, 30).size(), 30u);
    EXPECT_EQ(cache.planned(b, plan), 30u);
    EXPECT_EQ(cache.plan(b, plan, 10).size(), 10u);  // goes on where the leader stopped
    EXPECT_EQ(cache.planned(a, plan), 40u);
    cache.seal(plan);
    cache.commit(plan);
  }
  EXPECT_SOUND(cache);
  EXPECT_EQ(cache.ready(b), 40u);
  EXPECT_EQ(compute(cache, b), 24u);
  EXPECT_EQ(cache.ready(b), 64u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, ACommonColdPromptIsComputedOnceOverManySteps) {
  RadixCache cache({.pages = 64});
  std::vector<Lease> leases;
  for (TokenId i = 0; i < 4; ++i) {
    leases.push_back(cache.open(0));
    auto prompt = range(0, 200);
    prompt.insert(prompt.end(), 3, 1000 + i);
    cache.extend(leases.back(), prompt);
  }
  std::size_t rows = 0;
  for (int step = 0; cache.ready(leases.back()) < 203; ++step) {
    ASSERT_LT(step, 100);
    StepPlan plan;
    for (Lease& lease : leases) cache.plan(lease, plan, 7);
    cache.seal(plan);
    rows += plan.rows().size();
    cache.commit(plan);
    EXPECT_SOUND(cache);
  }
  for (Lease& lease : leases) rows += compute(cache, lease);
  EXPECT_EQ(rows, 200u + 4 * 3);
}

TEST(RadixCache, TheRightToAppendComesBackWhenItsHolderGoes) {
  RadixCache cache({.pages = 64});
  Lease trunk = cache.open(0);
  cache.extend(trunk, range(0, 20));
  compute(cache, trunk);
  Lease a = cache.fork(trunk), b = cache.fork(trunk);
  cache.extend(a, range(100, 4));
  cache.extend(b, range(200, 4));
  compute(cache, a);
  EXPECT_EQ(cache.pages_needed(b, 24), 1u);
  a = Lease();
  cache.clear();
  EXPECT_EQ(cache.pages_needed(b, 24), 0u);
  compute(cache, b);
  EXPECT_EQ(table(cache, b, 24), table(cache, trunk, 20));
  EXPECT_SOUND(cache);
}

TEST(RadixCache, AnAbandonedStepLeavesItsRowsToBeComputed) {
  RadixCache cache({.pages = 64});
  Lease a = cache.open(0);
  cache.extend(a, range(0, 40));
  StepPlan plan;
  cache.plan(a, plan, 100);
  EXPECT_EQ(cache.usage().held, 3u);
  cache.abandon(plan);
  EXPECT_EQ(cache.usage().held, 0u);
  EXPECT_EQ(cache.ready(a), 0u);
  EXPECT_EQ(compute(cache, a), 40u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, APlanThatFindsThePoolDryGivesTheRowsThatFit) {
  RadixCache cache({.pages = 3});
  Lease a = cache.open(0);
  cache.extend(a, range(0, 100));
  EXPECT_EQ(cache.pages_needed(a, 100), 7u);
  EXPECT_EQ(compute(cache, a), 48u);
  EXPECT_EQ(compute(cache, a), 0u);
  EXPECT_SOUND(cache);
  cache.rollback(a, 48);
  Lease b = cache.open(0);
  cache.extend(b, range(500, 20));
  EXPECT_EQ(compute(cache, b), 0u);
  cache.rollback(a, 10);
  EXPECT_EQ(compute(cache, b), 20u);
  EXPECT_EQ(cache.ready(a), 10u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, ALeaseInTheMiddleOfANodeProtectsItsOwnTokensOnly) {
  RadixCache cache({.pages = 10});
  Lease a = cache.open(0);
  cache.extend(a, range(0, 160));
  compute(cache, a);
  cache.rollback(a, 50);
  EXPECT_EQ(cache.usage().evictable, 6u);
  Lease b = cache.open(0);
  cache.extend(b, range(1000, 96));
  EXPECT_EQ(compute(cache, b), 96u);
  EXPECT_EQ(cache.usage().evictable, 0u);
  EXPECT_EQ(cache.ready(a), 50u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, TokensThatWereNeverComputedGoWithTheLastLeaseThatWantsThem) {
  RadixCache cache({.pages = 8});
  Lease a = cache.open(0);
  cache.extend(a, range(0, 20));
  {
    Lease b = cache.fork(a);
    cache.extend(b, range(100, 20));
    EXPECT_EQ(cache.tokens(b).size(), 40u);
  }
  Lease c = cache.fork(a);
  EXPECT_EQ(cache.extend(c, range(100, 20)).reused, 0u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, WhatIsPlannedStaysUntilTheStepIsOverWhateverLeasesDo) {
  RadixCache cache({.pages = 8});
  StepPlan plan;
  std::optional<Lease> a = cache.open(0);
  cache.extend(*a, range(0, 40));
  cache.plan(*a, plan, 100);
  cache.seal(plan);
  Lease b = cache.open(0);
  cache.extend(b, range(0, 20));
  cache.extend(b, range(900, 1));  // splits what is planned
  a.reset();
  EXPECT_SOUND(cache);
  cache.commit(plan);
  EXPECT_SOUND(cache);
  Lease c = cache.open(0);
  EXPECT_EQ(cache.extend(c, range(0, 40)).reused, 40u);
  EXPECT_EQ(cache.ready(c), 40u);
}

TEST(RadixCache, DeadTailsGoFirstAndWhatCameBackGoesLast) {
  RadixCache cache({.pages = 6});
  std::uint64_t now = 0;
  const auto use = [&](TokenId first, bool dead) {
    cache.set_time(++now);
    Lease a = cache.open(0);
    cache.extend(a, range(first, 32));
    compute(cache, a);
    if (dead) cache.mark_dead(a);
  };
  for (int i = 0; i < 5; ++i) use(0, false);  // came back
  use(1000, false);                           // once
  use(2000, true);                            // dead, and the newest
  const auto kept = [&](TokenId first) {
    Lease a = cache.open(0);
    return cache.extend(a, range(first, 32)).reused;
  };
  Lease b = cache.open(1);
  cache.extend(b, range(0, 16));
  compute(cache, b);
  cache.extend(b, range(5000, 48));
  compute(cache, b, 16);
  EXPECT_EQ(kept(2000), 0u);
  compute(cache, b, 32);
  EXPECT_EQ(kept(1000), 0u);
  EXPECT_EQ(kept(0), 32u);
  EXPECT_SOUND(cache);
}

// The row behind a path is begun before its token is known, and is then where the token's row is.
TEST(RadixCache, APlaceThatWasReservedIsTheNextTokens) {
  for (const std::uint32_t length : {15U, 16U, 17U, 31U, 32U}) {
    RadixCache cache({.pages = 4});
    Lease a = cache.open(0);
    cache.extend(a, range(0, length));
    StepPlan step;
    cache.plan(a, step, UINT32_MAX);
    const std::uint32_t held = cache.usage().held;
    // The step that gives the token is still under way.
    const auto place = cache.reserve(a);
    ASSERT_TRUE(place.has_value());
    EXPECT_SOUND(cache);
    EXPECT_EQ(cache.usage().held, held + (length % kPageTokens == 0 ? 1 : 0));
    EXPECT_EQ(cache.usage().evictable, 0u);
    cache.commit(step);
    cache.extend(a, range(500, 3));
    EXPECT_EQ(cache.plan(a, step, *place).size(), 1u);
    cache.seal(step);
    EXPECT_EQ(step.rows()[0].token, 500);
    EXPECT_EQ(step.rows()[0].position, length);
    EXPECT_EQ(step.writes()[0].page, place->page);
    EXPECT_EQ(step.writes()[0].slot, place->slot);
    cache.commit(step);
    EXPECT_EQ(cache.ready(a), length + 1);
    EXPECT_EQ(table(cache, a, length + 1).back(), place->page);
    EXPECT_SOUND(cache);
  }
}

// Of a branch that others came back to, too, which goes on in a node of its own.
TEST(RadixCache, APlaceIsReservedBehindABranchThatWasFound) {
  RadixCache cache({.pages = 4});
  {
    Lease first = cache.open(0);
    cache.extend(first, range(0, 20));
    compute(cache, first);
  }
  Lease a = cache.open(0);
  cache.extend(a, range(0, 20));
  const auto place = cache.reserve(a);
  ASSERT_TRUE(place.has_value());
  const std::uint32_t nodes = cache.usage().nodes;
  cache.extend(a, range(500, 1));
  EXPECT_EQ(cache.usage().nodes, nodes + 1);
  StepPlan step;
  EXPECT_EQ(cache.plan(a, step, *place).size(), 1u);
  cache.commit(step);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, APlaceThatIsGivenBackLeavesNothing) {
  RadixCache cache({.pages = 2});
  Lease a = cache.open(0);
  cache.extend(a, range(0, 16));
  compute(cache, a);
  const auto place = cache.reserve(a);
  ASSERT_TRUE(place.has_value());
  EXPECT_EQ(cache.usage().free, 0u);
  Lease b = cache.open(0);
  cache.extend(b, range(100, 1));
  EXPECT_EQ(compute(cache, b), 0u);  // it holds a page
  cache.give_back(*place);
  EXPECT_EQ(compute(cache, b), 1u);
  EXPECT_SOUND(cache);
}

TEST(RadixCache, NoPlaceIsReservedWhereTheNextOneIsNotThePathsAlone) {
  RadixCache cache({.pages = 2});
  Lease a = cache.open(0);
  EXPECT_FALSE(cache.reserve(a).has_value());  // at a root
  cache.extend(a, range(0, 20));
  EXPECT_FALSE(cache.reserve(a).has_value());  // not computed
  compute(cache, a, 18);
  EXPECT_FALSE(cache.reserve(a).has_value());  // not to its end
  compute(cache, a);
  {
    const Lease twin = cache.fork(a);
    EXPECT_FALSE(cache.reserve(a).has_value());
  }
  EXPECT_TRUE(cache.reserve(a).has_value());
  Lease b = cache.fork(a);
  cache.extend(b, range(50, 1));
  compute(cache, b);
  EXPECT_FALSE(cache.reserve(a).has_value());  // another goes on from it
  EXPECT_TRUE(cache.reserve(b).has_value());
  cache.extend(b, range(51, 11));
  EXPECT_EQ(compute(cache, b), 11u);
  EXPECT_FALSE(cache.reserve(b).has_value());  // the pool is dry
  EXPECT_SOUND(cache);
}

}  // namespace
}  // namespace espalier::radix_cache
