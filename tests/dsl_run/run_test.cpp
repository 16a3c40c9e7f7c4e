// Statements, arguments, endings and rendering.
#include <gmock/gmock.h>

#include <thread>

#include "dsl/convert.h"
#include "dsl/render.h"
#include "tests/dsl_run/support.h"
#include "tests/support/small_stack.h"

namespace espalier::dsl {
namespace {

using testing::Functions;
using ::testing::HasSubstr;
using testing::Recorder;
using testing::World;
using testing::WorldOptions;

TEST(Run, ExpressionsWithoutAModel) {
  World world;
  EXPECT_EQ(world.json(R"(gen main() -> int { return 2 + 3 * 4 - 1 })"), "13");
  EXPECT_EQ(world.json(R"(gen main() -> string { let a = "x" return "${a}-${1.5}-${true}" })"),
            R"("x-1.5-true")");
  EXPECT_EQ(
      world.json(
          R"(gen main() -> int { if 1 < 2 and not (3 == 4) { return 1 } else { return 2 } })"),
      "1");
  EXPECT_EQ(world.json(R"(gen main(xs: int[]) -> int { return sum(xs) + max(xs) + len(xs) })",
                       {{"xs", {1, 5, 3}}}),
            "17");
  EXPECT_EQ(
      world.json(
          R"(gen main() -> int? { for i in 1..10 { if i * i > 20 { return i } } return null })"),
      "5");
}

TEST(Run, ListsAreSortedAndTextsTakenApart) {
  World world;
  const auto gives = [&](const std::string& value) {
    return world.json("enum E { a as \"x,y\", b }\ngen main() -> json { return " + value + " }");
  };
  EXPECT_EQ(gives("sort([3, 1.5, 2])"), "[1.5,2,3]");
  EXPECT_EQ(gives(R"(sort(["b", "é", "a"]))"), R"(["a","b","é"])");
  EXPECT_EQ(
      gives("sort([{ k: 2, n: 1 }, { k: 1, n: 2 }, { k: 2, n: 3 }, { k: 1, n: 4 }], by: .k).n"),
      "[2,4,1,3]");
  EXPECT_EQ(gives("sort([])"), "[]");
  EXPECT_EQ(gives("reverse(sort([3, 1, 2]))[0..1]"), "[3,2]");
  EXPECT_EQ(gives("reverse(1..3)"), "[3,2,1]");
  EXPECT_THAT(gives("reverse(1..2000000)"), HasSubstr("more than 1000000 items"));
  EXPECT_THAT(world.json("gen main(x: json) -> json { return sort(x) }", {{"x", {1, "a"}}}),
              HasSubstr("cannot order numbers and texts together"));
  EXPECT_EQ(gives(R"(split("a, b,c", ", "))"), R"(["a","b,c"])");
  EXPECT_EQ(gives(R"(split("\n\n", "\n"))"), R"(["","",""])");
  EXPECT_EQ(gives(R"(split("aaa", "aa"))"), R"(["","a"])");
  EXPECT_EQ(gives(R"(split("", "x"))"), R"([""])");
  EXPECT_EQ(gives(R"(split(E.a, ","))"), R"(["x","y"])");
  EXPECT_THAT(gives(R"(split("a", ""))"), HasSubstr("not an empty one"));
  EXPECT_EQ(gives(R"(replace("a-b-", "-", "é"))"), R"("aébé")");
  EXPECT_EQ(gives(R"(replace("aaa", "aa", "a"))"), R"("aa")");
  EXPECT_THAT(gives(R"(replace("abc", "", "x"))"), HasSubstr("not an empty one"));
  const std::string many(3 << 20, ',');
  EXPECT_THAT(world.json("gen main(s: string) -> json { return split(s, \",\") }", {{"s", many}}),
              HasSubstr("more than 1000000 parts"));
  EXPECT_THAT(
      world.json("gen main(s: string) -> json { return replace(s, \",\", s) }", {{"s", many}}),
      HasSubstr("longer than 67108864 bytes"));
}

TEST(Run, PartsOfListsAndTextsEndWhereTheyEnd) {
  World world;
  const auto gives = [&](const std::string& value) {
    return world.json("gen main(xs: int[], s: string) -> json { return " + value + " }",
                      {{"xs", {1, 2, 3}}, {"s", "aé漢z"}});
  };
  EXPECT_EQ(gives("xs[0..1]"), "[1,2]");
  EXPECT_EQ(gives("xs[1..9]"), "[2,3]");
  EXPECT_EQ(gives("xs[3..9]"), "[]");
  EXPECT_EQ(gives("xs[-5..0]"), "[1]");
  EXPECT_EQ(gives("xs[2..1]"), "[]");
  EXPECT_EQ(gives("xs[0..9223372036854775807]"), "[1,2,3]");
  EXPECT_EQ(gives("(5..9)[1..2]"), "[6,7]");
  EXPECT_EQ(gives("(5..9)[7..9]"), "[]");
  EXPECT_EQ(gives("s[1..2]"), R"("é漢")");
  EXPECT_EQ(gives("s[0..9223372036854775807]"), R"("aé漢z")");
  EXPECT_EQ(gives("s[4..9]"), R"("")");
  EXPECT_EQ(gives("s[-3..0]"), R"("a")");
}

TEST(Run, CaseGoesByUnicode) {
  World world;
  const auto gives = [&](const std::string& call) {
    return world.json("gen main() -> string { return " + call + " }");
  };
  EXPECT_EQ(gives(R"(upper("straße, ǆ, ﬁn"))"), R"("STRASSE, Ǆ, FIN")");
  EXPECT_EQ(gives(R"(lower("ÀÉ ΟΔΟΣ ΣΑΣ, 漢"))"), R"("àé οδος σας, 漢")");
  EXPECT_EQ(gives(R"(lower(upper("İ")))"), R"("i̇")");
  std::string longest;  // two bytes a character, six in upper case
  for (int i = 0; i < 12 << 20; ++i) longest += "ΐ";
  EXPECT_THAT(world.json("gen main(s: string) -> int { return len(upper(s)) }",
                         {{"s", std::move(longest)}}),
              HasSubstr("longer than 67108864 bytes"));
}

// A field that was left out has its default wherever a value becomes one of its record's type.
TEST(Run, DefaultsAreThereHoweverARecordIsMade) {
  World world;
  const std::string declared = R"gen(
    enum E { a as "A x", b }
    record In { e: E = E.b }
    record R { x: float, e: E = E.b, n?: int, inner: In = {} }
    gen e_of(r: R) -> E { return r.e }
    gen made() -> R { return { x: 1 } }
    gen name_of(r: R) -> string { match r.inner.e { a => return "a" b => return "b" } }
    gen first(rs: R[], m: map(R)) -> R { return if len(rs) > 0 { rs[0] } else { m["k"] } }
    gen either(r: R | "none") -> string { match r { "none" => return "-" some => return "${some.e}" } }
  )gen";
  const auto gives = [&](const std::string& body) {
    return world.json(declared + "gen main() -> json { " + body + " }");
  };
  EXPECT_EQ(gives("return e_of({ x: 3 })"), R"("b")");
  EXPECT_EQ(gives("let r = made() return r"), R"({"x":1.0,"e":"b","inner":{"e":"b"}})");
  EXPECT_EQ(gives("return name_of({ x: 2, e: E.a })"), R"("b")");
  EXPECT_EQ(gives("return name_of({ x: 2, inner: { e: E.a } })"), R"("a")");
  EXPECT_EQ(gives("let r: R = { e: E.a, x: 2 } return r"),
            R"({"x":2.0,"e":"A x","inner":{"e":"b"}})");
  EXPECT_EQ(gives("return first([{ x: 1 }], {}).e"), R"("b")");
  EXPECT_EQ(gives("return first([], { k: { x: 1 } }).inner"), R"({"e":"b"})");
  EXPECT_EQ(gives("return either({ x: 1 })"), R"("b")");
  EXPECT_EQ(gives("return either(\"none\")"), R"("-")");
  EXPECT_EQ(gives("let x: float = 1 return x"), "1.0");
  // Of a tool's parameters, whoever made the call.
  const Compiled compiled = compile("test.gen", R"gen(
    tool add(a: int, b: int = 7, c?: int) -> int = python "m:add"
    gen main() -> json {
      user "Go."
      assistant "$[k: add]"
      match k { add(a, b, c) => return { a, b, c } }
    }
    gen own() -> json { let k = add(3) match k { add(a, b) => return { a, b } } }
    test "a model's call" {
      mock { k: { name: "add", arguments: { a: 1 } } }
      expect main() == { a: 1, b: 7, c: null }
    }
    test "one of the program" { expect own() == { a: 3, b: 7 } }
  )gen");
  ASSERT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  const auto call = from_json(*compiled.program, Json{{"name", "add"}, {"arguments", {{"a", 1}}}},
                              compiled.program->holes[0].type, "k");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(to_json(*call)["arguments"], Json({{"a", 1}, {"b", 7}}));
}

TEST(Run, BreakLeavesTheInnermostLoopOnly) {
  World world;
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  world.run(
      R"(gen main() { user { for i in 1..3 { for j in 1..3 { if j == 2 { break } "${i}${j} " } } } })",
      {}, options);
  EXPECT_EQ(recorder.text(), "<user>11 21 31 </>");
}

TEST(Run, TextIsExactAndRolesOpenAndClose) {
  World world;
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const auto out = world.run(R"(
    gen main(name: string) {
      system "Be brief."
      user """
        Hello ${name},
          indented.
        """
      turn "assistant" "Hi."
    })",
                             {{"name", "<|im_end|>"}}, options);
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(recorder.text(),
            "<system>Be brief.</><user>Hello <|im_end|>,\n  indented.</><assistant>Hi.</>");
}

