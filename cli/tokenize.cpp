// espalier tokenize: the ids of a text in a model's vocabulary.
#include <optional>

#include "base/utf8.h"
#include "cli/command.h"
#include "cli/input_text.h"
#include "cli/options.h"
#include "cli/session.h"
#include "grammar/json_text.h"

namespace espalier::cli {
namespace {

class Tokenize final : public Command {
 public:
  void declare(CLI::App& app) override {
    source_.declare(app, "--text", "The text itself");
    model_.declare(app, false);
    app.add_flag("--special", special_,
                 "The text of a special token (\"<|im_end|>\") stands for that token");
    app.add_flag("--json", json_, "Print {\"ids\": [...]}");
  }

  Result<int> run(Context& context) override {
    if (const auto wrong = source_.usage()) return usage_error(context, "tokenize", *wrong);
    ESP_ASSIGN(const std::string text, source_.read(context));
    ESP_ASSIGN(const auto model, load_model(model_, context));
    const runtime::Tokenizer& tokenizer = *model->tokenizer();
    ESP_ASSIGN(const auto ids, special_ ? tokenizer.encode_special(text) : tokenizer.encode(text));
    if (json_) {
      context.console.print_json(Json{{"ids", ids}});
      return kDone;
    }
    for (const TokenId id : ids) {
      // Bytes of a token need not be whole characters: those that are not show
      // as U+FFFD.
      const std::string bytes = tokenizer.decode({&id, 1}, true);
      context.console.print_text(std::to_string(id) + "\t" + write_json(bytes));
    }
    return kDone;
  }

 private:
  InputText source_;
  ModelOptions model_;
  bool special_ = false;
  bool json_ = false;
};

}  // namespace

std::unique_ptr<Command> make_tokenize() { return std::make_unique<Tokenize>(); }

}  // namespace espalier::cli
