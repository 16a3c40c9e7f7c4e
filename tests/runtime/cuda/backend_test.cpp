// The law between backends: a step's answers and pages are the same bits on a CUDA device and on
// the CPU.
#include "runtime/cuda/cuda_backend.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"

namespace espalier::runtime::cuda {
namespace {

using espalier::testing::TinyLlama;

class EveryType : public ::testing::TestWithParam<TensorType> {};

TEST_P(EveryType, HasTheSameBitsOnADeviceAsOnTheCpu) {
  TinyLlama description;
  description.matrix_type = static_cast<std::uint32_t>(GetParam());
  if (tensor_traits(GetParam())->block_weights == 256) {
    description.width = 256;
    description.feed_forward = 256;
  }
  description.tied = GetParam() != TensorType::kQ4_1;
  description.context = 700;
  description.kv_heads = GetParam() == TensorType::kQ8_0 ? 4 : 2;
  description.window = GetParam() == TensorType::kF16 ? 33 : 0;
  const auto model = load_bytes(description.writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  // Types that many models have see several segments.
  const std::size_t prompt =
      GetParam() == TensorType::kQ4_0 || GetParam() == TensorType::kF16 ? 300 : 45;
  run_branches(model, static_cast<std::uint64_t>(GetParam()), prompt);
#ifdef ESPALIER_HOST_CUDA
  // The same with a kernel a stage where layers would be one.
  host_cuda::set_together(false);
  run_branches(model, static_cast<std::uint64_t>(GetParam()), prompt);
  host_cuda::reset_device();
#endif
}

INSTANTIATE_TEST_SUITE_P(Types, EveryType,
                         ::testing::ValuesIn(tensor_types().begin(), tensor_types().end()),
                         [](const auto& named) {
                           return std::string(tensor_traits(named.param)->name);
                         });

// Greedy and tempered choices, with and without masks, filtered ones and reports among them.
TEST(ChoiceOfABackend, IsTheSameOnADeviceAsOnTheCpu) {
  TinyLlama description;
  description.matrix_type = static_cast<std::uint32_t>(TensorType::kQ4_0);
  const auto model = load_bytes(description.writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  const std::uint32_t vocabulary = model->shape().vocabulary;
  Random random(11);
  Twins twins(model);
  ASSERT_TRUE(twins);
  std::vector<grammar::MaskRef> masks{nullptr};
  for (int i = 0; i < 5; ++i) {
    std::vector<std::uint64_t> words((vocabulary + 63) / 64);
    for (std::uint32_t id = 0; id < vocabulary; ++id) {
      if (id == 7U || random() % (i == 0 ? 200 : 3) == 0) words[id / 64] |= 1ULL << (id % 64);
    }
    masks.push_back(std::make_shared<grammar::Mask>(std::move(words)));
  }
  for (int step = 0; step < 24; ++step) {
    SCOPED_TRACE(step);
    Sequence sequence = twins.cpu.sequence(8);
    BatchBuilder builder;
    const auto ids = random_ids(random, *model, 6);
    builder.append(sequence, ids);
    std::vector<Sampling> samplings(8);
    std::vector<RowPlan> plans(8);
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (random() % 2 == 0) samplings[i].temperature = 0.25F * static_cast<float>(random() % 9);
      // Some steps have choices that only the host makes.
      if (step % 3 == 0 && random() % 4 == 0) samplings[i].top_k = 3;
      plans[i].row = static_cast<std::uint32_t>(random() % ids.size());
      plans[i].sampling = &samplings[i];
      plans[i].mask = masks[random() % masks.size()];
      plans[i].key = RandomKey(random());
      plans[i].counter = random();
      if (step % 4 == 1) plans[i].count = 2;
    }
    const auto expected = run_step(*twins.cpu.backend, builder.batch, plans);
    const auto actual = run_step(*twins.device.backend, builder.batch, plans);
    ASSERT_TRUE(expected && actual);
    for (std::size_t i = 0; i < plans.size(); ++i) {
      EXPECT_EQ((*expected)[i].sampled.token, (*actual)[i].sampled.token) << i;
      EXPECT_EQ((*expected)[i].sampled.probability, (*actual)[i].sampled.probability) << i;
      EXPECT_EQ((*expected)[i].best, (*actual)[i].best) << i;
    }
    twins.cpu.next_page -= static_cast<PageId>(sequence.pages.size());
  }
}

// Decode steps, which are recorded and then replayed; a chunk between them moves the memory that
// recordings name.
void run_steps_that_come_again() {
  TinyLlama description;
  description.matrix_type = static_cast<std::uint32_t>(TensorType::kQ4_0);
  description.context = 700;
  const auto model = load_bytes(description.writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  Random random(5);
  set_order(3);
  Twins twins(model);
  ASSERT_TRUE(twins);
#ifdef ESPALIER_HOST_CUDA
  const std::uint64_t replayed = host_cuda::graph_launches();
#endif
  std::vector<Sequence> branches;
  for (int i = 0; i < 3; ++i) branches.push_back(twins.cpu.sequence(400));
  for (int step = 0; step < 16; ++step) {
    SCOPED_TRACE(step);
    BatchBuilder builder;
    std::vector<std::uint32_t> rows;
    for (Sequence& branch : branches) {
      const std::size_t count = step == 0 ? 5 : step == 8 ? 100 : 1;
      const auto first = builder.append(branch, random_ids(random, *model, count));
      rows.push_back(first + static_cast<std::uint32_t>(count) - 1);
    }
    ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, rows));
  }
#ifdef ESPALIER_HOST_CUDA
  EXPECT_GT(host_cuda::graph_launches(), replayed + 8);
#endif
  set_order(0);
}

TEST(StepsThatComeAgain, HaveTheSameBitsOnADeviceAsOnTheCpu) {
  run_steps_that_come_again();
#ifdef ESPALIER_HOST_CUDA
  host_cuda::set_together(false);
  run_steps_that_come_again();
  host_cuda::reset_device();
#endif
}

#ifdef ESPALIER_HOST_CUDA

TEST(CudaBackendErrors, NameWhatIsMissingAndLeaveNothing) {
  const auto model = load_bytes(TinyLlama().writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  const auto refused = [&](const CudaOptions& options) {
    auto made = CudaBackend::create(model, options, real_system());
    return made ? Error{ErrorCode::kInternal, "made"} : made.error();
  };
  host_cuda::set_devices(0, cudaErrorInsufficientDriver);
  EXPECT_EQ(refused({}).code, ErrorCode::kUnsupported);
  EXPECT_NE(refused({}).message.find("older than this build's CUDA"), std::string::npos);
  host_cuda::set_devices(0, cudaErrorNoDevice);
  EXPECT_EQ(refused({}).code, ErrorCode::kUnsupported);
  host_cuda::reset_device();
  EXPECT_EQ(refused({.devices = {7}}).code, ErrorCode::kUnsupported);
  EXPECT_EQ(refused({.kv_bytes = 100}).code, ErrorCode::kLimit);
  EXPECT_EQ(refused({.threads = 1000}).code, ErrorCode::kInvalid);
  for (unsigned n = 1; n < 5; ++n) {
    host_cuda::fail_next_malloc(n);
    const Error error = refused({.kv_bytes = pool_bytes(*model)});
    EXPECT_EQ(error.code, ErrorCode::kExhausted) << n << ": " << error.message;
    host_cuda::reset_device();
  }
}

// Memory that runs out in the middle of a run fails that step; the next one is whole.
TEST(CudaBackendErrors, AStepThatLacksMemoryFailsAlone) {
  const auto model = load_bytes(TinyLlama().writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  Twins twins(model);
  ASSERT_TRUE(twins);
  Random random(3);
  Sequence sequence = twins.cpu.sequence(40);
  const auto ids = random_ids(random, *model, 20);
  for (unsigned n = 1; n < 5; ++n) {
    Sequence lost = sequence;
    BatchBuilder builder;
    builder.append(lost, ids);
    host_cuda::fail_next_malloc(n);
    const auto failed = run_step(*twins.device.backend, builder.batch, {});
    ASSERT_FALSE(failed) << n;
    EXPECT_EQ(failed.error().code, ErrorCode::kExhausted) << failed.error().message;
    EXPECT_NE(failed.error().message.find("MiB"), std::string::npos) << failed.error().message;
    EXPECT_FALSE(twins.device.backend->lost());
  }
  host_cuda::reset_device();
  BatchBuilder builder;
  const auto first = builder.append(sequence, ids);
  twins.step(builder.batch, {first + 19});
}

// A lost device answers every call with an error: so do the steps, wherever it goes.
TEST(CudaBackendErrors, ALostDeviceFailsTheStepsAndNothingElse) {
  const auto model = load_bytes(TinyLlama().writer().finish().bytes);
  ASSERT_NE(model, nullptr);
  Random random(4);
  for (const unsigned calls : {0U, 1U, 3U, 10U, 25U, 60U}) {
    host_cuda::reset_device();
    Rig rig(
        CudaBackend::create(model, {.threads = 1, .kv_bytes = pool_bytes(*model)}, real_system()));
    ASSERT_TRUE(rig);
    ASSERT_NO_FATAL_FAILURE(expect_the_loss_is_said(rig, *model, random, calls));
    EXPECT_TRUE(rig.backend->lost());
    std::vector<std::byte> page(rig.backend->info().page_bytes);
    rig.backend->export_page(0, page);  // survives, whatever it reads
  }
  host_cuda::reset_device();
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
