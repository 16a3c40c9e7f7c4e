// Layers in one kernel: the bits of the CPU, and so of the kernels that it stands in for, over
// shapes, types, rows and contexts; and when it does not stand in.
#include "runtime/cuda/one_kernel.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "runtime/cuda/cuda_backend.h"
#include "runtime/model/random_weights.h"
#include "tests/runtime/cuda/twins.h"
#include "tests/support/gguf_writer.h"

namespace espalier::runtime::cuda {
namespace {

using espalier::testing::GgufWriter;

// A model with random weights, of an architecture as small ones have them.
struct SmallModel {
  std::string architecture = "llama";
  std::uint32_t layers = 2;
  std::uint32_t width = 64;
  std::uint32_t heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint32_t head_width = 32;
  std::uint32_t feed_forward = 96;
  TensorType type = TensorType::kQ4_0;
  TensorType other = TensorType::kQ8_0;  // of V and down
  std::uint32_t window = 0;
  KvType kv_type = KvType::kF16;
  std::uint32_t prompt = 40;

  [[nodiscard]] std::shared_ptr<const Model> load() const {
    GgufWriter out;
    const auto key = [&](const char* rest) { return architecture + "." + rest; };
    out.string("general.architecture", architecture);
    out.u32(key("block_count"), layers).u32(key("context_length"), 1024);
    out.u32(key("embedding_length"), width).u32(key("feed_forward_length"), feed_forward);
    out.u32(key("attention.head_count"), heads).u32(key("attention.head_count_kv"), kv_heads);
    out.u32(key("attention.key_length"), head_width);
    out.u32(key("attention.value_length"), head_width);
    out.f32(key("attention.layer_norm_rms_epsilon"), 1e-5F).f32(key("rope.freq_base"), 10000.0F);
    if (window != 0) out.u32(key("attention.sliding_window"), window);
    if (architecture == "gemma3") out.u32(key("attention.sliding_window_pattern"), 2);
    if (architecture == "mistral3") {
      out.f32(key("attention.temperature_scale"), 0.1F);
      out.string(key("rope.scaling.type"), "yarn").f32(key("rope.scaling.factor"), 2.0F);
      out.u32(key("rope.scaling.original_context_length"), 32);
    }
    const std::vector<std::string> tokens{"<unk>", "<s>", "</s>", "b", "c", "a", "ab"};
    out.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "gpt-2");
    out.strings("tokenizer.ggml.tokens", tokens).strings("tokenizer.ggml.merges", {"a b"});
    out.i32s("tokenizer.ggml.token_type", {3, 3, 3, 1, 1, 1, 1});
    out.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);

    std::uint64_t number = 0;
    const auto matrix = [&](const std::string& name, std::uint64_t columns, std::uint64_t rows,
                            TensorType of) {
      out.tensor(name, {columns, rows}, static_cast<std::uint32_t>(of),
                 random_rows(of, columns, rows, RandomKey(7).with(number++)));
    };
    const auto vector = [&](const std::string& name, std::uint64_t columns) {
      out.tensor(name, {columns}, 0, random_norm(columns, RandomKey(7).with(number++)));
    };
    const bool gemma = architecture == "gemma3";
    const std::uint64_t query = std::uint64_t{heads} * head_width;
    const std::uint64_t keys = std::uint64_t{kv_heads} * head_width;
    matrix("token_embd.weight", width, tokens.size(), type);
    for (std::uint32_t l = 0; l < layers; ++l) {
      const std::string layer = "blk." + std::to_string(l) + ".";
      vector(layer + "attn_norm.weight", width);
      matrix(layer + "attn_q.weight", width, query, type);
      matrix(layer + "attn_k.weight", width, keys, type);
      matrix(layer + "attn_v.weight", width, keys, other);
      if (architecture == "qwen2") {
        vector(layer + "attn_q.bias", query);
        vector(layer + "attn_k.bias", keys);
        vector(layer + "attn_v.bias", keys);
      }
      if (architecture == "qwen3" || gemma) {
        vector(layer + "attn_q_norm.weight", head_width);
        vector(layer + "attn_k_norm.weight", head_width);
      }
      matrix(layer + "attn_output.weight", query, width, type);
      if (gemma) vector(layer + "post_attention_norm.weight", width);
      vector(layer + "ffn_norm.weight", width);
      matrix(layer + "ffn_gate.weight", width, feed_forward, type);
      matrix(layer + "ffn_up.weight", width, feed_forward, l % 2 == 0 ? type : other);
      matrix(layer + "ffn_down.weight", feed_forward, width, other);
      if (gemma) vector(layer + "post_ffw_norm.weight", width);
    }
    vector("output_norm.weight", width);
    return load_bytes(out.finish().bytes);
  }
};

void PrintTo(const SmallModel& it, std::ostream* out) { *out << it.architecture; }

std::uint64_t launches() {
#ifdef ESPALIER_HOST_CUDA
  return host_cuda::launches_together();
#else
  return 0;
#endif
}

