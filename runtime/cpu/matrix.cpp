#include "runtime/cpu/matrix.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "runtime/model/half.h"
#include "runtime/model/quantised_block.h"

namespace espalier::runtime::cpu {
namespace {

// nullopt for types that are used in place.
std::optional<PanelType> panel_type(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
      return PanelType::kQ4_0;
    case TensorType::kQ4_1:
      return PanelType::kQ4_1;
    case TensorType::kQ5_0:
      return PanelType::kQ5_0;
    case TensorType::kQ5_1:
      return PanelType::kQ5_1;
    case TensorType::kQ8_0:
      return PanelType::kQ8_0;
    case TensorType::kQ2_K:
      return PanelType::kQ2_K;
    case TensorType::kQ3_K:
      return PanelType::kQ3_K;
    case TensorType::kQ4_K:
      return PanelType::kQ4_K;
    case TensorType::kQ5_K:
      return PanelType::kQ5_K;
    case TensorType::kQ6_K:
      return PanelType::kQ6_K;
    case TensorType::kIQ4_NL:
      return PanelType::kIQ4_NL;
    case TensorType::kIQ4_XS:
      return PanelType::kIQ4_XS;
    case TensorType::kMXFP4:
      return PanelType::kMXFP4;
    case TensorType::kF32:
    case TensorType::kF16:
    case TensorType::kBF16:
      break;
  }
  return std::nullopt;
}

DenseType dense_type(TensorType type) {
  return type == TensorType::kF16    ? DenseType::kF16
         : type == TensorType::kBF16 ? DenseType::kBF16
                                     : DenseType::kF32;
}

void put(std::byte* to, std::uint16_t word) { std::memcpy(to, &word, sizeof word); }

// A plane's vectors for one output, from the codes of 32 columns shifted down by `drop` bits: words
// of four codes, so that a vector's word is a few shifts.
template <unsigned kBits, unsigned kDrop>
void place_plane(const std::uint32_t* words, std::size_t row, std::byte* plane) {
  constexpr std::uint32_t kKeep = ((1U << kBits) - 1U) * 0x01010101U;
  for (unsigned t = 0; t < kBits; ++t) {
    std::uint32_t word = 0;
    for (unsigned u = 0; u < 8 / kBits; ++u) {
      word |= (words[t + kBits * u] >> kDrop & kKeep) << (kBits * u);
    }
    std::memcpy(plane + 64 * t + 4 * row, &word, sizeof word);
  }
}

// One output's part of a unit: `from` holds its 32 or 256 weights.
template <PanelType kType>
void place_unit(const QuantisedBlock& from, std::size_t row, std::byte* unit) {
  constexpr PanelFormat f = panel_format(kType);
  std::byte* codes = unit + panel_codes_at(kType);
  for (std::size_t b = 0; b < f.blocks; ++b, codes += panel_code_bytes(kType)) {
    std::uint32_t words[kBlock / 4];
    std::memcpy(words, from.codes + b * kBlock, sizeof words);
    place_plane<f.low_bits, 0>(words, row, codes);
    if constexpr (f.high_bits > 0) {
      place_plane<f.high_bits, f.low_bits>(words, row, codes + std::size_t{64} * f.low_bits);
    }
  }
  std::byte* scales = unit + panel_scales_at(kType);
  put(scales + 2 * row, f.bf16_scales ? float_to_bfloat16(from.scale) : float_to_half(from.scale));
  std::byte* minima = scales + 2 * kPanelRows;
  if (f.minima) put(minima + 2 * row, float_to_half(from.minimum));
  if (f.blocks == 1) return;
  const std::size_t sets = std::size_t{f.blocks} * f.groups;
  std::byte* steps = minima + (f.minima ? 2 * kPanelRows : 0);
  for (std::size_t set = 0; set < sets; ++set) {
    steps[set * kPanelRows + row] = static_cast<std::byte>(from.scales[set]);
    if (f.minima) {
      steps[(sets + set) * kPanelRows + row] = static_cast<std::byte>(from.minima[set]);
    }
  }
}

using PlaceUnit = void (*)(const QuantisedBlock& from, std::size_t row, std::byte* unit);
template <std::size_t... kTypes>
constexpr auto place_units(std::index_sequence<kTypes...>) {
  return std::array<PlaceUnit, sizeof...(kTypes)>{place_unit<static_cast<PanelType>(kTypes)>...};
}
constexpr auto kPlaceUnits = place_units(std::make_index_sequence<kPanelTypes>());

}  // namespace

