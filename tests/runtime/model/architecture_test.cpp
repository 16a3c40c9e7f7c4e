// Hostile and contradictory hyper-parameters and weights, over a checkpoint of each architecture:
// what is refused names the key or tensor, and what is accepted runs.
#include "runtime/model/architecture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "base/system.h"
#include "runtime/cpu/cpu_backend.h"
#include "runtime/model/model.h"
#include "tests/support/gguf_edit.h"
#include "tests/support/memory_mapping.h"
#include "tests/support/run_step.h"
#include "tests/support/source_folder.h"
#include "tests/support/tiny_architecture.h"

namespace espalier::runtime {
namespace {

using espalier::testing::GgufParts;
using espalier::testing::GgufWriter;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<std::string> checkpoints() {
  std::vector<std::string> names;
  const auto folder =
      std::filesystem::path(espalier::testing::source_folder()) / "tests/runtime/model/fixtures";
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".gguf") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class EachCheckpoint : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    whole = espalier::testing::take_apart(
        espalier::testing::read_whole(espalier::testing::source_folder() +
                                      "/tests/runtime/model/fixtures/" + GetParam() + ".gguf"));
    for (const auto& key : whole.keys) {
      if (key.name == "general.architecture") prefix = key.value.substr(8) + ".";
    }
  }

  [[nodiscard]] bool is_own(const std::string& key) const { return key.starts_with(prefix); }

  // Loads the file, and where that is possible runs three tokens. The refusal, or nothing.
  static std::string load(const GgufWriter& writer) {
    const auto path = std::filesystem::temp_directory_path() /
                      ("espalier_arch_" + std::to_string(::getpid()) + ".gguf");
    espalier::testing::write_file(path.string(), writer.finish().bytes);
    const auto model = Model::load(path.string(), real_system());
    std::filesystem::remove(path);
    if (!model) {
      EXPECT_THAT(model.error().message, StartsWith(path.string() + ": "));
      EXPECT_LT(model.error().message.size(), 700U);
      return model.error().message;
    }
    auto backend = CpuBackend::create(
        *model, {.threads = 1, .kv_bytes = std::uint64_t{1} << 20, .isa = ""}, real_system());
    if (!backend) {
      ADD_FAILURE() << backend.error().message;
      return "";
    }
    Batch batch;
    batch.sequences = {{0}};
    for (std::uint32_t i = 0; i < std::min((*model)->shape().context, 3U); ++i) {
      batch.rows.push_back({static_cast<TokenId>(7 + i), i, 0, i, 1});
      batch.writes.push_back({0, i});
    }
    RowPlan plan;
    plan.row = static_cast<std::uint32_t>(batch.rows.size() - 1);
    plan.want = Want::kLogprobs;
    plan.count = 1;
    // Weights that overflow are reported by the step, not by a crash.
    (void)run_step(**backend, batch, std::vector{plan});
    return "";
  }

  GgufParts whole;
  std::string prefix;
};

TEST_P(EachCheckpoint, LoadsAsItIs) { EXPECT_EQ(load(whole.writer()), ""); }

TEST_P(EachCheckpoint, EveryIntegerAtItsExtremesIsRefusedByNameOrHarmless) {
  // Not in this list: 0 stands for "none", or a large value means what it says.
  const std::set<std::string> sizes{
      "block_count",          "embedding_length",     "feed_forward_length",
      "attention.head_count", "context_length",       "attention.head_count_kv",
      "rope.dimension_count", "attention.key_length", "rope.scaling.original_context_length"};
  for (const auto& key : whole.keys) {
    if (!is_own(key.name) || key.type != 4) continue;
    std::uint32_t stored = 0;
    std::memcpy(&stored, key.value.data(), sizeof stored);
    const bool size = sizes.contains(key.name.substr(prefix.size()));
    const auto check = [&](const GgufWriter& writer, bool extreme, const std::string& what) {
      SCOPED_TRACE(key.name + " = " + what);
      const std::string message = load(writer);
      if (extreme && size) {
        EXPECT_THAT(message, HasSubstr(key.name));
      }
    };
    check(whole.writer().u32(key.name, 0), true, "0");
    check(whole.writer().i32(key.name, -1), true, "-1");
    check(whole.writer().u32(key.name, ~0U), true, "2^32 - 1");
    check(whole.writer().u64(key.name, ~0ULL), true, "2^64 - 1");
    check(whole.writer().u64(key.name, std::uint64_t{stored} << 32), true, "value * 2^32");
    for (const std::uint32_t near : {1U, 2U, stored - 1, stored + 1, stored * 2, stored / 2}) {
      check(whole.writer().u32(key.name, near), false, std::to_string(near));
    }
    check(whole.writer().f32(key.name, 4.0F), false, "4.0 as a float");
    check(whole.writer().string(key.name, "x"), false, "a string");
  }
}

