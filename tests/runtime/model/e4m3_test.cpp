// Numbers of 8 bits: every code, every place between two of them, and what a row's scale makes.
#include "runtime/model/e4m3.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

namespace espalier::runtime {
namespace {

// A code's number by its definition: sign, 4 bits of exponent with a bias of 7, 3 of mantissa.
double defined(std::uint8_t code) {
  const int exponent = code >> 3 & 0xF;
  const int mantissa = code & 0x7;
  double value = exponent == 0 ? std::ldexp(mantissa, -9) : std::ldexp(8 + mantissa, exponent - 10);
  if (exponent == 15 && mantissa == 7) value = std::numeric_limits<double>::quiet_NaN();
  return (code & 0x80) != 0 ? -value : value;
}

TEST(E4m3, EveryCodeIsItsNumberAndComesBack) {
  for (int c = 0; c < 256; ++c) {
    const auto code = static_cast<std::uint8_t>(c);
    const float value = e4m3_to_float(code);
    if ((code & 0x7F) == 0x7F) {
      EXPECT_TRUE(std::isnan(value)) << c;
      EXPECT_EQ(float_to_e4m3(value), code) << c;
      continue;
    }
    EXPECT_EQ(value, defined(code)) << c;
    EXPECT_EQ(std::signbit(value), (code & 0x80) != 0) << c;
    EXPECT_EQ(float_to_e4m3(value), code) << c;
  }
  EXPECT_EQ(e4m3_to_float(0x7E), kMostE4m3);
}

// Halfway between two codes the even one, beside it the nearer one.
TEST(E4m3, RoundsToNearestEvenAtEveryHalfwayPoint) {
  for (std::uint8_t code = 0; code < 0x7E; ++code) {
    const auto next = static_cast<std::uint8_t>(code + 1);
    const auto halfway = static_cast<float>((defined(code) + defined(next)) / 2);
    const std::uint8_t even = code % 2 == 0 ? code : next;
    const float below = std::nextafter(halfway, 0.0F);
    const float above = std::nextafter(halfway, 1e30F);
    for (const int sign : {0, 0x80}) {
      const auto with = [&](float value) { return sign == 0 ? value : -value; };
      EXPECT_EQ(float_to_e4m3(with(halfway)), even | sign) << int{code};
      EXPECT_EQ(float_to_e4m3(with(below)), code | sign) << int{code};
      EXPECT_EQ(float_to_e4m3(with(above)), next | sign) << int{code};
    }
  }
}

TEST(E4m3, IsTheNearestCodeOfAnyFloat) {
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    const std::uint8_t code = float_to_e4m3(value);
    if (std::isnan(value)) {
      EXPECT_EQ(code & 0x7F, 0x7F);
      continue;
    }
    const double clamped = std::clamp<double>(value, -448, 448);
    const double distance = std::abs(defined(code) - clamped);
    for (const int by : {-1, 1}) {
      const int magnitude = (code & 0x7F) + by;
      if (magnitude < 0 || magnitude > 0x7E) continue;
      const auto other = static_cast<std::uint8_t>((code & 0x80) | magnitude);
      ASSERT_LE(distance, std::abs(defined(other) - clamped)) << value;
    }
  }
}

TEST(E4m3, WhatIsTooLargeIsTheLargest) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const float value : {448.0F, 449.0F, 464.0F, 480.0F, 1e30F, kInfinity}) {
    EXPECT_EQ(float_to_e4m3(value), 0x7E) << value;
    EXPECT_EQ(float_to_e4m3(-value), 0xFE) << value;
  }
}

TEST(E4m3Scale, MakesARowsLargestTheLargestCode) {
  for (const float largest : {1e-20F, 0.01F, 1.0F, 448.0F, 3e38F}) {
    const E4m3Scale by = e4m3_scale(std::bit_cast<std::uint32_t>(largest));
    EXPECT_EQ(e4m3_code(largest, by), 0x7E) << largest;
    EXPECT_EQ(e4m3_code(-largest, by), 0xFE) << largest;
    EXPECT_NEAR(e4m3_to_float(0x7E) * by.scale / largest, 1.0, 1e-6);
  }
}

TEST(E4m3Scale, OfNoNumberShowsAndOfNextToNothingIsZero) {
  for (const std::uint32_t top : {0x7F800000U, 0x7FC00000U, 0x7F800001U}) {
    const E4m3Scale by = e4m3_scale(top);
    EXPECT_TRUE(std::isnan(by.scale));
    EXPECT_EQ(e4m3_code(std::numeric_limits<float>::infinity(), by), 0);
    EXPECT_EQ(e4m3_code(1.0F, by), 0);
  }
  for (const float largest : {0.0F, 1e-40F, 0x1p-101F}) {
    const E4m3Scale by = e4m3_scale(std::bit_cast<std::uint32_t>(largest));
    EXPECT_EQ(by.scale, 0.0F);
    EXPECT_EQ(e4m3_code(largest, by), 0);
  }
}

}  // namespace
}  // namespace espalier::runtime
