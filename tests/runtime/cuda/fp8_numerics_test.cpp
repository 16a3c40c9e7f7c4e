// Numerics `fp8`: near the exact ones, never chosen silently, with pages of their own, and nearer
// where a calibration leaves products in 16 bits.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/low_precision.h"
#include "runtime/cuda/weights.h"
#include "runtime/device.h"
#include "runtime/fp8_calibration.h"
#include "runtime/model/random_weights.h"
#include "tests/runtime/cuda/cublaslt.h"
#include "tests/runtime/cuda/near_exact.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/memory_system.h"
#include "tests/support/source_folder.h"

namespace espalier::runtime::cuda {
namespace {

using espalier::testing::MemorySystem;
using ::testing::HasSubstr;

CudaOptions fp8(std::uint32_t stages = 1, std::uint32_t ranks = 1, std::uint32_t layers = 0) {
  return under(Numerics::kFp8, stages, ranks, layers);
}

// How far log-probabilities may be from the exact ones, on models of random weights; about twice
// what they are.
constexpr double kBound = 2.0;
constexpr double kMeanBound = 0.3;

// One that keeps products where `kept` says so.
template <class Kept>
std::shared_ptr<const Fp8Calibration> calibration(const Model& model, Kept kept) {
  auto out = std::make_shared<Fp8Calibration>();
  out->model = model_key(model);
  out->tokens = 1;
  out->bound = 0.5;
  out->errors.resize(model.shape().layers);
  for (std::size_t l = 0; l < out->errors.size(); ++l) {
    for (const LayerProducts products : kLayerProducts) {
      out->errors[l][static_cast<std::size_t>(products)] = kept(l, products) ? 1.0 : 0.25;
    }
  }
  return out;
}

class Fp8Numerics : public ::testing::TestWithParam<TensorType> {};

TEST_P(Fp8Numerics, AreNearTheExactOnes) {
  const auto model = four_layers(GetParam());
  ASSERT_NE(model, nullptr);
  set_order(5);
#ifdef ESPALIER_HOST_CUDA
  const int before = lt_use().products;
#endif
  const Farthest far = compare(model, fp8());
  set_order(0);
#ifdef ESPALIER_HOST_CUDA
  EXPECT_GT(lt_use().products, before);  // of prompts
#endif
  ASSERT_GT(far.count, 1000U);
  EXPECT_LT(far.most, kBound);
  EXPECT_LT(far.sum / static_cast<double>(far.count), kMeanBound);
  EXPECT_GT(far.most, 0.001);  // else nothing was coded
  RecordProperty("farthest", std::to_string(far.most));
  RecordProperty("mean", std::to_string(far.sum / static_cast<double>(far.count)));
}

TEST_P(Fp8Numerics, AreNearTheExactOnesOnSeveralDevicesAndBehindLayersOnTheCpu) {
  const auto model = four_layers(GetParam(), 4);
  ASSERT_NE(model, nullptr);
  for (const CudaOptions& options : {fp8(1, 2), fp8(2, 1), fp8(2, 2, 3), fp8(1, 1, 1)}) {
    const Farthest far = compare(model, options);
    ASSERT_GT(far.count, 1000U);
    EXPECT_LT(far.most, kBound);
    EXPECT_GT(far.most, 0.001);
  }
}

TEST_P(Fp8Numerics, OfLongPromptsAreNearTheExactOnes) {
  const Farthest far = compare_prompt(GetParam(), KvType::kF16, fp8());
  ASSERT_GT(far.count, 1000U);
  EXPECT_LT(far.most, kBound);
  EXPECT_GT(far.most, 0.001);
}

INSTANTIATE_TEST_SUITE_P(Types, Fp8Numerics,
                         ::testing::Values(TensorType::kF32, TensorType::kF16, TensorType::kBF16),
                         [](const auto& named) {
                           return std::string(tensor_traits(named.param)->name);
                         });

// Biases, norms behind blocks, other activations, Q K V in one matrix.
TEST(Fp8NumericsOfEveryArchitecture, AreNearTheExactOnes) {
  for (const char* name :
       {"gemma3", "llama3", "llama_window", "mistral3", "phi3", "qwen2", "qwen3"}) {
    SCOPED_TRACE(name);
    const auto model = Model::load(
        espalier::testing::source_folder() + "/tests/runtime/model/fixtures/arch_" + name + ".gguf",
        real_system());
    ASSERT_TRUE(model.has_value()) << model.error().message;
    const Farthest far = compare(*model, fp8());
    ASSERT_GT(far.count, 1000U);
    EXPECT_LT(far.sum / static_cast<double>(far.count), kMeanBound);
    EXPECT_GT(far.most, 0.001);
  }
}

// Q and K in 16 bits and V quantised read the same rows in both forms, and so do gate and up.
TEST(Fp8NumericsOfMixedLayers, AreNearTheExactOnes) {
  TinyLlama description;
  description.layers = 4;
  description.matrix_type = static_cast<std::uint32_t>(TensorType::kBF16);
  auto writer = description.writer();
  const auto quantise = [&](const std::string& name, std::uint64_t columns, std::uint64_t rows,
                            std::uint32_t number) {
    writer.remove_tensor(name).tensor(
        name, {columns, rows}, static_cast<std::uint32_t>(TensorType::kQ8_0),
        random_rows(TensorType::kQ8_0, columns, rows, RandomKey(1).with(100 + number)));
  };
  const std::uint32_t width = description.width;
  for (std::uint32_t layer = 0; layer < description.layers; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    quantise(prefix + "attn_v.weight", width, width / description.heads * description.kv_heads,
             2 * layer);
    quantise(prefix + "ffn_up.weight", width, description.feed_forward, 2 * layer + 1);
  }
  const auto mixed = load_bytes(writer.finish().bytes);
  ASSERT_NE(mixed, nullptr);
  const Farthest far = compare(mixed, fp8());
  ASSERT_GT(far.count, 1000U);
  EXPECT_LT(far.most, kBound);
  EXPECT_GT(far.most, 0.001);
}

// Weights that are codes already stay so.
TEST(Fp8NumericsAreExact, WhereWeightsAreQuantised) {
  const auto model = four_layers(TensorType::kQ4_0);
  ASSERT_NE(model, nullptr);
  run_branches(model, 2, 60, fp8());
}

// With all products kept, numerics are those of `tensor`; with some, in between. The second stage
// of two has what is kept of its own layers.
TEST(Fp8Calibrations, LeaveTheProductsThatTheyNameInSixteenBits) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  for (const std::uint32_t stages : {1U, 2U}) {
    const auto farthest = [&](auto kept) {
      CudaOptions options = fp8(stages);
      options.fp8_calibration = calibration(*model, kept);
      return compare(model, options).most;
    };
    CudaOptions tensor = fp8(stages);
    tensor.numerics = Numerics::kTensor;
    EXPECT_EQ(farthest([](std::size_t, LayerProducts) { return true; }),
              compare(model, tensor).most);
    const double none = farthest([](std::size_t, LayerProducts) { return false; });
    EXPECT_EQ(none, compare(model, fp8(stages)).most);
    const double last = farthest([](std::size_t layer, LayerProducts) { return layer != 3; });
    EXPECT_NE(last, none);
    EXPECT_LT(last, none);
  }
}

TEST(Fp8Weights, TakeHalfOfSixteenBitsAndHeadAndEmbeddingStay) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  const Fp8Products all;
  const auto kept = calibration(*model, [](std::size_t, LayerProducts) { return true; });
  const Fp8Products none = kept->products();
  const std::uint64_t sixteen = DeviceWeights::bytes(*model);
  EXPECT_EQ(DeviceWeights::bytes(*model, &none), sixteen);
  const std::uint64_t eight = DeviceWeights::bytes(*model, &all);
  const std::uint64_t head = model->weights().output.data.size();
  EXPECT_GE(eight, head);
  EXPECT_LT(eight - head, (sixteen - head) * 6 / 10);
}

