// What kernels compute, by its definition in doubles, and how far from it they may be: the one
// table of tolerances, by type. Nothing here is the backends': of formats it takes the dequantiser
// (runtime/model), of pages and codes the layouts that their headers describe.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/kv_type.h"
#include "runtime/cuda/kernels.h"
#include "runtime/model/half.h"
#include "runtime/model/tensor.h"

namespace espalier::runtime::cuda::doubles {

using Random = std::mt19937_64;

/// Half a unit in the last place of binary32, as a share of the number.
inline constexpr double kFloat = 0x1p-24;
/// Half a step of int8 codes, as a share of the greatest number of their block, and the roundings
/// of the scale and of the quotient.
inline constexpr double kCode = 1.0 / 254 + 4 * kFloat;

// ---- the table

/// Products, as shares of the sum of their terms' sizes, of activations as the kernel reads them:
/// floats, or codes and their scales. A term goes through one addition for each later group of its
/// segment (16 of 32 columns, or 32 of 16; of types with minima two each), or of dense types for
/// each sixteenth column of it, and one for each later segment; the roundings cancel, and this is
/// some four times the farthest that was seen. What codes change is kCode of each block besides.
struct ProductTolerance {
  TensorType type;
  double sum;
};
inline constexpr ProductTolerance kProductTolerances[] = {
    {TensorType::kF32, 2 * kFloat},    {TensorType::kF16, 2 * kFloat},
    {TensorType::kBF16, 2 * kFloat},   {TensorType::kQ4_0, 4 * kFloat},
    {TensorType::kQ4_1, 4 * kFloat},   {TensorType::kQ5_0, 4 * kFloat},
    {TensorType::kQ5_1, 4 * kFloat},   {TensorType::kQ8_0, 4 * kFloat},
    {TensorType::kQ2_K, 4 * kFloat},   {TensorType::kQ3_K, 4 * kFloat},
    {TensorType::kQ4_K, 4 * kFloat},   {TensorType::kQ5_K, 4 * kFloat},
    {TensorType::kQ6_K, 4 * kFloat},   {TensorType::kIQ4_NL, 4 * kFloat},
    {TensorType::kIQ4_XS, 4 * kFloat}, {TensorType::kMXFP4, 4 * kFloat},
};

/// K and V. `kept`: a number in its page, as a share of itself, or of codes of the greatest of its
/// block. `attention`: results, as shares of the sum of what is weighted; over codes of queries as
/// codes, and with `coded_queries` of queries as they come. `tensor`: where queries and weights are
/// rounded to 16 bits (numerics `tensor`); no such kernel takes codes.
struct KvTolerance {
  KvType type;
  double kept, attention, coded_queries, tensor;
};
inline constexpr KvTolerance kKvTolerances[] = {
    {KvType::kF16, 0x1p-11, 0x1p-18, 0, 0x1p-9},
    {KvType::kBF16, 0x1p-8, 0x1p-18, 0, 0x1p-6},
    {KvType::kQ8, kCode + 0x1p-11, 0x1p-18, 0x1p-4, 0},
};

inline constexpr double kEmbedding = kFloat;    // the factor's product, of the number
inline constexpr double kNorm = 8 * kFloat;     // of the number
inline constexpr double kTurned = 8 * kFloat;   // of the sizes of a pair
inline constexpr double kGate = 8 * kFloat;     // of gate * up
inline constexpr double kCapped = 4 * kFloat;   // of the cap
inline constexpr double kChance = 16 * kFloat;  // of the probability
/// How near to the border between two tokens a draw may be taken for either, of the whole weight.
inline constexpr double kDraw = 16 * kFloat;

inline double tolerance_of(TensorType type) {
  for (const auto& it : kProductTolerances) {
    if (it.type == type) return it.sum;
  }
  ADD_FAILURE() << "no tolerance for " << tensor_traits(type)->name;
  return 0;
}
inline const KvTolerance& tolerance_of(KvType type) {
  return kKvTolerances[static_cast<std::size_t>(type)];
}

// ---- comparing

/// The farthest of some numbers from what they should be, in tolerances.
class Farthest {
 public:
  void take(double actual, double expected, double tolerance, std::size_t row, std::size_t column) {
    const double difference = std::abs(actual - expected);
    // 0 is exact where nothing is tolerated; NaN is as far as can be.
    const double share = difference == 0 ? 0 : difference / tolerance;
    if (!(share <= most_)) {
      most_ = std::isnan(share) ? std::numeric_limits<double>::infinity() : share;
      place_ = "row " + std::to_string(row) + ", column " + std::to_string(column) + ": " +
               std::to_string(actual) + " for " + std::to_string(expected);
    }
    ++count_;
  }
  [[nodiscard]] ::testing::AssertionResult within() const {
    if (count_ > 0 && most_ <= 1) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "of " << count_ << " numbers the farthest is " << most_
                                         << " tolerances off, " << place_;
  }

