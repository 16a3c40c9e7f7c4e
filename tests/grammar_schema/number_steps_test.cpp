// Automata of numbers within bounds, made directly, against those that their expressions make, text
// for text and state for state, and against decimals compared.
#include "grammar/schema/number_steps.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "grammar/number_expression.h"
#include "grammar/program.h"
#include "grammar/schema/scalar_dfa.h"
#include "grammar/schema/schema_scalar.h"
#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using Random = std::mt19937_64;
using Dfa = std::shared_ptr<const ScalarDfa>;

const Decimal kTop(INT64_MAX);

// A bound: often one of few, so that several lie near each other.
Decimal random_bound(Random& random) {
  static const char* kBounds[] = {"0",
                                  "-0.0",
                                  "1",
                                  "-1",
                                  "10",
                                  "5",
                                  "0.5",
                                  "-0.5",
                                  "9.75",
                                  "99.5",
                                  "100",
                                  "1e15",
                                  "99999999999999999",
                                  "100000000000000000",
                                  "9223372036854775807",
                                  "-9223372036854775808",
                                  "18446744073709551615",
                                  "1e99",
                                  "-1e99",
                                  "1e100",
                                  "9.99e-99",
                                  "1e-100",
                                  "1e-7",
                                  "0.0000001234567890123456789",
                                  "5e-324",
                                  "1.7976931348623157e308",
                                  "0.3333333333333333333333333333333333333333",
                                  "12345678901234567890.123456789"};
  if (random() % 2 == 0) return *Decimal::read(kBounds[random() % std::size(kBounds)]);
  std::string text = random() % 3 == 0 ? "-" : "";
  for (unsigned n = 1 + random() % (random() % 4 == 0 ? 30 : 4); n > 0; --n) {
    text += static_cast<char>('0' + (random() % 2 == 0 ? random() % 10 : 9 * (random() % 2)));
    if (n > 1 && random() % 4 == 0 && text.find('.') == text.npos) text += '.';
  }
  if (text.back() == '.') text += '0';
  if (random() % 3 == 0) text += "e" + std::to_string(static_cast<int>(random() % 24) - 12);
  return *Decimal::read(text);
}

NumberCondition random_condition(Random& random, unsigned depth, JsonTypes types) {
  NumberCondition out;
  out.types = types;
  if (random() % 4 == 0) {
    const std::uint8_t some[] = {0, JsonTypes::kInteger, JsonTypes::kFraction, JsonTypes::kNumber};
    out.types = types & JsonTypes(some[random() % (depth == 0 ? 4 : 40) % 4]);
  }
  Decimal low = random_bound(random), high = random_bound(random);
  if (high < low && random() % 8 != 0) std::swap(low, high);
  if (random() % 4 != 0) out.range.at_least(low, random() % 2 == 0);
  if (random() % 4 != 0) out.range.at_most(high, random() % 2 == 0);
  if (out.types == JsonTypes(JsonTypes::kInteger)) {
    out.range.at_least(Decimal(INT64_MIN), false);
    out.range.at_most(kTop, false);
  }
  for (unsigned n = depth == 0 ? 0 : random() % 3; n > 0; --n) {
    auto& any = out.choices.emplace_back();
    for (unsigned k = 1 + random() % 3; k > 0; --k) {
      any.push_back(random_condition(random, depth - 1, out.types));
    }
  }
  return out;
}

std::string spelled(const NumberCondition& c) {
  std::string out = std::to_string(c.types.bits()) + (c.distinct ? "d" : "");
  if (c.range.low) out += (c.range.low_open ? " >" : " >=") + c.range.low->text();
  if (c.range.high) out += (c.range.high_open ? " <" : " <=") + c.range.high->text();
  for (const auto& any : c.choices) {
    out += " [";
    for (const NumberCondition& one : any) out += " (" + spelled(one) + ")";
    out += " ]";
  }
  return out;
}

