// Gemma 3, text only: embeddings scaled by sqrt(width), norms before and after both blocks, Q and K
// normed a head, GELU (tanh) gates, a tied head, and five layers of six that see a sliding window
// only, with rotary positions of another base and no scaling.
//
// Converters add the 1 of Gemma's norms, (1 + w) * x, to the weights that they write.
#include <cmath>

#include "runtime/model/architecture.h"
#include "runtime/model/weights.h"

namespace espalier::runtime {
namespace {

constexpr std::uint64_t kUsualPattern = 6;
constexpr double kUsualLocalBase = 10000.0;
// The 27B model divides queries by sqrt(width / heads) and not by sqrt(head width). Files do not
// say so: its number of layers does.
constexpr std::uint32_t kLayersOf27B = 62;

// Which layers are local: every one but the last of each period, or as a list says.
Status read_pattern(HyperParameters& keys, ModelShape& shape) {
  constexpr const char* kPattern = "attention.sliding_window_pattern";
  ESP_ASSIGN(const auto base, keys.number_or("rope.freq_base_swa", kUsualLocalBase, 1.0, 1e12));
  ESP_TRY(keys.read_window(shape));
  if (keys.file().has_array(keys.key(kPattern))) {
    keys.allow(kPattern);
    ESP_ASSIGN(const auto list, keys.file().booleans(keys.key(kPattern)));
    if (list.size() != shape.layers) {
      return keys.refuse(
          ErrorCode::kCorrupt, kPattern,
          std::to_string(list.size()) + " entries for " + std::to_string(shape.layers) + " layers");
    }
    if (shape.window != 0) shape.local = list;
  } else {
    ESP_ASSIGN(const auto period, keys.integer_or(kPattern, kUsualPattern, 1, kMaxLayers));
    for (std::uint32_t layer = 0; layer < shape.local.size(); ++layer) {
      shape.local[layer] = layer % period + 1 < period;
    }
  }
  shape.local_rope = Rope{};
  shape.local_rope.base = static_cast<float>(base);
  return {};
}

Result<ModelShape> read_gemma3_shape(const Gguf& file, const ShapeRequest& request) {
  HyperParameters keys(file, "gemma3");
  ESP_ASSIGN(auto shape, keys.read_shape(request));
  shape.rope_pairs = RopePairs::kHalves;
  shape.activation = Activation::kGeluTanh;
  shape.embedding_scale = std::sqrt(static_cast<float>(shape.width));
  if (shape.layers == kLayersOf27B && !keys.has("attention.scale")) {
    const std::uint32_t width_of_head = shape.width / shape.heads;
    shape.query_scale = 1.0F / std::sqrt(static_cast<float>(width_of_head));
  }
  ESP_TRY(read_pattern(keys, shape));
  ESP_TRY(keys.refuse_rest());
  return shape;
}

Result<ModelWeights> read_gemma3_weights(const Gguf& file, const ModelShape& shape) {
  return read_weights(file, shape, {.query_key_norms = true, .post_norms = true});
}

}  // namespace

const Architecture& gemma3_architecture() {
  static constexpr Architecture kGemma3{"gemma3", read_gemma3_shape, read_gemma3_weights};
  return kGemma3;
}

}  // namespace espalier::runtime
