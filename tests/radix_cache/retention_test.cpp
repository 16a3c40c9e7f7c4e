// What users ask to keep stays longer than the rest, for a while, and never at everybody's cost.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {
namespace {

std::vector<TokenId> pages_of(std::size_t pages, TokenId token) {
  return std::vector<TokenId>(pages * kPageTokens, token);
}

/// A pool of 40 pages and paths that each take a few of them.
class RetentionTest : public testing::Test {
 protected:
  void use(const std::vector<TokenId>& path, const Retention& wish = {}) {
    cache_.set_time(++now_);
    Lease lease = cache_.open(0);
    cache_.extend(lease, path);
    StepPlan plan;
    cache_.plan(lease, plan, UINT32_MAX);
    cache_.seal(plan);
    cache_.commit(plan);
    cache_.retain(lease, wish);
    const Status ok = cache_.check();
    ASSERT_TRUE(ok.has_value()) << ok.error().message;
  }
  /// Paths that nobody comes back to, until everything that nobody asked for has gone.
  void flood(int paths = 12) {
    for (int i = 0; i < paths; ++i) use(pages_of(4, ++fresh_));
  }
  [[nodiscard]] std::size_t left(const std::vector<TokenId>& path) const {
    return cache_.match(0, path) / kPageTokens;
  }

  RadixCache cache_{{.pages = 40}};  // so that 10 may be retained
  std::uint64_t now_ = 0;
  TokenId fresh_ = 1000;
};

TEST_F(RetentionTest, OutlivesWhatNobodyAskedFor) {
  const auto kept = pages_of(4, 1);
  const auto not_kept = pages_of(4, 2);
  use(kept, {.level = 1});
  use(not_kept);
  flood();
  EXPECT_EQ(left(kept), 4u);
  EXPECT_EQ(left(not_kept), 0u);
}

TEST_F(RetentionTest, IsOfTheRangeAlone) {
  const auto path = pages_of(8, 1);
  use(path, {.level = 5, .tokens = 3 * kPageTokens});
  flood();
  EXPECT_EQ(left(path), 3u);
}

TEST_F(RetentionTest, RangesNest) {
  const auto path = pages_of(6, 1);
  use(path, {.level = 1, .tokens = 5 * kPageTokens, .steps = 4});
  use(path, {.level = 9, .tokens = 2 * kPageTokens, .steps = 100});
  cache_.set_time(now_ += 10);
  flood();
  EXPECT_EQ(left(path), 2u);
}

TEST_F(RetentionTest, OverTheBudgetTheLowestWishGoes) {
  const auto high = pages_of(4, 1);
  const auto low = pages_of(4, 2);
  const auto middle = pages_of(4, 3);
  use(high, {.level = 9});
  use(low, {.level = 2});
  EXPECT_EQ(cache_.usage().retained, 8u);
  use(middle, {.level = 5});
  EXPECT_EQ(cache_.usage().retained, 8u);
  flood();
  EXPECT_EQ(left(high), 4u);
  EXPECT_EQ(left(low), 0u);
  EXPECT_EQ(left(middle), 4u);
}

TEST_F(RetentionTest, AWishAboveTheBudgetIsNone) {
  const auto path = pages_of(11, 1);
  use(path, {.level = 10});
  EXPECT_EQ(cache_.usage().retained, 0u);
  flood();
  EXPECT_EQ(left(path), 0u);
}

TEST_F(RetentionTest, IsNeverAPin) {
  use(pages_of(4, 1), {.level = 10});
  EXPECT_EQ(cache_.usage().evictable, 4u);
  use(pages_of(40, 2));
  EXPECT_EQ(left(pages_of(40, 2)), 40u);
  EXPECT_EQ(left(pages_of(4, 1)), 0u);
  EXPECT_EQ(cache_.evicted().retained, 4u);
}

TEST_F(RetentionTest, DecaysUnlessItIsUsed) {
  const auto used = pages_of(3, 1);
  const auto unused = pages_of(3, 2);
  use(used, {.level = 2, .steps = 20});
  use(unused, {.level = 2, .steps = 20});
  for (int i = 0; i < 5; ++i) {
    cache_.set_time(now_ += 15);
    use(used);
  }
  flood();
  EXPECT_EQ(left(used), 3u);
  EXPECT_EQ(left(unused), 0u);
}

TEST_F(RetentionTest, LevelsFallOneByOneAndTimeMayJump) {
  use(pages_of(2, 1), {.level = 3, .steps = 10});
  const auto level = [&] { return cache_.view().front().level; };
  EXPECT_EQ(level(), 3u);
  cache_.set_time(now_ + 9);
  EXPECT_EQ(level(), 3u);
  cache_.set_time(now_ + 10);
  EXPECT_EQ(level(), 2u);
  cache_.set_time(now_ + 29);
  EXPECT_EQ(level(), 1u);
  cache_.set_time(UINT64_MAX);
  EXPECT_EQ(level(), 0u);
  EXPECT_EQ(cache_.usage().retained, 0u);
  const Status ok = cache_.check();
  EXPECT_TRUE(ok.has_value()) << ok.error().message;
}

TEST_F(RetentionTest, BeatsWhatAProgramDeclaredDead) {
  const auto path = pages_of(4, 1);
  use(path, {.level = 1});
  cache_.forget(0, path, true);
  flood();
  EXPECT_EQ(left(path), 4u);
}

TEST_F(RetentionTest, ThousandsOfWishesHoldTheBudget) {
  RadixCache cache({.pages = 4096});
  for (TokenId i = 0; i < 5000; ++i) {
    cache.set_time(static_cast<std::uint64_t>(i));
    Lease lease = cache.open(0);
    // A common head, so that most of them are branches that begin inside a page.
    std::vector<TokenId> path(37, 7);
    path.push_back(10 + i);
    cache.extend(lease, path);
    StepPlan plan;
    cache.plan(lease, plan, UINT32_MAX);
    cache.seal(plan);
    cache.commit(plan);
    cache.retain(lease, {.level = 1u + static_cast<std::uint32_t>(i) % 10, .steps = 100000});
    ASSERT_LE(cache.usage().retained, 1024u);
  }
  EXPECT_GT(cache.usage().retained, 900u);
  const Status ok = cache.check();
  EXPECT_TRUE(ok.has_value()) << ok.error().message;
}

}  // namespace
}  // namespace espalier::radix_cache
