// The arithmetic of the CPU backend: one table of functions per instruction set, all bit-equal.
//
// The numerics contract (README.md) fixes every operation and its order, so the scalar table is the
// oracle of the others. Kernels are leaf functions: no allocation, no threads, no knowledge of
// models or batches; none lets the number of rows change a row's bits. Buffers may be unaligned.
// Matrices are row-major with a stride in elements.
//
// Kernel files are compiled with flags of their own. They include nothing but this header, data and
// the compiler's intrinsics, and give their functions internal linkage: an inline function shared
// with other files could otherwise be linked in its AVX-512 form and run on a machine that lacks
// it.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "runtime/cpu/choice_order.h"
#include "runtime/cpu/kv_type.h"
#include "runtime/model/code_values.h"

namespace espalier::runtime::cpu {

inline constexpr size_t kLanes = 16;      // fp32 lanes of every reduction
inline constexpr size_t kBlock = 32;      // activations that share a scale
inline constexpr size_t kPanelRows = 16;  // outputs of a weight panel
// Columns that a product sums in one chain: short enough that a GPU's warps share a row's columns.
inline constexpr size_t kProductSegment = 512;
inline constexpr size_t kProductSegmentBlocks = kProductSegment / kBlock;
inline constexpr size_t kTileTokens = 16;      // tokens of an attention tile (a KV page)
inline constexpr size_t kSegmentTokens = 256;  // tokens of an attention segment

/// Weights of int8 products: a panel is 16 outputs, for which the tensor types of ../model/tensor.h
/// are laid out anew.
enum class PanelType : uint8_t {
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
};
inline constexpr size_t kPanelTypes = 13;

/// What codes stand for where it is not themselves. (No pointer: a sanitizer keeps its comparison
/// with null from being a constant.)
enum class CodeTable : uint8_t { kNone, kIq4, kMxfp4 };
constexpr const int8_t* code_values(CodeTable table) {
  return table == CodeTable::kIq4 ? kIq4Values : kMxfp4Values;
}

/// How a panel type is laid out. 32 columns are a block; their codes lie in one or two planes. A
/// plane of L bits is L vectors of 64 bytes: byte 4 * row + i of vector t has at bit L * u the bits
/// of column 4 * (t + L * u) + i, so that a vector's bytes are 16 outputs x 4 columns of a product.
///
/// A unit is one block: its codes, then 16 scales, then 16 minima. Or, where scales are small
/// integers times one number, a unit is eight blocks: 16 scales and 16 minima (binary16), then for
/// each block and each of its groups 16 int8 scales, then the same of minima, up to a multiple of
/// 64 bytes; then the codes of the eight.
struct PanelFormat {
  uint8_t low_bits;   // of the first plane
  uint8_t high_bits;  // of the second, above the first
  uint8_t shift;      // codes count 2^shift times (scales as much less): see `bias`
  uint8_t bias;       // taken off a code, after the shift
  uint8_t groups;     // of a block's columns with a scale each: 1 or 2
  uint8_t blocks;     // of a unit: 1 or 8
  bool minima;
  bool bf16_scales;  // else binary16
  CodeTable table;
};

constexpr PanelFormat panel_format(PanelType type) {
  switch (type) {
    case PanelType::kQ4_0:
      return {4, 0, 0, 8, 1, 1, false, false, CodeTable::kNone};
    case PanelType::kQ4_1:
      return {4, 0, 0, 0, 1, 1, true, false, CodeTable::kNone};
    case PanelType::kQ5_0:
      return {4, 1, 3, 128, 1, 1, false, false, CodeTable::kNone};
    case PanelType::kQ5_1:
      return {4, 1, 0, 0, 1, 1, true, false, CodeTable::kNone};
    case PanelType::kQ8_0:
      return {8, 0, 0, 128, 1, 1, false, false, CodeTable::kNone};
    case PanelType::kQ2_K:
      return {2, 0, 0, 0, 2, 8, true, false, CodeTable::kNone};
    case PanelType::kQ3_K:
      return {2, 1, 5, 128, 2, 8, false, false, CodeTable::kNone};
    case PanelType::kQ4_K:
      return {4, 0, 0, 0, 1, 8, true, false, CodeTable::kNone};
    case PanelType::kQ5_K:
      return {4, 1, 0, 0, 1, 8, true, false, CodeTable::kNone};
    case PanelType::kQ6_K:
      return {4, 2, 2, 128, 2, 8, false, false, CodeTable::kNone};
    case PanelType::kIQ4_NL:
      return {4, 0, 0, 0, 1, 1, false, false, CodeTable::kIq4};
    case PanelType::kIQ4_XS:
      return {4, 0, 0, 0, 1, 8, false, false, CodeTable::kIq4};
    case PanelType::kMXFP4:
      return {4, 0, 0, 0, 1, 1, false, true, CodeTable::kMxfp4};
  }
  return {};
}
constexpr size_t panel_code_bytes(PanelType type) {  // of a block
  return 64 * (size_t{panel_format(type).low_bits} + panel_format(type).high_bits);
}
/// Where a unit's codes begin, and where the scales do.
constexpr size_t panel_codes_at(PanelType type) {
  const PanelFormat f = panel_format(type);
  if (f.blocks == 1) return 0;
  const size_t sets = f.minima ? 2 : 1;
  return (sets * 2 * kPanelRows + sets * f.blocks * f.groups * kPanelRows + 63) / 64 * 64;
}
constexpr size_t panel_scales_at(PanelType type) {
  return panel_format(type).blocks == 1 ? panel_code_bytes(type) : 0;
}
constexpr size_t panel_unit_bytes(PanelType type) {
  const PanelFormat f = panel_format(type);
  if (f.blocks > 1) return panel_codes_at(type) + f.blocks * panel_code_bytes(type);
  return panel_code_bytes(type) + (f.minima ? 4 : 2) * kPanelRows;
}

/// A token's row of V in q8: for each 32 dimensions a binary16 scale and 32 signed codes.
inline constexpr size_t kValueBlockBytes = 2 + kBlock;

/// Weights of fp32 products, row-major as files store them.
enum class DenseType : uint8_t { kF32, kF16, kBF16 };

/// What products need of a block of codes beside the codes: its scale and sums of its codes, and
/// those of its halves. 16 bytes: those of four rows fill a line of the cache, if the first begins
/// one, and rows go to threads by four.
struct CodeBlock {
  float scale;
  float scaled_sum;  // scale * sum
  int32_t minus_8_sum;
  int32_t minus_128_sum;
};
struct CodeHalves {
  float scaled_sums[2];
  int32_t minus_128_sums[2];
};

/// Activations as int8 codes in blocks of 32: value = code * scale. A block stands at the place
/// that code_place gives, beside those of the rows around its own: kernels then reach all rows of a
/// tile from one address.
struct QuantisedRows {
  int8_t* codes;       // 32 a place
  CodeBlock* blocks;   // one a place
  CodeHalves* halves;  // one a place; nullptr where no matrix has scales for half blocks
  size_t columns;
};

inline constexpr size_t kRowGroup = 16;  // rows whose codes stand together
/// The place of a row's block, among rows of `blocks` blocks. (Of internal linkage, as all that
/// kernels call.)
static constexpr size_t code_place(size_t row, size_t block, size_t blocks) {
  return (row / kRowGroup * blocks + block) * kRowGroup + row % kRowGroup;
}

struct Kernels {
  const char* name;