// As schemas' numbers are written out as expressions.
Expr expression(ExpressionPool& pool, const NumberCondition& c) {
  if (c.types.none()) return pool.nothing();
  Expr out;
  if (c.types == JsonTypes(JsonTypes::kInteger)) {
    out = integer_range(pool, c.range);
  } else {
    out = decimal_range(pool, c.range);
    const Expr digits = pool.repeat(pool.byte_range('0', '9'), 0);
    if (c.types == JsonTypes(JsonTypes::kFraction)) {
      out = pool.intersection(
          out, pool.concat({pool.optional(pool.bytes("-")), digits, pool.bytes("."), digits,
                            pool.byte_range('1', '9'), digits}));
    }
    if (c.distinct) out = pool.intersection(out, distinct_decimals(pool));
  }
  for (const auto& any : c.choices) {
    std::vector<Expr> some;
    for (const NumberCondition& one : any) some.push_back(expression(pool, one));
    out = pool.intersection(out, pool.choice(some));
  }
  return out;
}

// The first text that one has and the other has not; both may be nullptr, without texts.
std::optional<std::string> difference(const Dfa& a, const Dfa& b) {
  if (a == nullptr || b == nullptr) {
    const Dfa& other = a == nullptr ? b : a;
    return other == nullptr ? std::nullopt : std::optional(other->closing_word(other->start()));
  }
  using Pair = std::pair<ScalarDfa::State, ScalarDfa::State>;
  std::map<Pair, std::string> known{{{a->start(), b->start()}, ""}};
  std::vector<Pair> open{{a->start(), b->start()}};
  for (std::size_t i = 0; i < open.size(); ++i) {
    const auto [p, q] = open[i];
    const std::string text = known[open[i]];
    if (a->accepting(p) != b->accepting(q)) return text;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto c = static_cast<unsigned char>(byte);
      const Pair to{a->next(p, c), b->next(q, c)};
      if (to == Pair{ScalarDfa::kDead, ScalarDfa::kDead}) continue;
      const std::string longer = text + static_cast<char>(c);
      if (to.first == ScalarDfa::kDead) return longer + b->closing_word(to.second);
      if (to.second == ScalarDfa::kDead) return longer + a->closing_word(to.first);
      if (known.try_emplace(to, longer).second) open.push_back(to);
    }
  }
  return std::nullopt;
}

Dfa direct(const NumberCondition& condition, const VocabularyRef& vocabulary) {
  const auto made = number_steps(condition, vocabulary->json_bytes(), ScalarDfa::kMaxStates - 1);
  EXPECT_TRUE(made) << spelled(condition);
  bool empty = false;
  Dfa out = made ? ScalarDfa::create(*made, vocabulary->single_bytes(), nullptr, &empty) : nullptr;
  EXPECT_NE(out == nullptr, !empty) << spelled(condition);
  if (made && out != nullptr) {
    EXPECT_EQ(made->accepting.size(), out->size()) << spelled(condition);
  }
  return out;
}

// What is wrong with the one made directly; nothing where it is as the expression's, or that one
// is too large. `*compared` counts those that are not, and have texts.
std::optional<std::string> wrong(const NumberCondition& condition, const VocabularyRef& vocabulary,
                                 int* compared) {
  Fuel fuel("steps", 20'000'000);
  const auto pool = std::make_shared<ExpressionPool>(fuel);
  const auto program =
      Program::create(pool, expression(*pool, condition), vocabulary, {}, {}, fuel);
  if (!program || (*program)->rests_on_undecided()) return std::nullopt;
  Dfa expected;
  if (!(*program)->empty()) {
    expected = ScalarDfa::create(*program, 1'000'000, nullptr);
    const bool dead = Automaton(*program).start({}) == Automaton::kDead;
    if (expected == nullptr && !dead) {
      // Neither too large to finish, nor without texts: its language needs bytes that are no
      // tokens.
      bool readable = vocabulary->json_bytes() == ByteSet::all();
      if (readable) return std::nullopt;
    }
  }
  const Dfa made = direct(condition, vocabulary);
  if (const auto text = difference(expected, made)) return "differs at " + *text;
  *compared += made != nullptr ? 1 : 0;
  if (made != nullptr && made->size() != expected->size()) {
    return std::to_string(made->size()) + " states for " + std::to_string(expected->size());
  }
  return std::nullopt;
}

