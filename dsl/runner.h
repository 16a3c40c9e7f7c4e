// Runner: programs on an engine.
//
// One Runner serves any number of programs and runs at once on its executor; it owns the tool
// threads and the compiled grammars (kept by type and follow). run() is a coroutine for those who
// have an executor's coroutine to await it in; run_now() blocks a plain thread. A run holds its
// Program; the Runner must outlive its runs, the engine the Runner. Errors of a run carry their
// place in the program and are rendered like the checker's diagnostics.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "dsl/context.h"
#include "dsl/diagnostic.h"
#include "dsl/failure.h"
#include "dsl/mocks.h"
#include "dsl/observer.h"
#include "dsl/program.h"
#include "dsl/tool_calls.h"
#include "dsl/tools.h"
#include "dsl/value.h"
#include "grammar/matcher.h"
#include "grammar/span_source.h"
#include "runtime/engine/engine.h"
#include "runtime/engine/task.h"

namespace espalier::dsl {

/// Ends a run from outside: its holes, its waiting tools, and what it would do next. Thread-safe;
/// not for use in a signal's handler (set RunOptions::interrupted there).
class Cancellation {
 public:
  void cancel();
  [[nodiscard]] const std::atomic<bool>& flag() const { return flag_; }

  /// Holds a branch's outstanding request under this cancellation.
  class Guard {
   public:
    Guard(Cancellation& owner, runtime::Branch& branch);
    ~Guard();
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Cancellation& owner_;
    runtime::Branch& branch_;
  };

 private:
  std::atomic<bool> flag_ = false;
  std::mutex mutex_;
  std::set<runtime::Branch*> waiting_;
};

struct RunOptions {
  Config overrides;  // what the command line said: above the program's `config`, below a hole's own
  ToolHost* tools = nullptr;  // null: every tool call fails
  Observer* observer = nullptr;
  std::shared_ptr<Cancellation> cancellation;  // optional
  Mocks* mocks = nullptr;  // of a test: values that holes and tools have by name
  const std::atomic<bool>* interrupted =
      nullptr;  // run_now() only: watched, may be set by a signal's handler
  std::chrono::milliseconds tool_timeout{30'000};
};

struct RunError {
  Error error;           // the message is one line and begins with "file:line:column: "
  std::string rendered;  // the form of the checker's diagnostics, several lines
};
/// A failure with its place in the program.
[[nodiscard]] RunError located(const Program& program, Failure failure);
using RunOutcome = tl::expected<Value, RunError>;

struct RunnerOptions {
  unsigned threads = 2;
  unsigned tool_threads = 16;
  grammar::Limits limits;
};

class Runner {
 public:
  Runner(runtime::Engine& engine, std::shared_ptr<const runtime::Tokenizer> tokenizer,
         std::shared_ptr<const runtime::ChatTemplate> chat, RunnerOptions options = {});

  /// Runs the generator `gen` ("": `main`, or the only one) with `arguments`, an object by
  /// parameter.
  [[nodiscard]] runtime::Task<RunOutcome> run(ProgramRef program, std::string gen, Json arguments,
                                              RunOptions options);
  [[nodiscard]] RunOutcome run_now(ProgramRef program, std::string gen, Json arguments,
                                   RunOptions options);

  /// What of a program this model cannot do, as a run would say it before its first token: holes
  /// that its vocabulary cannot spell (E0305), budgets below a hole's shortest value; and W0603 in
  /// its tokens. No model runs.
  [[nodiscard]] Diagnostics check(const Program& program);

  /// Runs one of the program's `test` blocks, holes and tools having their mocks' values; with
  /// `model` the other holes are the model's. Blocks. E0705: an expectation that does not hold.
  [[nodiscard]] tl::expected<void, RunError> run_test(const ProgramRef& program,
                                                      const TestDecl& test, bool model,
                                                      RunOptions options);

  [[nodiscard]] runtime::Executor& executor() { return executor_; }
  [[nodiscard]] runtime::Engine& engine() { return engine_; }
  [[nodiscard]] const ModelParts& model() const { return model_; }
  [[nodiscard]] ToolThreads& tool_threads() { return tool_threads_; }
  /// Turns dropped from prompts that had outgrown the context, by all runs so far.
  struct Dropped {
    std::uint64_t holes = 0;  // before so many
    std::uint64_t turns = 0;
    std::uint64_t tokens = 0;
  };
  [[nodiscard]] Dropped dropped();
  void count(std::span<const DroppedTurn> turns);
  /// The model's parts for `gen`'s own context: with the tools declared that its holes can call.
  /// Made once a set of tools; kMaxDeclared are kept.
  [[nodiscard]] std::shared_ptr<const ModelParts> model_for(const Program& program,
                                                            const GenInfo& gen);
  static constexpr std::size_t kMaxDeclared = 256;

  /// Compiled once for a type object, its follow and the source that its spans copy from;
  /// kMaxGrammars are kept, of those with a source kMaxSources, the oldest goes first.
  [[nodiscard]] Result<grammar::GrammarRef> grammar(const grammar::TypeRef& type,
                                                    std::string_view follow,
                                                    const grammar::SpanSourceRef& source = nullptr,
                                                    CallsForm calls = CallsForm::kTemplate);
  static constexpr std::size_t kMaxGrammars = 4096;
  /// `text` ready for spans; kMaxSources are kept, so that forks and retries share one.
  [[nodiscard]] Result<grammar::SpanSourceRef> source(const std::string& text);
  static constexpr std::size_t kMaxSources = 32;

 private:
  // The type is kept alive with its grammar, so that an address in the key stays its own.
  using GrammarKey = std::tuple<grammar::TypeRef, std::string, grammar::SpanSourceRef, bool>;

  runtime::Engine& engine_;
  ModelParts model_;
  RunnerOptions options_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const ModelParts>> declared_;  // by the definitions' text
  std::map<GrammarKey, grammar::GrammarRef> grammars_;
  std::deque<GrammarKey> order_;
  std::deque<GrammarKey> sourced_;  // the order of those with a source
  std::deque<std::pair<std::string, grammar::SpanSourceRef>> sources_;
  Dropped dropped_;
  ToolThreads tool_threads_;
  runtime::Executor executor_;  // last: its threads end before what they use
};

/// The generator that `gen` names ("": `main`, or the only one). kNotFound listing what there is.
[[nodiscard]] Result<const GenInfo*> find_gen(const Program& program, std::string_view gen);

}  // namespace espalier::dsl
