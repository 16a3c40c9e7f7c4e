// espalier render: the prompt as the model would see it, without a run of the model, and what it
// takes in tokens.
#include <algorithm>

#include "cli/command.h"
#include "cli/program_file.h"
#include "cli/program_run.h"
#include "cli/session.h"
#include "dsl/convert.h"
#include "dsl/render.h"

namespace espalier::cli {
namespace {

class Render final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("FILE[:GEN]", file_,
                   "The program, and which of its generators if it has several")
        ->required()
        ->type_name("");
    arguments_.declare(app);
    app.add_flag("--json", json_,
                 "Print {\"prompt\", \"tokens\", \"until\", \"shared\", \"context\", \"turns\"}");
    model_.declare(app, false);
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(const auto opened, open_program(file_, "render", context));
    if (opened.code != kDone) return opened.code;
    const ProgramFile& file = opened.file;
    const auto arguments = arguments_.read(file.gen->parameters, context);
    if (!arguments) return usage_failure(context, "render", arguments.error());
    if (const auto typed =
            dsl::arguments_from_json(*file.program, file.gen->parameters, *arguments);
        !typed) {
      return usage_error(context, "render", typed.error().message);
    }
    ESP_ASSIGN(const auto model, load_model(model_, context));
    const dsl::ModelParts parts = model_parts(*model);
    ESP_ASSIGN(const dsl::RenderedPrompt prompt,
               dsl::render_prompt(parts, *file.program, file.gen->name, *arguments));
    if (json_) {
      context.console.print_json(to_json(prompt, parts.context));
      return kDone;
    }
    context.console.print_text(prompt.text);
    for (const std::string& line : table(prompt)) context.console.note(line);
    context.console.note(summary(prompt, parts.context));
    return kDone;
  }

 private:
  static Json to_json(const dsl::RenderedPrompt& prompt, std::uint32_t positions) {
    Json turns = Json::array();
    for (const dsl::RenderedTurn& turn : prompt.turns) {
      Json holes = Json::array();
      for (const dsl::RenderedHole& hole : turn.holes) {
        Json one = {{"name", hole.name}, {"type", hole.type}};
        if (!hole.most.empty()) one["at_most"] = hole.most;
        holes.push_back(std::move(one));
      }
      turns.push_back({{"role", turn.role},
                       {"branch", turn.branch},
                       {"tokens", turn.tokens},
                       {"whole", turn.whole},
                       {"holes", std::move(holes)}});
    }
    return {{"prompt", prompt.text},   {"tokens", prompt.tokens}, {"until", prompt.until},
            {"shared", prompt.shared}, {"context", positions},    {"turns", std::move(turns)}};
  }

  // A line a turn: its role, its tokens, its holes.
  static std::vector<std::string> table(const dsl::RenderedPrompt& prompt) {
    std::size_t width = std::string_view("turn").size();
    const auto named = [](const dsl::RenderedTurn& turn) {
      return (turn.role.empty() ? std::string("-") : turn.role) +
             (turn.branch.empty() ? "" : " in " + turn.branch);
    };
    for (const dsl::RenderedTurn& turn : prompt.turns) width = std::max(width, named(turn).size());
    const auto line = [&](const std::string& name, const std::string& tokens,
                          const std::string& holes) {
      std::string out = name + std::string(width - name.size() + 2, ' ');
      out += std::string(tokens.size() < 8 ? 8 - tokens.size() : 0, ' ') + tokens;
      return holes.empty() ? out : out + "  " + holes;
    };
    std::vector<std::string> lines = {line("turn", "tokens", "holes")};
    for (const dsl::RenderedTurn& turn : prompt.turns) {
      std::string holes;
      for (const dsl::RenderedHole& hole : turn.holes) {
        holes += (holes.empty() ? "" : "; ") + hole.name + ": " + hole.type +
                 (hole.most.empty() ? "" : " (at most " + hole.most + ")");
      }
      lines.push_back(
          line(named(turn), std::to_string(turn.tokens) + (turn.whole ? "" : "+"), holes));
    }
    return lines;
  }

  static std::string summary(const dsl::RenderedPrompt& prompt, std::uint32_t positions) {
    std::string out = std::to_string(prompt.tokens) + (prompt.tokens == 1 ? " token" : " tokens") +
                      (prompt.until.empty() ? "" : " before `" + prompt.until + "`");
    if (prompt.tokens > positions)
      out += ", which do not fit the model's context of " + std::to_string(positions);
    out += "; ";
    if (prompt.shared == prompt.tokens) return out + "every run begins with all of them";
    return out + "every run begins with the first " + std::to_string(prompt.shared) +
           ", whatever its arguments, and shares them";
  }

  std::string file_;
  ProgramArguments arguments_;
  ModelOptions model_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_render() { return std::make_unique<Render>(); }

}  // namespace espalier::cli
