// Which rows run in the next step: continuous batching over the radix cache.
//
// One step = decode rows and forced spans first, then prefill chunks, under one budget of rows. A
// strand whose next tokens another strand computes in the same step rides behind it. A step is one
// of the Backend's, begun before its masks are made; nothing in it waits for anything else. Where
// all that runs draws a token, and nobody waits to be let in, the next step begins before these
// tokens are known (ahead.cpp). Engine thread only. queue.cpp decides who is in the tree,
// scheduler.cpp runs the steps.
//
// The queue's order is that of programs (Lineage): a request stands where the first one of its
// program stood, for so many requests. What was begun is ended before more is begun, which is also
// the order in which a small pool computes least.
//
// Admission. Every kOldestEvery-th request admitted is the one that came first; the others go by
// what of them is in the cache, their age and their program's priority. A request is admitted if
// what it and all running ones are still to take (a shared page once) fits what is free or
// evictable, and what earlier programs gave up in the last few steps stays besides, since they may
// be back at once; where nothing runs and nothing is kept so, it always is. While the oldest is in
// turn and does not fit, nobody passes it, so the running ones end and make room. Hence a request
// waits for at most (n + 1) * kOldestEvery admissions, whatever comes after it: n are the requests
// before it, and those that earlier programs still send at their places (at most Lineage::kRequests
// each). A request whose turn it is and of which pages are on disk stands aside while they are
// read; others are admitted meanwhile.
//
// Lacking memory. A step for which the backend finds none is taken again in halves: steps have half
// its rows until kWholeSteps in a row had enough, then twice as many, and so on. Where memory lacks
// for one row, what has that row fails, and nothing else.
//
// Preemption. When the running ones cannot all go on, pages whose slots the paths hold twice are
// given back first (a branch that begins inside a page copies its head); then the last in
// precedence (priority, raised by one with each time it was preempted, then arrival) leaves the
// tree and waits again with its ids; its pages become evictable. So the first in precedence always
// progresses: it fits the pool alone, which was checked when it came; and since a request that was
// preempted often enough stands before every newcomer, each of them ends.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/system.h"
#include "radix_cache/radix_cache.h"
#include "runtime/backend.h"
#include "runtime/engine/disk_tier.h"
#include "runtime/engine/draft_model.h"
#include "runtime/engine/drafter.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/host_tier.h"
#include "runtime/engine/job.h"

namespace espalier::runtime {

class Scheduler {
 public:
  static constexpr std::uint64_t kOldestEvery = 16;
  // Steps for which the pages of what ended are kept from later requests: as long as an answer
  // takes to be looked at. Longer waits cost more than computing again. Of a branch that is gone:
  // as long as its forks may take to come.
  static constexpr std::uint64_t kParkedSteps = 8;
  static constexpr std::uint64_t kForkSteps = 2;
  // Steps that found memory, after which more rows are tried again.
  static constexpr std::uint32_t kWholeSteps = 32;
  using Complete = std::function<void(std::shared_ptr<BranchState>)>;

  /// `complete` is called once for every request, with its answer in the state's slot.
  /// `store`, where there is one, is the tree's tier on disk; `draft` a model that guesses. With
  /// EngineOptions::host_kv_bytes the backend has host pages.
  Scheduler(Backend& backend, EngineOptions options, System& system, Complete complete,
            std::unique_ptr<PageStore> store = nullptr, std::unique_ptr<Backend> draft = nullptr);

  /// Takes a request in; a request that can never run is answered at once.
  void add(std::shared_ptr<BranchState> state);
  /// The branch's path is dead: what only it holds is evicted first.
  void forget(const BranchState& state);
  [[nodiscard]] std::size_t waiting() const { return waiting_.size() + reading_.size(); }
  [[nodiscard]] bool idle() const { return running_.empty() && waiting() == 0; }
  /// Admits, plans, runs one backend step and hands the answers out. Not to be called while idle().
  void step();
  /// True where the last step ran nothing because programs that came out of the tree a few steps
  /// ago, or pages from disk, are waited for: give them a moment.
  [[nodiscard]] bool holding() const {
    return running_.empty() && (holding_ || (waiting_.empty() && !reading_.empty()));
  }
  /// Gives up all that waits (nothing of it is in the tree), each with its job in its state: add()
  /// of another scheduler goes on with it.
  [[nodiscard]] std::vector<std::shared_ptr<BranchState>> release_waiting();
  /// Ends every request with kCancelled.
  void cancel_all();
  [[nodiscard]] Stats stats() const;
  /// Why the backend's last step failed; null where it did not, or where memory was lacking, which
  /// says nothing of the next one.
  [[nodiscard]] const Error* failure() const { return failure_ ? &*failure_ : nullptr; }
  [[nodiscard]] std::vector<radix_cache::NodeView> tree() const { return cache_.view(); }
  /// The tree's invariants and the page equality. O(tree).
  [[nodiscard]] Status check() const;

 private:
  /// The rows that one strand has in the step being planned.
  struct Slice {
    Job* job = nullptr;
    std::size_t strand = 0;
    std::uint32_t logits_begin =
        0;  // positions that are in the cache and run for their logits alone
    std::uint32_t logits_end = 0;
    radix_cache::RowRange planned;  // rows of the StepPlan
    std::uint32_t planned_at = 0;   // the position of the first of them
  };

