// Input that means harm: everything ends in messages that name the place and the limit, never in a
// crash.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>

#include "dsl/cost.h"
#include "dsl/format.h"
#include "dsl/python_stub.h"
#include "dsl/schema_text.h"
#include "dsl/symbols.h"
#include "support.h"
#include "tests/support/small_stack.h"

namespace espalier::dsl {
namespace {

using espalier::testing::on_a_small_stack;
using testing::codes;
using ::testing::Contains;
using ::testing::HasSubstr;

std::string repeat(const std::string& piece, std::size_t times) {
  std::string result;
  result.reserve(piece.size() * times);
  for (std::size_t i = 0; i < times; ++i) result += piece;
  return result;
}

std::string messages(const Compiled& compiled) {
  return render(compiled.diagnostics, compiled.sources);
}

TEST(Hostile, DepthIsLimitedByName) {
  constexpr std::size_t kMany = 1'000'000;
  const std::string open = "gen g() { let x = ";
  for (const std::string& source :
       {open + repeat("(", kMany), open + repeat("[", kMany), open + repeat("{a:", kMany),
        open + repeat("not ", kMany), open + repeat("-", kMany) + "1 }",
        open + "1" + repeat("+1", kMany / 2) + " }", open + "a" + repeat(".b", kMany / 2) + " }",
        open + "a" + repeat("(1)", kMany / 2) + " }", open + repeat("\"${", kMany / 2),
        open + repeat("fork { yield ", kMany / 8), "gen g() " + repeat("{ if true ", kMany / 8),
        "type T = " + repeat("(", kMany), "type T = " + repeat("{a:", kMany / 2),
        "type T = int" + repeat("?", kMany), "type T = int" + repeat("[]", kMany / 2),
        "grammar G { a = " + repeat("(", kMany),
        "gen g(x: int) { match x { " + repeat("a => match x { ", kMany / 16)}) {
    const auto compiled = compile("deep.gen", source);
    EXPECT_EQ(compiled.program, nullptr);
    EXPECT_THAT(codes(compiled.diagnostics), Contains("E0113"))
        << source.substr(0, 40) << messages(compiled).substr(0, 400);
    EXPECT_THAT(messages(compiled), HasSubstr("200 levels"));
  }
}

/// Everything that is asked of a source, run or not.
void walk(const std::string& source) {
  const Compiled compiled = compile("deep.gen", source);
  messages(compiled);
  if (compiled.program != nullptr) {
    for (const GenInfo* gen : compiled.program->own_gens())
      EXPECT_FALSE(cost_of(*compiled.program, *gen).generated.text().empty());
    EXPECT_FALSE(python_stub(*compiled.program).empty());
    for (const TypeInfo& type : compiled.program->types) EXPECT_FALSE(schema_text(type).empty());
  }
  Diagnostics diagnostics;
  const auto formatted = format(Source("deep.gen", source), diagnostics);
  EXPECT_TRUE(formatted || diagnostics.has_errors());
  EXPECT_NE(analyze("deep.gen", source).program, nullptr);
}

struct Layer {
  std::string open, close;
};

/// Two kinds of layers in turn, as deep as the parser lets them.
std::string deepest(const std::string& before, const Layer& a, const Layer& b,
                    const std::string& inside, const std::string& after) {
  const auto source = [&](int layers) {
    std::string open = before, close;
    for (int i = 0; i < layers; ++i) {
      const Layer& layer = i % 2 == 0 ? a : b;
      open += layer.open;
      close = layer.close + close;
    }
    return open + inside + close + after;
  };
  int fits = 1, over = 220;
  while (over - fits > 1) {
    const int layers = (fits + over) / 2;
    Diagnostics diagnostics;
    const Source tried("deep.gen", source(layers));
    static_cast<void>(parse(tried, 0, diagnostics));
    const std::vector<std::string> said = codes(diagnostics);
    (std::count(said.begin(), said.end(), "E0113") > 0 ? over : fits) = layers;
  }
  return source(fits);
}

TEST(Hostile, TheDepthLimitItselfFitsASmallStack) {
  const std::vector<Layer> expressions = {{"(", ")"},
                                          {"[", "]"},
                                          {"{a: ", "}"},
                                          {"not ", ""},
                                          {"1 + ", ""},
                                          {"-", ""},
                                          {"f(", ")"},
                                          {"abs(", ")"},
                                          {"max([", "])"},
                                          {"\"${", "}\""},
                                          {"xs[", "]"},
                                          {"fork { yield ", " }"},
                                          {"fork x in ", " { yield x }"},
                                          {"fork { let y = ", " yield y }"},
                                          {"fork { let y = for z in ", " { yield z } yield y }"},
                                          {"fork { let y = for z in xs { yield ", " } yield y }"},
                                          {"fork { assistant \"$[a: line, max=", "]\" }"},
                                          {"fork { assistant \"$[a: span from ", "]\" }"},
                                          {"if true { ", " } else { 1 }"},
                                          {"if ", " { 1 } else { 2 }"},
                                          {"run look(", ")"},
                                          {"fork { if true { match ", " { other => {} } } }"}};
  for (const Layer& a : expressions)
    for (const Layer& b : expressions)
      on_a_small_stack([source = deepest("tool look(x: json) -> json = python \"m:f\"\n"
                                         "gen f(x: json) -> json { return x }\n"
                                         "gen g(xs: json[]) { let x = ",
                                         a, b, "1", " }")] { walk(source); });
  const std::vector<Layer> types = {{"(", ")"},     {"{a: ", "}"},  {"map(", ")"},
                                    {"cite(", ")"}, {"", "[1..2]"}, {"(null | ", ")"},
                                    {"(", ")?"},    {"{a?: ", "}"}};
  for (const Layer& a : types) {
    for (const Layer& b : types) {
      // A type of a type, which are as deep together.
      for (const std::string& outer :
           {std::string("T"), repeat(a.open, 40) + "T" + repeat(a.close, 40)}) {
        on_a_small_stack(
            [source = deepest("type T = ", a, b, "int",
                              "\ntype U = " + outer +
                                  "\ngen g(v: U) -> U { user \"${U}\" assistant "
                                  "\"$[x: U[] from \"\"]\" return v }")] { walk(source); });
      }
    }
  }
  const std::vector<Layer> statements = {{"{ if x ", "}"},
                                         {"{ if x {} else ", "}"},
                                         {"{ for y in [1] ", "}"},
                                         {"{ retry 2 ", "}"},
                                         {"{ match x { true => ", " other => {} } }"},
                                         {"{ retry 2 {} else ", "}"}};
  for (const Layer& a : statements)
    for (const Layer& b : statements)
      on_a_small_stack([source = deepest("gen g(x: bool) ", a, b, "{}", "")] { walk(source); });
  const std::vector<Layer> grammars = {
      {"(", ")"}, {"(\"a\" | ", ")"}, {"(", ")*"}, {"(\"b\" ", ")?"}};
  for (const Layer& a : grammars)
    for (const Layer& b : grammars)
      on_a_small_stack(
          [source = deepest("grammar G { start = \"x\" ", a, b, "\"c\"",
                            " }\ngen g() { assistant \"$[x: G]\" }")] { walk(source); });
}

TEST(Hostile, ChainsOfDeclarationsFitASmallStack) {
  const auto chain =
      [](int length,
         const std::function<std::string(const std::string&, const std::string&)>& link) {
        std::string out;
        for (int i = 0; i < length; ++i)
          out += link("N" + std::to_string(i), "N" + std::to_string(i + 1)) + "\n";
        return out;
      };
  const auto backwards =
      [](int length,
         const std::function<std::string(const std::string&, const std::string&)>& link) {
        std::string out;
        for (int i = length; i-- > 0;)
          out += link("N" + std::to_string(i), "N" + std::to_string(i + 1)) + "\n";
        return out;
      };
  const auto list = [](const std::string& name, const std::string& next) {
    return "type " + name + " = " + next + "[]";
  };
  const auto optional = [](const std::string& name, const std::string& next) {
    return "record " + name + " { a: " + next + "? }";
  };
  const auto mapped = [](const std::string& name, const std::string& next) {
    return "type " + name + " = map({ a: " + next + " })";
  };
  const auto either = [](const std::string& name, const std::string& next) {
    return "type " + name + " = null | { a: " + next + " }";
  };
  const auto tool = [](const std::string& name, const std::string& next) {
    return "tool " + name + "(x: " + next + ")";
  };
  const std::string hole = "\ngen g() { user \"a\" assistant \"$[x: N0]\" }";
  std::vector<std::string> sources = {
      chain(5000, list) + "type N5000 = int",
      chain(5000, optional) + "record N5000 { a: N0? }",
      "type N5000 = int\n" + backwards(5000, list) + "record R { a: R?, b: N0 }" + hole,
      chain(5000, tool) + "tool N5000(x: int)" + hole,
      chain(5000,
            [](auto name, auto next) { return "gen " + name + "() { splice " + next + "() }"; }) +
          "gen N5000() { \"x\" }",
      chain(5000, [](auto name,
                     auto next) { return "gen " + name + "() -> int { return " + next + "() }"; }) +
          "gen N5000() -> int { return 1 }",
      "test \"a\" { " + repeat("expect true ", 20'000) + "}",
      "gen g() { if false {} " + repeat("else if false {} ", 20'000) + "}"};
  // As long as types may be.
  for (int length = 40; length < 300; length += 20) {
    using Link = std::string (*)(const std::string&, const std::string&);
    for (const Link link : {Link(list), Link(optional), Link(mapped), Link(either)}) {
      sources.push_back(chain(length, link) + "type N" + std::to_string(length) + " = int" + hole);
      sources.push_back("type N" + std::to_string(length) + " = int\n" + backwards(length, link) +
                        hole);
    }
  }
  for (const std::string& source : sources) {
    std::string said;
    on_a_small_stack([&] {
      const Compiled compiled = compile("chain.gen", source);
      said = messages(compiled).substr(0, 400);
      if (compiled.program == nullptr) return;
      for (const GenInfo* gen : compiled.program->own_gens())
        if (gen->name == "N0") said = cost_of(*compiled.program, *gen).holes.text();
      EXPECT_FALSE(python_stub(*compiled.program).empty());
    });
    if (source.size() < 100'000) continue;
    if (source.find("type") == 0 || source.find("record") == 0) {
      EXPECT_THAT(said, HasSubstr("300 levels")) << source.substr(0, 60);
    } else if (source.find("gen N0") == 0) {
      EXPECT_EQ(said, "0");
    }
  }
}

TEST(Hostile, BoundsOfManySymbolsAreCutShort) {
  std::string source = "gen g0(a0: int[], b0: int[]) { assistant \"$[x: int]\" }\n";
  std::string parameters = "a0: int[], b0: int[]", arguments = "a0, b0";
  for (int i = 1; i < 40; ++i) {
    const std::string n = std::to_string(i);
    parameters += ", a" + n + ": int[], b" + n + ": int[]";
    source += "gen g" + n + "(" + parameters + ") { for x in a" + n + " { splice g" +
              std::to_string(i - 1) + "(" + arguments + ") } for y in b" + n + " { splice g" +
              std::to_string(i - 1) + "(" + arguments + ") } }\n";
    arguments += ", a" + n + ", b" + n;
  }
  const Compiled compiled = compile("a.gen", source);
  ASSERT_NE(compiled.program, nullptr) << messages(compiled);
  EXPECT_THAT(cost_of(*compiled.program, *compiled.program->gen("g39")).holes.text(),
              HasSubstr("more than"));
}

// A file may be one line: each message looks at what stands around its place.
TEST(Hostile, MessagesOfALongLineAreShort) {
  const std::string source = "test \"a\" { " + repeat("mock { a: \"ä\" } ", 20'000) + "}";
  const Compiled compiled = compile("a.gen", source);
  const std::string said = messages(compiled);
  EXPECT_THAT(said, HasSubstr("…"));
  EXPECT_LT(said.size(), 200'000u);
}

TEST(Hostile, ManyItemsAreLimitedByName) {
  EXPECT_THAT(
      codes(compile("a.gen", "gen g() { let x = [" + repeat("1,", 3'000'000) + "] }").diagnostics),
      Contains("E0113"));
  EXPECT_THAT(codes(compile(
                        "a.gen", "enum E { " +
                                     [] {
                                       std::string cases;
                                       for (int i = 0; i < 2000; ++i)
                                         cases += "c" + std::to_string(i) + " ";
                                       return cases;
                                     }() +
                                     "}")
                        .diagnostics),
              Contains("E0306"));
  EXPECT_THAT(codes(compile(
                        "a.gen", "type U = 0" +
                                     [] {
                                       std::string items;
                                       for (int i = 1; i < 2000; ++i)
                                         items += "|" + std::to_string(i);
                                       return items;
                                     }())
                        .diagnostics),
              Contains("E0306"));
  std::string chain = "type T0 = int\n";
  for (int i = 1; i < 5000; ++i)
    chain = "type T" + std::to_string(i) + " = T" + std::to_string(i - 1) + "\n" + chain;
  EXPECT_THAT(codes(compile("a.gen", chain).diagnostics), Contains("E0113"));
  std::string doubling = "record R0 { a: int }\nrecord S0 { a: int }\n";
  for (int i = 1; i < 60; ++i) {
    const std::string before = std::to_string(i - 1);
    doubling += "record R" + std::to_string(i) + " { a: R" + before + ", b: R" + before + " }\n";
    doubling += "record S" + std::to_string(i) + " { a: S" + before + ", b: S" + before + " }\n";
  }
  EXPECT_LE(compile("a.gen", doubling + "gen g(x: R59) -> S59 { return x }").diagnostics.errors(),
            1u);
  std::string gens = "gen g0() { user \"x\" }\n";
  for (int i = 1; i < 20000; ++i)
    gens += "gen g" + std::to_string(i) + "() { splice g" + std::to_string(i - 1) + "() }\n";
  EXPECT_EQ(messages(compile("a.gen", gens)), "");
  std::string lets;
  for (int i = 0; i < 50000; ++i)
    lets += "let _v" + std::to_string(i) + " = nope" + std::to_string(i) + "\n";
  EXPECT_THAT(messages(compile("a.gen", "gen g() {\n" + lets + "}")),
              HasSubstr("more messages are not shown"));
}

TEST(Hostile, BrokenBytesAreRefusedWithTheirPlace) {
  const auto bad = compile("a.gen", "gen g() {\n  user \"a\xFF\"\n}");
  EXPECT_THAT(codes(bad.diagnostics), ::testing::ElementsAre("E0114"));
  EXPECT_THAT(messages(bad), HasSubstr("a.gen:2:10"));
  EXPECT_THAT(messages(bad), HasSubstr("offset 19"));
  EXPECT_THAT(codes(compile("a.gen", std::string("gen g() { }\0", 12)).diagnostics),
              ::testing::ElementsAre("E0114"));
  EXPECT_THAT(codes(compile("a.gen", std::string(kMaxSource + 1, ' ')).diagnostics),
              ::testing::ElementsAre("E0114"));
  EXPECT_NE(compile("a.gen", std::string(kMaxSource, ' ')).program, nullptr);
  EXPECT_NE(compile("a.gen", "\xEF\xBB\xBFgen g() { }").program, nullptr);
}

TEST(Hostile, WhatIsNeverClosedPointsAtItsOpening) {
  for (const char* source : {"gen g() { user \"abc", "gen g() { user \"\"\"abc", "/* abc",
                             "type T = /abc", "tool t as \"abc", "gen g() { user \"${\"\"\""}) {
    const auto compiled = compile("a.gen", source);
    EXPECT_EQ(compiled.program, nullptr);
    EXPECT_TRUE(compiled.diagnostics.has_errors()) << source;
  }
  EXPECT_THAT(codes(compile("a.gen", "gen g() {}\n/* abc").diagnostics),
              ::testing::ElementsAre("E0115"));
}

/// Every prefix and many mutations of real programs end with a verdict, and the messages render.
TEST(Hostile, CutAndMutatedProgramsEndWithAVerdict) {
  std::vector<std::string> programs;
  for (const auto& path : testing::files(testing::folder() / "programs", ".gen"))
    programs.push_back(testing::read_file(path));
  for (const auto& path : testing::files(testing::folder() / "golden", ".gen"))
    programs.push_back(testing::read_file(path));
  const auto verdict = [](const std::string& source) {
    const auto compiled = compile("a.gen", source);
    EXPECT_EQ(compiled.program == nullptr, compiled.diagnostics.has_errors());
    EXPECT_EQ(messages(compiled).empty(), compiled.diagnostics.size() == 0);
    to_json(compiled.diagnostics, compiled.sources).dump();
  };
  for (const std::string& program : programs)
    for (std::size_t i = 0; i < program.size(); i += 7) verdict(program.substr(0, i));
  const std::uint32_t seed = 20260101;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string signs = "{}[]()\"$:,=|?./*-+\\\n \tax0";
  for (int round = 0; round < 3000; ++round) {
    std::string program = programs[random() % programs.size()];
    for (int edit = 0; edit < 4; ++edit) {
      const std::size_t at = random() % program.size();
      switch (random() % 3) {
        case 0:
          program[at] = signs[random() % signs.size()];
          break;
        case 1:
          program.erase(at, 1 + random() % 20);
          break;
        default:
          program.insert(at, 1, signs[random() % signs.size()]);
      }
      if (program.empty()) program = "gen";
    }
    verdict(program);
  }
}

TEST(Rendering, CountsCharactersAndKeepsCaretsUnderThem) {
  const auto compiled = compile("u.gen", "gen g() {\n\tuser \"日本 é ${nope}\"\n}\n");
  EXPECT_EQ(messages(compiled),
            "error[E0101]: unknown name `nope`\n"
            " --> u.gen:2:15\n"
            "  |\n"
            "2 |     user \"日本 é ${nope}\"\n"
            "  |                    ^^^^\n");
  const auto json = to_json(compiled.diagnostics, compiled.sources);
  EXPECT_EQ(json[0]["code"], "E0101");
  EXPECT_EQ(json[0]["line"], 2);
  EXPECT_EQ(json[0]["column"], 15);
  EXPECT_EQ(json[0]["end_column"], 19);
}

TEST(Rendering, ALongLineIsCutAroundItsPlace) {
  const auto compiled = compile(
      "u.gen", "gen g() { user \"" + repeat("x", 5000) + "${nope}" + repeat("y", 5000) + "\" }");
  const std::string text = messages(compiled);
  EXPECT_LT(text.size(), 600u);
  EXPECT_THAT(text, HasSubstr("${nope}"));
  EXPECT_THAT(text, HasSubstr("…"));
}

TEST(Rendering, ControlCharactersNeverReachTheTerminal) {
  const auto compiled = compile("u.gen", "gen g() { user \"\x1B[31m ${nope}\" }");
  EXPECT_EQ(messages(compiled).find('\x1B'), std::string::npos);
}

}  // namespace
}  // namespace espalier::dsl
