// The tree of contexts: calls, splices, forks, retries.
#include <gmock/gmock.h>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::Alternating;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Recorder;
using testing::tiny_model;
using testing::World;
using testing::WorldOptions;

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

TEST(Run, RetryJoinsTheMessageWhereTheTemplateRefusesTwoUserTurns) {
  World world(WorldOptions{.chat = std::make_shared<Alternating>(tiny_model()->chat_template())});
  const auto first = world.run(
      R"(gen main() -> line { user "Q" assistant "$[x: line(1..12), max=16]" return x })");
  ASSERT_TRUE(first) << first.error().rendered;
  const auto retried = world.run(R"(gen main(bad: string) -> line { user "Q"
      retry 3 { assistant "$[x: line(1..12), max=16]" require x != bad, "not ${bad}" }
      return x })",
                                 {{"bad", first->as_string()}});
  ASSERT_TRUE(retried) << retried.error().rendered;
  const auto written = world.run(R"(gen main(bad: string) -> line {
      user "Q\n\nnot ${bad}" assistant "$[x: line(1..12), max=16]" return x })",
                                 {{"bad", first->as_string()}});
  ASSERT_TRUE(written) << written.error().rendered;
  EXPECT_EQ(retried->as_string(), written->as_string());
}

// A hash for logits gives spellings that no tokenizer would: were the branch's text tokenised anew,
// its pages would not be found.
TEST(Run, TextThatABranchWroteIsFoundInTheTree) {
  const auto computed = [](const std::string& last) {
    World world;
    const auto out = world.run(R"(
      gen main() -> string {
        user "Say something long."
        let kept = fork {
          assistant "$[words: /( the| and| in){60}/, max=300, temperature=1]"
          yield { words }
        }
        assistant ")" + last + R"("
        user "And?"
        assistant "$[after: line(1..4), max=8]"
        return kept.words
      })");
    EXPECT_TRUE(out) << out.error().rendered;
    EXPECT_TRUE(world.engine->check_idle());
    return world.engine->stats().computed_tokens;
  };
  EXPECT_LT(computed("${kept.words}") + 60, computed("${kept.words + \"\"}"));
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

TEST(Retry, ItsElseBlockKnowsWhyTheLastTryFailed) {
  World world;
  EXPECT_EQ(world.json(R"(gen main() -> string? {
      retry 2 as why {
        assistant "$[x: bool]"
        require false, "not ${if why == null { 1 } else { 2 }}"
      } else {
        return why
      }
      return "x"
    })"),
            R"("not 2")");
}

}  // namespace
}  // namespace espalier::dsl
