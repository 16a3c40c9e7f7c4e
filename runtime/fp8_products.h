// The products that numerics `fp8` multiply in 8 bits, and those that they leave in the weights'
// own type (fp8_calibration.h chooses): of each layer four, by whose activations they read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/model/tensor.h"

namespace espalier::runtime {

enum class LayerProducts : std::uint8_t { kHeads, kOutput, kHidden, kDown };
inline constexpr std::array kLayerProducts = {LayerProducts::kHeads, LayerProducts::kOutput,
                                              LayerProducts::kHidden, LayerProducts::kDown};
/// "q k v", "attention output", "gate up", "down".
[[nodiscard]] constexpr const char* layer_products_name(LayerProducts products) {
  switch (products) {
    case LayerProducts::kHeads:
      return "q k v";
    case LayerProducts::kOutput:
      return "attention output";
    case LayerProducts::kHidden:
      return "gate up";
    case LayerProducts::kDown:
      break;
  }
  return "down";
}

/// Weights that numerics `fp8` have codes of 8 bits made of: those that are floats.
[[nodiscard]] constexpr bool takes_fp8(TensorType type) {
  return type == TensorType::kF32 || type == TensorType::kF16 || type == TensorType::kBF16;
}

class Fp8Products {
 public:
  /// All of them in 8 bits.
  Fp8Products() = default;
  /// `kept`: whether a product stays, of each layer.
  explicit Fp8Products(std::vector<std::array<bool, kLayerProducts.size()>> kept)
      : kept_(std::move(kept)) {}

  [[nodiscard]] bool keeps(std::size_t layer, LayerProducts products) const {
    return layer < kept_.size() && kept_[layer][static_cast<std::size_t>(products)];
  }
  /// Those of the layers from `first` on.
  [[nodiscard]] Fp8Products from(std::size_t first) const {
    Fp8Products out;
    if (first < kept_.size()) {
      out.kept_.assign(kept_.begin() + static_cast<std::ptrdiff_t>(first), kept_.end());
    }
    return out;
  }

 private:
  std::vector<std::array<bool, kLayerProducts.size()>> kept_;
};

}  // namespace espalier::runtime
