#include "grammar/schema/number_verdicts.h"

#include <algorithm>
#include <utility>

namespace espalier::grammar {
namespace {

using F = NumberForms;
constexpr F::Bits kBrokenForms = F::kBroken | F::kLongBroken;
constexpr F::Bits kRangedForms = F::kWhole | F::kRound | F::kLongRound | kBrokenForms |
                                 F::kTidyPower | F::kLoosePower;  // of decimal_range() with a bound
constexpr F::Bits kPowers = F::kTidyPower | F::kLoosePower | F::kAnyPower;
constexpr F::Bits kDistinctForms = F::kWhole | F::kRound | F::kBroken | F::kTidyPower;

// As integer_range() and decimal_range() have it.
F::Bits forms_of(const NumberCondition& condition) {
  if (condition.types.none()) return 0;
  if (condition.types == JsonTypes(JsonTypes::kInteger)) return F::kWhole | F::kLongWhole;
  const bool ranged = condition.range.low || condition.range.high;
  F::Bits out = ranged ? kRangedForms : kRangedForms | F::kAnyPower;
  if (condition.types == JsonTypes(JsonTypes::kFraction)) out &= kBrokenForms;
  if (condition.distinct) out &= kDistinctForms;
  if (condition.plain) out &= static_cast<F::Bits>(~kPowers);
  return out;
}

// A condition with its range as places: `from` up to `to`, none where that is less.
struct Placed {
  std::size_t from = 0, to = 0;
  F::Bits forms = 0;
  std::vector<std::vector<Placed>> choices;

  Placed(const NumberCondition& condition, const std::vector<Decimal>& bounds)
      : to(2 * bounds.size()), forms(forms_of(condition)) {
    const auto place_of = [&](const Decimal& bound) {
      const auto at = std::lower_bound(bounds.begin(), bounds.end(), bound);
      return 2 * static_cast<std::size_t>(at - bounds.begin()) + 1;
    };
    const DecimalRange& range = condition.range;
    if (range.low) from = place_of(*range.low) + (range.low_open ? 1 : 0);
    if (range.high) to = place_of(*range.high) - (range.high_open ? 1 : 0);
    for (const auto& any : condition.choices) {
      auto& some = choices.emplace_back();
      for (const NumberCondition& one : any) some.emplace_back(one, bounds);
    }
  }

  [[nodiscard]] F::Bits at(std::size_t place) const {
    F::Bits out = from <= place && place <= to ? forms : 0;
    for (const auto& any : choices) {
      F::Bits some = 0;
      for (const Placed& one : any) {
        if ((out & ~some) != 0) some |= one.at(place);
      }
      out &= some;
    }
    return out;
  }
};

}  // namespace

NumberVerdicts::NumberVerdicts(const NumberCondition& condition) {
  collect(condition);
  std::sort(bounds_.begin(), bounds_.end());
  bounds_.erase(std::unique(bounds_.begin(), bounds_.end()), bounds_.end());
  if (bounds_.size() > kMostNumberBounds) return;
  const Placed placed(condition, bounds_);
  forms_.resize(2 * bounds_.size() + 1);
  for (std::size_t place = 0; place < forms_.size(); ++place) forms_[place] = placed.at(place);
}

void NumberVerdicts::collect(const NumberCondition& condition) {
  if (condition.range.low) bounds_.push_back(*condition.range.low);
  if (condition.range.high) bounds_.push_back(*condition.range.high);
  for (const auto& any : condition.choices) {
    for (const NumberCondition& one : any) collect(one);
  }
}

NumberVerdicts::OneSign NumberVerdicts::of_sign(bool negative) const {
  OneSign out;
  const auto begin = std::lower_bound(bounds_.begin(), bounds_.end(), Decimal());
  const std::size_t zeros = begin != bounds_.end() && begin->zero() ? 1 : 0;
  const auto smaller = static_cast<std::size_t>(begin - bounds_.begin());  // than zero
  const std::size_t count = negative ? smaller : bounds_.size() - smaller - zeros;
  const auto away = [&](std::size_t places) {  // from zero
    return forms_[negative ? 2 * smaller - places : 2 * (smaller + zeros) + places];
  };
  out.zero = forms_[2 * smaller + zeros];
  out.below.push_back(away(0));
  for (std::size_t i = 0; i < count; ++i) {
    const F::Bits own = away(2 * i + 1), above = away(2 * i + 2);
    if (own == out.below.back() && own == above) continue;  // tells nothing apart
    Decimal magnitude = bounds_[negative ? smaller - 1 - i : smaller + zeros + i];
    magnitude.negative = false;
    out.bounds.push_back(std::move(magnitude));
    out.at.push_back(own);
    out.below.push_back(above);
  }
  return out;
}

}  // namespace espalier::grammar
