// A few threads that share the items of one loop at a time.
//
// for_each publishes a loop and takes part in it. Each thread has a share of neighbouring items,
// which it takes from the front, in a word of its own; then it takes from the back of others'. So
// what a kernel asks for behind its item is mostly its own next one, threads meet on no word but at
// a loop's end, and one that the system has put aside only delays the item it holds. Workers that
// find nothing spin for a few microseconds (the next stage of a step is usually that near) and then
// sleep, so that neither an idle process nor an oversubscribed machine burns time. With one thread
// there is no worker and no synchronisation. No thread is pinned.
//
// Owned by one thread, which alone calls for_each; items may run on any thread and in any order.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/result.h"

namespace espalier::runtime::cpu {

class WorkerPool {
 public:
  /// kExhausted where the system refuses a thread.
  [[nodiscard]] static Result<std::unique_ptr<WorkerPool>> create(unsigned threads);
  ~WorkerPool();

  [[nodiscard]] unsigned threads() const { return static_cast<unsigned>(workers_.size()) + 1; }

  /// Runs f(item, thread) for every item below `count` (< 2^31) and returns when all are done;
  /// thread < threads() identifies the scratch memory an item may use. `f` must not throw.
  template <class F>
  void for_each(std::uint32_t count, F&& f) {
    using Function = std::remove_reference_t<F>;
    run(
        count,
        [](void* context, std::uint32_t item, unsigned thread) {
          (*static_cast<Function*>(context))(item, thread);
        },
        const_cast<void*>(static_cast<const void*>(&f)));
  }

 private:
  using Call = void (*)(void* context, std::uint32_t item, unsigned thread);

  // A thread's items that nobody has taken yet: the first (lower half) and the end (upper half).
  struct alignas(64) Share {
    std::atomic<std::uint64_t> items = 0;
  };

  explicit WorkerPool(unsigned threads);
  void run(std::uint32_t count, Call call, void* context);
  std::uint32_t run_share(unsigned owner, unsigned thread);
  void run_items(unsigned thread);
  void work(unsigned thread);

  std::vector<Share> shares_;  // one a thread
  std::vector<std::thread> workers_;
  // The loop. Both are stable while an item of it is held.
  Call call_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<std::uint32_t> unfinished_ = 0;
  alignas(64) std::atomic<std::uint32_t> loops_ = 0;  // what sleepers wait on
  std::atomic<std::uint32_t> sleepers_ = 0;
  std::atomic<bool> owner_sleeps_ = false;
  std::atomic<bool> stop_ = false;
};

}  // namespace espalier::runtime::cpu
