#include "runtime/cpu/fixed_math.h"

#include <bit>
#include <cstdint>
#include <initializer_list>

namespace espalier::runtime::cpu {
namespace {

// Adding it rounds a double of moderate size to the nearest integer, ties to even.
constexpr double kRounder = 6755399441055744.0;  // 1.5 * 2^52

}  // namespace

SineCosine sine_cosine(double x) {
  const double shifted = x * 0.63661977236758134308 + kRounder;  // 2 / pi
  const double n = shifted - kRounder;
  // pi / 2 in three parts of 24 bits and less, so that n times a part is exact (|n| < 2^29), and
  // the rest of it.
  const double r = (((x - n * 0x1.921fb4p+0) - n * 0x1.4442dp-24) - n * 0x1.8469898cc5170p-48);
  const double s = r * r;
  // Taylor's series to r^15 and r^16; |r| <= pi / 4.
  double sine = -1.0 / 1307674368000.0;
  for (const double c : {1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0, -1.0 / 5040.0,
                         1.0 / 120.0, -1.0 / 6.0}) {
    sine = sine * s + c;
  }
  sine = r + r * (s * sine);
  double cosine = 1.0 / 20922789888000.0;
  for (const double c : {-1.0 / 87178291200.0, 1.0 / 479001600.0, -1.0 / 3628800.0, 1.0 / 40320.0,
                         -1.0 / 720.0, 1.0 / 24.0, -0.5, 1.0}) {
    cosine = cosine * s + c;
  }
  switch (std::bit_cast<std::uint64_t>(shifted) & 3) {
    case 0:
      return {sine, cosine};
    case 1:
      return {cosine, -sine};
    case 2:
      return {-sine, -cosine};
    default:
      return {-cosine, sine};
  }
}

double logarithm(double x) {
  const auto bits = std::bit_cast<std::uint64_t>(x);
  auto exponent = static_cast<std::int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0xFFFFFFFFFFFFFULL) | 0x3FF0000000000000ULL);
  if (m > 1.41421356237309504880) {
    m = m * 0.5;
    ++exponent;
  }
  const double t = (m - 1.0) / (m + 1.0);  // |t| < 0.172; log m = 2 artanh t
  const double s = t * t;
  double series = 0;
  for (int k = 23; k >= 1; k -= 2) series = series * s + 1.0 / k;
  return 2.0 * t * series + static_cast<double>(exponent) * 0.69314718055994530942;
}

double exponential(double x) {
  const double shifted = x * 1.44269504088896340736 + kRounder;
  const double n = shifted - kRounder;
  const double r = (x - n * 0x1.62e42fee00000p-1) - n * 0x1.a39ef35793c76p-33;
  double series = 0;
  double factor = 1;
  double factorials[16];
  for (int k = 0; k < 16; ++k) {
    factorials[k] = factor;
    factor = factor * (k + 1);
  }
  for (int k = 15; k >= 0; --k) series = series * r + 1.0 / factorials[k];
  const auto power = static_cast<std::uint64_t>(static_cast<std::int64_t>(n) + 1023) << 52;
  return series * std::bit_cast<double>(power);
}

}  // namespace espalier::runtime::cpu
