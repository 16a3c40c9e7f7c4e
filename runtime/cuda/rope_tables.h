// Sine and cosine of each pair of a head by position, on the device (numerics contract 8).
//
// Made on the host, for positions as they are first seen, and kept: 8 bytes a pair and position.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "runtime/cpu/rope.h"
#include "runtime/cuda/device.h"

namespace espalier::runtime::cuda {

class RopeTables {
 public:
  RopeTables(const Rope& rope, std::uint32_t width) : table_(rope, width) {}

  /// Makes room for positions below `count`. Pointers given before are void.
  [[nodiscard]] Status reach(std::uint32_t count, const Stream& stream);
  [[nodiscard]] std::uint32_t pairs() const { return static_cast<std::uint32_t>(table_.pairs()); }
  /// [position][pairs]
  [[nodiscard]] const float* cosines() const { return memory_.as<float>(); }
  [[nodiscard]] const float* sines() const {
    return memory_.as<float>() + std::size_t{positions_} * table_.pairs();
  }

 private:
  cpu::RopeTable table_;
  DeviceMemory memory_;
  std::uint32_t positions_ = 0;
};

/// What Q is multiplied by at each position, where the model has such a temperature.
class TemperatureTable {
 public:
  /// As RopeTables::reach.
  [[nodiscard]] Status reach(const ModelShape& shape, std::uint32_t count, const Stream& stream);
  [[nodiscard]] const float* values() const { return memory_.as<float>(); }

 private:
  DeviceMemory memory_;
  std::uint32_t positions_ = 0;
};

}  // namespace espalier::runtime::cuda
