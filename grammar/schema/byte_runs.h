// Rows of an automaton's steps by byte, as runs of neighbouring bytes that lead alike: most rows
// have a few dozen.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
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
      for (unsigned b = 0; b < 256; b += kTogether) {
        std::array<std::uint16_t, kTogether> some{};
        std::copy_n(rows.begin() + static_cast<std::ptrdiff_t>(at + b), kTogether, some.begin());
        if (b > 0 && all_same(some, all_.back().to)) continue;
        for (unsigned i = 0; i < kTogether; ++i) add(b + i, some[i]);
      }
      end_row();
    }
  }
  ByteRuns() = default;

  /// What a row's bytes from this one on lead to, one call behind the other from byte 0 on; and the
  /// row's end.
  void add(unsigned first, std::uint16_t to) {
    if (first > 0 && all_.back().to == to) return;
    all_.push_back({static_cast<std::uint8_t>(first), to});
  }
  void end_row() { begins_.push_back(static_cast<std::uint32_t>(all_.size())); }

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
  static constexpr std::size_t kTogether = 8;
  static bool all_same(const std::array<std::uint16_t, kTogether>& some, std::uint16_t to) {
    unsigned differs = 0;
    for (const std::uint16_t one : some) differs |= static_cast<unsigned>(one ^ to);
    return differs == 0;
  }

  std::vector<ByteRun> all_;
  std::vector<std::uint32_t> begins_{0};  // of each row, and the end
};

}  // namespace espalier::grammar
