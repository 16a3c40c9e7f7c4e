// What the radix cache costs beside a step of a model: finding a prefix, forking, growing by a
// token, evicting a page.
#include <benchmark/benchmark.h>

#include <cstdint>
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
