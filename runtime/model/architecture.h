// What an architecture adds to the loader: how its hyper-parameters and weights are named, and what
// it needs of them.
//
// Another architecture is one new file that defines an Architecture, and its line in
// architecture.cpp's list.
#pragma once

#include <string_view>

#include "base/result.h"
#include "runtime/model/gguf.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

// Bounds on hyper-parameters, far above any known model: they keep every later product of two or
// three of them, and every allocation that follows from them, inside 64 bits and reason.
inline constexpr std::uint64_t kMaxLayers = 1024;
inline constexpr std::uint64_t kMaxWidth = 1 << 17;
inline constexpr std::uint64_t kMaxHeads = 1024;
inline constexpr std::uint64_t kMaxHeadWidth = 1024;
inline constexpr std::uint64_t kMaxFeedForward = 1 << 20;
inline constexpr std::uint64_t kMaxVocabulary = 1 << 22;
inline constexpr std::uint64_t kMaxContext = 1 << 24;

struct Architecture {
  std::string_view name;  // general.architecture
  /// Hyper-parameters, each within its bounds and fitting the others. `vocabulary` tokens are known
  /// to exist.
  Result<ModelShape> (*read_shape)(const Gguf& file, std::uint32_t vocabulary);
  /// The weights, each of exactly the shape that `shape` needs. A tensor in the file that the
  /// architecture does not use is refused: a model that has it computes something else.
  Result<ModelWeights> (*read_weights)(const Gguf& file, const ModelShape& shape);
};

/// kUnsupported, with the names that are supported.
[[nodiscard]] Result<const Architecture*> find_architecture(const Gguf& file);

}  // namespace espalier::runtime