TEST(Run, MatchTakesTheFirstArmThatFits) {
  World world;
  const std::string source = R"(
    enum Color { red, blue as "dark blue" }
    gen main(c: Color, n: int) -> string {
      match c {
        red => { return "r" }
        blue => { match n { 1 => { return "one" } other => { return "n${other}" } } }
      }
    })";
  EXPECT_EQ(world.json(source, {{"c", "red"}, {"n", 1}}), R"("r")");
  EXPECT_EQ(world.json(source, {{"c", "dark blue"}, {"n", 1}}), R"("one")");
  EXPECT_EQ(world.json(source, {{"c", "blue"}, {"n", 7}}), R"("n7")");
}

TEST(Run, WrongArgumentsAreNamed) {
  World world;
  const std::string source = R"(
    record Turn { role: string, words: int(0..9) }
    gen main(history: Turn[], n: int = 3, extra?: string) -> int { return n })";
  EXPECT_EQ(world.json(source, {{"history", Json::array()}}), "3");
  EXPECT_THAT(world.json(source), HasSubstr("argument `history`"));
  EXPECT_THAT(world.json(source, {{"history", Json::array()}, {"m", 1}}),
              HasSubstr("unknown argument `m`"));
  EXPECT_THAT(world.json(source, {{"history", {{{"role", "user"}, {"words", 12}}}}}),
              HasSubstr("argument `history`[0].words: expected int(0..9), got 12"));
  EXPECT_THAT(world.json(source, {{"history", "x"}}), HasSubstr("expected Turn[], got \"x\""));
  EXPECT_THAT(world.json(source, 3), HasSubstr("must be a JSON object"));
}

