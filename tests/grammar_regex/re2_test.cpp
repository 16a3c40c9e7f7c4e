// RE2 is the oracle wherever it accepts: every pattern up to a size over an alphabet of atoms and
// operators, against every string up to a length.
#include <gtest/gtest.h>
#include <re2/re2.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "grammar/regex.h"
#include "grammar/unicode_tables.h"
#include "tests/support/naive_expression.h"

namespace espalier::grammar {
namespace {

std::vector<std::string> all_words(const std::vector<std::string>& letters, std::size_t longest) {
  std::vector<std::string> out = {""};
  std::size_t from = 0;
  for (std::size_t length = 1; length <= longest; ++length) {
    const std::size_t to = out.size();
    for (std::size_t i = from; i < to; ++i) {
      for (const std::string& letter : letters) out.push_back(out[i] + letter);
    }
    from = to;
  }
  return out;
}

struct Counts {
  std::size_t patterns = 0, checks = 0, both_refuse = 0, only_we_refuse = 0;
};

// Where RE2 accepts, we accept with the same language, or refuse as unsupported (never as invalid).
void compare(const std::string& pattern, const std::vector<std::string>& texts, Counts& counts,
             bool search = false) {
  static const RE2::Options options = [] {
    RE2::Options o;
    o.set_log_errors(false);
    return o;
  }();
  Fuel fuel("expressions", 100'000);
  ExpressionPool pool(fuel);
  const auto e = regex_expression(pool, pattern, {RegexDialect::kRe2, search, false, false});
  const RE2 re2(pattern, options);
  ++counts.patterns;
  if (!re2.ok()) {
    ++counts.both_refuse;
    // Repeats above RE2's limit and \u are ours alone; everything else that it rejects as syntax,
    // we reject.
    const bool ours =
        re2.error_code() == RE2::ErrorRepeatSize ||
        (re2.error_code() == RE2::ErrorBadEscape && re2.error_arg().starts_with("\\u"));
    EXPECT_TRUE(!e.has_value() || ours) << "/" << pattern << "/ RE2: " << re2.error();
    return;
  }
  if (!e) {
    ++counts.only_we_refuse;
    EXPECT_EQ(e.error().code, ErrorCode::kUnsupported)
        << "/" << pattern << "/ " << e.error().message;
    return;
  }
  testing::NaiveExpression naive(pool, *e);
  for (const std::string& text : texts) {
    ++counts.checks;
    const bool expected = search ? RE2::PartialMatch(text, re2) : RE2::FullMatch(text, re2);
    EXPECT_EQ(naive.matches(text), expected) << "/" << pattern << "/ on \"" << text << "\"";
  }
}

void enumerate(const std::vector<std::string>& pieces, std::size_t longest,
               const std::vector<std::string>& texts, std::string_view name, bool search = false) {
  Counts counts;
  for (const std::string& pattern : all_words(pieces, longest)) {
    compare(pattern, texts, counts, search);
    if (::testing::Test::HasFailure()) return;  // the first one says enough
  }
  std::printf("%.*s: %zu patterns, %zu checks, %zu rejected by both, %zu refused by us only\n",
              static_cast<int>(name.size()), name.data(), counts.patterns, counts.checks,
              counts.both_refuse, counts.only_we_refuse);
}

TEST(RegexAgainstRe2, EverySmallPatternOfOperators) {
  enumerate({"a", "b", "(", ")", "|", "*", "?", "+"}, 5, all_words({"a", "b"}, 3), "operators");
}

TEST(RegexAgainstRe2, EverySmallPatternOfAnchors) {
  enumerate({"a", "^", "$", "(", ")", "|", "*", "{2}"}, 5, all_words({"a", "b"}, 3), "anchors");
}

TEST(RegexAgainstRe2, EverySmallPatternThatIsSearchedFor) {
  enumerate({"a", "b", "^", "$", "(", ")", "|", "{1,2}", "*"}, 5, all_words({"a", "b"}, 3),
            "searched for", true);
}

TEST(RegexAgainstRe2, EverySmallCharacterClass) {
  enumerate({"[", "]", "^", "-", "a", "c", "\\d", "\\n"}, 5,
            {"", "a", "b", "c", "-", "]", "^", "5", "\n", "[", "aa", "]a", "-]"}, "classes");
}

TEST(RegexAgainstRe2, EverySmallCount) {
  enumerate({"a", "{", "}", ",", "0", "1", "2", "?"}, 5, all_words({"a", "{", "1"}, 3), "counts");
}

TEST(RegexAgainstRe2, EverySmallEscapeAndFlag) {
  enumerate({"\\", "(?", "i", ")", "-", "s", ".", "A", "1"}, 5,
            {"", "a", "A", "i", "I", "s", "S", "-", ".", "\n", "\\", "1", "ii", "iI", "\x01",
             "\x09", "\u017F"},
            "escapes");
}

TEST(RegexAgainstRe2, EveryEscapedByteMeansTheSame) {
  std::vector<std::string> texts = {"", "Q", "ab", "\u00e9", "\u212A", "\xe2\x80\xa8"};
  for (int c = 0; c < 128; ++c) texts.emplace_back(1, static_cast<char>(c));
  Counts counts;
  for (const std::string suffix : {"", "0", "12", "{41}", "4a", "{L}", "L", "{^Lu}"}) {
    for (int c = 1; c < 128; ++c) {
      for (const std::string shape : {"@", "[@]", "[^@]", "(?i)@", "(?i)[^@]", "(?s)@|."}) {
        std::string pattern = shape;
        pattern.replace(pattern.find('@'), 1, std::string("\\") + static_cast<char>(c) + suffix);
        compare(pattern, texts, counts);
      }
    }
  }
  std::printf("escaped bytes: %zu patterns, %zu checks\n", counts.patterns, counts.checks);
}

TEST(RegexAgainstRe2, UnicodeClassesHaveTheSameMembers) {
  // Every 97th code point, so that the test stays short; all of ASCII and Latin. What our version
  // of Unicode has not assigned yet, RE2's may have.
  const auto unassigned = *unicode::find("Cn", unicode::Kind::kCategory);
  std::vector<std::string> texts;
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x250 ? 1 : 97) {
    if (c >= 0xD800 && c < 0xE000) continue;
    if (std::any_of(unassigned.begin(), unassigned.end(),
                    [c](const CodePointRange& r) { return c >= r.first && c <= r.second; })) {
      continue;
    }
    texts.emplace_back();
    utf8::append(texts.back(), c);
  }
  Counts counts;
  for (const char* pattern : {"\\pL",
                              "\\PL",
                              "\\p{Lu}",
                              "(?i)\\p{Lu}",
                              "(?i)\\P{Ll}",
                              "\\pN",
                              "\\pC",
                              "\\p{Greek}",
                              "\\p{Han}",
                              "(?i)\\p{Greek}",
                              "[[:^alpha:]]",
                              "(?i)[[:^upper:]]",
                              "(?i)\\W",
                              "\\W",
                              "\\pZ",
                              "[\\pS\\pP]",
                              "(?i)[a-z]",
                              "(?i)[^a-z]",
                              "(?i)[\\x{100}-\\x{200}]",
                              ".",
                              "(?s).",
                              "\\p{Any}",
                              "\\p{Cyrillic}"}) {
    compare(pattern, texts, counts);
  }
  std::printf("Unicode classes: %zu patterns, %zu checks\n", counts.patterns, counts.checks);
}

}  // namespace
}  // namespace espalier::grammar
