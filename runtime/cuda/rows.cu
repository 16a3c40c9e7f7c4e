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
constexpr unsigned kMostRowThreads = 512;  // of a block that has a row for itself
constexpr unsigned kCopyColumns = 4;       // where there are no blocks

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

// A row as E4M3: its scale is of the whole row, so all threads of a block come with the same one,
// twice over its numbers.
template <class Source>
__device__ inline void put_e4m3(const E4m3Rows& to, std::uint32_t width, const Source& source) {
  if (to.codes == nullptr) return;
  ESP_SHARED std::uint32_t tops[kMostRowThreads / kWarp];
  const auto four = [&](std::uint32_t k) {
    if (k + 4 <= width) return source.four(k);
    const auto at = [&](std::uint32_t i) { return k + i < width ? source.at(k + i) : 0.0F; };
    return make_float4(at(0), at(1), at(2), at(3));
  };
  std::uint32_t top = 0;
  for (std::uint32_t k = 4 * threadIdx.x; k < width; k += 4 * blockDim.x) {
    top = largest_bits(four(k), top);
  }
#pragma unroll
  for (unsigned by = kWarp / 2; by > 0; by /= 2) {
    top = max(top, __shfl_xor_sync(kFullWarp, top, by));
  }
  if (threadIdx.x % kWarp == 0) tops[threadIdx.x / kWarp] = top;
  __syncthreads();
  for (unsigned i = 0; i < blockDim.x / kWarp; ++i) top = max(top, tops[i]);
  const auto [scale, inverse] = e4m3_row_scale(top);
  if (threadIdx.x == 0) to.scales[blockIdx.x] = scale;
  auto* const words = reinterpret_cast<std::uint32_t*>(to.codes + blockIdx.x * to.stride);
  for (std::uint32_t k = 4 * threadIdx.x; k < to.stride; k += 4 * blockDim.x) {
    std::uint32_t codes = 0;
    // The inverse 0 must not meet an infinity.
    if (k < width && inverse != 0.0F) {
      const float by = inverse;
      const float4 v = each(four(k), [by](float x) { return x * by; });
      codes = floats_to_e4m3(v.x, v.y, v.z, v.w);
    }
    words[k / 4] = codes;
  }
}

template <bool kWide>
__global__ void __launch_bounds__(kMostRowThreads)
    rms_norm_rows(RowsIn in, const float* weight, std::uint32_t width, float epsilon,
                  Activations out) {
  let_next_start();
  wait_for_inputs();
  auto* row = reinterpret_cast<float*>(dynamic_shared());
  const float factor = block_norm_factor<kWide>(in.row(blockIdx.x), width, epsilon, row);
  const Normed<kWide> normed{row, weight, factor};
  put_e4m3(out.e4m3, width, normed);
  put_row(RowOut<kWide>{out, blockIdx.x}, width, threadIdx.x, blockDim.x, normed);
}

template <bool kWide>
__global__ void __launch_bounds__(kMostRowThreads)
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

// Blocks: rows x pieces of a row. kWhole: whole rows, which go out as E4M3 too.
template <bool kWide, bool kWhole>
__global__ void __launch_bounds__(kWhole ? kMostRowThreads : kThreads, kWhole ? 3 : 0)
    set_rows(RowsIn in, std::uint32_t width, Activations out) {
  let_next_start();
  wait_for_inputs();
  const Plain<kWide> plain{in.row(blockIdx.x)};
  if constexpr (kWhole) put_e4m3(out.e4m3, width, plain);
  put_row(RowOut<kWide>{out, blockIdx.x}, width, blockIdx.y * blockDim.x + threadIdx.x,
          gridDim.y * blockDim.x, plain);
}

