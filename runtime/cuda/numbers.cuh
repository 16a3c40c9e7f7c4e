// Numbers of 16 bits on the device: the bits of runtime/model/half.h for all that are no NaN (a NaN
// stays one).
#pragma once

#include "runtime/cuda/ptx.cuh"

namespace espalier::runtime::cuda {

/// binary16 -> float, exact.
__device__ inline float half_to_float(std::uint16_t half) { return half_bits_to_float(half); }
/// The low and the high half of a word.
__device__ inline void halves_to_floats(std::uint32_t word, float& low, float& high) {
  low = half_to_float(static_cast<std::uint16_t>(word));
  high = half_to_float(static_cast<std::uint16_t>(word >> 16));
}
/// float -> binary16, to nearest even; overflow gives infinity.
__device__ inline std::uint16_t float_to_half(float value) { return float_to_half_bits(value); }

/// bfloat16 -> float, exact.
__device__ inline float bfloat16_to_float(std::uint16_t value) {
  return __uint_as_float(static_cast<std::uint32_t>(value) << 16);
}

}  // namespace espalier::runtime::cuda
