// The Grammar that compile() gives: a Program and, behind one lock, the automaton that grows with
// use.
//
// When the automaton has passed its byte budget it is dropped whole and begun anew ("generation");
// matchers notice and replay their tokens. A single call may pass the budget; the next one starts
// over. Where one open text needs more than the budget, the automaton may hold twice what replaying
// that text made, so that it is not replayed at every call.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "grammar/automaton.h"
#include "grammar/longest_text.h"
#include "grammar/matcher.h"

namespace espalier::grammar {

class CompiledGrammar final : public Grammar, public std::enable_shared_from_this<CompiledGrammar> {
 public:
  CompiledGrammar(ProgramRef program, const Limits& limits)
      : program_(std::move(program)),
        longest_text_(grammar::longest_text(program_->pool(), program_->root())),
        state_bytes_(limits.state_bytes) {}

  [[nodiscard]] Matcher start(std::string_view prefix) const override;
  [[nodiscard]] std::uint32_t least_tokens() const override;
  [[nodiscard]] std::optional<std::uint64_t> longest_text() const override { return longest_text_; }
  [[nodiscard]] bool prefix_free() const override { return program_->prefix_free(); }
  [[nodiscard]] const VocabularyRef& vocabulary() const override { return program_->vocabulary(); }
  [[nodiscard]] GrammarSize size() const override;
  [[nodiscard]] const Program& program() const { return *program_; }

  // For matchers, which hold the lock around these.
  [[nodiscard]] std::mutex& mutex() const { return mutex_; }
  Automaton& automaton() const;
  StateId resolve(const MatcherState& at, Automaton& automaton) const;
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

 private:
  ProgramRef program_;
  std::optional<std::uint64_t> longest_text_;
  std::size_t state_bytes_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<Automaton> automaton_;
  mutable std::uint64_t generation_ = 0;
  mutable std::size_t replayed_ = 0;  // bytes that the largest replay into this automaton made
};

/// compile() for an expression that is built already: what types, schemas and tests share.
Result<std::shared_ptr<const CompiledGrammar>> compile_expression(
    VocabularyRef vocabulary, std::shared_ptr<const ExpressionPool> pool, Expr root,
    std::string_view follow, const Limits& limits, Fuel& fuel);

}  // namespace espalier::grammar
