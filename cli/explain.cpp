// espalier explain: what a code of the language means, with a program that is wrong and one that is
// right.
#include <sstream>

#include "cli/command.h"
#include "cli/console.h"
#include "cli/suggest.h"
#include "dsl/explanations.h"
#include "dsl/mock_model.h"
#include "dsl/program.h"

namespace espalier::cli {
namespace {

constexpr std::size_t kLineWidth = 80;

std::string wrapped(std::string_view text) {
  std::istringstream words{std::string(text)};
  std::string out;
  std::size_t column = 0;
  for (std::string word; words >> word;) {
    if (column > 0 && column + 1 + word.size() > kLineWidth) {
      out += '\n';
      column = 0;
    }
    out += (column > 0 ? " " : "") + word;
    column += word.size() + (column > 0 ? 1 : 0);
  }
  return out;
}

std::string indented(std::string_view program) {
  std::string out;
  std::istringstream lines{std::string(program)};
  for (std::string line; std::getline(lines, line);) out += "\n  " + line;
  return out;
}

class Explain final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("CODE", code_, "As messages show it: E0302. Without one, all codes are listed")
        ->type_name("");
    app.add_flag("--json", json_,
                 "Print {\"code\", \"text\", \"wrong\", \"right\", \"files\"}, or a list of them");
  }

  Result<int> run(Context& context) override {
    if (code_.empty()) {
      Json all = Json::array();
      for (const dsl::Explanation& one : dsl::explanations()) {
        if (json_) {
          all.push_back(shown(one));
        } else {
          const std::string text(one.text);
          context.console.print_text(std::string(one.code) + "  " +
                                     text.substr(0, text.find(". ")));
        }
      }
      if (json_) context.console.print_json(all);
      return kDone;
    }
    const dsl::Explanation* found = dsl::explanation(code_);
    if (found == nullptr) {
      std::vector<std::string> known;
      for (const dsl::Explanation& one : dsl::explanations()) known.emplace_back(one.code);
      return usage_error(context, "explain",
                         "there is no code '" + code_ + "'" + did_you_mean(code_, known));
    }
    if (json_) {
      context.console.print_json(shown(*found));
      return kDone;
    }
    std::string out = std::string(found->code) + "\n\n" + wrapped(found->text);
    out += "\n\nWrong:\n" + indented(found->wrong);
    ESP_ASSIGN(const std::string said, message(*found, context.system));
    out += "\n\n" + said;
    while (out.back() == '\n') out.pop_back();
    out += "\n\nRight:\n" + indented(found->right);
    for (const dsl::ExampleFile& file : found->files) {
      out += "\n\n" + std::string(file.name) + ":\n" + indented(file.text);
    }
    context.console.print_text(out);
    return kDone;
  }

 private:
  // What is said of the wrong program.
  static Result<std::string> message(const dsl::Explanation& one, System& system) {
    const dsl::Compiled compiled =
        dsl::compile("wrong.gen", std::string(one.wrong), dsl::example_files(one));
    switch (one.said_by) {
      case dsl::SaidBy::kCheck:
        break;
      case dsl::SaidBy::kModel:
        return std::string("(by `check --model`, for a model that lacks tokens for some bytes)");
      case dsl::SaidBy::kTest: {
        ESP_ASSIGN(const auto model, dsl::MockModel::create(system));
        const auto outcome =
            model->runner().run_test(compiled.program, *compiled.program->tests.at(0), false, {});
        return outcome ? std::string() : outcome.error().rendered;
      }
    }
    return dsl::render(compiled.diagnostics, compiled.sources);
  }

  static Json shown(const dsl::Explanation& one) {
    Json files = Json::object();
    for (const dsl::ExampleFile& file : one.files) files[std::string(file.name)] = file.text;
    return {{"code", one.code},
            {"text", one.text},
            {"wrong", one.wrong},
            {"right", one.right},
            {"files", std::move(files)}};
  }

  std::string code_;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_explain() { return std::make_unique<Explain>(); }

}  // namespace espalier::cli
