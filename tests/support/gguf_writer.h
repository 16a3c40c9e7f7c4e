// Writes GGUF version 3 files for tests, and makes a tiny random llama model with a byte-level
// vocabulary.
//
// The writer also tells where each integer of the header lies and where each tensor starts and
// ends, so that a test can change any of them. Everything is in memory; write_file() puts it on
// disk.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "runtime/model/random_weights.h"

namespace espalier::testing {

class GgufWriter {
 public:
  /// A place in the finished file that holds an unsigned integer of `width` bytes.
  struct Field {
    std::size_t offset = 0;
    std::size_t width = 0;
    std::string what;
  };
  struct File {
    std::string bytes;
    std::vector<Field> fields;
    std::size_t header_end = 0;             // where the tensor records end
    std::vector<std::size_t> tensor_edges;  // offsets where a tensor's data starts or ends
  };

  GgufWriter& u32(const std::string& key, std::uint32_t value) { return scalar(key, 4, value); }
  GgufWriter& i32(const std::string& key, std::int32_t value) { return scalar(key, 5, value); }
  GgufWriter& u64(const std::string& key, std::uint64_t value) { return scalar(key, 10, value); }
  GgufWriter& f32(const std::string& key, float value) { return scalar(key, 6, value); }
  GgufWriter& f64(const std::string& key, double value) { return scalar(key, 12, value); }
  GgufWriter& boolean(const std::string& key, bool value) {
    return scalar(key, 7, static_cast<std::uint8_t>(value));
  }
  GgufWriter& string(const std::string& key, const std::string& value) {
    Key& it = start(key, 8);
    put_string(it.value, it.fields, value, key + " length");
    return *this;
  }
  GgufWriter& strings(const std::string& key, const std::vector<std::string>& values) {
    Key& it = start_array(key, 8, values.size());
    for (const auto& value : values)
      put_string(it.value, it.fields, value, key + " element's length");
    return *this;
  }
  GgufWriter& i32s(const std::string& key, const std::vector<std::int32_t>& values) {
    Key& it = start_array(key, 5, values.size());
    for (const auto value : values) put(it.value, value);
    return *this;
  }
  GgufWriter& f32s(const std::string& key, const std::vector<float>& values) {
    Key& it = start_array(key, 6, values.size());
    for (const auto value : values) put(it.value, value);
    return *this;
  }
  /// A key with any bytes as its type and value.
  GgufWriter& raw(const std::string& key, std::uint32_t type, std::string value) {
    start(key, type).value += value;
    return *this;
  }
  GgufWriter& remove(const std::string& key) {
    std::erase_if(keys_, [&](const Key& it) { return it.name == key; });
    return *this;
  }
  GgufWriter& tensor(const std::string& name, std::vector<std::uint64_t> shape, std::uint32_t type,
                     std::string data) {
    tensors_.push_back({name, std::move(shape), type, std::move(data)});
    return *this;
  }
  GgufWriter& remove_tensor(const std::string& name) {
    std::erase_if(tensors_, [&](const Stored& it) { return it.name == name; });
    return *this;
  }

  [[nodiscard]] File finish(std::uint32_t version = 3, std::uint64_t alignment = 32) const {
    File file;
    std::string& out = file.bytes;
    const auto field = [&](auto value, const std::string& what) {
      file.fields.push_back({out.size(), sizeof value, what});
      put(out, value);
    };
    out = "GGUF";
    field(version, "version");
    field(std::uint64_t{tensors_.size()}, "tensor count");
    field(std::uint64_t{keys_.size()}, "key count");
    for (const Key& key : keys_) {
      field(std::uint64_t{key.name.size()}, key.name + " name length");
      out += key.name;
      field(key.type, key.name + " type");
      for (const Field& inner : key.fields) {
        file.fields.push_back({out.size() + inner.offset, inner.width, inner.what});
      }
      out += key.value;
    }
    std::uint64_t offset = 0;
    for (const Stored& tensor : tensors_) {
      field(std::uint64_t{tensor.name.size()}, tensor.name + " name length");
      out += tensor.name;
      field(static_cast<std::uint32_t>(tensor.shape.size()), tensor.name + " dimensions");
      for (const auto extent : tensor.shape) field(extent, tensor.name + " extent");
      field(tensor.type, tensor.name + " type");
      field(offset, tensor.name + " offset");
      offset = (offset + tensor.data.size() + alignment - 1) / alignment * alignment;
    }
    file.header_end = out.size();
    for (const Stored& tensor : tensors_) {
      out.resize((out.size() + alignment - 1) / alignment * alignment);
      file.tensor_edges.push_back(out.size());
      out += tensor.data;
      file.tensor_edges.push_back(out.size());
    }
    return file;
  }

 private:
  struct Key {
    std::string name;
    std::uint32_t type = 0;
    std::string value;
    std::vector<Field> fields;  // offsets from the value's start
  };
  struct Stored {
    std::string name;
    std::vector<std::uint64_t> shape;
    std::uint32_t type = 0;
    std::string data;
  };

