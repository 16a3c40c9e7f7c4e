// How much the automata of all grammars of the process hold together, and which of them goes when
// that is more than it may be.
//
// A grammar says after each of its calls what its automaton holds now, and when it was used. Where
// the sum is over the limit, the automata of those grammars are dropped that were not used for the
// longest; what they know is made again as it is reached, and their matchers replay their tokens.
// A grammar that is inside a call keeps its own, so the sum passes the limit by no more than what
// calls under way have made, each within its own grammar's Limits::state_bytes.
//
// Thread-safe. A call under the limit costs an addition. Grammars are ranked once for many drops,
// and nothing is freed under the cache's own lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <unordered_set>
#include <vector>

namespace espalier::grammar {

class CompiledGrammar;

class AutomatonCache {
 public:
  static constexpr std::size_t kLimit = std::size_t{28} << 20;  // unless another one is set

  /// The process's.
  static AutomatonCache& of_process();

  void add(const CompiledGrammar* grammar);
  /// Before the grammar ends.
  void remove(const CompiledGrammar* grammar);

  /// A grammar's automaton holds `now` instead of `before`.
  void changed(std::size_t before, std::size_t now) {
    bytes_.fetch_add(now - before, std::memory_order_relaxed);
    clock_.fetch_add(1, std::memory_order_relaxed);
  }
  /// Rises with every change.
  [[nodiscard]] std::uint64_t clock() const { return clock_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t limit() const { return limit_.load(std::memory_order_relaxed); }
  void set_limit(std::size_t bytes) { limit_.store(bytes, std::memory_order_relaxed); }

  /// Drops automata until the sum is within the limit, or all that are left are `user`'s and of
  /// grammars inside calls. The caller holds no grammar's lock.
  void keep_limit(const CompiledGrammar* user) {
    if (bytes() > limit()) drop(user);
  }

 private:
  struct Old {
    const CompiledGrammar* grammar = nullptr;
    std::uint64_t used = 0;
  };
  void drop(const CompiledGrammar* user);
  void rank();

  std::atomic<std::size_t> bytes_ = 0, limit_ = kLimit;
  std::atomic<std::uint64_t> clock_ = 1;
  std::mutex mutex_;  // taken before a grammar's, never behind one
  std::unordered_set<const CompiledGrammar*> grammars_;
  std::vector<Old> oldest_;  // the next to go is last
};

}  // namespace espalier::grammar
