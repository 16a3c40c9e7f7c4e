// Laws of the regular-expression front end: the language, the refusals, the limits.
#include "grammar/regex.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/support/naive_expression.h"

namespace espalier::grammar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

bool accepts(std::string_view pattern, std::string_view text, const RegexUse& use = {}) {
  Fuel fuel("expressions", 1'000'000);
  ExpressionPool pool(fuel);
  const auto e = regex_expression(pool, pattern, use);
  EXPECT_TRUE(e.has_value()) << pattern << ": " << (e ? "" : e.error().message);
  return e && testing::NaiveExpression(pool, *e).matches(text);
}
constexpr RegexUse kPattern = {RegexDialect::kEcma, true, false, false};

std::string refusal(std::string_view pattern, RegexDialect dialect = RegexDialect::kRe2) {
  const auto regex = parse_regex(pattern, dialect);
  return regex ? "accepted" : std::string(name(regex.error().code)) + ": " + regex.error().message;
}

TEST(Regex, APatternIsAnchoredAtBothEnds) {
  EXPECT_TRUE(accepts("a+", "aaa"));
  EXPECT_FALSE(accepts("a+", "aab"));
  EXPECT_FALSE(accepts("a|b", "ab"));
}

TEST(Regex, AnchorsMeanWhatTheyMeanWhereverTheyStand) {
  EXPECT_TRUE(accepts("^a$", "a"));
  EXPECT_FALSE(accepts("a^b", "ab"));
  EXPECT_FALSE(accepts("a$b", "ab"));
  EXPECT_TRUE(accepts("(^a|b)c", "ac"));
  EXPECT_FALSE(accepts("x?(^a|b)c", "xac"));
  EXPECT_TRUE(accepts("x?(^a|b)c", "xbc"));
  EXPECT_TRUE(accepts("(^|x)*y", "xxy"));
  EXPECT_TRUE(accepts("(^a){2}|(^|a){3}", "a"));
  EXPECT_TRUE(accepts("^*a", "a"));
}

TEST(Regex, ASearchFindsAMatchAnywhere) {
  EXPECT_TRUE(accepts("b", "abc", kPattern));
  EXPECT_FALSE(accepts("^b", "abc", kPattern));
  EXPECT_TRUE(accepts("^a|c$", "abc", kPattern));
  EXPECT_TRUE(accepts("", "anything", kPattern));
  EXPECT_TRUE(accepts("^$", "", kPattern));
  EXPECT_FALSE(accepts("^$", "a", kPattern));
  EXPECT_TRUE(accepts("^\\S(|.*\\S)$", "a b", kPattern));
  EXPECT_FALSE(accepts("^\\S(|.*\\S)$", "a ", kPattern));
  EXPECT_TRUE(accepts("b", "\n\nb\n", kPattern)) << "the text around a match may have lines";
}

TEST(Regex, CountsAreNeverExpanded) {
  Fuel fuel("expressions", 1000);
  ExpressionPool pool(fuel);
  EXPECT_TRUE(regex_expression(pool, "((a{1000}){1000}b{999999}){1000000}").has_value());
  EXPECT_LT(fuel.used(), 20U);
}

TEST(Regex, CodePointsAreOneCharacter) {
  EXPECT_TRUE(accepts(".{3}", "aé€"));
  EXPECT_TRUE(accepts("\\p{Greek}+", "αβγ"));
  EXPECT_FALSE(accepts("\\p{Greek}", "b"));
  EXPECT_TRUE(accepts("\\pL\\P{L}", "é1"));
  EXPECT_TRUE(accepts("(?i)straße", "STRAßE"));
  EXPECT_TRUE(accepts("(?i)k", "\u212A")) << "the Kelvin sign folds to k";
  EXPECT_FALSE(accepts("(?i)[^k]", "\u212A"));
  EXPECT_TRUE(accepts("[\\x{1F600}-\\x{1F64F}]", "😀"));
}

