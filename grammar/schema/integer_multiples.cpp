#include "grammar/schema/integer_multiples.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <span>

#include "grammar/hash.h"
#include "grammar/schema/number_condition.h"

namespace espalier::grammar {
namespace {

// 0 where it takes more than 64 bits.
std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  return a != 0 && b > UINT64_MAX / a ? 0 : a * b;
}

// Without as many factors as `times` has of it.
std::uint64_t without(std::uint64_t value, std::uint64_t factor, std::int64_t times) {
  for (; times > 0 && value % factor == 0; --times) value /= factor;
  return value;
}

std::optional<std::uint64_t> read(const std::string& digits) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return error == std::errc() ? std::optional(out) : std::nullopt;
}

// The least magnitude at or beyond that of `bound`, the greatest at or before it; nothing where it
// takes more than 64 bits, or lies below 0.
std::optional<std::uint64_t> least_from(const Decimal& bound, bool open) {
  const auto whole = read(bound.whole_part());
  const bool next = open || !bound.whole();
  if (!whole || (next && *whole == UINT64_MAX)) return std::nullopt;
  return *whole + (next ? 1 : 0);
}
std::optional<std::uint64_t> most_to(const Decimal& bound, bool open) {
  const auto whole = read(bound.whole_part());
  const bool before = open && bound.whole();
  if (!whole || (before && *whole == 0)) return std::nullopt;
  return *whole - (before ? 1 : 0);
}

// Of which number integers are multiples that are so of all of these, positive ones; 0 where it
// takes more than 64 bits. Nothing where one has too many digits. An integer n is a multiple of
// d / 10^k iff n · 10^k is one of d.
std::optional<std::uint64_t> modulus_of(std::span<const Decimal> steps) {
  std::uint64_t out = 1;
  for (const Decimal& step : steps) {
    auto own = read(step.digits);
    if (!own || *own == 0) return std::nullopt;
    std::int64_t exponent = step.point - static_cast<std::int64_t>(step.digits.size());
    if (exponent < 0) own = without(without(*own, 2, -exponent), 5, -exponent);
    for (; exponent > 0 && *own != 0; --exponent) own = product(*own, 10);
    out = out == 0 || *own == 0 ? 0 : product(out, *own / std::gcd(out, *own));
  }
  return out;
}

// Zeros that may stand behind the point of a number.
std::uint32_t most_zeros(std::uint64_t magnitude) {
  if (magnitude == 0) return kDecimalZeros + kDecimalDigits;
  const auto digits = static_cast<std::uint32_t>(std::to_string(magnitude).size());
  return kDecimalDigits - std::min(digits, kDecimalDigits);
}

}  // namespace

std::optional<IntegerMultiples> IntegerMultiples::of(Formulas& formulas, FormulaId f) {
  constexpr std::uint64_t kFewRemainders = 32;
  JsonTypes types;
  DecimalRange range;
  std::vector<Decimal> steps;
  for (const FormulaId part : formulas.parts(f)) {
    if (formulas.op(part) != Formulas::Op::kLiteral) return std::nullopt;
    const bool multiple = formulas.atom(part).kind == AtomKind::kMultipleOf;
    if (multiple && !formulas.negated(part)) {
      steps.push_back(formulas.number_of(formulas.atom(part).a));
    } else if (!narrow(formulas, part, types, range)) {
      return std::nullopt;
    }
  }
  // Multiples of a whole number are whole.
  const bool numbers = types == JsonTypes(JsonTypes::kNumber) &&
                       std::ranges::any_of(steps, [](const Decimal& step) { return step.whole(); });
  if (steps.empty() || (types != JsonTypes(JsonTypes::kInteger) && !numbers)) return std::nullopt;
  const std::optional<std::uint64_t> modulus = modulus_of(steps);
  if (!modulus || (*modulus > 0 && *modulus <= kFewRemainders)) return std::nullopt;
  if (numbers) {
    std::int64_t most = 1;
    for (std::uint32_t i = 0; i < kDecimalDigits; ++i) most *= 10;
    range.at_least(Decimal(-most), true);
    range.at_most(Decimal(most), true);
  } else {
    bound_integers(range, top_integer(formulas, f));
  }
  return IntegerMultiples(*modulus, range, numbers);
}

IntegerMultiples::IntegerMultiples(std::uint64_t modulus, const DecimalRange& range, bool points)
    : modulus_(modulus), points_(points) {
  const Decimal &low = *range.low, &high = *range.high;
  const bool low_below = low.negative, high_below = high.negative;
  const auto between = [](std::optional<std::uint64_t> least, std::optional<std::uint64_t> most) {
    return least && most && *least <= *most ? Bounds{true, *least, *most} : Bounds{};
  };
  if (!high_below) {
    bounds_[0] =
        between(low_below ? 0 : least_from(low, range.low_open), most_to(high, range.high_open));
  }
  if (low_below || (low.zero() && !range.low_open)) {
    const bool from_high = high_below || high.zero();
    bounds_[1] = between(from_high ? least_from(high, range.high_open) : 0,
                         low_below ? most_to(low, range.low_open) : 0);
  }
  if (live(Place())) start_ = state(Place());
}