 private:
  double most_ = 0;
  std::size_t count_ = 0;
  std::string place_ = "nowhere";
};

// ---- definitions

/// A number and the sizes of the terms that it is the sum of.
struct Sum {
  double value = 0, size = 0;
};
inline Sum operator*(Sum sum, double factor) {
  return {sum.value * factor, sum.size * std::abs(factor)};
}
inline Sum operator+(Sum a, Sum b) { return {a.value + b.value, a.size + b.size}; }

using Rows = std::vector<std::vector<double>>;

inline std::vector<float> normal(Random& random, std::size_t count, float spread = 1) {
  std::normal_distribution<float> distribution(0, spread);
  std::vector<float> out(count);
  for (float& x : out) x = distribution(random);
  return out;
}
/// Rows of `width` numbers, `stride` apart.
inline Rows rows_of(const std::vector<float>& from, std::size_t rows, std::size_t width,
                    std::size_t stride) {
  Rows out;
  for (std::size_t m = 0; m < rows; ++m) {
    const auto first = from.begin() + static_cast<std::ptrdiff_t>(m * stride);
    out.emplace_back(first, first + static_cast<std::ptrdiff_t>(width));
  }
  return out;
}
inline Rows rows_of(const Tensor& tensor) {
  std::vector<float> row(tensor.columns);
  Rows out;
  for (std::uint64_t n = 0; n < tensor.rows; ++n) {
    dequantise_row(tensor, n, row);
    out.emplace_back(row.begin(), row.end());
  }
  return out;
}

inline Sum product(const std::vector<double>& a, const std::vector<double>& b) {
  Sum out;
  for (std::size_t k = 0; k < a.size(); ++k) out = out + Sum{a[k] * b[k], std::abs(a[k] * b[k])};
  return out;
}
/// The greatest size among numbers [32 b, 32 b + 32) of a row.
inline double block_size(const std::vector<double>& row, std::size_t b) {
  double out = 0;
  for (std::size_t k = 32 * b; k < std::min(row.size(), 32 * b + 32); ++k) {
    out = std::max(out, std::abs(row[k]));
  }
  return out;
}
/// What a product's size would be if each activation were the greatest of its block.
inline double product_of_block_sizes(const std::vector<double>& weights,
                                     const std::vector<double>& x) {
  double out = 0;
  for (std::size_t k = 0; k < x.size(); ++k) out += std::abs(weights[k]) * block_size(x, k / 32);
  return out;
}

inline double norm_factor(const std::vector<double>& row, double epsilon) {
  return 1 / std::sqrt(product(row, row).value / static_cast<double>(row.size()) + epsilon);
}
inline std::vector<double> rms_norm(const std::vector<double>& row,
                                    const std::vector<double>& weight, double epsilon) {
  std::vector<double> out(row);
  for (std::size_t k = 0; k < row.size(); ++k) out[k] *= norm_factor(row, epsilon) * weight[k];
  return out;
}
inline double silu(double x) { return x / (1 + std::exp(-x)); }
inline double gelu(double x) {
  return x / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
}

/// The Hadamard transform of 32 numbers: number i of block b is the sum of all of the block, those
/// j for which i and j have an odd number of common bits taken off. What is missing is 0.
inline std::vector<double> hadamard(const std::vector<double>& row) {
  std::vector<double> out((row.size() + 31) / 32 * 32);
  for (std::size_t i = 0; i < out.size(); ++i) {
    for (std::size_t j = 0; j < 32 && i / 32 * 32 + j < row.size(); ++j) {
      out[i] += (std::popcount(i % 32 & j) % 2 == 0 ? 1 : -1) * row[i / 32 * 32 + j];
    }
  }
  return out;
}

/// Each number as a code of 8 bits and its block's scale have it.
inline std::vector<double> as_codes(const std::vector<double>& row) {
  std::vector<double> out(row);
  for (std::size_t k = 0; k < row.size(); ++k) {
    const double step = block_size(row, k / 32) / 127;
    out[k] = step == 0 ? 0 : step * std::nearbyint(row[k] / step);
  }
  return out;
}

// ---- layouts

/// Rows of int8 codes as products read them (CodedRows).
struct Codes {
  std::vector<std::int8_t> codes;
  std::vector<float> scales;
  std::size_t blocks = 0;

