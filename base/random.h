// Counter-based randomness: a draw is a pure function of its key, so text never depends on
// scheduling.
//
// Philox-4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC'11). A RandomKey
// is built by absorbing what identifies the draw (seed, hole's path, loop indices, branch,
// attempt); the token's index is the counter. Equal keys and counters give equal draws on every
// machine, thread count and batch.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace espalier {

class RandomKey {
 public:
  RandomKey() = default;
  explicit RandomKey(std::uint64_t seed) { *this = with(seed); }

  /// The key of a part of this one. Order matters; with(a).with(b) differs from with(b).with(a).
  [[nodiscard]] RandomKey with(std::uint64_t part) const;
  [[nodiscard]] RandomKey with(std::string_view part) const;

  /// 128 random bits for `counter`.
  [[nodiscard]] std::array<std::uint32_t, 4> bits(std::uint64_t counter) const;
  /// A double in [0, 1) with 53 random bits.
  [[nodiscard]] double uniform(std::uint64_t counter) const;

  friend bool operator==(const RandomKey&, const RandomKey&) = default;

 private:
  std::uint64_t key_ = 0x9E3779B97F4A7C15ULL;
};

}  // namespace espalier
