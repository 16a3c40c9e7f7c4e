// Numbers of 16 bits and less as model files store them: IEEE 754 binary16 and bfloat16, to and
// from float, and microscaling exponents.
//
// Portable and exact: widening is exact for every bit pattern (subnormals, infinities; NaNs stay
// NaNs with their payload), narrowing rounds to nearest, ties to even, like the F16C and
// AVX-512-BF16 instructions, so a vector path may use those and stay bit-equal. O(1), no tables.
#pragma once

#include <bit>
#include <cstdint>

namespace espalier::runtime {

/// binary16 -> float.
inline float half_to_float(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t magnitude = half & 0x7FFFU;
  if (magnitude >= 0x7C00U) {  // infinity; a NaN becomes quiet, as vcvtph2ps makes it
    const std::uint32_t payload = (magnitude & 0x3FFU) << 13;
    return std::bit_cast<float>(sign | 0x7F800000U | payload | (payload != 0 ? 0x400000U : 0U));
  }
  // The exponent's bias differs by 112. Subnormal halves are normal floats: scaling by 2^112
  // renormalises exactly.
  const float scaled = std::bit_cast<float>(magnitude << 13) * std::bit_cast<float>(0x77800000U);
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
}

/// float -> binary16, to nearest even; overflow gives infinity.
inline std::uint16_t float_to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) {
    return static_cast<std::uint16_t>(sign | 0x7E00U | ((magnitude >> 13) & 0x3FFU));
  }
  if (magnitude >= 0x47800000U)
    return static_cast<std::uint16_t>(sign | 0x7C00U);  // 2^16 and above
  if (magnitude < 0x38800000U) {                        // below 2^-14: a subnormal half, or 0
    // Adding 0.5 leaves ulp 2^-24, the step of subnormal halves, so the adder rounds for us.
    const float shifted = std::bit_cast<float>(magnitude) + 0.5F;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3F000000U));
  }
  const std::uint32_t rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000U) >> 13));
}

/// bfloat16 -> float.
inline float bfloat16_to_float(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// float -> bfloat16, to nearest even.
inline std::uint16_t float_to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) return static_cast<std::uint16_t>((bits >> 16) | 0x40U);
  return static_cast<std::uint16_t>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// Half of the power of two that an E8M0 exponent (OCP microscaling) stands for: 2^(exponent -
/// 128). MXFP4's codes are doubled to be integers, so this is their scale. 255, which OCP calls
/// NaN, is 2^127 as ggml has it.
inline float e8m0_half_to_float(std::uint8_t exponent) {
  const std::uint32_t e = exponent;
  return std::bit_cast<float>(e < 2 ? 0x00200000U << e : (e - 1) << 23);
}

}  // namespace espalier::runtime
