#include "grammar/schema/schema_scalar.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "grammar/number_expression.h"
#include "grammar/regex.h"

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kUnbounded = ExpressionPool::kUnbounded;
constexpr CodePointRange kAllCharacters[] = {{0, 0x10FFFF}};

// of = digits * 10^-places, and the least k with digits | 10^k.
struct Decimal {
  std::uint64_t digits = 0;
  std::uint32_t places = 0;
  std::uint32_t k = 0;
};
std::optional<Decimal> decimal(double of) {
  for (std::uint32_t places = 0; places <= 6; ++places) {
    const double scaled = of * std::pow(10.0, places);
    const double digits = std::round(scaled);
    if (digits < 1 || digits > 1e12 || digits / std::pow(10.0, places) != of) continue;
    Decimal out{static_cast<std::uint64_t>(digits), places, 0};
    std::uint64_t power = 1;
    while (out.k <= 6 && power % out.digits != 0) power *= 10, ++out.k;
    if (out.k > 6 || power / out.digits > 20'000) return std::nullopt;
    return out;
  }
  return std::nullopt;
}

std::string padded(std::uint64_t n, std::uint32_t width) {
  std::string out = std::to_string(n);
  return out.size() < width ? std::string(width - out.size(), '0') + out : out;
}

std::vector<std::string> number_spellings(const Json& value) {
  std::vector<std::string> out = {value.dump()};
  if (type_of(value) == JsonTypes(JsonTypes::kInteger)) {
    if (!value.is_number_float()) {
      out.push_back(out[0] + ".0");
    } else if (std::abs(value.get<double>()) < 9007199254740992.0) {
      out.push_back(std::to_string(static_cast<std::int64_t>(value.get<double>())));
    }
  }
  return out;
}

}  // namespace

bool multiples_supported(double of) { return decimal(of).has_value(); }

std::vector<FormulaId> ScalarExpressions::parts(FormulaId f) const {
  if (formulas_.op(f) != Formulas::Op::kAnd) return {f};
  return {formulas_.children(f).begin(), formulas_.children(f).end()};
}

std::vector<std::string> ScalarExpressions::spellings(const std::vector<Json>& values) {
  std::vector<std::string> out;
  for (const Json& value : values) {
    if (value.is_number()) {
      for (std::string& word : number_spellings(value)) out.push_back(std::move(word));
    } else if (value.is_string()) {
      out.push_back('"' + JsonExpressions::spelled(value.get_ref<const std::string&>()) + '"');
    } else {
      out.push_back(value.dump());
    }
  }
  return out;
}

Expr ScalarExpressions::words(const std::vector<Json>& values) {
  const std::vector<std::string> out = spellings(values);
  return out.empty() ? pool_.nothing() : pool_.words(out);
}

Expr ScalarExpressions::scalars(FormulaId f) {
  std::vector<Expr> any;
  std::vector<Json> literals;
  for (const Json& value : {Json(nullptr), Json(true), Json(false)}) {
    if (holds_(f, value)) literals.push_back(value);
  }
  any.push_back(words(literals));
  if (const FormulaId s = formulas_.restrict(f, JsonTypes::kString); s != Formulas::kFalse) {
    any.push_back(string(s, false));
  }
  if (const FormulaId n = formulas_.restrict(f, JsonTypes::kNumber); n != Formulas::kFalse) {
    any.push_back(number(n));
  }
  return pool_.choice(any);
}

Expr ScalarExpressions::string(FormulaId f, bool canonical) {
  // Enumerated values that satisfy the rest, where one of the conditions enumerates.
  for (const FormulaId part : parts(f)) {
    if (formulas_.op(part) != Formulas::Op::kLiteral || formulas_.negated(part) ||
        formulas_.atom(part).kind != AtomKind::kIn) {
      continue;
    }
    std::vector<Json> values;
    for (const Json& value : std::vector<Json>(formulas_.set_of(formulas_.atom(part).a))) {
      if (value.is_string() && holds_(f, value)) values.push_back(value);
    }
    return words(values);
  }
  const Expr inside = content(f, canonical);
  return inside == pool_.nothing() ? inside
                                   : pool_.concat({pool_.bytes("\""), inside, pool_.bytes("\"")});
}

Expr ScalarExpressions::pattern(const StringPattern& pattern) {
  auto expression =
      regex_expression(pool_, pattern.regex, {RegexDialect::kEcma, pattern.search, true, false});
  if (!expression) {
    pool_.refuse(std::move(expression).error());
    return pool_.nothing();
  }
  return *expression;
}

