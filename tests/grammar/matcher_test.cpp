#include "grammar/matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "testing.h"

namespace espalier::grammar {
namespace {

using namespace testing_support;

Json value_of(const TypeRef& type, std::string_view text, std::string_view follow = {}) {
  const auto grammar = compile(byte_vocabulary(), type, follow);
  if (!grammar) return Json("error: " + grammar.error().message);
  Matcher m = (*grammar)->start();
  for (const char c : std::string(text) + std::string(follow)) {
    if (!m.advance(static_cast<unsigned char>(c))) return Json("refused at " + m.text());
  }
  if (!follow.empty() && !m.done()) return Json("not done");
  if (follow.empty() && !m.accepting()) return Json("not accepting");
  if (m.text() != text) return Json("text is " + m.text());
  return m.value();
}

TEST(Matcher, GivesTypedValues) {
  EXPECT_EQ(value_of(string_type(), "hello", "\n"), "hello");
  EXPECT_EQ(value_of(int_type(), "-12"), -12);
  EXPECT_EQ(value_of(int_type(), "9223372036854775807"), INT64_MAX);
  EXPECT_EQ(value_of(int_type(), "9223372036854775808"), "refused at 922337203685477580");
  EXPECT_EQ(value_of(float_type(), "1.5e-3"), 1.5e-3);
  EXPECT_EQ(value_of(simple(TypeKind::kBool), "true"), true);
  EXPECT_EQ(value_of(simple(TypeKind::kNull), "null"), nullptr);
  EXPECT_EQ(value_of(enum_type({"yes", "no"}), "no"), "no");
  EXPECT_EQ(value_of(list_type(int_type()), "[1, 2,3]"), Json::array({1, 2, 3}));
  EXPECT_EQ(
      value_of(record_type({{"a", int_type()},
                            {"b", string_type(), true},
                            {"c", list_type(simple(TypeKind::kJson))}}),
               "{\"a\": 1, \"c\": [{\"x\": [], \"y\": \"\\u00e9\\ud83d\\ude00\\n\"}, null, 1.25]}"),
      Json::parse("{\"a\": 1, \"c\": [{\"x\": [], \"y\": \"é😀\\n\"}, null, 1.25]}"));
  EXPECT_EQ(value_of(record_type({{"get", record_type({{"q", string_type()}})}}, TypeKind::kCall),
                     R"({"name": "get", "arguments": {"q": "x"}})"),
            Json::parse(R"({"name": "get", "arguments": {"q": "x"}})"));
}

// A value's own JSON text, as the type's language writes it.
TEST(Matcher, EveryHoleClosesInsideItsBudgetWhateverTheTaste) {
  const std::vector<std::pair<std::string, Taste>> tastes = {
      {"spaces", prefer(" \n")},
      {"quotes", prefer("\"\\")},
      {"digits", prefer("0123456789.eE-")},
      {"brackets", prefer("[{")},
      {"letters", prefer("abcdefghijklmnopqrstuvwxyz")},
      {"high bytes", prefer("\xC3\xE2\xF0\xF1\x80\x82\xA9")}};
  for (unsigned seed = 0; seed < 150; ++seed) {
    std::mt19937 random(seed);
    const VocabularyRef vocabulary = random_vocabulary(seed);
    const TypeRef type = random_type(random);
    const std::string follow =
        std::vector<std::string>{"", "\n", ".", "\n\n", "\"", " end", "abab"}[random() % 7];
    SCOPED_TRACE("seed " + std::to_string(seed) + " follow " + follow);
    const auto grammar = compile(vocabulary, type, follow);
    ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
    const std::uint32_t least = (*grammar)->least_tokens();
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t budget = least + (i == 0 ? 0 : random() % 30);
      const auto& [name, taste] = i == 1
                                      ? std::pair<std::string, Taste>("random", random_taste(seed))
                                      : tastes[random() % tastes.size()];
      SCOPED_TRACE(name + ", budget " + std::to_string(budget));
      Matcher m = (*grammar)->start();
      std::uint32_t left = budget;
      std::string so_far;
      int steps = 0;
      while (!m.done()) {
        ASSERT_LT(++steps, 3000);
        const bool was_complete = m.accepting();
        const MaskRef mask = m.mask(left);
        ASSERT_GT(mask->count(), 0U) << so_far << " distance " << m.distance() << " left " << left;
        double best = -1;
        TokenId pick = kNoToken;
        for (std::size_t id = 0; id < vocabulary->size(); ++id) {
          const auto t = static_cast<TokenId>(id);
          if (!mask->allows(t)) continue;
          const double score = taste(t, vocabulary->bytes(t));
          if (score > best) best = score, pick = t;
        }
        const std::uint32_t before = m.distance();
        ASSERT_TRUE(m.advance(pick)) << so_far << " then " << vocabulary->bytes(pick);
        so_far += vocabulary->bytes(pick);
        ASSERT_TRUE(left > 0 || was_complete);
        if (left > 0) --left;
        ASSERT_LE(m.distance(), left) << so_far << " distance before " << before;
      }
      const Json value = m.value();
      ASSERT_EQ(so_far, m.text() + follow);
      ASSERT_FALSE(value.is_discarded());
    }
  }
}

TEST(Matcher, AMaskAllowsWhatAdvanceTakesAndTheBudgetCloses) {
  for (unsigned seed = 0; seed < 120; ++seed) {
    std::mt19937 random(seed);
    const VocabularyRef vocabulary = random_vocabulary(seed + 1000);
    const TypeRef type = random_type(random);
    const std::string follow = std::vector<std::string>{"", "\n", ".", "ab", "\""}[random() % 5];
    SCOPED_TRACE("seed " + std::to_string(seed) + " follow " + follow);
    const auto grammar = compile(vocabulary, type, follow);
    ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
    Matcher m = (*grammar)->start();
    std::uint32_t left = (*grammar)->least_tokens() + random() % 20;
    while (!m.done()) {
      const MaskRef mask = m.mask(left);
      SCOPED_TRACE("after " + m.text() + ", left " + std::to_string(left));
      std::vector<TokenId> allowed;
      for (std::size_t id = 0; id < vocabulary->size(); ++id) {
        const auto t = static_cast<TokenId>(id);
        if (mask->allows(t)) allowed.push_back(t);
        Matcher next = m;
        const bool fits = next.advance(t) && left > 0 && next.distance() <= left - 1;
        ASSERT_TRUE(left == 0 || mask->allows(t) == fits) << vocabulary->bytes(t);
      }
      ASSERT_FALSE(allowed.empty());
      ASSERT_TRUE(m.advance(allowed[random() % allowed.size()]));
      if (left > 0) --left;
    }
  }
}

TEST(Matcher, PatternsGiveTheirText) {
  Type t;
  t.kind = TypeKind::kRegex;
  t.pattern = "(?P<year>[0-9]{4})-(?P<month>[0-9]{2})";
  const auto date = std::make_shared<const Type>(t);
  EXPECT_EQ(value_of(date, "2024-05"), "2024-05");
  EXPECT_EQ(value_of(list_type(date), R"(["2024-05"])"), Json::parse(R"(["2024-05"])"));
  t.pattern = "[a-z\"]+";
  const auto word = std::make_shared<const Type>(t);
  EXPECT_EQ(value_of(word, "ab\"c"), "ab\"c");
  EXPECT_EQ(value_of(list_type(word), R"(["ab\"c"])"), Json::parse(R"(["ab\"c"])"));
}

std::string error_of(const TypeRef& type, std::string_view follow = {}) {
  const auto grammar = compile(byte_vocabulary(), type, follow);
  return grammar ? "" : grammar.error().message;
}

TEST(Matcher, TypesThatCannotWorkAreRefusedByCode) {
  using testing::StartsWith;
  EXPECT_THAT(error_of(int_type(3, 2)), StartsWith("E0301"));
  EXPECT_THAT(error_of(float_type(3, 2)), StartsWith("E0301"));
  EXPECT_THAT(error_of(enum_type({})), StartsWith("E0301"));
  EXPECT_THAT(error_of(literal_type("a.b"), ""), "");
  EXPECT_THAT(error_of(union_type({string_type(), int_type()}), "\n"), StartsWith("E0303"));
  EXPECT_THAT(error_of(union_type({int_type(), float_type()})), StartsWith("E0303"));
  EXPECT_THAT(error_of(union_type({literal_type("x"), literal_type("x")})), StartsWith("E0303"));
  EXPECT_THAT(error_of(optional_type(int_type())), StartsWith("E0307"));
  const auto tree = std::make_shared<Type>();
  tree->kind = TypeKind::kRecord;
  tree->name = "Endless";
  tree->fields = {{"next", "next", reference_to(tree), false, {}}};
  EXPECT_THAT(error_of(tree), StartsWith("E0301"));
  const TypeRef a = record_type({{"kind", literal_type("a")}, {"x", string_type()}});
  const TypeRef b = record_type({{"kind", literal_type("b")}, {"x", string_type()}});
  EXPECT_EQ(error_of(union_type({a, b})), "");
  EXPECT_THAT(error_of(union_type({a, a})), StartsWith("E0303"));
}

TEST(Matcher, ARecursiveTypeStopsNestingAtTheLimitAndStillCloses) {
  const auto tree = std::make_shared<Type>();
  tree->kind = TypeKind::kRecord;
  tree->name = "Tree";
  tree->fields = {{"kids", "kids", list_type(reference_to(tree)), false, {}}};
  Limits limits;
  limits.max_depth = 4;
  const auto grammar = compile(byte_vocabulary(), tree, "", limits).value();
  Matcher m = grammar->start();
  std::string text;
  int depth = 0;
  while (true) {
    bool more = true;
    for (const char c : std::string("{\"kids\":["))
      more = more && m.advance(static_cast<unsigned char>(c));
    if (!more) break;
    ASSERT_LT(++depth, 50);
  }
  EXPECT_EQ(depth, 5);
  for (std::uint32_t left = 100; !m.accepting(); --left) {
    ASSERT_GT(left, 0U);
    ASSERT_TRUE(m.advance(m.mask(left)->ids()[0]));
  }
}

// Healing: the first tokens spell the prefix and may run past its end into the value.
TEST(Matcher, AHealedPrefixBelongsToTheTextAndNotToTheValue) {
  const auto vocabulary = byte_vocabulary({" 12", " 1", "  "});
  const auto grammar = compile(vocabulary, int_type(), "\n").value();
  Matcher m = grammar->start(" ");
  EXPECT_FALSE(m.mask(9)->allows('1'));
  EXPECT_TRUE(m.mask(9)->allows(' '));
  EXPECT_TRUE(m.mask(9)->allows(256));
  EXPECT_FALSE(m.mask(9)->allows(258));
  ASSERT_TRUE(m.advance(256));
  EXPECT_EQ(m.text(), "12");
  EXPECT_TRUE(m.accepting());
  ASSERT_TRUE(m.advance('\n'));
  EXPECT_TRUE(m.done());
  EXPECT_EQ(m.value(), 12);
}

// A literal after the hole decides where it ends (CONTRACTS 18).
TEST(Matcher, AValueEndsAtTheFirstOccurrenceOfItsFollow) {
  EXPECT_EQ(value_of(float_type(), "1", "."), 1.0);
  EXPECT_EQ(value_of(float_type(), "1.5", "."), "refused at 1");
  EXPECT_EQ(value_of(string_type(), "aab", "ab"), "refused at a");
  EXPECT_EQ(value_of(string_type(), "a", "ab"), "a");
  EXPECT_EQ(value_of(list_type(int_type()), "[1]", "]"), Json::array({1}));
  EXPECT_EQ(value_of(enum_type({"a", "a.b"}), "a", "."), "a");
}

// A generation that outgrows its bytes starts over; matchers that were made before go on as if
// nothing happened.
TEST(Matcher, StatesAreBoundedInBytesAndOldMatchersGoOn) {
  Limits limits;
  limits.state_bytes = 20'000;
  const TypeRef type = list_type(record_type({{"a", string_type(1, 6)}, {"b", float_type()}}));
  const auto small = compile(byte_vocabulary({"\":", "{\"a"}), type, "", limits).value();
  const auto large = compile(byte_vocabulary({"\":", "{\"a"}), type, "").value();
  std::vector<Matcher> old;
  Matcher a = small->start();
  Matcher b = large->start();
  std::mt19937 random(5);
  for (std::uint32_t left = 120; !a.accepting() && left > 0; --left) {
    old.push_back(a);
    ASSERT_TRUE(std::ranges::equal(a.mask(left)->words(), b.mask(left)->words())) << b.text();
    const auto ids = b.mask(left)->ids();
    const TokenId pick = ids[random() % ids.size()];
    ASSERT_TRUE(a.advance(pick));
    ASSERT_TRUE(b.advance(pick));
  }
  EXPECT_EQ(a.value(), b.value());
  EXPECT_EQ(a.text(), b.text());
  Matcher again = small->start();
  for (const Matcher& m : old) EXPECT_EQ(m.text(), b.text().substr(0, m.text().size()));
}

TEST(Matcher, AChainOfAHundredThousandTokensIsFreedWithoutRecursion) {
  const auto grammar = compile(byte_vocabulary(), string_type(), "\n").value();
  Matcher m = grammar->start();
  for (int i = 0; i < 100'000; ++i) ASSERT_TRUE(m.advance('x'));
  EXPECT_EQ(m.text().size(), 100'000U);
}

}  // namespace
}  // namespace espalier::grammar