// Recorded or not, in whatever order lanes run: a batch's bits are a function of the batch.
TEST(Fp8NumericsOfEqualSteps, AreTheSameBits) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  Rig rig(Twins::made(model, fp8()));
  ASSERT_TRUE(rig);
  Random random(7);
  Sequence start = rig.sequence(128);
  rig.feed(start, random_ids(random, *model, 30));
  for (const std::size_t count : {1U, 9U, 40U}) {
    const auto ids = random_ids(random, *model, count);
    std::vector<float> first;
    for (std::uint64_t i = 0; i < 5; ++i) {
      set_order(i);
      Sequence sequence = start;
      const auto said = rig.feed(sequence, ids);
      if (first.empty()) first = said;
      EXPECT_TRUE(same_bits(first, said)) << count << ", " << i;
    }
  }
  set_order(0);
}

#ifdef ESPALIER_HOST_CUDA
// Where cuBLASLt has no kernels for 8 bits the other kernel takes prompts too; here nothing is
// in 16.
TEST(Fp8NumericsWithoutKernelsOfCublasLt, AreNearTheExactOnes) {
  const auto model = four_layers(TensorType::kF32);
  ASSERT_NE(model, nullptr);
  const int before = lt_use().products;
  lt_without_kernels(true);
  const Farthest far = compare(model, fp8());
  lt_without_kernels(false);
  EXPECT_EQ(lt_use().products, before);
  EXPECT_LT(far.most, kBound);
  EXPECT_GT(far.most, 0.001);
}

