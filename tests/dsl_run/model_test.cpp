// Whole programs on the default model: shapes, types and counts, never its exact words.
#include <gmock/gmock.h>

#include "runtime/cpu/cpu_backend.h"
#include "tests/dsl_run/support.h"
#include "tests/support/data.h"

namespace espalier::dsl {
namespace {

using testing::Functions;
using testing::Recorder;

class OnTheDefaultModel : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto path = espalier::testing::default_model();
    if (!path)
      GTEST_SKIP() << "the default model is not in the model store (espalier pull smollm2)";
    auto model = runtime::Model::load(*path, real_system());
    ASSERT_TRUE(model) << model.error().message;
    model_ = *model;
    runtime::CpuOptions options;
    options.threads = 2;
    options.kv_bytes = 256u << 20;
    auto backend = runtime::CpuBackend::create(model_, options, real_system());
    ASSERT_TRUE(backend) << backend.error().message;
    auto engine = runtime::Engine::create(std::move(*backend), {}, real_system());
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
    runner_ = std::make_unique<Runner>(*engine_, model_->tokenizer(), model_->chat_template());
  }

  RunOutcome run(const std::string& source, Json arguments, RunOptions options = {}) {
    const Compiled compiled = compile("test.gen", source);
    EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    return runner_->run_now(compiled.program, "", std::move(arguments), std::move(options));
  }

  std::shared_ptr<const runtime::Model> model_;
  std::unique_ptr<runtime::Engine> engine_;
  std::unique_ptr<Runner> runner_;
};

TEST_F(OnTheDefaultModel, AReceiptBecomesATypedRecordAndItsHeadIsComputedOnce) {
  const std::string source = R"(
    record Line { name: string(1..40), price: float(0..1000) }
    record Receipt { shop: string(1..40), lines: Line[1..4], total: float(0..10000) }
    gen main(doc: string) -> Receipt {
      system "Copy the facts out of the receipt as JSON."
      user "BAKERY SUN\nbread 2.50\ntotal 2.50"
      assistant "{\"shop\": \"BAKERY SUN\", \"lines\": [{\"name\": \"bread\", \"price\": 2.5}], \"total\": 2.5}"
      user "${doc}"
      assistant "$[r: Receipt, max=200]"
      return r
    })";
  for (const char* doc :
       {"CAFE MOON\ncoffee 3.20\ncake 4.00\ntotal 7.20", "TOOLS & CO\nhammer 12.00\ntotal 12.00"}) {
    const auto out = run(source, {{"doc", doc}});
    ASSERT_TRUE(out) << out.error().rendered;
    EXPECT_GE(out->field("lines")->length(), 1U);
    EXPECT_EQ(out->field("total")->kind(), ValueKind::kFloat);
  }
  const auto stats = engine_->stats();
  EXPECT_EQ(stats.reused_tokens + stats.computed_tokens, stats.prompt_tokens);
  EXPECT_GT(stats.reused_tokens, 60U) << "the second receipt shares the head";
  EXPECT_TRUE(engine_->check_idle());
}

TEST_F(OnTheDefaultModel, AnAgentCallsAToolAndAForkJudgesDrafts) {
  const std::string source = R"(
    enum Verdict { good, bad }
    /// Add two numbers.
    tool add(a: int(0..99), b: int(0..99)) -> int = python "m:add"
    /// Give the final answer.
    tool answer(text: string(1..60))
    gen main(question: string) -> { calls: int, drafts: json } {
      system "You can call tools: ${add} ${answer}"
      user "${question}"
      assistant "$[call: add | answer, max=120]"
      match call { answer(text) => {} other => { tool "${run other}" } }
      let drafts = fork 3 {
        assistant "Answer: $[text: line(1..60), max=20, temperature=0.8]"
        user "Is that right? Say good or bad."
        assistant "$[v: select Verdict]"
        yield { text, good: v.dist.good }
      }
      return { calls: 1, drafts: drafts }
    })";
  Functions functions;
  functions.functions["add"] = [](const Json& arguments) -> Result<Json> {
    return arguments.at("a").get<int>() + arguments.at("b").get<int>();
  };
  Recorder recorder;
  RunOptions options;
  options.tools = &functions;
  options.observer = &recorder;
  const auto out = run(source, {{"question", "What is 2 + 3?"}}, options);
  ASSERT_TRUE(out) << out.error().rendered;
  ASSERT_EQ(out->field("drafts")->length(), 3U);
  for (const Value& draft : out->field("drafts")->as_list()) {
    EXPECT_GT(draft.field("good")->as_double(), 0.0);
    EXPECT_LT(draft.field("good")->as_double(), 1.0);
  }
  EXPECT_TRUE(engine_->check_idle());
}

}  // namespace
}  // namespace espalier::dsl
