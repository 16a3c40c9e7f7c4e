// espalier test: the `test` blocks of programs, without a model or on one.
#include <filesystem>
#include <optional>
#include <ostream>

#include "cli/command.h"
#include "cli/input_text.h"
#include "cli/program_file.h"
#include "cli/program_run.h"
#include "cli/session.h"
#include "dsl/mock_model.h"

namespace espalier::cli {
namespace {

constexpr int kMaxFolders = 16;  // within each other

struct Counts {
  std::size_t run = 0;
  std::size_t failed = 0;
  std::size_t broken = 0;  // files that could not be read or have errors
};

class Test final : public Command {
 public:
  void declare(CLI::App& app) override {
    app.add_option("FILE", paths_, "Programs (.gen), or folders of them")
        ->required()
        ->type_name("");
    add_text(app, "--only", only_, "TEXT", "Run the tests whose name contains TEXT");
    add_text(app, "--model", model_, "M",
             "Holes without a mock are this model's; without it no model is loaded");
    options_.declare_backend(app);
    options_.declare_engines(app);
    app.add_flag("--json", json_, "Print a JSON list of {\"file\", \"test\", \"ok\", \"message\"}");
    settings_.declare(app);
  }

  Result<int> run(Context& context) override {
    if (const auto status = settings_.check(); !status)
      return usage_error(context, "test", status.error().message);
    std::vector<std::string> files;
    for (const std::string& path : paths_) ESP_TRY(find(path, 0, files, context.system));
    std::unique_ptr<Session> session;
    std::unique_ptr<dsl::Runner> on_model;
    std::unique_ptr<dsl::MockModel> mock;
    if (model_) {
      options_.model = *model_;
      ESP_ASSIGN(session, Session::open(options_, context));
      on_model = make_runner(*session);
    } else {
      ESP_ASSIGN(mock, dsl::MockModel::create(context.system));
    }
    dsl::Runner& runner = on_model != nullptr ? *on_model : mock->runner();
    Counts counts;
    Json all = Json::array();
    for (const std::string& file : files) {
      ESP_TRY(run_file(file, runner, all, counts, context));
    }
    if (json_) context.console.print_json(all);
    note_dropped(runner, context);
    if (counts.run == 0 && counts.broken == 0) {
      context.console.error(only_
                                ? "no test's name contains '" + *only_ + "'"
                                : "there are no `test` blocks in " + std::to_string(files.size()) +
                                      (files.size() == 1 ? " file" : " files"));
      return kFailed;
    }
    std::string summary = std::to_string(counts.run) + (counts.run == 1 ? " test, " : " tests, ") +
                          std::to_string(counts.failed) + " failed";
    if (counts.broken > 0) {
      summary += "; " + std::to_string(counts.broken) +
                 (counts.broken == 1 ? " file has errors" : " files have errors");
    }
    context.console.note(summary);
    return counts.failed + counts.broken > 0 ? kFailed : kDone;
  }

 private:
  // A folder stands for the programs in it and in its folders.
  static Status find(const std::string& path, int depth, std::vector<std::string>& files,
                     System& system) {
    ESP_ASSIGN(const FileInfo info, system.info(path));
    if (!info.is_directory) {
      files.push_back(path);
      return {};
    }
    if (depth >= kMaxFolders) {
      return fail(ErrorCode::kLimit, "'" + path + "': more than " + std::to_string(kMaxFolders) +
                                         " folders within each other");
    }
    ESP_ASSIGN(const auto names, system.list(path));
    for (const std::string& name : names) {
      const std::string inner = (std::filesystem::path(path) / name).string();
      const auto about = system.info(inner);
      // What is found and is no file, a pipe, is nobody's program and may never end.
      if (about && (about->is_directory || (about->is_regular && name.ends_with(".gen"))))
        ESP_TRY(find(inner, depth + 1, files, system));
    }
    return {};
  }

  Status run_file(const std::string& path, dsl::Runner& runner, Json& all, Counts& counts,
                  Context& context) {
    auto text = read_named(path, dsl::kMaxSource, context);
    if (!text) {
      if (text.error().code == ErrorCode::kCancelled) return fail(text.error());
      context.console.error(text.error().message);
      ++counts.broken;
      return {};
    }
    const dsl::Compiled compiled = dsl::compile(path, std::move(*text), reader(context.system));
    if (compiled.program == nullptr) {
      context.console.err() << printable(dsl::render(compiled.diagnostics, compiled.sources))
                            << std::flush;
      ++counts.broken;
      return {};
    }
    ProgramFile file;
    file.path = path;
    const auto tools = settings_.tools(file.directory());
    for (const dsl::TestDecl* test : compiled.program->tests) {
      const std::string& name = test->name.value;
      if (only_ && name.find(*only_) == std::string::npos) continue;
      dsl::RunOptions options;
      options.overrides = settings_.overrides();
      // Without a model nothing leaves the process: a tool has a mock or the test fails.
      options.tools = model_ ? tools.get() : nullptr;
      options.tool_timeout = settings_.tool_timeout();
      options.cancellation = std::make_shared<dsl::Cancellation>();
      const auto cancellation = options.cancellation;
      const Interrupt::Action stop(context.interrupt, [&] { cancellation->cancel(); });
      const auto outcome =
          runner.run_test(compiled.program, *test, model_.has_value(), std::move(options));
      if (context.interrupt.requested()) return fail(ErrorCode::kCancelled, "stopped");
      ++counts.run;
      if (!outcome) ++counts.failed;
      if (json_) {
        Json one{{"file", path}, {"test", name}, {"ok", outcome.has_value()}};
        if (!outcome) one["message"] = outcome.error().error.message;
        all.push_back(std::move(one));
        continue;
      }
      context.console.print_text((outcome ? "ok    " : "FAIL  ") + path + ": " + name);
      if (!outcome) {
        context.console.out() << std::flush;
        context.console.err() << printable(outcome.error().rendered) << std::flush;
      }
    }
    return {};
  }

  std::vector<std::string> paths_;
  std::optional<std::string> only_;
  std::optional<std::string> model_;
  ModelOptions options_;
  bool json_ = false;
  RunSettings settings_;
};

}  // namespace

std::unique_ptr<Command> make_test() { return std::make_unique<Test>(); }

}  // namespace espalier::cli