// Conditions that are one part simpler.
std::vector<NumberCondition> simpler(const NumberCondition& c) {
  std::vector<NumberCondition> out;
  const auto with = [&](auto&& change) { change(out.emplace_back(c)); };
  const bool integer = c.types == JsonTypes(JsonTypes::kInteger);
  if (c.range.low && !integer) with([](auto& n) { n.range.low.reset(); });
  if (c.range.high && !integer) with([](auto& n) { n.range.high.reset(); });
  if (c.distinct) with([](auto& n) { n.distinct = false; });
  for (std::size_t i = 0; i < c.choices.size(); ++i) {
    with([&](auto& n) { n.choices.erase(n.choices.begin() + static_cast<std::ptrdiff_t>(i)); });
    for (std::size_t k = 0; k < c.choices[i].size(); ++k) {
      if (c.choices[i].size() > 1) {
        with([&](auto& n) {
          n.choices[i].erase(n.choices[i].begin() + static_cast<std::ptrdiff_t>(k));
        });
      }
      for (const NumberCondition& one : simpler(c.choices[i][k])) {
        with([&](auto& n) { n.choices[i][k] = one; });
      }
    }
  }
  return out;
}

void expect_right(NumberCondition condition, const VocabularyRef& vocabulary,
                  const std::string& seed, int* compared) {
  std::optional<std::string> what = wrong(condition, vocabulary, compared);
  if (!what) return;
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (const NumberCondition& one : simpler(condition)) {
      const auto less = wrong(one, vocabulary, compared);
      if (!less) continue;
      what = less;
      condition = one;
      smaller = true;
      break;
    }
  }
  ADD_FAILURE() << seed << ": " << spelled(condition) << ": " << *what;
}

VocabularyRef vocabulary_without(std::string_view bytes) {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) {
    if (bytes.find(static_cast<char>(b)) == bytes.npos) {
      spec.bytes.emplace_back(1, static_cast<char>(b));
    }
  }
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  return Vocabulary::create(std::move(spec)).value();
}

TEST(NumberSteps, AreOfTheExpressionsTextsAndOfAsFewStates) {
  const VocabularyRef all = testing::byte_vocabulary();
  int compared = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Random random(seed);
    NumberCondition condition =
        random_condition(random, seed % 4 == 0 ? 1 : 0, JsonTypes(JsonTypes::kNumber));
    condition.distinct = random() % 3 == 0;
    expect_right(condition, all, "seed " + std::to_string(seed), &compared);
  }
  EXPECT_GT(compared, 250);
}

TEST(NumberSteps, ReadNothingThatIsNoToken) {
  int compared = 0;
  for (const char* missing : {"e", "eE", "-", "+", ".", "0", "7", "123456789", "0123456789"}) {
    const VocabularyRef vocabulary = vocabulary_without(missing);
    for (std::uint64_t seed = 0; seed < 12; ++seed) {
      Random random(seed);
      const NumberCondition condition = random_condition(random, 0, JsonTypes(JsonTypes::kNumber));
      expect_right(condition, vocabulary,
                   std::string("without ") + missing + ", seed " + std::to_string(seed), &compared);
    }
  }
  EXPECT_GT(compared, 50);
}

// A value satisfies it; how it is written is another matter.
bool holds(const NumberCondition& c, const Decimal& value, bool integer) {
  const JsonTypes type = JsonTypes(integer ? JsonTypes::kInteger : JsonTypes::kFraction);
  if ((c.types & type).none()) return false;
  const DecimalRange& r = c.range;
  if (r.low && (r.low_open ? value <= *r.low : value < *r.low)) return false;
  if (r.high && (r.high_open ? value >= *r.high : value > *r.high)) return false;
  return std::ranges::all_of(c.choices, [&](const auto& any) {
    return std::ranges::any_of(any, [&](const auto& one) { return holds(one, value, integer); });
  });
}

void collect(const NumberCondition& c, std::vector<Decimal>& bounds) {
  if (c.range.low) bounds.push_back(*c.range.low);
  if (c.range.high) bounds.push_back(*c.range.high);
  for (const auto& any : c.choices) {
    for (const NumberCondition& one : any) collect(one, bounds);
  }
}

