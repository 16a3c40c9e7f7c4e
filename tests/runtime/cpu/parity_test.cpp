// The default model against figures that llama.cpp gave for the same file.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/runtime/cpu/rig.h"
#include "tests/support/data.h"

namespace espalier::runtime::testing {
namespace {

using nlohmann::json;

class Parity : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto model_path = espalier::testing::default_model();
    if (!model_path) GTEST_SKIP() << "the default model is not here";
    const auto data = espalier::testing::data_file("reference/smollm2.json");
    if (!data) GTEST_SKIP() << "the reference data is not here";
    reference = json::parse(std::ifstream(*data));
    auto loaded = Model::load(*model_path, real_system());
    ASSERT_TRUE(loaded) << loaded.error().message;
    model = *loaded;
  }

  json reference;
  std::shared_ptr<const Model> model;
};

TEST_F(Parity, GreedyTextAndTheTenBestOfEachStep) {
  Rig rig(model, {.threads = 2, .kv_bytes = 0, .isa = ""});
  ASSERT_TRUE(rig);
  double difference = 0;
  std::size_t compared = 0;
  std::size_t steps = 0;
  std::size_t agreed = 0;
  std::size_t same_text = 0;
  for (const auto& it : reference["cases"]) {
    const auto prompt = it["ids"].get<std::vector<TokenId>>();
    const auto greedy = it["greedy"].get<std::vector<TokenId>>();
    const auto& top10 = it["top10"];
    ASSERT_LE(greedy.size(), top10.size());
    // Its own text is fed, so that one disagreement does not end the comparison.
    std::vector<TokenId> ids = prompt;
    ids.insert(ids.end(), greedy.begin(), greedy.end() - 1);
    Sequence sequence = rig.sequence(static_cast<std::uint32_t>(ids.size()));
    BatchBuilder builder;
    builder.append(sequence, ids);
    std::vector<RowPlan> plans;
    for (std::size_t step = 0; step < greedy.size(); ++step) {
      RowPlan plan;
      plan.row = static_cast<std::uint32_t>(prompt.size() - 1 + step);
      plan.want = Want::kLogprobs;
      plan.count = 1;
      for (const auto& [id, value] : top10[step].get<std::vector<std::pair<TokenId, double>>>()) {
        plan.ids.push_back(id);
      }
      plans.push_back(std::move(plan));
    }
    const auto results = rig.backend->step(builder.batch, plans);
    ASSERT_TRUE(results) << results.error().message;
    bool same = true;
    for (std::size_t step = 0; step < greedy.size(); ++step) {
      const auto& result = (*results)[step];
      ++steps;
      const bool first = result.best[0].first == greedy[step];
      agreed += first;
      // Where the choice differs, ours must be among the reference's likely ones: the largest gap is
      // 0.52 today. What is asked of the share of equal choices stands below.
      if (!first) {
        const auto list = top10[step].get<std::vector<std::pair<TokenId, double>>>();
        const auto at = std::find_if(list.begin(), list.end(), [&](const auto& entry) {
          return entry.first == result.best[0].first;
        });
        ASSERT_NE(at, list.end());
        EXPECT_LT(list[0].second - at->second, 1.0);
      }
      same = same && first;
      const auto expected = top10[step].get<std::vector<std::pair<TokenId, double>>>();
      for (std::size_t i = 0; i < expected.size(); ++i) {
        difference += std::abs(result.logprobs[i] - expected[i].second);
        ++compared;
      }
    }
    same_text += same;
  }
  const double mean = difference / static_cast<double>(compared);
  const double agreement = static_cast<double>(agreed) / static_cast<double>(steps);
  std::printf(
      "mean |log-probability difference| %.4f over %zu; first choice agrees in %.2f%% of "
      "%zu steps; %zu of %zu texts identical\n",
      mean, compared, 100 * agreement, steps, same_text, reference["cases"].size());
  // The target is 0.05 and is missed (docs/ROADMAP.md): llama.cpp itself, by another path (flash
  // attention, or one token at a time), is 0.08 to 0.12 from this reference. The bound only guards
  // against getting worse.
  EXPECT_LE(mean, 0.13);
  EXPECT_GE(agreement, 0.97);
}

