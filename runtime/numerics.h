// Which arithmetic a model is computed with, by name.
//
// A version is a part of the numbers: what a model answers under one is not what it answers under
// another, and pages that were computed under one are never read under another. Nothing chooses one
// by itself: it is kExact where nobody asks for another.
#pragma once

#include <string_view>

#include "base/result.h"

namespace espalier::runtime {

enum class Numerics : unsigned char {
  /// Numerics contract 2 (cpu/README.md): the same bits on every device, in every batch.
  kExact,
  /// On CUDA devices, products of F16 and BF16 weights with several rows run on tensor cores in 16
  /// bits (cuda/README.md). Faster; what a row gives depends on the rows beside it.
  kTensor,
  /// As kTensor, and of the layers' weights that are floats, products of 8-bit floats
  /// (E4M3). They take half the memory of 16 bits; what is rounded shows.
  kFp8,
};

/// "exact", "tensor", "fp8".
[[nodiscard]] const char* numerics_name(Numerics numerics);
/// kInvalid, with what there is.
[[nodiscard]] Result<Numerics> parse_numerics(std::string_view text);

}  // namespace espalier::runtime
