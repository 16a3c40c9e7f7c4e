// The engine's inbox: an intrusive multi-producer stack that the engine thread empties at once
// (Treiber, 1986).
//
// push() never blocks, allocates or fails, except that it says when the engine is gone. Order of
// arrival is kept.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/engine/branch_state.h"

namespace espalier::runtime {

class Inbox {
 public:
  /// False once the inbox is closed; the state is then untouched.
  [[nodiscard]] bool push(const std::shared_ptr<BranchState>& state) {
    return push(std::span(&state, 1));
  }
  /// All of `states` (not none) at once, in their order: one take() hands them out.
  [[nodiscard]] bool push(std::span<const std::shared_ptr<BranchState>> states) {
    for (std::size_t i = 0; i < states.size(); ++i) {
      states[i]->self = states[i];
      if (i > 0) states[i]->next = states[i - 1].get();
    }
    BranchState* const first = states.front().get();
    BranchState* head = head_.load(std::memory_order_relaxed);
    do {
      if (head == closed()) {
        for (const auto& state : states) {
          state->next = nullptr;
          state->self.reset();
        }
        return false;
      }
      first->next = head;
    } while (!head_.compare_exchange_weak(head, states.back().get(), std::memory_order_release,
                                          std::memory_order_relaxed));
    head_.notify_one();
    return true;
  }

  /// What has arrived, oldest first. Engine thread only.
  void take(std::vector<std::shared_ptr<BranchState>>& out) {
    if (head_.load(std::memory_order_relaxed) == nullptr) return;
    collect(head_.exchange(nullptr, std::memory_order_acquire), out);
  }
  /// Sleeps until something arrives. Engine thread only.
  void wait() { head_.wait(nullptr, std::memory_order_relaxed); }
  /// Refuses everything from now on; what was left is handed out.
  void close(std::vector<std::shared_ptr<BranchState>>& out) {
    collect(head_.exchange(closed(), std::memory_order_acquire), out);
  }

 private:
  // An address that no branch has.
  BranchState* closed() { return reinterpret_cast<BranchState*>(&head_); }

  void collect(BranchState* head, std::vector<std::shared_ptr<BranchState>>& out) {
    const std::size_t first = out.size();
    for (; head != nullptr; head = std::exchange(head->next, nullptr))
      out.push_back(std::move(head->self));
    std::reverse(out.begin() + static_cast<std::ptrdiff_t>(first), out.end());
  }

  std::atomic<BranchState*> head_ = nullptr;
};

}  // namespace espalier::runtime
