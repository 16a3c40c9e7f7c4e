// Blocks of 32 numbers as int8 codes with a scale (numerics contract 3).
#pragma once

#include "runtime/cuda/numbers.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

struct BlockScale {
  float scale = 0.0F;
  float inverse = 0.0F;
};

/// Of a block whose largest magnitude has the bits `top`. Bits compare as magnitudes do, NaN above
/// infinity.
__device__ inline BlockScale block_scale(std::uint32_t top) {
  if (top >= 0x7F800000U) return {__uint_as_float(0x7FC00000U), 0.0F};
  const float largest = __uint_as_float(top);
  if (largest < 0x1p-100F) return {};
  return {largest / 127.0F, 127.0F / largest};
}

/// The same of a row as E4M3 codes (runtime/model/e4m3.h).
__device__ inline BlockScale e4m3_row_scale(std::uint32_t top) {
  constexpr float kMost = 448.0F;
  if (top >= 0x7F800000U) return {__uint_as_float(0x7FC00000U), 0.0F};
  const float largest = __uint_as_float(top);
  if (largest < 0x1p-100F) return {};
  return {largest / kMost, kMost / largest};
}

/// The code of a number of the block in the low byte; in all, so much more than kZeroCode.
inline constexpr std::uint32_t kZeroCode = kFloatBits;
__device__ inline std::uint32_t code_bits(float x, float inverse) {
  // A scale of NaN or 0 has the inverse 0, which must not meet an infinity.
  return inverse == 0.0F ? kZeroCode : __float_as_uint(x * inverse + kFloatOffset);
}

/// A block that a warp holds, a number a lane: the lane's code in the low byte, and the block's
/// scale. All lanes call.
struct LaneCode {
  std::uint32_t bits;
  float scale;
};
__device__ inline LaneCode code_of_lane(float x) {
  std::uint32_t top = __float_as_uint(x) & 0x7FFFFFFFU;
#pragma unroll
  for (unsigned mask = kWarp / 2; mask > 0; mask /= 2) {
    top = max(top, __shfl_xor_sync(kFullWarp, top, mask));
  }
  const BlockScale scale = block_scale(top);
  return {code_bits(x, scale.inverse), scale.scale};
}

/// The Hadamard transform of a block that a warp holds (../cpu/hadamard.h). All lanes call.
__device__ inline float hadamard(float x) {
#pragma unroll
  for (unsigned by = 1; by < kWarp; by *= 2) {
    const float other = __shfl_xor_sync(kFullWarp, x, by);
    x = threadIdx.x % kWarp / by % 2 == 0 ? x + other : other - x;
  }
  return x;
}

}  // namespace espalier::runtime::cuda
