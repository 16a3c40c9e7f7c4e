// espalier tree: runs a program and shows which prompts the engine then holds, as a tree.
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/program_run.h"
#include "cli/session.h"
#include "dsl/convert.h"
#include "runtime/engine/tree_text.h"

namespace espalier::cli {
namespace {

class Tree final : public Command {
 public:
  void declare(CLI::App& app) override {
    program_.declare_program(app);
    program_.declare_run(app);
    app.add_flag("--json", json_, "Print {\"nodes\": […], \"value\": …} on one line");
  }

  Result<int> run(Context& context) override {
    ESP_ASSIGN(auto opened, program_.open("tree", context));
    if (opened.code != kDone) return opened.code;
    if (const auto typed = ProgramOptions::check_complete(opened); !typed)
      return usage_error(context, "tree", typed.error().message);
    ESP_ASSIGN(const auto programs, program_.session(opened.file, context));
    const Session& session = programs->session();
    const auto outcome =
        programs->run(opened.file, std::move(opened.arguments), programs->options(), context);
    if (!outcome) return run_failure(outcome.error(), context);
    const auto trees = session.engine().trees();
    const runtime::Stats stats = session.engine().stats();
    const bool beside = stats.host_pages_total > 0;
    if (json_) {
      Json object{{"nodes", Json::parse(runtime::tree_json(trees))}};
      if (beside) {
        object["host"] = {{"pages", stats.host_pages_total},
                          {"held", stats.host_pages_held},
                          {"saved", stats.host_saved_pages},
                          {"loaded", stats.host_loaded_pages}};
      }
      object["value"] = dsl::to_json(*outcome);
      context.console.print_json(object);
      return kDone;
    }
    const runtime::Tokenizer& tokenizer = *session.model().tokenizer();
    const auto text = [&](std::span<const TokenId> ids) { return tokenizer.decode(ids, true); };
    std::string lines;
    for (std::size_t i = 0; i < trees.size(); ++i) {
      const std::string drawn = runtime::draw_tree(trees[i], text);
      if (trees.size() > 1) {
        lines += "engine " + std::to_string(i + 1) + " of " + std::to_string(trees.size()) + ":" +
                 (drawn.empty() ? " nothing is held\n" : "\n");
      }
      lines += drawn;
    }
    if (beside) {
      lines += "host memory: " + std::to_string(stats.host_pages_held) + " of " +
               std::to_string(stats.host_pages_total) + " pages held, " +
               std::to_string(stats.host_saved_pages) + " saved, " +
               std::to_string(stats.host_loaded_pages) + " loaded\n";
    }
    context.console.print_text(lines.empty() ? "nothing is held"
                                             : lines.substr(0, lines.size() - 1));
    return kDone;
  }

 private:
  ProgramOptions program_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_tree() { return std::make_unique<Tree>(); }

}  // namespace espalier::cli