TEST_P(EachCheckpoint, EveryNumberThatIsNotOneIsRefusedByName) {
  for (const auto& key : whole.keys) {
    if (!is_own(key.name) || key.type != 6) continue;
    for (const float value : {NAN, INFINITY, -INFINITY, std::numeric_limits<float>::max(),
                              -std::numeric_limits<float>::max()}) {
      EXPECT_THAT(load(whole.writer().f32(key.name, value)), HasSubstr(key.name)) << value;
    }
    for (const float value : {0.0F, 1e-45F, 1e-6F, 1.0F, 1e6F}) {
      SCOPED_TRACE(key.name + " = " + std::to_string(value));
      load(whole.writer().f32(key.name, value));
    }
  }
}

TEST_P(EachCheckpoint, AMissingKeyIsNamedOrHasItsUsualValue) {
  const std::set<std::string> required{"block_count",         "embedding_length",
                                       "feed_forward_length", "attention.head_count",
                                       "context_length",      "attention.layer_norm_rms_epsilon"};
  for (const auto& key : whole.keys) {
    if (!is_own(key.name)) continue;
    SCOPED_TRACE(key.name);
    const std::string message = load(whole.writer().remove(key.name));
    if (required.contains(key.name.substr(prefix.size()))) {
      EXPECT_THAT(message, HasSubstr(key.name));
    }
  }
}

TEST_P(EachCheckpoint, AMissingTensorIsNamed) {
  for (const auto& tensor : whole.tensors) {
    const std::string message = load(whole.writer().remove_tensor(tensor.name));
    // Without a head of its own the head is tied; without factors nothing is scaled.
    if (tensor.name == "output.weight" || tensor.name == "rope_freqs.weight") {
      EXPECT_EQ(message, "");
    } else if (tensor.name.ends_with("attn_qkv.weight")) {
      EXPECT_THAT(message, HasSubstr("attn_q.weight"));
    } else {
      EXPECT_THAT(message, HasSubstr(tensor.name));
    }
  }
}

TEST_P(EachCheckpoint, ATensorOfAnotherShapeOrTypeIsNamed) {
  for (const auto& tensor : whole.tensors) {
    const auto with = [&](std::vector<std::uint64_t> shape, std::uint32_t type, std::size_t size) {
      auto writer = whole.writer();
      writer.remove_tensor(tensor.name);
      writer.tensor(tensor.name, std::move(shape), type, tensor.data.substr(0, size));
      return load(writer);
    };
    const bool vector = tensor.shape.size() == 1;
    auto shorter = tensor.shape;
    --shorter.back();
    EXPECT_THAT(with(shorter, 0, tensor.data.size()), HasSubstr(tensor.name));
    auto narrower = tensor.shape;
    narrower.front() /= 2;
    EXPECT_THAT(with(narrower, 0, tensor.data.size() / 2), HasSubstr(tensor.name));
    if (!vector && tensor.shape[0] != tensor.shape[1]) {
      EXPECT_THAT(with({tensor.shape[1], tensor.shape[0]}, 0, tensor.data.size()),
                  HasSubstr(tensor.name));
    }
    if (vector) {  // norms, biases and factors are F32
      EXPECT_THAT(with(tensor.shape, 1, tensor.data.size() / 2), HasSubstr(tensor.name));
    }
    EXPECT_THAT(with(tensor.shape, 1000, tensor.data.size()), HasSubstr(tensor.name));
  }
}

TEST_P(EachCheckpoint, WhatItDoesNotKnowIsRefusedByName) {
  const auto refused = [&](const GgufWriter& writer, const std::string& what) {
    EXPECT_THAT(load(writer), HasSubstr(what));
  };
  refused(whole.writer().string("general.architecture", "mystery"), "'mystery'");
  refused(whole.writer().u32(prefix + "attention.mystery", 1), prefix + "attention.mystery");
  refused(whole.writer().f32(prefix + "rope.mystery", 1), prefix + "rope.mystery");
  refused(whole.writer().string(prefix + "rope.scaling.type", "mystery"), "'mystery'");
  refused(whole.writer().u32(prefix + "expert_count", 8), prefix + "expert_count");
  refused(whole.writer().f32(prefix + "logit_scale", 0.5F), prefix + "logit_scale");
  refused(whole.writer().f32(prefix + "attn_logit_softcapping", 50.0F), "attn_logit_softcapping");
  refused(whole.writer().boolean(prefix + "attention.causal", false), "attention.causal");
  refused(whole.writer().u32(prefix + "vocab_size", 5), prefix + "vocab_size");
  refused(whole.writer().u32(prefix + "attention.value_length", 6), "value_length");
  const std::string four(16, '\0');
  refused(whole.writer().tensor("blk.0.mystery.weight", {4}, 0, four), "blk.0.mystery.weight");
  refused(whole.writer().tensor("blk.0.attn_output.bias", {4}, 0, four), "blk.0.attn_output.bias");
  if (prefix != "phi3.") {
    refused(whole.writer().string(prefix + "rope.scaling.type", "longrope"), "'longrope'");
    refused(whole.writer().tensor("rope_factors_long.weight", {8}, 0, four + four),
            "rope_factors_long.weight");
  }
}

