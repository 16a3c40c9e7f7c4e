// What a random test does to the radix cache: operations of four numbers, read modulo whatever
// exists when they run, so that any list of them is valid and any part of a failing list can be
// tried alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace espalier::radix_cache::model {

struct Operation {
  enum Kind : std::uint8_t {
    kOpen,
    kFork,
    kExtend,
    kExtendLikeAnother,
    kRollback,
    kRelease,
    kPlan,
    kCommit,
    kAbandon,
    kMarkDead,
    kExpect,
    kForget,
    kClear,
    kTick,
    kShuffle,
    kCompact,
    kGuess,
    kRetain,
    kPlanAll,
    kAhead,
    kKinds
  };
  std::uint8_t kind = 0;
  std::uint8_t lease = 0;
  std::uint8_t count = 0;
  std::uint8_t seed = 0;
};

/// A random list that plans and commits often enough to get somewhere.
inline std::vector<Operation> random_operations(std::uint64_t seed, std::size_t count) {
  constexpr std::uint8_t kWeights[Operation::kKinds] = {5, 6, 14, 12, 3, 5, 20, 10, 1, 2,
                                                        2, 1, 1,  6,  1, 2, 4,  3,  3, 6};
  std::mt19937_64 random(seed);
  std::discrete_distribution<int> kind(std::begin(kWeights), std::end(kWeights));
  std::vector<Operation> out(count);
  for (Operation& op : out) {
    op.kind = static_cast<std::uint8_t>(kind(random));
    op.lease = static_cast<std::uint8_t>(random());
    op.count = static_cast<std::uint8_t>(random());
    op.seed = static_cast<std::uint8_t>(random());
  }
  return out;
}

inline std::string print(const std::vector<Operation>& operations) {
  static constexpr const char* kNames[Operation::kKinds] = {
      "open",     "fork",      "extend",   "extend_like_another",
      "rollback", "release",   "plan",     "commit",
      "abandon",  "mark_dead", "expect",   "forget",
      "clear",    "tick",      "shuffle",  "compact",
      "guess",    "retain",    "plan_all", "ahead"};
  std::string out;
  for (const Operation& op : operations) {
    out += std::string(kNames[op.kind % Operation::kKinds]) + "(lease " + std::to_string(op.lease) +
           ", count " + std::to_string(op.count) + ", seed " + std::to_string(op.seed) + ")\n";
  }
  return out;
}

/// The smallest list found that still breaks something, by leaving out ever smaller pieces.
template <class Breaks>
std::vector<Operation> shrink(std::vector<Operation> operations, const Breaks& breaks) {
  for (std::size_t piece = operations.size() / 2; piece > 0; piece /= 2) {
    for (std::size_t at = 0; at + piece <= operations.size();) {
      std::vector<Operation> fewer(operations.begin(),
                                   operations.begin() + static_cast<std::ptrdiff_t>(at));
      fewer.insert(fewer.end(), operations.begin() + static_cast<std::ptrdiff_t>(at + piece),
                   operations.end());
      if (breaks(fewer)) {
        operations = std::move(fewer);
      } else {
        at += piece;
      }
    }
  }
  return operations;
}

}  // namespace espalier::radix_cache::model
