// A model on several devices: layers that ranks share, layers in turn, and both, have the bits of
// one device and of the CPU. Ranks may be on one device: what they do is the same.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "runtime/cpu/kv_pool.h"
#include "runtime/cuda/forward.h"
#include "runtime/model/model_part.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/source_folder.h"

namespace espalier::runtime::cuda {
namespace {

using espalier::testing::TinyLlama;

TinyLlama description(TensorType type) {
  TinyLlama out;
  out.layers = 4;
  out.kv_heads = 4;
  out.matrix_type = static_cast<std::uint32_t>(type);
  out.tied = type != TensorType::kQ4_1;
  if (tensor_traits(type)->block_weights == 256) {
    out.width = 256;
    out.feed_forward = 256;
  }
  return out;
}

std::shared_ptr<const Model> tiny(TensorType type = TensorType::kQ4_0) {
  return load_bytes(description(type).writer().finish().bytes);
}

class Ranks : public ::testing::TestWithParam<std::pair<std::uint32_t, std::uint32_t>> {};

TEST_P(Ranks, HaveTheSameBitsAsTheCpu) {
  const auto [stages, tensor] = GetParam();
  // What a type is to stages it is to the layers of one device.
  std::vector<TensorType> types = {TensorType::kQ4_0};
  if (stages == 1) types.insert(types.end(), {TensorType::kQ6_K, TensorType::kF16});
  for (const TensorType type : types) {
    SCOPED_TRACE(tensor_traits(type)->name);
    const auto model = tiny(type);
    ASSERT_NE(model, nullptr);
    run_branches(model, stages * 10 + tensor, 45, ranks(stages, tensor));
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Ranks,
                         ::testing::Values(std::pair(1U, 2U), std::pair(1U, 4U), std::pair(2U, 1U),
                                           std::pair(4U, 1U), std::pair(2U, 2U)),
                         [](const auto& named) {
                           return std::to_string(named.param.first) + "StagesOf" +
                                  std::to_string(named.param.second);
                         });

// Every architecture, on as many ranks a layer as its heads let, and on two stages.
TEST(Ranks, OfEveryArchitectureHaveTheSameBits) {
  for (const char* name :
       {"gemma3", "llama3", "llama_window", "mistral3", "phi3", "qwen2", "qwen3"}) {
    SCOPED_TRACE(name);
    const std::string path =
        espalier::testing::source_folder() + "/tests/runtime/model/fixtures/arch_" + name + ".gguf";
    const auto model = Model::load(path, real_system());
    ASSERT_TRUE(model.has_value()) << model.error().message;
    const bool shares = (*model)->shape().kv_heads > 1;
    if (shares) run_branches(*model, 3, 50, ranks(1, 2));
    run_branches(*model, 4, 50, ranks(2, shares ? 2 : 1));
  }
}

// Three parts of four heads are not even: nor are the columns.
TEST(Ranks, MayHavePartsOfDifferentSizes) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  run_branches(model, 9, 45, ranks(1, 3));
  run_branches(model, 10, 45, ranks(3, 1));
}

// The first layers on the CPU, the others on four ranks.
TEST(Ranks, GoOnFromLayersOnTheCpu) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  run_branches(model, 11, 45, ranks(2, 2, 3));
}

// More rows than logits exist at a time.
TEST(Ranks, FormTheLogitsOfManyRows) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  Random random(5);
  Twins twins(model, ranks(1, 2));
  ASSERT_TRUE(twins);
  Sequence sequence = twins.cpu.sequence(160);
  BatchBuilder builder;
  builder.append(sequence, random_ids(random, *model, 150));
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; row < 150; row += 1 + row % 2) rows.push_back(row);
  ASSERT_GT(rows.size(), kHeadRows);
  twins.step(builder.batch, rows);
}

// A step that nothing is asked of, and steps with copies alone.
TEST(Ranks, TakeStepsThatAskNothing) {
  const auto model = tiny();
  ASSERT_NE(model, nullptr);
  Random random(6);
  for (const auto& options : {ranks(1, 2), ranks(2, 2)}) {
    Twins twins(model, options);
    ASSERT_TRUE(twins);
    Sequence sequence = twins.cpu.sequence(32);
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, *model, 20));
    twins.step(builder.batch, {});
    Batch copies;
    copies.copies = {{sequence.pages[0], 100, 9}, {100, 101, 5}};
    twins.step(copies, {});
    for (const PageId page : {sequence.pages[0], sequence.pages[1], PageId{100}, PageId{101}}) {
      twins.expect_same_page(page);
    }
  }
}

TEST(Ranks, AreRefusedByNameWithTheLimit) {
  const auto model = tiny();
  const auto refused = [&](const CudaOptions& options) {
    auto made = CudaBackend::create(model, options, real_system());
    return made ? Error{ErrorCode::kInternal, "made"} : made.error();
  };
  CudaOptions options = ranks(1, 5);
  Error error = refused(options);
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_EQ(error.message,
            "5 devices a layer: the model has 4 heads of keys and values, at most 4 devices can "
            "share them");
  options.tensor_parallel = 2;
  error = refused(options);
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_NE(error.message.find("there are 5 devices"), std::string::npos) << error.message;
  error = refused(ranks(5, 1));
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_NE(error.message.find("4 layers on the devices, which are 5 stages"), std::string::npos)
      << error.message;
  options = ranks(1, 2);
  options.devices[1] = 9;
  EXPECT_EQ(refused(options).code, ErrorCode::kUnsupported);
}

