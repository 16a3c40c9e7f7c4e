// The head where masks allow few tokens: the bits of the whole head, panels that are left alone,
// and tokens that need none of it.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/sampling/plan_answers.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"

namespace espalier::runtime::cuda {
namespace {

using espalier::testing::TinyLlama;

grammar::MaskRef mask_of(std::span<const TokenId> ids, std::uint32_t vocabulary) {
  std::vector<std::uint64_t> words((vocabulary + 63) / 64);
  for (const TokenId id : ids) {
    words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
  }
  return std::make_shared<const grammar::Mask>(std::move(words));
}

// Steps whose rows are held to few tokens, to one, to all, by several plans each; recorded steps
// come again with other masks.
void run_masked(const std::shared_ptr<const Model>& model, std::uint64_t seed,
                CudaOptions options = {}) {
  Random random(seed);
  Twins twins(model, std::move(options));
  ASSERT_TRUE(twins);
  const std::uint32_t vocabulary = model->shape().vocabulary;
  for (int step = 0; step < 10; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    const std::size_t count = step == 4 ? 70 : step < 2 ? 1 : 5;
    Sequence sequence = twins.cpu.sequence(80);
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, *model, count));
    std::vector<Sampling> samplings(2);
    samplings[1].temperature = 0.9F;
    std::vector<RowPlan> plans;
    for (std::uint32_t row = 0; row < count; ++row) {
      for (std::size_t copy = 0; copy < 1 + random() % 2; ++copy) {
        RowPlan plan;
        plan.row = row;
        plan.sampling = &samplings[random() % 2];
        plan.key = RandomKey(random());
        const auto kind = step == 7 ? 3 : random() % 4;  // step 7: one token each
        std::vector<TokenId> ids = random_ids(random, *model, kind == 3 ? 1 : 1 + random() % 4);
        if (step != 9 || random() % 3 != 0) plan.mask = mask_of(ids, vocabulary);
        plans.push_back(std::move(plan));
      }
    }
    const auto expected = run_step(*twins.cpu.backend, builder.batch, plans);
    const auto actual = run_step(*twins.device.backend, builder.batch, plans);
    ASSERT_TRUE(expected && actual);
    // And of the whole head.
    std::vector<RowPlan> whole = plans;
    for (RowPlan& plan : whole) plan.count = 1;
    const auto dense = run_step(*twins.cpu.backend, builder.batch, whole);
    ASSERT_TRUE(dense);
    for (std::size_t i = 0; i < plans.size(); ++i) {
      EXPECT_EQ((*actual)[i].sampled.token, (*expected)[i].sampled.token) << i;
      EXPECT_EQ((*actual)[i].sampled.probability, (*expected)[i].sampled.probability) << i;
      EXPECT_EQ((*actual)[i].sampled.token, (*dense)[i].sampled.token) << i;
      EXPECT_EQ((*actual)[i].sampled.probability, (*dense)[i].sampled.probability) << i;
      if (plans[i].mask != nullptr) {
        EXPECT_TRUE(plans[i].mask->allows((*actual)[i].sampled.token)) << i;
      }
    }
    for (const PageId page : sequence.pages) twins.expect_same_page(page);
    twins.cpu.next_page -= static_cast<PageId>(sequence.pages.size());
  }
}

std::shared_ptr<const Model> tiny(TensorType type) {
  TinyLlama description;
  description.matrix_type = static_cast<std::uint32_t>(type);
  if (tensor_traits(type)->block_weights == 256) {
    description.width = 256;
    description.feed_forward = 256;
  }
  description.layers = 2;
  return load_bytes(description.writer().finish().bytes);
}

TEST(MaskedHead, HasTheBitsOfTheWholeHead) {
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ6_K, TensorType::kF16}) {
    SCOPED_TRACE(tensor_traits(type)->name);
    ASSERT_NO_FATAL_FAILURE(run_masked(tiny(type), 5));
  }
}

TEST(MaskedHead, OnRanksHasTheBitsOfTheWholeHead) {
  for (const auto& [stages, tensor] : {std::pair(1U, 2U), std::pair(2U, 2U)}) {
    CudaOptions options;
    options.devices.assign(std::size_t{stages} * tensor, 0);
    options.tensor_parallel = tensor;
    options.links = CudaOptions::Links::kThreads;
    ASSERT_NO_FATAL_FAILURE(run_masked(tiny(TensorType::kQ4_0), 6, options));
  }
}

// What plans need: the union of their masks, or all; and no logits where one token is allowed.
TEST(WantedTokens, AreThoseOfTheMasksUnlessAPlanSeesAll) {
  Random random(7);
  const Sampling greedy;
  for (int round = 0; round < 300; ++round) {
    SCOPED_TRACE("round " + std::to_string(round));
    constexpr std::uint32_t kVocabulary = 200;
    std::vector<RowPlan> plans(1 + random() % 6);
    std::vector<std::vector<TokenId>> allowed(plans.size());
    for (std::size_t i = 0; i < plans.size(); ++i) {
      plans[i].row = static_cast<std::uint32_t>(random() % 3);
      plans[i].sampling = &greedy;
      for (std::size_t n = 1 + random() % 3; n > 0; --n) {
        allowed[i].push_back(static_cast<TokenId>(random() % kVocabulary));
      }
      if (random() % 8 > 0) plans[i].mask = mask_of(allowed[i], kVocabulary);
      if (random() % 8 == 0) plans[i].count = 1;
      if (random() % 8 == 0) plans[i].want = Want::kLogprobs;
    }
    std::vector<RowResult> results(plans.size());
    const PlannedRows planned(plans, kVocabulary, results);
    std::vector<bool> is_planned(plans.size());
    for (const std::uint32_t i : planned.order) is_planned[i] = true;
    bool all = false;
    std::vector<std::uint64_t> words((kVocabulary + 63) / 64);
    for (std::size_t i = 0; i < plans.size(); ++i) {
      const bool plain = plans[i].want == Want::kToken && plans[i].count == 0 && plans[i].mask;
      const bool one = plain && std::all_of(allowed[i].begin(), allowed[i].end(),
                                            [&](TokenId id) { return id == allowed[i][0]; });
      ASSERT_EQ(is_planned[i], !one);
      if (one) {
        EXPECT_EQ(results[i].sampled.token, allowed[i][0]);
        EXPECT_EQ(results[i].sampled.probability, 1.0F);
        continue;
      }
      EXPECT_EQ(results[i].sampled.token, kNoToken);
      all = all || !plain;
      for (const TokenId id : allowed[i]) {
        words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
      }
    }
    const auto wanted = wanted_tokens(plans, planned, 0, planned.rows.size());
    if (all || planned.rows.empty()) {
      EXPECT_TRUE(wanted.empty());
    } else {
      EXPECT_EQ(wanted, words);
    }
  }
}

}  // namespace
}  // namespace espalier::runtime::cuda
