#include "grammar/decimal_multiple.h"

#include <algorithm>
#include <cstdlib>
#include <numeric>

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kMostPlaces = 18;

std::uint64_t times(std::uint64_t a, std::uint64_t b, std::uint64_t modulus) {
  return (a % modulus) * (b % modulus) % modulus;  // moduli are below 2^32
}

std::uint64_t power_of_ten(std::int64_t n, std::uint64_t modulus) {
  std::uint64_t out = 1 % modulus;
  std::uint64_t base = 10 % modulus;
  for (; n > 0; n >>= 1) {
    if ((n & 1) != 0) out = times(out, base, modulus);
    base = times(base, base, modulus);
  }
  return out;
}

// The least number that is a multiple of both; nothing where it takes too many digits.
std::optional<Decimal> least_common(const Decimal& a, const Decimal& b) {
  constexpr std::int32_t kMostDigits = 18;
  const auto exponent = [](const Decimal& d) {
    return d.point - static_cast<std::int32_t>(d.digits.size());
  };
  const std::int32_t unit = std::min(exponent(a), exponent(b));
  const auto units_of = [&](const Decimal& d) -> std::uint64_t {
    const std::int32_t zeros = exponent(d) - unit;
    if (zeros > kMostDigits || d.digits.size() + static_cast<std::size_t>(zeros) > kMostDigits) {
      return 0;
    }
    return std::stoull(d.digits + std::string(static_cast<std::size_t>(zeros), '0'));
  };
  const std::uint64_t x = units_of(a), y = units_of(b);
  if (x == 0 || y == 0) return std::nullopt;
  const std::uint64_t times = x / std::gcd(x, y);
  if (times > UINT64_MAX / y) return std::nullopt;
  return Decimal::read(std::to_string(times * y) + "e" + std::to_string(unit));
}

}  // namespace

std::vector<Decimal> DecimalMultiple::joined(const std::vector<Decimal>& divisors) {
  std::vector<Decimal> out;
  for (const Decimal& divisor : divisors) {
    const bool known = std::ranges::any_of(out, [&](Decimal& other) {
      const std::optional<Decimal> both = least_common(other, divisor);
      if (!both || !of(*both)) return false;
      other = *both;
      return true;
    });
    if (!known) out.push_back(divisor);
  }
  return out;
}

std::optional<DecimalMultiple> DecimalMultiple::of(const Decimal& divisor) {
  if (divisor.negative || divisor.zero() || divisor.digits.size() > 10) return std::nullopt;
  std::uint64_t modulus = std::strtoull(divisor.digits.c_str(), nullptr, 10);
  std::int64_t exponent = divisor.point - static_cast<std::int64_t>(divisor.digits.size());
  for (; exponent > 0 && modulus <= UINT32_MAX; --exponent) modulus *= 10;
  if (exponent > 0 || exponent < -static_cast<std::int64_t>(kMostPlaces)) return std::nullopt;
  const auto places = static_cast<std::uint32_t>(-exponent);
  if (modulus > (UINT32_MAX - 1) / (places + 3)) return std::nullopt;
  return DecimalMultiple(modulus, places);
}

// Digits after the point that still count.
std::uint32_t DecimalMultiple::places_left(std::uint32_t phase) const {
  return phase == 0 ? places_ : places_ - std::min(phase - 1, places_);
}

// The fewest digits, of these the least number, that make a multiple of what was read; nothing
// where none do.
std::optional<std::string> DecimalMultiple::digits_to(const Place& at) const {
  const bool whole = at.phase == 0;
  const std::uint32_t left = places_left(at.phase);
  const std::uint32_t least = at.phase == 1 ? 1 : 0;
  if (!whole && left == 0) {
    if (at.remainder != 0) return std::nullopt;
    return std::string(least, '0');
  }
  std::uint64_t range = 1;  // 10^digits
  for (std::uint32_t digits = 0; whole || digits <= left; ++digits, range *= 10) {
    if (digits < least) continue;
    const std::uint32_t zeros = whole ? places_ : left - digits;
    std::uint64_t scale = 1;
    for (std::uint32_t i = 0; i < zeros; ++i) scale *= 10;
    const std::uint64_t modulus = modulus_ / std::gcd(modulus_, scale);
    const std::uint64_t shifted = times(at.remainder % modulus, range % modulus, modulus);
    const std::uint64_t rest = shifted == 0 ? 0 : modulus - shifted;
    if (rest >= range) continue;
    if (digits == 0) return std::string();
    const std::string text = std::to_string(rest);
    return std::string(digits - text.size(), '0') + text;
  }
  return std::nullopt;
}

std::optional<DecimalMultiple::State> DecimalMultiple::step(State at, unsigned char byte) const {
  const bool digit = byte >= '0' && byte <= '9';
  const auto value = static_cast<std::uint64_t>(byte - '0');
  if (at == kStart) {
    if (!digit) return std::nullopt;
    return state({value % modulus_, 0});
  }
  Place to = place(at);
  if (byte == '.') {
    if (to.phase != 0) return std::nullopt;
    to.phase = 1;
  } else if (!digit) {
    return std::nullopt;
  } else if (to.phase == 0) {
    to.remainder = (to.remainder * 10 + value) % modulus_;
  } else if (places_left(to.phase) > 0) {
    to.remainder = (to.remainder * 10 + value) % modulus_;
    ++to.phase;
  } else {
    if (value != 0) return std::nullopt;
    if (to.phase == 1) ++to.phase;
  }
  if (to.phase > 0 && !digits_to(to)) return std::nullopt;
  return state(to);
}

bool DecimalMultiple::accepting(State at) const {
  if (at == kStart) return false;
  const Place p = place(at);
  if (p.phase == 1) return false;
  return times(p.remainder, power_of_ten(places_left(p.phase), modulus_), modulus_) == 0;
}

ByteSet DecimalMultiple::bytes(State at) const {
  ByteSet out;
  for (const char c : std::string_view("0123456789.")) {
    if (step(at, static_cast<unsigned char>(c))) out.add(static_cast<unsigned char>(c));
  }
  return out;
}

std::string DecimalMultiple::closing(State at) const {
  return at == kStart ? "0" : digits_to(place(at)).value_or("");
}

bool DecimalMultiple::divides(const Decimal& number) const {
  if (number.zero()) return true;
  std::uint64_t remainder = 0;
  for (const char c : number.digits) {
    remainder = (times(remainder, 10, modulus_) + static_cast<std::uint64_t>(c - '0')) % modulus_;
  }
  const std::int64_t shift =
      number.point - static_cast<std::int64_t>(number.digits.size()) + places_;
  if (shift < 0) return false;  // its last digit, not zero, stands beyond the divisor's
  return times(remainder, power_of_ten(shift, modulus_), modulus_) == 0;
}

}  // namespace espalier::grammar
