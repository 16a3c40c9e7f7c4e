// Steps that are begun before the ids of the one before are known: the same ids, probabilities and
// pages as one at a time; failures, and steps that never end, with two under way.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/runtime/cuda/ahead_texts.h"
#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {
namespace {

TEST(StepsBesideTheEndOfOthers, GiveTheIdsAndPagesOfOneAtATime) {
  std::uint64_t seed = 0;
  for (const TensorType type : {TensorType::kQ4_0, TensorType::kQ8_0, TensorType::kBF16}) {
    for (const std::size_t count : {1, 3, 12}) {
      // Of other types than the first one number of texts.
      if (!in_full() && type != TensorType::kQ4_0 && count != 3) continue;
      SCOPED_TRACE(std::string(tensor_traits(type)->name) + ", " + std::to_string(count));
      ASSERT_NO_FATAL_FAILURE(run_ahead(four_layers(type), seed++, count, in_full() ? 30 : 22));
    }
  }
  // More rows than logits exist at a time.
  ASSERT_NO_FATAL_FAILURE(run_ahead(four_layers(), seed++, 70, 6));
  // Embeddings beside a head of its own; pages in 8 bits.
  ASSERT_NO_FATAL_FAILURE(
      run_ahead(four_layers(TensorType::kQ4_0, 2, false), seed++, 3, 30, {.kv_type = KvType::kQ8}));
#ifdef ESPALIER_HOST_CUDA
  // A kernel a stage where layers would be one.
  host_cuda::set_together(false);
  for (int i = 0; i < (in_full() ? 3 : 1); ++i) {
    ASSERT_NO_FATAL_FAILURE(run_ahead(four_layers(), seed++, 5, 30));
  }
  host_cuda::reset_device();
#endif
}

// Two plans of one row, and texts that end: rows of the next step name some of the plans.
TEST(StepsBesideTheEndOfOthers, MayNameAnyPlan) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  Random random(5);
  Twins twins(model);
  ASSERT_TRUE(twins);
  Sequence prompt = twins.cpu.sequence(32);
  BatchBuilder first;
  first.append(prompt, random_ids(random, *model, 16));
  std::vector<RowPlan> plans(6);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    plans[i].row = i < 4 ? 15 : 9;
    plans[i].sampling = &kWarm;
    plans[i].key = RandomKey(i);
  }
  BatchBuilder second;
  std::vector<Sequence> forks;
  const std::vector<std::uint32_t> named{4, 3, 0, 1};
  for (const std::uint32_t plan : named) {
    Sequence& fork = forks.emplace_back(twins.cpu.sequence(16));
    fork.pages.insert(fork.pages.begin(), prompt.pages[0]);
    fork.length = 16;
    second.append(fork, std::vector<TokenId>{kNoToken});
    second.batch.rows.back().chosen = plan;
  }
  const std::vector<std::uint32_t> wanted{0, 2, 3};
  Backend& device = *twins.device.backend;
  ASSERT_TRUE(device.begin(first.batch, std::vector<std::uint32_t>{9, 11, 15}).has_value());
  NextStep next{&second.batch, wanted};
  const auto chosen = device.finish_and_begin(plans, next);
  ASSERT_TRUE(chosen.has_value()) << chosen.error().message;
  ASSERT_TRUE(next.begun);
  const auto expected = run_step(*twins.cpu.backend, first.batch, plans);
  ASSERT_NO_FATAL_FAILURE(expect_same(*chosen, *expected));
  // Of two of the rows nothing is wanted after all.
  std::vector<RowPlan> then(2);
  then[0].row = 3;
  then[1].row = 0;
  for (RowPlan& plan : then) plan.sampling = &kGreedy;
  const auto actual = device.finish(then);
  ASSERT_TRUE(actual.has_value()) << actual.error().message;
  for (std::size_t i = 0; i < named.size(); ++i) {
    second.batch.rows[i].token = (*expected)[named[i]].sampled.token;
    second.batch.rows[i].chosen = Row::kKnown;
  }
  ASSERT_NO_FATAL_FAILURE(expect_same(*actual, *run_step(*twins.cpu.backend, second.batch, then)));
  for (const Sequence& fork : forks) twins.expect_same_page(fork.pages[1]);
}

