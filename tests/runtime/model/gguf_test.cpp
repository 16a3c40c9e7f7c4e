#include "runtime/model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <set>

#include "base/system.h"
#include "runtime/chat/load_chat_template.h"
#include "runtime/model/architecture.h"
#include "runtime/model/half.h"
#include "runtime/model/model.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/data.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"

namespace espalier::runtime {
namespace {

using espalier::testing::GgufWriter;
using espalier::testing::mapping_of;
using espalier::testing::TinyLlama;
using ::testing::HasSubstr;

Result<Gguf> parse(const std::string& bytes) { return Gguf::parse(mapping_of(bytes), "test.gguf"); }

TEST(Gguf, WhatIsWrittenIsRead) {
  GgufWriter writer;
  writer.u32("u", 7).i32("i", -3).f32("f", 1.5F).f64("d", 2.5).boolean("b", true).string("s",
                                                                                         "text");
  writer.strings("ss", {"a", "", "ccc"}).i32s("is", {1, -2}).f32s("fs", {0.5F});
  writer.tensor("t", {4, 2}, 0, std::string(32, 'x'));
  for (const std::uint32_t version : {2U, 3U}) {
    const auto file = parse(writer.finish(version).bytes);
    ASSERT_TRUE(file) << file.error().message;
    EXPECT_EQ(file->integer("u", 0, 10), 7U);
    EXPECT_EQ(file->number("f", 0, 2), 1.5);
    EXPECT_EQ(file->number("d", 0, 3), 2.5);
    EXPECT_EQ(file->boolean("b"), true);
    EXPECT_EQ(file->string("s"), "text");
    EXPECT_EQ(file->strings("ss"), (std::vector<std::string_view>{"a", "", "ccc"}));
    EXPECT_EQ(file->integers("is"), (std::vector<std::int64_t>{1, -2}));
    EXPECT_EQ(file->numbers("fs"), (std::vector<float>{0.5F}));
    const auto tensor = file->tensor("t", 4, 2);
    ASSERT_TRUE(tensor) << tensor.error().message;
    EXPECT_EQ(tensor->data.size(), 32U);
  }
}

// What a loader does with a file: everything is parsed, and every weight's bytes are touched.
std::string load_all(const std::string& bytes) {
  const auto file = parse(bytes);
  if (!file) return file.error().message;
  const auto architecture = find_architecture(*file);
  if (!architecture) return architecture.error().message;
  const auto tokenizer = load_tokenizer(*file);
  if (!tokenizer) return tokenizer.error().message;
  const auto chat = load_chat_template(*file, *tokenizer);
  if (!chat) return chat.error().message;
  const auto shape =
      (*architecture)->read_shape(*file, {static_cast<std::uint32_t>((*tokenizer)->size()), 0});
  if (!shape) return shape.error().message;
  const auto weights = (*architecture)->read_weights(*file, *shape);
  if (!weights) return weights.error().message;
  std::vector<float> row;
  const auto touch = [&row](const Tensor& tensor) {
    row.resize(tensor.columns);
    dequantise_row(tensor, 0, row);
    dequantise_row(tensor, tensor.rows - 1, row);
  };
  touch(weights->embedding);
  touch(weights->output);
  for (const auto& layer : weights->layers) {
    for (const Tensor* tensor :
         {&layer.query, &layer.key, &layer.value, &layer.attention_output, &layer.gate, &layer.up,
          &layer.down, &layer.attention_norm, &layer.feed_forward_norm}) {
      touch(*tensor);
    }
  }
  return "";
}

void expect_clean(const std::string& message, const std::string& what) {
  if (message.empty()) return;
  EXPECT_THAT(message, ::testing::StartsWith("test.gguf")) << what;
  EXPECT_LT(message.size(), 600U) << what;
}

TEST(Gguf, ATinyModelOfEachMatrixTypeLoads) {
  for (const TensorType type : tensor_types()) {
    TinyLlama tiny;
    tiny.matrix_type = static_cast<std::uint32_t>(type);
    tiny.tied = tiny.matrix_type % 2 == 0;
    if (tensor_traits(type)->block_weights == 256) tiny.width = tiny.feed_forward = 256;
    EXPECT_EQ(load_all(tiny.writer().finish().bytes), "") << tensor_traits(type)->name;
  }
}

TEST(GgufMutation, EachIntegerAtEachExtremeIsRefusedOrHarmless) {
  const auto whole = TinyLlama{}.writer().finish();
  const std::uint64_t size = whole.bytes.size();
  const std::uint64_t values[] = {0,
                                  1,
                                  2,
                                  0x7FFFFFFFULL,
                                  0x80000000ULL,
                                  0x80000001ULL,
                                  0xFFFFFFFFULL,
                                  0x100000000ULL,
                                  0x100000001ULL,
                                  0x7FFFFFFFFFFFFFFFULL,
                                  0x8000000000000000ULL,
                                  0xFFFFFFFFFFFFFFFFULL,
                                  0xFFFFFFFFFFFFFFE0ULL,
                                  size - 1,
                                  size,
                                  size + 1};
  std::size_t refused = 0;
  std::set<std::string> seen;  // one length field of each array stands for the rest
  for (const auto& field : whole.fields) {
    if (field.what.find("element's length") != std::string::npos && !seen.insert(field.what).second)
      continue;
    for (const std::uint64_t value : values) {
      std::string bytes = whole.bytes;
      std::memcpy(bytes.data() + field.offset, &value, field.width);
      const std::string message = load_all(bytes);
      expect_clean(message, field.what + " = " + std::to_string(value));
      if (!message.empty()) ++refused;
    }
  }
  EXPECT_GT(refused, 500U);
}

TEST(GgufMutation, ATruncatedFileIsRefusedWhereverItEnds) {
  TinyLlama tiny;
  tiny.layers = 1;
  tiny.chat = false;
  const auto whole = tiny.writer().finish();
  std::vector<std::size_t> ends;
  for (std::size_t end = 0; end <= whole.header_end; ++end) ends.push_back(end);
  for (const std::size_t edge : whole.tensor_edges) {
    for (const std::size_t end : {edge - 1, edge, edge + 1}) ends.push_back(end);
  }
  for (const std::size_t end : ends) {
    if (end >= whole.bytes.size()) continue;
    const auto file = parse(whole.bytes.substr(0, end));
    ASSERT_FALSE(file) << "cut at " << end;
    expect_clean(file.error().message, "cut");
  }
  EXPECT_EQ(load_all(whole.bytes), "");
}

TEST(GgufMutation, FlippedBitsOfTheHeaderAreRefusedOrHarmless) {
  TinyLlama tiny;
  tiny.layers = 1;
  const auto whole = tiny.writer().finish();
  const RandomKey key(20260101);
  for (std::uint64_t i = 0; i < 3000; ++i) {
    std::string bytes = whole.bytes;
    const auto bits = key.bits(i);
    for (std::uint32_t flips = 0; flips <= bits[2] % 3; ++flips) {
      const std::size_t at = (bits[0] + flips * 7919U) % whole.header_end;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << (bits[1] % 8)));
    }
    expect_clean(load_all(bytes), "flip " + std::to_string(i));
  }
}