// Where nobody says how many share a layer: as many as there are and can.
TEST(Ranks, ShareEachLayerAsFarAsTheModelLets) {
  const auto model = tiny();
  const auto chosen = [&](std::size_t devices, std::uint32_t layers = 0) {
    CudaOptions options;
    options.devices.assign(devices, 0);
    options.layers = layers;
    const auto settled = CudaBackend::settle(*model, options, real_system());
    return settled ? settled->tensor_parallel : 0;
  };
  EXPECT_EQ(chosen(1), 1U);
  EXPECT_EQ(chosen(2), 2U);
  EXPECT_EQ(chosen(3), 3U);
  EXPECT_EQ(chosen(4), 4U);
  EXPECT_EQ(chosen(8), 4U);
  EXPECT_EQ(chosen(6), 3U);
}

TEST(Shares, AreAllOfTheModelAndNothingTwice) {
  const auto model = tiny(TensorType::kQ4_1);
  for (std::uint32_t count = 1; count <= 4; ++count) {
    const auto shares = share_layers(model->shape(), count);
    ASSERT_TRUE(shares.has_value());
    std::uint64_t heads = 0;
    std::uint64_t bytes = 0;
    std::uint64_t page = 0;
    for (std::uint32_t r = 0; r < count; ++r) {
      const auto part = share_of(model, *shares, r);
      heads += part->shape().heads;
      page += cpu::KvPool::page_bytes(part->shape(), KvType::kF16);
      for (const LayerWeights& it : part->weights().layers) {
        for (const Tensor* tensor :
             {&it.query, &it.key, &it.value, &it.attention_output, &it.gate, &it.up, &it.down}) {
          EXPECT_EQ(tensor->data.size(), tensor->rows * tensor->row_bytes());
          EXPECT_GT(tensor->rows, 0U);
          bytes += tensor->data.size();
        }
      }
      bytes += part->weights().output.data.size();
    }
    std::uint64_t whole = model->weights().output.data.size();
    for (const LayerWeights& it : model->weights().layers) {
      for (const Tensor* tensor :
           {&it.query, &it.key, &it.value, &it.attention_output, &it.gate, &it.up, &it.down}) {
        whole += tensor->data.size();
      }
    }
    EXPECT_EQ(heads, model->shape().heads);
    EXPECT_EQ(bytes, whole);
    EXPECT_EQ(page, cpu::KvPool::page_bytes(model->shape(), KvType::kF16));
  }
}

#ifdef ESPALIER_HOST_CUDA

// Memory that lacks on one rank fails the step on all of them, and the next one is whole.
TEST(Ranks, ThatLackMemoryFailTheStepAlone) {
  const auto model = tiny();
  for (const auto& options : {ranks(1, 2), ranks(2, 1), ranks(2, 2)}) {
    Twins twins(model, options);
    ASSERT_TRUE(twins);
    Random random(3);
    Sequence sequence = twins.cpu.sequence(40);
    const auto ids = random_ids(random, *model, 20);
    for (unsigned n = 1; n < 24; n += 3) {
      Sequence lost = sequence;
      BatchBuilder builder;
      builder.append(lost, ids);
      host_cuda::fail_next_malloc(n);
      const auto failed = run_step(*twins.device.backend, builder.batch, {});
      if (!failed) {
        EXPECT_EQ(failed.error().code, ErrorCode::kExhausted) << failed.error().message;
      }
      host_cuda::reset_device();
    }
    BatchBuilder builder;
    const auto first = builder.append(sequence, ids);
    ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, {first + 19}));
  }
  const std::size_t held = host_cuda::allocated_bytes();
  for (unsigned n = 1; n < 9; ++n) {
    host_cuda::fail_next_malloc(n);
    CudaOptions options = ranks(2, 2);
    options.kv_bytes = pool_bytes(*model);
    const auto made = CudaBackend::create(model, options, real_system());
    ASSERT_FALSE(made.has_value()) << n;
    EXPECT_EQ(made.error().code, ErrorCode::kExhausted) << made.error().message;
    EXPECT_EQ(host_cuda::allocated_bytes(), held);
    host_cuda::reset_device();
  }
}

// A step that grows and lacks memory takes nothing from the smaller ones.
TEST(Ranks, ThatLackMemoryToGrowGoOnAsTheyWere) {
  const auto model = tiny();
  Random random(8);
  for (const auto& options : {ranks(1, 1), ranks(1, 2), ranks(2, 1)}) {
    for (unsigned n = 1; n < 16; n += 2) {
      Twins twins(model, options);
      ASSERT_TRUE(twins);
      Sequence sequence = twins.cpu.sequence(80);
      const auto small = [&] {
        BatchBuilder builder;
        const auto first = builder.append(sequence, random_ids(random, *model, 2));
        twins.step(builder.batch, {first, first + 1});
      };
      small();
      Sequence lost = sequence;
      BatchBuilder builder;
      builder.append(lost, random_ids(random, *model, 40));
      host_cuda::fail_next_malloc(n);
      (void)run_step(*twins.device.backend, builder.batch, {});
      host_cuda::reset_device();
      ASSERT_NO_FATAL_FAILURE(small());
    }
  }
}

// A device that is lost while ranks wait for each other is an error of the step, at every place,
// and never a rank that waits for ever.
TEST(Ranks, WhoseDeviceIsLostDoNotWaitForEachOther) {
  const auto model = tiny();
  Random random(4);
  for (const unsigned calls : {0U, 1U, 7U, 20U, 60U, 90U, 150U, 300U}) {
    host_cuda::reset_device();
    CudaOptions options = ranks(2, 2);
    options.kv_bytes = pool_bytes(*model);
    Rig rig(CudaBackend::create(model, options, real_system()));
    ASSERT_TRUE(rig);
    ASSERT_NO_FATAL_FAILURE(expect_the_loss_is_said(rig, *model, random, calls));
  }
  host_cuda::reset_device();
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
