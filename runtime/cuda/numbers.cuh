// Numbers of 16 bits on the device: the bits of runtime/model/half.h for all that are no NaN (a NaN
// stays one); and loads of words.
#pragma once

#include "runtime/cuda/ptx.cuh"

namespace espalier::runtime::cuda {

/// 1.5 * 2^23 and its bits. A float to which it is added has the nearest integer in its low bits;
/// an integer below 2^22 that is added to the bits makes the float that is so much more.
/// Conversions by the unit for them take many times as long.
inline constexpr float kFloatOffset = 12582912.0F;
inline constexpr std::int32_t kFloatBits = 0x4B400000;

/// Words, by loads as wide as can be, to which `from` is aligned.
template <unsigned kWords>
__device__ inline void load_words(std::uint32_t* to, const void* from) {
  if constexpr (kWords == 1) {
    to[0] = *static_cast<const std::uint32_t*>(from);
  } else if constexpr (kWords == 2) {
    const uint2 v = *static_cast<const uint2*>(from);
    to[0] = v.x;
    to[1] = v.y;
  } else {
    static_assert(kWords % 4 == 0);
#pragma unroll
    for (unsigned i = 0; i < kWords; i += 4) {
      const uint4 v = static_cast<const uint4*>(from)[i / 4];
      to[i] = v.x;
      to[i + 1] = v.y;
      to[i + 2] = v.z;
      to[i + 3] = v.w;
    }
  }
}

/// binary16 -> float, exact.
__device__ inline float half_to_float(std::uint16_t half) { return half_bits_to_float(half); }
/// float -> binary16, to nearest even; overflow gives infinity.
__device__ inline std::uint16_t float_to_half(float value) { return float_to_half_bits(value); }

/// bfloat16 -> float, exact.
__device__ inline float bfloat16_to_float(std::uint16_t value) {
  return __uint_as_float(static_cast<std::uint32_t>(value) << 16);
}
/// float -> bfloat16, to nearest even.
__device__ inline std::uint16_t float_to_bfloat16(float value) {
  const std::uint32_t bits = __float_as_uint(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>(bits >> 16 | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + (bits >> 16 & 1U)) >> 16);
}

/// A row of activations in 16 bits. Finite numbers stay finite; infinity and NaN show.
__device__ inline std::uint16_t activation_to_half(float value) {
  constexpr float kMost = 65504.0F;
  const float magnitude = fabsf(value);
  if (magnitude > kMost && magnitude < __builtin_inff()) value = value < 0.0F ? -kMost : kMost;
  return float_to_half(value);
}

}  // namespace espalier::runtime::cuda