std::string text_of(const std::string& name) {
  std::string text;
  const bool questions = name.find("questions") != std::string::npos;
  const auto path = espalier::testing::data_file(questions ? "questions/gsm8k_train_first200.jsonl"
                                                           : "receipts/receipts_000_312.jsonl");
  if (!path) return text;
  std::ifstream file(*path);
  const std::size_t characters = questions ? 4000 : 3000;
  for (std::string line; std::getline(file, line) && text.size() < characters;) {
    const auto record = json::parse(line);
    if (!text.empty()) text += "\n\n";
    text += questions
                ? record["question"].get<std::string>() + "\n" + record["answer"].get<std::string>()
                : record["text"].get<std::string>();
  }
  return text.substr(0, characters);
}

TEST_F(Parity, NegativeLogLikelihoodOfTwoTexts) {
  if (model->tokenizer() == nullptr) GTEST_SKIP() << "the model has no tokenizer here";
  Rig rig(model, {.threads = 2, .kv_bytes = 0, .isa = ""});
  ASSERT_TRUE(rig);
  for (const auto& it : reference["nll"]) {
    const auto ids = model->tokenizer()->encode(text_of(it["text"]));
    ASSERT_TRUE(ids);
    ASSERT_EQ(ids->size(), it["n_tokens"].get<std::size_t>());
    Sequence sequence = rig.sequence(static_cast<std::uint32_t>(ids->size()));
    double sum = 0;
    constexpr std::size_t kChunk = 256;
    for (std::size_t begin = 0; begin < ids->size(); begin += kChunk) {
      const std::size_t count = std::min(kChunk, ids->size() - begin);
      BatchBuilder builder;
      builder.append(sequence, std::span(*ids).subspan(begin, count));
      std::vector<RowPlan> plans;
      for (std::size_t i = 0; i < count && begin + i + 1 < ids->size(); ++i) {
        RowPlan plan;
        plan.row = static_cast<std::uint32_t>(i);
        plan.want = Want::kLogprobs;
        plan.ids = {(*ids)[begin + i + 1]};
        plans.push_back(std::move(plan));
      }
      const auto results = rig.backend->step(builder.batch, plans);
      ASSERT_TRUE(results) << results.error().message;
      for (const auto& result : *results) sum -= result.logprobs[0];
    }
    const double mean = sum / static_cast<double>(ids->size() - 1);
    const double expected = it["mean_nll"];
    std::printf("mean NLL %.5f, reference %.5f (%+.3f%%)\n", mean, expected,
                100 * (mean / expected - 1));
    EXPECT_NEAR(mean / expected, 1.0, 0.005);
  }
}

// Token by token, as text is generated: the same choices, bit for bit, as when all is fed at once.
TEST_F(Parity, GeneratingStepByStepEqualsScoringAtOnce) {
  Rig rig(model, {.threads = 2, .kv_bytes = 0, .isa = ""});
  ASSERT_TRUE(rig);
  const auto prompt = reference["cases"][0]["ids"].get<std::vector<TokenId>>();
  constexpr std::size_t kSteps = 24;
  Sequence sequence = rig.sequence(static_cast<std::uint32_t>(prompt.size() + kSteps));
  const Sampling greedy;
  std::vector<TokenId> ids = prompt;
  std::vector<float> probabilities;
  std::vector<TokenId> next = prompt;
  for (std::size_t step = 0; step < kSteps; ++step) {
    BatchBuilder builder;
    builder.append(sequence, next);
    RowPlan plan;
    plan.row = static_cast<std::uint32_t>(next.size() - 1);
    plan.sampling = &greedy;
    const auto results = rig.backend->step(builder.batch, std::vector{plan});
    ASSERT_TRUE(results) << results.error().message;
    ids.push_back((*results)[0].sampled.token);
    probabilities.push_back((*results)[0].sampled.probability);
    next = {ids.back()};
  }
  Sequence again = rig.sequence(static_cast<std::uint32_t>(ids.size()));
  BatchBuilder builder;
  builder.append(again, std::span(ids).first(ids.size() - 1));
  std::vector<RowPlan> plans;
  for (std::size_t step = 0; step < kSteps; ++step) {
    RowPlan plan;
    plan.row = static_cast<std::uint32_t>(prompt.size() - 1 + step);
    plan.sampling = &greedy;
    plans.push_back(plan);
  }
  const auto results = rig.backend->step(builder.batch, plans);
  ASSERT_TRUE(results) << results.error().message;
  for (std::size_t step = 0; step < kSteps; ++step) {
    EXPECT_EQ((*results)[step].sampled.token, ids[prompt.size() + step]) << step;
    EXPECT_EQ((*results)[step].sampled.probability, probabilities[step]) << step;
  }
}

}  // namespace
}  // namespace espalier::runtime::testing