TEST(Fp8NumericsErrors, LackOfMemoryFailsAloneAndALostDeviceIsSaid) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  for (unsigned n = 1; n < 6; ++n) {
    host_cuda::fail_next_malloc(n);
    const auto made = Twins::made(model, fp8());
    ASSERT_FALSE(made.has_value()) << n;
    EXPECT_EQ(made.error().code, ErrorCode::kExhausted);
    host_cuda::reset_device();
  }
  Random random(4);
  for (const unsigned calls : {1U, 10U, 40U}) {
    host_cuda::reset_device();
    Rig rig(Twins::made(model, fp8()));
    ASSERT_TRUE(rig);
    ASSERT_NO_FATAL_FAILURE(expect_the_loss_is_said(rig, *model, random, calls));
  }
  host_cuda::reset_device();
}
#endif

// ---- how they are asked for

TEST(PagesOfFp8Numerics, NameTheNumericsAndTheCalibration) {
  const auto model = four_layers(TensorType::kBF16);
  ASSERT_NE(model, nullptr);
  const auto format = [&](const CudaOptions& options) {
    const auto made = Twins::made(model, options);
    return made ? (*made)->info().kv_format : made.error().message;
  };
  EXPECT_THAT(format(fp8()), HasSubstr("numerics fp8 1, "));
  CudaOptions calibrated = fp8();
  calibrated.fp8_calibration =
      calibration(*model, [](std::size_t layer, LayerProducts) { return layer == 0; });
  CudaOptions other = fp8();
  other.fp8_calibration =
      calibration(*model, [](std::size_t layer, LayerProducts) { return layer == 1; });
  EXPECT_THAT(format(calibrated), HasSubstr("numerics fp8 1 calibrated "));
  EXPECT_NE(format(calibrated), format(other));
}

TEST(Fp8NumericsOfABackend, AreRefusedByNameWhereTheyAreNotToBeHad) {
  const auto model = four_layers(TensorType::kBF16);
  const auto another = four_layers(TensorType::kF16);
  ASSERT_TRUE(model != nullptr && another != nullptr);
  MemorySystem system;
  system.set_environment("ESPALIER_CUBLASLT", "libno-such-cublaslt.so");
  const auto refused = [&](const char* device, ErrorCode code, Numerics numerics,
                           std::shared_ptr<const Fp8Calibration> with = {}) {
    BackendOptions options;
    options.threads = 1;
    options.kv_bytes = pool_bytes(*model);
    options.numerics = numerics;
    options.fp8_calibration = std::move(with);
    options.device = *Device::parse(device);
    const auto made = create_backend(model, options, system);
    if (made) return std::string("made");
    EXPECT_EQ(made.error().code, code);
    return made.error().message;
  };
  const auto keeps = [](std::size_t, LayerProducts) { return true; };
  EXPECT_THAT(refused("cpu", ErrorCode::kUnsupported, Numerics::kFp8),
              HasSubstr("numerics fp8: the CPU, where the model would run, computes exact alone"));
  EXPECT_THAT(refused("cuda", ErrorCode::kUnsupported, Numerics::kFp8),
              HasSubstr("numerics tensor and fp8 multiply with cuBLASLt, and "
                        "libno-such-cublaslt.so cannot be loaded"));
  EXPECT_THAT(refused("cuda", ErrorCode::kInvalid, Numerics::kTensor, calibration(*model, keeps)),
              HasSubstr("numerics tensor: a calibration is for numerics fp8"));
  EXPECT_THAT(refused("cuda", ErrorCode::kInvalid, Numerics::kFp8, calibration(*another, keeps)),
              HasSubstr("the calibration was measured on another model than '"));
}

TEST(Fp8NumericsOfOldDevices, AreRefusedByName) {
  DeviceFacts device;
  device.number = 1;
  device.name = "NVIDIA A100";
  for (const char* old : {"8.0", "8.6", "7.5"}) {
    device.architecture = old;
    const Status refused = check_fp8(std::vector{device});
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kUnsupported);
    EXPECT_THAT(refused.error().message,
                HasSubstr("numerics fp8: cuda:1 (NVIDIA A100, compute capability " +
                          std::string(old) + ") has no products of 8-bit floats"));
  }
  for (const char* young : {"8.9", "9.0", "10.0", "12.0"}) {
    device.architecture = young;
    EXPECT_TRUE(check_fp8(std::vector{device}).has_value()) << young;
  }
}

}  // namespace
}  // namespace espalier::runtime::cuda
