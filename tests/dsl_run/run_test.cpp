#include <gmock/gmock.h>

#include <thread>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::ElementsAre;
using testing::Functions;
using ::testing::HasSubstr;
using testing::Recorder;
using testing::World;
using testing::WorldOptions;

// ---- statements
// -----------------------------------------------------------------------------------------------------

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

// ---- arguments
// ------------------------------------------------------------------------------------------------------

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

// ---- holes
// ----------------------------------------------------------------------------------------------------------

constexpr const char* kTyped = R"(
  enum Color { red, green, blue }
  record Item { name: string(1..6), count: int(1..9), color: Color, price: float(0..100)? }
  gen main() -> { items: Item[1..3], word: string, flag: bool, n: int } {
    user "Say."
    assistant "Items: $[items: Item[1..3], max=400, temperature=0.8]"
    assistant "Word $[word: string(1..8), max=40] and $[flag: bool]; n=$[n: int(-5..5)]."
    return { items, word, flag, n }
  })";

TEST(Run, ValuesHaveTheirTypesWhateverTheModelSays) {
  World world;
  for (int seed = 0; seed < 12; ++seed) {
    RunOptions options;
    options.overrides.seed = seed;
    const auto out = world.run(kTyped, {}, options);
    ASSERT_TRUE(out) << out.error().rendered;
    const Value& items = *out->field("items");
    EXPECT_GE(items.length(), 1U);
    EXPECT_LE(items.length(), 3U);
    for (const Value& item : items.as_list()) {
      EXPECT_GE(item.field("count")->as_int(), 1);
      EXPECT_LE(item.field("count")->as_int(), 9);
      EXPECT_EQ(item.field("color")->kind(), ValueKind::kVariant);
    }
    EXPECT_LE(std::abs(out->field("n")->as_int()), 5);
    EXPECT_EQ(out->field("flag")->kind(), ValueKind::kBool);
  }
  EXPECT_TRUE(world.engine->check_idle());
}

TEST(Run, TheSameSeedGivesTheSameTextAndAnotherSeedAnother) {
  World world;
  const auto text = [&](int seed) {
    RunOptions options;
    options.overrides.seed = seed;
    return world.json(kTyped, {}, options);
  };
  const std::string first = text(1);
  EXPECT_EQ(text(1), first);
  EXPECT_NE(text(2), first);
}

TEST(Run, CacheThreadsAndNeighboursNeverChangeTheText) {
  const std::string source = R"(
    gen main(n: int) -> string {
      system "A common head that is long enough to fill a few pages of the cache, so that it is shared."
      user "Number ${n}."
      let parts = fork i in 1..3 {
        assistant "Part ${i}: $[p: line(1..30), max=20, temperature=0.9]"
        yield p
      }
      assistant "$[all: line(1..30), max=24]"
      return "${join(parts, "|")}/${all}"
    })";
  std::vector<std::string> alone;
  for (int n = 0; n < 6; ++n) {
    World world(WorldOptions{.cache = false, .threads = 1});
    alone.push_back(world.json(source, {{"n", n}}));
    EXPECT_THAT(alone.back(), ::testing::Not(HasSubstr("error")));
  }
  for (const bool cache : {true, false}) {
    for (const unsigned threads : {1U, 3U}) {
      World world(WorldOptions{.cache = cache, .max_rows = cache ? 8U : 64U, .threads = threads});
      std::vector<std::string> together(6);
      std::vector<std::thread> users;
      for (int n = 0; n < 6; ++n) {
        users.emplace_back([&, n] {
          together[static_cast<std::size_t>(n)] = world.json(source, {{"n", n}});
        });
      }
      for (std::thread& user : users) user.join();
      EXPECT_EQ(together, alone);
      EXPECT_TRUE(world.engine->check_idle());
    }
  }
}

