#include "grammar/schema/schema_scalar.h"

#include <algorithm>
#include <cstdint>

#include "grammar/decimal_multiple.h"
#include "grammar/number_expression.h"
#include "grammar/regex.h"
#include "grammar/schema/number_condition.h"

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kUnbounded = ExpressionPool::kUnbounded;
constexpr std::int32_t kWholeDigits = 20;  // that 64 bits may take
constexpr CodePointRange kAllCharacters[] = {{0, 0x10FFFF}};

std::vector<std::string> number_spellings(const Json& value) {
  std::vector<std::string> out = {value.dump()};
  if (type_of(value) == JsonTypes(JsonTypes::kInteger)) {
    if (!value.is_number_float()) {
      out.push_back(out[0] + ".0");
    } else if (const Decimal whole(value.get<double>()); whole.point <= kWholeDigits) {
      out.push_back(whole.text());
    }
  }
  return out;
}

}  // namespace

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

std::vector<std::string> ScalarExpressions::all_spellings(const Json& number) {
  std::vector<std::string> out = decimal_spellings(*Decimal::of(number));
  for (std::string& text : number_spellings(number)) out.push_back(std::move(text));
  return out;
}

Expr ScalarExpressions::words(const std::vector<Json>& values) {
  const std::vector<std::string> out = spellings(values);
  return out.empty() ? pool_.nothing() : pool_.words(out);
}

Expr ScalarExpressions::scalars(FormulaId f, bool canonical) {
  std::vector<Expr> any;
  std::vector<Json> literals;
  for (const Json& value : {Json(nullptr), Json(true), Json(false)}) {
    if (holds_(f, value)) literals.push_back(value);
  }
  any.push_back(words(literals));
  if (const FormulaId s = formulas_.restrict(f, JsonTypes::kString); s != Formulas::kFalse) {
    any.push_back(string(s, canonical));
  }
  if (const FormulaId n = formulas_.restrict(f, JsonTypes::kNumber); n != Formulas::kFalse) {
    any.push_back(number(n, canonical, JsonTypes(JsonTypes::kNumber), top_integer(formulas_, n)));
  }
  return pool_.choice(any);
}

Expr ScalarExpressions::string(FormulaId f, bool canonical) {
  // Enumerated values that satisfy the rest, where one of the conditions enumerates.
  for (const FormulaId part : formulas_.parts(f)) {
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

Expr ScalarExpressions::pattern(const StringPattern& pattern, bool canonical) {
  auto expression = regex_expression(pool_, pattern.regex,
                                     {RegexDialect::kEcma, pattern.search, true, false, canonical});
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
  const std::vector<FormulaId> own = formulas_.parts(f);
  const bool plain = canonical || formulas_.forbid_texts(own);
  for (const FormulaId part : own) {
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
      (negated ? none : all).push_back(pattern(formulas_.pattern_of(atom.a), plain));
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

Expr ScalarExpressions::multiples(const Decimal& of) {
  const std::optional<DecimalMultiple> multiple = DecimalMultiple::of(of);
  if (!multiple) {
    pool_.refuse({ErrorCode::kLimit, "a multiple with too many remainders"});
    return pool_.nothing();
  }
  return pool_.concat({pool_.optional(pool_.bytes("-")), pool_.multiple(*multiple)});
}

Expr ScalarExpressions::number(FormulaId f, bool distinct, JsonTypes types, const Decimal& top) {
  if (f == Formulas::kFalse || !pool_.ok()) return pool_.nothing();
  DecimalRange range;
  std::vector<FormulaId> choices;
  std::vector<Decimal> steps;
  bool plain = false;
  std::vector<std::string> taken;  // texts of values that it is not
  std::vector<Expr> none;
  for (const FormulaId part : formulas_.parts(f)) {
    if (formulas_.op(part) == Formulas::Op::kOr) {
      choices.push_back(part);
      continue;
    }
    if (narrow(formulas_, part, types, range)) continue;
    const Atom atom = formulas_.atom(part);
    const bool negated = formulas_.negated(part);
    switch (atom.kind) {
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
          } else {  // every way to write it that is left
            for (std::string& text : all_spellings(value)) taken.push_back(std::move(text));
            distinct = true;
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
    bound_integers(range, top);
    out = integer_range(pool_, range);
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
  if (!taken.empty()) {
    std::sort(taken.begin(), taken.end());
    taken.erase(std::unique(taken.begin(), taken.end()), taken.end());
    none.push_back(pool_.words(taken));
  }
  if (distinct && types != JsonTypes(JsonTypes::kInteger)) {
    out = pool_.intersection(out, distinct_decimals(pool_));
  }
  for (const Decimal& step : DecimalMultiple::joined(steps))
    out = pool_.intersection(out, multiples(step));
  for (const FormulaId choice : choices) {
    std::vector<Expr> any;
    for (const FormulaId c : std::vector<FormulaId>(formulas_.children(choice).begin(),
                                                    formulas_.children(choice).end())) {
      any.push_back(number(c, false, types, top));
    }
    out = pool_.intersection(out, pool_.choice(any));
  }
  if (!none.empty()) out = pool_.difference(out, pool_.choice(none));
  return out;
}

}  // namespace espalier::grammar