TEST(Gguf, KeysAndTensorsAreUnique) {
  GgufWriter keys;
  keys.u32("a", 1).u32("b", 1);
  std::string bytes = keys.finish().bytes;
  bytes[bytes.rfind('b')] = 'a';
  EXPECT_THAT(parse(bytes).error().message, HasSubstr("key 'a' occurs twice"));
  GgufWriter tensors;
  tensors.tensor("t", {8}, 0, std::string(32, 'x')).tensor("t", {8}, 0, std::string(32, 'x'));
  EXPECT_THAT(parse(tensors.finish().bytes).error().message, HasSubstr("tensor 't' occurs twice"));
}

TEST(Gguf, TensorsDoNotOverlap) {
  GgufWriter writer;
  writer.tensor("a", {16}, 0, std::string(64, 'x')).tensor("b", {8}, 0, std::string(32, 'x'));
  const auto file = writer.finish();
  for (const auto& field : file.fields) {
    if (field.what != "b offset") continue;
    for (const std::uint64_t offset : {0ULL, 32ULL}) {
      std::string bytes = file.bytes;
      std::memcpy(bytes.data() + field.offset, &offset, 8);
      EXPECT_THAT(parse(bytes).error().message, HasSubstr("overlap"));
    }
    std::string bytes = file.bytes;
    const std::uint64_t odd = 65;
    std::memcpy(bytes.data() + field.offset, &odd, 8);
    EXPECT_THAT(parse(bytes).error().message, HasSubstr("not a multiple of the alignment"));
  }
}

TEST(Gguf, ExtentsWhoseProductWrapsAreRefused) {
  const std::uint64_t big = std::uint64_t{1} << 32;
  for (const auto& shape : std::vector<std::vector<std::uint64_t>>{{big, big},
                                                                   {big, big, 2},
                                                                   {big * 2, big / 2, 1, 2},
                                                                   {~0ULL, ~0ULL},
                                                                   {32, big, big, big},
                                                                   {~0ULL / 32 * 32}}) {
    for (const std::uint32_t type : {0U, 2U, 8U}) {
      GgufWriter writer;
      writer.tensor("t", shape, type, std::string(64, 'x'));
      const auto file = parse(writer.finish().bytes);
      ASSERT_FALSE(file);
      EXPECT_THAT(file.error().message, HasSubstr("tensor 't'"));
    }
  }
}

