// Qwen 3, dense: llama with heads of their own width, each head's Q and K normed before its
// position turns its halves, and no biases. Long contexts by YaRN.
#include "runtime/model/architecture.h"
#include "runtime/model/weights.h"

namespace espalier::runtime {
namespace {

Result<ModelShape> read_qwen3_shape(const Gguf& file, const ShapeRequest& request) {
  HyperParameters keys(file, "qwen3");
  ESP_ASSIGN(auto shape, keys.read_shape(request));
  shape.rope_pairs = RopePairs::kHalves;
  ESP_TRY(keys.refuse_rest());
  return shape;
}

Result<ModelWeights> read_qwen3_weights(const Gguf& file, const ModelShape& shape) {
  return read_weights(file, shape, {.query_key_norms = true});
}

}  // namespace

const Architecture& qwen3_architecture() {
  static constexpr Architecture kQwen3{"qwen3", read_qwen3_shape, read_qwen3_weights};
  return kQwen3;
}

}  // namespace espalier::runtime
