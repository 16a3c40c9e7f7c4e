// Grammars and texts made to break things: deep, long, exploding; on a stack of 256 KiB.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "grammar/compiled_grammar.h"
#include "grammar/gbnf.h"
#include "grammar/lark.h"
#include "testing.h"
#include "tests/support/small_stack.h"

namespace espalier::grammar {
namespace {

using espalier::testing::on_a_small_stack;
using ::testing::AnyOf;
using testing::bytes_and;
using testing::verdict;

constexpr std::size_t kMany = 1'000'000;

std::string times(std::string_view piece, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; i < count; ++i) out += piece;
  return out;
}
std::string outcome(const Result<ContextFreeGrammar>& compiled) {
  return compiled ? "compiled" : std::string(name(compiled.error().code));
}

TEST(HostileGrammar, NestsAMillionDeepEndInAnErrorOrCompile) {
  on_a_small_stack([] {
    const VocabularyRef v = bytes_and();
    EXPECT_EQ(outcome(compile_gbnf(v, "root ::= " + times("(", kMany))), "invalid");
    EXPECT_EQ(
        outcome(compile_gbnf(v, "root ::= " + times("(", kMany) + "\"a\"" + times(")", kMany))),
        "compiled");
    EXPECT_EQ(
        outcome(compile_gbnf(v, "root ::= " + times("(", kMany) + "\"a\"" + times(")?", kMany))),
        "compiled");
    EXPECT_EQ(outcome(compile_lark(v, "start: " + times("(", kMany))), "invalid");
    EXPECT_EQ(outcome(compile_lark(v, "start: " + times("[", kMany) + "\"a\"" + times("]", kMany))),
              "compiled");
    EXPECT_EQ(
        outcome(compile_lark(v, "start: A\nA: " + times("~(", 1000) + "\"a\"" + times(")", 1000))),
        "limit");
    EXPECT_EQ(outcome(compile_lark(v, "start: %json " + times("{\"a\":", kMany / 10))), "invalid");
    EXPECT_EQ(outcome(compile_lark(
                  v, "start: %json " + times("{\"not\":", 100'000) + "1" + times("}", 100'000))),
              "limit");
    // Optional parts inside each other: each level is a place to be at.
    EXPECT_THAT(outcome(compile_gbnf(
                    v, "root ::= " + times("(\"a\" ", kMany / 2) + times(")?", kMany / 2))),
                AnyOf("compiled", "limit"));
    EXPECT_THAT(outcome(compile_gbnf(v, "root ::= " + times("(", kMany / 3) + "\"a\"" +
                                            times(" \"b\"?)?", kMany / 3))),
                AnyOf("compiled", "limit"));
  });
}

std::string chain(std::size_t rules, std::string_view before, std::string_view after) {
  std::string out = "root ::= r0\n";
  for (std::size_t i = 0; i + 1 < rules; ++i) {
    out += "r" + std::to_string(i) + " ::= " + std::string(before) + "r" + std::to_string(i + 1) +
           std::string(after) + "\n";
  }
  return out + "r" + std::to_string(rules - 1) + " ::= \"x\"\n";
}

TEST(HostileGrammar, ChainsOfRulesEndInAnErrorOrCompile) {
  on_a_small_stack([] {
    const VocabularyRef v = bytes_and();
    for (const char* before : {"", "\"a\" ", "\"a\"? ", "\"a\"* "}) {
      for (const char* after : {"", " \"b\"", " \"b\"?", " | \"c\""}) {
        const auto small = compile_gbnf(v, chain(5'000, before, after));
        // Five thousand places that read at once are beyond the limit, and that is what is said.
        const bool reads_everywhere =
            std::string_view(before).find_first_of("?*") != std::string_view::npos ||
            std::string_view(after).find('?') != std::string_view::npos;
        ASSERT_TRUE(small || (reads_everywhere && small.error().code == ErrorCode::kLimit))
            << before << "|" << after << ": " << small.error().message;
        const std::string large = outcome(compile_gbnf(v, chain(50'000, before, after)));
        EXPECT_THAT(large, AnyOf("compiled", "limit")) << before << "|" << after;
      }
    }
    std::string lark = "start: T0\n";
    for (int i = 0; i < 100'000; ++i) {
      lark += "T" + std::to_string(i) + ": \"a\"? T" + std::to_string(i + 1) + "\n";
    }
    EXPECT_THAT(outcome(compile_lark(v, lark + "T100000: \"b\"\n")), AnyOf("compiled", "limit"));
  });
}

TEST(HostileGrammar, DeepTextsAreFollowedUntilTheyCannotClose) {
  on_a_small_stack([] {
    const auto compiled = compile_gbnf(bytes_and(), "root ::= \"(\" root \")\" | \"x\"");
    ASSERT_TRUE(compiled);
    const std::size_t most = Program::kLongestClosing - 1;
    EXPECT_EQ(verdict(compiled->grammar, times("(", most)), "begins");
    EXPECT_EQ(verdict(compiled->grammar, times("(", most) + "x" + times(")", most)), "yes");
    EXPECT_EQ(verdict(compiled->grammar, times("(", kMany)), std::to_string(most));
  });
}

// Follows `text` and gives what the automaton holds at its middle and its end.
std::pair<std::size_t, std::size_t> held(std::string_view grammar, const std::string& text) {
  const auto compiled = compile_gbnf(bytes_and(), grammar);
  EXPECT_TRUE(compiled) << compiled.error().message;
  Matcher at = compiled->grammar->start();
  std::size_t middle = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    EXPECT_TRUE(at.advance(static_cast<unsigned char>(text[i]))) << grammar << " at " << i;
    if (i == text.size() / 2) middle = compiled->grammar->size().state_bytes;
  }
  EXPECT_TRUE(at.accepting()) << grammar;
  return {middle, compiled->grammar->size().state_bytes};
}

TEST(HostileGrammar, LongTextsNeedNoMoreStatesThanShortOnes) {
  const std::size_t n = 100'000;
  const std::string sum = times("1+", n / 2) + "1";
  for (const auto& [grammar, text] : std::vector<std::pair<std::string, std::string>>{
           {"root ::= root \"+1\" | \"1\"", sum},                        // left
           {"root ::= \"1\" \"+\" root | \"1\"", sum},                   // right
           {"root ::= \"1\" rest?\nrest ::= \"+\" root", sum},           // right, indirect
           {"root ::= root \"+\" root | root \"*\" root | [0-9]", sum},  // ambiguous
           {"root ::= root root | \"1\" | \"+\"", sum},                  // very
           {"root ::= root root root | root root | \"1\" | \"+\" | \"\"", sum},
           {"root ::= ((\"1\" | \"+\")*)*", sum},
           {"root ::= n root | \"1\"\nn ::= \"1+\" | \"\"", sum},  // hidden left
           {"root ::= s*\ns ::= \"{\" s* \"}\" | \"1\" | \"+\"", sum},
       }) {
    const auto [middle, end] = held(grammar, text);
    EXPECT_EQ(middle, end) << grammar;
  }
}

constexpr std::string_view kPalindromes = "root ::= \"a\" root \"a\" | \"b\" root \"b\" | \"\"";

TEST(HostileGrammar, AmbiguityBeyondTheLimitIsNotAllowed) {
  // Every place may be the middle: one item a byte read.
  const auto compiled = compile_gbnf(bytes_and(), kPalindromes);
  ASSERT_TRUE(compiled);
  Matcher at = compiled->grammar->start();
  std::size_t read = 0;
  while (read < 3 * ContextFreeMachine::kMostLeaves && at.advance('a')) ++read;
  EXPECT_GE(read, ContextFreeMachine::kMostLeaves);
  EXPECT_LT(read, 3 * ContextFreeMachine::kMostLeaves);
  // Where it stopped, something still leads to an end.
  std::uint32_t left = at.distance();
  for (int i = 0; i < 20 && !at.accepting(); ++i) {
    ASSERT_GT(left, 0U);
    const MaskRef mask = at.mask(left--);
    ASSERT_GT(mask->count(), 0U);
    ASSERT_TRUE(at.advance(mask->ids()[0]));
    ASSERT_LE(at.distance(), left);
  }
}

TEST(HostileGrammar, ALongPalindromeIsReadAndClosed) {
  const auto compiled = compile_gbnf(bytes_and(), kPalindromes);
  ASSERT_TRUE(compiled);
  Matcher at = compiled->grammar->start();
  for (unsigned i = 0; i < 600; ++i) {
    ASSERT_TRUE(at.advance((i * i / 7) % 2 == 0 ? 'a' : 'b'));
  }
  for (std::uint32_t left = at.distance(); !at.accepting(); --left) {
    ASSERT_GT(left, 0U);
    const MaskRef mask = at.mask(left);
    ASSERT_GT(mask->count(), 0U);
    ASSERT_TRUE(at.advance(mask->ids()[0]));
  }
}

TEST(HostileGrammar, ExplodingCountsStayCounts) {
  const VocabularyRef v = bytes_and();
  for (const char* grammar :
       {"root ::= (\"a\"{0,1000}){0,1000}", "root ::= ([ab]? [bc]?){0,4000000000}",
        "root ::= ((((\"a\"?){100})?{100})?{100})?{100}"}) {
    const auto compiled = compile_gbnf(v, grammar);
    ASSERT_TRUE(compiled) << compiled.error().message;
    EXPECT_EQ(verdict(compiled->grammar, "aaa"), "yes") << grammar;
  }
  EXPECT_EQ(outcome(compile_gbnf(v, "root ::= (((\"a\"{1000}){1000}){1000}){1000}")), "limit");
}

}  // namespace
}  // namespace espalier::grammar
