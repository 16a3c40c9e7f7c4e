#include "dsl/automaton_findings.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "dsl/symbols.h"
#include "support.h"

namespace espalier::dsl {
namespace {

/// The key of the type that the program's last hole has, before "!".
std::string key_of(const std::string& type, const std::string& declarations = {}) {
  const Analysis analysis =
      analyze("test.gen", declarations + "gen f(d: string) { assistant \"$[x: " + type + "]!\" }");
  const auto& holes = analysis.program->holes;
  EXPECT_FALSE(holes.empty() || holes.back().type == nullptr) << type;
  return holes.empty() ? "" : automaton_key(holes.back().type, "!");
}

TEST(AutomatonFindings, MessagesAreTheSameWithWhatWasFoundBefore) {
  AutomatonFindings findings;
  std::size_t programs = 0;
  for (int round = 0; round < 2; ++round) {
    for (const char* name : {"golden", "programs"}) {
      for (const auto& file : testing::files(testing::folder() / name, ".gen")) {
        const auto read = testing::files_of(name);
        const std::string text = testing::read_file(file);
        const Analysis fresh = analyze(file.filename().string(), text, read);
        const Analysis again = analyze(file.filename().string(), text, read, &findings);
        EXPECT_EQ(render(fresh.diagnostics, fresh.program->sources),
                  render(again.diagnostics, again.program->sources))
            << file;
        ++programs;
      }
    }
  }
  EXPECT_GT(programs, 40U);
  EXPECT_GT(findings.size(), 10U);
}

TEST(AutomatonFindings, OneTypeHasOneKeyInEveryProgram) {
  EXPECT_EQ(key_of("R", "record R { a: int(0..9)[], b: R? }\n"),
            key_of("S", "/// Doc.\nrecord S { x as \"a\": int(0..9)[], b: S? }\n"));
  EXPECT_EQ(key_of("E", "enum E { one as \"1\", two }\n"),
            key_of("F", "enum F { first as \"1\", two /// doc\n }\n"));
}

TEST(AutomatonFindings, WhatDiffersInTheTextDiffersInTheKey) {
  const std::vector<std::pair<std::string, std::string>> types = {
      {"int", ""},
      {"int(0..9)", ""},
      {"int(0..8)", ""},
      {"int(..9)", ""},
      {"float", ""},
      {"float(0..9)", ""},
      {"string", ""},
      {"string(1..9)", ""},
      {"string(9)", ""},
      {"line", ""},
      {"bool", ""},
      {"bool[]", ""},
      {"bool[1..]", ""},
      {"bool[][]", ""},
      {"map(bool)", ""},
      {"\"a\"", ""},
      {"\"b\"", ""},
      {"\"a\" | \"b\"", ""},
      {"1", ""},
      {"\"1\"", ""},
      {"/a/", ""},
      {"/b/", ""},
      {"json", ""},
      {"{ a: int }", ""},
      {"{ b: int }", ""},
      {"{ a?: int }", ""},
      {"{ a: int? }", ""},
      {"{ a: int, b: int }", ""},
      {"{ b: int, a: int }", ""},
      {"E", "enum E { a, b }\n"},
      {"E", "enum E { a as \"x\", b }\n"},
      {"R", "record R { next: R? }\n"},
      {"R", "record R { next: S? }\nrecord S { next: R? }\n"},
      {"R", "record R { next: S? }\nrecord S { next: S?, a: int }\n"},
      {"G", "grammar G { start = \"a\" }\n"},
      {"G", "grammar G { start = /a/ }\n"},
      {"G", "grammar G { start = \"a\"* }\n"},
      {"G", "grammar G { start = \"a\" | \"b\" }\n"},
      {"G", "grammar G { start = \"a\" \"b\" }\n"},
      {"G", "grammar G { start = (\"a\" \"b\") }\n"},
      {"date", ""},
      {"uuid", ""},
  };
  std::map<std::string, std::string> seen;
  for (const auto& [type, declarations] : types) {
    const auto [at, fresh] = seen.emplace(key_of(type, declarations), declarations + type);
    EXPECT_TRUE(fresh) << declarations << type << " has the key of " << at->second;
  }
  const auto type = std::make_shared<const grammar::Type>();
  EXPECT_NE(automaton_key(type, "!"), automaton_key(type, "?"));
}

// Types that hold each other many times over are written once each.
TEST(AutomatonFindings, AKeyIsAsLongAsTheTypesAreNotAsTheirUnfolding) {
  std::string declarations = "record R0 { a: int }\n";
  for (int i = 1; i < 60; ++i) {
    const std::string before = "R" + std::to_string(i - 1);
    declarations += "record R" + std::to_string(i) + " { a: " + before + ", b: " + before + " }\n";
  }
  const Analysis analysis = analyze("test.gen", declarations + "gen f() -> R59? { return null }");
  EXPECT_LT(automaton_key(analysis.program->types.back().type, "").size(), 10'000U);
}

TEST(AutomatonFindings, WhatIsAskedForStaysAndTheRestGoes) {
  AutomatonFindings findings(1000);
  findings.keep("often", {true});
  for (int i = 0; i < 1000; ++i) {
    findings.keep("once " + std::to_string(i), {});
    const auto often = findings.find("often");
    ASSERT_TRUE(often.has_value()) << i;
    EXPECT_TRUE(often->narrowed);
  }
  EXPECT_FALSE(findings.find("once 0").has_value());
  EXPECT_TRUE(findings.find("once 999").has_value());
  EXPECT_LT(findings.size(), 300U);
  findings.keep(std::string(1001, 'x'), {});
  EXPECT_FALSE(findings.find(std::string(1001, 'x')).has_value());
}

}  // namespace
}  // namespace espalier::dsl
