#include "runtime/cuda/panels.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/model/half.h"
#include "runtime/model/quantised_block.h"

namespace espalier::runtime::cuda {
namespace {

static_assert(std::endian::native == std::endian::little, "words of codes are stored as they are");

// A word of codes: output `output` of the panel, columns 4 * quad on of block `block`.
struct Codes {
  std::byte* panel;
  const Packing& p;

  void put(std::uint32_t output, std::uint32_t block, std::uint32_t quad,
           std::uint32_t word) const {
    const std::uint32_t lane = output % 8 * 4 + quad % 4;
    const std::uint32_t j = output / 8 + 2 * (quad / 4);
    const std::uint32_t half = block % kChunkBlocks;
    std::byte* chunk = panel + std::size_t{block / kChunkBlocks} * chunk_bytes(p);
    if (p.low == 8) {
      std::memcpy(chunk + half * 512 + lane * 16 + j * 4, &word, sizeof word);
      return;
    }
    const std::uint32_t keep = p.low == 4 ? 0x0F0F0F0FU : 0x03030303U;
    if (p.low == 4) {
      join(chunk + lane * 16 + half * 8 + (j & 1U) * 4, (word & keep) << (4 * (j >> 1U)));
    } else {
      join(chunk + lane * 8 + half * 4, (word & keep) << (2 * j));
    }
    std::byte* high = chunk + std::size_t{128} * p.low;
    if (p.high == 2) {
      join(high + lane * 8 + half * 4, (word >> p.low & 0x03030303U) << (2 * j));
    } else if (p.high == 1) {
      join(high + lane * 4, (word >> p.low & 0x01010101U) << (j + 4 * half));
    }
  }

