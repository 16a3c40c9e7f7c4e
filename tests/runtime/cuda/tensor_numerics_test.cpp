// Numerics `tensor`: near the exact ones, never chosen silently, and their pages are their own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/tensor_products.h"
#include "runtime/device.h"
#include "runtime/engine/engine.h"
#include "tests/runtime/cuda/cublaslt.h"
#include "tests/runtime/cuda/near_exact.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/memory_system.h"

namespace espalier::runtime::cuda {
namespace {

using espalier::testing::MemorySystem;
using ::testing::HasSubstr;

CudaOptions tensor(std::uint32_t stages = 1, std::uint32_t ranks = 1, std::uint32_t layers = 0) {
  return under(Numerics::kTensor, stages, ranks, layers);
}

// How far log-probabilities may be from the exact ones, on models of random weights; about twice
// what they are.
double bound_of(TensorType type) { return type == TensorType::kF16 ? 0.01 : 0.06; }

class TensorNumerics : public ::testing::TestWithParam<TensorType> {};

TEST_P(TensorNumerics, AreNearTheExactOnes) {
  const auto model = four_layers(GetParam());
  ASSERT_NE(model, nullptr);
  set_order(5);
#ifdef ESPALIER_HOST_CUDA
  const int before = lt_use().products;
#endif
  const Farthest far = compare(model, tensor());
  set_order(0);
#ifdef ESPALIER_HOST_CUDA
  EXPECT_GT(lt_use().products, before);
#endif
  ASSERT_GT(far.count, 1000U);
  EXPECT_LT(far.most, bound_of(GetParam()));
  EXPECT_LT(far.sum / static_cast<double>(far.count), bound_of(GetParam()) / 4);
  EXPECT_GT(far.most, 0.0);  // else they are the exact ones
  RecordProperty("farthest", std::to_string(far.most));
}

TEST_P(TensorNumerics, AreNearTheExactOnesOnSeveralDevicesAndBehindLayersOnTheCpu) {
  const auto model = four_layers(GetParam(), 4);
  ASSERT_NE(model, nullptr);
  for (const CudaOptions& options : {tensor(1, 2), tensor(2, 1), tensor(2, 2, 3)}) {
    const Farthest far = compare(model, options);
    ASSERT_GT(far.count, 1000U);
    EXPECT_LT(far.most, bound_of(GetParam()));
    EXPECT_GT(far.most, 0.0);
  }
}

// Prompts long enough that their attention is on tensor cores, too, over K and V of either type.
TEST_P(TensorNumerics, OfLongPromptsAreNearTheExactOnes) {
  for (const KvType type : {KvType::kF16, KvType::kBF16}) {
    const Farthest far = compare_prompt(GetParam(), type, tensor());
    ASSERT_GT(far.count, 1000U);
    // Keys and values in bf16 round at other places where they are a little off.
    EXPECT_LT(far.most, std::max(bound_of(GetParam()), type == KvType::kBF16 ? 0.06 : 0.0));
    EXPECT_GT(far.most, 0.0);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, TensorNumerics,
                         ::testing::Values(TensorType::kF16, TensorType::kBF16),
                         [](const auto& named) {
                           return std::string(tensor_traits(named.param)->name);
                         });

// Steps of few rows, and weights that are not of 16 bits, are multiplied exactly.
TEST(TensorNumericsAreExact, WhereTensorCoresHaveNoPart) {
  const auto floats = four_layers(TensorType::kF32);
  const auto codes = four_layers(TensorType::kQ4_0);
  ASSERT_TRUE(floats != nullptr && codes != nullptr);
  run_branches(floats, 2, 60, tensor());
  run_branches(codes, 2, 60, tensor());
  const auto halves = four_layers(TensorType::kBF16);
  ASSERT_NE(halves, nullptr);
  Twins twins(halves, tensor());
  ASSERT_TRUE(twins);
  Random random(2);
  Sequence sequence = twins.cpu.sequence(32);
  for (int i = 0; i < 5; ++i) {
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, *halves, kLeastTensorRows - 1));
    twins.step(builder.batch, {0, kLeastTensorRows - 2});
  }
  twins.expect_same_page(sequence.pages[0]);
}

// Of quantised models a prompt's attention alone is on tensor cores, and over codes not even that.
TEST(TensorNumericsOfQuantisedModels, DifferInAttentionAlone) {
  const Farthest halves = compare_prompt(TensorType::kQ4_0, KvType::kF16, tensor());
  ASSERT_GT(halves.count, 1000U);
  EXPECT_GT(halves.most, 0.0);
  // Activations' codes change where they are a little off.
  EXPECT_LT(halves.most, 0.05);
  EXPECT_EQ(compare_prompt(TensorType::kQ4_0, KvType::kQ8, tensor()).most, 0.0);
}

// Recorded or not, in whatever order lanes run: a batch's bits are a function of the batch.
TEST(TensorNumericsOfEqualSteps, AreTheSameBits) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  Rig rig(Twins::made(model, tensor()));
  ASSERT_TRUE(rig);
  Random random(7);
  Sequence start = rig.sequence(64);
  rig.feed(start, random_ids(random, *model, 30));
  const auto ids = random_ids(random, *model, 9);
  std::vector<float> first;
  for (std::uint64_t i = 0; i < 5; ++i) {
    set_order(i);
    Sequence sequence = start;
    const auto said = rig.feed(sequence, ids);
    if (first.empty()) first = said;
    EXPECT_TRUE(same_bits(first, said)) << i;
  }
  set_order(0);
#ifdef ESPALIER_HOST_CUDA
  EXPECT_GT(host_cuda::graph_launches(), 0U);
#endif
}

