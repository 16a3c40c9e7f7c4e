// Some of a model's layers, or of each layer what one of several ranks computes, as a model of its
// own: for backends that keep a model in several places.
//
// A part keeps the whole model, whose file its tensors point into, and copies nothing. Its first
// layer reads what the layer before it left in the residual stream (of the first part: embeddings);
// only the last part has a head.
//
// Ranks share a layer by the OUTPUTS of its products: a rank has whole rows of every matrix, and so
// each of its outputs is the very sum that it is in the whole model. What ranks have computed they
// give each other; nothing is ever added up across ranks, which would change bits.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
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

/// What each rank has: rank r the columns [cut[r], cut[r + 1]), none of them empty.
using Cut = std::vector<std::uint32_t>;

/// How ranks share a layer. Query heads go with the heads of K and V that they read.
struct Shares {
  Cut kv_heads;
  Cut queries;       // outputs of Q
  Cut width;         // of what the blocks add to the residual stream
  Cut feed_forward;  // in panels of 16
  Cut vocabulary;    // in panels of 16

  [[nodiscard]] std::uint32_t ranks() const {
    return static_cast<std::uint32_t>(kv_heads.size() - 1);
  }
};

/// kUnsupported, naming the limit, where a rank would have nothing to do. One rank always can.
[[nodiscard]] Result<Shares> share_layers(const ModelShape& shape, std::uint32_t ranks);

/// A rank's part of all layers and of the head. Its shape has its own heads and feed forward, and
/// the model's width and vocabulary. `whole` itself where there is one rank.
[[nodiscard]] std::shared_ptr<const Model> share_of(std::shared_ptr<const Model> whole,
                                                    const Shares& shares, std::uint32_t rank);

}  // namespace espalier::runtime
