// The Engine: programs' branches on one side, one model's backend and radix cache on the other.
//
// A Branch is a path of token ids with the KV that belongs to it. Its verbs: append (extend), generate, score, fork,
// rollback; releasing it is its destructor. generate() and score() are awaited: they suspend the calling coroutine and
// resume it on its Executor; `Engine::wait` blocks a plain thread instead. A branch has at most one request
// outstanding, and nothing but cancel() may be called on it meanwhile.
//
// The engine thread owns cache, pool and scheduler; each step it batches decode rows, forced spans and prefill chunks
// of all branches. Every ending (finish, cancel, error, destruction) leaves through one function, which gives the
// branch's pages back to the tree. Between requests a branch is parked: it keeps ids and gives up its claim on pages,
// which stay in the tree while there is room and are computed again if they went (counted as recomputed).
//
// Laws (tests/runtime/engine): text at temperature 0, and at any temperature with a seed, is the same whatever else
// runs, in any arrival order, with the cache on or off, with 1 thread or many.
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
#include "runtime/backend.h"
#include "runtime/engine/task.h"
#include "runtime/sampling/sampling.h"

namespace espalier::runtime {

/// Counted as CONTRACTS 17 says: reused + computed == prompt; forced ids are generated and also forced.
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
  std::uint32_t pages_held = 0;  // by the tree: free + held == total
};

struct EngineOptions {
  std::uint32_t max_rows = 512;    // rows of one step, all branches together
  bool cache = true;               // off: no branch sees another's prefix
  bool poison = false;             // tests: freed pages become NaN
  bool check = false;              // tests: the tree's invariants after every step
};

/// A token as it appears, for streaming. Called on the engine thread: copy and return.
struct Progress {
  TokenId token = kNoToken;
  bool forced = false;
  const grammar::Matcher* matcher = nullptr;  // after the token; null without one
};

struct GenerateRequest {
  grammar::Matcher matcher;          // invalid: free text, which ends with an end token, a stop or max_tokens
  Sampling sampling;
  RandomKey key;                     // identifies the draw; the token's index is the counter
  std::uint32_t max_tokens = 256;    // budget of the value's tokens
  std::vector<TokenId> end_tokens;   // without a matcher: tokens that end the text (not part of it)
  bool ignore_end = false;           // without a matcher: end tokens are masked out
  std::uint32_t logprobs = 0;        // best tokens reported for each step
  std::vector<TokenId> force;        // without a matcher: feed these ids and report what the model thought of each
  std::vector<TokenId> then;         // ids known to follow: appended (as prompt) in the same step as the last token
  std::function<void(const Progress&)> on_token;
};

struct Generated {
  std::vector<TokenId> ids;          // what was appended, follow and end token included, `then` not
  grammar::Matcher matcher;          // its last state
  bool truncated = false;            // max_tokens cut a free text, or the budget closed the value early
  float logprob = 0.0F;              // sum over the sampled tokens of log p over the allowed set
  std::vector<std::vector<std::pair<TokenId, float>>> best;  // with logprobs: a list a step
};

/// Log-probabilities of continuations that share a trie of tokens, scored in one batched pass.
struct ScoreRequest {
  std::vector<std::vector<TokenId>> continuations;  // each at least one token
};
struct Scored {
  std::vector<std::vector<float>> logprobs;  // a value a token of each continuation, over the full vocabulary
};

class Engine;
class BranchState;  // shared between the program's side and the engine's

class Branch {
 public:
  Branch() = default;
  Branch(Branch&&) noexcept;
  Branch& operator=(Branch&&) noexcept;
  ~Branch();  // cancels what is outstanding and gives up its place

  [[nodiscard]] bool valid() const { return state_ != nullptr; }
  [[nodiscard]] const std::vector<TokenId>& ids() const;
  /// Appends prompt ids; they are computed with the next request (or by prefetch). Ids out of range: ESP_CHECK.
  void append(std::span<const TokenId> ids);
  /// A second branch at the same place; O(ids), shares every page. Its randomness is its requests' own.
  [[nodiscard]] Branch fork() const;
  /// Back to the first `length` ids.
  void rollback(std::size_t length);
  /// Nobody comes back to what only this branch holds: evict it first.
  void mark_dead();
  /// Stops the outstanding request; it ends with kCancelled by the next step. Safe from any thread.
  void cancel();

  template <class Request, class Answer>
  class Operation;
  using Generate = Operation<GenerateRequest, Generated>;
  using Score = Operation<ScoreRequest, Scored>;

  /// `Result<Generated> r = co_await branch.generate(executor, std::move(request));`
  /// Errors: kInvalid (budget below the matcher's distance, bad sampling, empty path), kLimit (the path and budget
  /// do not fit the context: both figures), kExhausted (can never fit the pool), kCancelled, kInternal.
  [[nodiscard]] Generate generate(Executor& executor, GenerateRequest request);
  [[nodiscard]] Score score(Executor& executor, ScoreRequest request);
  /// The same, blocking the calling thread.
  [[nodiscard]] Result<Generated> generate_now(GenerateRequest request);
  [[nodiscard]] Result<Scored> score_now(ScoreRequest request);

 private:
  friend class Engine;
  explicit Branch(std::shared_ptr<BranchState> state);
  std::shared_ptr<BranchState> state_;
};

class Engine {
 public:
  /// Starts the engine thread. `system` and `backend` are used by it alone from now on.
  [[nodiscard]] static Result<std::unique_ptr<Engine>> create(std::unique_ptr<Backend> backend, EngineOptions options,
                                                              System& system);
  ~Engine();  // cancels what runs, joins the thread; branches may outlive it and then only fail

  /// The empty path. `space` separates paths that must not share (0 for all ordinary ones).
  [[nodiscard]] Branch open(std::uint64_t space = 0);
  [[nodiscard]] Stats stats() const;
  [[nodiscard]] const BackendInfo& info() const;
  /// Waits until nothing runs, then checks the tree's invariants and the page equality.
  [[nodiscard]] Status check_idle();

 private:
  class Impl;
  explicit Engine(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace espalier::runtime
