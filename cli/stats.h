// --stats: what a command cost, as one JSON object (docs/cli.md lists the
// fields; CONTRACTS 17 says what is counted).
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/system.h"
#include "cli/command.h"
#include "dsl/runner.h"
#include "grammar/json.h"
#include "runtime/engine/engine.h"

namespace espalier::cli {

class Session;

/// Of one engine among several.
[[nodiscard]] Json engine_json(const runtime::EngineStats& engine);

[[nodiscard]] Json stats_json(const runtime::Stats& stats, const dsl::Runner::Dropped& dropped,
                              double load_seconds, double wall_seconds,
                              std::uint64_t peak_rss_bytes);

class StatsOption {
 public:
  void declare(CLI::App& app);
  /// Opens the file if one was asked for: before the work, so that a path that cannot be written is
  /// no news after it.
  [[nodiscard]] Status open(Context& context);
  /// Writes it. Called when nothing runs any more.
  [[nodiscard]] Status write(const Session& session, Context& context,
                             const dsl::Runner::Dropped& dropped = {}) const;

 private:
  std::optional<std::string> path_;  // "-": stderr
  std::unique_ptr<OutputFile> file_;
};

}  // namespace espalier::cli
