// A verb of the command line: what it is called, what it takes, what it does.
//
// Exit codes: 0 the work is done; 1 the work failed or found errors (one line
// on stderr says why); 2 the command line is wrong (unknown verb or flag, a
// missing or ill-typed value or program argument); 128 + signal when stopped.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/system.h"
#include "cli/console.h"
#include "cli/interrupt.h"

namespace espalier::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;

/// What a verb works with.
struct Context {
  Console& console;
  System& system;
  Interrupt& interrupt;
};

class Command {
 public:
  virtual ~Command() = default;
  /// Adds the verb's options to `app`; they write into this object.
  virtual void declare(CLI::App& app) = 0;
  /// Does the work: an exit code, or the error to print (exit 1; kCancelled
  /// after an interrupt: 128 + signal).
  [[nodiscard]] virtual Result<int> run(Context& context) = 0;
};

struct Verb {
  std::string_view name;
  std::string_view arguments;  // as the list of verbs shows them
  std::string_view summary;    // one line
  std::string_view details;    // the foot of its --help: examples, outputs
  std::unique_ptr<Command> (*make)();
};

/// All verbs, in the order of the help.
[[nodiscard]] std::span<const Verb> verbs();

/// Says what is wrong with the command line, and where to read more; gives
/// kUsage.
int usage_error(Context& context, std::string_view verb, std::string_view message);
/// The same for an error of reading what the command line names; being stopped is none of its own.
Result<int> usage_failure(Context& context, std::string_view verb, const Error& error);

// One for each verb, in the file of its name.
[[nodiscard]] std::unique_ptr<Command> make_run();
[[nodiscard]] std::unique_ptr<Command> make_test();
[[nodiscard]] std::unique_ptr<Command> make_fmt();
[[nodiscard]] std::unique_ptr<Command> make_lsp();
[[nodiscard]] std::unique_ptr<Command> make_render();
[[nodiscard]] std::unique_ptr<Command> make_stub();
[[nodiscard]] std::unique_ptr<Command> make_check();
[[nodiscard]] std::unique_ptr<Command> make_explain();
[[nodiscard]] std::unique_ptr<Command> make_eval();
[[nodiscard]] std::unique_ptr<Command> make_lock();
[[nodiscard]] std::unique_ptr<Command> make_batch();
[[nodiscard]] std::unique_ptr<Command> make_complete();
[[nodiscard]] std::unique_ptr<Command> make_grammar();
[[nodiscard]] std::unique_ptr<Command> make_tokenize();
[[nodiscard]] std::unique_ptr<Command> make_score();
[[nodiscard]] std::unique_ptr<Command> make_quality();
[[nodiscard]] std::unique_ptr<Command> make_calibrate();
[[nodiscard]] std::unique_ptr<Command> make_pull();
[[nodiscard]] std::unique_ptr<Command> make_list();
[[nodiscard]] std::unique_ptr<Command> make_show();
[[nodiscard]] std::unique_ptr<Command> make_mkmodel();
[[nodiscard]] std::unique_ptr<Command> make_replay();
[[nodiscard]] std::unique_ptr<Command> make_tree();
[[nodiscard]] std::unique_ptr<Command> make_bench();
[[nodiscard]] std::unique_ptr<Command> make_bench_sharing();

}  // namespace espalier::cli