  template <class T>
  static void put(std::string& out, T value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void put_string(std::string& out, std::vector<Field>& fields, const std::string& value,
                         const std::string& what) {
    fields.push_back({out.size(), 8, what});
    put(out, std::uint64_t{value.size()});
    out += value;
  }
  Key& start(const std::string& key, std::uint32_t type) {
    remove(key);
    return keys_.emplace_back(Key{key, type, {}, {}});
  }
  Key& start_array(const std::string& key, std::uint32_t element, std::uint64_t count) {
    Key& it = start(key, 9);
    it.fields.push_back({0, 4, key + " element type"});
    put(it.value, element);
    it.fields.push_back({4, 8, key + " count"});
    put(it.value, count);
    return it;
  }
  template <class T>
  GgufWriter& scalar(const std::string& key, std::uint32_t type, T value) {
    Key& it = start(key, type);
    it.fields.push_back({0, sizeof value, key});
    put(it.value, value);
    return *this;
  }

  std::vector<Key> keys_;
  std::vector<Stored> tensors_;
};

/// The 256 one-byte tokens in the byte-level alphabet (GPT-2's), by byte.
inline std::vector<std::string> byte_level_alphabet() {
  std::vector<std::string> out(256);
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const std::uint32_t code = printable ? byte : next++;
    if (code < 0x80) {
      out[byte] = std::string(1, static_cast<char>(code));
    } else {
      out[byte] = {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
    }
  }
  return out;
}

struct TinyLlama {
  std::uint32_t layers = 2;
  std::uint32_t width = 64;
  std::uint32_t heads = 4;
  std::uint32_t kv_heads = 2;
  std::uint32_t feed_forward = 96;
  std::uint32_t context = 512;
  std::uint32_t window = 0;       // of attention; 0: none
  std::uint32_t matrix_type = 0;  // ggml's number, of any type; the widths fit its blocks
  bool tied = true;
  bool chat = true;  // with ChatML's tokens and template
  std::uint64_t seed = 1;

  /// Tokens: 3 control tokens ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), the 256 bytes, then
  /// a few merges.
  [[nodiscard]] GgufWriter writer() const {
    GgufWriter out;
    out.string("general.architecture", "llama").string("general.name", "tiny random llama");
    out.u32("llama.block_count", layers).u32("llama.context_length", context);
    out.u32("llama.embedding_length", width).u32("llama.feed_forward_length", feed_forward);
    out.u32("llama.attention.head_count", heads).u32("llama.attention.head_count_kv", kv_heads);
    out.f32("llama.rope.freq_base", 10000.0F).f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
    out.u32("llama.rope.dimension_count", width / heads);
    if (window != 0) out.u32("llama.attention.sliding_window", window);
    add_vocabulary(out);

    const std::uint64_t head = width / heads;
    std::uint64_t number = 0;
    const auto matrix = [&](const std::string& name, std::uint64_t columns, std::uint64_t rows) {
      out.tensor(name, {columns, rows}, matrix_type,
                 random_rows(columns, rows, RandomKey(seed).with(number++)));
    };
    const auto norm = [&](const std::string& name) {
      out.tensor(name, {width}, 0, random_norm(RandomKey(seed).with(number++)));
    };
    matrix("token_embd.weight", width, vocabulary());
    for (std::uint32_t layer = 0; layer < layers; ++layer) {
      const std::string prefix = "blk." + std::to_string(layer) + ".";
      norm(prefix + "attn_norm.weight");
      matrix(prefix + "attn_q.weight", width, width);
      matrix(prefix + "attn_k.weight", width, head * kv_heads);
      matrix(prefix + "attn_v.weight", width, head * kv_heads);
      matrix(prefix + "attn_output.weight", width, width);
      norm(prefix + "ffn_norm.weight");
      matrix(prefix + "ffn_gate.weight", width, feed_forward);
      matrix(prefix + "ffn_up.weight", width, feed_forward);
      matrix(prefix + "ffn_down.weight", feed_forward, width);
    }
    norm("output_norm.weight");
    if (!tied) matrix("output.weight", width, vocabulary());
    return out;
  }

  [[nodiscard]] static std::vector<std::pair<std::string, std::string>> merges() {
    return {{"t", "h"},  {"th", "e"},       {"i", "n"},         {"a", "n"},
            {"an", "d"}, {"\xC4\xA0", "a"}, {"\xC4\xA0", "the"}};
  }
  [[nodiscard]] static std::uint32_t vocabulary() {
    return 3 + 256 + static_cast<std::uint32_t>(merges().size());
  }

 private:
  void add_vocabulary(GgufWriter& out) const {
    std::vector<std::string> tokens{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    for (auto& token : byte_level_alphabet()) tokens.push_back(std::move(token));
    std::vector<std::string> rules;
    for (const auto& [left, right] : merges()) {
      tokens.push_back(left + right);
      rules.push_back(left + " " + right);
    }
    std::vector<std::int32_t> types(tokens.size(), 1);
    types[0] = types[1] = types[2] = 3;
    out.string("tokenizer.ggml.model", "gpt2").string("tokenizer.ggml.pre", "smollm");
    out.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
    out.strings("tokenizer.ggml.merges", rules);
    out.u32("tokenizer.ggml.bos_token_id", 1).u32("tokenizer.ggml.eos_token_id", chat ? 2 : 0);
    out.boolean("tokenizer.ggml.add_bos_token", false);
    if (chat) {
      out.string("tokenizer.chat_template",
                 "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
                 "message['content'] + "
                 "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ "
                 "'<|im_start|>assistant\n' }}"
                 "{% endif %}");
    }
  }

  [[nodiscard]] std::string random_rows(std::uint64_t columns, std::uint64_t rows,
                                        RandomKey key) const {
    return runtime::random_rows(static_cast<runtime::TensorType>(matrix_type), columns, rows, key);
  }
  [[nodiscard]] std::string random_norm(RandomKey key) const {
    return runtime::random_norm(width, key);
  }
};

inline void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace espalier::testing
