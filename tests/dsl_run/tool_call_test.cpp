// Tools as programs call them.
#include <gmock/gmock.h>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::Functions;
using ::testing::HasSubstr;
using testing::Recorder;
using testing::World;

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

TEST(Run, ACallIsNamedAsItsToolIs) {
  World world;
  Functions functions;
  functions.functions["double"] = [](const Json& arguments) -> Result<Json> {
    return arguments.at("n").get<int>() * 2;
  };
  RunOptions options;
  options.tools = &functions;
  EXPECT_EQ(world.json(R"(
    tool double as "twice"(n: int(0..9), name?: string(1..3)) -> int = python "m:double"
    gen main() -> json {
      let names = for step in 1..3 {
        user "Work."
        assistant "$[call: double, max=200, temperature=1.0]"
        tool "${run call}"
        yield call.name
      }
      return names
    })",
                       Json::object(), options),
            R"(["double","double","double"])");
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

}  // namespace
}  // namespace espalier::dsl
