// Work on rows of floats: norms, gates, the cap of logits, gathering, and activations in the forms
// that products read.
//
// A norm is one thread block's, since its sum is; all else is cut into pieces of a row (rows.cuh).
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/math.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/rows.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kMostNormThreads = 512;
constexpr unsigned kCopyColumns = 4;  // where there are no blocks

struct RowsIn {
  const float* x;
  std::size_t stride;
  const std::uint32_t* from;  // null: row m

  __device__ const float* row(std::uint32_t m) const {
    return x + (from == nullptr ? m : from[m]) * stride;
  }
};

// The factor of a row's norm. The row is left in shared memory, 16 bytes aligned.
template <bool kWide>
__device__ inline float block_norm_factor(const float* x, std::uint32_t width, float epsilon,
                                          float* shared_row) {
  ESP_SHARED float shared_factor;
  const std::uint32_t whole = width / 4 * 4;
  for (std::uint32_t k = 4 * threadIdx.x; k < whole; k += 4 * blockDim.x) {
    store_four<true>(shared_row + k, load_four<kWide>(x + k));
  }
  if (threadIdx.x < width - whole) shared_row[whole + threadIdx.x] = x[whole + threadIdx.x];
  __syncthreads();
  // The other half of the warp does the same again.
  if (threadIdx.x < kWarp) {
    const float factor = norm_factor(shared_row, width, epsilon);
    if (threadIdx.x == 0) shared_factor = factor;
  }
  __syncthreads();
  return shared_factor;
}

template <bool kWide>
__global__ void __launch_bounds__(kMostNormThreads)
    rms_norm_rows(RowsIn in, const float* weight, std::uint32_t width, float epsilon,
                  Activations out) {
  let_next_start();
  wait_for_inputs();
  auto* row = reinterpret_cast<float*>(dynamic_shared());
  const float factor = block_norm_factor<kWide>(in.row(blockIdx.x), width, epsilon, row);
  put_row(RowOut<kWide>{out, blockIdx.x}, width, threadIdx.x, blockDim.x,
          Normed<kWide>{row, weight, factor});
}

template <bool kWide>
__global__ void __launch_bounds__(kMostNormThreads)
    add_normed_rows(RowsIn in, const float* weight, std::uint32_t width, float epsilon, float* x,
                    std::size_t x_stride) {
  let_next_start();
  wait_for_inputs();
  auto* row = reinterpret_cast<float*>(dynamic_shared());
  const Normed<kWide> normed{row, weight,
                             block_norm_factor<kWide>(in.row(blockIdx.x), width, epsilon, row)};
  float* const to = x + blockIdx.x * x_stride;
  const std::uint32_t whole = width / 4 * 4;
  for (std::uint32_t k = 4 * threadIdx.x; k < whole; k += 4 * blockDim.x) {
    store_four<kWide>(to + k, each(load_four<kWide>(to + k), normed.four(k),
                                   [](float residual, float add) { return residual + add; }));
  }
  const std::uint32_t k = whole + threadIdx.x;
  if (k < width) to[k] += normed.at(k);
}

// Blocks: rows x pieces of a row.
template <bool kWide>
__global__ void __launch_bounds__(kThreads)
    set_rows(RowsIn in, std::uint32_t width, Activations out) {
  let_next_start();
  wait_for_inputs();
  put_row(RowOut<kWide>{out, blockIdx.x}, width, blockIdx.y * kThreads + threadIdx.x,
          gridDim.y * kThreads, Plain<kWide>{in.row(blockIdx.x)});
}

template <bool kWide, bool kGelu>
__global__ void __launch_bounds__(kThreads)
    gate_rows(const float* gates, const float* up, std::size_t stride, std::uint32_t width,
              Activations out) {
  let_next_start();
  wait_for_inputs();
  const std::size_t at = blockIdx.x * stride;
  put_row(RowOut<kWide>{out, blockIdx.x}, width, blockIdx.y * kThreads + threadIdx.x,
          gridDim.y * kThreads, Gated<kWide, kGelu>{gates + at, up + at});
}

// to[m] = f(from row m), by fours. Blocks: rows x pieces of a row.
template <bool kWide, class F>
__device__ inline void map_row(const float* from, float* to, std::uint32_t width, F f) {
  const std::uint32_t whole = width / kCopyColumns * kCopyColumns;
  const std::uint32_t thread = blockIdx.y * kThreads + threadIdx.x;
  const std::uint32_t k = thread * kCopyColumns;
  if (k < whole) store_four<kWide>(to + k, each(load_four<kWide>(from + k), f));
  if (thread < width - whole) to[whole + thread] = f(from[whole + thread]);
}

// Contract 10: tanh(y) = 1 - 2 / (1 + exp(2 y)).
template <bool kWide>
__global__ void __launch_bounds__(kThreads)
    soft_cap_rows(float* x, std::size_t stride, std::uint32_t width, float cap) {
  let_next_start();
  wait_for_inputs();
  float* const row = x + blockIdx.x * stride;
  map_row<kWide>(row, row, width, [cap](float value) {
    const float y = value / cap;
    const float tanh = 1.0F - 2.0F / (1.0F + exponential(y + y));
    return tanh * cap;
  });
}

template <bool kWide>
__global__ void __launch_bounds__(kThreads)
    copy_rows(RowsIn in, std::uint32_t width, float* to, std::size_t to_stride) {
  let_next_start();
  wait_for_inputs();
  map_row<kWide>(in.row(blockIdx.x), to + blockIdx.x * to_stride, width,
                 [](float value) { return value; });
}