// Choices of the host wait for their answers, and so does a step that is larger than those before.
TEST(StepsBesideTheEndOfOthers, AreNotBegunWhereTheHostHasToKnow) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  Random random(6);
  Sampling filtered = kWarm;
  filtered.top_k = 3;
  for (const bool larger : {false, true}) {
    Twins twins(model);
    ASSERT_TRUE(twins);
    Backend& device = *twins.device.backend;
    Sequence sequence = twins.cpu.sequence(120);
    BatchBuilder first;
    first.append(sequence, random_ids(random, *model, 5));
    std::vector<RowPlan> plans(2);
    plans[0].row = 0;
    plans[1].row = 1;
    plans[0].sampling = &kWarm;
    plans[1].sampling = larger ? &kGreedy : &filtered;
    EXPECT_EQ(device.chooses_ahead(plans[1]), larger);
    BatchBuilder second;
    const std::vector<std::uint32_t> wanted{0, 1, 2};
    for (int i = 0; i < (larger ? 3 : 1); ++i) {
      Sequence other = twins.cpu.sequence(16);
      second.append(other, std::vector<TokenId>{kNoToken});
      second.batch.rows.back().chosen = 0;
    }
    ASSERT_TRUE(device.begin(first.batch, std::vector<std::uint32_t>{0, 1}).has_value());
    NextStep next{&second.batch, std::span(wanted).first(second.batch.rows.size())};
    const auto actual = device.finish_and_begin(plans, next);
    ASSERT_TRUE(actual.has_value()) << actual.error().message;
    EXPECT_FALSE(next.begun);
    ASSERT_NO_FATAL_FAILURE(
        expect_same(*actual, *run_step(*twins.cpu.backend, first.batch, plans)));
  }
  // Layers on the CPU begin with ids that the host has.
  RowPlan plan;
  plan.sampling = &kGreedy;
  for (const CudaOptions& options : {CudaOptions{.layers = 3}, ranks(1, 2, 3), ranks(2, 1, 3)}) {
    Rig rig(Twins::made(four_layers(TensorType::kQ4_0, 4), options));
    ASSERT_TRUE(rig);
    EXPECT_FALSE(rig.backend->chooses_ahead(plan));
  }
}

// What is done to pages beside a step that was begun so comes behind it.
TEST(StepsBesideTheEndOfOthers, AreBeforeWhatIsDoneToPagesThen) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  Random random(8);
  Twins twins(model);
  ASSERT_TRUE(twins);
  Backend& device = *twins.device.backend;
  for (int round = 0; round < 4; ++round) {
    Texts there(twins.cpu, random, *model, 2);
    Texts here = there;
    const Batch first = there.prompts();
    ASSERT_TRUE(device.begin(first, there.rows).has_value());
    const auto plans = there.plans(0);
    const Batch second = there.next(nullptr);
    NextStep next{&second, there.rows};
    const auto chosen = device.finish_and_begin(plans, next);
    ASSERT_TRUE(chosen.has_value()) << chosen.error().message;
    ASSERT_TRUE(run_step(*twins.cpu.backend, here.prompts(), plans).has_value());
    if (!next.begun) continue;
    // The first text has ended: its page goes while the row for nothing still runs, and another's
    // comes there.
    const PageId gone = there.sequences[0].pages[(there.sequences[0].length - 1) / kPageTokens];
    std::vector<std::byte> bytes(device.info().page_bytes, std::byte{0x11});
    if (round % 2 == 0) {
      device.poison(gone);
      twins.cpu.backend->poison(gone);
    } else {
      device.import_page(gone, bytes);
    }
    std::vector<RowPlan> then(1);
    then[0].row = 1;
    then[0].sampling = &kGreedy;
    const auto actual = device.finish(then);
    ASSERT_TRUE(actual.has_value()) << actual.error().message;
    Batch same = here.next(&*chosen);
    const auto expected = run_step(*twins.cpu.backend, same, then);
    ASSERT_NO_FATAL_FAILURE(expect_same(*actual, *expected));
    std::vector<std::byte> out(bytes.size());
    device.export_page(gone, out);
    if (round % 2 == 0) {
      twins.cpu.backend->poison(gone);
      twins.expect_same_page(gone);
    } else {
      EXPECT_TRUE(out == bytes);
    }
  }
}

