// GBNF as llama.cpp documents it: each construct by what it accepts, each refusal by its message.
#include "grammar/gbnf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing.h"

namespace espalier::grammar {
namespace {

using testing::bytes_and;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::verdict;

std::string run(std::string_view grammar, std::string_view text) {
  static const VocabularyRef vocabulary = bytes_and();
  const auto compiled = compile_gbnf(vocabulary, grammar);
  return compiled ? verdict(compiled->grammar, text) : compiled.error().message;
}

TEST(Gbnf, ReadsTheJsonGrammar) {
  constexpr std::string_view kJson = R"gbnf(
root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::=
  "{" ws (
            string ":" ws value
    ("," ws string ":" ws value)*
  )? "}" ws
array  ::=
  "[" ws (
            value
    ("," ws value)*
  )? "]" ws
string ::=
  "\"" (
    [^"\\\x7F\x00-\x1F] |
    "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) # escapes
  )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws
# Optional space: by convention, applied in this grammar after literal chars when allowed
ws ::= | " " | "\n" [ \t]{0,20}
)gbnf";
  EXPECT_EQ(run(kJson, R"({"a": [1, -2.5e3, "x\u00e9\n", null], "é": {}})"), "yes");
  EXPECT_EQ(run(kJson, R"({"a": [1, )"), "begins");
  EXPECT_EQ(run(kJson, R"({"a": tru1)"), "9");
  EXPECT_EQ(run(kJson, R"([1])"), "0");
}

TEST(Gbnf, RepeatsCountExactly) {
  EXPECT_EQ(run("root ::= \"ab\"{2,3}", "ab"), "begins");
  EXPECT_EQ(run("root ::= \"ab\"{2,3}", "abab"), "yes");
  EXPECT_EQ(run("root ::= \"ab\"{2,3}", "ababababab"), "6");
  EXPECT_EQ(run("root ::= [0-9]{ 3 }", "12"), "begins");
  EXPECT_EQ(run("root ::= [0-9]{2,}", "12345"), "yes");
  EXPECT_EQ(run("root ::= \"a\"{0,100000} \"b\"", std::string(5000, 'a') + "b"), "yes");
  EXPECT_EQ(run("root ::= (\"a\"+)?*", ""), "yes");
}

TEST(Gbnf, ClassesAndEscapesAreCodePoints) {
  EXPECT_EQ(run("root ::= [^\\n]+ \"\\n\"", "é😀x\n"), "yes");
  EXPECT_EQ(run("root ::= [^\\n]+ \"\\n\"", "\n"), "0");
  EXPECT_EQ(run("root ::= [ぁ-ゟ]+", "ひらがな"), "yes");
  EXPECT_EQ(run("root ::= \"\\x41\\u00e9\\U0001F600\"", "Aé😀"), "yes");
  EXPECT_EQ(run("root ::= [a\\-z]{3}", "-az"), "yes");
  EXPECT_EQ(run("root ::= \"\\'\\/\" [\\^\\]\\.]{3}", "'/^]."), "yes");
  EXPECT_EQ(run("root ::= [a-]{2}", "-a"), "yes");
  EXPECT_EQ(run("root ::= .", "\n"), "yes");
  EXPECT_EQ(run("root ::= .", "\xC3"), "begins");
}

TEST(Gbnf, ALineGoesOnWithTheRuleBeforeItUnlessItBeginsAnother) {
  EXPECT_EQ(run("root ::= # first\n  \"a\" |\n \"b\" # last\n\n\r\nx ::= \"c\"", "b"), "yes");
  EXPECT_EQ(run("root ::= (\n \"a\"\n \"b\"\n)", "ab"), "yes");
  EXPECT_EQ(run("root ::= \"a\"\n  | x # or\n  | \"c\"\nx ::= \"b\"", "b"), "yes");
  EXPECT_EQ(run("root ::= \"a\"\r\n\r\n  x\r\n  {2}\r\nx ::= \"b\"", "abb"), "yes");
  EXPECT_EQ(run("root ::= x\ny\n::= \"a\"", "a"),
            "grammar 3:1: a string, a class, `.`, a rule's name, `(`, `|` or a count is expected "
            "here");
  EXPECT_THAT(run("root ::= x\ny : \"a\"", ""), HasSubstr("2:3: a string, a class, `.`"));
  EXPECT_THAT(run("root ::= (\"a\" = \"b\")", ""), HasSubstr("1:15: a string, a class, `.`"));
  EXPECT_THAT(run("root ::= (\"a\" = \"b\")", ""), HasSubstr("`)` or a count"));
}

TEST(Gbnf, AByteOrderMarkIsNoPartOfIt) { EXPECT_EQ(run("\xEF\xBB\xBFroot ::= \"a\"", "a"), "yes"); }

TEST(Gbnf, RunsRecursionOfEveryKind) {
  EXPECT_EQ(run("root ::= root \"+\" root | [0-9]", "1+2+3+4"), "yes");
  EXPECT_EQ(run("root ::= (\"a\"*)*", "aaa"), "yes");
  EXPECT_EQ(run("root ::= (\"a\"* \"b\"*)+ \"c\"", "abbac"), "yes");
  EXPECT_EQ(run("root ::= n root \"b\" | \"a\"\nn ::= \"\" | \"n\"", "nnabbb"), "yes");
  EXPECT_EQ(run("root ::= root | x\nx ::= root | \"y\"", "y"), "yes");
  EXPECT_EQ(run("root ::= \"(\" root \")\" root | \"\"", "(()())()"), "yes");
  EXPECT_EQ(run("root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"\"", "abba"), "yes");
}

TEST(Gbnf, ErrorsNameThePlace) {
  EXPECT_THAT(run("root ::= \"a\" item", ""), HasSubstr("1:14: rule `item` is not defined"));
  EXPECT_THAT(run("x ::= \"a\"", ""), HasSubstr("there is no rule `root`"));
  EXPECT_THAT(run("root ::= \"a\"\nroot ::= \"b\"", ""),
              HasSubstr("2:1: rule `root` is defined at 1:1"));
  EXPECT_THAT(run("root ::= (\"a\"", ""), HasSubstr("1:10: this `(` is never closed"));
  EXPECT_THAT(run("root ::= \"a\")", ""), HasSubstr("1:13: `)` without its `(`"));
  EXPECT_THAT(run("root ::= \"a", ""), HasSubstr("1:10: this string is never closed"));
  EXPECT_THAT(run("root ::= [a", ""), HasSubstr("1:10: this class is never closed"));
  EXPECT_THAT(run("root ::= []", ""), HasSubstr("an empty class"));
  EXPECT_THAT(run("root ::= [z-a]", ""), HasSubstr("backwards"));
  EXPECT_THAT(run("root ::= *", ""), HasSubstr("nothing stands before"));
  EXPECT_THAT(run("root ::= \"a\"{3,2}", ""), HasSubstr("least count is above"));
  EXPECT_THAT(run("root ::= \"a\"{9999999999}", ""), HasSubstr("a count is at most"));
  EXPECT_THAT(run("root ::= \"\\q\"", ""), HasSubstr("unknown escape"));
  EXPECT_THAT(run("root ::= \"\\uD800\"", ""), HasSubstr("no Unicode character"));
  EXPECT_THAT(run("root ::= \"\xFF\"", ""), HasSubstr("not UTF-8"));
  EXPECT_THAT(run("root ::= <think> .*", ""), HasSubstr("references to tokens"));
  EXPECT_THAT(run("root ::= !<[7]>", ""), HasSubstr("references to tokens"));
  EXPECT_THAT(run("", ""), HasSubstr("there is no rule `root`"));
}

TEST(Gbnf, NamesRulesThatCannotBeUsed) {
  EXPECT_THAT(run("root ::= a\na ::= \"x\" b\nb ::= a \"y\"", ""),
              HasSubstr("E0304: no text of rule `root` ever ends: `root` → `a` → `b` → `a`"));
  const auto compiled =
      compile_gbnf(bytes_and(), "root ::= \"a\" | b\nb ::= \"b\" b\nc ::= \"c\"\nd ::= c\n");
  ASSERT_TRUE(compiled) << compiled.error().message;
  EXPECT_THAT(compiled->report.unproductive, ElementsAre("b"));
  EXPECT_THAT(compiled->report.unreachable, ElementsAre("c", "d"));
  EXPECT_EQ(verdict(compiled->grammar, "b"), "0");
}

}  // namespace
}  // namespace espalier::grammar
