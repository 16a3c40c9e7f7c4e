// Which page goes next: against a sorter that looks at every leaf each time, and what the order is
// for.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <tuple>
#include <vector>

#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {
namespace {

std::vector<TokenId> repeated(std::size_t pages, TokenId token) {
  return std::vector<TokenId>(pages * kPageTokens, token);
}

void compute(RadixCache& cache, Lease& lease) {
  StepPlan plan;
  cache.plan(lease, plan, UINT32_MAX);
  cache.seal(plan);
  cache.commit(plan);
}

/// A path is used once, at `time`: walked, computed, given up.
void use(RadixCache& cache, std::uint64_t time, const std::vector<TokenId>& path) {
  cache.set_time(time);
  Lease lease = cache.open(0);
  cache.extend(lease, path);
  compute(cache, lease);
}

/// Tokens of the path that are there, without changing anything that counts.
std::uint32_t remembered(RadixCache& cache, const std::vector<TokenId>& path) {
  Lease lease = cache.open(0);
  return cache.extend(lease, path, path.size()).reused;
}

/// All pages in the order in which a sorter would give them back.
std::vector<PageId> brute_force(std::vector<NodeView> nodes, std::uint64_t time) {
  std::vector<std::uint32_t> children(nodes.size());
  std::vector<std::uint32_t> owners(4096);
  for (const NodeView& x : nodes) {
    if (x.parent != NodeView::kRoot) ++children[x.parent];
    for (const PageId page : x.pages) ++owners[page];
  }
  const auto rank = [&](const NodeView& x) {
    if (x.level > 0) return std::tuple(3, std::uint64_t{x.level}, x.falls, x.node);
    if (x.dead_from < x.tokens.size()) return std::tuple(0, std::uint64_t{0}, x.value, x.node);
    if (x.next_use > time) return std::tuple(2, ~x.next_use, std::uint64_t{0}, x.node);
    return std::tuple(1, std::uint64_t{0}, x.value, x.node);
  };
  std::vector<PageId> out;
  for (;;) {
    std::size_t first = nodes.size();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      if (nodes[i].pages.empty() || children[i] > 0) continue;
      if (first == nodes.size() || rank(nodes[i]) < rank(nodes[first])) first = i;
    }
    if (first == nodes.size()) return out;
    NodeView& x = nodes[first];
    if (--owners[x.pages.back()] == 0) out.push_back(x.pages.back());
    x.pages.pop_back();
    const auto end = (x.start + x.tokens.size() - 1) / kPageTokens * kPageTokens;
    x.tokens.resize(end > x.start ? end - x.start : 0);
    if (!x.pages.empty() || x.parent == NodeView::kRoot) continue;
    --children[x.parent];
    std::uint64_t& above = nodes[x.parent].next_use;
    if (x.next_use > time && !(above > time && above < x.next_use)) above = x.next_use;
  }
}

class EvictionOrder : public testing::TestWithParam<std::uint64_t> {};

