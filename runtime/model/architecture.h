// What an architecture adds to the loader: how its hyper-parameters and weights are named, and what
// it needs of them.
//
// Another architecture is one new file that defines an Architecture, and its line in
// architecture.cpp's list.
#pragma once

#include <span>
#include <string_view>

#include "base/result.h"
#include "runtime/model/gguf.h"
#include "runtime/model/hyper_parameters.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

struct Architecture {
  std::string_view name;  // general.architecture
  /// Hyper-parameters, each within its bounds and fitting the others.
  Result<ModelShape> (*read_shape)(const Gguf& file, const ShapeRequest& request);
  /// The weights, each of exactly the shape that `shape` needs. A tensor in the file that the
  /// architecture does not use is refused: a model that has it computes something else.
  Result<ModelWeights> (*read_weights)(const Gguf& file, const ModelShape& shape);
};

/// All of them, in the order in which messages name them.
[[nodiscard]] std::span<const Architecture* const> architectures();
/// kUnsupported, with the names that are supported.
[[nodiscard]] Result<const Architecture*> find_architecture(const Gguf& file);

// One file each.
[[nodiscard]] const Architecture& llama_architecture();
[[nodiscard]] const Architecture& qwen2_architecture();
[[nodiscard]] const Architecture& qwen3_architecture();
[[nodiscard]] const Architecture& gemma3_architecture();
[[nodiscard]] const Architecture& mistral3_architecture();
[[nodiscard]] const Architecture& phi3_architecture();

}  // namespace espalier::runtime