// Many bounds at once, too many for an expression.
TEST(NumberSteps, HaveANumberWhereItsDecimalLiesWithin) {
  const VocabularyRef all = testing::byte_vocabulary();
  int held = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Random random(seed);
    NumberCondition condition = random_condition(random, 2, JsonTypes(JsonTypes::kNumber));
    for (unsigned n = random() % 4; n > 0; --n) {
      condition.choices.emplace_back();
      for (unsigned k = 2 + random() % 20; k > 0; --k) {
        condition.choices.back().push_back(
            random_condition(random, 0, JsonTypes(JsonTypes::kNumber)));
      }
    }
    const Dfa dfa = direct(condition, all);
    const auto reads = [&](const std::string& text) {
      if (dfa == nullptr) return false;
      ScalarDfa::State q = dfa->start();
      for (const char c : text) q = dfa->next(q, static_cast<unsigned char>(c));
      return dfa->accepting(q);
    };
    std::vector<Decimal> bounds;
    collect(condition, bounds);
    if (bounds.empty()) continue;
    for (int i = 0; i < 2000; ++i) {
      Decimal near = bounds[random() % bounds.size()];
      if (!near.zero() && random() % 2 == 0) {  // one digit is another
        near.digits[random() % near.digits.size()] = static_cast<char>('0' + random() % 10);
      }
      near = *Decimal::read(near.text());
      std::string text = near.text();
      const bool integer = near.whole();
      const std::size_t digits = text.size() - (near.negative ? 1 : 0) - (integer ? 0 : 1);
      if (digits > 17 || (integer && (near > kTop || near < Decimal(INT64_MIN)))) continue;
      const bool yes = holds(condition, near, integer);
      const std::string where = std::to_string(seed) + ": " + spelled(condition) + " at " + text;
      held += yes ? 1 : 0;
      EXPECT_TRUE(yes || !reads(text)) << where;
      EXPECT_TRUE(!yes || condition.distinct || reads(text)) << where;
      EXPECT_TRUE(!near.zero() || reads("-" + text) == reads(text)) << where;
      if (near.zero() || near.digits.size() > 15 || std::abs(near.point - 1) > 99) continue;
      std::string power = std::string(near.negative ? "-" : "") + near.digits[0];
      if (near.digits.size() > 1) power += "." + near.digits.substr(1);
      power += (random() % 2 == 0 ? "e" : "E") + std::to_string(near.point - 1);
      EXPECT_TRUE(yes || !reads(power)) << where;
    }
  }
  EXPECT_GT(held, 5000);
}

// What a schema's grammar reads and the automaton of its numbers' expression does not, or the other
// way round: all of the automaton's states are come by once.
std::optional<std::string> difference(const Dfa& dfa, const GrammarRef& grammar) {
  std::map<ScalarDfa::State, std::string> known{{dfa->start(), ""}};
  std::vector<std::pair<ScalarDfa::State, Matcher>> open{{dfa->start(), grammar->start()}};
  for (std::size_t i = 0; i < open.size(); ++i) {
    const std::string text = known[open[i].first];
    if (dfa->accepting(open[i].first) != open[i].second.accepting()) return text;
    for (const char c : std::string_view("+-.0123456789eE")) {
      const ScalarDfa::State to = dfa->next(open[i].first, static_cast<unsigned char>(c));
      Matcher matcher = open[i].second;
      const bool reads = matcher.advance(static_cast<unsigned char>(c));
      if (reads != (to != ScalarDfa::kDead)) return text + c;
      if (reads && known.try_emplace(to, text + c).second) open.emplace_back(to, matcher);
    }
  }
  return std::nullopt;
}

