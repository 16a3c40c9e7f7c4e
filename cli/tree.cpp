// espalier tree: runs a program and shows which prompts the engine then holds, as a tree.
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>

#include "cli/command.h"
#include "cli/program_file.h"
#include "cli/program_run.h"
#include "cli/session.h"
#include "dsl/convert.h"
#include "runtime/engine/tree_text.h"

namespace espalier::cli {
namespace {

class Tree final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("FILE[:GEN]", file_,
                   "The program, and which of its generators if it has several")
        ->required()
        ->type_name("");
    arguments_.declare(app);
    model_.declare(app, true);
    settings_.declare(app);
    app.add_flag("--json", json_, "Print {\"nodes\": […], \"value\": …} on one line");
  }

  Result<int> run(Context& context) override {
    if (const auto status = settings_.check(); !status)
      return usage_error(context, "tree", status.error().message);
    ESP_ASSIGN(const auto opened, open_program(file_, "tree", context));
    if (opened.code != kDone) return opened.code;
    const ProgramFile& file = opened.file;
    if (const auto allowed = settings_.check_allowed(file.program->tools); !allowed)
      return usage_error(context, "tree", allowed.error().message);
    auto arguments = arguments_.read(file.gen->parameters, context);
    if (!arguments) return usage_failure(context, "tree", arguments.error());
    ESP_ASSIGN(const auto session, Session::open(model_, context));
    const auto tools = settings_.tools(file.directory());
    const auto runner = make_runner(*session);
    dsl::RunOptions options;
    options.overrides = settings_.overrides();
    options.tools = tools.get();
    options.cancellation = std::make_shared<dsl::Cancellation>();
    options.tool_timeout = settings_.tool_timeout();
    const auto cancellation = options.cancellation;
    const Interrupt::Action stop(context.interrupt, [&] { cancellation->cancel(); });
    const auto outcome =
        runner->run_now(file.program, file.gen->name, std::move(*arguments), std::move(options));
    if (!outcome) {
      if (outcome.error().rendered.empty() || outcome.error().error.code == ErrorCode::kCancelled)
        return fail(outcome.error().error);
      context.console.err() << printable(outcome.error().rendered) << std::flush;
      return kFailed;
    }
    const auto nodes = session->engine().tree();
    if (json_) {
      context.console.print_json(Json{{"nodes", Json::parse(runtime::tree_json(nodes))},
                                      {"value", dsl::to_json(*outcome)}});
      return kDone;
    }
    const runtime::Tokenizer& tokenizer = *session->model().tokenizer();
    const std::string lines = runtime::draw_tree(
        nodes, [&](std::span<const TokenId> ids) { return tokenizer.decode(ids, true); });
    context.console.print_text(lines.empty() ? "nothing is held"
                                             : lines.substr(0, lines.size() - 1));
    return kDone;
  }

 private:
  std::string file_;
  ProgramArguments arguments_;
  ModelOptions model_;
  RunSettings settings_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_tree() { return std::make_unique<Tree>(); }

}  // namespace espalier::cli