// Steps of 1 to 8 rows of branches over a prompt: some rows of one sequence, of some nothing is
// wanted, and some K and V go to two pages.
void run_few_rows(const SmallModel& of, CudaOptions options = {}) {
  const auto model = of.load();
  ASSERT_NE(model, nullptr);
  Random random(of.width + of.prompt);
  options.kv_type = of.kv_type;
  Twins twins(model, options);
  ASSERT_TRUE(twins);
  std::vector<Sequence> branches{twins.cpu.sequence(of.prompt + 80)};
  {
    BatchBuilder builder;
    builder.append(branches[0], random_ids(random, *model, of.prompt));
    ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, {of.prompt - 1}));
  }
  for (int i = 0; i < 3; ++i) {
    Sequence fork;
    const std::uint32_t whole = of.prompt / kPageTokens - static_cast<std::uint32_t>(i % 2);
    fork.length = whole * kPageTokens;
    fork.pages.assign(branches[0].pages.begin(), branches[0].pages.begin() + whole);
    const Sequence own = twins.cpu.sequence(120);
    fork.pages.insert(fork.pages.end(), own.pages.begin(), own.pages.end());
    branches.push_back(fork);
  }
  const Sequence spare = twins.cpu.sequence(kPageTokens);
  for (std::uint32_t rows = 1; rows <= kOneKernelRows; ++rows) {
    SCOPED_TRACE(std::to_string(rows) + " rows");
    BatchBuilder builder;
    std::vector<std::uint32_t> wanted;
    for (std::uint32_t left = rows; left > 0;) {
      const std::uint32_t count =
          std::min(left, rows % 3 == 0 ? 1 + static_cast<std::uint32_t>(random() % 4) : 1);
      Sequence& branch = branches[(rows + left) % branches.size()];
      const auto first = builder.append(branch, random_ids(random, *model, count));
      if (rows % 4 != 3 || first == 0) wanted.push_back(first + count - 1);
      left -= count;
    }
    // The last row's K and V also go to a page that nobody reads yet.
    Row& last = builder.batch.rows.back();
    builder.batch.writes.push_back({spare.pages[0], last.position % kPageTokens});
    ++last.writes;
    const std::uint64_t before = launches();
    ASSERT_NO_FATAL_FAILURE(twins.step(builder.batch, wanted));
#ifdef ESPALIER_HOST_CUDA
    EXPECT_GT(launches(), before);
#endif
    (void)before;
  }
  // Of a step of which nothing is wanted K and V alone are there.
  BatchBuilder builder;
  builder.append(branches[1], random_ids(random, *model, 3));
  ASSERT_TRUE(run_step(*twins.cpu.backend, builder.batch, {}));
  ASSERT_TRUE(run_step(*twins.device.backend, builder.batch, {}));
  branches.push_back(spare);
  for (const Sequence& branch : branches) {
    for (const PageId page : branch.pages) twins.expect_same_page(page);
  }
}

class OneKernel : public ::testing::TestWithParam<SmallModel> {};

TEST_P(OneKernel, HasTheSameBitsAsTheCpu) {
  in_all_orders([] { run_few_rows(GetParam()); }, 2, in_full() ? 0 : 1);
}

INSTANTIATE_TEST_SUITE_P(
    Models, OneKernel,
    ::testing::Values(
        SmallModel{},
        // SmolLM2's layers.
        SmallModel{.width = 576,
                   .heads = 9,
                   .kv_heads = 3,
                   .head_width = 64,
                   .feed_forward = 1536,
                   .type = TensorType::kQ4_1,
                   .other = TensorType::kQ8_0},
        SmallModel{.heads = 4, .kv_heads = 4, .type = TensorType::kF16, .other = TensorType::kF16},
        SmallModel{.architecture = "qwen2",
                   .heads = 7,
                   .kv_heads = 1,
                   .type = TensorType::kQ5_0,
                   .other = TensorType::kF16,
                   .prompt = 600},
        SmallModel{.architecture = "qwen3",
                   .layers = 1,
                   .heads = 2,
                   .kv_heads = 1,
                   .head_width = 128,
                   .type = TensorType::kBF16,
                   .other = TensorType::kQ8_0,
                   .kv_type = KvType::kBF16,
                   .prompt = 300},
        SmallModel{.architecture = "gemma3",
                   .layers = 3,
                   .heads = 4,
                   .kv_heads = 1,
                   .head_width = 256,
                   .window = 33,
                   .kv_type = KvType::kQ8,
                   .prompt = 280},
        SmallModel{.architecture = "gemma3",
                   .layers = 2,
                   .heads = 8,
                   .kv_heads = 1,
                   .head_width = 20,
                   .type = TensorType::kF32,
                   .other = TensorType::kF32,
                   .window = 300,
                   .kv_type = KvType::kQ8,
                   .prompt = 320},
        SmallModel{.architecture = "mistral3",
                   .layers = 1,
                   .width = 256,
                   .heads = 4,
                   .kv_heads = 2,
                   .head_width = 64,
                   .feed_forward = 2304,
                   .type = TensorType::kQ2_K,
                   .other = TensorType::kQ6_K,
                   .kv_type = KvType::kQ8}),
    [](const auto& named) { return named.param.architecture + "_" + std::to_string(named.index); });

