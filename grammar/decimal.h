// Decimal numbers exactly, of any length: what a JSON number's text says, where a double would
// round.
//
// For bounds and divisors, which are compared and written out. No arithmetic. Owns its digits; all
// is linear in them.
#pragma once

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "grammar/json.h"

namespace espalier::grammar {

/// ±0.d1d2…dn · 10^point, d1 and dn not zero; no digits is zero, which has no sign. So equal
/// numbers have equal members.
struct Decimal {
  bool negative = false;
  std::string digits;
  std::int32_t point = 0;

  /// Places that a number may take when it is written without an exponent.
  static constexpr std::int32_t kMostPlaces = 4096;

  Decimal() = default;
  /// A whole double within 64 bits, else its shortest decimal form (0.1 is a tenth); `value` is
  /// finite.
  // NOLINTNEXTLINE(google-explicit-constructor): a number is the decimal that it says
  Decimal(double value);
  template <std::integral T>
  // NOLINTNEXTLINE(google-explicit-constructor): as above
  Decimal(T value) : Decimal(*read(std::to_string(value))) {}

  /// What a JSON number's text says; nothing where it takes more than kMostPlaces.
  [[nodiscard]] static std::optional<Decimal> read(std::string_view text);
  /// Of a number, also one that read_json_exactly() keeps as its text; nothing where `value` is
  /// none.
  [[nodiscard]] static std::optional<Decimal> of(const Json& value);

  [[nodiscard]] bool zero() const { return digits.empty(); }
  /// Whether nothing but zeros stands behind the point.
  [[nodiscard]] bool whole() const { return point >= static_cast<std::int32_t>(digits.size()); }
  /// The magnitude's digits before the point, without leading zeros (0 where there are none), and
  /// those behind it, without zeros at the end.
  [[nodiscard]] std::string whole_part() const;
  [[nodiscard]] std::string fraction() const;
  /// A JSON number's text without an exponent: the same for equal numbers.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::size_t held_bytes() const;

  friend bool operator==(const Decimal&, const Decimal&) = default;
  friend std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);
};

/// Whether `value` is a number, also one that is kept as its text.
[[nodiscard]] inline bool is_json_number(const Json& value) {
  return value.is_number() || value.is_binary();
}
/// Whether a number that is kept as its text stands in `value`.
[[nodiscard]] bool holds_number_text(const Json& value);
/// The order of two JSON numbers, of whatever kinds: the library rounds one to the other's.
std::strong_ordering compare_numbers(const Json& a, const Json& b);

}  // namespace espalier::grammar
