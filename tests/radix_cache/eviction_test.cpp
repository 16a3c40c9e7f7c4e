// Which page goes next, against a sorter that looks at every leaf each time.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {
namespace {

/// A node as the sorter sees it: its own pages, in order, and what its recency and class come to.
struct Plain {
  int parent = -1;
  int children = 0;
  int rank = 1;  // 0 dead, 1 used once, 2 came back twice or more
  std::uint64_t last = 0;
  std::vector<PageId> pages;
};

/// All pages in the order in which a sorter would give them back.
std::vector<PageId> brute_force(std::vector<Plain> nodes) {
  std::vector<PageId> out;
  for (;;) {
    Plain* first = nullptr;
    for (Plain& x : nodes) {
      if (x.pages.empty() || x.children > 0) continue;
      if (first == nullptr || std::pair(x.rank, x.last) < std::pair(first->rank, first->last))
        first = &x;
    }
    if (first == nullptr) return out;
    out.push_back(first->pages.back());
    first->pages.pop_back();
    if (first->pages.empty() && first->parent >= 0)
      --nodes[static_cast<std::size_t>(first->parent)].children;
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

  // Trunks with 1 to 4 branches, all of whole pages, each use at a time of its own, in random
  // order.
  struct Use {
    std::size_t trunk;
    TokenId branch;
  };
  std::vector<Use> uses;
  std::vector<std::uint32_t> trunk_pages;
  for (std::size_t t = 0; t < 12; ++t) {
    trunk_pages.push_back(1 + below(3));
    const std::uint32_t branches = 1 + below(4);
    for (std::uint32_t b = 0; b < branches; ++b) uses.push_back({t, static_cast<TokenId>(b)});
  }
  std::shuffle(uses.begin(), uses.end(), random);

  std::vector<Plain> nodes;
  std::vector<std::vector<int>> branches_of(trunk_pages.size());
  std::vector<int> trunk_of(trunk_pages.size(), -1);
  std::vector<std::uint32_t> visits(trunk_pages.size());
  std::uint64_t now = 0;
  for (const Use& use : uses) {
    cache.set_time(++now);
    const std::uint32_t own = 1 + below(4);
    std::vector<TokenId> path(trunk_pages[use.trunk] * kPageTokens,
                              static_cast<TokenId>(1000 + use.trunk));
    path.insert(path.end(), own * kPageTokens, 10 + use.branch);
    Lease lease = cache.open(0);
    cache.extend(lease, path);
    StepPlan plan;
    cache.plan(lease, plan, UINT32_MAX);
    cache.seal(plan);
    cache.commit(plan);
    const bool dead = below(3) == 0;
    if (dead) cache.mark_dead(lease);
    std::vector<PageId> pages;
    cache.page_table(lease, lease.length(), pages);
    cache.set_time(++now);
    lease = Lease();

    // The same in plain words: the first use makes one node of trunk and branch, the second splits
    // it.
    auto& siblings = branches_of[use.trunk];
    const std::size_t trunk = trunk_pages[use.trunk];
    Plain node;
    node.rank = dead ? 0 : 1;
    node.last = now;
    if (siblings.empty()) {
      node.pages = pages;
    } else {
      node.pages.assign(pages.begin() + static_cast<std::ptrdiff_t>(trunk), pages.end());
      if (siblings.size() == 1) {
        Plain head;
        Plain& first = nodes[static_cast<std::size_t>(siblings[0])];
        head.pages.assign(pages.begin(), pages.begin() + static_cast<std::ptrdiff_t>(trunk));
        first.pages.erase(first.pages.begin(),
                          first.pages.begin() + static_cast<std::ptrdiff_t>(trunk));
        head.children = 1;
        trunk_of[use.trunk] = first.parent = static_cast<int>(nodes.size());
        nodes.push_back(head);
      }
      node.parent = trunk_of[use.trunk];
      Plain& head = nodes[static_cast<std::size_t>(node.parent)];
      ++head.children;
      head.last = now;
      head.rank = ++visits[use.trunk] >= 2 ? 2 : 1;
    }
    siblings.push_back(static_cast<int>(nodes.size()));
    nodes.push_back(node);
  }
  ASSERT_TRUE(freed.empty());
  const std::vector<PageId> expected = brute_force(nodes);
  ASSERT_EQ(expected.size(), cache.usage().held);
  ASSERT_EQ(expected.size(), cache.usage().evictable);

  // Another space takes all pages, a few rows at a time.
  Lease greedy = cache.open(1);
  cache.extend(greedy, std::vector<TokenId>(std::size_t{400} * kPageTokens, 5));
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
}

INSTANTIATE_TEST_SUITE_P(Seeds, EvictionOrder, testing::Range(std::uint64_t{1}, std::uint64_t{61}));

}  // namespace
}  // namespace espalier::radix_cache
