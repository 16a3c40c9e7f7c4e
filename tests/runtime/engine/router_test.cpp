// Where programs are sent among several engines, against the plain definition of the rule.
#include "runtime/engine/prefix_router.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/runtime/engine/plain_index.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

/// As the header has it, over plain indices.
class PlainRouter {
 public:
  explicit PlainRouter(const std::vector<std::uint64_t>& pages) : chosen_(pages.size()) {
    for (const std::uint64_t count : pages) held_.emplace_back(count);
  }

  std::size_t choose(const Ids& path, const std::vector<PrefixRouter::Standing>& standings) {
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < held_.size(); ++i) {
      if (!standings[i].failed) order.push_back(i);
    }
    if (order.empty()) {
      for (std::size_t i = 0; i < held_.size(); ++i) order.push_back(i);
    }
    const auto worth = [&](std::size_t i) {
      return static_cast<std::int64_t>(matched(i, path)) -
             256 * static_cast<std::int64_t>(standings[i].programs);
    };
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
      if (worth(a) != worth(b)) return worth(a) > worth(b);
      if (standings[a].programs != standings[b].programs)
        return standings[a].programs < standings[b].programs;
      return chosen_[a] < chosen_[b] || (chosen_[a] == chosen_[b] && a < b);
    });
    chosen_[order[0]] = ++choices_;
    return order[0];
  }
  void saw(std::size_t engine, const Ids& path) {
    std::size_t found = held_[engine].use(path);
    while ((found + 1) * kPageTokens <= path.size() && held_[engine].add(path, found)) ++found;
  }
  [[nodiscard]] std::size_t matched(std::size_t engine, const Ids& path) const {
    return held_[engine].count(path) * kPageTokens;
  }

 private:
  std::vector<PlainIndex> held_;
  std::vector<std::uint64_t> chosen_;
  std::uint64_t choices_ = 0;
};

// Programs come, say more, and go; engines fail and work again. Every choice is the rule's, keeps
// its bound, and no index outgrows its room.
TEST(PrefixRouter, ChoosesAsThePlainRuleDoesAndKeepsItsBound) {
  std::size_t apart = 0;   // choices of an engine that had more programs than another
  std::size_t worked = 0;  // choices while one had failed
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(static_cast<unsigned>(seed));
    std::vector<std::uint64_t> pages(1 + random() % 4);
    for (auto& it : pages) it = random() % 3 == 0 ? random() % 6 : 40 + random() % 200;
    PrefixRouter router(pages);
    PlainRouter plain(pages);
    std::vector<PrefixRouter::Standing> standings(pages.size());
    struct Program {
      Ids path;
      std::size_t engine;
    };
    std::vector<Program> live;
    for (int operation = 0; operation < 100; ++operation) {
      const auto kind = random() % 8;
      if (kind < 4) {
        // Each token of a page is the page's number: heads of up to 60 pages meet and part.
        Ids path;
        const auto head = static_cast<TokenId>(random() % 2);
        path.insert(path.end(), (random() % 60) * kPageTokens, head);
        for (std::size_t page = random() % 4; page > 0; --page) {
          path.insert(path.end(), kPageTokens, static_cast<TokenId>(random() % 3));
        }
        path.insert(path.end(), random() % kPageTokens, 0);
        const std::size_t engine = router.choose(0, path, standings);
        ASSERT_EQ(engine, plain.choose(path, standings));
        const std::uint64_t matched = router.matched(engine, 0, path);
        ASSERT_EQ(matched, plain.matched(engine, path));
        const bool all_failed = std::all_of(standings.begin(), standings.end(),
                                            [](const auto& it) { return it.failed; });
        ASSERT_TRUE(all_failed || !standings[engine].failed);
        for (const auto& it : standings) {
          worked += it.failed && !all_failed ? 1 : 0;
          if (it.failed != standings[engine].failed) continue;
          ASSERT_LE(standings[engine].programs,
                    it.programs + matched / PrefixRouter::kProgramTokens);
          apart += standings[engine].programs > it.programs ? 1 : 0;
        }
        ++standings[engine].programs;
        router.saw(engine, 0, path);
        plain.saw(engine, path);
        live.push_back({std::move(path), engine});
      } else if (kind < 6 && !live.empty()) {
        Program& it = live[random() % live.size()];
        it.path.insert(it.path.end(), random() % 50, static_cast<TokenId>(random() % 3));
        router.saw(it.engine, 0, it.path);
        plain.saw(it.engine, it.path);
      } else if (kind == 6 && !live.empty()) {
        std::swap(live[random() % live.size()], live.back());
        --standings[live.back().engine].programs;
        live.pop_back();
      } else {
        auto& it = standings[random() % standings.size()];
        it.failed = !it.failed && random() % 2 == 0;
      }
      if (operation % 10 != 0) continue;
      const Status ok = router.check();
      ASSERT_TRUE(ok.has_value()) << ok.error().message;
    }
  }
  EXPECT_GT(apart, 50U);
  EXPECT_GT(worked, 50U);
}

TEST(PrefixRouter, SpacesDoNotMeet) {
  PrefixRouter router(std::vector<std::uint64_t>{8, 8});
  const Ids path(40, 1);
  router.saw(0, 1, path);
  EXPECT_EQ(router.matched(0, 1, path), 32U);
  EXPECT_EQ(router.matched(0, 2, path), 0U);
  EXPECT_EQ(router.matched(1, 1, path), 0U);
}

// Programs that share nothing go to each engine in turn.
TEST(PrefixRouter, WhatNobodyHoldsGoesToWhoeverHasLeast) {
  PrefixRouter router(std::vector<std::uint64_t>{8, 8, 8});
  std::vector<PrefixRouter::Standing> standings(3);
  std::mt19937 random(1);
  for (int i = 0; i < 9; ++i) {
    const std::size_t engine = router.choose(0, random_ids(random, 40), standings);
    EXPECT_EQ(engine, static_cast<std::size_t>(i % 3));
    if (i < 6) ++standings[engine].programs;  // the last three are gone at once
  }
}

}  // namespace
}  // namespace espalier::runtime
