// Random weights of any tensor type, for models that are made and not trained.
//
// Uniform weights of the deviation 1 / sqrt(columns), which keeps activations near 1 from layer to
// layer. Blocks of quantised types are random bits but for their scales: what a quantiser writes
// for such weights, as far as a kernel can tell. Everything follows from the key, so the same seed
// gives the same bytes on every machine.
#pragma once

#include <cstdint>
#include <string>

#include "base/random.h"
#include "runtime/model/tensor.h"

namespace espalier::runtime {

/// `rows` rows of `columns` weights (a multiple of the type's block) as a file stores them. Row r
/// depends on the key and on first_row + r alone, so `threads` may make them. Costs about 4 ns a
/// byte.
[[nodiscard]] std::string random_rows(TensorType type, std::uint64_t columns, std::uint64_t rows,
                                      const RandomKey& key, std::uint64_t first_row = 0,
                                      unsigned threads = 1);
/// A norm's weights: F32 in [0.75, 1.25).
[[nodiscard]] std::string random_norm(std::uint64_t width, const RandomKey& key);

}  // namespace espalier::runtime
