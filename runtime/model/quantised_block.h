// The blocks of ggml's quantised tensor types, taken apart: what dequantising and the backends'
// repacking have in common.
//
// A block is 32 weights, or a super-block of 256 whose groups of 16 or 32 have small integer
// scales. Every type is one formula, each operation rounded to fp32 (the first product is exact):
//
//   weight = (scale * scales[g]) * value(code) [+ minimum * minima[g]],   g the weight's group
//
// with value(code) = code - bias, or an entry of the type's table. The layouts are ggml's
// (block_q4_0 and so on in ggml-common.h); tests compare with the `gguf` package's own results.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/model/tensor.h"

namespace espalier::runtime {

inline constexpr std::size_t kMostBlockWeights = 256;

struct QuantisedBlock {
  alignas(32) std::uint8_t codes[kMostBlockWeights];  // as stored, in the weights' order
  std::int8_t scales[16];                             // a group's; 1 where the type has none
  std::uint8_t minima[16];  // a group's; 1 where the type has none, unset where has_minima is false
  float scale;              // exactly a binary16, or a power of two (MXFP4)
  float minimum;            // exactly a binary16; added (the K types subtract theirs: negated here)
};

struct QuantisedFormat {
  std::uint32_t group_weights;  // weights that share a scale: 16 or 32
  int bias;
  const std::int8_t* values;  // 16 entries by code, or nullptr: code - bias
  bool has_minima;
  void (*take_apart)(const std::byte* block, QuantisedBlock& out);
};

/// nullptr for F32, F16, BF16 and types that are not supported.
const QuantisedFormat* quantised_format(TensorType type);

}  // namespace espalier::runtime
