// espalier run: one program, its result as JSON on stdout.
#include "cli/command.h"
#include "cli/live.h"
#include "cli/program_run.h"
#include "cli/session.h"
#include "cli/stats.h"
#include "cli/trace.h"
#include "dsl/convert.h"

namespace espalier::cli {
namespace {

class Run final : public Command {
 public:
  void declare(CLI::App& app) override {
    program_.declare_program(app);
    program_.declare_run(app);
    app.add_flag("--text", text_, "Print a string result as text, without quotes");
    stats_.declare(app);
    add_text(app, "--trace", trace_, "PATH",
             "Write every turn, token, value and tool call, a JSON object a line");
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(auto opened, program_.open("run", context));
    if (opened.code != kDone) return opened.code;
    if (const auto typed = ProgramOptions::check_complete(opened); !typed)
      return usage_error(context, "run", typed.error().message);
    ESP_TRY(stats_.open(context));
    ESP_ASSIGN(const auto programs, program_.session(opened.file, context));
    const Session& session = programs->session();

    Observers observers;
    LiveView live(context.console);
    if (context.console.terminals().err) observers.add(&live);
    std::unique_ptr<Trace> trace;
    if (trace_) {
      ESP_ASSIGN(trace, Trace::open(*trace_, model_parts(session.model()), context.system));
      observers.add(trace.get());
    }
    dsl::RunOptions options = programs->options();
    options.observer = observers.empty() ? nullptr : &observers;
    const dsl::RunOutcome outcome =
        programs->run(opened.file, std::move(opened.arguments), std::move(options), context);
    live.finish();
    // The result first: whatever happens to the other files, it is not lost. What it cost is worth
    // knowing of a failed run too.
    if (outcome && text_ && outcome->kind() == dsl::ValueKind::kString) {
      context.console.print_text(outcome->as_string());
    } else if (outcome) {
      context.console.print_json(dsl::to_json(*outcome));
    }
    Status files = stats_.write(session, context);
    if (trace != nullptr) {
      if (Status traced = trace->finish(); files) files = std::move(traced);
    }
    if (!outcome) {
      if (!files) context.console.error(files.error().message);
      return run_failure(outcome.error(), context);
    }
    ESP_TRY(files);
    return kDone;
  }

 private:
  ProgramOptions program_;
  bool text_ = false;
  StatsOption stats_;
  std::optional<std::string> trace_;
};

}  // namespace

std::unique_ptr<Command> make_run() { return std::make_unique<Run>(); }

}  // namespace espalier::cli
