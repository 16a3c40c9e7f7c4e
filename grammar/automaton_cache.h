// How much the automata of all grammars of the process hold together, and which of them goes when
// that is more than it may be.
//
// A grammar says after each of its calls what its automaton holds now, and when it was used. Where
// the sum is over the limit, the automata of those grammars are dropped that were not used for the
// longest; what they know is made again as it is reached, and their matchers replay their tokens.
// A grammar that is inside a call keeps its own, so the sum passes the bound by no more than what
// calls under way have made, each within its own grammar's Limits::state_bytes.
//
// Grammars that take turns (the rows of one batch) would make each other's automata again and again
// where together they need more than the limit. So those that were used of late may hold kInUse
// times as much; the limit is what those hold that are kept for later.
//
// Thread-safe. A call under the limit costs an addition. Grammars are ranked once for many drops,
// and nothing is freed under the cache's own lock (disposal.h).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

namespace espalier::grammar {

class Automaton;
class CompiledGrammar;

class AutomatonCache {
 public:
  static constexpr std::size_t kLimit = std::size_t{28} << 20;  // unless another one is set
  static constexpr std::size_t kInUse = 8;        // times the limit, where all were used of late
  static constexpr std::uint64_t kOfLate = 1024;  // changes ago

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
  void set_limit(std::size_t bytes) {
    limit_.store(bytes, std::memory_order_relaxed);
    next_.store(0, std::memory_order_relaxed);
  }

  /// Drops automata until the sum is within the limit, or all that are left are `user`'s, of
  /// grammars inside calls, or used of late and within kInUse limits. The caller holds no grammar's
  /// lock.
  void keep_limit(const CompiledGrammar* user) {
    if (bytes() <= limit()) return;
    const bool far = bytes() / kInUse > limit();
    if (far || clock() >= next_.load(std::memory_order_relaxed)) drop(user);
  }

 private:
  struct Old {
    const CompiledGrammar* grammar = nullptr;
    std::uint64_t used = 0;
  };
  void drop(const CompiledGrammar* user);
  void drop_into(std::vector<std::unique_ptr<Automaton>>& dropped, const CompiledGrammar* user);
  void rank();
  [[nodiscard]] bool in_use(const Old& old) const {
    return old.used + kOfLate > clock() && bytes() / kInUse <= limit();
  }

  std::atomic<std::size_t> bytes_ = 0, limit_ = kLimit;
  std::atomic<std::uint64_t> clock_ = 1;
  std::atomic<std::uint64_t> next_ = 0;  // when the first of those in use may go
  std::mutex mutex_;                     // taken before a grammar's, never behind one
  std::unordered_set<const CompiledGrammar*> grammars_;
  std::vector<Old> oldest_;  // the next to go is last
};

}  // namespace espalier::grammar
