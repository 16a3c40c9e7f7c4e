// cache_replay TRACE.jsonl[.xz] --capacity TOKENS --policy P [--oracle]
//
// Replays a request trace, one request after the other, through the radix cache itself (policy
// "espalier", tokens and all) or through a fixed policy on the trace's blocks, beside LRU, an
// infinite cache and, with --oracle, the offline optimum. A hit is a whole block found.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "bench/cache_replay/block_cache.h"
#include "bench/cache_replay/trace.h"
#include "radix_cache/radix_cache.h"

namespace espalier::replay {
namespace {

struct Score {
  std::uint64_t found = 0;  // blocks
  double seconds = 0;
  double worst = 0;  // of one request, in seconds
};

/// Serves every request by `serve` (blocks found) and times each. `prepare` is not timed.
template <class Prepare, class Serve>
Score run(const Trace& trace, const Prepare& prepare, const Serve& serve) {
  Score score;
  for (std::size_t r = 0; r < trace.requests.size(); ++r) {
    prepare(r);
    const auto start = std::chrono::steady_clock::now();
    score.found += serve(r);
    const double took =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    score.seconds += took;
    score.worst = std::max(score.worst, took);
  }
  return score;
}

Score run_policy(const Trace& trace, Policy policy, std::uint64_t capacity) {
  BlockCache cache(trace, policy, capacity);
  return run(
      trace, [](std::size_t) {}, [&](std::size_t) { return cache.serve(); });
}

/// Through the tree: find, plan, commit, release, a request at a time.
Score run_tree(const Trace& trace, std::uint64_t capacity, std::uint32_t block) {
  using namespace radix_cache;
  RadixCache cache({.pages = static_cast<std::uint32_t>(capacity * block / kPageTokens),
                    .max_tokens = UINT32_MAX});
  std::vector<TokenId> tokens;
  return run(
      trace,
      [&](std::size_t r) {
        tokens.clear();
        for (const std::uint32_t id : trace.requests[r])
          tokens.insert(tokens.end(), block, static_cast<TokenId>(id));
      },
      [&](std::size_t r) {
        cache.set_time(r + 1);
        Lease lease = cache.open(0);
        const Extended extended = cache.extend(lease, tokens);
        StepPlan plan;
        cache.plan(lease, plan, UINT32_MAX);
        cache.seal(plan);
        cache.commit(plan);
        return std::uint64_t{extended.reused / block};
      });
}

/// "12000" tokens, or "5%" of the trace's unique blocks; in blocks.
Result<std::uint64_t> parse_capacity(const std::string& text, const Trace& trace,
                                     std::uint32_t block) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  const std::string rest = end;
  double blocks = value / block;
  if (rest == "%") blocks = value / 100 * trace.blocks();
  if (end == text.c_str() || (!rest.empty() && rest != "%") || !std::isfinite(value) ||
      blocks < 1 || blocks * block / radix_cache::kPageTokens > 2e9) {
    return fail(ErrorCode::kInvalid, "--capacity '" + text +
                                         "' is neither a number of tokens (at least one block of " +
                                         std::to_string(block) + ") nor a percentage");
  }
  return static_cast<std::uint64_t>(blocks);
}

int main(int argc, char** argv) {
  CLI::App app("Replays a trace of prefix-block hashes (Mooncake's format) through a cache.");
  std::string path, capacity_text, policy = "espalier", part = "1/1";
  std::uint32_t block = 512;
  bool oracle = false;
  app.add_option("trace", path, "TRACE.jsonl or TRACE.jsonl.xz")->required();
  app.add_option("--capacity", capacity_text, "tokens, or a percentage of the unique ones: 5%")
      ->required();
  app.add_option("--policy", policy, "espalier, lru, slru, lfu, gdsf, belady or all")
      ->check(CLI::IsMember({"espalier", "lru", "slru", "lfu", "gdsf", "belady", "all"}));
  app.add_flag("--oracle", oracle, "print the offline optimum (Belady) too");
  app.add_option("--block", block, "tokens of a block")
      ->check(CLI::Range(16U, 65536U))
      ->capture_default_str();
  app.add_option("--part", part, "k/n: the k-th of n equal parts of the trace alone");
  CLI11_PARSE(app, argc, argv);

  auto trace = read_trace(path);
  const auto refuse = [](const std::string& message) {
    std::fprintf(stderr, "cache_replay: %s\n", message.c_str());
    return 1;
  };
  if (!trace) return refuse(trace.error().message);
  unsigned k = 0, n = 0;
  char after = 0;
  if (std::sscanf(part.c_str(), "%u/%u%c", &k, &n, &after) != 2 || k == 0 || k > n) {
    return refuse("--part '" + part + "' is not k/n with 1 <= k <= n");
  }
  if (block % radix_cache::kPageTokens != 0) return refuse("--block must be a multiple of 16");
  const std::size_t requests = trace->requests.size();
  if (n > 1) *trace = part_of(*trace, requests * (k - 1) / n, requests * k / n);
  if (trace->accesses == 0) return refuse("--part '" + part + "' holds no blocks");
  const auto capacity = parse_capacity(capacity_text, *trace, block);
  if (!capacity) return refuse(capacity.error().message);

  const auto accesses = static_cast<double>(trace->accesses);
  std::printf(
      "%zu requests, %llu blocks of %u tokens, %u of them different; capacity %llu blocks\n",
      trace->requests.size(), static_cast<unsigned long long>(trace->accesses), block,
      trace->blocks(), static_cast<unsigned long long>(*capacity));
  std::printf("%-10s %8s %12s %12s\n", "policy", "hits", "requests/s", "worst µs");
  const auto show = [&](const char* name, const Score& score) {
    std::printf("%-10s %8.4f %12.0f %12.1f\n", name, static_cast<double>(score.found) / accesses,
                static_cast<double>(trace->requests.size()) / score.seconds, score.worst * 1e6);
  };
  std::vector<std::string> names = {policy};
  if (policy == "all") names = {"espalier", "lru", "slru", "lfu", "gdsf"};
  if (policy != "all" && policy != "lru") names.emplace_back("lru");
  if (oracle && policy != "belady") names.emplace_back("belady");
  for (const std::string& name : names) {
    const auto fixed = policy_named(name);
    show(name.c_str(),
         fixed ? run_policy(*trace, *fixed, *capacity) : run_tree(*trace, *capacity, block));
  }
  std::printf("%-10s %8.4f\n", "infinite", 1 - trace->blocks() / accesses);
  return 0;
}

}  // namespace
}  // namespace espalier::replay

int main(int argc, char** argv) { return espalier::replay::main(argc, argv); }
