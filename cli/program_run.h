// What the verbs that run a program share: its options on the command line, what is wrong with
// them before a model is loaded, and the session and runner that they set up.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "cli/program_file.h"
#include "cli/session.h"
#include "dsl/runner.h"

namespace espalier::cli {

class RunSettings {
 public:
  void declare(CLI::App& app);
  /// What is wrong with the sampling options, and with --allow for a program that has `tools`.
  [[nodiscard]] Status check() const { return sampling_.sampling().check(); }
  [[nodiscard]] Status check_allowed(const std::vector<dsl::ToolInfo>& tools) const;
  /// Sampling above the program's own config.
  [[nodiscard]] dsl::Config overrides() const;
  /// All that changes a run's text, for a job's identity and for a trace.
  [[nodiscard]] Json identity() const;
  /// The settings whose identity() it is. kInvalid names what is none of them.
  [[nodiscard]] static Result<RunSettings> from_identity(const Json& identity);
  [[nodiscard]] std::unique_ptr<dsl::ToolHost> tools(const std::string& directory) const;
  [[nodiscard]] std::chrono::milliseconds tool_timeout() const;

 private:
  SamplingOptions sampling_;
  std::optional<std::int64_t> max_;
  std::vector<std::string> allow_;
  std::optional<double> tool_seconds_;
};

/// --allow, and what is wrong with it for a program that has `tools`.
void declare_allow(CLI::App& app, std::vector<std::string>& allow);
[[nodiscard]] Status check_allow_list(const std::vector<std::string>& allow,
                                      const std::vector<dsl::ToolInfo>& tools);

/// The parts of a model that programs need.
[[nodiscard]] dsl::ModelParts model_parts(const runtime::Model& model);
[[nodiscard]] std::unique_ptr<dsl::Runner> make_runner(const Session& session);
/// Says on stderr that turns were dropped, if any were: it never happens silently.
void note_dropped(dsl::Runner& runner, Context& context);

/// A model, an engine, tools and a runner, ready for a program's runs; all of them end with it.
class ProgramSession {
 public:
  [[nodiscard]] static Result<std::unique_ptr<ProgramSession>> open(const ModelOptions& model,
                                                                    const RunSettings& settings,
                                                                    const ProgramFile& file,
                                                                    Context& context);

  [[nodiscard]] const Session& session() const { return *session_; }
  [[nodiscard]] dsl::Runner& runner() const { return *runner_; }
  /// Of one run; all runs of this session end by cancel().
  [[nodiscard]] dsl::RunOptions options() const;
  void cancel() const { cancellation_->cancel(); }
  [[nodiscard]] const std::atomic<bool>& cancelled() const { return cancellation_->flag(); }
  /// One run that an interrupt ends.
  [[nodiscard]] dsl::RunOutcome run(const ProgramFile& file, Json arguments,
                                    dsl::RunOptions options, Context& context) const;

 private:
  explicit ProgramSession(const RunSettings& settings) : settings_(settings) {}

  const RunSettings& settings_;
  std::unique_ptr<Session> session_;
  std::unique_ptr<dsl::ToolHost> tools_;
  std::shared_ptr<dsl::Cancellation> cancellation_ = std::make_shared<dsl::Cancellation>();
  std::unique_ptr<dsl::Runner> runner_;  // last: its threads end before what they use
};

/// FILE[:GEN] with its arguments, the model and the settings of a verb that runs programs.
class ProgramOptions {
 public:
  /// FILE[:GEN] and the arguments.
  void declare_program(CLI::App& app);
  /// The model and the settings.
  void declare_run(CLI::App& app);

  struct Opened {
    ProgramFile file;
    Json arguments;
    int code = kDone;  // otherwise give this back: everything is said
  };
  /// Compiles the program and reads the arguments, as far as the command line has them. `verb` is
  /// named in what is said of its faults.
  [[nodiscard]] Result<Opened> open(std::string_view verb, Context& context) const;
  /// Says what is wrong with arguments that should be all that the generator takes: the runner
  /// checks them too, this is before a model is loaded.
  [[nodiscard]] static Status check_complete(const Opened& opened);
  [[nodiscard]] Result<std::unique_ptr<ProgramSession>> session(const ProgramFile& file,
                                                                Context& context) const {
    return ProgramSession::open(model_, settings_, file, context);
  }
  [[nodiscard]] const std::string& argument() const { return file_; }
  [[nodiscard]] const RunSettings& settings() const { return settings_; }
  [[nodiscard]] const ModelOptions& model() const { return model_; }

 private:
  std::string file_;
  ProgramArguments arguments_;
  ModelOptions model_;
  RunSettings settings_;
};

/// Says why a run failed, in the form of the checker's messages where it has a place.
Result<int> run_failure(const dsl::RunError& error, Context& context);

}  // namespace espalier::cli