TEST(Run, ATrunkIsComputedOnceHoweverManyBranchesLeaveIt) {
  World world;
  const auto out = world.run(R"(
    gen main() -> string[] {
      system "A common head that is long enough to fill a few pages of the cache, so that it is shared by all."
      return fork 8 { assistant "$[x: line(1..9), max=10]" yield x }
    })");
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(out->length(), 8U);
  const auto stats = world.engine->stats();
  EXPECT_EQ(stats.reused_tokens + stats.computed_tokens, stats.prompt_tokens);
  EXPECT_LT(stats.computed_tokens, 400U);  // the head once, not eight times
  EXPECT_EQ(stats.recomputed_tokens, 0U);
}

TEST(Run, AHoleEndsWhereTheTextAfterItBegins) {
  World world;
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const auto out =
      world.run(R"(gen main() -> string { assistant "A: $[a: string, max=12] END. B" return a })",
                {}, options);
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(recorder.text(), "<assistant>A: " + out->as_string() + " END. B</>");
}

TEST(Run, ABudgetBelowTheShortestValueIsRefusedWithBothFigures) {
  World world;
  EXPECT_THAT(
      world.json(
          R"(gen main() -> json { assistant "$[x: { alpha: int, beta: string }, max=3]" return x })"),
      HasSubstr("max is 3"));
}

TEST(Run, ADocumentLargerThanTheContextIsRefusedWithBothNumbers) {
  World world(WorldOptions{.context = 256});
  const std::string message = world.json(
      R"(gen main(doc: string) -> line { user "${doc}" assistant "$[x: line, max=8]" return x })",
      {{"doc", std::string(1000, 'x')}});
  EXPECT_THAT(message, HasSubstr("the prompt has 1006 tokens here; the model's context holds 256"));
}

// ---- call, splice, fork
// ---------------------------------------------------------------------------------------------

TEST(Run, ACallStartsAnewAndOnlyItsValueReturns) {
  World world;
  // The same generator gives the same greedy value wherever it is called from: it sees a new root.
  const std::string inner =
      R"(gen pick() -> line { user "Pick." assistant "$[x: line(1..12), max=16]" return x } )";
  const std::string direct = world.json(inner);
  const std::string called = world.json(
      inner + R"(gen main() -> line { user "Something else." let a = pick() return a })");
  EXPECT_EQ(called, direct);
}

TEST(Run, ASpliceWritesIntoTheCallersText) {
  World world;
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const auto out = world.run(R"(
    gen rules(n: int) { "Rule one.\n" if n > 1 { "Rule two.\n" } }
    gen main() { system { "Obey:\n" splice rules(2) } user "Go." })",
                             {}, options, "main");
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(recorder.text(), "<system>Obey:\nRule one.\nRule two.\n</><user>Go.</>");
}

TEST(Run, ForksYieldInOrderAndTheirTextDoesNotComeBack) {
  World world;
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const auto out = world.run(R"(
    gen main() -> int[] {
      user "Count."
      let xs = fork i in 1..20 { assistant "Branch ${i} $[w: line(1..5), max=6, temperature=1.0]" yield i * 10 }
      let one = fork { assistant "Alone." yield 7 }
      user "Then."
      return [one, len(xs), xs[0], xs[19]]
    })",
                             {}, options);
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(to_json(*out).dump(), "[7,20,10,200]");
  EXPECT_EQ(recorder.text(), "<user>Count.</><user>Then.</>");
}

TEST(Run, AForkedHoleEqualsTheSameTextWrittenStraight) {
  World world;
  const std::string forked = world.json(R"(
    gen main() -> line { user "Q" let x = fork { assistant "A: $[a: line(1..20), max=20]" yield a } return x })");
  const std::string straight = world.json(
      R"(gen main() -> line { user "Q" assistant "A: $[a: line(1..20), max=20]" return a })");
  EXPECT_EQ(forked, straight);
}

TEST(Run, BranchesOfAForkDrawForThemselves) {
  World world;
  const auto out = world.run(R"(
    gen main() -> string[] {
      user "Q"
      return fork 6 { assistant "$[a: line(8..8), max=30, temperature=1.5]" yield a }
    })");
  ASSERT_TRUE(out) << out.error().rendered;
  std::set<std::string> different;
  for (const Value& one : out->as_list()) different.insert(print(one));
  EXPECT_GT(different.size(), 3U);
}