#ifdef ESPALIER_HOST_CUDA

// Steps of a few rows, and how many of them were launched together.
std::uint64_t together_of(const std::shared_ptr<const Model>& model, CudaOptions options = {},
                          std::size_t rows = 3) {
  Random random(3);
  Twins twins(model, std::move(options));
  EXPECT_TRUE(twins);
  const std::uint64_t before = launches();
  Sequence sequence = twins.cpu.sequence(60);
  for (int step = 0; step < 4; ++step) {
    BatchBuilder builder;
    const auto first = builder.append(sequence, random_ids(random, *model, rows));
    twins.step(builder.batch, {first + static_cast<std::uint32_t>(rows) - 1});
  }
  for (const PageId page : sequence.pages) twins.expect_same_page(page);
  return launches() - before;
}

TEST(OneKernelByTheRule, IsForFewRowsOfSmallLayersOnOneDevice) {
  const auto model = SmallModel{}.load();
  ASSERT_NE(model, nullptr);
  EXPECT_GE(together_of(model), 2U);  // then it is replayed
  EXPECT_GE(together_of(model, {}, kOneKernelRows), 2U);
  EXPECT_EQ(together_of(model, {}, kOneKernelRows + 1), 0U);
  CudaOptions two;
  two.devices = {0, 0};
  two.links = CudaOptions::Links::kThreads;
  EXPECT_EQ(together_of(model, two), 0U);
  two.tensor_parallel = 2;
  EXPECT_EQ(together_of(load_bytes(espalier::testing::TinyLlama().writer().finish().bytes), two),
            0U);
  CudaOptions split;
  split.layers = 1;
  EXPECT_EQ(together_of(model, split), 0U);
  const auto many_heads = SmallModel{.heads = 12, .kv_heads = 1, .head_width = 8}.load();
  EXPECT_EQ(together_of(many_heads), 0U);
  // 17 MB a layer.
  const auto large =
      SmallModel{.layers = 1, .width = 512, .feed_forward = 20'000, .type = TensorType::kQ4_0}
          .load();
  EXPECT_EQ(together_of(large), 0U);
}

// Of rows as floats as many as have room.
TEST(OneKernelByTheRule, TakesFewerRowsWhereTheyAreWide) {
  const auto model =
      SmallModel{
          .layers = 1, .feed_forward = 4096, .type = TensorType::kF16, .other = TensorType::kF16}
          .load();
  ASSERT_NE(model, nullptr);
  EXPECT_GE(together_of(model, {}, 4), 2U);
  EXPECT_EQ(together_of(model, {}, 5), 0U);
}

TEST(OneKernelByTheRule, IsNotForADeviceThatCannotRunIt) {
  const auto model = SmallModel{}.load();
  ASSERT_NE(model, nullptr);
  host_cuda::set_together(false);
  EXPECT_EQ(together_of(model), 0U);
  host_cuda::reset_device();
}

// A device that does not hold all blocks any more has the same bits from then on.
TEST(ARefusedOneKernel, LeavesTheStepToTheOthers) {
  const auto model = SmallModel{.architecture = "gemma3", .kv_heads = 1}.load();
  ASSERT_NE(model, nullptr);
  for (const unsigned n : {1U, 2U, 3U}) {
    SCOPED_TRACE(n);
    host_cuda::refuse_together_from(n);
    // The first runs, the second is recorded.
    EXPECT_EQ(together_of(model), std::min(n - 1, 2U));
    host_cuda::reset_device();
  }
}

TEST(OneKernelErrors, ALostDeviceFailsTheStepsAndNothingElse) {
  const auto model = SmallModel{}.load();
  ASSERT_NE(model, nullptr);
  Random random(4);
  const std::size_t allocated = host_cuda::allocated_bytes();
  for (unsigned calls = 0; calls < 24; ++calls) {
    SCOPED_TRACE(calls);
    host_cuda::reset_device();
    ASSERT_EQ(host_cuda::allocated_bytes(), allocated);
    Rig rig(
        CudaBackend::create(model, {.threads = 1, .kv_bytes = pool_bytes(*model)}, real_system()));
    ASSERT_TRUE(rig);
    Sequence sequence = rig.sequence(40);
    BatchBuilder builder;
    builder.append(sequence, random_ids(random, *model, 2));
    host_cuda::lose_device_after(calls);
    bool lost = false;
    for (int step = 0; step < 50 && !lost; ++step) {
      const auto result = run_step(*rig.backend, builder.batch, {});
      if (result) continue;
      lost = true;
      EXPECT_EQ(result.error().code, ErrorCode::kInternal) << result.error().message;
      EXPECT_FALSE(run_step(*rig.backend, builder.batch, {})) << "a lost device came back";
    }
    EXPECT_TRUE(lost);
  }
  host_cuda::reset_device();
}

#endif

}  // namespace
}  // namespace espalier::runtime::cuda