void Activations::reshape(std::size_t rows, std::size_t columns,
                          std::initializer_list<const Matrix*> readers) {
  const auto any = [&](auto property) {
    return std::any_of(readers.begin(), readers.end(), property);
  };
  floats_ = any([](const Matrix* it) { return !it->quantised(); });
  codes_ = any([](const Matrix* it) { return it->quantised(); });
  columns_ = columns;
  stride_ = round_up(columns, kLanes);
  reserve(rows, any([](const Matrix* it) { return it->halves(); }));
}

void Activations::reshape_codes(std::size_t rows, std::size_t columns) {
  floats_ = false;
  codes_ = true;
  columns_ = columns;
  reserve(rows, false);
}

void Activations::reserve(std::size_t rows, bool halves) {
  const auto fit = [](auto& vector, std::size_t size) {
    if (vector.size() < size) vector.resize(size);
  };
  if (floats_) fit(values_, rows * stride_);
  if (!codes_) return;
  const std::size_t blocks = round_up(rows, kRowGroup) * (columns_ / kBlock);
  fit(code_bytes_, blocks * kBlock);
  fit(code_blocks_, blocks);
  if (halves) fit(code_halves_, blocks);
  quantised_ = {.codes = code_bytes_.data(),
                .blocks = code_blocks_.data(),
                .halves = halves ? code_halves_.data() : nullptr,
                .columns = columns_};
}

void Activations::set(const Kernels& kernels, std::size_t m, const float* x) {
  if (codes_) kernels.quantise(x, columns_ / kBlock, quantised_, m, 0);
  if (floats_ && x != row(m)) std::memcpy(row(m), x, columns_ * sizeof(float));
}

std::uint64_t Matrix::panel_bytes(const Tensor& tensor) {
  const auto type = panel_type(tensor.type);
  if (!type) return 0;
  return (tensor.rows + kPanelRows - 1) / kPanelRows *
         (tensor.columns / (panel_format(*type).blocks * kBlock)) * panel_unit_bytes(*type);
}

Matrix::Matrix(const Tensor& tensor, std::byte* memory)
    : data_(tensor.data.data()),
      memory_(memory),
      rows_(tensor.rows),
      columns_(tensor.columns),
      row_bytes_(tensor.row_bytes()),
      type_(tensor.type) {
  if (const auto type = panel_type(tensor.type)) {
    quantised_ = true;
    panel_type_ = *type;
    panel_stride_ = panel_bytes(tensor) / panels();
  } else {
    dense_type_ = dense_type(tensor.type);
    panel_stride_ = kPanelRows * row_bytes_;
  }
}

void Matrix::make_panels(std::size_t begin, std::size_t end) {
  if (!quantised_) return;
  const QuantisedFormat& format = *quantised_format(type_);
  const std::size_t from_bytes = tensor_traits(type_)->block_bytes;
  const std::size_t to_bytes = panel_unit_bytes(panel_type_);
  const std::size_t units = row_bytes_ / from_bytes;
  const PlaceUnit place = kPlaceUnits[static_cast<std::size_t>(panel_type_)];
  QuantisedBlock block;
  for (std::size_t p = begin; p < end; ++p) {
    for (std::size_t r = 0; r < kPanelRows && p * kPanelRows + r < rows_; ++r) {
      const std::byte* from = data_ + (p * kPanelRows + r) * row_bytes_;
      std::byte* to = memory_ + p * panel_stride_;
      for (std::size_t u = 0; u < units; ++u, from += from_bytes, to += to_bytes) {
        format.take_apart(from, block);
        place(block, r, to);
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
    } else {
      const std::size_t outputs = std::min(kPanelRows, rows_ - p * kPanelRows);
      kernels.dense_product(dense_type_, data_ + p * panel_stride_, outputs, columns_, x.row(first),
                            x.stride(), rows, out, stride, add);
    }
  }
}

}  // namespace espalier::runtime::cpu
