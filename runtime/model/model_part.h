// Some of a model's layers as a model of their own, for backends that keep layers in several
// places.
//
// A part keeps the whole model, whose file its tensors point into, and copies nothing. Its first
// layer reads what the layer before it left in the residual stream (of the first part: embeddings);
// only the last part has a head.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/model/model.h"

namespace espalier::runtime {

/// Layers [first, first + count), at least one of them, within the model's.
struct LayerRange {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};

/// `whole` itself where those are all its layers.
[[nodiscard]] std::shared_ptr<const Model> layers_of(std::shared_ptr<const Model> whole,
                                                     LayerRange layers);

/// Whether a model has a head, or is a part whose residual stream goes on elsewhere.
[[nodiscard]] inline bool has_head(const Model& model) {
  return !model.weights().output.data.empty();
}

}  // namespace espalier::runtime
