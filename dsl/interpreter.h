// Interpreter: one run of one program, as a tree of coroutines.
//
// Each running branch has a Frame: its Context (a path of the prefix tree), its variables, and the
// place that identifies its random draws: seed, generator, loops' indices, fork's index, try. Draws
// depend on nothing else, so text never depends on scheduling. Calls of generators open a new root,
// `splice` writes into the caller's context, `fork` runs its branches together on children of it.
//
// Statements give a Flow or a Failure. Limits: kMaxSteps statements, kMaxBranches branches of one
// run, kMaxCalls calls within each other; the model's context bounds text.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "dsl/context.h"
#include "dsl/evaluate.h"
#include "dsl/failure.h"
#include "dsl/program.h"
#include "dsl/runner.h"
#include "dsl/scope.h"
#include "runtime/engine/task.h"

namespace espalier::dsl {

struct Flow {
  enum class Kind : std::uint8_t { kNext, kBreak, kReturn, kYield };
  Kind kind = Kind::kNext;
  Value value;  // of kReturn and kYield
};

class Interpreter {
 public:
  static constexpr std::uint64_t kMaxBranches = dsl::kMaxBranches;
  static constexpr std::uint32_t kMaxCalls = 100;
  /// A branch goes to the end of the executor's queue after so many statements: others run, and
  /// where the compiler makes no tail calls (sanitizers, -O0) a long chain of awaits that never
  /// waited gives its stack back.
  static constexpr std::uint32_t kRestEvery = 16;

  Interpreter(Runner& runner, const Program& program, const RunOptions& options,
              Cancellation& cancellation);

  /// Compiles every hole that `gen` can reach and checks its budget: what this model cannot write
  /// is refused before the run. A failure a hole at most.
  std::vector<Failure> check(const GenInfo& gen);
  runtime::Task<Outcome<Value>> run(const GenInfo& gen, std::vector<Value> arguments);
  /// Runs a `test` block; what it mocks is added to `mocks`, which RunOptions::mocks points to.
  runtime::Task<Outcome<void>> test(const TestDecl& test, Mocks& mocks);

 private:
  struct Frame {
    Context* context = nullptr;
    Scope scope;
    RandomKey place;
    std::string path;  // "step[2]." before the names of holes
    BranchNumber branch = 0;
    std::uint32_t depth = 0;
    const GenInfo* gen = nullptr;
    std::set<HoleId> last;     // of a fork's branch: nothing is asked of its context after them
    std::uint32_t awaits = 0;  // statements and loops' turns since it began
  };
  using FlowTask = runtime::Task<Outcome<Flow>>;
  using ValueTask = runtime::Task<Outcome<Value>>;
  using DoneTask = runtime::Task<Outcome<void>>;

  // Statements (interpreter.cpp).
  FlowTask block(Frame& frame, const Block& block);
  FlowTask statement(Frame& frame, const Stmt& stmt);
  FlowTask role(Frame& frame, const RoleStmt& stmt, const Span& span);
  FlowTask branch(Frame& frame, const IfStmt& stmt);
  FlowTask loop(Frame& frame, const ForStmt& stmt);
  FlowTask match(Frame& frame, const MatchStmt& stmt, const Span& span);
  FlowTask retry(Frame& frame, const RetryStmt& stmt, const Span& span);
  DoneTask require(Frame& frame, const RequireStmt& stmt, const Span& span);
  DoneTask splice(Frame& frame, const SpliceStmt& stmt, const Span& span);

