// Tensors of random blocks, of every type.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <vector>

#include "runtime/model/half.h"
#include "runtime/model/tensor.h"

namespace espalier::runtime::testing {

// Where a block of the type has its binary16 scale and minimum.
inline std::vector<std::size_t> half_offsets(TensorType type) {
  switch (type) {
    case TensorType::kQ4_1:
    case TensorType::kQ5_1:
    case TensorType::kQ4_K:
    case TensorType::kQ5_K:
      return {0, 2};
    case TensorType::kQ2_K:
      return {80, 82};
    case TensorType::kQ3_K:
      return {108};
    case TensorType::kQ6_K:
      return {208};
    case TensorType::kMXFP4:
      return {};
    default:
      return {0};
  }
}

// A tensor of random blocks; scales of moderate size.
struct RandomTensor {
  /// Codes (and small integer scales) of random bytes, or of one repeated.
  RandomTensor(std::mt19937_64& random, TensorType type, std::size_t rows, std::size_t columns,
               std::optional<unsigned> fill = std::nullopt) {
    tensor.type = type;
    tensor.rows = rows;
    tensor.columns = columns;
    bytes.resize(rows * tensor.row_bytes());
    for (auto& byte : bytes) byte = static_cast<std::byte>(fill.value_or(random()));
    const auto place = [&](std::size_t at, float value) {
      const std::uint16_t half = float_to_half(value);
      std::memcpy(bytes.data() + at, &half, sizeof half);
    };
    std::uniform_real_distribution<float> scale(-0.1F, 0.1F);
    if (type == TensorType::kF32) {
      for (std::size_t i = 0; i < rows * columns; ++i) {
        const float value = scale(random);
        std::memcpy(bytes.data() + 4 * i, &value, sizeof value);
      }
    } else if (type == TensorType::kF16) {
      for (std::size_t i = 0; i < rows * columns; ++i) place(2 * i, scale(random));
    } else if (type == TensorType::kBF16) {
      for (std::size_t i = 0; i < rows * columns; ++i) {
        const std::uint16_t value = float_to_bfloat16(scale(random));
        std::memcpy(bytes.data() + 2 * i, &value, sizeof value);
      }
    } else {
      const std::size_t block = tensor_traits(type)->block_bytes;
      for (std::size_t at = 0; at < bytes.size(); at += block) {
        if (type == TensorType::kMXFP4) {
          bytes[at] = static_cast<std::byte>(110 + random() % 12);
        }
        for (const std::size_t half : half_offsets(type)) place(at + half, scale(random));
      }
    }
    tensor.data = bytes;
  }
  std::vector<std::byte> bytes;
  Tensor tensor;
};

}  // namespace espalier::runtime::testing
