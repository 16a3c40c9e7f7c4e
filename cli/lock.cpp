// espalier lock: what a program's MCP tools are now, pinned in tools.lock.
#include <filesystem>
#include <optional>
#include <ostream>
#include <vector>

#include "cli/command.h"
#include "cli/input_text.h"
#include "cli/options.h"
#include "cli/program_file.h"
#include "cli/program_run.h"
#include "cli/replace_file.h"
#include "dsl/mcp/host.h"

namespace espalier::cli {
namespace {

class LockTools final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("FILE", file_, "The program (.gen)")->required()->type_name("");
    declare_allow(app, allow_);
    app.add_flag("--check", check_, "Change nothing; exit 1 if a tool is not as it was pinned");
    add_number(app, "--tool-timeout", seconds_, 0.001, 86400,
               "Seconds that one answer of a server may take [30]");
  }

  Result<int> run(Context& context) override {
    auto text = read_named(file_, dsl::kMaxSource, context);
    if (!text) return fail(text.error());
    // Not through open_program(): a lock that no longer fits is what is being put right.
    const auto read = [files =
                           reader(context.system)](const std::string& path) -> Result<std::string> {
      if (std::filesystem::path(path).filename() == dsl::mcp::kLockFile)
        return fail(ErrorCode::kNotFound, "not looked at");
      return files(path);
    };
    const dsl::Compiled compiled = dsl::compile(file_, std::move(*text), read);
    if (compiled.program == nullptr) {
      context.console.err() << printable(dsl::render(compiled.diagnostics, compiled.sources))
                            << '\n';
      return kFailed;
    }
    if (const auto allowed = check_allow_list(allow_, compiled.program->tools); !allowed)
      return usage_error(context, "lock", allowed.error().message);
    const std::string directory = folder_of(file_);
    ESP_ASSIGN(dsl::mcp::Lock lock, dsl::mcp::read_lock(directory));
    const dsl::mcp::Lock before = lock;
    dsl::mcp::Host host(directory);
    dsl::mcp::Limits limits;
    limits.timeout =
        std::chrono::milliseconds(static_cast<std::int64_t>(seconds_.value_or(30.0) * 1000));
    ESP_ASSIGN(const auto lines, dsl::mcp::pin(*compiled.program, allow_, host, limits, lock));
    for (const std::string& line : lines) context.console.print_text(printable(line));
    if (lines.empty()) context.console.note("the program has no mcp tools");
    if (lock == before) return kDone;
    if (check_) return kFailed;
    ESP_TRY(replace_file(directory + "/" + dsl::mcp::kLockFile, lock.text(), context.system));
    return kDone;
  }

 private:
  std::string file_;
  std::vector<std::string> allow_;
  bool check_ = false;
  std::optional<double> seconds_;
};

}  // namespace

std::unique_ptr<Command> make_lock() { return std::make_unique<LockTools>(); }

}  // namespace espalier::cli
