// LiveView: a run as it goes, on a terminal's stderr: turns, what the program
// wrote (long texts cut), what the model writes as it comes, tool calls.
// Branches of forks and calls run at the same time and would mix: only the
// program's own context is shown. Thread-safe; text is made harmless for the
// terminal.
#pragma once

#include <mutex>
#include <string>

#include "cli/console.h"
#include "dsl/observer.h"

namespace espalier::cli {

class LiveView final : public dsl::Observer {
 public:
  explicit LiveView(Console& console) : console_(console) {}

  void on_turn(dsl::BranchNumber branch, std::string_view role) override;
  void on_text(dsl::BranchNumber branch, std::string_view text) override;
  void on_drop(const dsl::HoleEvent& hole, const dsl::Drop& drop) override;
  void on_token(const dsl::HoleEvent& hole, TokenId token, std::string_view bytes,
                bool forced) override;
  void on_tool_start(dsl::BranchNumber branch, std::string_view tool,
                     const Json& arguments) override;
  void on_tool_end(dsl::BranchNumber branch, std::string_view tool, const Json& arguments,
                   const dsl::Value& value, std::string_view error) override;
  void on_retry(dsl::BranchNumber branch, std::string_view why) override;
  /// Ends the last line.
  void finish();

 private:
  void write(Style style, std::string_view text);
  void fresh_line();

  Console& console_;
  std::mutex mutex_;
  std::string pending_;  // bytes of a character that is not whole yet
  bool line_open_ = false;
};

}  // namespace espalier::cli
