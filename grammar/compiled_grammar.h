// The Grammar that compile() gives: a Program and, behind one lock, the automaton that grows with
// use.
//
// When the automaton has passed its byte budget it is dropped whole and begun anew ("generation");
// matchers notice and replay their tokens. A single call may pass the budget; the next one starts
// over. Where one open text needs more than the budget, the automaton may hold twice what replaying
// that text made, so that it is not replayed at every call. It is dropped, too, where the automata
// of all grammars hold too much together (automaton_cache.h). Between a mask near the end of a
// hole's budget and the token that is taken by it, it may hold twice as much before it is dropped:
// the distances that the mask promised are its own.
//
// A long text's replay takes a tenth of a second, so it does not wait for that: where the automaton
// has come near its budget the next one, the *successor*, is begun beside it, and each token that a
// matcher takes replays a few of that matcher's earlier ones there. A matcher that has caught up
// takes its tokens in both. So two are held for a while, the second with states alone.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/automaton_cache.h"
#include "grammar/longest_text.h"
#include "grammar/matcher.h"

namespace espalier::grammar {

class CompiledGrammar final : public Grammar, public std::enable_shared_from_this<CompiledGrammar> {
 public:
  CompiledGrammar(ProgramRef program, const Limits& limits);
  ~CompiledGrammar() override;
  CompiledGrammar(const CompiledGrammar&) = delete;
  CompiledGrammar& operator=(const CompiledGrammar&) = delete;

  [[nodiscard]] Matcher start(std::string_view prefix) const override;
  [[nodiscard]] std::uint32_t least_tokens() const override;
  [[nodiscard]] std::optional<std::uint64_t> longest_text() const override { return longest_text_; }
  [[nodiscard]] bool prefix_free() const override { return program_->prefix_free(); }
  [[nodiscard]] const VocabularyRef& vocabulary() const override { return program_->vocabulary(); }
  [[nodiscard]] GrammarSize size() const override;
  [[nodiscard]] const Program& program() const { return *program_; }

  /// One call: holds the grammar's lock, and at its end says what the automaton has grown to.
  class Call {
   public:
    explicit Call(const CompiledGrammar& grammar)
        : grammar_(grammar), lock_(grammar.mutex_), automaton_(grammar.automaton()) {}
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;
    [[nodiscard]] Automaton& automaton() const { return automaton_; }
    /// The state of `at` in the automaton.
    [[nodiscard]] StateId resolve(const MatcherState& at) const {
      return grammar_.resolve(at, automaton_);
    }

   private:
    const CompiledGrammar& grammar_;
    std::unique_lock<std::mutex> lock_;
    Automaton& automaton_;
  };
  /// Inside a call.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }
  /// The same. `to` is `from` and a token on: it goes on in the successor, where there is to be
  /// one.
  void follow(const MatcherState& from, const MatcherState& to) const;
  /// The same. While somebody has it the automaton stays, if it holds at most twice its budget.
  struct Lease {};
  [[nodiscard]] std::shared_ptr<const Lease> lease() const { return lease_; }

  // For the cache.
  /// What it was told last of the automaton here.
  [[nodiscard]] std::size_t cached() const { return cached_.load(std::memory_order_relaxed); }
  /// The cache's clock at the last call.
  [[nodiscard]] std::uint64_t used() const { return used_.load(std::memory_order_relaxed); }
  /// It and its successor; none where there are none, or a call is under way.
  [[nodiscard]] std::vector<std::unique_ptr<Automaton>> give_up_automata() const;

  /// Of any call, the most tokens that it replayed.
  [[nodiscard]] std::size_t longest_replay() const { return longest_replay_; }

 private:
  Automaton& automaton() const;
  StateId resolve(const MatcherState& at, Automaton& automaton) const;
  StateId replay(const MatcherState& next, StateId state, Automaton& automaton) const;
  void begin_anew() const;
  [[nodiscard]] std::size_t budget() const {
    return std::max(state_bytes_,
                    static_cast<std::size_t>(2 * rate_ * static_cast<double>(replayed_)));
  }
  [[nodiscard]] bool leased() const { return lease_.use_count() > 1; }
  std::size_t count() const;
  void tell_cache(std::size_t now) const;

  ProgramRef program_;
  std::optional<std::uint64_t> longest_text_;
  std::size_t state_bytes_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<Automaton> automaton_;
  mutable std::unique_ptr<Automaton> successor_;
  // Which of all automata that were made these two are.
  mutable std::uint64_t generation_ = 0, next_generation_ = 0;
  mutable std::shared_ptr<const Lease> lease_;
  mutable std::string start_closing_;  // of which least_tokens() told
  // Bytes that the largest replay into this automaton made, and tokens of that into any.
  mutable std::size_t replayed_ = 0, longest_replay_ = 0;
  mutable double rate_ =
      1;  // what an automaton holds of what it says itself, when it was counted last
  // What the automaton held when it was counted last, what it said itself then, and calls since.
  mutable std::size_t counted_ = 0, bytes_when_counted_ = 0, calls_ = 0;
  mutable std::size_t held_ = 0;  // by the automaton alone, at the end of the last call
  mutable std::atomic<std::size_t> cached_ = 0;
  mutable std::atomic<std::uint64_t> used_ = 0;
};

/// compile() for an expression that is built already: what types, schemas and tests share.
Result<std::shared_ptr<const CompiledGrammar>> compile_expression(
    VocabularyRef vocabulary, std::shared_ptr<const ExpressionPool> pool, Expr root,
    std::string_view follow, const Limits& limits, Fuel& fuel);

}  // namespace espalier::grammar
