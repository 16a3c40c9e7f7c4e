// A tensor as it lies in a model file: a type, a shape and bytes that somebody else owns.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace espalier::runtime {

/// ggml's type numbers, as GGUF files store them. Only those with a row in tensor_traits() are
/// supported.
enum class TensorType : std::uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
  kMXFP4 = 39,
};

struct TensorTraits {
  std::string_view name;
  std::uint32_t block_weights = 1;  // weights a block; a row's length is a multiple of it
  std::uint32_t block_bytes = 0;
};
/// nullptr where the type is not supported.
const TensorTraits* tensor_traits(TensorType type);
/// Every supported type, by number.
std::span<const TensorType> tensor_types();

struct Tensor {
  std::string name;
  TensorType type = TensorType::kF32;
  std::uint64_t columns = 0;        // ne[0], the contracted dimension (K)
  std::uint64_t rows = 1;           // product of the others (N)
  std::span<const std::byte> data;  // rows * columns / block_weights * block_bytes bytes

  [[nodiscard]] std::uint64_t row_bytes() const;
};

/// Dequantises row `row` into `out` (`columns` floats), exactly as the format defines it.
void dequantise_row(const Tensor& tensor, std::uint64_t row, std::span<float> out);

}  // namespace espalier::runtime
