// The kernels of the CUDA backend as functions that the host calls: each enqueues its work on a
// stream and returns. All obey the numerics contract (../cpu/README.md) and give the bits of
// cpu::Kernels, whatever the number of rows; but for products of kE4M3, which are of numerics
// `fp8`.
//
// Pointers are to device memory unless said otherwise. Nothing here allocates or waits. Errors of
// launches stay with the CUDA runtime (cudaGetLastError).
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "runtime/cpu/kv_type.h"
#include "runtime/cuda/layout.h"

namespace espalier::runtime::cuda {

/// Activations of some rows for the next products: as floats, as codes, in 16 bits, in 8 bits, or
/// several of these (a null pointer: not wanted).
struct Activations {
  float* floats = nullptr;
  std::size_t stride = 0;  // of floats, in elements
  CodedRows coded;
  StripRows strips;
  E4m3Rows e4m3;
};

/// The weights of one matrix, on the device.
struct DeviceMatrix {
  const unsigned char* data = nullptr;  // panels (layout.h), dense rows, or rows of E4M3
  const float* scales = nullptr;        // of E4M3: an output's
  std::uint32_t rows = 0;               // outputs
  std::uint32_t columns = 0;
  WeightFormat format = WeightFormat::kF32;
};

/// Which threads a product has: what they read together, never in which order a number is formed,
/// so that all choices have the same bits. 0: as the rule has it. Sizes that a kernel does not have
/// count as the nearest that it has; those that need more shared memory than the rule's choice, and
/// than every device has, as 0.
struct ProductSizes {
  /// Rows that share a read of the weights. Quantised: 8, 16 or 32, the warps of a thread block
  /// sharing a panel's columns, or 64, a warp taking all of its panel's; of E4M3 the first three.
  /// Dense: 1, 2, 4 or 8.
  std::uint32_t rows = 0;
  /// Warps of a thread block, 1 to 8. Dense: half warps that share an output's columns, to 16.
  std::uint32_t warps = 0;
  /// Quantised, 8 rows: pieces of a warp's columns that are asked for at once, 2 or 4.
  std::uint32_t ahead = 0;

