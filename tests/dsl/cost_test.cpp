#include "dsl/cost.h"

#include <gtest/gtest.h>

#include "support.h"

namespace espalier::dsl {
namespace {

Cost cost(const std::string& source, const std::string& gen = "main") {
  const Compiled compiled = compile("t.gen", source);
  EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  if (compiled.program == nullptr) return {};
  return cost_of(*compiled.program, *compiled.program->gen(gen));
}

TEST(Cost, AddsWhatHolesMayTake) {
  const Cost one = cost(R"(
    config { max: 50 }
    gen main() -> int {
      assistant "$[a: line, max=20]\n$[b: string]"
      assistant "$[c: "yes" | "no"]"
      assistant "$[n: int(1..9), max=200]"
      return n
    })");
  EXPECT_EQ(one.generated.text(), std::to_string((20 + 1) + (50 + 1) + (3 + 1) + (1 + 1)));
  EXPECT_EQ(one.holes.text(), "4");
  EXPECT_EQ(one.calls.text(), "0");
}

TEST(Cost, OfAValueIsNoMoreThanItsTypesLongestText) {
  const auto value = [](const std::string& type) {
    return cost(
               "enum C { red, deep_red as \"deep red\" }\ntool look(n: int(1..9)) -> int = python "
               "\"m:f\"\n"
               "gen main(doc: string, n: int) -> int { assistant \"$[a: " +
               type + "]\" return 0 }")
        .generated.text();
  };
  EXPECT_EQ(value("bool"), std::to_string(5 + 1));
  EXPECT_EQ(value("C"), std::to_string(8 + 1));
  EXPECT_EQ(value("line(1..3)"), std::to_string(4 * 3 + 1));
  EXPECT_EQ(value("{ a: int(1..9) }"), std::to_string(1 + 17 + 4 + 17 + 1 + 17 + 1 + 1));
  EXPECT_EQ(value("{ a: int(1..9) }, max=40"), std::to_string(40 + 1));
  EXPECT_EQ(value("date"), std::to_string(10 + 1));
  EXPECT_EQ(value("bool, max=n"), std::to_string(5 + 1));
  EXPECT_EQ(value("line, max=n"), "n + 1");
  // What the source of a span and the model's form of a call are is not known here.
  EXPECT_EQ(value("span from doc"), std::to_string(256 + 1));
  EXPECT_EQ(value("look"), std::to_string(256 + 1));
}

TEST(Cost, IsSymbolicInTheParameters) {
  const Cost loops = cost(R"(
    gen main(shots: string[], depth: int, width: int) -> int {
      for s in shots { user "${s}" assistant "$[a: line, max=9]" }
      for i in 1..depth {
        let xs = fork width { assistant "$[m: line, max=39]" yield 1 }
      }
      for i in 3..5 { assistant "$[b: line, max=width]" }
      return 0
    })");
  EXPECT_EQ(loops.generated.text(), "40·depth·width + 10·len(shots) + 3·width + 3");
  EXPECT_EQ(loops.holes.text(), "depth·width + len(shots) + 3");
}

TEST(Cost, FollowsNamesToWhatTheyStandFor) {
  const auto loop = [](const std::string& before, const std::string& list) {
    return cost("gen main(n: int, xs: int[], most: int(0..7), m: map(int), b: bool) -> int { " +
                before + " for z in " + list +
                " { assistant \"$[a: line, max=9]\" } return 0 }\n"
                "gen inner(k: int) -> int { for i in 1..k { assistant \"$[q: line, max=9]\" } "
                "return 1 }")
        .generated.text();
  };
  EXPECT_EQ(loop("let ys = fork n { yield 1 }", "ys"), "10·n");
  EXPECT_EQ(loop("let ys = fork x in xs { yield x }", "ys + [1, 2]"), "10·len(xs) + 20");
  EXPECT_EQ(loop("let ys = if b { [1, 2, 3] } else { [4] }", "ys"), "30");
  EXPECT_EQ(loop("let ys = xs let zs = ys", "zs"), "10·len(xs)");
  EXPECT_EQ(loop("let k = 4", "1..k"), "40");
  EXPECT_EQ(loop("let k = len(xs)", "0..k"), "10·len(xs) + 10");
  EXPECT_EQ(loop("", "1..2 * n - 1"), "20·n");
  EXPECT_EQ(loop("", "1..most"), "70");
  EXPECT_EQ(loop("", "1..n * n"), "10·n * n");
  EXPECT_EQ(loop("", "1..n % 4"), "30");
  EXPECT_EQ(loop("", "3..1"), "0");
  EXPECT_EQ(loop("", "-1..1"), "30");
  EXPECT_EQ(loop("", "keys(m)"), "10·len(m)");
  EXPECT_EQ(loop("for i in 1..3 { for j in 1..i { assistant \"$[c: line, max=4]\" } }", "[1]"),
            "55");
  EXPECT_EQ(loop("let ks = fork i in 1..2 { yield inner(i + n) }", "[1]"), "20·n + 50");
}

TEST(Cost, OfManyNamesForLongSumsStaysSmall) {
  std::string parameters, sum = "0", lets;
  for (int i = 0; i < 150; ++i) {
    parameters += "p" + std::to_string(i) + ": int, ";
    sum += " + p" + std::to_string(i);
  }
  for (int i = 0; i < 20000; ++i)
    lets +=
        "let y" + std::to_string(i) + " = " + (i == 0 ? "x" : "y" + std::to_string(i - 1)) + " ";
  EXPECT_EQ(cost("gen main(" + parameters + "q: int) -> int { let x = " + sum + "\n" + lets +
                 "for i in 1..y19999 + q { assistant \"$[a: line, max=9]\" } return 0 }")
                .generated.text(),
            "10·q + 10·x");
  std::string doubled = "let y0 = q ";
  for (int i = 1; i < 200; ++i) {
    const std::string before = "y" + std::to_string(i - 1);
    doubled += "let y" + std::to_string(i) + " = " + before + " + " + before + " ";
  }
  EXPECT_EQ(cost("gen main(q: int) -> int { " + doubled +
                 " for i in 1..y199 { assistant \"$[a: line, max=9]\" } return 0 }")
                .generated.text(),
            "more than 4611686018427387903");
}

// A step writes a token of each branch: forks multiply tokens, not steps.
TEST(Cost, StepsCountTheBranchesOfAForkOnce) {
  const Cost one = cost(R"(
    gen main(depth: int, width: int) -> int {
      for i in 1..depth {
        let xs = fork width {
          let ys = fork 3 { assistant "$[m: line, max=9]" yield 1 }
          assistant "$[s: select bool]"
          yield 1
        }
      }
      assistant "$[p: select bool by prior]"
      return helper(2)
    }
    gen helper(n: int) -> int { for i in 1..n { assistant "$[h: line, max=4]" } return 1 })");
  EXPECT_EQ(one.generated.text(), "30·depth·width + 10");
  EXPECT_EQ(one.steps.text(), "11·depth + 12");
}

TEST(Cost, OfACallIsTheCalleesWithItsArguments) {
  const Cost called = cost(R"(
    gen inner(n: int, xs: int[], k: int = 4) -> int {
      for i in 1..n { assistant "$[a: line, max=9]" }
      for x in xs { assistant "$[b: line, max=9]" }
      for i in 1..k { assistant "$[c: line, max=9]" }
      return 1
    }
    gen main(m: int) -> int { return inner(3, [1, 2]) + inner(m, []) })");
  EXPECT_EQ(called.generated.text(), "10·m + 130");
}

TEST(Cost, TakesTheLargerBranchAndEveryTry) {
  const Cost branches = cost(R"(
    tool look(q: line) -> string = python "m:f"
    enum V { sure, maybe }
    gen main(b: bool) -> int {
      retry 3 {
        assistant "$[t: think, max=100]$[a: line, max=9]"
        require a != ""
      } else {
        assistant "$[e: line, max=4]"
        return 0
      }
      if b { assistant "$[x: line, max=19]" } else { assistant "$[y: line, max=29]" }
      assistant "$[call: look, max=30]"
      tool "${run call}"
      assistant "$[v: select V]"
      return 0
    })");
  EXPECT_EQ(branches.generated.text(), std::to_string(3 * (100 + 11 + 10) + 5 + 30 + 31));
  EXPECT_EQ(branches.calls.text(), "1");
  EXPECT_EQ(branches.scored.text(), std::to_string(5 + 6));
  EXPECT_EQ(branches.again.text(), "3");
}

TEST(Cost, SaturatesRatherThanWrap) {
  std::string nested = "gen main() -> int { ";
  for (int i = 0; i < 10; ++i) nested += "for i" + std::to_string(i) + " in 1..1000000 { ";
  nested += "assistant \"$[a: line]\" ";
  for (int i = 0; i < 10; ++i) nested += "} ";
  EXPECT_EQ(cost(nested + "return 0 }").generated.text(), "more than 4611686018427387903");
}

}  // namespace
}  // namespace espalier::dsl
