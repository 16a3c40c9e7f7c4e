// A line on stderr that says how far a long piece of work is; only on a
// terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/system.h"
#include "cli/console.h"

namespace espalier::cli {

class ProgressLine {
 public:
  ProgressLine(Console& console, System& system) : console_(console), system_(system) {}
  ~ProgressLine() { clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// `label` [#####-----] `figures`; drawn at most ten times a second, and
  /// always when `done` reaches `total`. `total` 0: not known, no bar.
  void show(std::string_view label, std::uint64_t done, std::uint64_t total,
            std::string_view figures);
  /// Takes the line away, so that other text can be printed.
  void clear();

 private:
  Console& console_;
  System& system_;
  System::Clock::time_point drawn_{};
  bool visible_ = false;
};

/// "31.2 MB"
[[nodiscard]] std::string human_bytes(std::uint64_t bytes);

}  // namespace espalier::cli