  /// A position whose logits are wanted, and the row that gives them.
  struct Asked {
    Job* job = nullptr;
    std::size_t strand = 0;
    std::uint32_t position = 0;
    std::uint32_t row = 0;
  };
  /// A row that begins before its token is known, at a place that nothing of the tree sees before.
  struct Pending {
    Job* job = nullptr;
    std::uint32_t position = 0;
    std::uint32_t row = 0;
    radix_cache::PlannedWrite place;
  };
  /// A step of the backend, from its plan to its answers.
  struct Step {
    radix_cache::StepPlan plan;
    Batch batch;
    std::vector<Asked> asked;
    std::uint32_t prefill_rows = 0;
    std::uint32_t decode_rows = 0;
    std::vector<const Job*> jobs;  // that have rows in it and are left
    // Of one that was begun ahead: its rows until their tokens are known.
    bool ahead = false;
    std::vector<Pending> pending;
  };
  using Failures = std::vector<std::pair<const Job*, Error>>;

  // queue.cpp
  void drop_ended();
  void admit();
  bool try_admit(std::size_t at);
  /// What keeps a request whose turn it is out of the tree: pages that are read, or of which some
  /// are still to be put into the pool.
  enum class Disk { kReady, kReading, kImporting };
  [[nodiscard]] Disk from_disk(Job& job);
  /// True where pages of it came from host memory and some are left to come.
  [[nodiscard]] bool from_host(Job& job);
  void enqueue(std::unique_ptr<Job> job);
  void insert_waiting(std::unique_ptr<Job> job);
  void look_up();
  [[nodiscard]] std::size_t best_waiting() const;
  /// Pages that a job's text will still grow by, as far as is known.
  [[nodiscard]] std::uint64_t growth(const Job& job) const;
  /// Pages that `job` and all that run are still to take; what they share is reckoned once.
  [[nodiscard]] std::uint64_t demand_with(const Job& job) const;
  [[nodiscard]] std::uint64_t kept_for_others(const Job& job) const;
  [[nodiscard]] bool preempt_last();
  [[nodiscard]] std::uint64_t expected_back() const;

  /// Guesses of what the running ones will say next.
  void propose();
  /// Gives back what running paths hold twice: true where that is a page or more.
  bool compact_running();
  std::vector<Slice> plan(radix_cache::StepPlan& step);
  /// A step of what can run; null where not even one job alone goes on, which then has failed.
  [[nodiscard]] std::unique_ptr<Step> plan_step();
  [[nodiscard]] std::unique_ptr<Step> make_step(radix_cache::StepPlan plan,
                                                const std::vector<Slice>& slices);
  void run(Step& step);
  /// Both halves of the backend's step, and the jobs' masks between them. The answers are those of
  /// `asked`, without what a job refused to ask (`failed`); `seconds`: what the backend took of
  /// this thread. May begin the next one.
  [[nodiscard]] Result<std::vector<RowResult>> run_backend(Step& step, Failures& failed,
                                                           double& seconds);
  // ahead.cpp
  /// The step behind `step`, of which these are the plans, before it is answered: null where it has
  /// to wait for the answers.
  [[nodiscard]] std::unique_ptr<Step> plan_ahead(const Step& step, std::span<const RowPlan> plans);
  void give_back(Step& step);
  /// The tokens of the rows that are ahead have become known.
  void know_ahead();
  /// A job goes of which rows may be ahead.
  void leave_ahead(const Job& job);
  /// After a step that found no memory.
  void go_on_with_fewer_rows(const Step& step, const Error& error, Failures& failed);
  void finish(std::unique_ptr<Job> job, Status status);
  void fail_job(const Job* job, Error error);
  void fail_jobs(Failures& failed);

  Backend& backend_;
  EngineOptions options_;
  System& system_;
  Complete complete_;
  radix_cache::RadixCache cache_;
  std::unique_ptr<DiskTier> tier_;
  std::optional<HostTier> host_;
  std::unique_ptr<DraftModel> draft_model_;
  std::deque<std::unique_ptr<Job>> waiting_;   // in order of arrival
  std::vector<std::unique_ptr<Job>> reading_;  // whose turn it was, while pages of theirs are read
  std::vector<std::unique_ptr<Job>> running_;  // in order of precedence
  std::unique_ptr<Step> ahead_;                // begun beside the last one's end
  // What ended a few steps ago and whose program lives: it may go on at once.
  struct Parked {
    std::weak_ptr<const Lineage> lineage;
    std::uint64_t place = 0;
    std::uint64_t until = 0;  // step
    std::vector<TokenId> path;
    std::uint32_t pages = 0;  // that became evictable
  };
  std::vector<Parked> parked_;
  bool holding_ = false;
  std::uint64_t arrivals_ = 0;
  std::uint64_t admissions_ = 0;   // picks, to know when it is the oldest's turn
  std::size_t looked_ = 0;         // where look_up() goes on
  double park_steps_ = 64;         // running mean: steps between two requests of one branch
  StepCost cost_;                  // of steps that prefill nothing
  std::uint32_t most_rows_;        // of a step: EngineOptions::max_rows, fewer where memory lacks
  std::uint32_t whole_steps_ = 0;  // that found memory since it last did
  // Running mean: length of a generation. None before the first has ended: until then each may take
  // its whole budget.
  std::optional<double> output_tokens_;
  System::Clock::time_point next_deadline_ = System::Clock::time_point::max();
  Stats stats_;
  std::optional<Error> failure_;
};

}  // namespace espalier::runtime
