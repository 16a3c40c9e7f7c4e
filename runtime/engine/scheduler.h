// Which rows run in the next step: continuous batching over the radix cache.
//
// One step = decode rows and forced spans first, then prefill chunks in order of arrival, under one budget of rows.
// A strand whose next tokens another strand computes in the same step rides behind it. Admission is first come, first
// served, by the pages a request still needs; when the running ones cannot all go on, the youngest leaves the tree and
// waits again with its ids (its pages become evictable), so the oldest always progresses: it fits the pool alone, which
// was checked when it came. A step is one Backend::step; nothing in it waits for anything else. Engine thread only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "base/system.h"
#include "radix_cache/radix_cache.h"
#include "runtime/backend.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/job.h"

namespace espalier::runtime {

class Scheduler {
 public:
  using Complete = std::function<void(std::shared_ptr<BranchState>)>;

  /// `complete` is called once for every request, with its answer in the state's slot.
  Scheduler(Backend& backend, EngineOptions options, System& system, Complete complete);

  /// Takes a request in; a request that can never run is answered at once.
  void add(std::shared_ptr<BranchState> state);
  /// The branch's path is dead: what only it holds is evicted first.
  void forget(const BranchState& state);
  [[nodiscard]] bool idle() const { return running_.empty() && waiting_.empty(); }
  /// Admits, plans, runs one backend step and hands the answers out. Not to be called while idle().
  void step();
  /// Ends every request with kCancelled.
  void cancel_all();
  [[nodiscard]] Stats stats() const;
  /// The tree's invariants and the page equality. O(tree).
  [[nodiscard]] Status check() const;

 private:
  /// The rows that one strand has in the step being planned.
  struct Slice {
    Job* job = nullptr;
    std::size_t strand = 0;
    std::uint32_t logits_begin = 0;  // positions that are in the cache and run for their logits alone
    std::uint32_t logits_end = 0;
    radix_cache::RowRange planned;   // rows of the StepPlan
    std::uint32_t planned_at = 0;    // the position of the first of them
  };

  void drop_cancelled();
  void admit();
  [[nodiscard]] bool fits(Job& job) const;
  std::vector<Slice> plan(radix_cache::StepPlan& step);
  [[nodiscard]] bool preempt_youngest();
  void run(radix_cache::StepPlan& step, const std::vector<Slice>& slices);
  void finish(std::unique_ptr<Job> job, Status status);
  void fail_job(const Job* job, Error error);

  Backend& backend_;
  EngineOptions options_;
  System& system_;
  Complete complete_;
  radix_cache::RadixCache cache_;
  std::deque<std::unique_ptr<Job>> waiting_;
  std::vector<std::unique_ptr<Job>> running_;  // oldest first
  Stats stats_;
};

}  // namespace espalier::runtime