  /// Quantises `blocks` blocks of row `row` from block `first` on; `x` points at its first value.
  void (*quantise)(const float* x, size_t blocks, const QuantisedRows& out, size_t row,
                   size_t first);
  /// out[m * stride + 0..16) = panel . activations[first + m] (or +=), m < rows.
  void (*panel_product)(PanelType type, const void* panel, const QuantisedRows& x, size_t first,
                        size_t rows, float* out, size_t stride, bool add);
  /// out[m * stride + n] = weights[n] . x[m] (or +=), n < weight_rows, m < rows.
  void (*dense_product)(DenseType type, const void* weights, size_t weight_rows, size_t columns,
                        const float* x, size_t x_stride, size_t rows, float* out, size_t stride,
                        bool add);
  void (*rms_norm)(const float* x, const float* weight, size_t n, float epsilon, float* out);
  /// out = silu(gate) * up
  void (*swiglu)(const float* gate, const float* up, size_t n, float* out);
  /// out = gelu(gate) * up, by the tanh formula
  void (*geglu)(const float* gate, const float* up, size_t n, float* out);
  /// Rotates adjacent pairs in place.
  void (*rotate)(float* x, const float* cosines, const float* sines, size_t pairs);
  /// Rotates x[i] with x[i + pairs] in place.
  void (*rotate_halves)(float* x, const float* cosines, const float* sines, size_t pairs);
  void (*to_half)(const float* x, size_t n, uint16_t* out);

  /// scores[r * score_stride + 16 * t + i] = q[r] . K[tile t][.][i]; a K tile is [width][16] of
  /// f16 or bf16 (those of q8 are panels: panel_product). The tiles `soon` will be read after these
  /// and come nearer meanwhile.
  void (*scores)(KvType type, const void* const* tiles, size_t tile_count, const void* const* soon,
                 size_t soon_count, size_t width, const float* q, size_t q_stride, size_t rows,
                 float* scores, size_t score_stride);
  /// In place: weights exp(score - maximum) of the first `count` scores; their sum. May write up to
  /// the next multiple of 16.
  float (*weights_of)(float* scores, size_t count, float maximum);
  /// out[r] += sum over the first `count` tokens of weights[r][token] * V[token]; a V tile is 16
  /// tokens' rows: `width` numbers of f16 or bf16, or q8's blocks.
  void (*values)(KvType type, const void* const* tiles, size_t count, size_t width,
                 const float* weights, size_t weight_stride, size_t rows, float* out,
                 size_t out_stride);
  /// Folds a later segment's (maximum, sum, values) into the carried ones.
  void (*merge)(float* maximum, float* sum, float* values, float later_maximum, float later_sum,
                const float* later_values, size_t width);
  /// out = x * factor
  void (*scale)(const float* x, float factor, size_t n, float* out);
  /// x = cap * tanh(x / cap)
  void (*soft_cap)(float* x, float cap, size_t n);

  /// -infinity for n == 0.
  float (*maximum)(const float* x, size_t n);
  /// out = x where bit i % 64 of allowed[i / 64] is set, else -infinity.
  void (*keep_allowed)(const float* x, const uint64_t* allowed, size_t n, float* out);
  /// Sum of exp((x - shift) * factor) of a segment's first n tokens, n <= kChoiceSegment, in
  /// kChoiceLanes lanes and a tree. No x is above `shift`; the factor is above 0.
  float (*sum_exp)(const float* x, size_t n, float shift, float factor);
  /// out = exp((x - shift) * factor)
  void (*exponentials)(const float* x, size_t n, float shift, float factor, float* out);

  /// Multiplies and adds int8 codes as the panels do, all operands in registers: how many of them
  /// were done. The most that this instruction set can give, for measuring against.
  uint64_t (*dot_peak)(size_t rounds);
};

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvxVnniKernels;
extern const Kernels kAvx512VnniKernels;
#elif defined(__aarch64__)
extern const Kernels kNeonKernels;
#endif

}  // namespace espalier::runtime::cpu
