// Spans: which texts they are, where they stand, and how they are spelled inside JSON.
#include "grammar/span_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grammar/grammar_rules.h"
#include "testing.h"

namespace espalier::grammar {
namespace {

using namespace testing_support;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

SpanSourceRef source_of(std::string_view text) {
  auto made = SpanSource::create(text);
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : nullptr;
}

Matcher read(const GrammarRef& grammar, std::string_view text, bool* taken) {
  Matcher at = grammar->start({});
  *taken = true;
  for (const char c : text) *taken = *taken && at.advance(static_cast<unsigned char>(c));
  return at;
}

bool accepts(const TypeRef& type, std::string_view source, std::string_view text) {
  auto compiled = compile(byte_vocabulary(), type, {}, {}, source_of(source));
  EXPECT_TRUE(compiled) << compiled.error().message;
  if (!compiled) return false;
  bool taken = false;
  const Matcher at = read(*compiled, text, &taken);
  return taken && at.accepting();
}

TEST(Span, RunsFromTheBeginningOfAWordToTheEndOfOne) {
  const TypeRef span = simple(TypeKind::kSpan);
  const std::string text = "Total due:  RM12.50\n\tThank you!";
  for (const char* in : {"Total", "Total due", "due: RM12.50", "RM", "12.50", "12", "50", ".",
                         "RM12.50 Thank you!", "!"})
    EXPECT_TRUE(accepts(span, text, in)) << in;
  for (const char* out : {"Tot", "otal", "2.50", "12.5", "due:  RM", "RM12.50\n", " due", "due ",
                          "total", "Thanks", "you!!"})
    EXPECT_FALSE(accepts(span, text, out)) << out;
}

TEST(Span, LettersAreUnicodesAndMarksStayWithThem) {
  const TypeRef span = simple(TypeKind::kSpan);
  EXPECT_TRUE(accepts(span, "Müller & Söhne", "Söhne"));
  EXPECT_FALSE(accepts(span, "Müller & Söhne", "hne"));
  EXPECT_FALSE(accepts(span, "cafe\xCC\x81 noir", "cafe"));  // the accent is a mark of its own
  EXPECT_TRUE(accepts(span, "cafe\xCC\x81 noir", "cafe\xCC\x81"));
  EXPECT_TRUE(accepts(span, "東京都庁", "京都"));  // written without spaces
  EXPECT_TRUE(accepts(span,
                      "a\xC2\xA0"
                      "b",
                      "a b"));  // a no-break space is white space
}

TEST(Span, InJsonIsAStringInItsOneSpelling) {
  const TypeRef record = record_type({{"name", simple(TypeKind::kSpan)}});
  const std::string text = R"(say "hi" to C:\dir now)";
  EXPECT_TRUE(accepts(record, text, R"({"name":"say \"hi\" to"})"));
  EXPECT_TRUE(accepts(record, text, R"({"name": "C:\\dir"})"));
  EXPECT_FALSE(accepts(record, text, R"({"name":"say \u0022hi"})"));
  EXPECT_FALSE(accepts(record, text, R"({"name":"hello"})"));
  EXPECT_FALSE(accepts(record, text, R"({"name":""})"));
}

TEST(Span, TheValueIsTheTextAndItsPlacesAreInTheSource) {
  const auto source = source_of("Ü  ein\nZwei ein  Zwei");
  EXPECT_THAT(source->find("ein Zwei"), ElementsAre(Pair(3, 11), Pair(12, 21)));
  EXPECT_THAT(source->find("Ü"), ElementsAre(Pair(0, 1)));
  EXPECT_THAT(source->find("ei"), IsEmpty());
  EXPECT_THAT(source->find(""), IsEmpty());
  const TypeRef record = record_type({{"name", simple(TypeKind::kSpan)}});
  auto compiled = compile(byte_vocabulary(), record, {}, {}, source);
  ASSERT_TRUE(compiled) << compiled.error().message;
  bool taken = false;
  EXPECT_EQ(read(*compiled, R"({"name":"ein Zwei"})", &taken).value(),
            Json({{"name", "ein Zwei"}}));
}

TEST(Span, WithoutWordsNothingFitsButNull) {
  const TypeRef span = simple(TypeKind::kSpan);
  const auto empty = compile(byte_vocabulary(), span, {}, {}, source_of(" \n "));
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("E0301"));
  EXPECT_TRUE(accepts(record_type({{"a", optional_type(span)}}), " ", R"({"a":null})"));
  const auto none = compile(byte_vocabulary(), span, {});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("E0407"));
}

