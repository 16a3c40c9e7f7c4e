// \b and \B of patterns, against the standard library's ECMAScript.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using testing::byte_vocabulary;
using ::testing::HasSubstr;
using testing::refusal_of;

GrammarRef compiled(const std::string& pattern) {
  auto grammar =
      compile_json_schema(byte_vocabulary(), Json{{"type", "string"}, {"pattern", pattern}});
  if (!grammar) {
    EXPECT_THAT(grammar.error().message, HasSubstr("no value satisfies")) << pattern;
  }
  return grammar.value_or(nullptr);
}

std::vector<std::string> words_of(std::string_view letters, std::size_t longest) {
  std::vector<std::string> words{""};
  for (std::size_t i = 0; i < words.size() && words[i].size() < longest; ++i) {
    for (const char c : letters) words.push_back(words[i] + c);
  }
  return words;
}

// `same`: the pattern as the library has it, where that takes a look-ahead's place for the text's
// beginning.
void expect_same(const std::string& pattern, const std::vector<std::string>& words,
                 const std::string& same = {}) {
  const GrammarRef grammar = compiled(pattern);
  const std::regex reference(same.empty() ? pattern : same, std::regex::ECMAScript);
  for (const std::string& word : words) {
    const bool ours = grammar != nullptr && testing::accepts(grammar, "\"" + word + "\"");
    ASSERT_EQ(ours, std::regex_search(word, reference)) << pattern << " on '" << word << "'";
  }
}

TEST(WordBoundary, MeansWhatEcmaScriptSaysBetweenAnyTwoParts) {
  const std::vector<std::string> words = words_of("a_- ", 4);
  for (const char* head :
       {"", "^", "a", "-", "^a*", "^.", "b|^", "^[a-]?", "^a{1,3}", "(?!-)", "^(?=.a)"}) {
    for (const char* boundary : {R"(\b)", R"(\B)", R"(\b\B)", R"(\b\b)"}) {
      for (const char* tail : {"", "$", "a+$", ".*", "-?a", "a*|-$", R"(a\b)", R"([a-]*\B$)",
                               R"((?=a).\b)", R"(\S\b\s)"}) {
        expect_same(std::string(head) + boundary + tail, words);
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(WordBoundary, StandsInGroupsAlternativesShortRepeatsAndWhatIsLookedFor) {
  const std::vector<std::string> words = words_of("a1- ", 5);
  for (const char* pattern :
       {R"(^(\ba\b|-){0,4}$)", R"(^(a\b){0,2}-)", R"(^(?:a|(-|\B))1$)", R"(^(?!.*\ba1\b)[a1-]+$)",
        R"(^(?=.*\b1)a)", R"(^(\b(a(1\B)?-?)){1,3}$)", R"(^(?!\b))", R"(^(^|\b)-)",
        R"((a|-)\b(1|-|$))", R"(^(?=\b)(?!.*1\b).+$)", R"(\b\w{2}\b)", R"(^\s*\b\w+\b\s*$)",
        R"(^(a*\b){2}-$)"}) {
    expect_same(pattern, words);
    if (::testing::Test::HasFailure()) return;
  }
}

TEST(WordBoundary, BeginsWhatIsLookedForBehindTheCharacterThatStandsThere) {
  const std::vector<std::string> words = words_of("a1- ", 4);
  expect_same(R"(a(?!\b))", words, R"(a\B)");
  expect_same(R"(a(?=\b))", words, R"(a\b)");
  expect_same(R"(-(?=\Ba|\b1)..$)", words, R"(-\b1.$)");
  expect_same(R"(^a*(?=\b-|\B1)..$)", words, R"(^a+[-1].$)");
}

TEST(WordBoundary, KnowsAsciiLettersDigitsAndTheUnderscoreAsWords) {
  const GrammarRef whole = compiled(R"(^.\b.$)");
  for (const char* pair : {"a-", "-9", "é_", "Zß", "\\na"}) {
    EXPECT_TRUE(testing::accepts(whole, "\"" + std::string(pair) + "\"") !=
                (std::string_view(pair) == "\\na"))
        << pair;
  }
  for (const char* pair : {"ab", "é-", "_9", "  "}) {
    EXPECT_FALSE(testing::accepts(whole, "\"" + std::string(pair) + "\"")) << pair;
  }
  const GrammarRef quoted = compiled(R"(^a\b"$)");  // a character that has an escape
  EXPECT_TRUE(testing::accepts(quoted, R"("a\"")"));
}

TEST(WordBoundary, OfRealSchemas) {
  const GrammarRef package =
      compiled(R"(^(?!.*\bnative\b)[a-zA-Z][a-zA-Z0-9_]*(\.[a-zA-Z][a-zA-Z0-9_]*)+$)");
  EXPECT_TRUE(testing::accepts(package, R"("com.natives.app")"));
  EXPECT_FALSE(testing::accepts(package, R"("com.native.app")"));
  const GrammarRef url = compiled(
      R"(^https?:\/\/(www\.)?[-a-zA-Z0-9@:%._\+~#=]{1,256}\.[a-zA-Z0-9()]{1,6}\b([-a-zA-Z0-9()@:%_\+.~#?&\/=]*)$)");
  EXPECT_TRUE(testing::accepts(url, R"("https://example.org/a?b=c")"));
  EXPECT_FALSE(testing::accepts(url, R"("https://example/")"));
}

TEST(WordBoundary, IsRefusedByNameWhereItIsNotCompiledAway) {
  for (const char* pattern : {R"((\ba)*)", R"((a\b)+)", R"((\ba){65})", R"((((\ba){9}){9}){9})",
                              R"((?<=a)\b)", R"((?<!\b)a)"}) {
    EXPECT_THAT(refusal_of(Json{{"pattern", pattern}}), HasSubstr("\\b (word boundary)"))
        << pattern;
  }
  std::string deep = R"(\b)";
  for (int i = 0; i < 300; ++i) deep = "(" + deep + ")";
  EXPECT_THAT(refusal_of(Json{{"pattern", deep}}), HasSubstr("so many of \\b"));
  EXPECT_THAT(refusal_of(Json{{"pattern", R"(\b*)"}}), HasSubstr("invalid"));
}

}  // namespace
}  // namespace espalier::grammar