TEST(Run, TooManyBranchesAreRefusedNotStarted) {
  World world;
  EXPECT_THAT(world.json("gen main() -> int[] { return fork i in 1..1000000000 { yield i } }"),
              HasSubstr("1000000000"));
}

// ---- retry and require
// ----------------------------------------------------------------------------------------------

TEST(Run, RetryRollsBackAndAddsTheMessageAsAUserTurn) {
  World world;
  const std::string ask = R"(user "Q" )";
  const auto first = world.run("gen main() -> line { " + ask +
                               R"(assistant "$[x: line(1..12), max=16]" return x })");
  ASSERT_TRUE(first) << first.error().rendered;
  // Refuse exactly what the first try gives: the second must equal the program that has the message
  // written out.
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const auto retried = world.run("gen main(bad: string) -> line { " + ask + R"(
      retry 3 { assistant "$[x: line(1..12), max=16]" require x != bad, "not ${bad}" }
      return x })",
                                 {{"bad", first->as_string()}}, options);
  ASSERT_TRUE(retried) << retried.error().rendered;
  const auto written = world.run("gen main(bad: string) -> line { " + ask + R"(
      user "not ${bad}" assistant "$[x: line(1..12), max=16]" return x })",
                                 {{"bad", first->as_string()}});
  ASSERT_TRUE(written) << written.error().rendered;
  EXPECT_EQ(retried->as_string(), written->as_string());
  EXPECT_THAT(recorder.retries(), ElementsAre("not " + first->as_string()));
}

TEST(Run, RetryAsWhyBindsTheMessageAndAddsNothing) {
  World world;
  const std::string source = R"(
    gen main() -> string {
      retry 3 as why {
        if why == null { user "first" } else { user "again: ${why}" }
        require why != null, "because"
        return "${why}"
      }
      return "never"
    })";
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  EXPECT_EQ(world.json(source, {}, options), R"("because")");
  EXPECT_EQ(recorder.text(), "<user>first</><user>again: because</>");
}

TEST(Run, AfterTheLastTryTheElseBlockRunsOrTheFailureStands) {
  World world;
  EXPECT_EQ(
      world.json(R"(gen main() -> int { retry 2 { require 1 == 2 } else { return 5 } return 1 })"),
      "5");
  const std::string message =
      world.json("gen main() -> int {\n  retry 2 { require 1 == 2, \"never\" }\n  return 1 }");
  EXPECT_EQ(message, "error: test.gen:2:13: never");
}

TEST(Run, ARequireInACalledGeneratorReachesTheCallersRetry) {
  World world;
  EXPECT_EQ(world.json(R"(
    gen strict(n: int) -> int { require n > 1, "too small" return n }
    gen main() -> int { retry 2 { let n = strict(0) } else { return 9 } return n })"),
            "9");
}

// ---- select
// ---------------------------------------------------------------------------------------------------------

TEST(Run, SelectGivesADistributionAndItsGreatest) {
  World world;
  for (const std::string by : {"", " by mean", " by prior"}) {
    const auto out = world.run(R"(
      enum Size { small, large as "very large", huge }
      gen main() -> { size: Size, p: float, dist: json, follow: string } {
        user "How large?"
        assistant "It is $[s: select Size)" +
                               by + R"(], I think."
        return { size: s, p: s.p, dist: s.dist, follow: "${s}" }
      })");
    ASSERT_TRUE(out) << out.error().rendered;
    const Value& dist = *out->field("dist");
    double sum = 0;
    double top = 0;
    for (const auto& entry : dist.as_record()) {
      sum += entry.value.as_double();
      top = std::max(top, entry.value.as_double());
    }
    EXPECT_NEAR(sum, 1.0, 1e-9);
    EXPECT_EQ(out->field("p")->as_double(), top);
    EXPECT_NE(dist.field("large"), nullptr);
  }
  EXPECT_GT(world.engine->stats().select_tokens, 0U);
  EXPECT_TRUE(world.engine->check_idle());
}