// Choices under masks of few tokens and many: allowed, and as probable as exact ones are.
TEST(TensorNumericsUnderMasks, ChooseWhatIsAllowed) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  Random random(8);
  Twins twins(model, tensor());
  ASSERT_TRUE(twins);
  const std::uint32_t vocabulary = model->shape().vocabulary;
  for (const std::uint32_t rows : {2U, 6U, 40U}) {
    for (const std::uint32_t most : {4U, 40U, vocabulary}) {
      twins.choose_masked(random, *model, rows, most,
                          [](const auto& words, const auto& expected, const auto& actual) {
                            const auto id = static_cast<std::uint32_t>(actual.token);
                            EXPECT_NE(words[id / 64] >> id % 64 & 1U, 0U);
                            EXPECT_NEAR(expected.probability, actual.probability, 0.02);
                          });
    }
  }
}

// ---- under the engine

std::uint64_t pages_from_disk(const std::shared_ptr<const Model>& model, const CudaOptions& options,
                              System& disk) {
  EngineOptions on;
  on.max_rows = 64;
  on.check = true;
  on.kv_folder = "kv";
  on.model_digest = "tiny";
  auto backend = Twins::made(model, options);
  EXPECT_TRUE(backend.has_value());
  auto engine = Engine::create(std::move(*backend), on, disk);
  EXPECT_TRUE(engine.has_value());
  Branch branch = (*engine)->open();
  std::vector<TokenId> head;
  for (int i = 0; i < 100; ++i) head.push_back(static_cast<TokenId>(3 + i * 7 % 200));
  branch.append(head);
  GenerateRequest request;
  request.max_tokens = 3;
  EXPECT_TRUE(branch.generate_now(std::move(request)).has_value());
  return (*engine)->stats().disk_read_pages;
}

TEST(PagesOfNumerics, AreNeverTakenForThoseOfOthers) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  MemorySystem disk;
  EXPECT_EQ(pages_from_disk(model, {}, disk), 0U);
  EXPECT_EQ(pages_from_disk(model, tensor(), disk), 0U);
  EXPECT_GT(pages_from_disk(model, tensor(), disk), 0U);
  EXPECT_GT(pages_from_disk(model, {}, disk), 0U);
  for (const KvType type : {KvType::kF16, KvType::kBF16, KvType::kQ8}) {
    EXPECT_NE(cpu::KvPool::format(type, Numerics::kExact),
              cpu::KvPool::format(type, Numerics::kTensor));
  }
}

// ---- how they are asked for

TEST(ExactNumerics, AskNothingOfCublasLt) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  CudaOptions options;
  options.find_cublaslt = [](const std::string&) -> Result<CublasLtFunctions> {
    return fail(ErrorCode::kInternal, "asked for");
  };
  run_branches(model, 4, 60, options);
}

TEST(TensorNumericsOfABackend, AreRefusedByNameWhereTheyAreNotToBeHad) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  MemorySystem system;
  system.set_environment("ESPALIER_CUBLASLT", "libno-such-cublaslt.so");
  const auto refused = [&](const char* device, std::optional<std::uint32_t> gpu_layers = {}) {
    BackendOptions options;
    options.threads = 1;
    options.kv_bytes = pool_bytes(*model);
    options.numerics = Numerics::kTensor;
    options.device = *Device::parse(device);
    options.gpu_layers = gpu_layers;
    const auto made = create_backend(model, options, system);
    if (made) return std::string("made");
    EXPECT_EQ(made.error().code, ErrorCode::kUnsupported);
    return made.error().message;
  };
  const auto of_the_cpu =
      HasSubstr("numerics tensor: the CPU, where the model would run, computes exact alone");
  EXPECT_THAT(refused("cpu"), of_the_cpu);
  EXPECT_THAT(refused("cuda", 0), of_the_cpu);
  EXPECT_THAT(refused("cuda"), HasSubstr("libno-such-cublaslt.so cannot be loaded"));
  EXPECT_THAT(refused("auto"), HasSubstr("libno-such-cublaslt.so cannot be loaded"));
#ifdef ESPALIER_HOST_CUDA
  host_cuda::set_devices(0, cudaErrorNoDevice);
  EXPECT_THAT(refused("auto"), of_the_cpu);
  host_cuda::reset_device();
#endif
}

#ifdef ESPALIER_HOST_CUDA
TEST(TensorNumericsErrors, LackOfMemoryFailsAloneAndALostDeviceIsSaid) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  const int alive = lt_use().alive;
  for (unsigned n = 1; n < 6; ++n) {
    host_cuda::fail_next_malloc(n);
    const auto made = Twins::made(model, tensor());
    ASSERT_FALSE(made.has_value()) << n;
    EXPECT_EQ(made.error().code, ErrorCode::kExhausted);
    host_cuda::reset_device();
  }
  EXPECT_EQ(lt_use().alive, alive);
  Random random(4);
  for (const unsigned calls : {1U, 10U, 40U}) {
    host_cuda::reset_device();
    Rig rig(Twins::made(model, tensor()));
    ASSERT_TRUE(rig);
    ASSERT_NO_FATAL_FAILURE(expect_the_loss_is_said(rig, *model, random, calls));
  }
  host_cuda::reset_device();
  EXPECT_EQ(lt_use().alive, alive);
}
#endif

}  // namespace
}  // namespace espalier::runtime::cuda
