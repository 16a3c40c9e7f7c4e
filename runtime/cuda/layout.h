// How weights and quantised activations lie in device memory.
//
// Products with quantised weights run on tensor cores in pieces of 16 outputs x 32 columns x 8 rows
// (mma m16n8k32), so both sides are stored in the order in which a warp's 32 lanes hold such a
// piece. With g = lane / 4 and t = lane % 4, a lane holds
//
//   of weights, outputs g and g + 8, columns 4t to 4t + 3 and 16 + 4t to 16 + 4t + 3 of a block;
//   of activations, row g, the same columns.
//
// Under numerics `fp8` weights that are floats, and their activations, are codes of 8 bits in the
// order of columns (kE4M3): a lane takes columns 16t to 16t + 15 of 64 of outputs g and g + 8, two
// pieces' worth, and the same of row g, for in a sum the order of columns is free. So cuBLASLt
// reads the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>

namespace espalier::runtime::cuda {

inline constexpr std::uint32_t kBlock = 32;      // columns that share an activation's scale
inline constexpr std::uint32_t kTileRows = 8;    // rows of activations in a tile
inline constexpr std::uint32_t kPanelRows = 16;  // outputs of a panel of weights

/// Tensor types as products know them: 13 of integer codes, 3 of floats; and what weights of those
/// three are under numerics `fp8`.
enum class WeightFormat : std::uint8_t {
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ2_K,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kIQ4_NL,
  kIQ4_XS,
  kMXFP4,
  kF32,
  kF16,
  kBF16,
  kE4M3,
};

/// Those of model files: all but the last.
inline constexpr std::uint32_t kWeightFormats = 16;

/// What integer codes stand for where it is not themselves.
enum class Values : std::uint8_t { kCodes, kIq4, kMxfp4 };

/// How a format of integer codes is packed. A panel is 16 outputs; its columns come in chunks of
/// two blocks. With a0 to a3 the four words of codes of a lane and block (outputs g, g + 8, g, g +
/// 8; the first two of columns 4t.., the others of 16 + 4t..), a chunk is
///
///   low plane: for each lane its words of both blocks. 8 bits: block by block a0 a1 a2 a3. 4 bits:
///     a lane's a0 | a2 << 4, a1 | a3 << 4 of the first block, then of the second. 2 bits: a0 | a1
///     << 2 | a2 << 4 | a3 << 6 of either.
///   high plane: 2 bits: as the low plane of 2 bits; 1 bit: bit j + 4 * block of each byte is
///   a_j's. scales: for each g. Without super-blocks 16-bit scales (output g: blocks 0 and 1;
///   output g +
///     8: the same), then minima alike. With them, bytes: steps of output g by group, of output g +
///     8, then minima alike.
///
/// After the chunks come, for each super-block of 256 columns and each g, the 16-bit scales of
/// outputs g and g + 8 and their minima. A last chunk of one block and a last panel of fewer
/// outputs are filled up with zeros.
struct Packing {
  std::uint8_t low = 0;
  std::uint8_t high = 0;
  std::uint8_t groups = 1;  // of a block's columns with a scale each
  bool super = false;       // small integer scales beside one for 256 columns
  bool minima = false;
  /// Weights are code - 2^(bits - 1). Codes are stored with their top bit flipped, so that, moved
  /// to the top of a byte, they are signed: 2^(8 - bits) times the weight.
  bool centred = false;
  std::uint8_t counted =
      0;              // numerics contract 4 counts weights 2^counted times, scales as much less
  bool bf16 = false;  // scales are bfloat16, else binary16
  Values values = Values::kCodes;