Expr ScalarExpressions::content(FormulaId f, bool canonical) {
  if (f == Formulas::kFalse || !pool_.ok()) return pool_.nothing();
  std::uint64_t low = 0;
  std::uint64_t high = kUnbounded;
  std::vector<Expr> all;
  std::vector<Expr> none;
  std::vector<FormulaId> choices;
  std::vector<std::string> forbidden;
  for (const FormulaId part : f == Formulas::kTrue ? std::vector<FormulaId>{} : parts(f)) {
    if (formulas_.op(part) == Formulas::Op::kOr) {
      choices.push_back(part);
      continue;
    }
    const Atom atom = formulas_.atom(part);
    const bool negated = formulas_.negated(part);
    if (atom.kind == AtomKind::kLength) {
      if (negated) {
        high = std::min<std::uint64_t>(high, atom.a - 1);
      } else {
        low = std::max<std::uint64_t>(low, atom.a);
      }
    } else if (atom.kind == AtomKind::kPattern) {
      (negated ? none : all).push_back(pattern(formulas_.pattern_of(atom.a)));
    } else if (atom.kind == AtomKind::kIn) {
      std::vector<std::string> texts;
      for (const Json& value : std::vector<Json>(formulas_.set_of(atom.a))) {
        if (!value.is_string()) continue;
        const Expr e = json_.string_content(value.get_ref<const std::string&>());
        if (!pool_.ok()) return pool_.nothing();
        texts.push_back(e == pool_.empty() ? std::string() : pool_.bytes_of(e));
      }
      (negated ? none : all).push_back(texts.empty() ? pool_.nothing() : pool_.words(texts));
    } else {
      return pool_.nothing();  // of another type: restrict() has put those away
    }
  }
  if (low > high || low >= kUnbounded - 1) return pool_.nothing();
  const bool plain = canonical || !none.empty();
  for (const FormulaId choice : choices) {
    std::vector<Expr> any;
    for (const FormulaId c : std::vector<FormulaId>(formulas_.children(choice).begin(),
                                                    formulas_.children(choice).end())) {
      any.push_back(content(c, plain));
    }
    all.push_back(pool_.choice(any));
  }
  const auto to = static_cast<std::uint32_t>(std::min<std::uint64_t>(high, kUnbounded));
  Expr out;
  if (all.empty() || low > 0 || to != kUnbounded) {
    const Expr character =
        plain ? json_.string_characters_of(kAllCharacters) : json_.string_character();
    all.push_back(pool_.repeat(character, static_cast<std::uint32_t>(low), to));
  }
  out = all[0];
  for (std::size_t i = 1; i < all.size(); ++i) out = pool_.intersection(out, all[i]);
  if (!none.empty()) out = pool_.difference(out, pool_.choice(none));
  return out;
}

// Numbers without an exponent that are multiples of digits * 10^-places: that depends on the last k
// digits of the value written with `places` of them after the point.
Expr ScalarExpressions::multiples(double of) {
  const std::optional<Decimal> d = decimal(of);
  if (!d) {
    pool_.refuse({ErrorCode::kUnsupported, "a multiple that no regular expression describes"});
    return pool_.nothing();
  }
  const std::uint32_t whole = d->k > d->places ? d->k - d->places : 0;  // digits before the point
  const auto power = [](std::uint32_t n) {
    std::uint64_t out = 1;
    while (n-- > 0) out *= 10;
    return out;
  };
  const std::uint64_t scale = power(d->places);
  const std::uint64_t top = power(whole) * scale;
  // Ends after more digits and alone, each with and without a fraction.
  std::vector<std::string> ends, ends_fraction, alone, alone_fraction;
  for (std::uint64_t v = 0; v < top; v += d->digits) {
    std::string fraction = d->places > 0 ? padded(v % scale, d->places) : "";
    while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
    const std::string after = fraction.empty() ? "" : "." + fraction;
    (fraction.empty() ? ends : ends_fraction)
        .push_back((whole > 0 ? padded(v / scale, whole) : "") + after);
    (fraction.empty() ? alone : alone_fraction).push_back(std::to_string(v / scale) + after);
  }
  if (whole == 0) {  // any digits before the point
    alone = {""};
    alone_fraction = ends_fraction;
  }
  const Expr digit = pool_.byte_range('0', '9');
  const Expr zeros = pool_.repeat(pool_.bytes("0"), 0);
  const Expr point_zeros =
      pool_.optional(pool_.concat({pool_.bytes("."), pool_.bytes("0"), zeros}));
  const Expr more = pool_.concat({pool_.byte_range('1', '9'), pool_.repeat(digit, 0, 16)});
  const Expr before = whole == 0 ? pool_.choice({pool_.bytes("0"), more}) : more;
  const auto written = [&](const std::vector<std::string>& whole_numbers,
                           const std::vector<std::string>& fractions) {
    return pool_.choice(
        {pool_.concat({pool_.words(whole_numbers), point_zeros}),
         fractions.empty() ? pool_.nothing() : pool_.concat({pool_.words(fractions), zeros})});
  };
  Expr value = pool_.concat({before, written(ends, ends_fraction)});
  if (whole > 0) value = pool_.choice({value, written(alone, alone_fraction)});
  return pool_.concat({pool_.optional(pool_.bytes("-")), value});
}

