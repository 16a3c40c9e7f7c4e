// Sine and cosine of every pair of a head, by position (numerics contract 8).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/model/model.h"

namespace espalier::runtime::cpu {

class RopeTable {
 public:
  /// `width` dimensions of a head turn.
  RopeTable(const Rope& rope, std::uint32_t width);

  [[nodiscard]] std::size_t pairs() const { return frequencies_.size(); }
  /// Fills pairs() values each, scaled by the magnitude.
  void fill(std::uint32_t position, float* cosines, float* sines) const;

 private:
  std::vector<double> frequencies_;
  double magnitude_ = 1.0;
};

/// What Q is multiplied by at a position: 1 + temperature * ln(1 + floor(position / length)).
[[nodiscard]] float query_temperature(const ModelShape& shape, std::uint32_t position);

}  // namespace espalier::runtime::cpu
