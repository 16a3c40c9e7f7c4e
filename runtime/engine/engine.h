// The Engine: programs' branches on one side, one model's backend and radix cache on the other; or
// several of these (data parallel), each with a thread, a pool and a tree of its own, of which
// every program has one: that which probably holds most of its first prompt, unless others have
// much less to do (prefix_router.h has the rule, engine_group.h what becomes of an engine that
// fails).
//
// A Branch is a path of token ids with the KV that belongs to it. Its verbs: append (extend),
// generate, score, fork, rollback; releasing it is its destructor. generate() and score() are
// awaited: they suspend the calling coroutine and resume it on its Executor; generate_now() and its
// like block a plain thread instead. A branch has at most one request outstanding, and nothing but
// cancel() may be called on it meanwhile.
//
// The engine thread owns cache, pool and scheduler; each step it batches decode rows, forced spans
// and prefill chunks of all branches. Every ending (finish, cancel, error, destruction) leaves
// through one function, which gives the branch's pages back to the tree. Between requests a branch
// is parked: it keeps ids and gives up its claim on pages, which stay in the tree while there is
// room and are computed again if they went (counted as recomputed).
//
// Laws (tests/runtime/engine): text at temperature 0, and at any temperature with a seed, is the
// same whatever else runs, in any arrival order, with the cache on or off, with 1 thread or many.
#pragma once

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "base/system.h"
#include "base/token.h"
#include "grammar/matcher.h"
#include "radix_cache/radix_cache.h"
#include "runtime/backend.h"
#include "runtime/engine/task.h"
#include "runtime/sampling/sampling.h"

namespace espalier::runtime {

/// Counted as CONTRACTS 17 says: reused + computed == prompt; forced ids are generated and also
/// forced.
struct Stats {
  std::uint64_t prompt_tokens = 0;
  std::uint64_t reused_tokens = 0;
  std::uint64_t computed_tokens = 0;
  std::uint64_t generated_tokens = 0;
  std::uint64_t forced_tokens = 0;
  std::uint64_t select_tokens = 0;
  std::uint64_t recomputed_tokens = 0;
  std::uint64_t steps = 0;
  double prefill_seconds = 0;
  double decode_seconds = 0;
  double mask_seconds = 0;
  std::uint32_t pages_total = 0;
  std::uint32_t pages_free = 0;
  std::uint32_t pages_held = 0;      // by the tree: free + held == total
  std::uint32_t pages_retained = 0;  // by users' wishes

  // What steps were made of: rows that compute KV, and rows that run again for their logits alone.
  std::uint64_t prefill_rows = 0;
  std::uint64_t decode_rows = 0;  // forced spans of at most a page too
  std::uint64_t logits_rows = 0;
  // Over all steps of the backend, for the line seconds = a + b * rows through them.
  std::uint64_t backend_steps = 0;
  std::uint64_t prefill_steps = 0;  // of those, without a row that decodes
  std::uint64_t steps_ahead = 0;  // of those, begun before the tokens of the one before were known
  std::uint64_t wasted_rows = 0;  // rows of these without an answer: the text had ended, or went
                                  // on with what its type forces
  double rows_squared = 0;
  double rows_seconds = 0;
  std::uint64_t drafted_tokens = 0;         // rows that ran for a guess
  std::uint64_t accepted_tokens = 0;        // guesses that were right
  std::uint64_t model_drafted_tokens = 0;   // of those that ran, a draft model's
  std::uint64_t model_accepted_tokens = 0;  // of those that were right
  double draft_seconds = 0;                 // that the draft model took
  // The queue.
  std::uint64_t requests = 0;  // admitted, each once
  std::uint64_t preemptions = 0;
  std::uint64_t queue_steps = 0;  // of all requests, from arrival to admission
  double queue_seconds = 0;
  // The tree: ids looked up at admission and found computed, and pages evicted by what they were.
  std::uint64_t looked_up_tokens = 0;
  std::uint64_t found_tokens = 0;
  radix_cache::Evicted evicted_pages;
  double tree_seconds = 0;  // inside it
  // The disk tier.
  std::uint64_t disk_read_pages = 0;
  std::uint64_t disk_written_pages = 0;
  std::uint64_t disk_dropped_pages = 0;  // not written: the writer was too far behind
  double disk_read_seconds = 0;
  // The tier in host memory.
  std::uint32_t host_pages_total = 0;
  std::uint32_t host_pages_held = 0;
  std::uint64_t host_saved_pages = 0;
  std::uint64_t host_loaded_pages = 0;
  std::uint64_t host_dropped_pages = 0;  // not saved: no room, or a failure
  double host_load_seconds = 0;          // of loads whose end was seen