TEST_P(EachCheckpoint, FactorsThatAreNoFactorsAreRefused) {
  for (const auto& tensor : whole.tensors) {
    if (!tensor.name.starts_with("rope_f")) continue;
    for (const float value : {NAN, INFINITY, 0.0F, -1.0F, 1e-30F, 1e30F}) {
      std::string data = tensor.data;
      std::memcpy(data.data() + 4, &value, sizeof value);
      auto writer = whole.writer();
      writer.remove_tensor(tensor.name);
      writer.tensor(tensor.name, tensor.shape, 0, data);
      const bool in_force = tensor.name != "rope_factors_short.weight";
      if (in_force || std::isnan(value)) {
        EXPECT_THAT(load(writer), HasSubstr(tensor.name)) << value;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Checkpoints, EachCheckpoint, ::testing::ValuesIn(checkpoints()),
                         [](const auto& one) { return one.param; });

ModelShape shape_of(const GgufWriter& writer, const Architecture& architecture) {
  const auto file = Gguf::parse(espalier::testing::mapping_of(writer.finish().bytes), "test.gguf");
  const auto shape = architecture.read_shape(*file, {100, 0});
  if (!shape) {
    ADD_FAILURE() << shape.error().message;
    return {};
  }
  return *shape;
}

GgufWriter gemma3_keys() {
  GgufWriter writer;
  writer.u32("gemma3.block_count", 62).u32("gemma3.context_length", 4096);
  writer.u32("gemma3.embedding_length", 5376).u32("gemma3.feed_forward_length", 21504);
  writer.u32("gemma3.attention.head_count", 32).u32("gemma3.attention.head_count_kv", 16);
  writer.u32("gemma3.attention.key_length", 128).u32("gemma3.attention.value_length", 128);
  writer.f32("gemma3.attention.layer_norm_rms_epsilon", 1e-6F);
  writer.u32("gemma3.attention.sliding_window", 1024);
  return writer;
}

TEST(Gemma3Shape, TheLargestModelScalesQueriesByItsWidth) {
  auto writer = gemma3_keys();
  EXPECT_FLOAT_EQ(shape_of(writer, gemma3_architecture()).query_scale, 1 / std::sqrt(168.0F));
  writer.f32("gemma3.attention.scale", 0.5F);
  EXPECT_FLOAT_EQ(shape_of(writer, gemma3_architecture()).query_scale, 0.5F);
  writer = gemma3_keys();
  writer.u32("gemma3.block_count", 48);
  EXPECT_FLOAT_EQ(shape_of(writer, gemma3_architecture()).query_scale, 1 / std::sqrt(128.0F));
}

TEST(Gemma3Shape, ThePatternIsOfSixLayersOrWhatTheFileSays) {
  auto writer = gemma3_keys();
  ModelShape shape = shape_of(writer, gemma3_architecture());
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    EXPECT_EQ(shape.is_local(layer), layer % 6 != 5) << layer;
  }
  writer.u32("gemma3.attention.sliding_window_pattern", 2);
  shape = shape_of(writer, gemma3_architecture());
  EXPECT_TRUE(shape.is_local(0));
  EXPECT_FALSE(shape.is_local(1));
  // A list: array (9) of bool (7), 62 of them, the second alone local.
  std::string list("\x07\0\0\0\x3E\0\0\0\0\0\0\0", 12);
  list += std::string("\0\x01", 2) + std::string(60, '\0');
  writer.raw("gemma3.attention.sliding_window_pattern", 9, list);
  shape = shape_of(writer, gemma3_architecture());
  EXPECT_FALSE(shape.is_local(0));
  EXPECT_TRUE(shape.is_local(1));
  // Without a window all layers see everything, by the global base.
  writer.u32("gemma3.attention.sliding_window", 0);
  EXPECT_EQ(shape_of(writer, gemma3_architecture()).window, 0U);
}

// Where the fuzzer starts from.
TEST(TinyArchitecture, IsAcceptedAndSmall) {
  for (const Architecture* architecture : architectures()) {
    const espalier::testing::TinyArchitecture tiny{std::string(architecture->name)};
    const std::string bytes = tiny.writer().finish().bytes;
    EXPECT_LT(bytes.size(), 4096U);
    const auto file = Gguf::parse(espalier::testing::mapping_of(bytes), "test.gguf");
    ASSERT_TRUE(file) << file.error().message;
    const auto shape = architecture->read_shape(*file, {7, 0});
    ASSERT_TRUE(shape) << shape.error().message;
    const auto weights = architecture->read_weights(*file, *shape);
    EXPECT_TRUE(weights) << weights.error().message;
  }
}

TEST(LoadOptions, AContextBeyondTheModelsIsRefused) {
  const std::string path =
      espalier::testing::source_folder() + "/tests/runtime/model/fixtures/arch_qwen3.gguf";
  const auto model = Model::load(path, real_system(), {.context = 100});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_EQ((*model)->shape().context, 100U);
  const auto refused = Model::load(path, real_system(), {.context = 1025});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("1025"));
}

}  // namespace
}  // namespace espalier::runtime
