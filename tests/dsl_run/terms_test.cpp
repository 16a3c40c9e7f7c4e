// What `config` says of a whole run: how long it may take, and how much it matters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::HasSubstr;
using testing::World;
using testing::WorldOptions;

WorldOptions slow() {
  WorldOptions options;
  options.on_step = [](const runtime::Batch&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  };
  return options;
}

TEST(Terms, ARunEndsAtItsDeadlineWithAllItBegan) {
  for (const char* body : {
           "assistant \"$[text: string(4000), max=4000]\"",
           "let all = fork 8 { assistant \"$[text: string(4000), max=4000]\" yield text }",
           "retry 100 { assistant \"$[text: string(1..3)]\" require text == \"!\", \"again\" }",
           "for i in 1..1000000 { let x = [i, i, i] }",
           R"(assistant "$[text: select "a" | "b"]" for i in 1..1000000 { let x = [i] })",
       }) {
    World world(slow());
    const std::string source =
        "config { deadline: 0.05 }\ngen main() { user \"Go.\" " + std::string(body) + " }";
    EXPECT_THAT(world.json(source), HasSubstr("0.05 seconds that `deadline`")) << body;
    EXPECT_TRUE(world.engine->check_idle().has_value()) << body;
  }
}

TEST(Terms, ARunThatIsInTimeIsNotChanged) {
  const std::string source =
      "gen main() -> string { user \"Go.\" assistant \"$[text: string, max=30]\" return text }";
  World with, without;
  EXPECT_EQ(with.json("config { deadline: 1000, priority: 10 }\n" + source), without.json(source));
}

// A tool has what is left of the run's time, if that is less than its own; the run fails then, and
// no `retry` and no `error: …` hides it.
TEST(Terms, AToolHasNoMoreTimeThanTheRun) {
  class Slow final : public ToolHost {
   public:
    std::atomic<int> calls = 0;
    std::chrono::milliseconds most{0};
    Result<Json> call(const ToolRequest& request) override {
      ++calls;
      most = std::max(most, request.timeout);
      std::this_thread::sleep_for(request.timeout);
      return fail(ErrorCode::kTimeout, "no answer");
    }
  };
  for (const char* body : {"let x = run wait(1)", "retry 5 { let x = run wait(1) }",
                           "user \"Go.\" tool \"${run wait(1)}\" user \"Go.\""}) {
    World world;
    Slow tools;
    RunOptions options;
    options.tools = &tools;
    EXPECT_THAT(world.json("config { deadline: 0.05 }\ntool wait(n: int) -> int = python "
                           "\"a:b\"\ngen main() { " +
                               std::string(body) + " }",
                           Json::object(), std::move(options)),
                AnyOf(HasSubstr("0.05 seconds that `deadline`"), HasSubstr("no answer")))
        << body;
    EXPECT_EQ(tools.calls, 1) << body;
    EXPECT_LE(tools.most, std::chrono::milliseconds(50)) << body;
  }
}

}  // namespace
}  // namespace espalier::dsl
