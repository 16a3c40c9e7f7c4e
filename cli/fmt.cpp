// espalier fmt: programs in the one style.
#include <limits>
#include <optional>
#include <ostream>
#include <vector>

#include "cli/command.h"
#include "cli/input_text.h"
#include "cli/options.h"
#include "cli/replace_file.h"
#include "dsl/edition.h"
#include "dsl/format.h"
#include "dsl/program.h"

namespace espalier::cli {
namespace {

class Fmt final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("FILE", files_, "Programs (.gen); - formats stdin to stdout")
        ->required()
        ->type_name("");
    app.add_flag("--check", check_, "Change nothing; name the files that would change, exit 1");
    add_integer(app, "--edition", edition_, 1, std::numeric_limits<std::int64_t>::max(),
                "Rewrite for that edition of the language, and say so in `config`");
  }

  Result<int> run(Context& context) override {
    if (edition_ && *edition_ > dsl::kLastEdition) {
      return usage_error(context, "fmt",
                         "--edition " + std::to_string(*edition_) +
                             ": this espalier knows editions up to " +
                             std::to_string(dsl::kLastEdition));
    }
    bool failed = false;
    bool changes = false;
    for (const std::string& file : files_) {
      const auto text = read_text(file, context);
      if (!text) {
        if (text.error().code == ErrorCode::kCancelled) return fail(text.error());
        context.console.error(text.error().message);
        failed = true;
        continue;
      }
      const dsl::Source source(file == "-" ? "stdin" : file, *text);
      dsl::Diagnostics diagnostics;
      const auto formatted = dsl::format(source, diagnostics, edition_);
      if (!formatted) {
        context.console.err() << printable(
                                     dsl::render(diagnostics, std::vector<dsl::Source>{source}))
                              << std::flush;
        context.console.error(formatted.error().message);
        failed = true;
        continue;
      }
      if (file == "-" && !check_) {
        context.console.out() << *formatted;
      } else if (*formatted != *text) {
        changes = true;
        if (!check_) ESP_TRY(replace_file(file, *formatted, context.system));
        context.console.print_text(file);
      }
    }
    return failed || (check_ && changes) ? kFailed : kDone;
  }

 private:
  std::vector<std::string> files_;
  bool check_ = false;
  std::optional<std::int64_t> edition_;
};

}  // namespace

std::unique_ptr<Command> make_fmt() { return std::make_unique<Fmt>(); }

}  // namespace espalier::cli
