// Phi 3, 3.5 and 4 mini: llama with Q, K and V as one matrix and gate and up as another, positions
// that turn the halves of a head (or of its first part), and LongRoPE: a divisor for each pair's
// frequency, one set for texts within the context first trained for and one for longer texts.
//
// Which set is in force is fixed when the model is loaded (LoadOptions::context), not by the text's
// length so far: keys that were turned by one set cannot meet queries turned by the other.
#include "runtime/model/architecture.h"
#include "runtime/model/weights.h"

namespace espalier::runtime {
namespace {

constexpr const char* kLong = "rope_factors_long.weight";
constexpr const char* kShort = "rope_factors_short.weight";

Result<ModelShape> read_phi3_shape(const Gguf& file, const ShapeRequest& request) {
  HyperParameters keys(file, "phi3");
  ESP_ASSIGN(auto shape, keys.read_shape(request, true));
  shape.rope_pairs = RopePairs::kHalves;
  const bool scaled = file.find(kLong) != nullptr || file.find(kShort) != nullptr;
  if (scaled || file.string(keys.key("rope.scaling.type")) == "longrope") {
    for (const char* name : {kLong, kShort}) {
      if (file.find(name) == nullptr) {
        return file.refuse(ErrorCode::kCorrupt,
                           "tensor '" + std::string(name) + "' is missing, which LongRoPE needs");
      }
    }
    ESP_ASSIGN(const auto original,
               keys.integer("rope.scaling.original_context_length", 1, kMaxContext));
    ESP_ASSIGN(auto far, keys.divisors(shape, kLong));
    ESP_ASSIGN(auto near, keys.divisors(shape, kShort));
    shape.rope.divisors = std::move(shape.context > original ? far : near);
  }
  ESP_TRY(keys.read_window(shape));
  ESP_TRY(keys.refuse_rest());
  return shape;
}

Result<ModelWeights> read_phi3_weights(const Gguf& file, const ModelShape& shape) {
  const bool fused = file.find("blk.0.ffn_gate.weight") == nullptr;
  return read_weights(file, shape, {.fused_gate = fused}, {kLong, kShort});
}

}  // namespace

const Architecture& phi3_architecture() {
  static constexpr Architecture kPhi3{"phi3", read_phi3_shape, read_phi3_weights};
  return kPhi3;
}

}  // namespace espalier::runtime
