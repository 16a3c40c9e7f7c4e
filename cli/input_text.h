// A text that a verb reads: given on the command line, in a file, or on stdin.
// Exactly one of the three.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/command.h"

namespace espalier::cli {

class InputText {
 public:
  /// A positional FILE ("-": stdin) and a flag for the text itself.
  void declare(CLI::App& app, const std::string& text_flag, const std::string& about);
  /// What is wrong with how it was given.
  [[nodiscard]] std::optional<std::string> usage() const;
  [[nodiscard]] Result<std::string> read(Context& context) const;

 private:
  std::string text_flag_;
  std::optional<std::string> text_;
  std::optional<std::string> file_;
};

/// The text of a file, "-" being stdin; at most kMaxTextBytes.
[[nodiscard]] Result<std::string> read_text(const std::string& path, Context& context);
/// What the command line names: a file, or a pipe, which a signal ends (kCancelled).
[[nodiscard]] Result<std::string> read_named(const std::string& path, std::uint64_t limit,
                                             Context& context);

}  // namespace espalier::cli
