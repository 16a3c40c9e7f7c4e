// The weights of a transformer by the names that all architectures share.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/model/gguf.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

/// The tensor of what a frequency scaling makes of each pair's frequency, where a file has one.
inline constexpr const char* kRopeDivisors = "rope_freqs.weight";

enum class Presence : std::uint8_t { kAbsent, kOptional, kRequired };

/// What a layer has beside norms before both blocks and its matrices.
struct LayerParts {
  Presence biases = Presence::kAbsent;  // of Q, K and V
  bool query_key_norms = false;
  bool post_norms = false;
  /// `ffn_up` holds the gate's rows and then the up projection's.
  bool fused_gate = false;
};

/// The weights, each of exactly the shape that `shape` needs; Q, K and V also as one `attn_qkv`,
/// whose rows are then viewed apart. A tensor in the file that is neither taken nor among `known`
/// is refused: a model that has it computes something else.
[[nodiscard]] Result<ModelWeights> read_weights(const Gguf& file, const ModelShape& shape,
                                                const LayerParts& parts,
                                                const std::set<std::string>& known = {});

/// Tensors of one type in a model.
struct WeightShare {
  TensorType type = TensorType::kF32;
  std::uint64_t weights = 0;
  std::uint64_t bytes = 0;
};
/// By type, most bytes first. A tied head counts once.
[[nodiscard]] std::vector<WeightShare> weight_shares(const ModelWeights& weights);

/// The first weight that is infinite or not a number, as "tensor 'NAME', row N"; empty where all
/// are finite. Reads them all: for the error that has to say why logits are not finite.
[[nodiscard]] std::string place_not_finite(const ModelWeights& weights);

}  // namespace espalier::runtime
