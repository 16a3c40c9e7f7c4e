// What a condition says of numbers, by where they stand among its bounds and how they are written.
//
// The bounds that matter, in order, cut the numbers into places: each bound, and what lies between
// two. Owns copies of the bounds.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/decimal.h"
#include "grammar/schema/number_condition.h"

namespace espalier::grammar {

/// Ways to write a number, a bit each.
struct NumberForms {
  using Bits = std::uint16_t;
  static constexpr Bits kWhole = 1;         // digits alone
  static constexpr Bits kLongWhole = 2;     // more than kDecimalDigits of them
  static constexpr Bits kRound = 4;         // with a point, zeros alone behind it
  static constexpr Bits kLongRound = 8;     // and more than kDistinctDigits digits in all
  static constexpr Bits kBroken = 16;       // with a point, others behind it
  static constexpr Bits kLongBroken = 32;   // and more than kDistinctDigits digits in all
  static constexpr Bits kTidyPower = 64;    // with an exponent behind one digit, not 0, and perhaps
                                            // a fraction, as distinct_decimals() has it
  static constexpr Bits kLoosePower = 128;  // behind one digit, not 0, and another fraction
  static constexpr Bits kAnyPower = 256;    // with an exponent behind anything else
};

class NumberVerdicts {
 public:
  explicit NumberVerdicts(const NumberCondition& condition);
  [[nodiscard]] std::size_t bounds() const { return bounds_.size(); }

  /// Of numbers of one sign, by magnitude: the bounds that matter but for zero, in order, and in
  /// what forms numbers may be written that are zero, that are the i-th bound, that lie below it
  /// but above those before.
  struct OneSign {
    std::vector<Decimal> bounds;
    NumberForms::Bits zero = 0;
    std::vector<NumberForms::Bits> at;
    std::vector<NumberForms::Bits> below;  // and one more: above all
  };
  [[nodiscard]] OneSign of_sign(bool negative) const;

 private:
  void collect(const NumberCondition& condition);

  std::vector<Decimal> bounds_;
  std::vector<NumberForms::Bits> forms_;  // by place: below the first bound, at it, above it …
};

}  // namespace espalier::grammar