  [[nodiscard]] constexpr unsigned bits() const { return low + high; }
  /// What a sum of products is shifted down by.
  [[nodiscard]] constexpr unsigned excess() const { return centred ? 8 - bits() - counted : 0; }
};

constexpr Packing packing(WeightFormat format) {
  switch (format) {
    case WeightFormat::kQ4_0:
      return {.low = 4, .centred = true};
    case WeightFormat::kQ4_1:
      return {.low = 4, .minima = true};
    case WeightFormat::kQ5_0:
      return {.low = 4, .high = 1, .centred = true, .counted = 3};
    case WeightFormat::kQ5_1:
      return {.low = 4, .high = 1, .minima = true};
    case WeightFormat::kQ8_0:
      return {.low = 8, .centred = true};
    case WeightFormat::kQ2_K:
      return {.low = 2, .groups = 2, .super = true, .minima = true};
    case WeightFormat::kQ3_K:
      return {.low = 2, .high = 1, .groups = 2, .super = true, .centred = true, .counted = 5};
    case WeightFormat::kQ4_K:
      return {.low = 4, .super = true, .minima = true};
    case WeightFormat::kQ5_K:
      return {.low = 4, .high = 1, .super = true, .minima = true};
    case WeightFormat::kQ6_K:
      return {.low = 4, .high = 2, .groups = 2, .super = true, .centred = true, .counted = 2};
    case WeightFormat::kIQ4_NL:
      return {.low = 4, .values = Values::kIq4};
    case WeightFormat::kIQ4_XS:
      return {.low = 4, .super = true, .values = Values::kIq4};
    case WeightFormat::kMXFP4:
      return {.low = 4, .bf16 = true, .values = Values::kMxfp4};
    case WeightFormat::kF32:
    case WeightFormat::kF16:
    case WeightFormat::kBF16:
    case WeightFormat::kE4M3:
      break;
  }
  return {};
}

inline constexpr std::uint32_t kChunkBlocks = 2;
inline constexpr std::uint32_t kSuperChunks = 4;  // 256 columns

/// Bytes of a chunk's scales for one g, of a chunk, and of a super-block's scales for one g.
constexpr std::uint32_t scale_bytes(const Packing& p) {
  return (p.super ? 4U * p.groups : 8U) * (p.minima ? 2U : 1U);
}
constexpr std::uint32_t chunk_bytes(const Packing& p) {
  return 128U * (p.low + p.high) + 8U * scale_bytes(p);
}
constexpr std::uint32_t super_bytes(const Packing& p) {
  return p.super ? (p.minima ? 8U : 4U) : 0U;
}

constexpr bool is_dense(WeightFormat format) {
  return format >= WeightFormat::kF32 && format <= WeightFormat::kBF16;
}
/// Dense rows are stored in strips of 128 columns: 16 lanes (column mod 16) of 8 values each,
/// filled up with zeros.
inline constexpr std::uint32_t kStrip = 128;
/// Columns with those that fill the last strip up.
constexpr std::uint32_t strip_columns(std::uint32_t columns) {
  return (columns + kStrip - 1) / kStrip * kStrip;
}

/// Bytes of a matrix on the device. Rows of kE4M3 are whole strips, and filled up to whole panels
/// with rows of zeros; their scales, a float an output, lie elsewhere.
constexpr std::uint64_t panel_bytes(WeightFormat format, std::uint32_t columns) {
  const Packing p = packing(format);
  const std::uint32_t chunks = (columns + kChunkBlocks * kBlock - 1) / (kChunkBlocks * kBlock);
  return std::uint64_t{chunks} * chunk_bytes(p) +
         std::uint64_t{chunks / kSuperChunks} * 8 * super_bytes(p);
}
constexpr std::uint64_t dense_row_bytes(WeightFormat format, std::uint32_t columns) {
  return std::uint64_t{strip_columns(columns)} * (format == WeightFormat::kF32 ? 4 : 2);
}
constexpr std::uint64_t matrix_bytes(WeightFormat format, std::uint32_t rows,
                                     std::uint32_t columns) {
  if (is_dense(format)) return rows * dense_row_bytes(format, columns);
  if (format == WeightFormat::kE4M3) {
    return std::uint64_t{(rows + kPanelRows - 1) / kPanelRows} * kPanelRows *
           strip_columns(columns);
  }
  return std::uint64_t{(rows + kPanelRows - 1) / kPanelRows} * panel_bytes(format, columns);
}

/// Activations as F16 or BF16 in the order of dense rows of that type, for products on tensor cores
/// (tensor_products.h). What fills the last strip up is 0.
struct StripRows {
  std::uint16_t* values = nullptr;
  std::size_t stride = 0;  // in elements, whole strips
  WeightFormat format = WeightFormat::kBF16;
};

/// Activations as E4M3 codes with a scale a row, in the order of columns. What fills the last strip
/// up is 0.
struct E4m3Rows {
  std::uint8_t* codes = nullptr;
  float* scales = nullptr;
  std::size_t stride = 0;  // in codes, whole strips
};

/// Activations as int8 codes in blocks of 32 with a scale each (numerics contract 3), in tiles of 8
/// rows. Of tile T, block b, row 8T + n:
///
///   codes[((T * blocks + b) * 32 + 4n + t) * 8 ..+8): columns 4t..4t+3, then 16+4t..16+4t+3
///   scales, scaled_sums (scale * sum of codes) at (T * blocks + b) * 8 + n
///   scaled_half_sums: of columns 0..15 and 16..31, at ((T * blocks + b) * 8 + n) * 2
///
/// Rows of the last tile that are past the end hold anything. The half sums are null where no
/// matrix has scales for half blocks.
struct CodedRows {
  std::int8_t* codes = nullptr;
  float* scales = nullptr;
  float* scaled_sums = nullptr;
  float* scaled_half_sums = nullptr;
  std::uint32_t blocks = 0;  // columns / 32
};

}  // namespace espalier::runtime::cuda