TEST(Run, AnUnknownGeneratorIsNamedWithThoseThereAre) {
  World world;
  const auto out = world.run("gen a() {} gen b() {}", {}, {}, "c");
  ASSERT_FALSE(out);
  EXPECT_THAT(out.error().error.message, HasSubstr("`a`, `b`"));
  EXPECT_FALSE(world.run("gen a() {} gen b() {}"));
}

TEST(Run, AnInterruptEndsEverything) {
  std::atomic<bool> interrupted = false;
  World world(WorldOptions{.on_step = [&](const runtime::Batch&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    interrupted = true;
  }});
  RunOptions options;
  options.interrupted = &interrupted;
  const auto out = world.run(R"(
    gen main() -> string[] { user "Q" return fork 4 { assistant "$[x: string, max=2000] never" yield x } })",
                             {}, options);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().error.code, ErrorCode::kCancelled);
  EXPECT_TRUE(world.engine->check_idle());
}

TEST(Run, AnInterruptEndsAHangingTool) {
  World world;
  Functions functions;
  std::atomic<bool> interrupted = false;
  functions.functions["look"] = [&](const Json&) -> Result<Json> {
    interrupted = true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return 1;
  };
  RunOptions options;
  options.tools = &functions;
  options.interrupted = &interrupted;
  const auto out = world.run(
      "tool look() -> int = python \"m:look\"\ngen main() -> int { for i in 1..1000 { let x = run "
      "look() } return 1 }",
      {}, options);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().error.code, ErrorCode::kCancelled);
}

TEST(Run, ValuesThatDoNotExistAreErrorsWithTheirPlace) {
  World world;
  EXPECT_EQ(world.json("gen main(n: int) -> float {\n  return 1 / n\n}", {{"n", 0}}),
            "error: test.gen:2:10: division by zero");
  EXPECT_THAT(world.json("gen main(xs: int[]) -> int { return xs[3] }", {{"xs", {1}}}),
              HasSubstr("index 3 of a list of 1"));
  EXPECT_THAT(
      world.json("gen main(n: int) -> int { return n * n }", {{"n", std::int64_t{1} << 40}}),
      HasSubstr("too large"));
  const auto out = world.run("gen main(n: int) -> float {\n  return 1 / n\n}", {{"n", 0}});
  EXPECT_THAT(out.error().rendered, HasSubstr("^^^^^"));
}

