// The Lark dialect that llguidance documents: each construct by what it accepts, each refusal by
// its message.
#include "grammar/lark.h"

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
  const auto compiled = compile_lark(vocabulary, grammar);
  return compiled ? verdict(compiled->grammar, text) : compiled.error().message;
}

TEST(Lark, ReadsTheCalculator) {
  constexpr std::string_view kCalculator = R"lark(
// sums
?start: sum
      | NAME "=" sum    -> assign_var
?sum: product
    | sum "+" product   -> add
    | sum "-" product   -> sub
?product: atom
    | product "*" atom
    | product "/" atom
?atom: NUMBER | "-" atom | NAME | "(" sum ")"
%import common.CNAME -> NAME
%import common.NUMBER
%import common.WS_INLINE
%ignore WS_INLINE
)lark";
  EXPECT_EQ(run(kCalculator, "x = 1.5 + (2*y) - -3"), "yes");
  EXPECT_EQ(run(kCalculator, "x = 1 +"), "begins");
  EXPECT_EQ(run(kCalculator, "x = = 1"), "4");
  EXPECT_EQ(run(kCalculator, " 1"), "0");
}

TEST(Lark, IgnoresBetweenLexemesOnly) {
  EXPECT_EQ(run("start: \"ab\" INT\nINT: /[0-9]/+\n%ignore \" \"", "ab  12 "), "yes");
  EXPECT_EQ(run("start: \"ab\" INT\nINT: /[0-9]/+\n%ignore \" \"", "a b12"), "1");
  EXPECT_EQ(run("start: \"ab\" INT\nINT: /[0-9]/+\n%ignore \" \"", "ab1 2"), "4");
  EXPECT_EQ(run("start: \"ab\" int\nint: /[0-9]/+\n%ignore \" \"", "ab1 2"), "yes");
  EXPECT_EQ(run("%llguidance {\"allow_initial_skip\": true}\nstart: \"a\"\n%ignore \" \"", " a"),
            "yes");
  EXPECT_EQ(
      run("%llguidance {\"ignore_once\": true}\n%ignore /[ ]{1,2}/\nstart: \"A\" \"!\"", "A   !"),
      "3");
}

TEST(Lark, RepeatsInEverySpelling) {
  for (const char* spelling :
       {"\"a\"~2..3", "\"a\"{2,3}", "\"a\" \"a\" \"a\"?", "\"a\" \"a\" [\"a\"]"}) {
    const std::string grammar = std::string("start: ") + spelling;
    EXPECT_EQ(run(grammar, "a"), "begins") << spelling;
    EXPECT_EQ(run(grammar, "aa"), "yes") << spelling;
    EXPECT_EQ(run(grammar, "aaaa"), "3") << spelling;
  }
  EXPECT_EQ(run("start: (\"a\" | \"b\")~3", "aba"), "yes");
  EXPECT_EQ(run("start: \"a\"{,2}", "aaa"), "2");
  EXPECT_EQ(run("start: x{2,}\nx: \"a\"", "aaa"), "yes");
}

TEST(Lark, TerminalsAreRegular) {
  EXPECT_EQ(run("start: \"while\"i /[a-z]/ \"0\"..\"7\"", "WhILex7"), "yes");
  EXPECT_EQ(run("start: /a.b/s", "a\nb"), "yes");
  EXPECT_EQ(run("start: /a.b/", "a\nb"), "1");
  EXPECT_EQ(run("start: /\\/x/", "/x"), "yes");
  EXPECT_EQ(run("start: A\nA: B C\nB: \"b\"\nC: B | \"c\"", "bb"), "yes");
  constexpr std::string_view kLines = "start: L\nL: /[a-z \\n]*/ & ~/(?s:.*)\\n\\n(?s:.*)/";
  EXPECT_EQ(run(kLines, "ab\ncd\n"), "yes");
  EXPECT_EQ(run(kLines, "ab\n\ncd"), "3");
  EXPECT_EQ(run("start: X\nX: \"ab\" | /[a-c]+/ & /.{2}/ | \"d\"", "cc"), "yes");
  EXPECT_EQ(run("start: W\nW: /[a-z]+/ & ~(\"if\" | \"of\")", "if"), "begins");
}

