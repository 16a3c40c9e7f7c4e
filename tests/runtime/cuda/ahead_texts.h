// Texts that go on by a token a step, for steps that are begun before the ids of the one before are
// known.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {

inline const Sampling kGreedy;
inline const Sampling kWarm = [] {
  Sampling out;
  out.temperature = 0.8F;
  return out;
}();

// Texts that go on by a token a step.
class Texts {
 public:
  Texts(Rig& pages, Random& random, const Model& model, std::size_t count)
      : model_(model), seed_(random()) {
    for (std::size_t i = 0; i < count; ++i) {
      sequences.push_back(pages.sequence(count > 30 ? 32 : 80));
      // Ends all over a page.
      prompt_.push_back(random_ids(random, model, 1 + random() % 20));
    }
  }

  /// The prompts, in one step.
  Batch prompts() {
    BatchBuilder builder;
    rows.clear();
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      const auto first = builder.append(sequences[i], prompt_[i]);
      rows.push_back(first + static_cast<std::uint32_t>(prompt_[i].size()) - 1);
    }
    return std::move(builder.batch);
  }
  /// A row for each text that is left: of these tokens, or of what plan i chooses.
  Batch next(const std::vector<RowResult>* known) {
    BatchBuilder builder;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      builder.append(sequences[i],
                     std::vector<TokenId>{known != nullptr ? (*known)[i].sampled.token : kNoToken});
      if (known == nullptr) builder.batch.rows.back().chosen = static_cast<std::uint32_t>(i);
    }
    rows.resize(sequences.size());
    std::iota(rows.begin(), rows.end(), 0U);
    return std::move(builder.batch);
  }
  /// Of each text one: greedy or not, under no mask, a wide one, a few tokens or one alone.
  std::vector<RowPlan> plans(int step) const {
    Random random(seed_ + static_cast<std::uint64_t>(step));
    std::vector<RowPlan> out(sequences.size());
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i].row = rows[i];
      out[i].sampling = random() % 2 == 0 ? &kGreedy : &kWarm;
      out[i].key = RandomKey(i);
      out[i].counter = static_cast<std::uint64_t>(step);
      const auto kind = random() % 5;
      if (kind < 2) continue;
      std::vector<std::uint64_t> words((model_.shape().vocabulary + 63) / 64);
      for (std::size_t n = kind == 2 ? 1 : kind == 3 ? 3 : model_.shape().vocabulary; n > 0; --n) {
        const auto id = random() % model_.shape().vocabulary;
        words[id / 64] |= std::uint64_t{1} << (id % 64);
      }
      out[i].mask = std::make_shared<const grammar::Mask>(std::move(words));
    }
    return out;
  }

  std::vector<Sequence> sequences;
  std::vector<std::uint32_t> rows;  // of the step that was made last

 private:
  const Model& model_;
  std::uint64_t seed_;
  std::vector<std::vector<TokenId>> prompt_;
};

inline void expect_same(const std::vector<RowResult>& actual,
                        const std::vector<RowResult>& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(actual[i].sampled.token, expected[i].sampled.token) << i;
    EXPECT_EQ(actual[i].sampled.probability, expected[i].sampled.probability) << i;
  }
}

// `steps` steps behind the prompts: on the device each but the first is begun beside the end of the
// one before, on the CPU they come one at a time.
inline void run_ahead(const std::shared_ptr<const Model>& model, std::uint64_t seed,
                      std::size_t count, int steps, const CudaOptions& options = {}) {
  ASSERT_NE(model, nullptr);
  Random random(seed);
  set_order(seed);
  Twins twins(model, options);
  ASSERT_TRUE(twins);
  Backend& device = *twins.device.backend;
  Texts there(twins.cpu, random, *model, count);
  Texts here = there;
  int begun = 0;
  Batch batch = there.prompts();
  ASSERT_TRUE(device.begin(batch, there.rows).has_value());
  std::vector<RowResult> before;
  for (int step = 0; step < steps; ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    // The plans of this one are made only now, while it runs.
    const std::vector<RowPlan> plans = there.plans(step);
    for (const RowPlan& plan : plans) EXPECT_TRUE(device.chooses_ahead(plan));
    const std::vector<Sequence> lengths = there.sequences;
    Batch following = there.next(nullptr);
    NextStep next{&following, there.rows};
    const auto actual = device.finish_and_begin(plans, next);
    ASSERT_TRUE(actual.has_value()) << actual.error().message;
    const auto expected =
        run_step(*twins.cpu.backend, step == 0 ? here.prompts() : here.next(&before), plans);
    ASSERT_TRUE(expected.has_value()) << expected.error().message;
    ASSERT_NO_FATAL_FAILURE(expect_same(*actual, *expected));
    before = *expected;
    begun += next.begun ? 1 : 0;
    if (!next.begun) {
      // All masks had one token, so that nothing was chosen there.
      there.sequences = lengths;
      following = there.next(&before);
      ASSERT_TRUE(device.begin(following, there.rows).has_value());
    }
    batch = std::move(following);
  }
  EXPECT_GE(begun, steps * 2 / 3);
  const auto last = device.finish({});
  ASSERT_TRUE(last.has_value()) << last.error().message;
  ASSERT_TRUE(run_step(*twins.cpu.backend, here.next(&before), {}).has_value());
  for (const Sequence& sequence : here.sequences) {
    for (const PageId page : sequence.pages) twins.expect_same_page(page);
  }
  set_order(0);
}

/// Begins steps beside others and gives each up but the last for a whole one, of which the one of
/// round `longer` is longer, so that what it grows is what the given up step reads. `under_way`,
/// two, outlives the backend.
inline void give_up_steps(Twins& twins, std::vector<Batch>& under_way, Random& random,
                          const Model& model, int rounds, int longer) {
  Backend& device = *twins.device.backend;
  for (int round = 0; round < rounds; ++round) {
    Texts texts(twins.cpu, random, model, 3);
    under_way[0] = texts.prompts();
    ASSERT_TRUE(device.begin(under_way[0], texts.rows).has_value());
    auto plans = texts.plans(round);
    plans[0].mask = nullptr;
    under_way[1] = texts.next(nullptr);
    NextStep next{&under_way[1], texts.rows};
    ASSERT_TRUE(device.finish_and_begin(plans, next).has_value());
    EXPECT_TRUE(next.begun);
    if (round == rounds - 1) break;
    Sequence sequence = twins.cpu.sequence(100);
    BatchBuilder builder;
    const auto first =
        builder.append(sequence, random_ids(random, model, round == longer ? 90 : 4));
    ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, {first + 1, first + 3}));
    for (const PageId page : sequence.pages) twins.expect_same_page(page);
    twins.cpu.next_page = 0;
  }
}

}  // namespace espalier::runtime::cuda
