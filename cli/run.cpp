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
    add_text(
        app, "--trace", trace_, "PATH",
        "Write every turn, token, value and tool call, a JSON object a line; PATH.html: a page "
        "to look at, with the tree of prompts and what each token was drawn from");
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
    std::unique_ptr<TraceFile> file;
    std::unique_ptr<Trace> trace;
    if (trace_) {
      ESP_ASSIGN(file, TraceFile::open(*trace_, context.system));
      trace = std::make_unique<Trace>([&](Json event) { file->add(std::move(event)); },
                                      model_parts(session.model()), *opened.file.program,
                                      context.system, file->page());
      trace->write(run_event(opened, session));
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
    note_dropped(programs->runner(), context);
    Status files = stats_.write(session, context, programs->runner().dropped());
    if (trace != nullptr) {
      trace->write(outcome ? Json{{"event", "result"}, {"value", dsl::to_json(*outcome)}}
                           : Json{{"event", "error"}, {"message", outcome.error().error.message}});
      if (Status traced = file->finish(); files) files = std::move(traced);
    }
    if (!outcome) {
      if (!files) context.console.error(files.error().message);
      return run_failure(outcome.error(), context);
    }
    ESP_TRY(files);
    return kDone;
  }

 private:
  // What `replay` needs to do it again.
  [[nodiscard]] Json run_event(const ProgramOptions::Opened& opened, const Session& session) const {
    Json out{{"event", "run"},
             {"program", opened.file.path},
             {"gen", opened.file.gen->name},
             {"arguments", opened.arguments},
             {"model", program_.model().model},
             {"vocabulary", session.model().tokenizer()->vocabulary()->size()},
             {"sampling", program_.settings().identity()},
             {"contents", opened.file.contents()}};
    if (program_.model().kv_type) out["kv_type"] = *program_.model().kv_type;
    if (program_.model().numerics) out["numerics"] = *program_.model().numerics;
    if (program_.model().calibration) out["calibration"] = *program_.model().calibration;
    return out;
  }

  ProgramOptions program_;
  bool text_ = false;
  StatsOption stats_;
  std::optional<std::string> trace_;
};

}  // namespace

std::unique_ptr<Command> make_run() { return std::make_unique<Run>(); }

}  // namespace espalier::cli
