// Sizes of the work of a step: what is read together, never in which order a number is computed, so
// that every choice gives the same bits. Defaults are good on the machines that we know; the
// autotuner (autotuner.h) finds better ones where caches differ.
//
// Sizes that were measured are kept (../tuning_file.h), a file a processor and model shape.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/system.h"
#include "runtime/tuning_file.h"

namespace espalier::runtime::cpu {

struct Tuning {
  std::uint32_t row_tile = 64;           // rows that pass a chunk of panels together
  std::uint32_t chunk_panels = 4;        // panels of a chunk, where rows come in several tiles
  std::uint32_t feed_forward_tile = 32;  // rows between gate, up and their activation
  std::uint32_t fewest_queries = 24;     // of a block of attention: never cut smaller,
  std::uint32_t most_queries = 96;       // never larger

  static constexpr std::uint32_t kMost = 1024;

  friend bool operator==(const Tuning&, const Tuning&) = default;
  /// Every size 1..kMost, fewest_queries <= most_queries.
  [[nodiscard]] bool valid() const;
  /// "rows 64, panels 4, feed-forward 32, queries 24..96"
  [[nodiscard]] std::string text() const;

  // As a file has them (../tuning_file.h).
  [[nodiscard]] static std::vector<std::string> names();
  [[nodiscard]] std::vector<std::uint32_t> numbers() const;
  [[nodiscard]] static std::optional<Tuning> of(std::span<const std::uint32_t> numbers);
};

/// The file of this machine's processor and `what`: all else that the best sizes depend on. Null as
/// TuningFile::open.
[[nodiscard]] std::optional<TuningFile<Tuning>> tuning_file(const std::string& what,
                                                            System& system);

}  // namespace espalier::runtime::cpu
