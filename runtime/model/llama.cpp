#include "runtime/model/llama.h"

#include <limits>
#include <set>
#include <string>

namespace espalier::runtime {
namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

// Variants of the architecture that would compute something else with the same weights.
Status refuse_variants(const Gguf& file) {
  if (file.has("llama.rope.scaling.type")) {
    ESP_ASSIGN(const auto type, file.string("llama.rope.scaling.type"));
    if (type != "none") {
      return file.refuse(ErrorCode::kUnsupported, "key 'llama.rope.scaling.type': rope scaling " +
                                                      shown(type) + " is not supported");
    }
  }
  for (const char* key : {"llama.rope.scaling.factor", "llama.rope.scale_linear"}) {
    ESP_ASSIGN(const auto factor, file.number_or(key, 1.0, 0.0, std::numeric_limits<float>::max()));
    // Converters write 0 or 1 where nothing is scaled.
    if (factor != 0.0 && factor != 1.0) {
      return file.refuse(ErrorCode::kUnsupported,
                         "key " + shown(key) + ": rope scaling is not supported");
    }
  }
  ESP_ASSIGN(const auto experts, file.integer_or("llama.expert_count", 0, 0,
                                                 std::numeric_limits<std::uint32_t>::max()));
  if (experts != 0) {
    return file.refuse(ErrorCode::kUnsupported,
                       "key 'llama.expert_count': mixtures of experts are not supported (" +
                           number(experts) + ")");
  }
  if (file.has("llama.attention.sliding_window")) {
    ESP_ASSIGN(const auto window, file.integer("llama.attention.sliding_window", 0, kMaxContext));
    if (window != 0) {
      return file.refuse(
          ErrorCode::kUnsupported,
          "key 'llama.attention.sliding_window': windowed attention is not supported");
    }
  }
  if (file.find("rope_freqs.weight") != nullptr) {
    return file.refuse(ErrorCode::kUnsupported,
                       "tensor 'rope_freqs.weight': rope scaling by factors is not supported");
  }
  return {};
}

Result<ModelShape> read_shape(const Gguf& file, std::uint32_t vocabulary) {
  const auto field = [&file](const char* key, std::uint64_t most) {
    return file.integer(key, 1, most);
  };
  ESP_TRY(refuse_variants(file));
  ESP_ASSIGN(const auto layers, field("llama.block_count", kMaxLayers));
  ESP_ASSIGN(const auto width, field("llama.embedding_length", kMaxWidth));
  ESP_ASSIGN(const auto heads, field("llama.attention.head_count", kMaxHeads));
  ESP_ASSIGN(const auto kv_heads,
             file.integer_or("llama.attention.head_count_kv", heads, 1, heads));
  ESP_ASSIGN(const auto feed_forward, field("llama.feed_forward_length", kMaxFeedForward));
  ESP_ASSIGN(const auto context, field("llama.context_length", kMaxContext));
  if (heads % kv_heads != 0) {
    return file.refuse(ErrorCode::kCorrupt,
                       "key 'llama.attention.head_count_kv': " + number(kv_heads) +
                           " does not divide the " + number(heads) + " heads");
  }
  if (!file.has("llama.attention.key_length") && width % heads != 0) {
    return file.refuse(ErrorCode::kCorrupt, "key 'llama.attention.head_count': " + number(heads) +
                                                " does not divide the width " + number(width));
  }
  ESP_ASSIGN(const auto head_width,
             file.integer_or("llama.attention.key_length", width / heads, 1, kMaxHeadWidth));
  ESP_ASSIGN(const auto value_width,
             file.integer_or("llama.attention.value_length", head_width, 1, kMaxHeadWidth));
  if (value_width != head_width) {
    return file.refuse(ErrorCode::kUnsupported,
                       "key 'llama.attention.value_length': " + number(value_width) +
                           " differs from the keys' " + number(head_width) +
                           ", which is not supported");
  }
  if (head_width > kMaxHeadWidth || head_width % 2 != 0) {
    return file.refuse(ErrorCode::kCorrupt, "heads of width " + number(head_width) +
                                                "; an even number up to " + number(kMaxHeadWidth) +
                                                " is needed");
  }
  ESP_ASSIGN(const auto rope_width,
             file.integer_or("llama.rope.dimension_count", head_width, 2, head_width));
  if (rope_width % 2 != 0) {
    return file.refuse(ErrorCode::kCorrupt,
                       "key 'llama.rope.dimension_count': " + number(rope_width) +
                           " is odd; positions rotate pairs");
  }
  ESP_ASSIGN(const auto rope_base, file.number_or("llama.rope.freq_base", 10000.0, 1.0, 1e12));
  ESP_ASSIGN(const auto epsilon, file.number("llama.attention.layer_norm_rms_epsilon", 1e-12, 1.0));
  ESP_ASSIGN(const auto stated, file.integer_or("llama.vocab_size", vocabulary, 1, kMaxVocabulary));
  if (stated != vocabulary) {
    return file.refuse(ErrorCode::kCorrupt, "key 'llama.vocab_size': " + number(stated) +
                                                ", but the tokenizer has " + number(vocabulary) +
                                                " tokens");
  }
  ModelShape shape;
  shape.architecture = "llama";
  shape.layers = static_cast<std::uint32_t>(layers);
  shape.width = static_cast<std::uint32_t>(width);
  shape.heads = static_cast<std::uint32_t>(heads);
  shape.kv_heads = static_cast<std::uint32_t>(kv_heads);
  shape.head_width = static_cast<std::uint32_t>(head_width);
  shape.feed_forward = static_cast<std::uint32_t>(feed_forward);
  shape.vocabulary = vocabulary;
  shape.context = static_cast<std::uint32_t>(context);
  shape.rope_width = static_cast<std::uint32_t>(rope_width);
  shape.rope_base = static_cast<float>(rope_base);
  shape.norm_epsilon = static_cast<float>(epsilon);
  return shape;
}

// Takes tensors by name and remembers which, so that those nobody asked for can be refused.
class Weights {
 public:
  explicit Weights(const Gguf& file) : file_(file) {}

