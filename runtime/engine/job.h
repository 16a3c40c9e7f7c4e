// A request while it runs: the paths it holds in the tree, whose logits it wants, and what it does with them.
//
// A Job owns one or more Strands. A Strand is a lease with a window of positions whose logits are still wanted: a
// generation wants the last one, again and again; a probe wants a run; a score wants every inner node of its trie,
// spread over one strand a branch of the trie. The scheduler knows only strands; what the logits are for is the job's.
// Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "radix_cache/radix_cache.h"
#include "runtime/backend.h"
#include "runtime/engine/branch_state.h"
#include "runtime/engine/engine.h"

namespace espalier::runtime {

struct Strand {
  radix_cache::Lease lease;
  std::uint32_t cursor = 0;  // first position whose logits are still wanted
  std::uint32_t end = 0;     // one past the last wanted; cursor == end: nothing is wanted now
};

class Job {
 public:
  explicit Job(std::shared_ptr<BranchState> state) : state_(std::move(state)) {}
  virtual ~Job() = default;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  /// The request that waits in `state`, or why it can never run (the limits are named).
  [[nodiscard]] static Result<std::unique_ptr<Job>> make(std::shared_ptr<BranchState> state, const BackendInfo& info);

  /// Enters the tree: opens the strands and counts what is new. Also after stop().
  virtual void start(radix_cache::RadixCache& cache, Stats& stats) = 0;
  /// Leaves the tree (preempted, or at the end), keeping what has been learnt; start() goes on from there.
  void stop(radix_cache::RadixCache& cache);

  [[nodiscard]] std::vector<Strand>& strands() { return strands_; }
  [[nodiscard]] BranchState& state() { return *state_; }
  [[nodiscard]] const std::shared_ptr<BranchState>& shared() const { return state_; }
  [[nodiscard]] virtual bool finished() const = 0;

  /// What is wanted of `position` of a strand: fills everything but the row. An error ends the job.
  [[nodiscard]] virtual Status want(const Strand& strand, std::uint32_t position, RowPlan& plan) = 0;
  /// The answer for that position; may extend the strand's lease and move its window. An error ends the job.
  [[nodiscard]] virtual Status take(Strand& strand, std::uint32_t position, RowResult& result,
                                    radix_cache::RadixCache& cache, Stats& stats) = 0;
  /// Puts the answer, or the failure, into the state's slot. After stop().
  virtual void answer(Status status) = 0;

 protected:
  /// Opens the branch's own path and counts its prompt ids (CONTRACTS 17). The lease covers all of state().ids.
  radix_cache::Lease open_path(radix_cache::RadixCache& cache, Stats& stats);

  std::vector<Strand> strands_;

 private:
  std::shared_ptr<BranchState> state_;
};

}  // namespace espalier::runtime