  static void join(std::byte* to, std::uint32_t bits) {
    std::uint32_t word;
    std::memcpy(&word, to, sizeof word);
    word |= bits;
    std::memcpy(to, &word, sizeof word);
  }
};

void put16(std::byte* to, float value, bool bf16) {
  const std::uint16_t word = bf16 ? float_to_bfloat16(value) : float_to_half(value);
  std::memcpy(to, &word, sizeof word);
}

// One output's row of a panel, which was zeroed.
void lay_out_row(const Tensor& tensor, const Packing& p, const std::byte* from,
                 std::uint32_t output, std::byte* panel) {
  const QuantisedFormat& format = *quantised_format(tensor.type);
  const TensorTraits& traits = *tensor_traits(tensor.type);
  const std::uint32_t file_blocks = traits.block_weights / kBlock;  // 1 or 8
  const auto units = static_cast<std::uint32_t>(tensor.columns / traits.block_weights);
  const Codes codes{panel, p};
  const std::uint32_t g = output % 8;
  const std::uint32_t row = output / 8;
  const std::uint32_t chunks =
      (static_cast<std::uint32_t>(tensor.columns) + kChunkBlocks * kBlock - 1) /
      (kChunkBlocks * kBlock);
  std::byte* supers = panel + std::size_t{chunks} * chunk_bytes(p);
  QuantisedBlock block;
  for (std::uint32_t u = 0; u < units; ++u, from += traits.block_bytes) {
    format.take_apart(from, block);
    for (std::uint32_t b = 0; b < file_blocks; ++b) {
      const std::uint32_t at = u * file_blocks + b;
      for (std::uint32_t quad = 0; quad < 8; ++quad) {
        std::uint32_t word;
        std::memcpy(&word, block.codes + b * kBlock + quad * 4, sizeof word);
        if (p.centred) word ^= 0x01010101U << (p.bits() - 1);
        codes.put(output, at, quad, word);
      }
      const std::uint32_t half = at % kChunkBlocks;
      std::byte* scales = panel + std::size_t{at / kChunkBlocks} * chunk_bytes(p) +
                          std::size_t{128} * (p.low + p.high) + std::size_t{g} * scale_bytes(p);
      if (!p.super) {
        put16(scales + 4 * row + 2 * half, block.scale, p.bf16);
        if (p.minima) put16(scales + 8 + 4 * row + 2 * half, block.minimum, false);
        continue;
      }
      for (std::uint32_t h = 0; h < p.groups; ++h) {
        const std::uint32_t group = b * p.groups + h;
        const std::uint32_t to = row * 2 * p.groups + half * p.groups + h;
        scales[to] = static_cast<std::byte>(block.scales[group]);
        if (p.minima) scales[4 * p.groups + to] = static_cast<std::byte>(block.minima[group]);
      }
    }
    if (p.super) {
      std::byte* to = supers + (std::size_t{u} * 8 + g) * super_bytes(p);
      put16(to + 2 * row, block.scale, false);
      if (p.minima) put16(to + 4 + 2 * row, block.minimum, false);
    }
  }
}

// A dense row in strips: value i of lane l is column 16 i + l of its strip.
template <class T>
void lay_out_dense(const std::byte* from, std::uint64_t columns, std::byte* to) {
  for (std::uint64_t k = 0; k < columns; ++k) {
    const std::uint64_t strip = k / kStrip;
    const std::uint64_t lane = k % 16;
    const std::uint64_t i = k % kStrip / 16;
    std::memcpy(to + (strip * kStrip + lane * 8 + i) * sizeof(T), from + k * sizeof(T), sizeof(T));
  }
}

}  // namespace

WeightFormat weight_format(TensorType type) {
  switch (type) {
    case TensorType::kQ4_0:
      return WeightFormat::kQ4_0;
    case TensorType::kQ4_1:
      return WeightFormat::kQ4_1;
    case TensorType::kQ5_0:
      return WeightFormat::kQ5_0;
    case TensorType::kQ5_1:
      return WeightFormat::kQ5_1;
    case TensorType::kQ8_0:
      return WeightFormat::kQ8_0;
    case TensorType::kQ2_K:
      return WeightFormat::kQ2_K;
    case TensorType::kQ3_K:
      return WeightFormat::kQ3_K;
    case TensorType::kQ4_K:
      return WeightFormat::kQ4_K;
    case TensorType::kQ5_K:
      return WeightFormat::kQ5_K;
    case TensorType::kQ6_K:
      return WeightFormat::kQ6_K;
    case TensorType::kIQ4_NL:
      return WeightFormat::kIQ4_NL;
    case TensorType::kIQ4_XS:
      return WeightFormat::kIQ4_XS;
    case TensorType::kMXFP4:
      return WeightFormat::kMXFP4;
    case TensorType::kF16:
      return WeightFormat::kF16;
    case TensorType::kBF16:
      return WeightFormat::kBF16;
    case TensorType::kF32:
      break;
  }
  return WeightFormat::kF32;
}

std::uint64_t device_bytes(const Tensor& tensor) {
  return matrix_bytes(weight_format(tensor.type), static_cast<std::uint32_t>(tensor.rows),
                      static_cast<std::uint32_t>(tensor.columns));
}

std::uint32_t groups_of(const Tensor& tensor) {
  const std::uint32_t rows = is_dense(weight_format(tensor.type)) ? 1 : kPanelRows;
  return (static_cast<std::uint32_t>(tensor.rows) + rows - 1) / rows;
}

std::uint64_t group_bytes(const Tensor& tensor) {
  const WeightFormat format = weight_format(tensor.type);
  const auto columns = static_cast<std::uint32_t>(tensor.columns);
  return is_dense(format) ? dense_row_bytes(format, columns) : panel_bytes(format, columns);
}

void lay_out(const Tensor& tensor, std::uint32_t begin, std::uint32_t end,
             std::span<std::byte> out) {
  const WeightFormat format = weight_format(tensor.type);
  const std::uint64_t bytes = group_bytes(tensor);
  const std::uint64_t row_bytes = tensor.row_bytes();
  std::byte* to = out.data();
  std::fill(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(bytes * (end - begin)),
            std::byte{0});
  for (std::uint32_t i = begin; i < end; ++i, to += bytes) {
    if (format == WeightFormat::kF32) {
      lay_out_dense<std::uint32_t>(tensor.data.data() + i * row_bytes, tensor.columns, to);
    } else if (is_dense(format)) {
      lay_out_dense<std::uint16_t>(tensor.data.data() + i * row_bytes, tensor.columns, to);
    } else {
      const Packing p = packing(format);
      for (std::uint32_t r = 0; r < kPanelRows && std::uint64_t{i} * kPanelRows + r < tensor.rows;
           ++r) {
        lay_out_row(tensor, p, tensor.data.data() + (std::uint64_t{i} * kPanelRows + r) * row_bytes,
                    r, to);
      }
    }
  }
}

std::span<const std::byte> source(const Tensor& tensor, std::uint32_t begin, std::uint32_t end) {
  const std::uint64_t rows = is_dense(weight_format(tensor.type)) ? 1 : kPanelRows;
  const std::uint64_t first = begin * rows;
  const std::uint64_t last = std::min<std::uint64_t>(end * rows, tensor.rows);
  return tensor.data.subspan(first * tensor.row_bytes(), (last - first) * tensor.row_bytes());
}

}  // namespace espalier::runtime::cuda
