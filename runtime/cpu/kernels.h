// The arithmetic of the CPU backend: one table of functions per instruction set, all bit-equal.
//
// The numerics contract (README.md) fixes every operation and its order, so the scalar table is the
// oracle of the others. Kernels are leaf functions: no allocation, no threads, no knowledge of
// models or batches; none lets the number of rows change a row's bits. Buffers may be unaligned.
// Matrices are row-major with a stride in elements.
//
// Kernel files are compiled with flags of their own. They include nothing but this header and the
// compiler's intrinsics, and give their functions internal linkage: an inline function shared with
// other files could otherwise be linked in its AVX-512 form and run on a machine that lacks it.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace espalier::runtime::cpu {

inline constexpr size_t kLanes = 16;           // fp32 lanes of every reduction
inline constexpr size_t kBlock = 32;           // activations that share a scale
inline constexpr size_t kPanelRows = 16;       // outputs of a weight panel
inline constexpr size_t kTileTokens = 16;      // tokens of an attention tile (a KV page)
inline constexpr size_t kSegmentTokens = 256;  // tokens of an attention segment

/// Weights of int8 products. A panel is 16 outputs; its block of 32 columns is: codes, 16 scales
/// (binary16) and for kQ4_1 16 minima (binary16). All codes are unsigned; the bias is taken off
/// the integer sum. Codes: byte 64*j + 4*row + i is column 4*j + i (kQ8_0, j < 8), or holds column
/// 4*j + i in its low and column 16 + 4*j + i in its high nibble (4 bits, j < 4).
enum class PanelType : uint8_t { kQ4_0, kQ4_1, kQ8_0 };
constexpr size_t panel_block_bytes(PanelType type) {
  return type == PanelType::kQ4_0 ? 288 : type == PanelType::kQ4_1 ? 320 : 544;
}

/// Weights of fp32 products, row-major as files store them.
enum class DenseType : uint8_t { kF32, kF16, kBF16 };

/// Activations as int8 codes in blocks of 32: value = code * scale. `columns` is the stride of
/// codes; the others have columns / 32 entries a row.
struct QuantisedRows {
  int8_t* codes;
  float* scales;
  float* scaled_sums;  // scale * sum of codes
  int32_t* minus_8_sums;
  int32_t* minus_128_sums;
  size_t columns;
};

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

  /// scores[r * score_stride + 16 * t + i] = q[r] . K[tile t][.][i]; a K tile is [width][16].
  void (*scores)(const uint16_t* const* tiles, size_t tile_count, size_t width, const float* q,
                 size_t q_stride, size_t rows, float* scores, size_t score_stride);
  /// In place: weights exp(score - maximum) of the first `count` scores; their maximum and sum.
  /// May write up to the next multiple of 16.
  void (*softmax)(float* scores, size_t count, float* maximum, float* sum);
  /// out[r] += sum over the first `count` tokens of weights[r][token] * V[token]; V is [16][width].
  void (*values)(const uint16_t* const* tiles, size_t count, size_t width, const float* weights,
                 size_t weight_stride, size_t rows, float* out, size_t out_stride);
  /// Folds a later segment's (maximum, sum, values) into the carried ones.
  void (*merge)(float* maximum, float* sum, float* values, float later_maximum, float later_sum,
                const float* later_values, size_t width);
  /// out = x * factor
  void (*scale)(const float* x, float factor, size_t n, float* out);
  /// x = cap * tanh(x / cap)
  void (*soft_cap)(float* x, float cap, size_t n);

  /// -infinity for n == 0.
  float (*maximum)(const float* x, size_t n);
  /// Sum of exp(x - shift).
  float (*sum_exp)(const float* x, size_t n, float shift);
  /// out = exp((x - shift) * factor)
  void (*exponentials)(const float* x, size_t n, float shift, float factor, float* out);
};

extern const Kernels kScalarKernels;
#if defined(__x86_64__)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512VnniKernels;
#endif

}  // namespace espalier::runtime::cpu