TEST_P(EvictionOrder, IsThatOfASorterOverAllLeaves) {
  std::mt19937_64 random(GetParam());
  const auto below = [&](std::uint64_t n) { return static_cast<std::uint32_t>(random() % n); };
  RadixCache cache({.pages = 400});
  std::vector<PageId> freed;
  cache.on_free(
      [](void* out, PageId page) { static_cast<std::vector<PageId>*>(out)->push_back(page); },
      &freed);
  // Paths over a tiny alphabet, of any length, so that nodes begin and end inside pages; some small
  // evictions on the way, so that a leaf's life is known and values differ from recency.
  std::uint64_t now = 0;
  std::vector<std::vector<TokenId>> paths;
  for (int i = 0; i < 120; ++i) {
    cache.set_time(now += below(4));
    std::vector<TokenId> path;
    if (!paths.empty() && below(2) == 0) {
      path = paths[below(paths.size())];
      path.resize(1 + below(path.size()));
    }
    const std::uint32_t more = below(3) == 0 ? 0 : below(90);
    for (std::uint32_t t = 0; t < more; ++t) path.push_back(static_cast<TokenId>(below(2)));
    if (path.empty()) path.push_back(0);
    Lease lease = cache.open(0);
    cache.extend(lease, path, below(path.size() + 1));
    compute(cache, lease);
    if (below(5) == 0) cache.mark_dead(lease);
    if (below(4) == 0) cache.expect(lease, now + below(200));
    if (below(4) == 0)
      cache.retain(lease,
                   {.level = 1 + below(10), .tokens = 1 + below(200), .steps = 1 + below(99)});
    cache.set_time(now += below(3));
    lease = Lease();
    if (below(8) == 0) cache.forget(0, path, below(2) == 0);
    paths.push_back(std::move(path));
    const Status ok = cache.check();
    ASSERT_TRUE(ok.has_value()) << ok.error().message;
  }
  cache.set_time(now += below(100));
  freed.clear();
  const std::vector<PageId> expected = brute_force(cache.view(), now);
  ASSERT_EQ(expected.size(), cache.usage().held);
  ASSERT_EQ(expected.size(), cache.usage().evictable);

  // Another space takes all pages, a few rows at a time.
  Lease greedy = cache.open(1);
  cache.extend(greedy, repeated(400, 5));
  for (;;) {
    StepPlan plan;
    const RowRange rows = cache.plan(greedy, plan, 1 + below(40));
    cache.seal(plan);
    cache.commit(plan);
    const Status ok = cache.check();
    ASSERT_TRUE(ok.has_value()) << ok.error().message;
    if (rows.size() == 0 || greedy.length() == cache.ready(greedy)) break;
  }
  EXPECT_EQ(freed, expected);
  const Evicted by = cache.evicted();
  EXPECT_GE(by.dead + by.once + by.again + by.expected + by.retained, expected.size());
}

INSTANTIATE_TEST_SUITE_P(Seeds, EvictionOrder,
                         testing::Range(std::uint64_t{1}, std::uint64_t{101}));

/// A pool in which a leaf lives for about eight uses before it goes.
struct Steady {
  RadixCache cache{{.pages = 32}};
  std::uint64_t now = 0;
  TokenId fresh = 1000;
  void flood(int paths) {
    for (int i = 0; i < paths; ++i) use(cache, ++now, repeated(4, ++fresh));
  }
  Steady() { flood(64); }
};

TEST(Eviction, WhatWasFoundAgainOutlivesWhatWasUsedAtTheSameTime) {
  Steady pool;
  for (int i = 0; i < 4; ++i) use(pool.cache, ++pool.now, repeated(4, 1));
  use(pool.cache, ++pool.now, repeated(4, 2));
  pool.flood(8);  // one life: enough for what was used once
  EXPECT_EQ(remembered(pool.cache, repeated(4, 2)), 0u);
  EXPECT_EQ(remembered(pool.cache, repeated(4, 1)), 64u);
}

TEST(Eviction, APastIsNotForEver) {
  Steady pool;
  for (int i = 0; i < 100000; ++i) use(pool.cache, pool.now, repeated(4, 1));
  pool.flood(200);
  EXPECT_EQ(remembered(pool.cache, repeated(4, 1)), 0u);
}

TEST(Eviction, ABranchThatComesBackToItsOwnPathIsNoHit) {
  Steady pool;
  const auto path = repeated(4, 1);
  for (int turn = 0; turn < 20; ++turn) {
    pool.cache.set_time(++pool.now);
    Lease lease = pool.cache.open(0);
    pool.cache.extend(lease, path, turn == 0 ? 0 : path.size());
    compute(pool.cache, lease);
  }
  use(pool.cache, ++pool.now, repeated(4, 2));
  pool.flood(7);
  EXPECT_EQ(remembered(pool.cache, path), 0u);
  EXPECT_EQ(remembered(pool.cache, repeated(4, 2)), 64u);
}

