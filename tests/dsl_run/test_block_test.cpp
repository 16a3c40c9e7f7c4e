// `test` blocks: mocks in the place of a model.
#include <gmock/gmock.h>

#include "dsl/mock_model.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::World;

class TestBlocks : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = MockModel::create(real_system());
    ASSERT_TRUE(made) << made.error().message;
    model_ = std::move(*made);
  }
  /// "" where the last test of the program passes, else its message.
  std::string run(const std::string& source, RunOptions options = {}) {
    const Compiled compiled = compile("test.gen", source);
    EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    if (compiled.program == nullptr) return "does not compile";
    const auto outcome = model_->runner().run_test(
        compiled.program, *compiled.program->tests.back(), false, std::move(options));
    return outcome ? "" : outcome.error().error.message;
  }

  std::unique_ptr<MockModel> model_;
};

constexpr const char* kTopic = R"(
  enum Topic { lost_card as "lost card", fee }
  gen topic(message: string) -> { topic: Topic, p: float, fee: float } {
    user "${message}"
    assistant "$[best: select Topic]"
    return { topic: best, p: best.p, fee: best.dist.fee }
  }
)";

TEST_F(TestBlocks, AMockedHoleHasItsValueAndAMockedSelectItsDistribution) {
  EXPECT_EQ(run(std::string(kTopic) + R"(test "t" {
    mock { best: "lost card" }
    let r = topic("x")
    expect r.topic == Topic.lost_card
    expect r.p == 1.0 and r.fee == 0.0
  })"),
            "");
}

TEST_F(TestBlocks, AnExpectationThatFailsShowsBothSidesAtItsPlace) {
  EXPECT_EQ(run(std::string(kTopic) + R"(test "t" {
    mock { best: Topic.fee }
    let r = topic("x")
    expect r.topic == Topic.lost_card
  })"),
            R"(test.gen:11:12: this does not hold: "fee" == "lost card")");
}

TEST_F(TestBlocks, AHoleWithoutAMockAndAMockOfTheWrongTypeFail) {
  EXPECT_THAT(run(std::string(kTopic) + R"(test "t" { let r = topic("x") expect r.p == 1 })"),
              AllOf(HasSubstr("test.gen:5:16"), HasSubstr("the hole `best` has no value")));
  EXPECT_THAT(run(std::string(kTopic) +
                  R"(test "t" { mock { best: "nothing" } let r = topic("x") expect r.p == 1 })"),
              HasSubstr("the mock of `best`: expected one of \"lost card\", \"fee\""));
}

TEST_F(TestBlocks, ToolsAreMockedByNameAndNeverRunOtherwise) {
  const std::string source = R"(
    tool price(name: string) -> int = python "x:y"
    tool stop(why: string)
    gen agent() -> int {
      user "How much?"
      for step in 1..3 {
        assistant "$[call: price | stop]"
        match call {
          stop(why) => return step
          other => tool "${run other}"
        }
      }
      return 0
    }
    gen direct() -> int { let p = run price("lamp") return p }
  )";
  EXPECT_EQ(run(source + R"(test "t" {
    mock { call: price("lamp"), price: 12 }
    mock { call: stop("enough") }
    expect agent() == 2
    expect direct() == 12
  })"),
            "");
  EXPECT_THAT(run(source + R"(test "t" { expect direct() == 12 })"),
              HasSubstr("this run has no tools"));
}

TEST_F(TestBlocks, SeveralMocksOfANameAreTakenInTurnByTheBranchesToo) {
  EXPECT_EQ(run(R"(
    gen drafts() -> int[] {
      user "Go."
      let all = fork 4 { assistant "$[n: int]" yield n }
      return all
    }
    test "t" {
      mock { n: 1 }
      mock { n: 2 }
      mock { n: 3 }
      expect drafts() == [1, 2, 3, 3]
    })"),
            "");
}

TEST_F(TestBlocks, RetriesRunOnMocks) {
  EXPECT_EQ(run(R"(
    gen strict() -> int {
      user "Go."
      retry 3 { assistant "$[n: int]" require n > 5, "more than 5" }
      return n
    }
    test "t" {
      mock { n: 1 }
      mock { n: 9 }
      expect strict() == 9
    })"),
            "");
}

TEST_F(TestBlocks, ExpectAcceptsReadsTheTypesOwnLanguage) {
  const auto of = [&](const std::string& expectation) {
    return run("record R { a: int }\nenum E { x as \"the x\", y }\ntest \"t\" { expect " +
               expectation + " }");
  };
  EXPECT_EQ(of(R"(int(1..20) accepts "20")"), "");
  EXPECT_EQ(of(R"(int(1..20) rejects "21")"), "");
  EXPECT_EQ(of(R"(R accepts "{\"a\": 1}")"), "");
  EXPECT_EQ(of(R"(R rejects "{\"a\": 1")"), "");
  EXPECT_EQ(of(R"(E accepts "the x")"), "");
  EXPECT_EQ(of(R"(E rejects "x")"), "");
  EXPECT_EQ(of(R"(date accepts "2024-02-29")"), "");
  EXPECT_EQ(of(R"(date rejects "2023-02-29")"), "");
  EXPECT_EQ(of(R"(line accepts "grüße")"), "");
  EXPECT_EQ(of(R"(line rejects "a\nb")"), "");
  EXPECT_THAT(of(R"(int rejects "1")"), HasSubstr("the type accepts this text"));
  EXPECT_THAT(of(R"(int accepts "x")"), HasSubstr("the type rejects this text"));
}

TEST(TestOnAModel, HolesWithoutAMockAreTheModels) {
  World world;
  const Compiled compiled = compile("test.gen", R"(
    gen g() -> { a: int(1..9), b: int } {
      user "Go."
      assistant "$[a: int(1..9)] and $[b: int]."
      return { a, b }
    }
    test "t" {
      mock { b: 77 }
      let r = g()
      expect r.a >= 1 and r.a <= 9
      expect r.b == 77
    })");
  ASSERT_NE(compiled.program, nullptr);
  const auto outcome =
      world.runner->run_test(compiled.program, *compiled.program->tests[0], true, {});
  EXPECT_TRUE(outcome) << outcome.error().rendered;
  EXPECT_GT(world.engine->stats().generated_tokens, 0U);
}

}  // namespace
}  // namespace espalier::dsl
