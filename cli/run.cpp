// espalier run: one program, its result as JSON on stdout.
#include <ostream>

#include "cli/command.h"
#include "cli/live.h"
#include "cli/program_file.h"
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
    app.add_option("FILE[:GEN]", file_,
                   "The program, and which of its generators if it has several")
        ->required()
        ->type_name("");
    arguments_.declare(app);
    model_.declare(app, true);
    settings_.declare(app);
    app.add_flag("--text", text_, "Print a string result as text, without quotes");
    stats_.declare(app);
    add_text(app, "--trace", trace_, "PATH",
             "Write every turn, token, value and tool call, a JSON object a line");
  }

  Result<int> run(Context& context) override {
    if (const auto status = settings_.check(); !status)
      return usage_error(context, "run", status.error().message);
    ESP_ASSIGN(const auto opened, open_program(file_, "run", context));
    if (opened.code != kDone) return opened.code;
    const ProgramFile& file = opened.file;
    if (const auto allowed = settings_.check_allowed(file.program->tools); !allowed)
      return usage_error(context, "run", allowed.error().message);
    auto arguments = arguments_.read(file.gen->parameters, context);
    if (!arguments) return usage_failure(context, "run", arguments.error());
    // The runner checks them too; here it is before the model is loaded, and a
    // fault of the command line.
    if (const auto typed =
            dsl::arguments_from_json(*file.program, file.gen->parameters, *arguments);
        !typed) {
      return usage_error(context, "run", typed.error().message);
    }
    ESP_TRY(stats_.open(context));
    ESP_ASSIGN(const auto session, Session::open(model_, context));
    const auto tools = settings_.tools(file.directory());
    const auto runner = make_runner(*session);

    Observers observers;
    LiveView live(context.console);
    if (context.console.terminals().err) observers.add(&live);
    std::unique_ptr<Trace> trace;
    if (trace_) {
      ESP_ASSIGN(trace, Trace::open(*trace_, model_parts(session->model()), context.system));
      observers.add(trace.get());
    }
    dsl::RunOptions options;
    options.overrides = settings_.overrides();
    options.tools = tools.get();
    options.observer = observers.empty() ? nullptr : &observers;
    options.cancellation = std::make_shared<dsl::Cancellation>();
    options.tool_timeout = settings_.tool_timeout();
    const auto cancellation = options.cancellation;
    dsl::RunOutcome outcome;
    {
      const Interrupt::Action stop(context.interrupt, [&] { cancellation->cancel(); });
      outcome =
          runner->run_now(file.program, file.gen->name, std::move(*arguments), std::move(options));
    }
    live.finish();
    // The result first: whatever happens to the other files, it is not lost. What it cost is worth
    // knowing of a failed run too.
    if (outcome && text_ && outcome->kind() == dsl::ValueKind::kString) {
      context.console.print_text(outcome->as_string());
    } else if (outcome) {
      context.console.print_json(dsl::to_json(*outcome));
    }
    Status files = stats_.write(*session, context);
    if (trace != nullptr) {
      if (Status traced = trace->finish(); files) files = std::move(traced);
    }
    if (!outcome) {
      if (!files) context.console.error(files.error().message);
      return failure(outcome.error(), context);
    }
    ESP_TRY(files);
    return kDone;
  }

 private:
  static Result<int> failure(const dsl::RunError& error, Context& context) {
    if (error.error.code == ErrorCode::kCancelled) return fail(error.error);
    if (error.rendered.empty()) return fail(error.error);
    context.console.err() << printable(error.rendered) << std::flush;
    return kFailed;
  }

  std::string file_;
  ProgramArguments arguments_;
  ModelOptions model_;
  RunSettings settings_;
  bool text_ = false;
  StatsOption stats_;
  std::optional<std::string> trace_;
};

}  // namespace

std::unique_ptr<Command> make_run() { return std::make_unique<Run>(); }

}  // namespace espalier::cli
