// A pattern as the type of a hole: the automaton agrees with the definition, groups come back as a
// record.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "grammar/matcher.h"
#include "grammar/regex.h"
#include "tests/support/naive_expression.h"

namespace espalier::grammar {
namespace {

VocabularyRef bytes_vocabulary() {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  spec.end_of_turn = 256;
  spec.bytes.emplace_back();
  return Vocabulary::create(std::move(spec)).value();
}

Result<GrammarRef> hole(const std::string& pattern) {
  static const VocabularyRef vocabulary = bytes_vocabulary();
  auto type = std::make_shared<Type>();
  type->kind = TypeKind::kRegex;
  type->pattern = pattern;
  return compile(vocabulary, type, "");
}

std::optional<Json> run(const GrammarRef& grammar, const std::string& text) {
  Matcher matcher = grammar->start();
  for (const char c : text) {
    if (!matcher.mask(10'000)->allows(static_cast<unsigned char>(c))) return std::nullopt;
    if (!matcher.advance(static_cast<unsigned char>(c))) return std::nullopt;
  }
  if (!matcher.accepting()) return std::nullopt;
  return matcher.value();
}

TEST(RegexHole, NamedGroupsMakeARecordOfStrings) {
  const auto grammar = hole("(?<n>[0-9]{1,3}) (?<unit>day|month|year)s?");
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  EXPECT_EQ(run(*grammar, "30 days"), (Json{{"n", "30"}, {"unit", "day"}}));
  EXPECT_EQ(run(*grammar, "30 weeks"), std::nullopt);
  const auto plain = hole("[a-c]+");
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(run(*plain, "abc"), Json("abc"));
}

TEST(RegexHole, TheAutomatonAgreesWithTheDefinition) {
  const std::string pieces[] = {"a", "b", "(", ")", "|", "*", "?", "^", "$", "{2}", "[^a]"};
  std::vector<std::string> patterns = {""};
  std::vector<std::string> texts = {""};
  for (std::size_t i = 0; i < texts.size() && texts[i].size() < 3; ++i) {
    for (const char* letter : {"a", "b"}) texts.push_back(texts[i] + letter);
  }
  std::size_t checks = 0;
  for (std::size_t i = 0, length = 0, end = 1; length < 4; ++length, end = patterns.size()) {
    for (; i < end; ++i) {
      for (const std::string& piece : pieces) {
        patterns.push_back(patterns[i] + piece);
        if (patterns.size() % 3 != 0) continue;  // a third of them keeps this short
        Fuel fuel("expressions", 100'000);
        ExpressionPool pool(fuel);
        const auto e = regex_expression(pool, patterns.back());
        if (!e) continue;
        const auto grammar = hole(patterns.back());
        testing::NaiveExpression naive(pool, *e);
        if (!grammar) {  // empty language or nullable: the only reasons
          bool any = false;
          for (const std::string& text : texts) any = any || (!text.empty() && naive.matches(text));
          EXPECT_TRUE(naive.matches("") || !any)
              << patterns.back() << ": " << grammar.error().message;
          continue;
        }
        for (const std::string& text : texts) {
          ++checks;
          EXPECT_EQ(run(*grammar, text).has_value(), naive.matches(text))
              << "/" << patterns.back() << "/ on \"" << text << "\"";
        }
      }
    }
  }
  std::printf("%zu checks\n", checks);
}

}  // namespace
}  // namespace espalier::grammar
