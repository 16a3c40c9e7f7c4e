#include "grammar/decimal_multiple.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <numeric>

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kMostPlaces = 18;

// digits · 10^exponent, of a decimal text without its sign.
struct Scientific {
  std::string digits;
  std::int64_t exponent = 0;
};

Scientific read(std::string_view text) {
  Scientific out;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  bool fraction = false;
  std::size_t i = 0;
  for (; i < text.size() && text[i] != 'e' && text[i] != 'E'; ++i) {
    if (text[i] == '.') {
      fraction = true;
      continue;
    }
    out.digits += text[i];
    out.exponent -= fraction ? 1 : 0;
  }
  if (i < text.size()) {
    std::string_view written = text.substr(i + 1);
    const bool negative = written.starts_with('-');
    if (negative || written.starts_with('+')) written.remove_prefix(1);
    std::int64_t exponent = 0;
    for (const char c : written)
      exponent = std::min<std::int64_t>(exponent * 10 + (c - '0'), 1 << 30);
    out.exponent += negative ? -exponent : exponent;
  }
  while (out.digits.size() > 1 && out.digits.back() == '0') {
    out.digits.pop_back();
    ++out.exponent;
  }
  return out;
}

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

}  // namespace

std::optional<DecimalMultiple> DecimalMultiple::of(double divisor) {
  if (!(divisor > 0)) return std::nullopt;
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, divisor);
  Scientific number = read(std::string_view(text, static_cast<std::size_t>(end.ptr - text)));
  number.digits.erase(0, number.digits.find_first_not_of('0'));
  if (number.digits.size() > 10) return std::nullopt;
  std::uint64_t modulus = std::strtoull(number.digits.c_str(), nullptr, 10);
  for (; number.exponent > 0 && modulus <= UINT32_MAX; --number.exponent) modulus *= 10;
  if (number.exponent > 0 || number.exponent < -static_cast<std::int64_t>(kMostPlaces)) {
    return std::nullopt;
  }
  const auto places = static_cast<std::uint32_t>(-number.exponent);
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

bool DecimalMultiple::divides(std::string_view number) const {
  const Scientific value = read(number);
  std::uint64_t remainder = 0;
  bool zero = true;
  for (const char c : value.digits) {
    zero = zero && c == '0';
    remainder = (times(remainder, 10, modulus_) + static_cast<std::uint64_t>(c - '0')) % modulus_;
  }
  if (zero) return true;
  const std::int64_t shift = value.exponent + places_;
  if (shift < 0) return false;  // its last digit, not zero, stands beyond the divisor's
  return times(remainder, power_of_ten(shift, modulus_), modulus_) == 0;
}

}  // namespace espalier::grammar
