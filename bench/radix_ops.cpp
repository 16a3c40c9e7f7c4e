// What the radix cache costs beside a step of a model: finding a prefix, forking, growing by a
// token, evicting a page; and how that depends on the size of the tree, from 10^3 to 10^6 nodes.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <numeric>
#include <vector>

#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {
namespace {

std::vector<TokenId> prompt(std::size_t count, std::uint64_t seed) {
  std::vector<TokenId> out(count);
  for (TokenId& token : out) {
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    token = static_cast<TokenId>((seed >> 33) % 49152);
  }
  return out;
}

void compute(RadixCache& cache, Lease& lease) {
  StepPlan plan;
  cache.plan(lease, plan, UINT32_MAX);
  cache.seal(plan);
  cache.commit(plan);
}

/// A request arrives whose whole prompt is cached: open, find, release.
void find_cached_prompt(benchmark::State& state) {
  const auto length = static_cast<std::size_t>(state.range(0));
  RadixCache cache({.pages = 8192});
  const auto tokens = prompt(length, 1);
  Lease first = cache.open(0);
  cache.extend(first, tokens);
  compute(cache, first);
  for (auto _ : state) {
    Lease lease = cache.open(0);
    benchmark::DoNotOptimize(cache.extend(lease, tokens));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(length));
}
BENCHMARK(find_cached_prompt)->Arg(64)->Arg(1024)->Arg(16384);

/// The same when nobody holds it: every page is pinned and unpinned again.
void find_forgotten_prompt(benchmark::State& state) {
  const auto length = static_cast<std::size_t>(state.range(0));
  RadixCache cache({.pages = 8192});
  const auto tokens = prompt(length, 1);
  {
    Lease first = cache.open(0);
    cache.extend(first, tokens);
    compute(cache, first);
  }
  for (auto _ : state) {
    Lease lease = cache.open(0);
    benchmark::DoNotOptimize(cache.extend(lease, tokens));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(length));
}
BENCHMARK(find_forgotten_prompt)->Arg(64)->Arg(1024)->Arg(16384);

void fork_and_release(benchmark::State& state) {
  RadixCache cache({.pages = 8192});
  Lease trunk = cache.open(0);
  cache.extend(trunk, prompt(static_cast<std::size_t>(state.range(0)), 1));
  compute(cache, trunk);
  for (auto _ : state) benchmark::DoNotOptimize(cache.fork(trunk).length());
}
BENCHMARK(fork_and_release)->Arg(64)->Arg(16384);

/// One step of `range` branches below a common prompt: a token each, planned, tabled and committed.
void decode_step(benchmark::State& state) {
  RadixCache cache({.pages = 65536});
  Lease trunk = cache.open(0);
  cache.extend(trunk, prompt(1000, 1));
  compute(cache, trunk);
  std::vector<Lease> branches;
  for (std::int64_t i = 0; i < state.range(0); ++i) branches.push_back(cache.fork(trunk));
  std::vector<PageId> pages;
  TokenId token = 0;
  for (auto _ : state) {
    state.PauseTiming();
    if (branches[0].length() > 2000) {
      for (Lease& branch : branches) cache.rollback(branch, 1000);
      cache.clear();
    }
    state.ResumeTiming();
    StepPlan plan;
    for (std::size_t i = 0; i < branches.size(); ++i) {
      const TokenId own[] = {static_cast<TokenId>(i) + 64 * (++token % 512)};
      cache.extend(branches[i], own);
      cache.plan(branches[i], plan, 1);
    }
    cache.seal(plan);
    for (const Lease& branch : branches) cache.page_table(branch, branch.length(), pages);
    cache.commit(plan);
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(decode_step)->Arg(1)->Arg(8)->Arg(64)->Iterations(3000);

/// A tree of `leaves` forgotten prompts of one page each below a trunk of four, in a pool that is
/// full: each use at a time of its own, a third of them found again, a tenth dead.
class FullTree {
 public:
  explicit FullTree(std::uint32_t leaves) : cache({.pages = leaves + 4}), leaves_(leaves) {
    trunk_ = cache.open(0);
    cache.extend(trunk_, prompt(4 * kPageTokens, 1));
    compute(cache, trunk_);
    for (std::uint32_t i = 0; i < leaves; ++i) add(i);
    for (std::uint32_t i = 0; i < leaves / 3; ++i) {
      cache.set_time(++now_);
      Lease lease = cache.open(0);
      cache.extend(lease, path(i * 3));
    }
  }
  /// The i-th prompt, the trunk in front.
  [[nodiscard]] static std::vector<TokenId> path(std::uint32_t i) {
    auto tokens = prompt(4 * kPageTokens, 1);
    tokens.push_back(static_cast<TokenId>(i));
    tokens.resize(5 * kPageTokens, 3);
    return tokens;
  }
  void add(std::uint32_t i) {
    cache.set_time(++now_);
    Lease lease = cache.open(0);
    cache.extend(lease, path(i));
    compute(cache, lease);
    if (i % 10 == 0) cache.mark_dead(lease);
  }
  [[nodiscard]] std::uint32_t leaves() const { return leaves_; }
  std::uint32_t next() { return leaves_ + added_++; }

  RadixCache cache;

 private:
  Lease trunk_;
  std::uint32_t leaves_;
  std::uint32_t added_ = 0;
  std::uint64_t now_ = 0;
};

/// Building a large tree takes a while: each size once.
FullTree& tree_of(std::int64_t leaves) {
  static std::map<std::int64_t, std::unique_ptr<FullTree>> made;
  auto& tree = made[leaves];
  if (!tree) tree = std::make_unique<FullTree>(static_cast<std::uint32_t>(leaves));
  return *tree;
}

void match(benchmark::State& state) {
  FullTree& tree = tree_of(state.range(0));
  std::vector<std::vector<TokenId>> paths;
  for (std::uint32_t p = 0; p < 1024; ++p)
    paths.push_back(FullTree::path(p * 7919 % tree.leaves()));
  std::size_t i = 0;
  for (auto _ : state) {
    Lease lease = tree.cache.open(0);
    benchmark::DoNotOptimize(tree.cache.extend(lease, paths[i++ % paths.size()]));
  }
}

void fork(benchmark::State& state) {
  FullTree& tree = tree_of(state.range(0));
  Lease lease = tree.cache.open(0);
  tree.cache.extend(lease, FullTree::path(1));
  for (auto _ : state) benchmark::DoNotOptimize(tree.cache.fork(lease).length());
}

/// A new leaf that takes its page from the first to go: insert and evict.
void insert_and_evict(benchmark::State& state) {
  FullTree& tree = tree_of(state.range(0));
  for (auto _ : state) tree.add(tree.next());
}

/// 32 pages at once from a full pool. Everything here is deterministic, so the same calls are made
/// on three trees and each counts by its fastest: what interrupts and other processes took goes,
/// and what the tree does at its worst stays.
void evict_32_pages(benchmark::State& state) {
  constexpr std::size_t kCalls = 4000;
  std::vector<double> fastest(kCalls, 1e9);
  const auto pages = prompt(32 * kPageTokens, 2);
  for (auto _ : state) {
    for (int run = 0; run < 3; ++run) {
      FullTree tree(static_cast<std::uint32_t>(state.range(0)));
      for (double& least : fastest) {
        Lease lease = tree.cache.open(1);
        tree.cache.extend(lease, pages);
        StepPlan plan;
        const auto start = std::chrono::steady_clock::now();
        tree.cache.plan(lease, plan, UINT32_MAX);
        const double took =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
        least = std::min(least, took);
        tree.cache.seal(plan);
        tree.cache.commit(plan);
        tree.cache.mark_dead(lease);
        lease = Lease();
        for (int i = 0; i < 32; ++i) tree.add(tree.next());
      }
    }
    state.SetIterationTime(std::accumulate(fastest.begin(), fastest.end(), 0.0) / kCalls);
  }
  std::sort(fastest.begin(), fastest.end());
  state.counters["p99_us"] = fastest[kCalls * 99 / 100] * 1e6;
  state.counters["worst_us"] = fastest.back() * 1e6;
}

BENCHMARK(match)->RangeMultiplier(10)->Range(1000, 1'000'000);
BENCHMARK(fork)->RangeMultiplier(10)->Range(1000, 1'000'000);
BENCHMARK(insert_and_evict)->RangeMultiplier(10)->Range(1000, 1'000'000);
BENCHMARK(evict_32_pages)
    ->RangeMultiplier(10)
    ->Range(1000, 1'000'000)
    ->UseManualTime()
    ->Iterations(1);

/// A full pool: each new prompt of `range` tokens takes its pages from the oldest.
void evict_for_a_new_prompt(benchmark::State& state) {
  const auto length = static_cast<std::size_t>(state.range(0));
  RadixCache cache({.pages = 8192});
  std::uint64_t seed = 1;
  const auto serve = [&] {
    cache.set_time(seed);
    Lease lease = cache.open(0);
    cache.extend(lease, prompt(length, ++seed));
    compute(cache, lease);
  };
  while (cache.usage().free >= length) serve();
  for (auto _ : state) serve();
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(length / kPageTokens));
  state.SetLabel("items are pages");
}
BENCHMARK(evict_for_a_new_prompt)->Arg(64)->Arg(1024);

}  // namespace
}  // namespace espalier::radix_cache

BENCHMARK_MAIN();