TEST(Span, LongSourcesAreWalkedWithoutAStateAPlaceAndTooLongOnesRefused) {
  std::string text;
  std::mt19937 random(7);
  while (text.size() < 200'000) {
    for (unsigned n = 2 + random() % 8; n > 0; --n) text += static_cast<char>('a' + random() % 26);
    text += ' ';
  }
  const auto source = source_of(text);
  const TypeRef record =
      record_type({{"a", simple(TypeKind::kSpan)}, {"b", optional_type(simple(TypeKind::kSpan))}});
  const auto compiled = compile(random_vocabulary(3), record, {}, {}, source);
  ASSERT_TRUE(compiled) << compiled.error().message;
  const Matcher done = generate(*compiled, 60, random_taste(1));
  ASSERT_TRUE(done.accepting());
  EXPECT_FALSE(source->find(done.value()["a"].get<std::string>()).empty());
  EXPECT_LT((*compiled)->size().state_bytes, std::size_t{32} << 20);
  EXPECT_FALSE(SpanSource::create(std::string(SpanSource::kLongestText + 1, 'a')));
  // One word without an end in reach, and the same words over and over.
  EXPECT_EQ(source_of(std::string(100'000, 'a'))->find("a").size(), 0U);
  std::string same;
  for (int i = 0; i < 100'000; ++i) same += "a ";
  EXPECT_EQ(source_of(same)->find("a a").size(), SpanSource::kMostPlaces);
}

TEST(Span, ClosesInsideEveryBudgetWhateverTheModelWants) {
  for (unsigned seed = 0; seed < 60; ++seed) {
    std::mt19937 random(seed);
    std::string text;
    for (unsigned n = random() % 40; n > 0; --n) text += "ab 1\"\\.,\n"[random() % 9];
    text += "x";
    const auto source = source_of(text);
    const TypeRef type = record_type({{"a", simple(TypeKind::kSpan)},
                                      {"b", list_type(simple(TypeKind::kSpan), 0, 3)},
                                      {"c", optional_type(simple(TypeKind::kSpan)), true}});
    const auto compiled = compile(random_vocabulary(seed), type, {}, {}, source);
    ASSERT_TRUE(compiled) << compiled.error().message;
    for (const std::uint32_t more : {0U, 1U, 4U, 40U}) {
      const Matcher end =
          generate(*compiled, (*compiled)->least_tokens() + more, random_taste(seed * 7 + more));
      ASSERT_TRUE(end.accepting()) << seed << " " << text;
      const Json value = end.value();
      EXPECT_FALSE(source->find(value["a"].get<std::string>()).empty()) << value << " " << text;
      for (const Json& one : value["b"])
        EXPECT_FALSE(source->find(one.get<std::string>()).empty()) << value << " " << text;
    }
  }
}

TEST(GrammarRules, AreReadPlainAndInsideJsonStrings) {
  auto rules = std::make_shared<GrammarRules>();
  using Kind = GrammarItem::Kind;
  const auto item = [](Kind kind, std::string text) {
    GrammarItem made;
    made.kind = kind;
    made.text = std::move(text);
    return made;
  };
  // start = start "\"" start | /[0-9"]/
  rules->rules.push_back(
      {"start",
       {{item(Kind::kRule, "start"), item(Kind::kString, "+\""), item(Kind::kRule, "start")},
        {item(Kind::kRegex, "[0-9\"]")}}});
  auto type = std::make_shared<Type>();
  type->kind = TypeKind::kGrammar;
  type->rules = rules;
  EXPECT_TRUE(accepts(type, "x", "1+\"2+\"\""));
  EXPECT_FALSE(accepts(type, "x", "1+\""));
  const TypeRef record = record_type({{"sum", type}});
  EXPECT_TRUE(accepts(record, "x", R"({"sum":"1+\"2+\"\""})"));
  EXPECT_FALSE(accepts(record, "x", R"({"sum":"1+"2"})"));
}

}  // namespace
}  // namespace espalier::grammar
