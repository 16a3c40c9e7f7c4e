// A request while it runs: the paths it holds in the tree, whose logits it wants, and what it does
// with them.
//
// A Job owns one or more Strands. A Strand is a lease with a window of positions whose logits are
// still wanted: a generation wants the last one, again and again; a probe wants a run; a score
// wants every inner node of its trie, spread over one strand a branch of the trie. The scheduler
// knows only strands; what the logits are for is the job's. Engine thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "radix_cache/radix_cache.h"
#include "runtime/backend.h"
#include "runtime/engine/branch_state.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/page_reader.h"

namespace espalier::runtime {

class DraftPath;

struct Strand {
  radix_cache::Lease lease;
  bool stale = false;        // the rest of this step's logits are behind a guess that was wrong
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
  /// `jump` as in EngineOptions. One that comes from another engine goes on where it stood.
  [[nodiscard]] static Result<std::unique_ptr<Job>> make(const std::shared_ptr<BranchState>& state,
                                                         const BackendInfo& info, bool jump);

  /// Enters the tree: opens the strands. Also after stop().
  virtual void start(radix_cache::RadixCache& cache) = 0;
  /// Counts what start() found and did not find (CONTRACTS 17), once it is clear that the job
  /// stays.
  virtual void count(Stats& stats);
  /// Leaves the tree (preempted, or at the end), keeping what has been learnt; start() goes on from
  /// there. `back` is the step about which the path is wanted again; 0: not known.
  void stop(radix_cache::RadixCache& cache, std::uint64_t back);

  [[nodiscard]] std::vector<Strand>& strands() { return strands_; }
  [[nodiscard]] const std::vector<Strand>& strands() const { return strands_; }
  [[nodiscard]] BranchState& state() const { return *state_; }
  [[nodiscard]] const std::shared_ptr<BranchState>& shared() const { return state_; }

  /// The scheduler's notes.
  struct Queue {
    std::uint64_t place = 0;    // its program's place in the order of arrival
    std::uint64_t arrival = 0;  // its own
    std::uint64_t since = 0;    // step at which it began to wait
    System::Clock::time_point since_time{};
    bool admitted = false;                    // at least once
    std::int32_t preempted = 0;               // so often
    std::uint32_t matched = 0;                // leading ids whose KV was there when last looked
    std::uint64_t matched_at = UINT64_MAX;    // the cache's changes() then
    std::uint64_t denied_pages = UINT64_MAX;  // it did not fit when so many could be had
    std::shared_ptr<PageRead> read;           // pages of its path that come from disk
    std::uint32_t reads = 0;                  // asked for since it was last enqueued or denied
    std::size_t host_pages = 0;               // that came from host memory since then
    std::size_t pages_at_most = 0;            // that it may need at once
  };
  Queue queue;
  [[nodiscard]] virtual bool finished() const = 0;
  /// Tokens that may still be appended.
  [[nodiscard]] virtual std::uint32_t remaining() const { return 0; }
  /// Whether it will append just as many, because nothing ends it before.
  [[nodiscard]] virtual bool runs_to_its_budget() const { return false; }
  /// The ids that start() will walk.
  [[nodiscard]] virtual std::vector<TokenId> path() const { return state_->ids; }

  /// Before a step is planned: may add guessed tokens to a strand, where a row that gives a token
  /// with a probability above `threshold` pays.
  virtual void propose(radix_cache::RadixCache& /*cache*/, double /*threshold*/) {}
  /// Where a draft model may guess now, after propose(): null where it may not, or nothing is
  /// gained.
  [[nodiscard]] virtual DraftPath* draft_path(const radix_cache::RadixCache& /*cache*/) {
    return nullptr;
  }
  /// What follows the answer that is wanted of the path's end, as far as is known before it is
  /// there: the token that it gives, unless that ends the text; nothing; or more, or not that
  /// alone. Guesses count where propose() with a threshold of `guesses_above` would make them.
  enum class Follows : std::uint8_t { kItsToken, kNothing, kMore };
  [[nodiscard]] virtual Follows follows(const radix_cache::RadixCache& /*cache*/,
                                        std::optional<double> /*guesses_above*/) {
    return Follows::kMore;
  }
  /// Takes guessed tokens out of the tree again.
  virtual void retract(radix_cache::RadixCache& /*cache*/) {}

  /// What is wanted of `position` of a strand: fills everything but the row. An error ends the job.
  [[nodiscard]] virtual Status want(const Strand& strand, std::uint32_t position,
                                    RowPlan& plan) = 0;
  /// The answer for that position; may extend the strand's lease and move its window. An error ends
  /// the job.
  [[nodiscard]] virtual Status take(Strand& strand, std::uint32_t position, RowResult& result,
                                    radix_cache::RadixCache& cache, Stats& stats) = 0;
  /// Puts the answer, or the failure, into the state's slot. After stop().
  virtual void answer(Status status) = 0;

 protected:
  /// Opens the branch's own path; found_ is what of it was there. The lease covers all of
  /// state().ids.
  radix_cache::Lease open_path(radix_cache::RadixCache& cache);

  std::vector<Strand> strands_;
  std::size_t found_ = 0;  // leading ids of path() whose KV was there when start() came

 private:
  std::shared_ptr<BranchState> state_;
};

}  // namespace espalier::runtime