// The fewest digits that make a multiple within the bounds, of these the least; nothing where none
// do. Not before the first digit.
std::optional<std::string> IntegerMultiples::digits_to(const Place& at) const {
  const Bounds& bounds = bounds_[at.negative ? 1 : 0];
  if (!bounds.some) return std::nullopt;
  std::uint64_t range = 1;  // 10^digits
  for (std::size_t digits = 0;; ++digits) {
    // Those that begin so with so many digits more.
    if (at.magnitude > bounds.most / range) return std::nullopt;
    const std::uint64_t first = at.magnitude * range;
    const std::uint64_t from = std::max(first, bounds.least);
    const std::uint64_t to = first + std::min(range - 1, bounds.most - first);
    if (from <= to) {
      const std::uint64_t past = modulus_ == 0 ? from : from % modulus_;
      const std::uint64_t more = past == 0 ? 0 : modulus_ - past;
      if ((past == 0 || modulus_ != 0) && more <= to - from) {
        if (digits == 0) return std::string();
        const std::string text = std::to_string(from + more - first);
        return std::string(digits - text.size(), '0') + text;
      }
    }
    if (at.magnitude == 0 || range > UINT64_MAX / 10) return std::nullopt;
    range *= 10;
  }
}

bool IntegerMultiples::live(const Place& at) const {
  if (at.phase == Phase::kDigits) return digits_to(at).has_value();
  if (at.phase > Phase::kDigits) return true;  // entered behind a multiple alone
  for (unsigned char digit = '0'; digit <= '9'; ++digit) {
    if (after(at, digit)) return true;
  }
  return at.phase == Phase::kStart && after(at, '-').has_value();
}

// A byte on, where some number goes on so.
std::optional<IntegerMultiples::Place> IntegerMultiples::after(const Place& at,
                                                               unsigned char byte) const {
  Place to = at;
  if (byte == '.' && points_ && at.phase == Phase::kDigits) {
    to.phase = Phase::kPoint;
    if (!complete(at) || most_zeros(at.magnitude) == 0) return std::nullopt;
  } else if (at.phase > Phase::kDigits) {
    to.phase = Phase::kZeros;
    if (byte != '0' || ++to.zeros > most_zeros(at.magnitude)) return std::nullopt;
  } else if (byte == '-' && at.phase == Phase::kStart) {
    to = {Phase::kSign, true, 0, 0};
  } else if (byte >= '0' && byte <= '9') {
    const auto digit = static_cast<std::uint64_t>(byte - '0');
    const bool first = at.phase != Phase::kDigits;
    if (!first && (at.magnitude == 0 || at.magnitude > (UINT64_MAX - digit) / 10)) {
      return std::nullopt;
    }
    to.phase = Phase::kDigits;
    to.magnitude = (first ? 0 : at.magnitude * 10) + digit;
  } else {
    return std::nullopt;
  }
  return live(to) ? std::optional(to) : std::nullopt;
}

std::uint32_t IntegerMultiples::state(const Place& at) {
  const std::size_t hash =
      mix(static_cast<std::size_t>(at.phase) * 64 + at.zeros * 2U + (at.negative ? 1 : 0),
          at.magnitude);
  std::uint32_t id = ids_.find(hash, [&](std::uint32_t other) { return states_[other] == at; });
  if (id == InternTable::kNone) {
    id = static_cast<std::uint32_t>(states_.size());
    ids_.insert(hash, id);
    states_.push_back(at);
  }
  return id;
}

std::uint32_t IntegerMultiples::step(std::uint32_t state, unsigned char byte) {
  const std::optional<Place> to = after(states_[state], byte);
  return to ? this->state(*to) : kNone;
}

bool IntegerMultiples::accepting(std::uint32_t state) const {
  const Phase phase = states_[state].phase;
  return phase == Phase::kZeros || (phase == Phase::kDigits && complete(states_[state]));
}

// Whether the digits alone are one of the numbers.
bool IntegerMultiples::complete(const Place& at) const {
  const Bounds& bounds = bounds_[at.negative ? 1 : 0];
  const bool inside = at.magnitude >= bounds.least && at.magnitude <= bounds.most;
  const bool multiple = modulus_ == 0 ? at.magnitude == 0 : at.magnitude % modulus_ == 0;
  return bounds.some && inside && multiple;
}

ByteSet IntegerMultiples::bytes_of(std::uint32_t state) const {
  ByteSet out;
  for (const char c : std::string_view("-.0123456789")) {
    if (after(states_[state], static_cast<unsigned char>(c))) {
      out.add(static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string IntegerMultiples::closing_word(std::uint32_t state) {
  const Place at = states_[state];
  if (at.phase == Phase::kDigits) return digits_to(at).value_or("");
  if (at.phase > Phase::kDigits) return at.phase == Phase::kPoint ? "0" : "";
  std::optional<std::string> best;
  const auto consider = [&](const Place& from, const std::string& before) {
    for (char digit = '0'; digit <= '9'; ++digit) {
      const auto to = after(from, static_cast<unsigned char>(digit));
      if (!to) continue;
      const std::string word = before + digit + *digits_to(*to);
      if (!best || word.size() < best->size()) best = word;
    }
  };
  consider(at, "");
  if (at.phase == Phase::kStart) {
    if (const auto sign = after(at, '-')) consider(*sign, "-");
  }
  return best.value_or("");
}

}  // namespace espalier::grammar
