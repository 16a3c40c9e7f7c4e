// Rows of an automaton's steps by byte, as runs of neighbouring bytes that lead alike: most rows
// have a few dozen.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace espalier::grammar {

struct ByteRun {
  std::uint8_t first = 0;  // up to the next run's, or 255
  std::uint16_t to = 0;
};

class ByteRuns {
 public:
  /// Of rows of 256, one behind the other.
  explicit ByteRuns(std::span<const std::uint16_t> rows) {
    begins_.reserve(rows.size() / 256 + 1);
    for (std::size_t at = 0; at < rows.size(); at += 256) {
      begins_.push_back(static_cast<std::uint32_t>(all_.size()));
      all_.push_back({0, rows[at]});
      for (unsigned b = 1; b < 256; ++b) {
        if (rows[at + b] == rows[at + b - 1]) continue;
        all_.push_back({static_cast<std::uint8_t>(b), rows[at + b]});
      }
    }
    begins_.push_back(static_cast<std::uint32_t>(all_.size()));
  }
  ByteRuns() = default;

  /// Of one row, from byte 0 on.
  [[nodiscard]] std::span<const ByteRun> of(std::size_t row) const {
    return std::span(all_).subspan(begins_[row], begins_[row + 1] - begins_[row]);
  }
  /// The byte behind the i-th of these runs.
  [[nodiscard]] static unsigned end(std::span<const ByteRun> runs, std::size_t i) {
    return i + 1 < runs.size() ? runs[i + 1].first : 256;
  }
  [[nodiscard]] std::size_t bytes() const {
    return all_.size() * sizeof(ByteRun) + begins_.size() * sizeof(std::uint32_t);
  }

 private:
  std::vector<ByteRun> all_;
  std::vector<std::uint32_t> begins_;
};

}  // namespace espalier::grammar
