// espalier batch: one program over many documents or rows, with an output that
// survives whatever stops the job.
#include <algorithm>
#include <filesystem>

#include "batch/inputs.h"
#include "batch/job.h"
#include "batch/journal.h"
#include "cli/command.h"
#include "cli/program_run.h"
#include "cli/progress.h"
#include "cli/row_arguments.h"
#include "cli/session.h"
#include "cli/stats.h"

namespace espalier::cli {
namespace {

class Batch final : public Command {
 public:
  void declare(CLI::App& app) override {
    program_.declare_program(app);
    app.add_option("--in", in_,
                   "Documents: a folder or a quoted pattern ('letters/**/*.txt'); "
                   "or rows: one .jsonl, .csv or .tsv file")
        ->required()
        ->type_name("WHERE");
    app.add_option("--out", out_, "The output: a JSON object a line, one for each input")
        ->required()
        ->type_name("OUT.jsonl");
    add_integer(app, "--parallel", parallel_, 1, 1024, "Rows in flight at once [8]");
    app.add_flag("--restart", restart_, "Throw away what stands in the output and begin anew");
    app.add_flag("--retry-failed", retry_failed_, "Run the rows again that have an error");
    program_.declare_run(app);
    stats_.declare(app);
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(auto opened, program_.open("batch", context));
    if (opened.code != kDone) return opened.code;
    const ProgramFile& file = opened.file;
    if (out_ == "-") {
      return usage_error(context, "batch",
                         "--out names a file, from which a stopped job goes on; '-' is none "
                         "(./- is a file of that name)");
    }
    ESP_ASSIGN(const auto inputs, batch::Inputs::open(in_, context.system));
    if (inputs.reads(out_))
      return usage_error(context, "batch", "--out '" + out_ + "' is one of the inputs");
    auto rows = RowArguments::create(*file.gen, std::move(opened.arguments), inputs.documents());
    if (!rows) return usage_error(context, "batch", rows.error().message);

    ESP_TRY(stats_.open(context));
    ESP_ASSIGN(const auto programs, program_.session(file, context));
    const Session& session = programs->session();
    batch::Journal::Options journal_options;
    journal_options.restart = restart_;
    journal_options.retry_failed = retry_failed_;
    ESP_ASSIGN(auto journal, batch::Journal::open(out_, identity(file, *rows, session),
                                                  journal_options, context.system));
    if (journal.rows() > 0)
      context.console.note("going on: " + std::to_string(journal.rows()) + " rows are done");
    if (journal.dropped_bytes() > 0) {
      context.console.note(std::to_string(journal.dropped_bytes()) +
                           " bytes of a torn row were dropped; it runs again");
    }
    const auto done = work(context, file, inputs, *rows, *programs, journal);
    note_dropped(programs->runner(), context);
    Status stats = stats_.write(session, context, programs->runner().dropped());
    if (!done) {
      if (!stats) context.console.error(stats.error().message);
      return fail(done.error().code, done.error().message + "\n" + std::to_string(journal.rows()) +
                                         " of " + std::to_string(inputs.size()) + " rows are in '" +
                                         out_ + "'; the same command goes on from there");
    }
    const batch::JobReport& report = *done;
    for (const std::string& field : rows->ignored()) {
      context.console.warn("'" + field + "' is no parameter of '" + file.gen->name +
                           "': that field was not used");
    }
    ESP_TRY(stats);
    if (report.cancelled) {
      context.console.error("stopped after " + std::to_string(report.kept + report.ran) + " of " +
                            std::to_string(report.total) +
                            " rows; the same command goes on from there");
      return context.interrupt.requested() ? context.interrupt.exit_code() : kFailed;
    }
    std::string summary = std::to_string(report.total) + (report.total == 1 ? " row" : " rows");
    if (report.kept > 0) summary += " (" + std::to_string(report.ran) + " of them now)";
    if (report.failed > 0) {
      context.console.error(std::to_string(report.failed) + " of " + summary +
                            " failed; their \"error\" in '" + out_ +
                            "' says why, --retry-failed runs them again");
      return kFailed;
    }
    context.console.note(summary + " in '" + out_ + "'");
    return kDone;
  }

 private:
  Json identity(const ProgramFile& file, const RowArguments& rows, const Session& session) const {
    Json model{{"file", std::filesystem::path(session.model().path()).filename().string()},
               {"bytes", session.model().file_bytes()}};
    // Another type of K and V gives other numbers, and so do other numerics. What is not said is
    // f16 and exact.
    const auto& kv_type = program_.model().kv_type;
    if (kv_type && *kv_type != runtime::kv_type_name(runtime::KvType::kF16)) {
      model["kv_type"] = *kv_type;
    }
    const auto& numerics = program_.model().numerics;
    if (numerics && *numerics != runtime::numerics_name(runtime::Numerics::kExact)) {
      model["numerics"] = *numerics;
    }
    // By what it says, wherever it lies.
    if (const std::string& calibration = session.calibration(); !calibration.empty()) {
      model["calibration"] = calibration;
    }
    return {{"program", file.contents()},
            {"generator", file.gen->name},
            {"arguments", rows.given()},
            {"model", std::move(model)},
            {"sampling", program_.settings().identity()}};
  }

  Result<batch::JobReport> work(Context& context, const ProgramFile& file,
                                const batch::Inputs& inputs, RowArguments& rows,
                                const ProgramSession& programs, batch::Journal& journal) const {
    const batch::RowFunction run_row = [&](const batch::Row& row) -> Result<Json> {
      ESP_ASSIGN(Json arguments, rows.of(row));
      auto outcome = programs.runner().run_now(file.program, file.gen->name, std::move(arguments),
                                               programs.options());
      if (!outcome) return fail(std::move(outcome).error().error);
      return dsl::to_json(*outcome);
    };
    ProgressLine progress(context.console, context.system);
    batch::JobOptions options;
    options.parallel = static_cast<unsigned>(parallel_.value_or(8));
    options.cancel_rows = [&] { programs.cancel(); };
    options.ends_job = [&](const Error&) {
      const auto engines = programs.session().engine().stats_of_each();
      return std::all_of(engines.begin(), engines.end(), [](const auto& it) { return it.lost; });
    };
    options.on_row = [&](const batch::JobProgress& so_far) {
      std::string figures = std::to_string(so_far.done) + "/" + std::to_string(so_far.total);
      if (so_far.failed > 0) figures += ", " + std::to_string(so_far.failed) + " failed";
      progress.show("rows", so_far.done, so_far.total, figures);
    };
    const Interrupt::Action stop(context.interrupt, [&] { programs.cancel(); });
    return batch::run_job(inputs, journal, run_row, options, context.interrupt.flag(),
                          context.system);
  }

  std::string in_, out_;
  ProgramOptions program_;
  std::optional<std::int64_t> parallel_;
  bool restart_ = false;
  bool retry_failed_ = false;
  StatsOption stats_;
};

}  // namespace

std::unique_ptr<Command> make_batch() { return std::make_unique<Batch>(); }

}  // namespace espalier::cli
