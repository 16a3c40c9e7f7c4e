#include "grammar/decimal.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>
#include <vector>

#include "grammar/held_bytes.h"

namespace espalier::grammar {

Decimal::Decimal(double value) {
  constexpr double kTop = 18446744073709551616.0;  // 2^64
  if (std::trunc(value) == value && value < kTop && value >= -kTop / 2) {
    *this = value < 0 ? Decimal(static_cast<std::int64_t>(value))
                      : Decimal(static_cast<std::uint64_t>(value));
    return;
  }
  char buffer[64];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific).ptr;
  *this = *read(std::string_view(buffer, static_cast<std::size_t>(end - buffer)));
}

std::optional<Decimal> Decimal::read(std::string_view text) {
  Decimal out;
  out.negative = text.starts_with('-');
  if (out.negative) text.remove_prefix(1);
  const std::size_t e = std::min(text.find_first_of("eE"), text.size());
  const std::string_view mantissa = text.substr(0, e);
  const std::size_t dot = std::min(mantissa.find('.'), mantissa.size());
  out.digits = mantissa.substr(0, dot);
  if (dot < mantissa.size()) out.digits += mantissa.substr(dot + 1);
  const std::size_t first = out.digits.find_first_not_of('0');
  if (first == std::string::npos) return Decimal();
  out.digits.erase(out.digits.find_last_not_of('0') + 1);
  out.digits.erase(0, first);
  // Past this no number is left within the bounds, however many digits stand before the exponent.
  constexpr std::int64_t kFar = std::int64_t{1} << 40;
  std::int64_t exponent = 0;
  std::string_view written = text.substr(std::min(e + 1, text.size()));
  const bool down = written.starts_with('-');
  if (down || written.starts_with('+')) written.remove_prefix(1);
  for (const char c : written) exponent = std::min(exponent * 10 + (c - '0'), kFar);
  const std::int64_t point = static_cast<std::int64_t>(dot) - static_cast<std::int64_t>(first) +
                             (down ? -exponent : exponent);
  const auto size = static_cast<std::int64_t>(out.digits.size());
  if (std::max(point, size) - std::min<std::int64_t>(point, 0) > kMostPlaces) return std::nullopt;
  out.point = static_cast<std::int32_t>(point);
  return out;
}

std::optional<Decimal> Decimal::of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::number_integer:
      return Decimal(value.get<std::int64_t>());
    case Json::value_t::number_unsigned:
      return Decimal(value.get<std::uint64_t>());
    case Json::value_t::number_float:
      return Decimal(value.get<double>());
    case Json::value_t::binary: {
      const auto& text = value.get_binary();
      return read(std::string(text.begin(), text.end()));
    }
    default:
      return std::nullopt;
  }
}

std::string Decimal::whole_part() const {
  if (point <= 0) return "0";
  std::string out = digits.substr(0, static_cast<std::size_t>(point));
  out.resize(static_cast<std::size_t>(point), '0');
  return out;
}

std::string Decimal::fraction() const {
  if (whole()) return "";
  if (point <= 0) return std::string(static_cast<std::size_t>(-point), '0') + digits;
  return digits.substr(static_cast<std::size_t>(point));
}

std::string Decimal::text() const {
  std::string out = (negative ? "-" : "") + whole_part();
  if (const std::string rest = fraction(); !rest.empty()) out += "." + rest;
  return out;
}

std::size_t Decimal::held_bytes() const { return grammar::held_bytes(digits); }

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return b.negative <=> a.negative;
  const Decimal& low = a.negative ? b : a;  // of negative ones the larger magnitude is less
  const Decimal& high = a.negative ? a : b;
  if (low.zero() || high.zero()) return high.zero() <=> low.zero();
  if (low.point != high.point) return low.point <=> high.point;
  return low.digits.compare(high.digits) <=> 0;
}

bool holds_number_text(const Json& value) {
  std::vector<const Json*> open{&value};
  while (!open.empty()) {
    const Json& at = *open.back();
    open.pop_back();
    if (at.is_binary()) return true;
    if (!at.is_structured()) continue;
    for (const Json& inner : at) open.push_back(&inner);
  }
  return false;
}

std::strong_ordering compare_numbers(const Json& a, const Json& b) {
  if (a.is_number_integer() && b.is_number_integer()) {  // of either sign's kind
    const auto below_zero = [](const Json& n) { return !n.is_number_unsigned() && n < 0; };
    if (below_zero(a) || below_zero(b)) {
      if (!below_zero(a) || !below_zero(b)) return below_zero(b) <=> below_zero(a);
      return a.get<std::int64_t>() <=> b.get<std::int64_t>();
    }
    return a.get<std::uint64_t>() <=> b.get<std::uint64_t>();
  }
  return *Decimal::of(a) <=> *Decimal::of(b);
}

}  // namespace espalier::grammar