  friend bool operator==(const ProductSizes&, const ProductSizes&) = default;
};

/// out[m * stride + n] = matrix[n] . x[m] (or +=), n < matrix.rows, m < rows. `wanted`: a bitset of
/// panels of 16 outputs, of those alone that are needed; the others may be computed or not. Null:
/// all. It must have been there before the kernel before this one began.
void product(cudaStream_t stream, const DeviceMatrix& matrix, const Activations& x,
             std::uint32_t rows, float* out, std::size_t stride, bool add,
             const std::uint32_t* wanted = nullptr, const ProductSizes& sizes = {});

/// out[m * stride + n] = sums[m * from_stride + n] * x's scale m * matrix's scale n (or +=), both
/// of E4M3: behind a product of their codes alone. `sums` may be `out`.
void scale_sums(cudaStream_t stream, const DeviceMatrix& matrix, const E4m3Rows& x,
                std::uint32_t rows, const float* sums, std::size_t from_stride, float* out,
                std::size_t stride, bool add);

/// out[m] = rms_norm(x[from[m]]) (from null: m). `x` rows are `stride` apart.
void rms_norm(cudaStream_t stream, std::uint32_t rows, const float* x, std::size_t stride,
              const std::uint32_t* from, const float* weight, std::uint32_t width, float epsilon,
              const Activations& out);
/// x[m] += rms_norm(block[m]): a block's output norm, then the residual.
void add_normed(cudaStream_t stream, std::uint32_t rows, const float* block, std::size_t stride,
                const float* weight, std::uint32_t width, float epsilon, float* x,
                std::size_t x_stride);
/// out[m] = x[from[m]] (from null: m), in the wanted form.
void set_activations(cudaStream_t stream, std::uint32_t rows, const float* x, std::size_t stride,
                     const std::uint32_t* from, std::uint32_t width, const Activations& out);
/// out[m] = activation(gate[m]) * up[m]; silu, or gelu by the tanh formula.
void gate(cudaStream_t stream, std::uint32_t rows, const float* gate, const float* up,
          std::size_t stride, std::uint32_t width, bool gelu, const Activations& out);
/// x[m] = cap * tanh(x[m] / cap), in place.
void soft_cap(cudaStream_t stream, std::uint32_t rows, float* x, std::size_t stride,
              std::uint32_t width, float cap);
/// to[m] = from[index[m]], rows of `width` floats; the ranges do not overlap.
void gather_rows(cudaStream_t stream, std::uint32_t rows, const float* from,
                 std::size_t from_stride, const std::uint32_t* index, std::uint32_t width,
                 float* to, std::size_t to_stride);

/// The most devices that can share a layer.
inline constexpr std::uint32_t kMostRanks = 16;
/// Columns of rows that several ranks have formed, as they lie after a gathering: rank r's columns
/// [cuts[r], cuts[r + 1]) of all `rows`, as rows of their own, from rows * cuts[r] on.
struct Pieces {
  std::uint32_t ranks = 0;
  std::uint32_t cuts[kMostRanks + 1] = {};
};
/// to[m] = the columns of row m, side by side; or +=.
void join_columns(cudaStream_t stream, std::uint32_t rows, const Pieces& pieces, const float* from,
                  float* to, std::size_t stride, bool add);

/// The KV pages (../cpu/kv_pool.h has the layout; a page's bytes are the same on every backend), as
/// pieces of 16 bits.
struct KvView {
  std::uint16_t* pages = nullptr;
  std::uint32_t layers = 0;
  std::uint32_t kv_heads = 0;
  std::uint32_t width = 0;  // of a head
  KvType type = KvType::kF16;
};

/// A row of the step, on the device.
struct DeviceRow {
  std::uint32_t position = 0;
  std::uint32_t first_write = 0;
  std::uint32_t writes = 0;
};
struct DeviceSlot {
  std::uint32_t page = 0;
  std::uint32_t slot = 0;
};
struct DeviceCopy {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t slots = 0;
};

/// Q, K and V of a layer after their products: biases, norms of heads, rotation, the temperature
/// of Q; K and V go to their pages in the pool's type.
struct Heads {
  float* queries = nullptr;  // rows of heads * width
  float* keys = nullptr;     // rows of kv_heads * width
  float* values = nullptr;
  std::size_t query_stride = 0;
  std::size_t key_stride = 0;
  const float* query_bias = nullptr;  // null: none; so with the next
  const float* key_bias = nullptr;
  const float* value_bias = nullptr;
  const float* query_norm = nullptr;
  const float* key_norm = nullptr;
  float epsilon = 0;
  std::uint32_t heads = 0;
  std::uint32_t pairs = 0;              // that turn
  bool adjacent = false;                // pairs are 2i and 2i + 1, else i and i + pairs
  const float* cosines = nullptr;       // [position][pairs]
  const float* sines = nullptr;         // [position][pairs]
  const float* temperatures = nullptr;  // [position], or null
};
/// Rows whose heads a thread block may take together.
inline constexpr std::uint32_t kHeadsTogether = 16;
/// `together`: from how many rows on kHeadsTogether of them share a thread block; no bit depends on
/// it.
void turn_heads(cudaStream_t stream, std::uint32_t rows, const Heads& heads, const DeviceRow* row,
                const DeviceSlot* slots, std::uint32_t layer, const KvView& pool,
                std::uint32_t together = kHeadsTogether);

/// Copies slots [0, slots) of pages, all layers.
void copy_pages(cudaStream_t stream, std::uint32_t count, const DeviceCopy* copies,
                const KvView& pool);

}  // namespace espalier::runtime::cuda