#ifdef ESPALIER_HOST_CUDA

// What was recorded of steps one at a time is replayed for those that are begun ahead.
TEST(StepsBesideTheEndOfOthers, AreReplayedAsOthersAre) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  Random random(11);
  Twins twins(model);
  ASSERT_TRUE(twins);
  Backend& device = *twins.device.backend;
  Sequence sequence = twins.cpu.sequence(60);
  const std::vector<std::uint32_t> wanted{0};
  RowPlan plan;
  plan.sampling = &kGreedy;
  Batch batches[2];
  for (int step = 0; step < 8; ++step) {
    BatchBuilder builder;
    builder.append(sequence, std::vector<TokenId>{5});
    Batch& batch = batches[step % 2];
    batch = std::move(builder.batch);
    const std::uint64_t before = host_cuda::graph_launches();
    if (step <= 4) {
      ASSERT_TRUE(device.begin(batch, wanted).has_value());
      if (step < 4) {
        ASSERT_TRUE(device.finish(std::span(&plan, 1)).has_value());
      }
      // Layers, and the head where there is one.
      if (step == 3) {
        EXPECT_EQ(host_cuda::graph_launches(), before + 2);
      }
      continue;
    }
    batch.rows[0].chosen = 0;
    NextStep next{&batch, wanted};
    ASSERT_TRUE(device.finish_and_begin(std::span(&plan, 1), next).has_value());
    EXPECT_TRUE(next.begun);
    EXPECT_EQ(host_cuda::graph_launches(), before + 2);
  }
  ASSERT_TRUE(device.finish({}).has_value());
}

// Whoever gives one up: the next step is whole, nothing stays, and the backend can go.
TEST(AStepThatWasBegunBesideAnother, AndNeverEndsLeavesNothingBehind) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  Random random(9);
  set_order(7);
  const std::size_t held = host_cuda::allocated_bytes();
  {
    std::vector<Batch> under_way(2);
    Twins twins(model);
    ASSERT_TRUE(twins);
    ASSERT_NO_FATAL_FAILURE(give_up_steps(twins, under_way, random, *model, 6, 3));
  }
  EXPECT_EQ(host_cuda::allocated_bytes(), held);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  set_order(0);
}

