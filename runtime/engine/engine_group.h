// The engines behind one Engine, and which of them each program has.
//
// A program (Lineage) is placed when its first request is sent (prefix_router.h says where) and
// stays: its forks and all its later requests go to the same engine, whose queue, priorities and
// deadlines are then as they would be alone. It counts there until its last branch is gone. An
// engine whose last step failed for another reason than lacking memory gets no new programs while
// there is one that works; a step that succeeds takes that back. Where the device is lost, no step
// will: what ran there has failed, and what waited there, and all that its programs still send, is
// placed anew. No text depends on where it is formed.
//
// Kept alive by every Lineage. With one engine placing is a return; with several each request takes
// a mutex for one walk of its path (O(ids / 16), microseconds), on the program's thread: engine
// threads take it where their device is lost.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "runtime/engine/branch_state.h"
#include "runtime/engine/core.h"
#include "runtime/engine/prefix_router.h"

namespace espalier::runtime {

class EngineGroup {
 public:
  /// `cores`: at least one. `pages`: of each, what it has room for.
  EngineGroup(std::vector<std::unique_ptr<EngineCore>> cores, std::span<const std::uint64_t> pages,
              bool cache);

  [[nodiscard]] std::size_t size() const { return cores_.size(); }
  [[nodiscard]] EngineCore& core(std::size_t engine) { return *cores_[engine]; }
  [[nodiscard]] bool cache() const { return cache_; }
  /// Of a new branch that starts in `space`.
  [[nodiscard]] std::uint64_t space_of(std::uint64_t space) {
    return cache_ ? space : next_space_.fetch_add(1, std::memory_order_relaxed);
  }
  /// Says in the state where its request goes, which is about to be sent.
  void place(BranchState& state);
  /// Whether the engine's device is lost and another one's is not.
  [[nodiscard]] bool replaced(const EngineCore& core) const;
  /// Sends a request that waited on such an engine to another. False: that one has ended; the
  /// request is the caller's.
  [[nodiscard]] bool send_elsewhere(const std::shared_ptr<BranchState>& state);
  /// A branch is gone and has left its path behind.
  void left(const BranchState& state);

 private:
  [[nodiscard]] std::size_t index_of(const EngineCore* core) const;
  /// Under the mutex.
  [[nodiscard]] EngineCore& choose_for(const BranchState& state);

  std::vector<std::unique_ptr<EngineCore>> cores_;
  bool cache_;
  std::atomic<std::uint64_t> next_space_ = kOwnSpaces;
  std::mutex mutex_;                    // the router and its scratch
  std::optional<PrefixRouter> router_;  // where there are several
  std::vector<PrefixRouter::Standing> standings_;
};

}  // namespace espalier::runtime
