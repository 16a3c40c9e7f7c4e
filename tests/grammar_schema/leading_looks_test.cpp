// Look-ahead near the beginning of patterns: taken apart where it may be, and the language stays.
#include "grammar/schema/leading_looks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <string>
#include <vector>

#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using testing::byte_vocabulary;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(LeadingLooks, AreTakenApartBehindAPrefixOfOneLength) {
  const auto apart = leading_looks(R"(^a[(b]{2}(?=\).)(?!x(?:y|z)[)])q+$)");
  ASSERT_TRUE(apart.has_value());
  EXPECT_EQ(apart->rest, "^a[(b]{2}q+$");
  EXPECT_THAT(apart->ahead, ElementsAre(R"(^a[(b]{2}(?:\).))"));
  EXPECT_THAT(apart->denied, ElementsAre("^a[(b]{2}(?:x(?:y|z)[)])"));
  EXPECT_FALSE(apart->counts);
  const auto counting = leading_looks("^(?=.{3})");
  ASSERT_TRUE(counting.has_value());
  EXPECT_EQ(counting->rest, "^");
  EXPECT_THAT(counting->denied, IsEmpty());
  EXPECT_TRUE(counting->counts);
}

TEST(LeadingLooks, AreLeftWhereTheyStandElsewhere) {
  for (const char* pattern : {"", "^", "^a", "(?=a)b", "^a?(?=b)", "^a*(?=b)", "^(?:a)(?=b)",
                              "^(?=a)|b", "^(?=a", "^(?=a)(", "^a|(?=b)", "^(?<=a)b", "^b(?<!a)",
                              "^a$(?=b)", "^(?=a){2}b", "^[(?=a]", R"(^\(?=a)", "^a(?=b)c|$"}) {
    EXPECT_FALSE(leading_looks(pattern).has_value()) << pattern;
  }
}

// By themselves, beside a greatest length and denied, against the standard library.
TEST(LeadingLooks, MeanWhatEcmaScriptSays) {
  std::vector<std::string> words{""};
  for (std::size_t i = 0; i < words.size() && words[i].size() < 5; ++i) {
    for (const char c : {'a', 'b', '-'}) words.push_back(words[i] + c);
  }
  const std::vector<std::string> looks = {"(?=a{2})",     "(?!b{2})",   "(?=.{2,3}$)",
                                          "(?!.*a.{2}b)", "(?!a{2}|b)", "(?=(?:ab){1,2}-?)",
                                          "(?!$)"};
  std::vector<std::string> all = looks;
  for (const std::string& one : looks) all.push_back("(?=.*-.{0,2}a)" + one);
  for (const char* head : {"", "a", "[ab-]", "[ab]{2}", "a?", "a|b"}) {
    for (const std::string& look : all) {
      for (const char* tail : {"", ".*$", "[ab]*$", "[ab-]{1,4}$", "a|-$"}) {
        const std::string pattern = "^" + std::string(head) + look + tail;
        const std::regex reference(pattern, std::regex::ECMAScript);
        const Json said = {{"pattern", pattern}};
        const Json schemas[] = {{{"type", "string"}, {"pattern", pattern}},
                                {{"type", "string"}, {"pattern", pattern}, {"maxLength", 3}},
                                {{"type", "string"}, {"not", said}}};
        for (const Json& schema : schemas) {
          const auto grammar = compile_json_schema(byte_vocabulary(), schema);
          if (!grammar) {
            ASSERT_THAT(grammar.error().message, HasSubstr("no value satisfies")) << schema;
          }
          for (const std::string& word : words) {
            bool fits = std::regex_search(word, reference) != schema.contains("not");
            if (schema.contains("maxLength")) fits = fits && word.size() <= 3;
            const bool ours = grammar && testing::accepts(*grammar, "\"" + word + "\"");
            ASSERT_EQ(ours, fits) << schema << " on '" << word << "'";
          }
        }
      }
    }
  }
}

// One automaton of all of it would have more states than there are bytes of memory.
TEST(LeadingLooks, ThatCountAmongAllTextsAreReadSideBySide) {
  for (const char* pattern :
       {"^(?!.*foo.{0,50}bar)[a-z ]+$", "^x(?!foo)(?=.*[aeiou].{40}$).*$",
        "^[a-z](?!.*a.{20}b)(?!.*c.{20}d).{1,100}$", "^(?!.*(foo.{0,50}bar)).*$"}) {
    const auto grammar = compile_json_schema(
        byte_vocabulary(), {{"type", "string"}, {"pattern", pattern}, {"maxLength", 60}});
    ASSERT_TRUE(grammar.has_value()) << pattern << ": " << grammar.error().message;
    const std::regex reference(pattern, std::regex::ECMAScript);
    for (const std::string text : {"foo and bar", "ba foo", "xyz", "foo", "", "a and b",
                                   "xbcdefghijklmnopqrstuvwxyz abcdefghijklmnopqrstu",
                                   "aaaaaaaaaaaaaaaaaaaaaaab", "ccccccccccccccccccccccd"}) {
      EXPECT_EQ(testing::accepts(*grammar, "\"" + text + "\""), std::regex_search(text, reference))
          << pattern << " on '" << text << "'";
    }
  }
}

// Not anchored: found where a line begins, if at all; lines are what `.` does not go beyond.
TEST(LeadingLooks, ThatAreSearchedForMeanWhatEcmaScriptSays) {
  std::vector<std::string> words{""};
  for (std::size_t i = 0; i < words.size() && words[i].size() < 5; ++i) {
    for (const char c : {'a', '1', '-', '\n'}) words.push_back(words[i] + c);
  }
  std::size_t moved = 0;
  for (const char* looks : {"(?=.*1)", "(?=.*1)(?=.*a)", "(?=.*(?:a|1-))", "(?=.*)", "(?=.*1$)",
                            "(?=.+1)(?=.*-)", "(?!.*1)(?=.*a)", "(?=a)(?=.*1)", "(?=[^]*1)"}) {
    for (const char* rest :
         {"", ".*", ".{2,}", ".{2,3}", ".{2,3}$", ".+-", "a?.*", ".{2,}$", ".*|1"}) {
      const std::string pattern = std::string(looks) + rest;
      moved += looks_from_line_starts(pattern, *parse_regex(pattern, RegexDialect::kEcma)) ? 1 : 0;
      const std::regex reference(pattern, std::regex::ECMAScript);
      const auto grammar =
          compile_json_schema(byte_vocabulary(), {{"type", "string"}, {"pattern", pattern}});
      ASSERT_TRUE(grammar.has_value()) << pattern << ": " << grammar.error().message;
      for (const std::string& word : words) {
        ASSERT_EQ(testing::accepts(*grammar, Json(word).dump()), std::regex_search(word, reference))
            << pattern << " on " << Json(word);
      }
    }
  }
  EXPECT_EQ(moved, 32U);
}

}  // namespace
}  // namespace espalier::grammar
