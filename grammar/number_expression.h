// Decimal numbers within a range, as expressions. Exact: a word is in the language iff it is
// well-formed and its decimal value lies within the bounds. No captures inside; wrap the result
// (Capture::kInteger, kFloat, kNumber).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grammar/decimal.h"
#include "grammar/expression.h"

namespace espalier::grammar {

/// Decimals have at most so many digits (a double never needs more), behind so many zeros at the
/// beginning that programs write before them, and an exponent up to this one on either side.
constexpr std::uint32_t kDecimalDigits = 17;
constexpr std::uint32_t kDecimalZeros = 6;
constexpr int kDecimalExponent = 99;
/// Decimals of so many digits are different doubles.
constexpr std::uint32_t kDistinctDigits = 15;

struct DecimalRange {
  std::optional<Decimal> low, high;  // absent: no bound
  bool low_open = false;             // value > low instead of >=
  bool high_open = false;

  /// Narrows it by one bound more.
  void at_least(const Decimal& bound, bool open) {
    if (low && (bound < *low || (bound == *low && !open))) return;
    low = bound;
    low_open = open;
  }
  void at_most(const Decimal& bound, bool open) {
    if (high && (bound > *high || (bound == *high && !open))) return;
    high = bound;
    high_open = open;
  }
};

/// -?(0|[1-9][0-9]*) within the range (any number of digits on a side without a bound). "-0" is in
/// where 0 is. Empty where the range is.
Expr integer_range(ExpressionPool& pool, const DecimalRange& range);

/// JSON numbers of at most 17 digits, with an exponent of at most two digits. Where a bound is
/// given, words with an exponent have one non-zero digit before the point (1.5e3, not 15e2), so
/// that the range stays exact. Empty where the range is.
Expr decimal_range(ExpressionPool& pool, const DecimalRange& range);

/// Of JSON numbers, those spellings of which each value has few, so that one can be taken away by
/// its texts (decimal_spellings). With a point at most 15 digits: more would be other decimals of
/// the same double. With an exponent one non-zero digit before the point and no zero at the
/// fraction's end (1.5e3, not 15e2 or 1.50e3).
Expr distinct_decimals(ExpressionPool& pool);

/// All texts of distinct_decimals() whose value is this one and whose exponent has at most two
/// digits.
std::vector<std::string> decimal_spellings(const Decimal& value);

}  // namespace espalier::grammar