  Stats& operator+=(const Stats& other);
};

/// Of one engine among several.
struct EngineStats {
  Stats stats;
  std::uint64_t programs = 0;  // that live there now
  bool failed = false;         // gets no new ones while there are others
  bool lost = false;           // its device is gone for good: what it was to do others have
};

struct EngineOptions {
  std::uint32_t max_rows = 512;  // rows of one step, all branches together
  bool cache = true;             // off: no branch sees another's prefix
  bool jump = true;  // off: a forced id a step, as the plain reference; the text is the same
  // Tokens are guessed from the path and the tree where that is likely to pay, and kept only where
  // they are what is sampled; off: never. The text is the same.
  bool draft = true;
  // At most so much of the pool is kept by retention (Terms), 0 to 1.
  double retained_share = 0.25;
  // Where KV pages are kept for the next run; empty: nowhere. Read and written only for the very
  // same model file, whose digest the caller gives, and backend format. Trouble with the folder
  // never fails a request: it is `note`d.
  std::string kv_folder = {};
  std::string model_digest = {};
  std::function<void(const std::string& message)> note = {};
  // Of host memory, for pages that leave a device's pool (host_tier.h); 0: none. Of all engines
  // together: each has an equal part, taken as it is needed. Refused for a backend whose pool is
  // host memory already, and where a part holds no page.
  std::uint64_t host_kv_bytes = 0;
  bool poison = false;  // tests: freed pages become NaN
  bool check = false;   // tests: the tree's invariants after every step
};

/// What a program asks of the queue; its forks inherit it.
struct Terms {
  // Higher is admitted sooner, and leaves the tree later when the pool is too small. Clamped to
  // ±kMaxPriority. Nobody waits for ever, whatever the others' priority.
  std::int32_t priority = 0;
  // A request that has not ended by then ends with kTimeout.
  System::Clock::time_point deadline = System::Clock::time_point::max();
  // What of each request's path, its answer included, stays longer than what nobody asked for, once
  // the request has ended. All wishes share EngineOptions::retained_share of the pool; steps are
  // the engine's, so that nothing decays while it rests. Changes no text.
  radix_cache::Retention retention = {};

  static constexpr std::int32_t kMaxPriority = 10;
};

/// A token as it appears, for streaming. Called on the engine thread: copy and return.
struct Progress {
  TokenId token = kNoToken;
  bool forced = false;
  const grammar::Matcher* matcher = nullptr;  // after the token; null without one
  std::uint32_t allowed =
      0;  // tokens that its mask allowed; 0 where none was drawn, or without one
  /// With GenerateRequest::logprobs: the best tokens where this one was drawn, else empty.
  std::span<const std::pair<TokenId, float>> best;
};

struct GenerateRequest {
  grammar::Matcher matcher;  // invalid: free text, which ends with an end token or at max_tokens
  Sampling sampling;
  RandomKey key;                   // identifies the draw; the token's index is the counter
  std::uint32_t max_tokens = 256;  // budget of the value's tokens
  std::vector<TokenId>
      end_tokens;  // without a matcher: tokens that end the text; the one that came is in the ids
  std::uint32_t logprobs = 0;  // best tokens reported for each sampled token
  std::function<void(const Progress&)> on_token;
};

struct Generated {
  std::vector<TokenId> ids;  // what was appended, follow and end token included
  grammar::Matcher matcher;  // its last state
  bool truncated = false;    // max_tokens ended a free text
  std::size_t prompt = 0;    // ids before the answer
  std::size_t found = 0;     // of those, the leading ones whose KV was there when it was admitted
  float logprob = 0.0F;      // sum over the sampled tokens of log p over the allowed set
  std::vector<std::vector<std::pair<TokenId, float>>>
      best;  // with logprobs: a list a sampled token
};

/// Log-probabilities of continuations, scored together: common beginnings run once. Nothing is
/// appended.
struct ScoreRequest {
  std::vector<std::vector<TokenId>> continuations;  // each at least one token
};
struct Scored {
  std::vector<std::vector<float>>
      logprobs;  // for each continuation a value a token, over the full vocabulary
};

/// Feeds ids as prompt and reports what the model thought of each before it came.
struct ProbeRequest {
  std::vector<TokenId> ids;
  std::uint32_t best = 0;  // best tokens reported beside each
};
struct Probed {
  std::vector<float> logprobs;  // of each id, over the full vocabulary
  std::vector<std::vector<std::pair<TokenId, float>>> best;
};

class Engine;
class BranchState;  // shared between the program's side and the engine's

/// An answer on its way: await it in a coroutine. Made by Branch's verbs; must be awaited at once
/// and only once.
template <class Answer>
class [[nodiscard]] Operation {
 public:
  Operation(std::shared_ptr<BranchState> state, Executor& executor)
      : state_(std::move(state)), executor_(executor) {}
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> handle);
  Result<Answer> await_resume();

