// What branches and the engine thread share: the inbox, the last statistics, and the way an answer
// goes back.
//
// Kept alive by every branch (through its EngineGroup), so a branch that outlives its engine finds
// a closed inbox rather than nothing.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/engine/branch_state.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/inbox.h"

namespace espalier::runtime {

class EngineCore {
 public:
  Inbox inbox;
  std::atomic<std::uint64_t> programs = 0;  // that were placed here and live; of several engines
  std::atomic<bool> failed = false;         // its last step, for another reason than lacking memory
  std::atomic<bool> lost = false;           // so fails every step from now on

  [[nodiscard]] Stats stats() const {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void set_stats(const Stats& stats) {
    const std::lock_guard lock(mutex_);
    stats_ = stats;
  }

 private:
  mutable std::mutex mutex_;
  Stats stats_;
};

/// Hands the answer in `state` to whoever waits for it.
void complete(const std::shared_ptr<BranchState>& state);

}  // namespace espalier::runtime