// RE2 does not read these; Rust's engine and Python's, for which grammars in Lark are written, do.
TEST(Regex, CodePointsMayBeWrittenAsOtherEnginesHaveThem) {
  EXPECT_TRUE(accepts("[\\u4e00-\\u9fff]\\u{e9}\\U0001F600\\ud83d\\ude00", "世é😀😀"));
  EXPECT_FALSE(accepts("[\\u4e00-\\u9fff]", "u"));
  EXPECT_THAT(refusal("a\\u12"), HasSubstr("four hexadecimal digits at offset 1"));
  EXPECT_THAT(refusal("a\\U0001F60"), HasSubstr("eight hexadecimal digits at offset 1"));
  EXPECT_THAT(refusal("\\U00110000"), HasSubstr("a bad code point at offset 0"));
  EXPECT_THAT(refusal("\\U0000d800"), HasSubstr("a bad code point at offset 0"));
  EXPECT_THAT(refusal("\\ud83d"), HasSubstr("surrogate"));
}

TEST(Regex, InsideAJsonStringCharactersAreEscapedOnce) {
  const RegexUse json = {RegexDialect::kRe2, false, true, false};
  EXPECT_TRUE(accepts("a\"b\\\\", "a\\\"b\\\\", json));
  EXPECT_FALSE(accepts("a\"b", "a\"b", json));
  EXPECT_TRUE(accepts("\\n\\x01", "\\n\\u0001", json));
  EXPECT_FALSE(accepts("\\n", "\n", json));
}

TEST(Regex, EcmaClassesAreEcmas) {
  EXPECT_FALSE(accepts("^\\d$", "٣", kPattern));
  EXPECT_TRUE(accepts("^\\s$", "\u00A0", kPattern));
  EXPECT_FALSE(accepts("^\\s$", "\u00A0", {RegexDialect::kRe2, false, false, false}));
  EXPECT_TRUE(accepts("^\\cA\\u0041\\u{1F600}\\uD83D\\uDE00\\/$",
                      "\x01"
                      "A😀😀/",
                      kPattern));
  EXPECT_TRUE(accepts("^\\p{Letter}\\p{Script=Greek}\\p{gc=Nd}$", "éα٣", kPattern));
  EXPECT_FALSE(accepts("^.$", "\u2028", kPattern));
  EXPECT_TRUE(accepts("^[^]$", "\n", kPattern));
  EXPECT_FALSE(accepts("^[]$", "", kPattern));
}

TEST(Regex, EcmaHasBinaryProperties) {
  EXPECT_TRUE(
      accepts("^(\\p{Extended_Pictographic}|\\p{Emoji_Component})+$", "👍🏽❤️1", kPattern));
  EXPECT_FALSE(accepts("^(\\p{Extended_Pictographic}|\\p{Emoji_Component})+$", "a", kPattern));
  EXPECT_TRUE(accepts("^\\p{ID_Start}\\p{IDC}*$", "é1_", kPattern));
  EXPECT_FALSE(accepts("^\\p{ID_Start}\\p{IDC}*$", "1a", kPattern));
  EXPECT_TRUE(
      accepts("^\\P{White_Space}\\p{space}\\p{Alphabetic}\\p{Upper}$", "x\u00A0éÉ", kPattern));
  EXPECT_FALSE(accepts("^\\P{White_Space}$", "\u2003", kPattern));
  EXPECT_THAT(refusal("\\p{Alphabetic}"), HasSubstr("the Unicode class `Alphabetic`")) << "RE2's";
  EXPECT_THAT(refusal("\\p{Script=Alphabetic}", RegexDialect::kEcma), HasSubstr("Unicode class"));
}