TEST(Lark, LazyRulesHoldTheShortestMatches) {
  constexpr std::string_view kTools = R"lark(
start: ( f_foo | f_bar )* f_end
f_end: TEXT
TEXT: /(.|\n)*/
f_foo_hd[lazy]: TEXT "<function"
f_foo: f_foo_hd "=foo>" %json { "type": "boolean" } "</function>"
f_bar_hd[lazy]: TEXT "<function"
f_bar: f_bar_hd "=bar>" /[0-9]+/ "</function>"
)lark";
  EXPECT_EQ(run(kTools, "hi <function=bar>12</function> and <function=foo>true</function>"), "yes");
  EXPECT_EQ(run("start: head \"!\"\nhead[lazy]: /.*<end>/", "x<end>!"), "yes");
  EXPECT_EQ(run("start: head \"!\"\nhead[lazy]: /.*<end>/", "x<end>y<end>!"), "6");
  EXPECT_EQ(run("start: head \"!\"\nhead[suffix=\"--\", capture=\"h\"]: /.*/", "a-b--!"), "yes");
  EXPECT_EQ(run("start: head \"!\"\nhead[suffix=\"--\"]: /.*/", "a--b--!"), "3");
}

TEST(Lark, HoldsSchemasAndSubstrings) {
  constexpr std::string_view kCall =
      "start: \"call\" %json {\"type\": \"object\", \"properties\": {\"n\": {\"type\": "
      "\"integer\"}}, "
      "\"required\": [\"n\"], \"additionalProperties\": false} \";\"";
  EXPECT_EQ(run(kCall, "call{\"n\": -3};"), "yes");
  EXPECT_EQ(run(kCall, "call{\"n\": x"), "10");
  EXPECT_EQ(run("start: %regex {\"substring_chunks\": [\"abc\", \"de\", \"fg\"]} \".\"", "abcde."),
            "yes");
  EXPECT_EQ(run("start: %regex {\"substring_chunks\": [\"abc\", \"de\", \"fg\"]} \".\"", "cde."),
            "0");
  EXPECT_EQ(run("start: %regex {\"substring_words\": \"foo bar. baz\"}", "bar. baz"), "yes");
  EXPECT_EQ(run("start: %regex {\"substring_chars\": \"ab c\"}", "b "), "yes");
}

// As docs/grammar.md says: free text beside a lazy rule hides it unless the text excludes its mark.
TEST(Lark, FreeTextBesideALazyRuleExcludesItsMark) {
  constexpr std::string_view kCalls =
      "call: head /[0-9]+/ \"</f>\"\nhead[lazy]: TEXT \"<f>\"\nTEXT: /(.|\\n)*/\n";
  const std::string hidden = "start: call* TEXT\n" + std::string(kCalls);
  EXPECT_EQ(run(hidden, "a<f>x"), "yes");
  const std::string held =
      "start: call* PLAIN\nPLAIN: TEXT & ~MARKED\nMARKED: TEXT \"<f>\" TEXT\n" +
      std::string(kCalls);
  EXPECT_EQ(run(held, "a<f>12</f> b <f>3</f>"), "yes");
  EXPECT_EQ(run(held, "plain < text\n"), "yes");
  EXPECT_EQ(run(held, "a<f>x"), "4");
  EXPECT_EQ(run(held, "a<f>12</f><f>"), "begins");
}

// A schema in a grammar is as large as one alone: it is not searched for a value again.
TEST(Lark, HoldsSchemasWhoseValuesALongSearchWouldFind) {
  constexpr std::string_view kOneOf =
      "start: \"<\" %json {\"oneOf\": ["
      "{\"type\": \"object\", \"properties\": {\"foo\": {\"type\": \"string\"}}}, "
      "{\"type\": \"object\", \"properties\": {\"bar\": {\"type\": \"string\"}}}]} \">\"";
  EXPECT_EQ(run(kOneOf, "<{\"foo\": 1}>"), "yes");
  EXPECT_EQ(run(kOneOf, "<{\"bar\": [], \"foo\": \"\"}>"), "yes");
  EXPECT_EQ(run(kOneOf, "<{}"), "2");
}

