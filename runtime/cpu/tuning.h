// Sizes of the work of a step: what is read together, never in which order a number is computed, so
// that every choice gives the same bits. Defaults are good on the machines that we know; the
// autotuner (autotuner.h) finds better ones where caches differ.
//
// Sizes that were measured are kept in a small file a machine and model shape, under
// ~/.cache/espalier/tuning.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/system.h"

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
};

/// The file of one machine and shape.
class TuningFile {
 public:
  /// `what`: all that the best sizes depend on, beside the machine's processor. Null where there is
  /// no home, or no folder can be made in it.
  [[nodiscard]] static std::optional<TuningFile> open(const std::string& what, System& system);

  /// What is kept; nothing where there is none, or it is not whole, of another machine or shape.
  [[nodiscard]] std::optional<Tuning> read() const;
  /// Whether there is room for a file and leave to write it: what cannot be kept need not be
  /// measured. Leaves a file beside it that write() takes.
  [[nodiscard]] Status begin() const;
  [[nodiscard]] Status write(const Tuning& tuning) const;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TuningFile(std::string path, std::string key, System& system)
      : path_(std::move(path)), key_(std::move(key)), system_(&system) {}
  [[nodiscard]] std::string begun() const { return path_ + ".begun"; }
  [[nodiscard]] Status put(const std::string& path, const Tuning& tuning) const;

  std::string path_, key_;
  System* system_;
};

}  // namespace espalier::runtime::cpu
