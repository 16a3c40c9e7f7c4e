// Counts in patterns, which are read as lengths where they say how long the whole text is, against
// the standard library's ECMAScript.
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

std::vector<std::string> words_of(std::string_view letters, std::size_t longest) {
  std::vector<std::string> words{""};
  for (std::size_t i = 0; i < words.size() && words[i].size() < longest; ++i) {
    for (const char c : letters) words.push_back(words[i] + c);
  }
  return words;
}

void expect_same(const std::string& pattern, const std::vector<std::string>& words) {
  const auto grammar =
      compile_json_schema(byte_vocabulary(), Json{{"type", "string"}, {"pattern", pattern}});
  if (!grammar) {
    EXPECT_THAT(grammar.error().message, HasSubstr("no value")) << pattern;
  }
  const std::regex reference(pattern, std::regex::ECMAScript);
  for (const std::string& word : words) {
    const bool ours = grammar && testing::accepts(*grammar, "\"" + word + "\"");
    ASSERT_EQ(ours, std::regex_search(word, reference)) << pattern << " on '" << word << "'";
  }
}

TEST(CountedPatterns, BesideLooksMeansWhatEcmaScriptSays) {
  const std::vector<std::string> words = words_of("ab1", 5);
  const char* const looks[] = {"",
                               "(?=.*a)",
                               "(?=.*[a-z])(?=.*\\d)",
                               "(?!.*bb)",
                               "(?!a)(?=.{2,3}$)",
                               "(?=.{3}$)",
                               "(?=[ab]{2,}$)(?=.*1?)",
                               "(?=.{2,4})",
                               "(?=.{1,2}a)",
                               "(?!.{2,3}$)",
                               "(?=(?:ab){1,2}$|1)",
                               "(?=a{2,3}$)",
                               "(?=.(?:a|b){2,3}$)"};
  const char* const bodies[] = {
      ".{2,4}",    "[ab]{3}", "a.{1,3}",      "(?:ab){1,2}",     "(?:a|b1){2}",   ".{2,}",
      "a{2}b{2,}", "a?.{2}",  "a(?!1).{2,3}", ".{2,3}(?=a)a{1}", "(?:.{2}){1,2}", "\\b.{2,3}?\\b"};
  for (const char* look : looks) {
    for (const char* body : bodies) {
      for (const char* tail : {"$", "", "|^1$", "b$"}) {
        expect_same(std::string("^") + look + body + tail, words);
        if (HasFailure()) return;
      }
      expect_same(std::string(look) + body + "$", words);
      if (HasFailure()) return;
    }
  }
}

TEST(CountedPatterns, OfAPasswordIsALengthHoweverLongItIs) {
  const Json schema = Json::parse(
      R"({"type": "string", "pattern": "^(?=.{8,40000}$)(?=.*[a-z])(?=.*[A-Z])(?=.*\\d).{2,30000}$"})");
  const auto grammar = compile_json_schema(byte_vocabulary(), schema);
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_LT((*grammar)->size().bytes, std::size_t{1} << 20);
  const auto word = [](std::size_t size) { return "\"aA1" + std::string(size - 3, 'x') + "\""; };
  EXPECT_TRUE(testing::accepts(*grammar, word(8)));
  EXPECT_TRUE(testing::accepts(*grammar, word(30'000)));
  EXPECT_FALSE(testing::accepts(*grammar, word(7)));
  EXPECT_FALSE(testing::accepts(*grammar, word(30'001)));
  EXPECT_FALSE(testing::accepts(*grammar, "\"aaaaaaa1\""));
}

}  // namespace
}  // namespace espalier::grammar