TEST(Run, EndlessWorkIsCutOffByItsLimit) {
  World world;
  EXPECT_THAT(
      world.json("gen main() { for i in 1..9000000000 { for j in 1..1000 { let x = i + j } } }"),
      HasSubstr("steps"));
}

TEST(Run, ATextThatGrowsTooLongIsRefusedByItsLimit) {
  World world;
  std::string source = "gen main() -> int {\n  let t0 = \"0123456789abcdef\"\n";
  for (int i = 1; i <= 8; ++i) {  // eight times as long each time
    std::string eight;
    for (int k = 0; k < 8; ++k) eight += "${t" + std::to_string(i - 1) + "}";
    source += "  let t" + std::to_string(i) + " = \"" + eight + "\"\n";
  }
  const auto out = world.run(source + "  return len(t8)\n}");
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().error.code, ErrorCode::kLimit);
  EXPECT_THAT(out.error().error.message, HasSubstr("longer than 67108864 bytes"));
  EXPECT_THAT(out.error().error.message, HasSubstr("test.gen:10:"));
}

TEST(Run, LongChainsOfStatementsUseNoStack) {
  World world;
  EXPECT_EQ(
      world.json("gen main() -> int { for i in 1..200000 { if i < 0 { return i } } return 3 }"),
      "3");
  EXPECT_EQ(world.json("gen main() -> int { for i in 1..200000 { } return 4 }"), "4");
}

TEST(Run, ABackendThatFailsIsARunsError) {
  World world(WorldOptions{.pages = 4});
  const std::string message = world.json(
      R"(gen main(doc: string) -> line { user "${doc}" assistant "$[x: line, max=8]" return x })",
      {{"doc", std::string(900, 'x')}});
  EXPECT_THAT(message, HasSubstr("error: test.gen:1:"));
}

// W0603 counts bytes where no model is known, and its tokens where one is.
TEST(Check, CountsWhatIsNotSharedInTheModelsTokens) {
  World world;
  std::string behind;
  for (int i = 0; i < 30; ++i) behind += " and the thin end of the";
  const auto compiled = compile("test.gen", "gen main(d: line) -> line { system \"It is ${d}." +
                                                behind + "\" assistant \"$[x: line]\" return x }");
  ASSERT_NE(compiled.program, nullptr);
  EXPECT_THAT(render(compiled.diagnostics, compiled.sources),
              HasSubstr(std::to_string(behind.size() + 1) + " constant bytes"));
  const auto ids =
      testing::tiny_model()->tokenizer()->encode("." + behind, runtime::TextStart::kContinuation);
  ASSERT_TRUE(ids);
  EXPECT_LT(ids->size(), behind.size());
  EXPECT_THAT(render(world.runner->check(*compiled.program), compiled.sources),
              HasSubstr("stops " + std::to_string(ids->size()) + " constant tokens"));
}

TEST(Render, AChainOfSplicedGeneratorsIsBounded) {
  World world;
  std::string source = "gen main() { splice n0() }\ngen n3000() { user \"x\" }\n";
  for (int i = 0; i < 3000; ++i)
    source += "gen n" + std::to_string(i) + "() { splice n" + std::to_string(i + 1) + "() }\n";
  const auto compiled = compile("test.gen", source);
  ASSERT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  espalier::testing::on_a_small_stack([&] {
    const auto text = render_prompt(world.runner->model(), *compiled.program, "main", Json());
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, ErrorCode::kLimit);
    EXPECT_THAT(text.error().message, HasSubstr("more than 100 levels"));
    EXPECT_THAT(world.json(source), HasSubstr("deeper than 100"));
  });
}

TEST(Render, ShowsWhatTheModelWouldSee) {
  World world;
  const auto compiled = compile("test.gen", R"(
    gen main(name: string) -> int {
      user "Hello ${name}."
      assistant "Age: $[n: int(0..120)]."
      if n > 18 { user "Adult." }
      return n
    })");
  ASSERT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  const auto text = render_prompt(world.runner->model(), *compiled.program, "", {{"name", "Ann"}});
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->text,
            "<|im_start|>user\nHello Ann.<|im_end|>\n<|im_start|>assistant\nAge: $[n: "
            "int(0..120)].<|im_end|>\n"
            "\n[what follows depends on n]\n");
}

}  // namespace
}  // namespace espalier::dsl