// Multiples and values that may not come, beside bounds.
TEST(NumbersOfSchemas, AreThoseOfTheirExpression) {
  const VocabularyRef all = testing::byte_vocabulary();
  int compared = 0;
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    Random random(seed);
    Formulas formulas;
    std::vector<FormulaId> parts;
    Json schema = Json::object();
    const bool integer = random() % 2 == 0;
    schema["type"] = integer ? "integer" : "number";
    parts.push_back(formulas.types(
        JsonTypes(integer ? std::uint8_t{JsonTypes::kInteger} : std::uint8_t{JsonTypes::kNumber})));
    Json whole = Json::array();
    const auto add = [&](AtomKind kind, const Json& value, bool negated) {
      const std::uint32_t payload =
          kind == AtomKind::kIn ? formulas.set({value}) : formulas.number(*Decimal::of(value));
      const char* keyword = kind == AtomKind::kAtLeast ? "minimum"
                            : kind == AtomKind::kAbove ? "exclusiveMinimum"
                            : kind == AtomKind::kIn    ? "const"
                                                       : "multipleOf";
      Json one = {{keyword, value}};
      if (negated) one = {{"not", std::move(one)}};
      return std::pair(formulas.literal({kind, payload, 0}, negated), std::move(one));
    };
    const auto bound = [&] {
      return add(random() % 2 == 0 ? AtomKind::kAtLeast : AtomKind::kAbove,
                 static_cast<int>(random() % 60) - 30, random() % 2 == 0);
    };
    const auto keep = [&](std::pair<FormulaId, Json> one) {
      parts.push_back(one.first);
      whole.push_back(std::move(one.second));
    };
    static const Json kSteps[] = {1, 2, 3, 7, 10, 0.5, 0.1, 2.5};
    for (unsigned n = random() % 3; n > 0; --n) keep(bound());
    for (unsigned n = random() % 2; n > 0; --n) {
      const auto a = bound(), b = bound();
      keep({formulas.any({a.first, b.first}), {{"anyOf", {a.second, b.second}}}});
    }
    if (random() % 2 == 0) {
      for (unsigned n = 1 + random() % 2; n > 0; --n) {
        keep(add(AtomKind::kMultipleOf, kSteps[random() % std::size(kSteps)], random() % 2 == 0));
      }
    } else if (random() % 2 == 0) {
      keep(add(AtomKind::kIn, static_cast<int>(random() % 60) - 30, true));
    }
    schema["allOf"] = whole;
    if (whole.empty()) schema.erase("allOf");
    Fuel fuel("steps", 20'000'000);
    const auto pool = std::make_shared<ExpressionPool>(fuel);
    ScalarExpressions expressions(*pool, formulas, [](FormulaId, const Json&) { return false; });
    const auto program =
        Program::create(pool, expressions.scalars(formulas.all(parts)), all, {}, {}, fuel);
    const auto made = compile_json_schema(all, schema);
    if (!program || (*program)->rests_on_undecided()) continue;
    const Dfa expected =
        (*program)->empty() ? nullptr : ScalarDfa::create(*program, 1'000'000, nullptr);
    if (expected == nullptr && !(*program)->empty()) continue;
    ASSERT_EQ(expected != nullptr, made.has_value()) << seed << ": " << schema.dump();
    if (expected == nullptr) continue;
    const std::optional<std::string> text = difference(expected, *made);
    EXPECT_FALSE(text) << seed << ": " << schema.dump() << " differs at " << *text;
    ++compared;
  }
  EXPECT_GT(compared, 100);
}

TEST(NumberSteps, AreNotMadeOfTooManyBoundsOrStates) {
  const VocabularyRef all = testing::byte_vocabulary();
  NumberCondition condition;
  condition.range.at_least(Decimal(5), false);
  const auto made = number_steps(condition, all->json_bytes(), 4096);
  ASSERT_TRUE(made);
  const std::size_t states = made->accepting.size() - 1;
  EXPECT_TRUE(number_steps(condition, all->json_bytes(), states));
  EXPECT_FALSE(number_steps(condition, all->json_bytes(), states - 1));
  condition.choices.emplace_back();
  for (std::size_t i = 0; i < kMostNumberBounds; ++i) {
    NumberCondition one;
    one.range.at_least(Decimal(10 + 2 * static_cast<std::int64_t>(i)), false);
    one.range.at_most(Decimal(10 + 2 * static_cast<std::int64_t>(i)), false);
    if (i + 1 < kMostNumberBounds) condition.choices[0].push_back(one);
    if (i + 2 == kMostNumberBounds) {
      EXPECT_TRUE(number_steps(condition, all->json_bytes(), SIZE_MAX));
      condition.choices[0].push_back(one);
      condition.choices[0].back().range.low = condition.choices[0].back().range.high = Decimal(11);
      EXPECT_FALSE(number_steps(condition, all->json_bytes(), SIZE_MAX));
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
