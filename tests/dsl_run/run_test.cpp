// Statements, arguments, endings and rendering.
#include <gmock/gmock.h>

#include <thread>

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
  EXPECT_EQ(*text,
            "<|im_start|>user\nHello Ann.<|im_end|>\n<|im_start|>assistant\nAge: $[n: "
            "int(0..120)].<|im_end|>\n"
            "\n[what follows depends on n]\n");
}

}  // namespace
}  // namespace espalier::dsl