// The pieces are asked for by numbers that the compiler knows: they stay where parameters are.
__global__ void __launch_bounds__(kThreads)
    join_rows(Pieces pieces, std::uint32_t columns, const float* from, float* to,
              std::size_t stride, bool add) {
  let_next_start();
  wait_for_inputs();
  const std::uint32_t column = blockIdx.y * kThreads + threadIdx.x;
  if (column >= columns) return;
  std::uint32_t first = 0;
  std::uint32_t end = columns;
#pragma unroll
  for (std::uint32_t r = 0; r < kMostRanks; ++r) {
    if (r < pieces.ranks && column >= pieces.cuts[r]) {
      first = pieces.cuts[r];
      end = pieces.cuts[r + 1];
    }
  }
  const float value = from[static_cast<std::size_t>(gridDim.x) * first +
                           static_cast<std::size_t>(blockIdx.x) * (end - first) + (column - first)];
  float* const place = to + blockIdx.x * stride + column;
  *place = add ? *place + value : value;
}

// Whether rows can be read 16 bytes at a time.
bool is_wide(const float* rows, std::size_t stride) {
  return (reinterpret_cast<std::uintptr_t>(rows) | stride * sizeof(float)) % sizeof(float4) == 0;
}

unsigned norm_threads(std::uint32_t width) {
  const unsigned wanted = (width / kItemColumns + kWarp - 1) / kWarp * kWarp;
  return min(max(wanted, kWarp), kMostNormThreads);
}

// Blocks of kThreads for a row of which a thread takes `columns` at a time.
dim3 row_grid(std::uint32_t rows, std::uint32_t width, unsigned columns) {
  return dim3(rows, max(1U, (width / columns + kThreads - 1) / kThreads));
}

}  // namespace

void rms_norm(cudaStream_t stream, std::uint32_t rows, const float* x, std::size_t stride,
              const std::uint32_t* from, const float* weight, std::uint32_t width, float epsilon,
              const Activations& out) {
  if (rows == 0) return;
  const bool wide = is_wide(x, stride) && is_wide(weight, 0) && is_wide(out.floats, out.stride);
  launch(wide ? rms_norm_rows<true> : rms_norm_rows<false>, dim3(rows), dim3(norm_threads(width)),
         width * sizeof(float), stream, RowsIn{x, stride, from}, weight, width, epsilon, out);
}

void add_normed(cudaStream_t stream, std::uint32_t rows, const float* block, std::size_t stride,
                const float* weight, std::uint32_t width, float epsilon, float* x,
                std::size_t x_stride) {
  if (rows == 0) return;
  const bool wide = is_wide(block, stride) && is_wide(weight, 0) && is_wide(x, x_stride);
  launch(wide ? add_normed_rows<true> : add_normed_rows<false>, dim3(rows),
         dim3(norm_threads(width)), width * sizeof(float), stream, RowsIn{block, stride, nullptr},
         weight, width, epsilon, x, x_stride);
}

void set_activations(cudaStream_t stream, std::uint32_t rows, const float* x, std::size_t stride,
                     const std::uint32_t* from, std::uint32_t width, const Activations& out) {
  if (rows == 0) return;
  const bool wide = is_wide(x, stride) && is_wide(out.floats, out.stride);
  launch(wide ? set_rows<true> : set_rows<false>, row_grid(rows, width, kItemColumns),
         dim3(kThreads), 0, stream, RowsIn{x, stride, from}, width, out);
}

void gate(cudaStream_t stream, std::uint32_t rows, const float* gate, const float* up,
          std::size_t stride, std::uint32_t width, bool gelu, const Activations& out) {
  if (rows == 0) return;
  const bool wide = is_wide(gate, stride) && is_wide(up, stride) && is_wide(out.floats, out.stride);
  const auto kernel = wide ? (gelu ? gate_rows<true, true> : gate_rows<true, false>)
                           : (gelu ? gate_rows<false, true> : gate_rows<false, false>);
  launch(kernel, row_grid(rows, width, kItemColumns), dim3(kThreads), 0, stream, gate, up, stride,
         width, out);
}

void soft_cap(cudaStream_t stream, std::uint32_t rows, float* x, std::size_t stride,
              std::uint32_t width, float cap) {
  if (rows == 0) return;
  launch(is_wide(x, stride) ? soft_cap_rows<true> : soft_cap_rows<false>,
         row_grid(rows, width, kCopyColumns), dim3(kThreads), 0, stream, x, stride, width, cap);
}

void join_columns(cudaStream_t stream, std::uint32_t rows, const Pieces& pieces, const float* from,
                  float* to, std::size_t stride, bool add) {
  if (rows == 0) return;
  const std::uint32_t columns = pieces.cuts[pieces.ranks];
  launch(join_rows, row_grid(rows, columns, 1), dim3(kThreads), 0, stream, pieces, columns, from,
         to, stride, add);
}

void gather_rows(cudaStream_t stream, std::uint32_t rows, const float* from,
                 std::size_t from_stride, const std::uint32_t* index, std::uint32_t width,
                 float* to, std::size_t to_stride) {
  if (rows == 0) return;
  const bool wide = is_wide(from, from_stride) && is_wide(to, to_stride);
  launch(wide ? copy_rows<true> : copy_rows<false>, row_grid(rows, width, kCopyColumns),
         dim3(kThreads), 0, stream, RowsIn{from, from_stride, index}, width, to, to_stride);
}

}  // namespace espalier::runtime::cuda
