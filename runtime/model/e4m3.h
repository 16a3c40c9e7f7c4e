// Numbers of 8 bits with 4 bits of exponent and 3 of mantissa (E4M3 of the OCP's 8-bit floats, as
// NVIDIA's tensor cores take them), to and from float.
//
// Portable and exact, as half.h: widening is exact for every code; narrowing rounds to nearest,
// ties to even, as cvt.rn.satfinite does: what is larger than the largest number, infinity
// included, becomes that. There is no infinity, and one NaN of either sign. O(1), no tables.
#pragma once

#include <bit>
#include <cstdint>

namespace espalier::runtime {

inline constexpr float kMostE4m3 = 448.0F;

/// E4M3 -> float.
inline float e4m3_to_float(std::uint8_t code) {
  const std::uint32_t sign = static_cast<std::uint32_t>(code & 0x80U) << 24;
  const std::uint32_t magnitude = code & 0x7FU;
  if (magnitude == 0x7FU) return std::bit_cast<float>(sign | 0x7FC00000U);
  // The exponent's bias differs by 120: subnormal codes are normal floats once scaled by 2^120.
  const float scaled = std::bit_cast<float>(magnitude << 20) * std::bit_cast<float>(0x7B800000U);
  return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(scaled));
}

/// float -> E4M3, to nearest even.
inline std::uint8_t float_to_e4m3(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 24) & 0x80U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint8_t>(sign | 0x7FU);
  if (magnitude >= 0x43E00000U) return static_cast<std::uint8_t>(sign | 0x7EU);  // from 448 on
  if (magnitude < 0x3C800000U) {  // below 2^-6: a subnormal code, or 0
    // Adding 2^14 leaves ulp 2^-9, the step of subnormal codes, so the adder rounds for us.
    const float shifted = std::bit_cast<float>(magnitude) + 0x1p14F;
    return static_cast<std::uint8_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x46800000U));
  }
  const std::uint32_t rounded = magnitude + 0x7FFFFU + ((magnitude >> 20) & 1U);
  return static_cast<std::uint8_t>(sign | ((rounded - 0x3C000000U) >> 20));
}

/// How a row of numbers is coded: each is the nearest code of itself times `inverse`, and stands
/// for that times `scale`.
struct E4m3Scale {
  float scale = 0.0F;
  float inverse = 0.0F;
};
/// Of a row whose largest magnitude has the bits `top` (bits compare as magnitudes do, NaN above
/// infinity). A row with NaN or infinity has the scale NaN, one of next to nothing 0; codes are
/// then 0, for the inverse 0 must not meet an infinity.
inline E4m3Scale e4m3_scale(std::uint32_t top) {
  if (top >= 0x7F800000U) return {std::bit_cast<float>(0x7FC00000U), 0.0F};
  const auto largest = std::bit_cast<float>(top);
  if (largest < 0x1p-100F) return {};
  return {largest / kMostE4m3, kMostE4m3 / largest};
}
inline std::uint8_t e4m3_code(float value, const E4m3Scale& by) {
  return by.inverse == 0.0F ? std::uint8_t{0} : float_to_e4m3(value * by.inverse);
}

}  // namespace espalier::runtime
