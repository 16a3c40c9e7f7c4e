// Several devices begin steps before the ids of the one before are known: ranks that share layers,
// stages, both; the same ids, probabilities and pages as one at a time on the CPU, and what fails.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/engine/engine.h"
#include "tests/runtime/cuda/ahead_texts.h"
#include "tests/runtime/cuda/twins.h"

namespace espalier::runtime::cuda {
namespace {

std::shared_ptr<const Model> model_of_four_heads(bool tied = true) {
  return four_layers(TensorType::kQ4_0, 4, tied);
}

TEST(StepsAheadOnSeveralDevices, GiveTheIdsAndPagesOfOneAtATime) {
  const auto model = model_of_four_heads();
  std::uint64_t seed = 40;
  for (const auto& [stages, tensor] : {std::pair(1U, 2U), std::pair(1U, 4U), std::pair(2U, 1U),
                                       std::pair(4U, 1U), std::pair(2U, 2U)}) {
    for (const std::size_t count : {1, 5}) {
      // Of many ranks one text, of two several.
      if (!in_full() && (count == 1) != (stages * tensor > 2)) continue;
      SCOPED_TRACE(std::to_string(stages) + " stages of " + std::to_string(tensor) + ", " +
                   std::to_string(count) + " texts");
      ASSERT_NO_FATAL_FAILURE(run_ahead(model, seed++, count, 12, ranks(stages, tensor)));
    }
  }
  // More rows than logits exist at a time; embeddings beside a head of its own; parts that are not
  // even.
  ASSERT_NO_FATAL_FAILURE(run_ahead(model, seed++, 70, 4, ranks(2, 2)));
  ASSERT_NO_FATAL_FAILURE(run_ahead(model_of_four_heads(false), seed++, 3, 12, ranks(2, 2)));
  ASSERT_NO_FATAL_FAILURE(run_ahead(model, seed++, 3, 12, ranks(1, 3)));
}

#ifdef ESPALIER_HOST_CUDA

TEST(StepsAheadOnSeveralDevices, SayUnderAnEngineWhatOneAtATimeSays) {
  const auto model = model_of_four_heads();
  std::vector<std::vector<TokenId>> said;
  for (const CudaOptions& options :
       {CudaOptions{.layers = 3}, ranks(1, 2), ranks(2, 1), ranks(2, 2)}) {
    auto made = Twins::made(model, options);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    EngineOptions asked;
    asked.draft = false;
    asked.check = asked.poison = true;
    auto engine = Engine::create(std::move(*made), asked, real_system());
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    Branch branch = (*engine)->open();
    branch.append(std::vector<TokenId>{5, 6, 7});
    GenerateRequest request;
    request.max_tokens = 30;
    request.sampling.temperature = 0.8F;
    request.key = RandomKey(3);
    const auto answer = branch.generate_now(std::move(request));
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    said.push_back(answer->ids);
    EXPECT_EQ(said.back(), said.front());
    EXPECT_EQ((*engine)->stats().steps_ahead > 20, options.layers == 0);
  }
}

// Memory that lacks for the next step, on whichever device, costs this one nothing; what lacks for
// this one's answers fails it, and then the next has not begun.
TEST(StepsAheadOnSeveralDevices, ThatLackMemoryCostTheStepBeforeNothing) {
  const auto model = model_of_four_heads();
  Random random(6);
  int refused = 0, failed = 0, begun = 0;
  for (const CudaOptions& options : {ranks(1, 2), ranks(2, 1), ranks(2, 2)}) {
    for (unsigned n = 1; n < 24; n += in_full() ? 2 : 3) {
      SCOPED_TRACE(n);
      Twins twins(model, options);
      ASSERT_TRUE(twins);
      Backend& device = *twins.device.backend;
      Texts there(twins.cpu, random, *model, 3);
      Texts here = there;
      const Batch first = there.prompts();
      ASSERT_TRUE(device.begin(first, there.rows).has_value());
      auto plans = there.plans(0);
      plans[0].mask = nullptr;
      const std::vector<Sequence> before = there.sequences;
      Batch second = there.next(nullptr);
      NextStep next{&second, there.rows};
      host_cuda::fail_next_malloc(n);
      const auto actual = device.finish_and_begin(plans, next);
      host_cuda::reset_device();
      const auto expected = run_step(*twins.cpu.backend, here.prompts(), plans);
      if (!actual) {
        ++failed;
        EXPECT_EQ(actual.error().code, ErrorCode::kExhausted) << actual.error().message;
        EXPECT_FALSE(next.begun);
        EXPECT_FALSE(device.lost());
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
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_GT(failed, 0);
  EXPECT_GT(begun, 0);
}

// One of several devices that is lost with two steps under way: an error of both, and nobody waits
// for ever.
TEST(StepsAheadOnSeveralDevices, EndWithTheErrorOfADeviceThatIsLost) {
  const auto model = model_of_four_heads();
  Random random(4);
  int first_half = 0, second_half = 0;
  for (const auto& [stages, tensor] : {std::pair(1U, 2U), std::pair(2U, 1U), std::pair(2U, 2U)}) {
    for (const int number : {0, 1}) {
      const unsigned apart = in_full() ? 1 : 2;
      for (unsigned calls = 0; calls < 200; calls += (calls < 40 ? 9 : 31) * apart) {
        SCOPED_TRACE(std::to_string(stages) + " stages of " + std::to_string(tensor) + ", device " +
                     std::to_string(number) + " after " + std::to_string(calls));
        host_cuda::reset_device();
        host_cuda::set_devices(4);
        CudaOptions options = ranks(stages, tensor);
        for (std::size_t i = 0; i < options.devices.size(); ++i) {
          options.devices[i] = static_cast<int>(i);
        }
        Rig rig(Twins::made(model, options));
        ASSERT_TRUE(rig);
        Texts texts(rig, random, *model, 2);
        const Batch first = texts.prompts();
        ASSERT_TRUE(rig.backend->begin(first, texts.rows).has_value());
        auto plans = texts.plans(0);
        plans[0].mask = nullptr;
        const Batch second = texts.next(nullptr);
        NextStep next{&second, texts.rows};
        host_cuda::lose_device_after(calls, cudaErrorLaunchFailure, number);
        const auto chosen = rig.backend->finish_and_begin(plans, next);
        host_cuda::lose_device_after(0, cudaErrorLaunchFailure, number);
        Result<std::vector<RowResult>> last = std::vector<RowResult>();
        if (!chosen) {
          ++first_half;
          EXPECT_FALSE(next.begun);
          last = fail(chosen.error());
        } else if (next.begun) {
          ++second_half;
          last = rig.backend->finish(texts.plans(1));
        } else {
          last = run_step(*rig.backend, texts.next(&*chosen), texts.plans(1));
        }
        ASSERT_FALSE(last.has_value());
        EXPECT_EQ(last.error().code, ErrorCode::kInternal) << last.error().message;
        EXPECT_NE(last.error().message.find("CUDA: "), std::string::npos) << last.error().message;
        EXPECT_TRUE(rig.backend->lost());
      }
    }
  }
  EXPECT_GT(first_half, 0);
  EXPECT_GT(second_half, 0);
  host_cuda::reset_device();
}

// A step that was begun so and never ends: the next one is whole, and nothing stays behind.
TEST(StepsAheadOnSeveralDevices, ThatNeverEndLeaveNothingBehind) {
  const auto model = model_of_four_heads();
  Random random(9);
  const std::size_t held = host_cuda::allocated_bytes();
  for (const CudaOptions& options : {ranks(1, 2), ranks(2, 2)}) {
    std::vector<Batch> under_way(2);
    Twins twins(model, options);
    ASSERT_TRUE(twins);
    ASSERT_NO_FATAL_FAILURE(give_up_steps(twins, under_way, random, *model, 4, 1));
  }
  EXPECT_EQ(host_cuda::allocated_bytes(), held);
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
