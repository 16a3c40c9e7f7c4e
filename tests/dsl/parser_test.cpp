#include "dsl/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "support.h"

namespace espalier::dsl {
namespace {

using testing::codes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::parse_text;

/// The chunks of the first text of `gen g() { <text> }`, literals as they are and holes as their
/// name.
std::string chunks_of(const std::string& text) {
  auto result = parse_text("gen g() {\n" + text + "\n}\n");
  if (result.diagnostics.has_errors()) return "error: " + result.messages();
  const auto& gen = std::get<GenDecl>(result.parsed.file.declarations.at(0));
  const auto& statement = std::get<TextStmt>(gen.body.statements.at(0).node);
  std::string out;
  for (const Chunk& chunk : statement.text.chunks) {
    if (const auto* literal = std::get_if<LiteralChunk>(&chunk)) {
      out += "<" + literal->bytes + ">";
    } else if (const auto* hole = std::get_if<Hole>(&chunk)) {
      out += "[" + hole->name.text + "]";
    } else {
      out += "{}";
    }
  }
  return out;
}

TEST(Parser, TheFiveProgramsOfTheReferenceParse) {
  const auto programs = testing::files(testing::folder() / "programs", ".gen");
  ASSERT_GE(programs.size(), 5u);
  for (const auto& path : programs) {
    auto result = parse_text(testing::read_file(path));
    EXPECT_TRUE(result.parsed.complete);
    EXPECT_EQ(result.messages(), "") << path;
    EXPECT_FALSE(result.parsed.file.declarations.empty());
  }
}

TEST(Parser, TextIsExact) {
  EXPECT_EQ(chunks_of("\"a b\""), "<a b>");
  EXPECT_EQ(chunks_of("\"\""), "");
  EXPECT_EQ(chunks_of("\"a\\n\\t\\\"\\\\\\$\\u{e9}\\u{1F600}\""), "<a\n\t\"\\$é😀>");
  EXPECT_EQ(chunks_of("\"$${x} $$[y] $ $5 a$\""), "<${x} $[y] $ $5 a$>");
  EXPECT_EQ(chunks_of("\"a${1}b$[x: int]c\""), "<a>{}<b>[x]<c>");
  EXPECT_EQ(chunks_of("\"${1}${2}\""), "{}{}");
  EXPECT_EQ(chunks_of("\"// no comment /* here */\""), "<// no comment /* here */>");
}

TEST(Parser, ABlockTextLosesItsClosingQuotesIndentationAndOuterNewlines) {
  EXPECT_EQ(chunks_of("  \"\"\"\n    a\n      b\n\n    $[x: int]\n    \"\"\""), "<a\n  b\n\n>[x]");
  EXPECT_EQ(chunks_of("\"\"\"a \"quoted\" b\"\"\""), "<a \"quoted\" b>");
  EXPECT_EQ(chunks_of("  \"\"\"\n  \"\"\""), "");
  EXPECT_EQ(chunks_of("  \"\"\"\n  a\\n  b\n  \"\"\""), "<a\n  b>");
  EXPECT_EQ(chunks_of("  \"\"\"\r\n  a\r\n  b\r\n  \"\"\""), "<a\nb>");
  EXPECT_EQ(chunks_of("\t\"\"\"\n\ta\n\t\"\"\""), "<a>");
  EXPECT_THAT(chunks_of("    \"\"\"\n  a\n    \"\"\""), HasSubstr("E0116"));
  EXPECT_THAT(chunks_of("    \"\"\"\n  $[x: int]\n    \"\"\""), HasSubstr("E0116"));
}

TEST(Parser, IllFormedHolesAndInsertsAreNeverText) {
  for (const char* text :
       {"$[x int]", "$[: int]", "$[x: ]", "$[x: int", "$[5: int]", "$[x: int, max]", "$[", "${",
        "${}", "${1", "${1 2}", "$[if: int]", "$[x: int by]", "${a.}", "$[x: a |]"})
    EXPECT_THAT(codes(parse_text("gen g() { \"" + std::string(text) + "\"\n }").diagnostics),
                ::testing::Contains("E0110"))
        << text;
}

TEST(Parser, TheProposalForAMissingColonNamesTheHole) {
  const auto result = parse_text("gen g() {\n  assistant \"N: $[n int]\"\n}\n");
  EXPECT_EQ(result.messages(),
            "error[E0110]: expected `:` and a type after the hole's name\n"
            " --> test.gen:2:21\n"
            "  |\n"
            "2 |   assistant \"N: $[n int]\"\n"
            "  |                     ^ try `$[n: int]`\n");
}

TEST(Parser, OneBadLineDoesNotHideTheRest) {
  const auto result = parse_text(R"(record Item { name string, qty: int(1..9) }
enum Color { red, 5, blue }
gen a(x: string, y: ) -> int {
  user "hello ${x"
  assistant "N: $[n int] and $[m: string and $[k: ]"
  let z = (1 +
  user "ok \d"
  for i of 1..3 {
    user "${ }"
    foo bar
    assistant "$[q: int]"
  }
  return n +
}
gen b( {
  user "x"
}
tool t(a: int) -> = python "m:f"
gen c() { user "unterminated
  system "fine"
}
)");
  std::vector<std::uint32_t> lines;
  for (const auto& diagnostic : result.diagnostics.sorted())
    lines.push_back(result.sources[0].position(diagnostic.label.span.begin).line);
  EXPECT_THAT(lines, ElementsAre(1, 2, 3, 4, 5, 5, 7, 7, 8, 9, 10, 14, 15, 18, 19))
      << result.messages();
}

// A test's `expect` may be of a type or of a value, which is known only where the type ends.
TEST(Parser, AnExpectationOfAValueMayHoldWhatNoTypeDoes) {
  for (const char* source :
       {"test \"a\" { expect f({ x: {} }) == 1 }", "test \"a\" { expect f({ x: 1 + 2 }) == 1 }",
        "test \"a\" { expect f({ x, y: [1, {}] }, a: 3) }", "test \"a\" { expect {} == {} }",
        "test \"a\" { expect f({ x: g(1)[0].y }) != 2 }",
        "test \"a\" { expect { x: int, y: line }[1..2] accepts \"[]\" }"}) {
    EXPECT_EQ(parse_text(source).messages(), "") << source;
  }
  EXPECT_NE(parse_text("test \"a\" { expect f({ x: }) == 1 }").messages(), "");
}

TEST(Parser, ANameOfOtherLettersIsToldWhichItMayHave) {
  EXPECT_NE(parse_text("gen g() { let größe = 1 }").messages().find("ASCII letters"),
            std::string::npos);
}

TEST(Parser, OperatorsBindAsTheGrammarSays) {
  const auto shape = [](const std::string& source) {
    auto result = parse_text("gen g() { let x = " + source + " }");
    if (result.diagnostics.has_errors()) return result.messages();
    const auto& gen = std::get<GenDecl>(result.parsed.file.declarations.at(0));
    std::function<std::string(const Expr&)> print = [&](const Expr& e) -> std::string {
      if (const auto* b = std::get_if<BinaryExpr>(&e.node))
        return "(" + print(*b->left) + " " + std::string(spelling(b->op)) + " " + print(*b->right) +
               ")";
      if (const auto* u = std::get_if<UnaryExpr>(&e.node))
        return "(" + std::string(spelling(u->op)) + " " + print(*u->operand) + ")";
      if (const auto* n = std::get_if<NumberExpr>(&e.node))
        return std::to_string(n->number.int_value);
      if (const auto* n = std::get_if<NameExpr>(&e.node)) return n->name.text;
      if (const auto* m = std::get_if<MemberExpr>(&e.node))
        return print(*m->object) + "." + m->key.text;
      return "?";
    };
    return print(*std::get<LetStmt>(gen.body.statements.at(0).node).value);
  };
  EXPECT_EQ(shape("1 + 2 * 3 - 4"), "((1 + (2 * 3)) - 4)");
  EXPECT_EQ(shape("a or b and not c == d"), "(a or (b and ((not c) == d)))");
  EXPECT_EQ(shape("1..n + 1"), "(1 .. (n + 1))");
  EXPECT_EQ(shape("-5 - -a.b"), "(-5 - (- a.b))");
  EXPECT_EQ(shape("a in b or c"), "((a in b) or c)");
  EXPECT_EQ(shape("(1 + 2) * 3 % 4 / 5"), "((((1 + 2) * 3) % 4) / 5)");
  EXPECT_EQ(shape("-9223372036854775808"), "-9223372036854775808");
}

TEST(Parser, DocCommentsBelongToWhatTheyStandBeforeOrBeside) {
  const auto result = parse_text(R"(
/// A colour.
///  Two lines.
enum Color {
  red as "Red"   /// like blood
  /// like the sky
  blue,          /// and the sea
  green
}
// not a doc
record R { a: int /// first
  b: int }
)");
  ASSERT_EQ(result.messages(), "");
  const auto& color = std::get<EnumDecl>(result.parsed.file.declarations.at(0));
  EXPECT_EQ(color.doc, "A colour.\n Two lines.");
  EXPECT_EQ(color.cases.at(0).doc, "like blood");
  EXPECT_EQ(color.cases.at(0).as->value, "Red");
  EXPECT_EQ(color.cases.at(1).doc, "like the sky\nand the sea");
  EXPECT_EQ(color.cases.at(2).doc, "");
  const auto& record = std::get<RecordDecl>(result.parsed.file.declarations.at(1));
  EXPECT_EQ(record.doc, "");
  EXPECT_EQ(record.fields.at(0).doc, "first");
}

TEST(Parser, KeywordsAreReservedAndOnlyThey) {
  for (const char* word :
       {"use",  "as",     "config", "record",  "enum",      "type",   "grammar", "tool",  "gen",
        "test", "expect", "system", "user",    "assistant", "let",    "if",      "else",  "for",
        "in",   "match",  "retry",  "require", "splice",    "return", "yield",   "break", "null",
        "true", "false",  "select", "run",     "or",        "and",    "not",     "fork"}) {
    EXPECT_TRUE(is_keyword(word));
    EXPECT_TRUE(parse_text("gen " + std::string(word) + "() { }").diagnostics.has_errors()) << word;
    EXPECT_FALSE(parse_text("gen " + std::string(word) + "x() { }").diagnostics.has_errors())
        << word;
    EXPECT_FALSE(parse_text("record R { " + std::string(word) + ": int }").diagnostics.has_errors())
        << word;
  }
  for (const char* word :
       {"mock", "accepts", "rejects", "from", "by", "turn", "python", "string", "max"}) {
    EXPECT_FALSE(is_keyword(word));
    EXPECT_FALSE(parse_text("gen g(" + std::string(word) + ": int) -> int { return " + word + " }")
                     .diagnostics.has_errors())
        << word;
  }
}

}  // namespace
}  // namespace espalier::dsl
