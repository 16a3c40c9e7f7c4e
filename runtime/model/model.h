// A loaded model: hyper-parameters, weights (views into the mapped file), tokenizer and chat
// template.
//
// Model::load checks everything against the file's size and the architecture's needs before
// anything is allocated; after it, no size or shape needs to be doubted. Immutable, shared, safe
// from any thread; owns the mapping that the tensors point into.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "base/token.h"
#include "runtime/chat/chat_template.h"
#include "runtime/model/tensor.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

/// Which two dimensions of a head turn together by a position's angle.
enum class RopePairs : std::uint8_t {
  kAdjacent,  // 2i and 2i + 1; converters reorder the rows of Q and K for it
  kHalves,    // i and i + rope_width / 2
};

/// How positions turn Q and K. Pair i turns by position * frequency(i), where frequency(i) is
/// base^(-2i / rope_width), divided by divisors[i] and scaled as follows:
///
/// - without YaRN, divided by `factor` (linear scaling; 1: none);
/// - with it (https://arxiv.org/abs/2309.00071), fast pairs keep their frequency, slow ones are
///   divided by `factor`, and those between are mixed.
///
/// Sine and cosine are multiplied by `magnitude`, and with YaRN by its attention factor.
struct Rope {
  struct Yarn {
    std::uint32_t original_context = 0;
    float beta_fast = 32.0F;      // turns within the original context: more are fast
    float beta_slow = 1.0F;       // fewer are slow
    float extrapolation = 1.0F;   // share of the mix that fast pairs get
    float attention = 0.0F;       // the attention factor; 0: m(1) / m(log_multiplier), where
    float log_multiplier = 0.0F;  // m(x) = 1 + 0.1 x ln(factor), and m(0) = 1
  };
  float base = 10000.0F;
  float factor = 1.0F;
  float magnitude = 1.0F;
  std::vector<float> divisors;  // one a pair, or none
  std::optional<Yarn> yarn;
};

enum class Activation : std::uint8_t { kSilu, kGeluTanh };

/// What a transformer of the supported architectures computes. Layer l, with h its input:
///
///   h += post(attention(norm(h)))      Q, K and V with biases; Q and K normed a head, then turned
///   h += post(down(activation(gate) * up))
///
/// and the head reads norm(h). Biases, norms of Q and K, and the post norms are there where the
/// weights are.
struct ModelShape {
  std::string architecture;
  std::uint32_t layers = 0;
  std::uint32_t width = 0;  // embedding length
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;    // divides heads
  std::uint32_t head_width = 0;  // of Q, K and V
  std::uint32_t feed_forward = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t context = 0;     // positions that may be used
  std::uint32_t rope_width = 0;  // leading dimensions of a head that turn; even
  RopePairs rope_pairs = RopePairs::kAdjacent;
  Rope rope;                 // of layers that see every earlier position
  Rope local_rope;           // of local layers
  std::uint32_t window = 0;  // positions that a local layer sees, the row's own among them
  std::vector<bool> local;   // by layer; empty where window is 0
  Activation activation = Activation::kSilu;
  float norm_epsilon = 1e-5F;
  float query_scale = 1.0F;
  float embedding_scale = 1.0F;
  float logit_cap = 0.0F;  // logits become cap * tanh(logit / cap); 0: they stay
  // Q at position p is multiplied by 1 + temperature * ln(1 + floor(p / temperature_length)).
  float temperature = 0.0F;
  std::uint32_t temperature_length = 1;

  [[nodiscard]] bool is_local(std::uint32_t layer) const { return window != 0 && local[layer]; }
};

/// An absent tensor (of an optional one) has no data.
struct LayerWeights {
  Tensor attention_norm, query, key, value, attention_output;
  Tensor query_bias, key_bias, value_bias;  // optional
  Tensor query_norm, key_norm;              // optional; a head wide
  Tensor post_attention_norm;               // optional
  Tensor feed_forward_norm, gate, up, down;
  Tensor post_feed_forward_norm;  // optional
};

struct ModelWeights {
  Tensor embedding;  // vocabulary x width
  std::vector<LayerWeights> layers;
  Tensor output_norm;
  Tensor output;  // == embedding where the head is tied
};

/// What the file says of itself that does not enter the arithmetic.
struct ModelFacts {
  struct SpecialToken {
    std::string role;  // "bos", "eos", "eot", "unknown", …, as the file's keys name it
    TokenId id = kNoToken;
  };
  std::string name;           // general.name, or nothing
  std::string tokenizer;      // the family: "gpt2" (byte-level BPE), "llama" (SentencePiece), …
  std::string pre_tokenizer;  // of byte-level BPE, or nothing
  std::vector<SpecialToken> special_tokens;
  std::uint32_t files = 1;
};

struct LoadOptions {
  /// Positions that will be used at most; 0: all that the model was trained for. Models with two
  /// sets of rotary factors (LongRoPE) take the short ones where this fits their first context.
  std::uint32_t context = 0;
};

class Model {
 public:
  /// Loads a GGUF file, or all the files of a split one given any of them. Errors name the file,
  /// the key or tensor, and the limit.
  [[nodiscard]] static Result<std::shared_ptr<const Model>> load(const std::string& path,
                                                                 System& system,
                                                                 const LoadOptions& options = {});
  virtual ~Model() = default;

  [[nodiscard]] virtual const ModelShape& shape() const = 0;
  [[nodiscard]] virtual const ModelWeights& weights() const = 0;
  [[nodiscard]] virtual const ModelFacts& facts() const = 0;
  [[nodiscard]] virtual const std::shared_ptr<const Tokenizer>& tokenizer() const = 0;
  [[nodiscard]] virtual const std::shared_ptr<const ChatTemplate>& chat_template() const = 0;
  [[nodiscard]] virtual const std::string& path() const = 0;
  [[nodiscard]] virtual std::uint64_t file_bytes() const = 0;
  /// `part` of a tensor's data is not needed soon: its memory may go (it is read again if it is).
  virtual void discard(std::span<const std::byte> part) const { (void)part; }
};

}  // namespace espalier::runtime
