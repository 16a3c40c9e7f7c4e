// espalier render: the prompt as the model would see it, without a run of the
// model.
#include "cli/command.h"
#include "cli/program_file.h"
#include "cli/program_run.h"
#include "cli/session.h"
#include "dsl/convert.h"

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
    ESP_ASSIGN(const std::string prompt,
               dsl::render_prompt(model_parts(*model), *file.program, file.gen->name, *arguments));
    context.console.print_text(prompt);
    return kDone;
  }

 private:
  std::string file_;
  ProgramArguments arguments_;
  ModelOptions model_;
};

}  // namespace

std::unique_ptr<Command> make_render() { return std::make_unique<Render>(); }

}  // namespace espalier::cli
