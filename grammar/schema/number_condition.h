// Which numbers a formula admits, where it speaks of nothing but their kind and bounds: ranges of
// which one or another must hold, nested as the formula is.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "grammar/json_schema_keywords.h"
#include "grammar/number_expression.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

/// Bounds of a condition, of which automata are made directly.
constexpr std::size_t kMostNumberBounds = 2000;

struct NumberCondition {
  /// Of kNumber; integers have both bounds, within 64 bits.
  JsonTypes types = JsonTypes(JsonTypes::kNumber);
  DecimalRange range;
  /// Only spellings of distinct_decimals(); of fractions.
  bool distinct = false;
  /// Only spellings without an exponent.
  bool plain = false;
  /// Of each of these one must hold besides.
  std::vector<std::vector<NumberCondition>> choices;
};

/// Takes a literal of a kind or a bound into `types` and `range`; false where it says something
/// else.
bool narrow(const Formulas& formulas, FormulaId literal, JsonTypes& types, DecimalRange& range);
/// Integers go as far as 64 bits do: signed ones, and above where a bound of `f` lies there.
Decimal top_integer(Formulas& formulas, FormulaId f);
/// Sets both bounds of integers.
void bound_integers(DecimalRange& range, const Decimal& top);

/// The numbers of `f`, as ScalarExpressions has them; nothing where it says more of them. Without
/// other types.
std::optional<NumberCondition> number_condition(Formulas& formulas, FormulaId f);

}  // namespace espalier::grammar