  [[nodiscard]] std::size_t place(std::size_t row, std::size_t block) const {
    return (row / 8 * blocks + block) * 8 + row % 8;
  }
  [[nodiscard]] int code(std::size_t row, std::size_t column) const {
    const std::size_t k = column % 32;
    return codes[(place(row, column / 32) * 4 + k % 16 / 4) * 8 + k / 16 * 4 + k % 4];
  }
  [[nodiscard]] std::vector<double> row(std::size_t m) const {
    std::vector<double> out(blocks * 32);
    for (std::size_t k = 0; k < out.size(); ++k)
      out[k] = scales[place(m, k / 32)] * double(code(m, k));
    return out;
  }
};

/// Pages of K and V (../cpu/kv_pool.h), in halves.
struct Pages {
  Pages(std::uint32_t page_count, std::uint32_t layer_count, std::uint32_t heads,
        std::uint32_t head_width, KvType kv_type)
      : layers(layer_count), kv_heads(heads), width(head_width), type(kv_type) {
    halves.assign(page_count * page_halves(), 0xFFFF);  // NaN
  }
  [[nodiscard]] std::size_t blocks() const { return (width + 31) / 32; }
  [[nodiscard]] std::size_t tile_halves() const {
    return type == KvType::kQ8 ? 16 * blocks() * 17 : std::size_t{16} * width;
  }
  [[nodiscard]] std::size_t page_halves() const { return 2 * layers * kv_heads * tile_halves(); }
  /// A head's tile of K (`plane` 0) or of V (1).
  [[nodiscard]] std::size_t tile(std::size_t page, std::size_t layer, std::size_t plane,
                                 std::size_t head) const {
    return page * page_halves() + ((layer * 2 + plane) * kv_heads + head) * tile_halves();
  }
  [[nodiscard]] double number(std::size_t half) const {
    return type == KvType::kBF16 ? bfloat16_to_float(halves[half]) : half_to_float(halves[half]);
  }
  [[nodiscard]] std::uint8_t byte(std::size_t at) const {
    return static_cast<std::uint8_t>(halves[at / 2] >> at % 2 * 8);
  }
  void set_byte(std::size_t at, std::uint8_t value) {
    std::uint16_t& half = halves[at / 2];
    half = static_cast<std::uint16_t>((half & (at % 2 == 0 ? 0xFF00 : 0xFF)) | value << at % 2 * 8);
  }
  /// Of codes: where the scale of a token's block is, in halves, and its code i, in bytes. A block
  /// of K has the codes of all tokens, four columns of each in turn, and their scales behind them;
  /// of V a token has its blocks, each a scale and its codes.
  [[nodiscard]] std::size_t scale_at(std::size_t tile, bool keys, std::size_t token,
                                     std::size_t block) const {
    return keys ? tile + block * 272 + 256 + token : tile + (token * blocks() + block) * 17;
  }
  [[nodiscard]] std::size_t code_at(std::size_t tile, bool keys, std::size_t token,
                                    std::size_t column) const {
    const std::size_t k = column % 32;
    if (keys) return 2 * tile + column / 32 * 544 + k / 4 * 64 + 4 * token + k % 4;
    return 2 * scale_at(tile, false, token, column / 32) + 2 + k;
  }
  /// K (of codes: transformed, whole blocks) or V of a token as it stands there.
  [[nodiscard]] std::vector<double> kept(std::size_t page, std::size_t layer, std::size_t plane,
                                         std::size_t head, std::size_t token) const {
    const std::size_t from = tile(page, layer, plane, head);
    const bool keys = plane == 0;
    const bool codes = type == KvType::kQ8;
    std::vector<double> out(codes && keys ? blocks() * 32 : width);
    for (std::size_t d = 0; d < out.size(); ++d) {
      if (!codes) {
        out[d] = number(from + (keys ? d * 16 + token : token * width + d));
        continue;
      }
      const std::uint8_t code = byte(code_at(from, keys, token, d));
      // K's codes count from 128.
      out[d] = number(scale_at(from, keys, token, d / 32)) *
               (keys ? code - 128 : static_cast<std::int8_t>(code));
    }
    return out;
  }
  /// K as it was before it was transformed.
  [[nodiscard]] std::vector<double> key(std::size_t page, std::size_t layer, std::size_t head,
                                        std::size_t token) const {
    std::vector<double> out = kept(page, layer, 0, head, token);
    if (type != KvType::kQ8) return out;
    out = hadamard(out);
    out.resize(width);
    for (double& x : out) x /= 32;
    return out;
  }
  [[nodiscard]] KvView view(std::uint16_t* there) const {
    return {there, layers, kv_heads, width, type};
  }

  std::uint32_t layers, kv_heads, width;
  KvType type;
  std::vector<std::uint16_t> halves;
};

}  // namespace espalier::runtime::cuda::doubles
