// The llama architecture: RMS norms, rotary positions over adjacent pairs, grouped-query attention,
// SwiGLU, and an output head of its own or tied to the embedding. Llama 1 to 3, SmolLM2, TinyLlama,
// Mistral 7B and its kin (with a sliding window where the file states one).
//
// `rope_freqs.weight` holds what Llama 3's scaling makes of each pair's frequency.
#include "runtime/model/architecture.h"
#include "runtime/model/weights.h"

namespace espalier::runtime {
namespace {

Result<ModelShape> read_llama_shape(const Gguf& file, const ShapeRequest& request) {
  HyperParameters keys(file, "llama");
  ESP_ASSIGN(auto shape, keys.read_shape(request));
  ESP_ASSIGN(shape.rope.divisors, keys.divisors(shape, kRopeDivisors));
  ESP_TRY(keys.read_window(shape));
  ESP_TRY(keys.refuse_rest());
  return shape;
}

Result<ModelWeights> read_llama_weights(const Gguf& file, const ModelShape& shape) {
  return read_weights(file, shape, {.biases = Presence::kOptional}, {kRopeDivisors});
}

}  // namespace

const Architecture& llama_architecture() {
  static constexpr Architecture kLlama{"llama", read_llama_shape, read_llama_weights};
  return kLlama;
}

}  // namespace espalier::runtime