Expr ScalarExpressions::number(FormulaId f) {
  if (f == Formulas::kFalse || !pool_.ok()) return pool_.nothing();
  DecimalRange range;
  JsonTypes types(JsonTypes::kNumber);
  std::vector<FormulaId> choices;
  std::vector<double> steps;
  bool plain = false;
  std::vector<Expr> none;
  const auto lower = [&](double bound, bool open) {
    if (!range.low || bound > *range.low || (bound == *range.low && open)) {
      range.low_open = open;
      range.low = bound;
    }
  };
  const auto upper = [&](double bound, bool open) {
    if (!range.high || bound < *range.high || (bound == *range.high && open)) {
      range.high_open = open;
      range.high = bound;
    }
  };
  for (const FormulaId part : f == Formulas::kTrue ? std::vector<FormulaId>{} : parts(f)) {
    if (formulas_.op(part) == Formulas::Op::kOr) {
      choices.push_back(part);
      continue;
    }
    const Atom atom = formulas_.atom(part);
    const bool negated = formulas_.negated(part);
    switch (atom.kind) {
      case AtomKind::kType:
        types = types & JsonTypes(static_cast<std::uint8_t>(atom.a));
        break;
      case AtomKind::kAtLeast:
        negated ? upper(formulas_.number_of(atom.a), true)
                : lower(formulas_.number_of(atom.a), false);
        break;
      case AtomKind::kAbove:
        negated ? upper(formulas_.number_of(atom.a), false)
                : lower(formulas_.number_of(atom.a), true);
        break;
      case AtomKind::kMultipleOf:
        if (negated) {
          none.push_back(multiples(formulas_.number_of(atom.a)));
          plain = true;  // other spellings than multiples() has would be left
        } else {
          steps.push_back(formulas_.number_of(atom.a));
        }
        break;
      case AtomKind::kIn: {
        std::vector<Json> values;
        for (const Json& value : std::vector<Json>(formulas_.set_of(atom.a))) {
          if (!value.is_number()) continue;
          if (!negated) {
            if (holds_(f, value)) values.push_back(value);
          } else {  // every way to write it
            const double n = value.get<double>();
            none.push_back(decimal_range(pool_, {n, n, false, false}));
            none.push_back(words({value}));
          }
        }
        if (!negated) return words(values);
        break;
      }
      default:
        return pool_.nothing();
    }
  }
  Expr out;
  if (types == JsonTypes(JsonTypes::kInteger)) {
    // The integers within the bounds.
    constexpr double kTop = 9223372036854775808.0;
    std::int64_t low = INT64_MIN;
    std::int64_t high = INT64_MAX;
    if (range.low) {
      double least = std::ceil(*range.low);
      if (range.low_open && least == *range.low) least += 1;
      if (least >= kTop) return pool_.nothing();
      if (least > -kTop) low = static_cast<std::int64_t>(least);
    }
    if (range.high) {
      double most = std::floor(*range.high);
      if (range.high_open && most == *range.high) most -= 1;
      if (most < -kTop) return pool_.nothing();
      if (most < kTop) high = static_cast<std::int64_t>(most);
    }
    if (low > high) return pool_.nothing();
    out = integer_range(pool_, low, high);
  } else {
    out = decimal_range(pool_, range);
    if (types == JsonTypes(JsonTypes::kFraction)) {
      const Expr digit = pool_.byte_range('0', '9');
      const Expr digits = pool_.repeat(digit, 0);
      const Expr whole =
          pool_.choice({pool_.bytes("0"), pool_.concat({pool_.byte_range('1', '9'), digits})});
      out = pool_.intersection(
          out, pool_.concat({pool_.optional(pool_.bytes("-")), whole, pool_.bytes("."), digits,
                             pool_.byte_range('1', '9'), digits}));
    } else if (types.none()) {
      return pool_.nothing();
    }
  }
  if (plain) {
    const Expr digits = pool_.repeat(pool_.byte_range('0', '9'), 1);
    out = pool_.intersection(
        out, pool_.concat({pool_.optional(pool_.bytes("-")), digits,
                           pool_.optional(pool_.concat({pool_.bytes("."), digits}))}));
  }
  for (const double step : steps) out = pool_.intersection(out, multiples(step));
  for (const FormulaId choice : choices) {
    std::vector<Expr> any;
    for (const FormulaId c : std::vector<FormulaId>(formulas_.children(choice).begin(),
                                                    formulas_.children(choice).end())) {
      any.push_back(number(c));
    }
    out = pool_.intersection(out, pool_.choice(any));
  }
  if (!none.empty()) out = pool_.difference(out, pool_.choice(none));
  return out;
}

}  // namespace espalier::grammar