TEST(Lark, ErrorsNameThePlace) {
  EXPECT_THAT(run("start: a", ""), HasSubstr("1:8: rule `a` is not defined"));
  EXPECT_THAT(run("start: A", ""), HasSubstr("1:8: terminal `A` is not defined"));
  EXPECT_THAT(run("x: \"a\"", ""), HasSubstr("no rule `start`"));
  EXPECT_THAT(run("start: A\nA: \"a\" A?", ""), HasSubstr("2:8: the terminal `A` needs itself"));
  EXPECT_THAT(run("start: A\nA: start", ""), HasSubstr("rule `start` cannot stand in a terminal"));
  EXPECT_THAT(run("start: \"a\" & \"b\"", ""), HasSubstr("stand in terminals"));
  EXPECT_THAT(run("start: (\"a\"", ""), HasSubstr("1:8: this bracket is never closed"));
  EXPECT_THAT(run("start: \"a\")", ""), HasSubstr("1:11: a bracket closes here"));
  EXPECT_THAT(run("start: /a(/", ""), HasSubstr("1:8: regex: "));
  EXPECT_THAT(run("start: %json {\"type\": \"object\", \"allOf\": 3}", ""),
              HasSubstr("1:8: %json: "));
  EXPECT_THAT(run("start: %json {", ""), HasSubstr("never closed"));
  EXPECT_THAT(run("start: \"a\nx: \"b\"", ""), HasSubstr("string is never closed"));
  EXPECT_THAT(run("start: \"a\"\nstart: \"b\"", ""), HasSubstr("defined already"));
  EXPECT_THAT(run("start: \"b\"..\"a\"", ""), HasSubstr("a range is of one character"));
  EXPECT_THAT(run("start[suffix=\"x\", suffix=\"y\"]: /.*/", ""),
              HasSubstr("1:19: the attribute `suffix` is given twice"));
  EXPECT_THAT(run("%import common.FOO", ""), HasSubstr("`common` has no `FOO`; it has DIGIT"));
}

TEST(Lark, RefusesByName) {
  const auto refused = [](std::string_view grammar, std::string_view what) {
    const auto compiled = compile_lark(bytes_and(), grammar);
    ASSERT_FALSE(compiled) << grammar;
    EXPECT_EQ(compiled.error().code, ErrorCode::kUnsupported) << grammar;
    EXPECT_THAT(compiled.error().message, HasSubstr(std::string(what)));
  };
  refused("start: <|eot|>", "special tokens");
  refused("start: <[12]>", "special tokens");
  refused("start: @other", "references to other grammars");
  refused("start: %lark { start: \"a\" }", "`%lark`");
  refused("start[stop=\"x\"]: /.*/", "`stop`");
  refused("start[max_tokens=3]: /.*/", "`max_tokens`");
  refused("start[temperature=0.5]: /.*/", "`temperature`");
  refused("start: A\nA[lazy]: /a/", "2:2: attributes of terminals");
  refused("start: x{\"a\"}\nx{y}: y", "templates");
  refused("start: x::1", "parametric rules");
  refused("%declare A\nstart: A", "`%declare`");
  refused("%import other.A\nstart: A", "imports other than from `common`");
  refused("start: /a/x", "flag `x`");
  refused("%llguidance {\"foo\": 1}\nstart: \"a\"", "option `foo`");
}

TEST(Lark, PrioritiesLeaveTheLanguageAsItIs) {
  constexpr std::string_view kIf =
      "start.2: IF | NAME\nIF.10: \"if\"\nNAME.-1: /[a-z]+/\n?x.3[capture]: \"x\"";
  EXPECT_EQ(run(kIf, "if"), "yes");
  EXPECT_EQ(run(kIf, "iff"), "yes");
  EXPECT_THAT(run("start.x: \"a\"", ""), HasSubstr("1:7: a count is expected"));
}

TEST(Lark, AByteOrderMarkIsNoPartOfIt) { EXPECT_EQ(run("\xEF\xBB\xBFstart: \"a\"", "a"), "yes"); }

// A regex's flags are none of its bytes.
TEST(Lark, ErrorsOfRegexesCountFromTheirFirstByte) {
  EXPECT_THAT(run("start: /ab\\y/is", ""), HasSubstr("1:8: regex: unknown escape at offset 2"));
  EXPECT_THAT(run("start: /a(?=b)c/i", ""),
              HasSubstr("1:8: regex: not supported: look-around at offset 1"));
}

TEST(Lark, RegexesWriteCodePointsAsPythonDoes) {
  EXPECT_EQ(run("start: /[\\u4e00-\\u9fff]+\\x41\\U0001F600/", "世界A😀"), "yes");
}

TEST(Lark, NamesWhatIsNeverUsed) {
  const auto compiled = compile_lark(bytes_and(), "start: a\na: B\nB: \"b\"\nc: \"c\"\nD: \"d\"");
  ASSERT_TRUE(compiled) << compiled.error().message;
  EXPECT_THAT(compiled->report.unreachable, ElementsAre("c", "D"));
}

}  // namespace
}  // namespace espalier::grammar