TEST(Eviction, AnExpectedReturnIsWaitedForAndNoLonger) {
  for (const bool late : {false, true}) {
    Steady pool;
    {
      pool.cache.set_time(++pool.now);
      Lease lease = pool.cache.open(0);
      pool.cache.extend(lease, repeated(4, 1));
      compute(pool.cache, lease);
      pool.cache.expect(lease, pool.now + (late ? 20 : 100));
    }
    pool.flood(40);
    EXPECT_EQ(remembered(pool.cache, repeated(4, 1)), late ? 0u : 64u);
  }
}

TEST(Eviction, ForgettingTakesTheExpectationBack) {
  Steady pool;
  {
    pool.cache.set_time(++pool.now);
    Lease lease = pool.cache.open(0);
    pool.cache.extend(lease, repeated(4, 1));
    compute(pool.cache, lease);
    pool.cache.expect(lease, pool.now + 1000);
  }
  pool.cache.forget(0, repeated(4, 1), false);
  pool.flood(12);
  EXPECT_EQ(remembered(pool.cache, repeated(4, 1)), 0u);
}

TEST(Eviction, OfADeadPathWhatLiesBeforeTheMarkStays) {
  for (const bool by_lease : {true, false}) {
    Steady pool;
    pool.cache.clear();
    use(pool.cache, ++pool.now, repeated(4, 2));  // ordinary, and older
    {
      pool.cache.set_time(++pool.now);
      Lease lease = pool.cache.open(0);
      pool.cache.extend(lease, repeated(6, 1));
      compute(pool.cache, lease);
      if (by_lease) pool.cache.mark_dead(lease, 40);  // two pages and a half
    }
    if (!by_lease) pool.cache.forget(0, repeated(6, 1), true, 40);
    const Evicted before = pool.cache.evicted();
    Lease lease = pool.cache.open(1);
    pool.cache.extend(lease, repeated(pool.cache.usage().free + 3, 1));
    compute(pool.cache, lease);
    EXPECT_EQ(pool.cache.evicted().dead - before.dead, 3U);
    EXPECT_EQ(pool.cache.evicted().once, before.once);
    pool.cache.extend(lease, repeated(4, 1));  // then the oldest goes
    compute(pool.cache, lease);
    EXPECT_EQ(pool.cache.evicted().dead - before.dead, 3U);
    EXPECT_EQ(remembered(pool.cache, repeated(6, 1)), 48U);
    EXPECT_EQ(remembered(pool.cache, repeated(4, 2)), 0U);
    EXPECT_TRUE(pool.cache.check().has_value());
  }
}

TEST(Eviction, OfExpectedReturnsTheFarthestGoesFirst) {
  Steady pool;
  pool.cache.clear();
  for (TokenId i = 0; i < 8; ++i) {
    Lease lease = pool.cache.open(0);
    pool.cache.extend(lease, repeated(4, i));
    compute(pool.cache, lease);
    pool.cache.expect(lease, pool.now + 100 + static_cast<std::uint64_t>(i));
  }
  Lease lease = pool.cache.open(1);
  pool.cache.extend(lease, repeated(16, 1));
  compute(pool.cache, lease);
  for (TokenId i = 0; i < 8; ++i)
    EXPECT_EQ(remembered(pool.cache, repeated(4, i)), i < 4 ? 64u : 0u) << i;
}

TEST(Eviction, AForgottenPathAddsNothingToTheTree) {
  RadixCache cache({.pages = 8});
  cache.forget(0, repeated(1, 7), true);
  use(cache, 1, repeated(2, 1));
  cache.forget(0, repeated(4, 1), true);
  cache.forget(3, repeated(4, 1), true);
  EXPECT_EQ(cache.usage().nodes, 1u);
  EXPECT_TRUE(cache.check().has_value());
}

}  // namespace
}  // namespace espalier::radix_cache
