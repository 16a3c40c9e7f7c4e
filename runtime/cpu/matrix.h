// A weight matrix as the kernels want it, and the activations that meet it.
//
// Quantised tensors are copied once, at load, into panels of 16 outputs (kernels.h); F32, F16 and
// BF16 tensors are used where they lie in the model file. Either way work is dealt out in groups of
// 16 outputs, called panels here.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "base/result.h"
#include "runtime/cpu/kernels.h"
#include "runtime/cpu/memory.h"
#include "runtime/model/tensor.h"

namespace espalier::runtime::cpu {

constexpr std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

class Matrix;

/// Activations of some rows: as floats, as int8 codes, or both, by what the next matrices need.
/// Grows, never shrinks.
class Activations {
 public:
  /// Room for `rows` of `columns`, in the form that each of `readers` needs; the contents are
  /// undefined afterwards. May throw bad_alloc.
  void reshape(std::size_t rows, std::size_t columns, std::initializer_list<const Matrix*> readers);

  /// The same as codes alone; `columns` is a multiple of 32.
  void reshape_codes(std::size_t rows, std::size_t columns);

  [[nodiscard]] bool has_floats() const { return floats_; }
  [[nodiscard]] bool has_codes() const { return codes_; }
  [[nodiscard]] float* row(std::size_t m) { return values_.data() + m * stride_; }
  [[nodiscard]] const float* row(std::size_t m) const { return values_.data() + m * stride_; }
  [[nodiscard]] std::size_t stride() const { return stride_; }
  [[nodiscard]] const QuantisedRows& quantised() const { return quantised_; }
  /// Sets row m from `columns` floats.
  void set(const Kernels& kernels, std::size_t m, const float* x);

 private:
  void reserve(std::size_t rows, bool halves);

  bool floats_ = false;
  bool codes_ = false;
  std::size_t columns_ = 0;
  std::size_t stride_ = 0;
  std::vector<float> values_;
  LineVector<std::int8_t> code_bytes_;
  LineVector<CodeBlock> code_blocks_;
  LineVector<CodeHalves> code_halves_;
  QuantisedRows quantised_{};
};

class Matrix {
 public:
  /// Bytes that make_panels needs for this tensor; 0 where it is used in place.
  [[nodiscard]] static std::uint64_t panel_bytes(const Tensor& tensor);

  Matrix() = default;
  /// `tensor` has a type of tensor_traits(); `memory` has panel_bytes(tensor) bytes, 64-byte
  /// aligned and zeroed. Both outlive the matrix.
  Matrix(const Tensor& tensor, std::byte* memory);

  /// Fills panels [begin, end) from the tensor; different panels may be made by different threads.
  void make_panels(std::size_t begin, std::size_t end);
  /// The part of the file that those panels are made from.
  [[nodiscard]] std::span<const std::byte> source(std::size_t begin, std::size_t end) const;

  [[nodiscard]] std::size_t rows() const { return rows_; }
  [[nodiscard]] std::size_t columns() const { return columns_; }
  [[nodiscard]] std::size_t panels() const { return (rows_ + kPanelRows - 1) / kPanelRows; }
  [[nodiscard]] bool quantised() const { return quantised_; }
  /// The first `rows` of them (whole panels), in the same memory; all where it has no more.
  [[nodiscard]] Matrix first_rows(std::size_t rows) const {
    Matrix out = *this;
    out.rows_ = std::min(rows, rows_);
    return out;
  }
  /// Whether it has scales for half blocks.
  [[nodiscard]] bool halves() const { return quantised_ && panel_format(panel_type_).groups == 2; }

  /// out[m * stride + 16 * (p - begin) + i] = row 16 p + i of the matrix times activations
  /// [first + m] (or +=), for m < rows and panels p of [begin, end). Writes whole panels: `out` has
  /// room for rows rounded up to 16.
  void product(const Kernels& kernels, const Activations& x, std::size_t first, std::size_t rows,
               std::size_t begin, std::size_t end, float* out, std::size_t stride, bool add) const;

 private:
  const std::byte* data_ = nullptr;
  std::byte* memory_ = nullptr;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::size_t row_bytes_ = 0;
  std::size_t panel_stride_ = 0;
  bool quantised_ = false;
  TensorType type_ = TensorType::kF32;
  PanelType panel_type_ = PanelType::kQ8_0;
  DenseType dense_type_ = DenseType::kF32;
};

}  // namespace espalier::runtime::cpu