TEST(Run, SelectWithATemperatureDrawsFromItsDistribution) {
  World world;
  std::set<std::string> seen;
  for (int seed = 0; seed < 40; ++seed) {
    RunOptions options;
    options.overrides.seed = seed;
    seen.insert(world.json(
        R"(gen main() -> string { assistant "$[x: select "a" | "b" | "c", temperature=5.0]" return x })",
        {}, options));
  }
  EXPECT_EQ(seen.size(), 3U);
}

// ---- tools
// ----------------------------------------------------------------------------------------------------------

constexpr const char* kAgent = R"(
  tool double(n: int(0..9)) -> int = python "m:double"
  tool stop(word: string(1..4))
  gen main() -> json {
    user "Work."
    for step in 1..3 {
      assistant "$[call: double | stop, max=200, temperature=1.0]"
      match call {
        stop(word) => { return word }
        other => { tool "${run other}" }
      }
    }
    return null
  })";

TEST(Run, AnAgentCallsToolsUntilItStops) {
  World world;
  Functions functions;
  std::atomic<int> calls = 0;
  functions.functions["double"] = [&](const Json& arguments) -> Result<Json> {
    ++calls;
    return arguments.at("n").get<int>() * 2;
  };
  bool stopped = false;
  for (int seed = 0; seed < 8; ++seed) {
    Recorder recorder;
    RunOptions options;
    options.tools = &functions;
    options.observer = &recorder;
    options.overrides.seed = seed;
    const auto out = world.run(kAgent, {}, options);
    ASSERT_TRUE(out) << out.error().rendered;
    stopped = stopped || !out->is_null();
    for (const std::string& one : recorder.tools())
      EXPECT_EQ(one.find('!'), std::string::npos) << one;
  }
  EXPECT_GT(calls, 0);
  EXPECT_TRUE(stopped);
}

TEST(Run, AFailingToolIsTextInAnInsertAndAFailureInALet) {
  World world;
  Functions functions;
  functions.functions["look"] = [](const Json&) -> Result<Json> {
    return fail(ErrorCode::kTool, "no such page");
  };
  Recorder recorder;
  RunOptions options;
  options.tools = &functions;
  options.observer = &recorder;
  const std::string tool = "tool look(q: string) -> string = python \"m:look\"\n";
  EXPECT_EQ(world.json(tool + R"(gen main() -> int { user "got ${run look("a")}" return 1 })", {},
                       options),
            "1");
  EXPECT_EQ(recorder.text(), "<user>got error: tool `look`: no such page</>");
  EXPECT_EQ(
      world.json(tool + "gen main() -> string { let r = run look(\"a\") return r }", {}, options),
      "error: test.gen:2:32: tool `look`: no such page");
  EXPECT_EQ(
      world.json(
          tool +
              R"(gen main() -> string { retry 2 { let r = run look("a") } else { return "caught" } return r })",
          {}, options),
      R"("caught")");
}

TEST(Run, AToolsResultIsCheckedAgainstItsType) {
  World world;
  Functions functions;
  functions.functions["look"] = [](const Json&) -> Result<Json> {
    return Json{{"rows", {1, "two"}}};
  };
  RunOptions options;
  options.tools = &functions;
  EXPECT_THAT(world.json("tool look() -> { rows: int[] } = python \"m:look\"\ngen main() -> json { "
                         "return run look() }",
                         {}, options),
              HasSubstr("its result.rows[1]: expected int, got \"two\""));
}

TEST(Run, WithoutAHostOrATransportACallFails) {
  World world;
  EXPECT_THAT(
      world.json("tool look() -> int = python \"m:look\"\ngen main() -> int { return run look() }"),
      HasSubstr("this run has no tools"));
}

// ---- endings
// --------------------------------------------------------------------------------------------------------

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

// ---- rendering
// ------------------------------------------------------------------------------------------------------

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
