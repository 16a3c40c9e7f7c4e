// The smallest model of each architecture that its reader accepts: every key and tensor that it
// asks for, and weights of 0. About 3 KB in F32, so that a fuzzer can start from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/model/tensor.h"
#include "tests/support/gguf_writer.h"

namespace espalier::testing {

struct TinyArchitecture {
  std::string name;
  std::uint32_t matrix_type = 0;  // ggml's number
  std::uint32_t width = 4;        // a multiple of the type's block
  bool sentencepiece = false;     // or byte-level BPE
  bool chat = false;              // with ChatML's template; byte-level BPE

  [[nodiscard]] GgufWriter writer() const {
    GgufWriter out;
    add_keys(out);
    add_vocabulary(out);
    const std::uint64_t query = std::uint64_t{2} * width;
    const std::uint64_t tokens = vocabulary().size();
    const bool gemma = name == "gemma3";
    const bool phi = name == "phi3";
    matrix(out, "token_embd.weight", width, tokens);
    vector(out, "blk.0.attn_norm.weight", width);
    if (phi) {
      matrix(out, "blk.0.attn_qkv.weight", width, 2 * query);
    } else {
      matrix(out, "blk.0.attn_q.weight", width, query);
      matrix(out, "blk.0.attn_k.weight", width, width);
      matrix(out, "blk.0.attn_v.weight", width, width);
    }
    if (name == "qwen2") {
      vector(out, "blk.0.attn_q.bias", query);
      vector(out, "blk.0.attn_k.bias", width);
      vector(out, "blk.0.attn_v.bias", width);
    }
    if (name == "qwen3" || gemma) {
      vector(out, "blk.0.attn_q_norm.weight", width);
      vector(out, "blk.0.attn_k_norm.weight", width);
    }
    matrix(out, "blk.0.attn_output.weight", query, width);
    if (gemma) vector(out, "blk.0.post_attention_norm.weight", width);
    vector(out, "blk.0.ffn_norm.weight", width);
    if (!phi) matrix(out, "blk.0.ffn_gate.weight", width, width);
    matrix(out, "blk.0.ffn_up.weight", width, phi ? 2 * width : width);
    matrix(out, "blk.0.ffn_down.weight", width, width);
    if (gemma) vector(out, "blk.0.post_ffw_norm.weight", width);
    vector(out, "output_norm.weight", width);
    if (name == "llama") vector(out, "rope_freqs.weight", width / 2);
    if (phi) {
      vector(out, "rope_factors_long.weight", width / 2);
      vector(out, "rope_factors_short.weight", width / 2);
    }
    return out;
  }

 private:
  void add_keys(GgufWriter& out) const {
    const auto key = [&](const char* rest) { return name + "." + rest; };
    out.string("general.architecture", name);
    out.u32(key("block_count"), 1).u32(key("context_length"), 64);
    out.u32(key("embedding_length"), width).u32(key("feed_forward_length"), width);
    out.u32(key("attention.head_count"), 2).u32(key("attention.head_count_kv"), 1);
    out.u32(key("attention.key_length"), width).u32(key("attention.value_length"), width);
    out.f32(key("attention.layer_norm_rms_epsilon"), 1e-5F).f32(key("rope.freq_base"), 1000.0F);
    if (name == "gemma3") {
      out.u32(key("attention.sliding_window"), 8).u32(key("attention.sliding_window_pattern"), 2);
      out.string(key("rope.scaling.type"), "linear").f32(key("rope.scaling.factor"), 2.0F);
    } else if (name == "phi3") {
      out.string(key("rope.scaling.type"), "longrope").f32(key("rope.scaling.attn_factor"), 1.1F);
      out.u32(key("rope.scaling.original_context_length"), 16);
    } else {
      out.string(key("rope.scaling.type"), "yarn").f32(key("rope.scaling.factor"), 2.0F);
      out.u32(key("rope.scaling.original_context_length"), 32);
    }
    if (name == "mistral3") out.f32(key("attention.temperature_scale"), 0.1F);
  }

  [[nodiscard]] std::vector<std::string> vocabulary() const {
    std::vector<std::string> tokens{"<unk>", "<|im_start|>", "<|im_end|>"};
    if (chat) {  // turns are spelled with many bytes
      for (const std::string& byte : byte_level_alphabet()) tokens.push_back(byte);
    } else if (sentencepiece) {
      for (const char* piece : {"b", "\xE2\x96\x81"}) tokens.emplace_back(piece);
    } else {
      for (const char* piece : {"b", "c"}) tokens.emplace_back(piece);
    }
    if (!chat) tokens.emplace_back("a");
    tokens.emplace_back("ab");
    return tokens;
  }
  void add_vocabulary(GgufWriter& out) const {
    const auto tokens = vocabulary();
    std::vector<std::int32_t> types(tokens.size(), 1);
    types[0] = sentencepiece ? 2 : 3;
    types[1] = types[2] = 3;
    out.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
    if (sentencepiece) {
      out.string("tokenizer.ggml.model", "llama");
      std::vector<float> scores;
      for (std::size_t i = 0; i < tokens.size(); ++i) scores.push_back(-static_cast<float>(i));
      out.f32s("tokenizer.ggml.scores", scores);
    } else {
      out.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "gpt-2");
      out.strings("tokenizer.ggml.merges", {"a b"});
    }
    out.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", 2);
    if (chat) {
      out.string("tokenizer.chat_template",
                 "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
                 "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}");
    }
  }

  void matrix(GgufWriter& out, const std::string& tensor, std::uint64_t columns,
              std::uint64_t rows) const {
    const auto* traits = runtime::tensor_traits(static_cast<runtime::TensorType>(matrix_type));
    out.tensor(tensor, {columns, rows}, matrix_type,
               std::string(columns / traits->block_weights * traits->block_bytes * rows, '\0'));
  }
  // Of ones.
  static void vector(GgufWriter& out, const std::string& tensor, std::uint64_t columns) {
    const std::vector<float> ones(columns, 1.0F);
    out.tensor(tensor, {columns}, 0,
               {reinterpret_cast<const char*>(ones.data()), columns * sizeof(float)});
  }
};

}  // namespace espalier::testing