TEST(Gguf, WhatIsNotSupportedIsNamed) {
  EXPECT_THAT(parse("GGML").error().message, HasSubstr("not a GGUF file"));
  EXPECT_THAT(parse("").error().message, HasSubstr("header"));
  const GgufWriter empty;
  EXPECT_THAT(parse(empty.finish(1).bytes).error().message, HasSubstr("version 1"));
  EXPECT_THAT(parse(empty.finish(0x03000000).bytes).error().message, HasSubstr("big-endian"));
  GgufWriter nested;
  nested.raw("n", 9, std::string("\x09\0\0\0\x01\0\0\0\0\0\0\0", 12));
  EXPECT_EQ(parse(nested.finish().bytes).error().code, ErrorCode::kUnsupported);
  GgufWriter other;
  other.tensor("t", {256}, 16, std::string(66, 'x'));
  const auto file = parse(other.finish().bytes);
  ASSERT_TRUE(file) << file.error().message;  // only asking for the tensor fails
  EXPECT_THAT(file->tensor("t", 256, 1).error().message, HasSubstr("IQ2_XXS"));
}

TEST(Gguf, GettersCheckTypeAndRange) {
  GgufWriter writer;
  writer.u32("u", 7)
      .i32("minus", -1)
      .f32("nan", NAN)
      .string("s", "x")
      .raw("bool", 7, "\x01")
      .u64("huge", ~0ULL);
  const auto file = parse(writer.finish().bytes);
  ASSERT_TRUE(file);
  EXPECT_EQ(file->integer("absent", 0, 1).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(file->integer_or("absent", 5, 0, 1).value(), 5U);
  EXPECT_THAT(file->integer("u", 8, 9).error().message, HasSubstr("7 is not in 8 to 9"));
  EXPECT_THAT(file->integer("minus", 0, ~0ULL).error().message, HasSubstr("-1"));
  EXPECT_THAT(file->integer("s", 0, 1).error().message, HasSubstr("expected an integer"));
  EXPECT_EQ(file->number("nan", -1, 1).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(file->integer("huge", 0, ~0ULL).value(), ~0ULL);
  EXPECT_EQ(file->strings("s").error().code, ErrorCode::kCorrupt);
  GgufWriter bad;
  bad.raw("b", 7, "\x02");
  EXPECT_THAT(parse(bad.finish().bytes).error().message, HasSubstr("neither 0 nor 1"));
}

TEST(LlamaShape, EveryHyperParameterIsChecked) {
  struct Case {
    const char* key;
    std::function<void(GgufWriter&)> change;
  };
  const Case cases[] = {
      {"block_count", [](GgufWriter& w) { w.u32("llama.block_count", 0); }},
      {"block_count", [](GgufWriter& w) { w.u32("llama.block_count", 0xFFFFFFFF); }},
      {"blk.2.attn_norm", [](GgufWriter& w) { w.u32("llama.block_count", 3); }},
      {"blk.1.", [](GgufWriter& w) { w.u32("llama.block_count", 1); }},
      {"embedding_length", [](GgufWriter& w) { w.i32("llama.embedding_length", -1); }},
      {"token_embd",
       [](GgufWriter& w) {
         w.u32("llama.embedding_length", 128).u32("llama.rope.dimension_count", 16);
       }},
      {"head_count", [](GgufWriter& w) { w.u32("llama.attention.head_count", 0); }},
      {"head_count", [](GgufWriter& w) { w.u32("llama.attention.head_count", 3); }},
      {"head_count_kv", [](GgufWriter& w) { w.u32("llama.attention.head_count_kv", 3); }},
      {"head_count_kv", [](GgufWriter& w) { w.u32("llama.attention.head_count_kv", 5); }},
      {"feed_forward_length", [](GgufWriter& w) { w.u64("llama.feed_forward_length", ~0ULL); }},
      {"ffn_gate", [](GgufWriter& w) { w.u32("llama.feed_forward_length", 64); }},
      {"context_length", [](GgufWriter& w) { w.u32("llama.context_length", 0); }},
      {"dimension_count", [](GgufWriter& w) { w.u32("llama.rope.dimension_count", 3); }},
      {"dimension_count", [](GgufWriter& w) { w.u32("llama.rope.dimension_count", 128); }},
      {"freq_base", [](GgufWriter& w) { w.f32("llama.rope.freq_base", NAN); }},
      {"freq_base", [](GgufWriter& w) { w.f32("llama.rope.freq_base", INFINITY); }},
      {"rms_epsilon", [](GgufWriter& w) { w.f32("llama.attention.layer_norm_rms_epsilon", 0.0F); }},
      {"rms_epsilon", [](GgufWriter& w) { w.remove("llama.attention.layer_norm_rms_epsilon"); }},
      {"vocab_size", [](GgufWriter& w) { w.u32("llama.vocab_size", 5); }},
      {"'ntk'", [](GgufWriter& w) { w.string("llama.rope.scaling.type", "ntk"); }},
      {"scaling.factor", [](GgufWriter& w) { w.f32("llama.rope.scaling.factor", 0.5F); }},
      {"yarn_beta_fast",
       [](GgufWriter& w) {
         w.string("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.yarn_beta_fast", 0.5F);
       }},
      {"value_length", [](GgufWriter& w) { w.u32("llama.attention.value_length", 8); }},
      {"expert", [](GgufWriter& w) { w.u32("llama.expert_count", 8); }},
      {"'mystery'", [](GgufWriter& w) { w.string("general.architecture", "mystery"); }},
      {"attn_q.bias",
       [](GgufWriter& w) { w.tensor("blk.0.attn_q.bias", {32}, 0, std::string(128, 0)); }},
      {"rope_freqs",
       [](GgufWriter& w) { w.tensor("rope_freqs.weight", {8}, 0, std::string(32, 0)); }},
      {"output_norm", [](GgufWriter& w) { w.remove_tensor("output_norm.weight"); }},
  };
  for (const auto& it : cases) {
    auto writer = TinyLlama{}.writer();
    it.change(writer);
    const std::string message = load_all(writer.finish().bytes);
    EXPECT_THAT(message, HasSubstr(it.key));
    expect_clean(message, it.key);
  }
}

TEST(Model, LoadsTheDefaultModel) {
  const auto path = testing::default_model();
  if (!path) GTEST_SKIP() << "no default model";
  const auto model = Model::load(*path, real_system());
  ASSERT_TRUE(model) << model.error().message;
  const ModelShape& shape = (*model)->shape();
  EXPECT_EQ(shape.layers, 30U);
  EXPECT_EQ(shape.heads, 9U);
  EXPECT_EQ(shape.kv_heads, 3U);
  EXPECT_EQ(shape.head_width, 64U);
  EXPECT_EQ(shape.rope.base, 100000.0F);
  EXPECT_EQ((*model)->weights().output.data.data(), (*model)->weights().embedding.data.data());
  EXPECT_EQ((*model)->tokenizer()->size(), shape.vocabulary);
  EXPECT_EQ((*model)->chat_template()->family(), "chatml");
}

TEST(Model, AMissingFileAndAFolderAreNamed) {
  EXPECT_EQ(Model::load("/absent.gguf", real_system()).error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(Model::load("/", real_system()));
}

TEST(Half, EveryPatternSurvivesTheRoundTrip) {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float wide = half_to_float(half);
    const float brain = bfloat16_to_float(half);
    const float wide_again = half_to_float(float_to_half(wide));
    const float brain_again = bfloat16_to_float(float_to_bfloat16(brain));
    EXPECT_TRUE(std::isnan(wide) ? std::isnan(wide_again) : float_to_half(wide) == half) << bits;
    EXPECT_TRUE(std::isnan(brain) ? std::isnan(brain_again) : float_to_bfloat16(brain) == half)
        << bits;
    // Against the definition: sign, exponent, fraction.
    const int exponent = static_cast<int>((bits >> 10) & 31);
    if (exponent == 31) continue;
    const double fraction = static_cast<double>(bits & 1023) / 1024 + (exponent > 0 ? 1 : 0);
    const double value = std::ldexp(fraction, std::max(exponent, 1) - 15);
    EXPECT_EQ(static_cast<double>(wide), (bits & 0x8000) != 0 ? -value : value);
  }
}

TEST(Half, NarrowingGoesToTheNearestTiesToEven) {
  for (std::uint32_t bits = 0; bits < 0x7BFF; ++bits) {
    const double low = half_to_float(static_cast<std::uint16_t>(bits));
    const double high = half_to_float(static_cast<std::uint16_t>(bits + 1));
    const auto middle = static_cast<float>((low + high) / 2);  // exact
    EXPECT_EQ(float_to_half(middle), bits + (bits & 1));
    EXPECT_EQ(float_to_half(std::nextafter(middle, 0.0F)), bits);
    EXPECT_EQ(float_to_half(std::nextafter(middle, INFINITY)), bits + 1);
  }
  EXPECT_EQ(float_to_half(65520.0F), 0x7C00);
  EXPECT_EQ(float_to_half(65519.0F), 0x7BFF);
  EXPECT_EQ(float_to_half(-1e30F), 0xFC00);
}

}  // namespace
}  // namespace espalier::runtime