// Memory that lacks for the next step costs this one nothing; what lacks for this one's answers
// fails it, and then the next has not begun.
TEST(MemoryThatLacks, WithTwoStepsUnderWayFailsWhatLacksIt) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  Random random(6);
  int refused = 0, failed = 0, begun = 0;
  for (unsigned n = 1; n < 12; ++n) {
    for (const bool pinned : {false, true}) {
      Twins twins(model);
      ASSERT_TRUE(twins);
      Backend& device = *twins.device.backend;
      Texts there(twins.cpu, random, *model, 3);
      Texts here = there;
      // One row goes first, so that the others' step needs more than there is.
      const Batch first = there.prompts();
      ASSERT_TRUE(device.begin(first, there.rows).has_value());
      auto plans = there.plans(0);
      plans[0].mask = nullptr;
      const std::vector<Sequence> before = there.sequences;
      Batch second = there.next(nullptr);
      NextStep next{&second, there.rows};
      if (pinned) {
        host_cuda::fail_next_malloc_host(n);
      } else {
        host_cuda::fail_next_malloc(n);
      }
      const auto actual = device.finish_and_begin(plans, next);
      host_cuda::reset_device();
      const auto expected = run_step(*twins.cpu.backend, here.prompts(), plans);
      if (!actual) {
        ++failed;
        EXPECT_EQ(actual.error().code, ErrorCode::kExhausted) << actual.error().message;
        EXPECT_FALSE(next.begun);
        Texts again = here;
        for (Sequence& it : again.sequences) it.length = 0;
        const Batch repeated = again.prompts();
        const auto whole = run_step(device, repeated, plans);
        ASSERT_TRUE(whole.has_value()) << whole.error().message;
        ASSERT_NO_FATAL_FAILURE(expect_same(*whole, *expected));
        continue;
      }
      ASSERT_NO_FATAL_FAILURE(expect_same(*actual, *expected));
      ++(next.begun ? begun : refused);
      if (!next.begun) {
        there.sequences = before;
        second = there.next(&*expected);
        ASSERT_TRUE(device.begin(second, there.rows).has_value());
      }
      const auto then = there.plans(1);
      const auto last = device.finish(then);
      ASSERT_TRUE(last.has_value()) << last.error().message;
      ASSERT_NO_FATAL_FAILURE(
          expect_same(*last, *run_step(*twins.cpu.backend, here.next(&*expected), then)));
      for (const Sequence& sequence : here.sequences) {
        for (const PageId page : sequence.pages) twins.expect_same_page(page);
      }
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(failed, 0);
  EXPECT_GT(begun, 0);
}

// A device that is lost with two steps under way: one of their halves says so, and so does all that
// follows.
TEST(ADeviceThatIsLost, WithTwoStepsUnderWayIsAnErrorOfBoth) {
  const auto model = four_layers();
  ASSERT_NE(model, nullptr);
  Random random(4);
  int first_half = 0, second_half = 0;
  for (unsigned calls = 0; calls < 120; calls += calls < 60 ? 3 : 9) {
    SCOPED_TRACE(calls);
    host_cuda::reset_device();
    Rig rig(Twins::made(model, {}));
    ASSERT_TRUE(rig);
    const auto expect_lost = [](const Error& error) {
      EXPECT_EQ(error.code, ErrorCode::kInternal) << error.message;
      EXPECT_NE(error.message.find("CUDA: "), std::string::npos) << error.message;
    };
    Texts texts(rig, random, *model, 2);
    const Batch first = texts.prompts();
    ASSERT_TRUE(rig.backend->begin(first, texts.rows).has_value());
    auto plans = texts.plans(0);
    plans[0].mask = nullptr;
    const Batch second = texts.next(nullptr);
    NextStep next{&second, texts.rows};
    host_cuda::lose_device_after(calls);
    const auto chosen = rig.backend->finish_and_begin(plans, next);
    if (!chosen) {
      ++first_half;
      expect_lost(chosen.error());
      EXPECT_FALSE(next.begun);
    } else if (next.begun) {
      host_cuda::lose_device_after(0);
      const auto last = rig.backend->finish(texts.plans(1));
      ASSERT_FALSE(last.has_value());
      ++second_half;
      expect_lost(last.error());
    }
    host_cuda::lose_device_after(0);
    Sequence sequence = rig.sequence(16);
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, *model, 2));
    RowPlan plan;
    plan.sampling = &kGreedy;
    const auto after = run_step(*rig.backend, builder.batch, std::span(&plan, 1));
    ASSERT_FALSE(after.has_value()) << "a lost device came back";
    expect_lost(after.error());
  }
  EXPECT_GT(first_half, 0);
  EXPECT_GT(second_half, 0);
  host_cuda::reset_device();
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
