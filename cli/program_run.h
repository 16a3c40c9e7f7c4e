// What `run` and `batch` share: the sampling and tool options of a program's
// run, and the runner that they set up.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
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
  /// All that changes a run's text, for a job's identity.
  [[nodiscard]] Json identity() const;
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

}  // namespace espalier::cli
