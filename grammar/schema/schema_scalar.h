// The texts of the scalars that a formula admits, as an expression over JSON's bytes.
//
// Under-approximates spellings, never values: every text is one of a scalar that satisfies the
// formula, and every such scalar has a text, but for numbers beyond number_expression.h's digits
// and integers beyond 64 bits. Strings that patterns or enumerations speak of stand in their
// canonical spelling, others in any; what is taken away is taken from canonical spellings, so that
// no other spelling of it is left.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "grammar/expression.h"
#include "grammar/json_expression.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

class ScalarExpressions {
 public:
  /// `holds` decides whether a scalar satisfies a formula.
  ScalarExpressions(ExpressionPool& pool, Formulas& formulas,
                    std::function<bool(FormulaId, const Json&)> holds)
      : pool_(pool), json_(pool), formulas_(formulas), holds_(std::move(holds)) {}

  /// `f` without AtomKind::kNode; where `canonical`, strings in canonical spelling alone, and of
  /// numbers those of which each value has few (distinct_decimals).
  Expr scalars(FormulaId f, bool canonical = false);
  /// The texts of these scalars.
  static std::vector<std::string> spellings(const std::vector<Json>& values);
  /// Of a number, all that scalars() may have where texts are taken away.
  static std::vector<std::string> all_spellings(const Json& number);
  /// The content's pattern, between the quotes; what it spells out in canonical spelling, what it
  /// only lets stand around that too where `canonical`.
  Expr pattern(const StringPattern& pattern, bool canonical);
  /// The multiples of a number, without an exponent; a leading zero is in where it stands alone or
  /// before a point.
  Expr multiples(const Decimal& of);

 private:
  Expr string(FormulaId f, bool canonical);
  Expr content(FormulaId f, bool canonical);
  Expr number(FormulaId f, bool distinct, JsonTypes types, const Decimal& top);
  Expr words(const std::vector<Json>& values);

  ExpressionPool& pool_;
  JsonExpressions json_;
  Formulas& formulas_;
  std::function<bool(FormulaId, const Json&)> holds_;
};

}  // namespace espalier::grammar
