// A loaded model: hyper-parameters, weights (views into the mapped file), tokenizer and chat template.
//
// Model::load checks everything against the file's size and the architecture's needs before anything is allocated;
// after it, no size or shape needs to be doubted. Immutable, shared, safe from any thread; owns the mapping that the
// tensors point into.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/chat/chat_template.h"
#include "runtime/model/tensor.h"
#include "runtime/tokenizer/tokenizer.h"

namespace espalier::runtime {

struct ModelShape {
  std::string architecture;
  std::uint32_t layers = 0;
  std::uint32_t width = 0;        // embedding length
  std::uint32_t heads = 0;
  std::uint32_t kv_heads = 0;     // divides heads
  std::uint32_t head_width = 0;   // of Q, K and V
  std::uint32_t feed_forward = 0;
  std::uint32_t vocabulary = 0;
  std::uint32_t context = 0;      // positions the model was trained for
  std::uint32_t rope_width = 0;   // leading dimensions of a head that rotate
  float rope_base = 10000.0F;
  float norm_epsilon = 1e-5F;
};

struct LayerWeights {
  Tensor attention_norm, query, key, value, attention_output;
  Tensor feed_forward_norm, gate, up, down;
};

struct ModelWeights {
  Tensor embedding;               // vocabulary x width
  std::vector<LayerWeights> layers;
  Tensor output_norm;
  Tensor output;                  // == embedding where the head is tied
};

class Model {
 public:
  /// Loads a GGUF file. Errors name the file, the key or tensor, and the limit.
  [[nodiscard]] static Result<std::shared_ptr<const Model>> load(const std::string& path, System& system);
  virtual ~Model() = default;

  [[nodiscard]] virtual const ModelShape& shape() const = 0;
  [[nodiscard]] virtual const ModelWeights& weights() const = 0;
  [[nodiscard]] virtual const std::shared_ptr<const Tokenizer>& tokenizer() const = 0;
  [[nodiscard]] virtual const std::shared_ptr<const ChatTemplate>& chat_template() const = 0;
  [[nodiscard]] virtual const std::string& path() const = 0;
  [[nodiscard]] virtual std::uint64_t file_bytes() const = 0;
  /// `part` of a tensor's data is not needed soon: its memory may go (it is read again if it is).
  virtual void discard(std::span<const std::byte> part) const { (void)part; }
};

}  // namespace espalier::runtime
