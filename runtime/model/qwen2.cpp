// Qwen 2 and 2.5: llama with biases on Q, K and V, and positions that turn the halves of a head.
// Long contexts by YaRN.
#include "runtime/model/architecture.h"
#include "runtime/model/weights.h"

namespace espalier::runtime {
namespace {

Result<ModelShape> read_qwen2_shape(const Gguf& file, const ShapeRequest& request) {
  HyperParameters keys(file, "qwen2");
  ESP_ASSIGN(auto shape, keys.read_shape(request));
  shape.rope_pairs = RopePairs::kHalves;
  ESP_TRY(keys.refuse_rest());
  return shape;
}

Result<ModelWeights> read_qwen2_weights(const Gguf& file, const ModelShape& shape) {
  return read_weights(file, shape, {.biases = Presence::kRequired});
}

}  // namespace

const Architecture& qwen2_architecture() {
  static constexpr Architecture kQwen2{"qwen2", read_qwen2_shape, read_qwen2_weights};
  return kQwen2;
}

}  // namespace espalier::runtime
