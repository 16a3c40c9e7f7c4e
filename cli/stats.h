// --stats: what a command cost, as one JSON object (docs/cli.md lists the
// fields; CONTRACTS 17 says what is counted).
#pragma once

#include <CLI/App.hpp>
#include <optional>
#include <string>

#include "base/result.h"
#include "cli/command.h"
#include "grammar/json.h"
#include "runtime/engine/engine.h"

namespace espalier::cli {

class Session;

[[nodiscard]] Json stats_json(const runtime::Stats& stats, double load_seconds, double wall_seconds,
                              std::uint64_t peak_rss_bytes);

class StatsOption {
 public:
  void declare(CLI::App& app);
  /// Writes the file if one was asked for. Called when nothing runs any more.
  [[nodiscard]] Status write(const Session& session, Context& context) const;

 private:
  std::optional<std::string> path_;
};

/// Replaces the file at `path` by `content`; "-" is stderr.
[[nodiscard]] Status write_file(const std::string& path, std::string_view content,
                                Context& context);

}  // namespace espalier::cli