TEST(Regex, WhatIsNotRegularIsRefusedByNameWithItsOffset) {
  EXPECT_EQ(refusal("ab(?=c)"), "unsupported: regex: not supported: look-around at offset 2");
  EXPECT_THAT(refusal("a(?!c)"), HasSubstr("look-around"));
  EXPECT_THAT(refusal("(?<=a)c"), HasSubstr("look-around"));
  EXPECT_THAT(refusal("(a)\\1"), HasSubstr("back references are not regular at offset 3"));
  EXPECT_THAT(refusal("(?P<a>x)(?P=a)"), HasSubstr("back references"));
  EXPECT_THAT(refusal("a\\b"), HasSubstr("word boundary"));
  EXPECT_THAT(refusal("(?m)^a"), HasSubstr("(?m)"));
  EXPECT_THAT(refusal("\\C"), HasSubstr("\\C"));
  EXPECT_THAT(refusal("\\p{Klingon}"), HasSubstr("`Klingon` at offset 0"));
  EXPECT_THAT(refusal("(a)\\1", RegexDialect::kEcma), HasSubstr("back references"));
  EXPECT_THAT(refusal("(?m)a", RegexDialect::kEcma), HasSubstr("flags"));
  EXPECT_THAT(refusal("\\a", RegexDialect::kEcma), HasSubstr("unknown escape"));
  EXPECT_THAT(refusal("\\uD800", RegexDialect::kEcma), HasSubstr("surrogate"));
}

TEST(Regex, ErrorsNameTheirOffset) {
  EXPECT_EQ(refusal("ab(c"), "invalid: regex: missing ) at offset 2");
  EXPECT_EQ(refusal("ab)c"), "invalid: regex: unexpected ) at offset 2");
  EXPECT_EQ(refusal("*a"), "invalid: regex: nothing to repeat at offset 0");
  EXPECT_EQ(refusal("a{2,1}"), "invalid: regex: repeat bounds out of order at offset 1");
  EXPECT_EQ(refusal("a**"), "invalid: regex: a repeat of a repeat (use parentheses) at offset 2");
  EXPECT_EQ(refusal("x[z-a]"), "invalid: regex: range out of order at offset 2");
  EXPECT_EQ(refusal("a\\"), "invalid: regex: trailing \\ at offset 1");
  EXPECT_EQ(refusal("a\xff"), "invalid: regex: malformed UTF-8 at offset 1");
}

TEST(Regex, HostileSizesEndInALimit) {
  EXPECT_THAT(refusal(std::string(1'000'000, '(')),
              HasSubstr("limit: regex: a pattern of 1000000 bytes"));
  EXPECT_THAT(refusal(std::string(60'000, '(')),
              HasSubstr("nested more than 1000 deep at offset 1000"));
  EXPECT_THAT(refusal("a{9999999999999999999}"), HasSubstr("limit"));
  EXPECT_EQ(refusal(std::string(1000, '(') + std::string(1000, ')')), "accepted");
  for (const char* unit : {"^", "a?", "(?i)*", "|", "[^x]", "\\pL", "(^|a)", "(a?|^)*"}) {
    std::string pattern = "a";
    while (pattern.size() < 40'000) pattern += unit;
    Fuel fuel("expressions", 200'000);
    ExpressionPool pool(fuel);
    const auto e = regex_expression(pool, pattern);
    EXPECT_TRUE(e.has_value() || e.error().code == ErrorCode::kLimit) << unit;
  }
}

TEST(Regex, NamedGroupsAreFoundWithTheirLiterals) {
  const auto groups = regex_groups("(?<n>[0-9]{1,3}) (?P<unit>day|month|year)s?");
  ASSERT_TRUE(groups.has_value());
  ASSERT_EQ(groups->size(), 2U);
  EXPECT_EQ((*groups)[0].name, "n");
  EXPECT_EQ((*groups)[0].offset, 0U);
  EXPECT_FALSE((*groups)[0].literals.has_value());
  EXPECT_THAT((*groups)[1].literals.value(), ElementsAre("day", "month", "year"));
  EXPECT_TRUE((*groups)[0].always);
  EXPECT_TRUE((*groups)[1].always);
  EXPECT_THAT(refusal("(?<a>x)(?<a>y)"), HasSubstr("a second group named a"));
}

TEST(Regex, GroupsOfEveryMatchAreTold) {
  const auto groups =
      regex_groups("(?<a>x)?(?:(?<b>y)|z)(?:(?<c>w)+v){2}(?:(?<d>u)){0,3}((?<e>t))");
  ASSERT_TRUE(groups.has_value());
  std::string always;
  for (const NamedGroup& group : *groups) {
    if (group.always) always += group.name;
  }
  EXPECT_EQ(always, "ce");
}

}  // namespace
}  // namespace espalier::grammar
