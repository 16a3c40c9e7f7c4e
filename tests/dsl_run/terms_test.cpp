// What `config` says of a whole run: how long it may take, and how much it matters.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;
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

TEST(Terms, WhatARunAsksToRetainIsInTheTree) {
  const std::string source =
      "gen main() -> string { user \"Go.\" assistant \"$[text: string, max=30]\" return text }";
  const auto levels = [](World& world) {
    std::set<std::uint32_t> out;
    for (const auto trees = world.engine->trees(); const auto& node : trees[0])
      out.insert(node.level);
    return out;
  };
  World without, with, half, over;
  const std::string text = without.json(source);
  EXPECT_EQ(levels(without), std::set<std::uint32_t>{0});
  EXPECT_EQ(with.json("config { retain: 7, retain_steps: 100000 }\n" + source), text);
  EXPECT_EQ(levels(with), std::set<std::uint32_t>{7});
  EXPECT_EQ(half.json("config { retain: 7, retain_tokens: 4 }\n" + source), text);
  EXPECT_EQ(levels(half), (std::set<std::uint32_t>{0, 7}));
  RunOptions options;
  options.overrides.retain = 2;
  ASSERT_TRUE(over.run("config { retain: 7 }\n" + source, Json::object(), options));
  EXPECT_EQ(levels(over), std::set<std::uint32_t>{2}) << "what the caller says stands above";
}

// Says when its hole is about to ask the engine.
class Started final : public Observer {
 public:
  explicit Started(std::atomic<int>& count) : count_(count) {}
  void on_hole_start(const HoleEvent&) override { ++count_; }

 private:
  std::atomic<int>& count_;
};

ProgramRef program_of(const std::string& name, const std::string& config) {
  const Compiled compiled =
      compile(name, "config { " + config + " }\ngen main() -> string { user \"" + name +
                        "\" assistant \"$[text: string(60), max=60]\" return text }");
  EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  return compiled.program;
}

// Where there is room for one program at a time, by rows or by pages, the one that came last of
// seven ends before most of the others if its priority is higher, and behind them if it is not.
TEST(Terms, OnAFullEngineTheHigherPriorityEndsFirst) {
  for (const bool rows : {true, false}) {
    for (const int priority : {0, 10}) {
      WorldOptions options = slow();
      options.threads = 4;
      if (rows) {
        options.max_rows = 1;
      } else {
        options.pages = 12;
      }
      World world(options);
      std::mutex mutex;
      std::vector<std::string> ended;
      std::atomic<int> begun = 0;
      std::vector<std::thread> threads;
      const auto start = [&](const std::string& name, int of) {
        threads.emplace_back([&, name, of] {
          Started started(begun);
          RunOptions run;
          run.observer = &started;
          const auto out = world.runner->run_now(
              program_of(name, "priority: " + std::to_string(of)), "", Json::object(), run);
          EXPECT_TRUE(out) << out.error().rendered;
          const std::lock_guard lock(mutex);
          ended.push_back(name);
        });
      };
      for (int i = 0; i < 6; ++i) start("low" + std::to_string(i) + ".gen", 0);
      while (begun < 6) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      start("last.gen", priority);
      for (std::thread& thread : threads) thread.join();
      const auto place = std::find(ended.begin(), ended.end(), "last.gen") - ended.begin();
      if (priority > 0) {
        EXPECT_LT(place, 3) << "rows " << rows;
      } else {
        EXPECT_GE(place, 3) << "rows " << rows;
      }
      EXPECT_TRUE(world.engine->check_idle().has_value());
    }
  }
}

TEST(Terms, OnAFullEngineTheProgramThatIsLateIsNamedAndTheOtherGoesOn) {
  WorldOptions options = slow();
  options.max_rows = 1;
  World world(options);
  RunOutcome good = tl::unexpected<RunError>(RunError{});
  RunOutcome late = tl::unexpected<RunError>(RunError{});
  std::thread other([&] {
    good = world.runner->run_now(program_of("patient.gen", "priority: 5"), "", Json::object(), {});
  });
  late = world.runner->run_now(program_of("hasty.gen", "deadline: 0.03"), "", Json::object(), {});
  other.join();
  EXPECT_TRUE(good) << good.error().rendered;
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().error.code, ErrorCode::kTimeout);
  EXPECT_THAT(
      late.error().error.message,
      AllOf(StartsWith("hasty.gen:"),
            HasSubstr("more than the 0.03 seconds that `deadline` in the program's `config`")));
  EXPECT_TRUE(world.engine->check_idle().has_value());
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
