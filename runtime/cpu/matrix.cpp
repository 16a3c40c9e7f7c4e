#include "runtime/cpu/matrix.h"

#include <algorithm>
#include <cstring>

#include "runtime/model/quantised_block.h"

namespace espalier::runtime::cpu {
namespace {

bool panelled(TensorType type) {
  return type == TensorType::kQ4_0 || type == TensorType::kQ4_1 || type == TensorType::kQ8_0;
}

PanelType panel_type(TensorType type) {
  return type == TensorType::kQ4_0   ? PanelType::kQ4_0
         : type == TensorType::kQ4_1 ? PanelType::kQ4_1
                                     : PanelType::kQ8_0;
}

DenseType dense_type(TensorType type) {
  return type == TensorType::kF16    ? DenseType::kF16
         : type == TensorType::kBF16 ? DenseType::kBF16
                                     : DenseType::kF32;
}

// One row's block of 32 weights into its place in a panel's block. A file's 4-bit block pairs
// column i with i + 16 in a byte just as panels do, so codes move in words of four.
void place_block(PanelType type, const std::byte* from, std::size_t row, std::byte* block) {
  const std::size_t scale_bytes = type == PanelType::kQ4_1 ? 4 : 2;
  const std::byte* codes = from + scale_bytes;
  const std::size_t words = type == PanelType::kQ8_0 ? 8 : 4;
  for (std::size_t j = 0; j < words; ++j) {
    std::uint32_t word;
    std::memcpy(&word, codes + 4 * j, sizeof word);
    if (type == PanelType::kQ8_0) word ^= 0x80808080U;  // signed to unsigned: + 128
    std::memcpy(block + 64 * j + 4 * row, &word, sizeof word);
  }
  std::byte* scales = block + 64 * words;
  std::memcpy(scales + 2 * row, from, 2);
  if (type == PanelType::kQ4_1) std::memcpy(scales + 32 + 2 * row, from + 2, 2);
}

}  // namespace

void Activations::reshape(std::size_t rows, std::size_t columns, bool floats, bool codes) {
  floats_ = floats;
  codes_ = codes;
  columns_ = columns;
  stride_ = round_up(columns, kLanes);
  const auto fit = [](auto& vector, std::size_t size) {
    if (vector.size() < size) vector.resize(size);
  };
  if (floats) fit(values_, rows * stride_);
  if (codes) {
    const std::size_t blocks = columns / kBlock;
    fit(code_bytes_, rows * columns);
    fit(scales_, rows * blocks);
    fit(scaled_sums_, rows * blocks);
    fit(minus_8_sums_, rows * blocks);
    fit(minus_128_sums_, rows * blocks);
    quantised_ = {code_bytes_.data(),   scales_.data(),         scaled_sums_.data(),
                  minus_8_sums_.data(), minus_128_sums_.data(), columns};
  }
}

void Activations::set(const Kernels& kernels, std::size_t m, const float* x) {
  if (codes_) kernels.quantise(x, columns_ / kBlock, quantised_, m, 0);
  if (floats_ && x != row(m)) std::memcpy(row(m), x, columns_ * sizeof(float));
}

std::uint64_t Matrix::panel_bytes(const Tensor& tensor) {
  if (!panelled(tensor.type)) return 0;
  return (tensor.rows + kPanelRows - 1) / kPanelRows * (tensor.columns / kBlock) *
         panel_block_bytes(panel_type(tensor.type));
}

Matrix::Matrix(const Tensor& tensor, std::byte* memory)
    : data_(tensor.data.data()),
      memory_(memory),
      rows_(tensor.rows),
      columns_(tensor.columns),
      row_bytes_(tensor.row_bytes()),
      quantised_(panelled(tensor.type)),
      in_place_(quantised_format(tensor.type) == nullptr),
      tensor_(tensor) {
  if (quantised_) {
    panel_type_ = panel_type(tensor.type);
    panel_stride_ = columns_ / kBlock * panel_block_bytes(panel_type_);
  } else {
    dense_type_ = dense_type(tensor.type);
    panel_stride_ = kPanelRows * row_bytes_;
  }
}

void Matrix::make_panels(std::size_t begin, std::size_t end) {
  if (!quantised_) return;
  const std::size_t blocks = columns_ / kBlock;
  const std::size_t from_bytes = row_bytes_ / blocks;
  const std::size_t to_bytes = panel_block_bytes(panel_type_);
  for (std::size_t p = begin; p < end; ++p) {
    for (std::size_t r = 0; r < kPanelRows && p * kPanelRows + r < rows_; ++r) {
      const std::byte* from = data_ + (p * kPanelRows + r) * row_bytes_;
      std::byte* to = memory_ + p * panel_stride_;
      for (std::size_t b = 0; b < blocks; ++b, from += from_bytes, to += to_bytes) {
        place_block(panel_type_, from, r, to);
      }
    }
  }
}

std::span<const std::byte> Matrix::source(std::size_t begin, std::size_t end) const {
  const std::size_t first = begin * kPanelRows;
  const std::size_t last = std::min(end * kPanelRows, rows_);
  return {data_ + first * row_bytes_, (last - first) * row_bytes_};
}

void Matrix::product(const Kernels& kernels, const Activations& x, std::size_t first,
                     std::size_t rows, std::size_t begin, std::size_t end, float* out,
                     std::size_t stride, bool add) const {
  for (std::size_t p = begin; p < end; ++p, out += kPanelRows) {
    if (quantised_) {
      kernels.panel_product(panel_type_, memory_ + p * panel_stride_, x.quantised(), first, rows,
                            out, stride, add);
    } else if (in_place_) {
      const std::size_t outputs = std::min(kPanelRows, rows_ - p * kPanelRows);
      kernels.dense_product(dense_type_, data_ + p * panel_stride_, outputs, columns_, x.row(first),
                            x.stride(), rows, out, stride, add);
    } else {
      const std::size_t outputs = std::min(kPanelRows, rows_ - p * kPanelRows);
      thread_local std::vector<float> row;
      row.resize(columns_);
      for (std::size_t n = 0; n < outputs; ++n) {
        dequantise_row(tensor_, p * kPanelRows + n, row);
        kernels.dense_product(DenseType::kF32, row.data(), 1, columns_, x.row(first), x.stride(),
                              rows, out + n, stride, add);
      }
    }
  }
}

}  // namespace espalier::runtime::cpu
