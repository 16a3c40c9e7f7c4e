// A cache of whole trace blocks under a fixed eviction policy: what the radix cache is compared
// with.
//
// As in any prefix cache, only a block with nothing behind it can go, and the blocks of the request
// in hand stay. Ties go deepest first. Sorted sets, nothing clever: O(log n) an access.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>
#include <vector>

#include "bench/cache_replay/trace.h"

namespace espalier::replay {

enum class Policy : std::uint8_t {
  kLru,     // least recently used
  kSlru,    // segmented: used once before used again, at most 80 % of the cache protected
  kLfu,     // least often used while it is here, then least recently
  kGdsf,    // greedy dual with frequency: uses here plus the value of what went last
  kBelady,  // farthest next use: the optimum
};
[[nodiscard]] std::optional<Policy> policy_named(std::string_view name);

class BlockCache {
 public:
  /// `trace` outlives it.
  BlockCache(const Trace& trace, Policy policy, std::uint64_t capacity);
  /// Serves the next request of the trace: the blocks that were found.
  std::uint64_t serve();

 private:
  using Rank = std::tuple<std::uint64_t, double, std::int64_t, std::uint32_t>;
  struct Block {
    bool here = false;
    bool held = false;        // by the request in hand
    bool again = false;       // kSlru's protected
    std::uint32_t below = 0;  // blocks here that follow it
    std::uint64_t uses = 0;   // since it came
    std::uint64_t last = 0;
    std::uint64_t next = 0;  // request that uses it next
    double value = 0;        // kGdsf's
    Rank rank;               // while it is a candidate
  };
  [[nodiscard]] Rank rank_of(std::uint32_t block) const;
  void offer(std::uint32_t block);
  bool evict();
  void demote();

  const Trace& trace_;
  Policy policy_;
  std::uint64_t capacity_;
  std::uint64_t used_ = 0;
  std::uint64_t protected_ = 0;
  double inflation_ = 0;  // kGdsf: the value of what went last
  std::size_t at_ = 0;    // the next request
  std::vector<Block> blocks_;
  std::set<Rank> candidates_;
  std::vector<std::vector<std::uint64_t>> next_;  // kBelady: of each access
};

}  // namespace espalier::replay
