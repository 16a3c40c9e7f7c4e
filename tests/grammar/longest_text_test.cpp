// How long the texts of a type can be: no text is longer than the figure, and small types reach it.
#include "grammar/longest_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <unordered_map>

#include "grammar/compiled_grammar.h"
#include "grammar/grammar_rules.h"
#include "testing.h"

namespace espalier::grammar {
namespace {

using namespace testing_support;

TypeRef pattern_type(std::string pattern) {
  Type type;
  type.kind = TypeKind::kRegex;
  type.pattern = std::move(pattern);
  return std::make_shared<const Type>(std::move(type));
}

TypeRef map_type(TypeRef item, std::uint64_t high) {
  Type type;
  type.kind = TypeKind::kMap;
  type.items = {std::move(item)};
  type.high = high;
  return std::make_shared<const Type>(std::move(type));
}

/// Bytes of the longest text that the grammar's automaton accepts, by walking every path of it;
/// nothing where a path comes back to where it was.
class Walked {
 public:
  explicit Walked(const GrammarRef& grammar)
      : call_(dynamic_cast<const CompiledGrammar&>(*grammar)), automaton_(call_.automaton()) {}

  std::optional<std::uint64_t> longest() {
    const std::int64_t most = from(automaton_.start({}));
    if (endless_) return std::nullopt;
    return static_cast<std::uint64_t>(most);
  }

 private:
  static constexpr std::int64_t kOpen = -2, kNoText = -1;

  std::int64_t from(StateId state) {
    if (const auto known = known_.find(state); known != known_.end()) {
      endless_ = endless_ || known->second == kOpen;
      return known->second;
    }
    known_[state] = kOpen;
    std::int64_t most = automaton_.accepting(state) ? 0 : kNoText;
    for (int byte = 0; byte < 256 && !endless_; ++byte) {
      const StateId next = automaton_.step(state, static_cast<unsigned char>(byte));
      if (next == Automaton::kDead) continue;
      if (const std::int64_t behind = from(next); behind >= 0) most = std::max(most, behind + 1);
    }
    return known_[state] = most;
  }