  // Text and holes (interpreter_text.cpp).
  struct HoleSettings {
    runtime::Sampling sampling;
    std::uint32_t max = 256;
    grammar::SpanSourceRef source;  // what `from` says
  };
  DoneTask text(Frame& frame, const Text& text);
  DoneTask prepare_options(Frame& frame, const Hole& hole, Ready& ready);
  DoneTask hole(Frame& frame, const Hole& hole, std::string_view follow);
  ValueTask generate(Frame& frame, const Hole& hole, std::string_view follow,
                     const HoleSettings& settings, const std::string& path);
  ValueTask select(Frame& frame, const Hole& hole, std::string_view follow,
                   const HoleSettings& settings, const std::string& path);
  runtime::Task<Outcome<std::vector<double>>> score(Frame& frame, runtime::Branch& branch,
                                                    std::vector<std::vector<TokenId>> continuations,
                                                    const Span& span, bool mean);
  ValueTask think(Frame& frame, const Hole& hole, const HoleSettings& settings,
                  const std::string& path);
  Outcome<Value> mocked(Frame& frame, const Hole& hole, std::string_view follow, const Json& given,
                        const grammar::SpanSource* source);
  Outcome<HoleSettings> settings(const Hole& hole, const Scope& scope, const Ready& ready);
  /// The path ready for a hole that needs room for as many tokens as `needed` says of what healing
  /// took back; turns are dropped where they must be and may.
  Outcome<Context::Healed> heal(Frame& frame, const Hole& hole, const std::string& path,
                                const std::function<std::size_t(const Context::Healed&)>& needed);
  Outcome<void> check(const Hole& hole, std::string_view follow);
  static Outcome<void> budget(const Hole& hole, const grammar::Grammar& grammar, std::uint32_t max);
  void write(Frame& frame, std::string_view bytes, bool constant = false);
  /// A new context of a program's own, with the rule of its `config`.
  [[nodiscard]] Context new_context(const GenInfo& gen);
  /// A new root on the run's terms.
  [[nodiscard]] runtime::Branch open();
  [[nodiscard]] tl::unexpected<Failure> too_late(const Span& span) const;
  /// What the engine answered a hole's request with.
  [[nodiscard]] tl::unexpected<Failure> model_failure(const Span& span, Error error) const;
  /// Writes a value's calls as a hole of them would have it.
  Outcome<void> write_calls(Frame& frame, const Value& value, const Span& span);
  using Calls = std::vector<runtime::ToolCall>;
  [[nodiscard]] Calls calls_written(const Value& value, const Json& written) const;
  /// `tool "${run calls}"`: a turn for each result.
  FlowTask results(Frame& frame, const Insert& insert, const Span& span);

  // What expressions wait for (interpreter_wait.cpp).
  ValueTask value(Frame& frame, const Expr& expr);
  DoneTask prepare(Frame& frame, const Expr& expr, Ready& ready);
  ValueTask run_calls(Frame& frame, Value calls, Span span, bool failures_as_text);
  ValueTask run_call(Frame& frame, Value call, Span span);
  ValueTask call(Frame& frame, const Expr& expr, const GenInfo& gen, std::vector<Value> arguments);
  ValueTask fork(Frame& frame, const ForkExpr& fork, const Expr& expr, const Ready& ready);
  ValueTask fork_branch(Frame& frame, const Block& body, Context context);
  Outcome<std::vector<Value>> arguments(Frame& frame, const Expr& expr, const GenInfo& gen,
                                        const Ready& ready);

  // Tests (interpreter_expect.cpp).
  DoneTask expect(Frame& frame, const Expectation& expectation);

  [[nodiscard]] const ModelParts& model_for(const GenInfo& gen);
  Outcome<void> tick(const Span& span);
  Outcome<BranchNumber> new_branch(const Frame& parent, std::string_view what, const Span& span);
  void bind(Frame& frame, const Identifier& name, Value value) {
    frame.scope.bind(name.text, std::move(value));
  }

  Runner& runner_;
  const Program& program_;
  const RunOptions& options_;
  Cancellation& cancellation_;
  Observer& observer_;
  runtime::Terms
      terms_;  // the program's `config` says them; the deadline counts from the run's start
  std::atomic<std::uint64_t> steps_ = 0;
  std::atomic<std::uint64_t> branches_ = 0;
  std::mutex models_mutex_;
  std::map<const GenInfo*, std::shared_ptr<const ModelParts>> models_;
};

}  // namespace espalier::dsl
