// Trace: everything a run shows, as one JSON object a line, in the order it
// happened (docs/cli.md lists the events).
//
// Written through System; the first failure is kept and reported at the end,
// and does not disturb the run. Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "dsl/context.h"
#include "dsl/observer.h"

namespace espalier::cli {

class Trace final : public dsl::Observer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Trace>> open(const std::string& path,
                                                           dsl::ModelParts model, System& system);

  void on_branch(dsl::BranchNumber branch, dsl::BranchNumber parent,
                 std::string_view what) override;
  void on_turn(dsl::BranchNumber branch, std::string_view role) override;
  void on_text(dsl::BranchNumber branch, std::string_view text) override;
  void on_hole_start(const dsl::HoleEvent& hole) override;
  void on_token(const dsl::HoleEvent& hole, TokenId token, std::string_view bytes,
                bool forced) override;
  void on_hole_end(const dsl::HoleEvent& hole, const dsl::Value& value) override;
  void on_tool_start(dsl::BranchNumber branch, std::string_view tool,
                     const Json& arguments) override;
  void on_tool_end(dsl::BranchNumber branch, std::string_view tool, const dsl::Value& value,
                   std::string_view error) override;
  void on_retry(dsl::BranchNumber branch, std::string_view why) override;

  /// The first failure of writing, if any.
  [[nodiscard]] Status finish();

 private:
  Trace(std::unique_ptr<OutputFile> file, dsl::ModelParts model)
      : file_(std::move(file)), model_(std::move(model)) {}
  void write(const Json& event);

  std::unique_ptr<OutputFile> file_;
  dsl::ModelParts model_;
  std::mutex mutex_;
  std::set<dsl::BranchNumber> begun_;  // contexts whose start has been shown
  std::optional<Error> failure_;
};

/// Passes everything on to several observers.
class Observers final : public dsl::Observer {
 public:
  void add(dsl::Observer* observer) { all_.push_back(observer); }
  [[nodiscard]] bool empty() const { return all_.empty(); }

  void on_branch(dsl::BranchNumber branch, dsl::BranchNumber parent,
                 std::string_view what) override {
    for (auto* one : all_) one->on_branch(branch, parent, what);
  }
  void on_turn(dsl::BranchNumber branch, std::string_view role) override {
    for (auto* one : all_) one->on_turn(branch, role);
  }
  void on_text(dsl::BranchNumber branch, std::string_view text) override {
    for (auto* one : all_) one->on_text(branch, text);
  }
  void on_hole_start(const dsl::HoleEvent& hole) override {
    for (auto* one : all_) one->on_hole_start(hole);
  }
  void on_token(const dsl::HoleEvent& hole, TokenId token, std::string_view bytes,
                bool forced) override {
    for (auto* one : all_) one->on_token(hole, token, bytes, forced);
  }
  void on_hole_end(const dsl::HoleEvent& hole, const dsl::Value& value) override {
    for (auto* one : all_) one->on_hole_end(hole, value);
  }
  void on_tool_start(dsl::BranchNumber branch, std::string_view tool,
                     const Json& arguments) override {
    for (auto* one : all_) one->on_tool_start(branch, tool, arguments);
  }
  void on_tool_end(dsl::BranchNumber branch, std::string_view tool, const dsl::Value& value,
                   std::string_view error) override {
    for (auto* one : all_) one->on_tool_end(branch, tool, value, error);
  }
  void on_retry(dsl::BranchNumber branch, std::string_view why) override {
    for (auto* one : all_) one->on_retry(branch, why);
  }

 private:
  std::vector<dsl::Observer*> all_;
};

}  // namespace espalier::cli