  CompiledGrammar::Call call_;
  Automaton& automaton_;
  std::unordered_map<StateId, std::int64_t> known_;
  bool endless_ = false;
};

TEST(LongestText, IsReachedWhereTypesAreSmall) {
  const std::pair<TypeRef, std::uint64_t> types[] = {
      {literal_type("ab c"), 4},
      {literal_type(12.5), 4},
      {simple(TypeKind::kBool), 5},
      {enum_type({"yes", "no", "yesterday"}), 9},
      {union_type({literal_type("a"), literal_type("abc"), int_type(0, 9)}), 3},
      {int_type(-20, 7), 3},
      {int_type(), 20},
      {int_type(0, 1000), 4},
      {pattern_type("[ab]{1,3}(-c)?"), 5},
      {pattern_type("(yes|no)( [0-9]{2}){0,2}"), 9},
      {pattern_type("[é]{2}"), 4},
      {string_type(1, 2), 8},
      // "[" white space, items with white space behind each comma, white space "]": 17 bytes each.
      {list_type(int_type(1, 3), 0, 1), 1 + 17 + 1 + 17 + 1},
      {list_type(simple(TypeKind::kBool), 1, 2), 1 + 17 + 5 + 1 + 17 + 5 + 17 + 1},
      {record_type({{"a", int_type(1, 3)}}), 1 + 17 + 4 + 17 + 1 + 17 + 1},
      {list_type(string_type(0, 1), 1, 1), 1 + 17 + 2 + 12 + 17 + 1},
  };
  for (const auto& [type, expected] : types) {
    const auto grammar = compile(byte_vocabulary(), type, "").value();
    SCOPED_TRACE(type->pattern + " " + std::to_string(static_cast<int>(type->kind)));
    EXPECT_EQ(Walked(grammar).longest(), expected);
    EXPECT_EQ(grammar->longest_text(), expected);
    EXPECT_EQ(longest_text(type), expected);
  }
}

TEST(LongestText, HasNoEndWhereTheTextsHaveNone) {
  auto tree = std::make_shared<Type>();
  tree->kind = TypeKind::kRecord;
  tree->name = "Tree";
  tree->fields.push_back({"inside", "inside", list_type(reference_to(tree), 0, 1), false, {}});
  for (const TypeRef& type :
       {string_type(), line_type(), simple(TypeKind::kJson), list_type(int_type(1, 3)),
        pattern_type("a+"), list_type(simple(TypeKind::kJson), 1, 1),
        list_type(reference_to(tree), 1, 1), map_type(simple(TypeKind::kBool), 1)}) {
    const auto grammar = compile(byte_vocabulary(), type, "").value();
    EXPECT_EQ(grammar->longest_text(), std::nullopt) << static_cast<int>(type->kind);
    EXPECT_EQ(longest_text(type), std::nullopt);
  }
}

TEST(LongestText, SaturatesWhereCountsMultiplyPastWhatANumberHolds) {
  TypeRef type = string_type(0, 4'000'000'000);
  for (int i = 0; i < 3; ++i) type = list_type(type, 0, 4'000'000'000);
  EXPECT_EQ(longest_text(type), std::nullopt);
  const auto once = longest_text(string_type(0, 4'000'000'000));
  EXPECT_EQ(once, 16'000'000'000U);
}

TEST(LongestText, OfAGrammarBlockIsThatOfItsRulesUnlessTheyRecur) {
  const auto item = [](GrammarItem::Kind kind, std::string text) {
    return GrammarItem{kind, std::move(text), {}, 1, 1};
  };
  using Kind = GrammarItem::Kind;
  auto rules = std::make_shared<GrammarRules>();
  rules->rules.push_back({"start", {{item(Kind::kRule, "word"), item(Kind::kString, "-")}}});
  rules->rules.push_back({"word", {{item(Kind::kRegex, "[a-z]{1,7}")}, {item(Kind::kString, "")}}});
  auto type = std::make_shared<Type>();
  type->kind = TypeKind::kGrammar;
  type->rules = rules;
  EXPECT_EQ(longest_text(type), 8U);
  auto recursive = std::make_shared<GrammarRules>(*rules);
  recursive->rules[1].alternatives.push_back(
      {item(Kind::kString, "("), item(Kind::kRule, "word"), item(Kind::kString, ")")});
  type->rules = recursive;
  EXPECT_EQ(longest_text(type), std::nullopt);
}

TEST(LongestText, OfASpanIsThatOfItsSource) {
  const std::string text = "Total: 12.50 EUR";
  const auto source = SpanSource::create(text).value();
  EXPECT_EQ(longest_text(simple(TypeKind::kSpan), source), text.size());
  EXPECT_EQ(longest_text(simple(TypeKind::kSpan)), std::nullopt);
  std::string many;
  while (many.size() < 3 * SpanSource::kLongestSpan) many += "a ";
  EXPECT_EQ(longest_text(simple(TypeKind::kSpan), SpanSource::create(many).value()),
            SpanSource::kLongestSpan);
}

bool has_float(const TypeRef& type) {
  return type->kind == TypeKind::kFloat ||
         std::any_of(type->items.begin(), type->items.end(), has_float) ||
         std::any_of(type->fields.begin(), type->fields.end(),
                     [](const Field& field) { return has_float(field.type); });
}

/// Types with an end, at any depth.
TypeRef random_bounded(std::mt19937& random, int depth) {
  switch (random() % (depth >= 2 ? 7 : 9)) {
    case 0:
      return string_type(1, 1 + random() % 3);
    case 1:
      return int_type(-static_cast<std::int64_t>(random() % 200),
                      static_cast<std::int64_t>(random() % 3000));
    case 2:
      return enum_type({"yes", "no", "yesterday"});
    case 3:
      return union_type({literal_type("a"), literal_type("ab"), int_type(0, 9)});
    case 4:
      return simple(TypeKind::kBool);
    case 5:
      return float_type(0.0, static_cast<double>(1 + random() % 50));
    case 6:
      return int_type();
    case 7:
      return list_type(random_bounded(random, depth + 1), random() % 2, 1 + random() % 2);
    default: {
      std::vector<FieldSpec> fields;
      for (unsigned i = 0; i <= random() % 3; ++i)
        fields.push_back({std::string(1, static_cast<char>('a' + i)),
                          random_bounded(random, depth + 1), random() % 3 == 0});
      return record_type(fields);
    }
  }
}

// Every text of the type, by walking the automaton.
TEST(LongestText, IsThatOfTheAutomatonForRandomTypesWithAnEnd) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const TypeRef type = random_bounded(random, 0);
    const auto grammar = compile(byte_vocabulary(), type, "").value();
    ASSERT_TRUE(grammar->longest_text().has_value());
    EXPECT_EQ(grammar->longest_text(), longest_text(type));
    const auto longest = Walked(grammar).longest();
    if (has_float(type)) {  // digits and exponent are bounded together, by a product
      EXPECT_LE(longest, grammar->longest_text());
    } else {
      EXPECT_EQ(longest, grammar->longest_text());
    }
  }
}

TEST(LongestText, NoTextIsLongerWhateverWroteIt) {
  int bounded = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const TypeRef type = seed % 2 ? random_bounded(random, 0) : random_type(random);
    const auto grammar = compile(random_vocabulary(seed), type, seed % 3 == 0 ? "\n" : "").value();
    const auto longest = grammar->longest_text();
    EXPECT_EQ(longest, longest_text(type));
    if (!longest) continue;
    ++bounded;
    // White space, quotes and digits are what makes texts long.
    const Taste taste = seed % 5 == 0 ? prefer(" \n") : random_taste(seed);
    const Matcher m = generate(grammar, 4000, taste);
    ASSERT_TRUE(m.done()) << m.text();
    EXPECT_LE(m.text().size(), *longest) << m.text();
  }
  EXPECT_GT(bounded, 150);
}

}  // namespace
}  // namespace espalier::grammar
