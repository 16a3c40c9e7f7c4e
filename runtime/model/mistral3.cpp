// Mistral 3 (Ministral 3): llama with YaRN and a temperature of attention that grows with the
// position, as its files say. Older Mistral models come as architecture "llama".
#include <limits>

#include "runtime/model/architecture.h"
#include "runtime/model/weights.h"

namespace espalier::runtime {
namespace {

Status read_temperature(HyperParameters& keys, ModelShape& shape) {
  ESP_ASSIGN(const auto temperature,
             keys.number_or("attention.temperature_scale", 0.0, 0.0, 100.0));
  if (temperature == 0.0) return {};
  // A step each time the position passes another multiple of the context first trained for.
  ESP_ASSIGN(const auto original,
             keys.integer("rope.scaling.original_context_length", 1, kMaxContext));
  ESP_ASSIGN(const auto length, keys.integer_or("attention.temperature_length", original, 1,
                                                std::numeric_limits<std::uint32_t>::max()));
  shape.temperature = static_cast<float>(temperature);
  shape.temperature_length = static_cast<std::uint32_t>(length);
  return {};
}

Result<ModelShape> read_mistral3_shape(const Gguf& file, const ShapeRequest& request) {
  HyperParameters keys(file, "mistral3");
  ESP_ASSIGN(auto shape, keys.read_shape(request));
  ESP_ASSIGN(shape.rope.divisors, keys.divisors(shape, kRopeDivisors));
  ESP_TRY(keys.read_window(shape));
  ESP_TRY(read_temperature(keys, shape));
  ESP_TRY(keys.refuse_rest());
  return shape;
}

Result<ModelWeights> read_mistral3_weights(const Gguf& file, const ModelShape& shape) {
  return read_weights(file, shape, {.biases = Presence::kOptional}, {kRopeDivisors});
}

}  // namespace

const Architecture& mistral3_architecture() {
  static constexpr Architecture kMistral3{"mistral3", read_mistral3_shape, read_mistral3_weights};
  return kMistral3;
}

}  // namespace espalier::runtime
