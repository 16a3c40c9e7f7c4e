#include "runtime/model/random_model.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/utf8.h"
#include "runtime/model/architecture.h"
#include "runtime/model/hyper_parameters.h"
#include "runtime/model/random_weights.h"

namespace espalier::runtime {
namespace {

// name, architecture, layers, width, heads, kv_heads, head_width, feed_forward, vocabulary,
// context, tied, rope_base, window
const RandomShape kShapes[] = {
    {"smollm2-135m", "llama", 30, 576, 9, 3, 64, 1536, 49152, 8192, true, 1e5F, 0},
    {"llama-3.2-1b", "llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, true, 5e5F, 0},
    {"llama-3.1-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, false, 5e5F, 0},
    {"mistral-7b", "llama", 32, 4096, 32, 8, 128, 14336, 32768, 32768, false, 1e6F, 0},
    {"qwen2.5-0.5b", "qwen2", 24, 896, 14, 2, 64, 4864, 151936, 32768, true, 1e6F, 0},
    {"qwen2.5-7b", "qwen2", 28, 3584, 28, 4, 128, 18944, 152064, 131072, false, 1e6F, 0},
    {"qwen3-0.6b", "qwen3", 28, 1024, 16, 8, 128, 3072, 151936, 40960, true, 1e6F, 0},
    {"qwen3-8b", "qwen3", 36, 4096, 32, 8, 128, 12288, 151936, 40960, false, 1e6F, 0},
    {"gemma-3-270m", "gemma3", 18, 640, 4, 1, 256, 2048, 262144, 32768, true, 1e6F, 512},
    {"gemma-3-1b", "gemma3", 26, 1152, 4, 1, 256, 6912, 262144, 32768, true, 1e6F, 512},
    {"phi-3-mini", "phi3", 32, 3072, 32, 32, 96, 8192, 32064, 4096, false, 1e4F, 0},
};

constexpr std::uint32_t kControlTokens = 3;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// What llama.cpp's quantiser takes for rows that are no multiple of 256 weights.
TensorType fitting(TensorType type, std::uint64_t columns) {
  if (columns % tensor_traits(type)->block_weights == 0) return type;
  switch (type) {
    case TensorType::kQ2_K:
    case TensorType::kQ3_K:
    case TensorType::kIQ4_XS:
      return fitting(TensorType::kIQ4_NL, columns);
    case TensorType::kQ4_K:
      return fitting(TensorType::kQ5_0, columns);
    case TensorType::kQ5_K:
      return fitting(TensorType::kQ5_1, columns);
    case TensorType::kQ6_K:
      return fitting(TensorType::kQ8_0, columns);
    default:
      return TensorType::kF16;
  }
}

// Whether a layer of Q4_K_M keeps more bits: the first and last eighth, and every third between.
bool keeps_more_bits(std::uint32_t layer, std::uint32_t layers) {
  const std::uint32_t eighth = layers / 8;
  return layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
}

class Planner {
 public:
  explicit Planner(const RandomModel& model) : model_(model), shape_(model.shape) {}

  Result<GgufWriter> plan() {
    ESP_TRY(check());
    add_keys();
    add_vocabulary();
    add_tensors();
    return std::move(out_);
  }

 private:
  [[nodiscard]] Status check() {
    const auto within = [](const char* what, std::uint64_t value, std::uint64_t least,
                           std::uint64_t most) -> Status {
      if (value >= least && value <= most) return {};
      return fail(ErrorCode::kInvalid, std::string(what) + " " + std::to_string(value) +
                                           " is not in " + std::to_string(least) + " to " +
                                           std::to_string(most));
    };
    const auto known = architectures();
    if (std::none_of(known.begin(), known.end(),
                     [&](const Architecture* it) { return it->name == shape_.architecture; })) {
      std::string names;
      for (const Architecture* it : known) names += " " + std::string(it->name);
      return fail(ErrorCode::kInvalid,
                  "no architecture '" + shape_.architecture + "'; there are" + names);
    }
    if (model_.vocabulary != nullptr) {
      ESP_ASSIGN(const auto tokens, model_.vocabulary->strings("tokenizer.ggml.tokens"));
      shape_.vocabulary = static_cast<std::uint32_t>(tokens.size());
    }
    ESP_TRY(within("layers", shape_.layers, 1, kMaxLayers));
    ESP_TRY(within("width", shape_.width, 1, kMaxWidth));
    ESP_TRY(within("heads", shape_.heads, 1, kMaxHeads));
    ESP_TRY(within("heads of keys and values", shape_.kv_heads, 1, shape_.heads));
    ESP_TRY(within("head width", shape_.head_width, 2, kMaxHeadWidth));
    ESP_TRY(within("feed-forward width", shape_.feed_forward, 1, kMaxFeedForward));
    ESP_TRY(within("vocabulary", shape_.vocabulary, kControlTokens + 256, kMaxVocabulary));
    ESP_TRY(within("context", shape_.context, 1, kMaxContext));
    if (shape_.heads % shape_.kv_heads != 0) {
      return fail(ErrorCode::kInvalid, std::to_string(shape_.kv_heads) +
                                           " heads of keys and values do not divide " +
                                           std::to_string(shape_.heads) + " heads");
    }
    if (shape_.head_width % 2 != 0)
      return fail(ErrorCode::kInvalid,
                  "head width " + std::to_string(shape_.head_width) + " is odd");
    return {};
  }

  void add_keys() {
    const auto key = [&](const char* rest) { return shape_.architecture + "." + rest; };
    out_.string("general.architecture", shape_.architecture);
    out_.string("general.name",
                "random " + (shape_.name.empty() ? shape_.architecture : std::string(shape_.name)));
    out_.integer(key("block_count"), shape_.layers);
    out_.integer(key("context_length"), shape_.context);
    out_.integer(key("embedding_length"), shape_.width);
    out_.integer(key("feed_forward_length"), shape_.feed_forward);
    out_.integer(key("attention.head_count"), shape_.heads);
    out_.integer(key("attention.head_count_kv"), shape_.kv_heads);
    out_.integer(key("attention.key_length"), shape_.head_width);
    out_.integer(key("attention.value_length"), shape_.head_width);
    out_.integer(key("rope.dimension_count"), shape_.head_width);
    out_.number(key("attention.layer_norm_rms_epsilon"), 1e-5F);
    out_.number(key("rope.freq_base"), shape_.rope_base);
    if (shape_.window != 0) out_.integer(key("attention.sliding_window"), shape_.window);
  }

  void add_vocabulary() {
    if (model_.vocabulary != nullptr) {
      for (const std::string_view key : model_.vocabulary->keys_below("tokenizer."))
        out_.copy(key, *model_.vocabulary);
      return;
    }
    std::vector<std::string> tokens{"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    // The bytes in the alphabet of byte-level BPE: those that do not print have the code points
    // from 256 on.
    std::uint32_t beyond = 256;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
      const bool prints =
          (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
      std::string& token = tokens.emplace_back();
      utf8::append(token, prints ? byte : beyond++);
    }
    while (tokens.size() < shape_.vocabulary) {  // "word" and a number in letters
      std::string word = "word";
      for (std::size_t rest = tokens.size(); rest != 0; rest /= 26)
        word += static_cast<char>('a' + rest % 26);
      tokens.push_back(std::move(word));
    }
    std::vector<std::int32_t> types(tokens.size(), 1);
    std::fill_n(types.begin(), kControlTokens, 3);
    out_.string("tokenizer.ggml.model", "gpt2");
    out_.string("tokenizer.ggml.pre", "gpt-2");
    out_.strings("tokenizer.ggml.tokens", tokens);
    out_.integers("tokenizer.ggml.token_type", types);
    out_.strings("tokenizer.ggml.merges", {});
    out_.integer("tokenizer.ggml.bos_token_id", 1);
    out_.integer("tokenizer.ggml.eos_token_id", 2);
    out_.boolean("tokenizer.ggml.add_bos_token", false);
    out_.string("tokenizer.chat_template",
                "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
                "message['content'] + '<|im_end|>\\n' }}{% endfor %}"
                "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}");
  }

  void matrix(const std::string& name, TensorType wanted, std::uint64_t columns,
              std::uint64_t rows) {
    const TensorType type = fitting(wanted, columns);
    const RandomKey key = RandomKey(model_.seed).with(name);
    const unsigned threads = model_.threads;
    out_.tensor(name, type, columns, rows, [=](std::uint64_t first, std::uint64_t count) {
      return random_rows(type, columns, count, key, first, threads);
    });
  }
  void norm(const std::string& name, std::uint64_t width) {
    const RandomKey key = RandomKey(model_.seed).with(name);
    out_.tensor(name, TensorType::kF32, width, 1,
                [=](std::uint64_t, std::uint64_t) { return random_norm(width, key); });
  }

  void add_tensors() {
    matrix("token_embd.weight", model_.types.embedding, shape_.width, shape_.vocabulary);
    for (std::uint32_t layer = 0; layer < shape_.layers; ++layer) add_layer(layer);
    norm("output_norm.weight", shape_.width);
    if (!shape_.tied) matrix("output.weight", model_.types.head, shape_.width, shape_.vocabulary);
  }

  void add_layer(std::uint32_t layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    const std::string& kind = shape_.architecture;
    const std::uint64_t width = shape_.width;
    const std::uint64_t query = std::uint64_t{shape_.heads} * shape_.head_width;
    const std::uint64_t keys = std::uint64_t{shape_.kv_heads} * shape_.head_width;
    const std::uint64_t hidden = shape_.feed_forward;
    const TensorType usual = model_.types.matrices;
    const TensorType wide =
        model_.types.mixed && keeps_more_bits(layer, shape_.layers) ? TensorType::kQ6_K : usual;
    norm(prefix + "attn_norm.weight", width);
    if (kind == "phi3") {
      matrix(prefix + "attn_qkv.weight", usual, width, query + 2 * keys);
    } else {
      matrix(prefix + "attn_q.weight", usual, width, query);
      matrix(prefix + "attn_k.weight", usual, width, keys);
      matrix(prefix + "attn_v.weight", wide, width, keys);
    }
    if (kind == "qwen2") {
      norm(prefix + "attn_q.bias", query);
      norm(prefix + "attn_k.bias", keys);
      norm(prefix + "attn_v.bias", keys);
    }
    if (kind == "qwen3" || kind == "gemma3") {
      norm(prefix + "attn_q_norm.weight", shape_.head_width);
      norm(prefix + "attn_k_norm.weight", shape_.head_width);
    }
    matrix(prefix + "attn_output.weight", usual, query, width);
    if (kind == "gemma3") norm(prefix + "post_attention_norm.weight", width);
    norm(prefix + "ffn_norm.weight", width);
    if (kind != "phi3") matrix(prefix + "ffn_gate.weight", usual, width, hidden);
    matrix(prefix + "ffn_up.weight", usual, width, kind == "phi3" ? 2 * hidden : hidden);
    matrix(prefix + "ffn_down.weight", wide, hidden, width);
    if (kind == "gemma3") norm(prefix + "post_ffw_norm.weight", width);
  }

  const RandomModel& model_;
  RandomShape shape_;
  GgufWriter out_;
};

}  // namespace

std::span<const RandomShape> known_shapes() { return kShapes; }

Result<RandomTypes> RandomTypes::parse(std::string_view text) {
  const std::string wanted = lower(text);
  if (wanted == "q4_k_m")
    return RandomTypes{TensorType::kQ4_K, TensorType::kQ6_K, TensorType::kQ6_K, true};
  std::string names = "q4_k_m";
  for (const TensorType type : tensor_types()) {
    const std::string name = lower(tensor_traits(type)->name);
    if (name == wanted) return RandomTypes{type, type, type, false};
    names += " " + name;
  }
  std::string message = "no tensor type '" + std::string(text) + "'; there are " + names;
  if (wanted == "fp8" || wanted == "e4m3") {
    message += "; GGUF has none of 8-bit floats: make bf16 and run it with --numerics fp8";
  }
  return fail(ErrorCode::kInvalid, message);
}

Result<GgufWriter> RandomModel::plan() const { return Planner(*this).plan(); }

}  // namespace espalier::runtime
