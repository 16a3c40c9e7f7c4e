// Trace: everything a run shows, as events in the order in which they happened (docs/cli.md lists
// them): a line of JSON each, or a page to look at.
//
// Trace turns what an observer hears into events; whoever makes one says where they go. TraceFile
// is the file of `--trace`: its first failure is kept and reported at the end, and does not disturb
// the run. Both are thread-safe.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "cli/trace_comparison.h"
#include "dsl/context.h"
#include "dsl/observer.h"
#include "dsl/program.h"

namespace espalier::cli {

class Trace final : public dsl::Observer {
 public:
  /// Called with one event at a time.
  using Sink = std::function<void(Json event)>;
  /// `choices`: events of tokens say what they were drawn from, those of values what was shared.
  Trace(Sink sink, dsl::ModelParts model, const dsl::Program& program, System& system,
        bool choices);

  /// An event that is none of the run's own.
  void write(Json event);

  void on_branch(dsl::BranchNumber branch, dsl::BranchNumber parent,
                 std::string_view what) override;
  void on_turn(dsl::BranchNumber branch, std::string_view role) override;
  void on_text(dsl::BranchNumber branch, std::string_view text) override;
  void on_hole_start(const dsl::HoleEvent& hole) override;
  void on_drop(const dsl::HoleEvent& hole, const dsl::Drop& drop) override;
  [[nodiscard]] bool wants_choices() const override { return choices_; }
  void on_choice(const dsl::HoleEvent& hole, const dsl::TokenChoice& choice) override;
  void on_token(const dsl::HoleEvent& hole, TokenId token, std::string_view bytes,
                bool forced) override;
  void on_cost(const dsl::HoleEvent& hole, const dsl::HoleCost& cost) override;
  void on_hole_end(const dsl::HoleEvent& hole, const dsl::Value& value) override;
  void on_tool_start(dsl::BranchNumber branch, std::string_view tool,
                     const Json& arguments) override;
  void on_tool_end(dsl::BranchNumber branch, std::string_view tool, const Json& arguments,
                   const dsl::Value& value, std::string_view error) override;
  void on_retry(dsl::BranchNumber branch, std::string_view why) override;

 private:
  const Sink sink_;
  const dsl::ModelParts model_;
  const dsl::Program& program_;
  System& system_;
  const bool choices_;
  const System::Clock::time_point begun_at_;
  std::mutex mutex_;
  std::set<dsl::BranchNumber> begun_;         // contexts whose start has been shown
  std::map<dsl::BranchNumber, Json> choice_;  // of the token that comes next
  std::map<dsl::BranchNumber, dsl::HoleCost> cost_;
};

/// What `run --trace PATH` writes: a page where PATH ends in .html, else JSON lines.
class TraceFile {
 public:
  /// Opens the file: before the work, so that a path that cannot be written is no news after it.
  [[nodiscard]] static Result<std::unique_ptr<TraceFile>> open(const std::string& path,
                                                               System& system);
  [[nodiscard]] bool page() const { return page_; }
  void add(Json event);
  /// Writes what is not written yet; the first failure, if any.
  [[nodiscard]] Status finish();

 private:
  TraceFile(std::unique_ptr<OutputFile> file, bool page) : file_(std::move(file)), page_(page) {}
  void append(const std::string& text);

  std::unique_ptr<OutputFile> file_;
  bool page_;
  std::mutex mutex_;
  TraceEvents events_;  // of a page
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
  void on_drop(const dsl::HoleEvent& hole, const dsl::Drop& drop) override {
    for (auto* one : all_) one->on_drop(hole, drop);
  }
  [[nodiscard]] bool wants_choices() const override {
    return std::any_of(all_.begin(), all_.end(), [](auto* one) { return one->wants_choices(); });
  }
  void on_choice(const dsl::HoleEvent& hole, const dsl::TokenChoice& choice) override {
    for (auto* one : all_) one->on_choice(hole, choice);
  }
  void on_token(const dsl::HoleEvent& hole, TokenId token, std::string_view bytes,
                bool forced) override {
    for (auto* one : all_) one->on_token(hole, token, bytes, forced);
  }
  void on_cost(const dsl::HoleEvent& hole, const dsl::HoleCost& cost) override {
    for (auto* one : all_) one->on_cost(hole, cost);
  }
  void on_hole_end(const dsl::HoleEvent& hole, const dsl::Value& value) override {
    for (auto* one : all_) one->on_hole_end(hole, value);
  }
  void on_tool_start(dsl::BranchNumber branch, std::string_view tool,
                     const Json& arguments) override {
    for (auto* one : all_) one->on_tool_start(branch, tool, arguments);
  }
  void on_tool_end(dsl::BranchNumber branch, std::string_view tool, const Json& arguments,
                   const dsl::Value& value, std::string_view error) override {
    for (auto* one : all_) one->on_tool_end(branch, tool, arguments, value, error);
  }
  void on_retry(dsl::BranchNumber branch, std::string_view why) override {
    for (auto* one : all_) one->on_retry(branch, why);
  }

 private:
  std::vector<dsl::Observer*> all_;
};

}  // namespace espalier::cli
