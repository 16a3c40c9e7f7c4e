#include "grammar/schema/integer_multiples.h"

#include <algorithm>
#include <string_view>

#include "grammar/hash.h"
#include "grammar/schema/number_condition.h"

namespace espalier::grammar {
namespace {

// Zeros that may stand behind the point of a number.
std::uint32_t most_zeros(std::uint64_t magnitude) {
  if (magnitude == 0) return kDecimalZeros + kDecimalDigits;
  const auto digits = static_cast<std::uint32_t>(std::to_string(magnitude).size());
  return kDecimalDigits - std::min(digits, kDecimalDigits);
}

// Whether all that satisfies it satisfies a literal for which `is` holds.
template <class Is>
bool always(const Formulas& formulas, FormulaId f, const Is& is) {
  if (formulas.op(f) == Formulas::Op::kLiteral) return is(f);
  const auto held = [&](FormulaId part) { return always(formulas, part, is); };
  const auto children = formulas.children(f);
  return formulas.op(f) == Formulas::Op::kOr ? std::ranges::all_of(children, held)
                                             : std::ranges::any_of(children, held);
}

}  // namespace

std::optional<IntegerMultiples> IntegerMultiples::of(Formulas& formulas, FormulaId f) {
  constexpr std::uint64_t kFewRemainders = 32;
  if (!formulas.has_atom(f, AtomKind::kMultipleOf)) return std::nullopt;
  JsonTypes types;
  DecimalRange range;
  std::vector<FormulaId> rest;  // what is said beside the kind and bounds of all
  for (const FormulaId part : formulas.parts(f)) {
    if (formulas.op(part) != Formulas::Op::kLiteral || !narrow(formulas, part, types, range)) {
      rest.push_back(part);
    }
  }
  const auto integer = [&](FormulaId l) {
    const Atom& atom = formulas.atom(l);
    const JsonTypes own(static_cast<std::uint8_t>(atom.a));
    return atom.kind == AtomKind::kType && (own & JsonTypes::kFraction).none();
  };
  // Multiples of a whole number are whole.
  const auto whole = [&](FormulaId l) {
    const Atom& atom = formulas.atom(l);
    return atom.kind == AtomKind::kMultipleOf && !formulas.negated(l) &&
           formulas.number_of(atom.a).whole();
  };
  const auto some_always = [&](const auto& is) {
    return std::ranges::any_of(rest, [&](FormulaId part) { return always(formulas, part, is); });
  };
  const bool integers = types == JsonTypes(JsonTypes::kInteger) ||
                        (types == JsonTypes(JsonTypes::kNumber) && some_always(integer));
  // Integers are written without a point, so none may be among numbers.
  const bool numbers = !integers && types == JsonTypes(JsonTypes::kNumber) && some_always(whole) &&
                       std::ranges::none_of(rest, [&](FormulaId part) {
                         return formulas.has_atom(part, AtomKind::kType);
                       });
  if (!integers && !numbers) return std::nullopt;
  auto plain = MagnitudeCondition::of(formulas, rest, false);
  auto signed_ = MagnitudeCondition::of(formulas, rest, true);
  if (!plain || !signed_) return std::nullopt;
  const std::optional<std::uint64_t> modulus = plain->only_modulus();
  if (modulus && *modulus > 0 && *modulus <= kFewRemainders) return std::nullopt;
  if (numbers) {
    std::int64_t most = 1;
    for (std::uint32_t i = 0; i < kDecimalDigits; ++i) most *= 10;
    range.at_least(Decimal(-most), true);
    range.at_most(Decimal(most), true);
  } else {
    bound_integers(range, top_integer(formulas, f));
  }
  return IntegerMultiples({std::move(*plain), std::move(*signed_)}, range, numbers);
}

IntegerMultiples::IntegerMultiples(std::array<MagnitudeCondition, 2> conditions,
                                   const DecimalRange& range, bool points)
    : points_(points), conditions_(std::move(conditions)) {
  const Decimal &low = *range.low, &high = *range.high;
  const bool low_below = low.negative, high_below = high.negative;
  const auto between = [](std::optional<std::uint64_t> least, std::optional<std::uint64_t> most) {
    return least && most && *least <= *most ? Bounds{true, *least, *most} : Bounds{};
  };
  if (!high_below) {
    bounds_[0] = between(low_below ? 0 : least_magnitude(low, range.low_open),
                         most_magnitude(high, range.high_open));
  }
  if (low_below || (low.zero() && !range.low_open)) {
    const bool from_high = high_below || high.zero();
    bounds_[1] = between(from_high ? least_magnitude(high, range.high_open) : 0,
                         low_below ? most_magnitude(low, range.low_open) : 0);
  }
  // Live where a digit may come, at once or behind the sign.
  const auto begins = [&](const Place& at) {
    for (unsigned char digit = '0'; digit <= '9'; ++digit) {
      if (after(at, {}, digit)) return true;
    }
    return false;
  };
  const Place start;
  if (begins(start) || begins({Phase::kSign, true, 0, 0})) start_ = state({start, {}});
}

// Behind the first digit: what makes a number that may come, with so many digits or more; nothing
// where nothing does.
std::optional<IntegerMultiples::Rest> IntegerMultiples::rest_of(const Place& at,
                                                                std::uint8_t digits) const {
  const Bounds& bounds = bounds_[at.negative ? 1 : 0];
  const MagnitudeCondition& condition = conditions_[at.negative ? 1 : 0];
  if (!bounds.some) return std::nullopt;
  std::uint64_t range = 1;  // 10^digits
  for (std::uint8_t i = 0; i < digits; ++i) {
    if (range > UINT64_MAX / 10) return std::nullopt;
    range *= 10;
  }
  for (;; ++digits, range *= 10) {
    // Those that begin so with so many digits more.
    if (at.magnitude > bounds.most / range) return std::nullopt;
    const std::uint64_t first = at.magnitude * range;
    const std::uint64_t from = std::max(first, bounds.least);
    const std::uint64_t to = first + std::min(range - 1, bounds.most - first);
    if (from <= to) {
      if (const auto number = condition.first(from, to)) return Rest{digits, *number};
    }
    if (at.magnitude == 0 || range > UINT64_MAX / 10) return std::nullopt;
  }
}

// A byte on, where some number goes on so.
std::optional<IntegerMultiples::Step> IntegerMultiples::after(const Place& at, const Rest& rest,
                                                              unsigned char byte) const {
  Place to = at;
  if (byte == '.' && points_ && at.phase == Phase::kDigits) {
    to.phase = Phase::kPoint;
    if (rest.digits > 0 || most_zeros(at.magnitude) == 0) return std::nullopt;
    return Step{to, {}};
  }
  if (at.phase > Phase::kDigits) {
    to.phase = Phase::kZeros;
    if (byte != '0' || ++to.zeros > most_zeros(at.magnitude)) return std::nullopt;
    return Step{to, {}};
  }
  if (byte == '-' && at.phase == Phase::kStart) {
    to = {Phase::kSign, true, 0, 0};
    for (unsigned char digit = '0'; digit <= '9'; ++digit) {
      if (after(to, {}, digit)) return Step{to, {}};
    }
    return std::nullopt;
  }
  if (byte < '0' || byte > '9') return std::nullopt;
  const auto digit = static_cast<std::uint64_t>(byte - '0');
  const bool first = at.phase != Phase::kDigits;
  if (!first && (at.magnitude == 0 || at.magnitude > (UINT64_MAX - digit) / 10)) {
    return std::nullopt;
  }
  to.phase = Phase::kDigits;
  to.magnitude = (first ? 0 : at.magnitude * 10) + digit;
  // What is nearest from a place is so from each on the way there. None has less to come than one
  // digit fewer; behind a number itself nothing is known.
  if (!first && rest.digits > 0) {
    std::uint64_t range = 1;
    for (std::uint8_t i = 1; i < rest.digits; ++i) range *= 10;
    const auto fewer = static_cast<std::uint8_t>(rest.digits - 1);
    if (rest.number / range == to.magnitude) return Step{to, {fewer, rest.number}};
    const auto found = rest_of(to, fewer);
    return found ? std::optional(Step{to, *found}) : std::nullopt;
  }
  const auto found = rest_of(to, 0);
  return found ? std::optional(Step{to, *found}) : std::nullopt;
}

std::uint32_t IntegerMultiples::state(const Step& at) {
  const Place& place = at.first;
  const std::size_t hash =
      mix(static_cast<std::size_t>(place.phase) * 64 + place.zeros * 2U + (place.negative ? 1 : 0),
          place.magnitude);
  std::uint32_t id = ids_.find(hash, [&](std::uint32_t other) { return states_[other] == place; });
  if (id == InternTable::kNone) {
    id = static_cast<std::uint32_t>(states_.size());
    ids_.insert(hash, id);
    states_.push_back(place);
    rests_.push_back(at.second);
  }
  return id;
}

std::uint32_t IntegerMultiples::step(std::uint32_t state, unsigned char byte) {
  const std::optional<Step> to = after(states_[state], rests_[state], byte);
  return to ? this->state(*to) : kNone;
}

bool IntegerMultiples::accepting(std::uint32_t state) const {
  const Phase phase = states_[state].phase;
  return phase == Phase::kZeros || (phase == Phase::kDigits && rests_[state].digits == 0);
}

ByteSet IntegerMultiples::bytes_of(std::uint32_t state) const {
  ByteSet out;
  for (ByteSet rest = alphabet(); !rest.none(); rest.remove(rest.lowest())) {
    const auto byte = static_cast<unsigned char>(rest.lowest());
    if (after(states_[state], rests_[state], byte)) out.add(byte);
  }
  return out;
}

bool IntegerMultiples::goes_on(std::uint32_t state) const {
  for (const char c : std::string_view("0123456789.-")) {
    if (after(states_[state], rests_[state], static_cast<unsigned char>(c))) return true;
  }
  return false;
}

std::string IntegerMultiples::closing_word(std::uint32_t state) {
  const auto word_of = [](const Rest& rest) {
    const std::string digits = std::to_string(rest.number);
    return digits.substr(digits.size() - rest.digits);
  };
  const Place at = states_[state];
  if (at.phase == Phase::kDigits) return word_of(rests_[state]);
  if (at.phase > Phase::kDigits) return at.phase == Phase::kPoint ? "0" : "";
  std::optional<std::string> best;
  const auto consider = [&](const Place& from, const std::string& before) {
    for (char digit = '0'; digit <= '9'; ++digit) {
      const auto to = after(from, {}, static_cast<unsigned char>(digit));
      if (!to) continue;
      const std::string word = before + digit + word_of(to->second);
      if (!best || word.size() < best->size()) best = word;
    }
  };
  consider(at, "");
  if (at.phase == Phase::kStart) consider({Phase::kSign, true, 0, 0}, "-");
  return best.value_or("");
}

}  // namespace espalier::grammar
