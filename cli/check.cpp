// espalier check: what the language has to say about programs, without running
// them.
#include <memory>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/input_text.h"
#include "cli/options.h"
#include "cli/program_file.h"
#include "cli/program_run.h"
#include "cli/session.h"
#include "dsl/cost.h"
#include "dsl/mock_model.h"
#include "dsl/program.h"
#include "dsl/tool_permissions.h"

namespace espalier::cli {
namespace {

std::string counted(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

class Check final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("FILE", files_, "Programs (.gen)")->required()->type_name("");
    app.add_flag("--json", json_, "Print the diagnostics of all files as one JSON list");
    add_text(app, "--model", model_, "M",
             "Check that this model can write every hole: its vocabulary and budgets (its weights "
             "are not read)");
    app.add_flag(
        "--cost", cost_,
        "Print what each generator may cost at most, in its parameters (with --json: a list "
        "of objects in place of the diagnostics)");
  }

  Result<int> run(Context& context) override {
    Json all = Json::array();
    std::size_t errors = 0;
    std::size_t warnings = 0;
    bool unreadable = false;
    std::vector<std::string> reach;
    std::unique_ptr<dsl::MockModel> model;
    if (model_) {
      ModelOptions options;
      options.model = *model_;
      ESP_ASSIGN(const auto loaded, load_model(options, context));
      ESP_ASSIGN(model, dsl::MockModel::create(model_parts(*loaded), context.system));
    }
    for (const std::string& file : files_) {
      auto text = read_named(file, dsl::kMaxSource, context);
      if (!text) {
        if (text.error().code == ErrorCode::kCancelled) return fail(text.error());
        context.console.error(text.error().message);
        unreadable = true;
        continue;
      }
      dsl::Compiled compiled = dsl::compile(file, std::move(*text), reader(context.system));
      if (model != nullptr && compiled.program != nullptr) {
        // What both say is said in the model's tokens.
        dsl::Diagnostics said = model->runner().check(*compiled.program);
        for (dsl::Diagnostic& one : compiled.diagnostics.sorted()) said.add(std::move(one));
        compiled.diagnostics = std::move(said);
      }
      errors += compiled.diagnostics.errors();
      warnings += compiled.diagnostics.size() - compiled.diagnostics.errors();
      if (cost_ && compiled.program != nullptr) costs(*compiled.program, file, all, context);
      if (compiled.program != nullptr) {
        for (const dsl::ToolInfo& tool : compiled.program->tools) {
          if (dsl::needs_permission(tool))
            reach.push_back(file + ": the tool `" + tool.name + "` reaches " + dsl::reach_of(tool) +
                            " (closed without --allow " + tool.name + ")");
        }
      }
      if (json_ && !cost_) {
        for (Json& item : dsl::to_json(compiled.diagnostics, compiled.sources))
          all.push_back(std::move(item));
      } else if (compiled.diagnostics.size() > 0) {
        context.console.err() << printable(dsl::render(compiled.diagnostics, compiled.sources))
                              << '\n';
      }
    }
    if (!json_) {
      for (const std::string& line : reach) context.console.note(line);
    }
    if (json_) {
      context.console.print_json(all);
    } else if (errors + warnings > 0) {
      context.console.note(counted(errors, "error") + ", " + counted(warnings, "warning"));
    } else if (!unreadable) {
      context.console.note(files_.size() == 1 ? "no errors"
                                              : "no errors in " + counted(files_.size(), "file"));
    }
    return errors > 0 || unreadable ? kFailed : kDone;
  }

 private:
  void costs(const dsl::Program& program, const std::string& file, Json& all,
             Context& context) const {
    for (const dsl::GenInfo* gen : program.own_gens()) {
      const dsl::Cost cost = dsl::cost_of(program, *gen);
      const std::pair<const char*, const dsl::Bound*> bounds[] = {
          {"generated", &cost.generated}, {"holes", &cost.holes}, {"steps", &cost.steps},
          {"scored", &cost.scored},       {"calls", &cost.calls}, {"again", &cost.again},
      };
      if (json_) {
        Json one = {{"file", file}, {"generator", gen->name}};
        for (const auto& [name, bound] : bounds) one[name] = bound->text();
        all.push_back(std::move(one));
        continue;
      }
      const auto so_many = [](const dsl::Bound& bound, const std::string& noun) {
        return bound.text() + " " + noun + (bound.text() == "1" ? "" : "s");
      };
      const auto with = [](const dsl::Bound& bound, const std::string& what) {
        return bound.zero() ? std::string() : ", " + what;
      };
      context.console.print_text(
          gen->name + ": at most " + so_many(cost.generated, "token") + " in " +
          so_many(cost.holes, "hole") + " and " + so_many(cost.steps, "step") +
          with(cost.scored, so_many(cost.scored, "token") + " scored by select") +
          with(cost.calls, so_many(cost.calls, "tool call")) +
          with(cost.again, so_many(cost.again, "turn") + " computed again after a thought"));
    }
  }

  std::vector<std::string> files_;
  std::optional<std::string> model_;
  bool cost_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_check() { return std::make_unique<Check>(); }

}  // namespace espalier::cli
