// Decimal numbers within a range, as expressions. Exact: a word is in the language iff it is
// well-formed and its decimal value lies within the bounds. No captures inside; wrap the result
// (Capture::kInteger, kFloat, kNumber).
#pragma once

#include <cstdint>
#include <optional>

#include "grammar/expression.h"

namespace espalier::grammar {

/// -?(0|[1-9][0-9]*) with low <= value <= high; an absent bound is none (any number of digits on
/// that side). "-0" is in where 0 is. Empty where low > high.
Expr integer_range(ExpressionPool& pool, std::optional<std::int64_t> low,
                   std::optional<std::int64_t> high);

struct DecimalRange {
  std::optional<double> low, high;  // bounds are taken as their shortest decimal form (0.1 is 0.1)
  bool low_open = false;            // value > low instead of >=
  bool high_open = false;
};

/// JSON numbers of at most 17 digits, with an exponent of at most two digits. Where a bound is
/// given, words with an exponent have one non-zero digit before the point (1.5e3, not 15e2), so
/// that the range stays exact. Empty where the range is, or where a bound is not finite.
Expr decimal_range(ExpressionPool& pool, const DecimalRange& range);

/// Of JSON numbers, the spellings that are told apart by value: what is in here and not in
/// decimal_range(n, n) is not n, also as a double. Words with an exponent have one non-zero digit
/// before the point, words with a point or an exponent at most 15 digits (0.1 and
/// 0.10000000000000001 are one double).
Expr distinct_decimals(ExpressionPool& pool);

}  // namespace espalier::grammar