 private:
  std::shared_ptr<BranchState> state_;
  Executor& executor_;
};

class Branch {
 public:
  Branch() = default;
  Branch(Branch&&) noexcept = default;
  Branch& operator=(Branch&&) noexcept;
  ~Branch();  // cancels what is outstanding and gives up its place

  [[nodiscard]] bool valid() const { return state_ != nullptr; }
  [[nodiscard]] const std::vector<TokenId>& ids() const;
  /// Appends prompt ids; they are computed with the next request. An id outside the vocabulary
  /// fails that request.
  void append(std::span<const TokenId> ids);
  /// Appends ids that a score() has run already (the chosen option): they count as select_tokens,
  /// not as prompt.
  void append_selected(std::span<const TokenId> ids);
  /// A second branch at the same place, which shares every page before it. O(ids).
  [[nodiscard]] Branch fork() const;
  /// Back to the first `length` ids.
  void rollback(std::size_t length);
  /// Takes ids [begin, end) out of the middle: what stood behind them is computed again where it
  /// now stands (as recomputed ids).
  void cut(std::size_t begin, std::size_t end);
  /// Nobody comes back to what only this branch holds: those pages are evicted first once it is
  /// destroyed, and already when its next request ends (said before it, the pages are there for
  /// whoever is admitted in the very next step). Of a fork, what it had when it was forked is the
  /// trunk's and stays. A hint: a request after all finds what is left.
  void mark_dead();
  /// For every later request of this branch and of forks made from now on.
  void set_terms(const Terms& terms);
  /// Stops the outstanding request; it ends with kCancelled by the next step. Safe from any thread.
  void cancel();

  /// `Result<Generated> r = co_await branch.generate(executor, std::move(request));`
  /// Errors: kInvalid (budget below the matcher's distance, bad sampling, empty path, id out of
  /// range), kLimit (path and budget do not fit the context; both figures), kExhausted (can never
  /// fit the page pool), kCancelled, or the backend's own.
  [[nodiscard]] Operation<Generated> generate(Executor& executor, GenerateRequest request);
  [[nodiscard]] Operation<Scored> score(Executor& executor, ScoreRequest request);
  [[nodiscard]] Operation<Probed> probe(Executor& executor, ProbeRequest request);
  /// The same, blocking the calling thread.
  [[nodiscard]] Result<Generated> generate_now(GenerateRequest request);
  [[nodiscard]] Result<Scored> score_now(ScoreRequest request);
  [[nodiscard]] Result<Probed> probe_now(ProbeRequest request);

 private:
  friend class Engine;
  explicit Branch(std::shared_ptr<BranchState> state);
  std::shared_ptr<BranchState> state_;
};

/// What an engine runs on.
struct EngineBackends {
  std::unique_ptr<Backend> backend;
  // Where there is one and drafts are on: a smaller model that guesses (draft_model.h). Its tokens
  // must be the first one's (draft_difference()).
  std::unique_ptr<Backend> draft;
};

class Engine {
 public:
  /// Starts the engine's thread. `system` and the backends are used by it alone from now on.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> create(
      std::unique_ptr<Backend> backend, const EngineOptions& options, System& system,
      std::unique_ptr<Backend> draft = nullptr);
  /// The same with an engine for each of `backends` (1 to kMostEngines): all of one model, so that
  /// texts do not depend on which has a program. `options` are each one's but for the host memory,
  /// of which each has a part; `system` takes calls from several threads.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> create(std::vector<EngineBackends> backends,
                                                              const EngineOptions& options,
                                                              System& system);
  ~Engine();  // cancels what runs, joins the threads; branches may outlive it and then only fail

  static constexpr std::size_t kMostEngines = 64;

  /// The empty path. `space` separates paths that must not share (0 for all ordinary ones).
  [[nodiscard]] Branch open(std::uint64_t space = 0);
  /// Of all engines together.
  [[nodiscard]] Stats stats() const;
  [[nodiscard]] std::vector<EngineStats> stats_of_each() const;
  /// What all have in common; of the pages, those of the smallest pool.
  [[nodiscard]] const BackendInfo& info() const;
  /// The tree of each engine as it stands between two steps (see tree_text.h). Empty once the
  /// engine has ended.
  [[nodiscard]] std::vector<std::vector<radix_cache::NodeView>> trees();
  /// Waits until nothing runs, then checks the trees' invariants and the page equality.
  [[nodiscard]] Status check_idle();

 private:
  class Impl;
  explicit Engine(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace espalier::runtime