template <bool kWide, bool kGelu, bool kWhole>
__global__ void __launch_bounds__(kWhole ? kMostRowThreads : kThreads, kWhole ? 3 : 0)
    gate_rows(const float* gates, const float* up, std::size_t stride, std::uint32_t width,
              Activations out) {
  let_next_start();
  wait_for_inputs();
  const std::size_t at = blockIdx.x * stride;
  const Gated<kWide, kGelu> gated{gates + at, up + at};
  if constexpr (kWhole) put_e4m3(out.e4m3, width, gated);
  put_row(RowOut<kWide>{out, blockIdx.x}, width, blockIdx.y * blockDim.x + threadIdx.x,
          gridDim.y * blockDim.x, gated);
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

unsigned row_threads(std::uint32_t width) {
  const unsigned wanted = (width / kItemColumns + kWarp - 1) / kWarp * kWarp;
  return min(max(wanted, kWarp), kMostRowThreads);
}

// Blocks of kThreads for a row of which a thread takes `columns` at a time.
dim3 row_grid(std::uint32_t rows, std::uint32_t width, unsigned columns) {
  return dim3(rows, max(1U, (width / columns + kThreads - 1) / kThreads));
}

// Blocks that put rows into `out`: one a row where it goes out as E4M3.
template <class... P, class... A>
void launch_put(void (*pieces)(P...), void (*whole)(P...), cudaStream_t stream, std::uint32_t rows,
                std::uint32_t width, const Activations& out, A... arguments) {
  if (out.e4m3.codes == nullptr) {
    launch(pieces, row_grid(rows, width, kItemColumns), dim3(kThreads), 0, stream, arguments...,
           width, out);
  } else {
    launch(whole, dim3(rows), dim3(row_threads(width)), 0, stream, arguments..., width, out);
  }
}

}  // namespace

void rms_norm(cudaStream_t stream, std::uint32_t rows, const float* x, std::size_t stride,
              const std::uint32_t* from, const float* weight, std::uint32_t width, float epsilon,
              const Activations& out) {
  if (rows == 0) return;
  const bool wide = is_wide(x, stride) && is_wide(weight, 0) && is_wide(out.floats, out.stride);
  launch(wide ? rms_norm_rows<true> : rms_norm_rows<false>, dim3(rows), dim3(row_threads(width)),
         width * sizeof(float), stream, RowsIn{x, stride, from}, weight, width, epsilon, out);
}

void add_normed(cudaStream_t stream, std::uint32_t rows, const float* block, std::size_t stride,
                const float* weight, std::uint32_t width, float epsilon, float* x,
                std::size_t x_stride) {
  if (rows == 0) return;
  const bool wide = is_wide(block, stride) && is_wide(weight, 0) && is_wide(x, x_stride);
  launch(wide ? add_normed_rows<true> : add_normed_rows<false>, dim3(rows),
         dim3(row_threads(width)), width * sizeof(float), stream, RowsIn{block, stride, nullptr},
         weight, width, epsilon, x, x_stride);
}

void set_activations(cudaStream_t stream, std::uint32_t rows, const float* x, std::size_t stride,
                     const std::uint32_t* from, std::uint32_t width, const Activations& out) {
  if (rows == 0) return;
  const bool wide = is_wide(x, stride) && is_wide(out.floats, out.stride);
  const RowsIn in{x, stride, from};
  if (wide) {
    launch_put(set_rows<true, false>, set_rows<true, true>, stream, rows, width, out, in);
  } else {
    launch_put(set_rows<false, false>, set_rows<false, true>, stream, rows, width, out, in);
  }
}

void gate(cudaStream_t stream, std::uint32_t rows, const float* gate, const float* up,
          std::size_t stride, std::uint32_t width, bool gelu, const Activations& out) {
  if (rows == 0) return;
  const bool wide = is_wide(gate, stride) && is_wide(up, stride) && is_wide(out.floats, out.stride);
  const auto run = [&]<bool kWide, bool kGelu>() {
    launch_put(gate_rows<kWide, kGelu, false>, gate_rows<kWide, kGelu, true>, stream, rows, width,
               out, gate, up, stride);
  };
  if (wide) {
    return gelu ? run.template operator()<true, true>() : run.template operator()<true, false>();
  }
  gelu ? run.template operator()<false, true>() : run.template operator()<false, false>();
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