  [[nodiscard]] Status take(Tensor& into, const std::string& name, std::uint64_t columns,
                            std::uint64_t rows) {
    ESP_ASSIGN(into, file_.tensor(name, columns, rows));
    taken_.insert(name);
    return {};
  }
  // Norms scale activations one by one in fp32, and are stored so.
  [[nodiscard]] Status take_norm(Tensor& into, const std::string& name, std::uint64_t columns) {
    ESP_TRY(take(into, name, columns, 1));
    if (into.type == TensorType::kF32) return {};
    return file_.refuse(ErrorCode::kUnsupported, "tensor " + shown(name) + ": a norm of type " +
                                                     std::string(tensor_traits(into.type)->name) +
                                                     "; F32 is supported");
  }
  [[nodiscard]] Status refuse_rest() const {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (!taken_.contains(tensor.name)) {
        return file_.refuse(
            ErrorCode::kUnsupported,
            "tensor " + shown(tensor.name) + " is not one that architecture 'llama' uses here");
      }
    }
    return {};
  }

 private:
  const Gguf& file_;
  std::set<std::string, std::less<>> taken_;
};

Result<ModelWeights> read_weights(const Gguf& file, const ModelShape& shape) {
  Weights weights(file);
  ModelWeights out;
  const std::uint64_t width = shape.width;
  const std::uint64_t query = std::uint64_t{shape.heads} * shape.head_width;
  const std::uint64_t key = std::uint64_t{shape.kv_heads} * shape.head_width;
  ESP_TRY(weights.take(out.embedding, "token_embd.weight", width, shape.vocabulary));
  for (std::uint32_t layer = 0; layer < shape.layers; ++layer) {
    // Grown one by one: a block count that the file does not hold ends at its first missing tensor.
    LayerWeights& it = out.layers.emplace_back();
    const std::string prefix = "blk." + number(layer) + ".";
    ESP_TRY(weights.take_norm(it.attention_norm, prefix + "attn_norm.weight", width));
    ESP_TRY(weights.take(it.query, prefix + "attn_q.weight", width, query));
    ESP_TRY(weights.take(it.key, prefix + "attn_k.weight", width, key));
    ESP_TRY(weights.take(it.value, prefix + "attn_v.weight", width, key));
    ESP_TRY(weights.take(it.attention_output, prefix + "attn_output.weight", query, width));
    ESP_TRY(weights.take_norm(it.feed_forward_norm, prefix + "ffn_norm.weight", width));
    ESP_TRY(weights.take(it.gate, prefix + "ffn_gate.weight", width, shape.feed_forward));
    ESP_TRY(weights.take(it.up, prefix + "ffn_up.weight", width, shape.feed_forward));
    ESP_TRY(weights.take(it.down, prefix + "ffn_down.weight", shape.feed_forward, width));
  }
  ESP_TRY(weights.take_norm(out.output_norm, "output_norm.weight", width));
  if (file.find("output.weight") != nullptr) {
    ESP_TRY(weights.take(out.output, "output.weight", width, shape.vocabulary));
  } else {
    out.output = out.embedding;
  }
  ESP_TRY(weights.refuse_rest());
  return out;
}

}  // namespace

const Architecture& llama_architecture() {
  static constexpr Architecture kLlama{"llama", read_shape, read_weights};
  return kLlama;
}

}  // namespace espalier::runtime
