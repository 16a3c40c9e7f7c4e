// espalier eval: how often a program is right, field by field, on rows whose answer is known.
#include <algorithm>
#include <atomic>
#include <thread>

#include "base/threads.h"
#include "batch/field_scores.h"
#include "batch/inputs.h"
#include "cli/command.h"
#include "cli/console.h"
#include "cli/interrupt.h"
#include "cli/program_run.h"
#include "cli/progress.h"
#include "cli/row_arguments.h"
#include "cli/session.h"
#include "cli/stats.h"
#include "dsl/convert.h"
#include "dsl/static_types.h"
#include "dsl/value.h"

namespace espalier::cli {
namespace {

std::string percent(const batch::FieldScores::Share& share) {
  if (share.total == 0) return "-";
  const std::size_t tenths = (1000 * share.right + share.total / 2) / share.total;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " %";
}

class Eval final : public Command {
 public:
  void declare(CLI::App& app) override {
    program_.declare_program(app);
    app.add_option("--rows", rows_,
                   "A file of rows (.jsonl, .csv): the arguments of a run, with its right value as "
                   "\"expected\"")
        ->required()
        ->type_name("GOLD");
    app.add_option("--expected", expected_, "The field that holds the right value [expected]")
        ->type_name("NAME");
    add_integer(app, "--parallel", parallel_, 1, 1024, "Rows in flight at once [8]");
    app.add_flag("--json", json_,
                 "Print {\"rows\", \"right\", \"fields\": {name: {\"right\", \"total\"}}, "
                 "\"misses\"}");
    program_.declare_run(app);
    stats_.declare(app);
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(auto opened, program_.open("eval", context));
    if (opened.code != kDone) return opened.code;
    const ProgramFile& file = opened.file;
    ESP_ASSIGN(const auto inputs, batch::Inputs::open(rows_, context.system));
    if (inputs.documents())
      return usage_error(context, "eval", "--rows takes one file of rows (.jsonl, .csv)");
    auto arguments = RowArguments::create(*file.gen, std::move(opened.arguments), false);
    if (!arguments) return usage_error(context, "eval", arguments.error().message);
    // What is wrong with the rows is known before a model is loaded.
    std::vector<batch::Row> rows;
    std::vector<Json> expected;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      auto read = inputs.read(i, context.system);
      if (!read) {
        return fail(
            std::move(read).error().within("row " + inputs.id(i).dump() + " of '" + rows_ + "'"));
      }
      batch::Row row = std::move(*read);
      const auto answer = row.fields.find(expected_);
      if (answer == row.fields.end()) {
        return usage_error(
            context, "eval",
            "row " + inputs.id(i).dump() + " of '" + rows_ + "' has no \"" + expected_ + "\"");
      }
      // A table's cell is read as an argument of the result's type would be.
      expected.push_back(row.of_table ? dsl::argument_from_text(
                                            file.gen->result, answer->get_ref<const std::string&>())
                                      : *answer);
      row.fields.erase(expected_);
      rows.push_back(std::move(row));
    }
    ESP_TRY(stats_.open(context));
    ESP_ASSIGN(const auto programs, program_.session(file, context));
    std::vector<Result<Json>> values = work(context, file, rows, *arguments, *programs);
    if (context.interrupt.requested()) {
      context.console.error("stopped");
      return context.interrupt.exit_code();
    }
    batch::FieldScores scores;
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i]) {
        scores.add(inputs.id(i), expected[i], asked(*file.gen, expected[i], std::move(*values[i])));
      } else {
        scores.add_failure(inputs.id(i), expected[i], values[i].error().message);
      }
    }
    for (const std::string& field : arguments->ignored())
      context.console.warn("'" + field + "' is no parameter of '" + file.gen->name +
                           "': that field was not used");
    print(scores, context);
    note_dropped(programs->runner(), context);
    ESP_TRY(stats_.write(programs->session(), context, programs->runner().dropped()));
    return kDone;
  }

 private:
  // Rows need not say every field: one that is never null or left out, and that the row leaves out,
  // is not asked for.
  static Json asked(const dsl::GenInfo& gen, const Json& expected, Json value) {
    const dsl::TypeRef type = dsl::resolve(gen.result);
    if (type == nullptr || type->kind != dsl::TypeKind::kRecord || !expected.is_object() ||
        !value.is_object())
      return value;
    for (const auto& field : type->fields) {
      const dsl::TypeRef of = dsl::resolve(field.type);
      const bool always = !field.omittable && of != nullptr &&
                          of->kind != dsl::TypeKind::kOptional &&
                          of->kind != dsl::TypeKind::kUnion && of->kind != dsl::TypeKind::kNull &&
                          of->kind != dsl::TypeKind::kJson;
      if (always && !expected.contains(field.key)) value.erase(field.key);
    }
    return value;
  }

  std::vector<Result<Json>> work(Context& context, const ProgramFile& file,
                                 const std::vector<batch::Row>& rows, RowArguments& arguments,
                                 const ProgramSession& programs) const {
    std::vector<Result<Json>> values(rows.size(), fail(ErrorCode::kCancelled, "not run"));
    ProgressLine progress(context.console, context.system);
    const Interrupt::Action stop(context.interrupt, [&] { programs.cancel(); });
    std::atomic<std::size_t> next = 0;
    std::atomic<std::size_t> done = 0;
    const auto worker = [&] {
      for (std::size_t i = next++; i < rows.size() && !programs.cancelled(); i = next++) {
        auto given = arguments.of(rows[i]);
        if (!given) {
          values[i] = fail(std::move(given).error());
        } else {
          auto outcome = programs.runner().run_now(file.program, file.gen->name, std::move(*given),
                                                   programs.options());
          if (outcome) {
            values[i] = dsl::to_json(*outcome);
          } else {
            values[i] = fail(std::move(outcome).error().error);
          }
        }
        ++done;
      }
    };
    std::vector<std::thread> threads;
    const auto parallel =
        std::min<std::size_t>(static_cast<std::size_t>(parallel_.value_or(8)), rows.size());
    start_threads(threads, parallel, worker);
    if (threads.empty()) worker();
    while (done < rows.size() && !programs.cancelled()) {
      progress.show("rows", done, rows.size(),
                    std::to_string(done) + "/" + std::to_string(rows.size()));
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    }
    for (std::thread& thread : threads) thread.join();
    return values;
  }

  void print(const batch::FieldScores& scores, Context& context) const {
    if (json_) {
      Json fields = Json::object();
      for (const auto& [field, share] : scores.fields())
        fields[field] = {{"right", share.right}, {"total", share.total}};
      Json misses = Json::array();
      for (const auto& miss : scores.misses()) {
        Json one = {{"id", miss.id},
                    {"path", miss.path},
                    {"expected", miss.expected},
                    {"actual", miss.actual}};
        if (!miss.why.empty()) one["error"] = miss.why;
        misses.push_back(std::move(one));
      }
      context.console.print_json({{"rows", scores.rows().total},
                                  {"right", scores.rows().right},
                                  {"fields", std::move(fields)},
                                  {"misses", std::move(misses)}});
      return;
    }
    std::size_t width = 4;
    for (const auto& [field, share] : scores.fields()) width = std::max(width, field.size());
    const auto line = [&](std::string name, const batch::FieldScores::Share& share) {
      name.resize(std::max(width, name.size()), ' ');
      context.console.print_text(name + "  " + percent(share) + "  " + std::to_string(share.right) +
                                 "/" + std::to_string(share.total));
    };
    for (const auto& [field, share] : scores.fields()) line(field.empty() ? "value" : field, share);
    line("rows", scores.rows());
    for (const auto& miss : scores.misses()) {
      context.console.print_text(
          "row " + miss.id.dump() + (miss.path.empty() ? "" : " " + miss.path) + ": expected " +
          miss.expected.dump() +
          (miss.why.empty() ? ", got " + miss.actual.dump() : "; " + miss.why));
    }
  }

  std::string rows_;
  std::string expected_ = "expected";
  ProgramOptions program_;
  std::optional<std::int64_t> parallel_;
  bool json_ = false;
  StatsOption stats_;
};

}  // namespace

std::unique_ptr<Command> make_eval() { return std::make_unique<Eval>(); }

}  // namespace espalier::cli
