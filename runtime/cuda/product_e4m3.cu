// Products of E4M3 weights with few rows of E4M3 activations, on tensor cores; and what is behind
// products of codes alone (numerics `fp8`, README.md).
//
// A thread block has a panel of 16 outputs and up to 32 rows; its eight warps take the segments of
// 512 columns in turn, since memory is what they wait for. A segment is one chain of products in
// fp32 as tensor cores add (on some of them with fewer bits than that: hence segments), segments of
// a warp are added in order, then the warps. So what a row gives depends on nothing beside it.
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {
namespace {

constexpr unsigned kWarps = 8;
constexpr std::uint32_t kPiece = 64;         // columns of which a lane has 16, of two outputs
constexpr std::uint32_t kSegmentPieces = 8;  // 512 columns
constexpr std::uint32_t kAhead = 4;          // pieces of weights that are asked for at once
static_assert(kSegmentPieces % kAhead == 0);
// Floats of a row of sums in shared memory: 16, and room so that rows begin at different banks.
constexpr unsigned kRowStride = 20;
constexpr unsigned kScaleThreads = 256;

struct E4m3View {
  const unsigned char* codes;
  const float* scales;
  std::uint32_t outputs;
  std::uint32_t stride;  // of a row, in codes: whole strips
};

// Two pieces of 16 x 32 columns with 8 rows: the same 16 columns of a lane on both sides.
__device__ inline void multiply(float (&c)[4], const uint4 (&a)[2], const uint4& b) {
  const std::uint32_t first[4] = {a[0].x, a[1].x, a[0].y, a[1].y};
  const std::uint32_t second[4] = {a[0].z, a[1].z, a[0].w, a[1].w};
  mma_16x8x32_e4m3(c, first, b.x, b.y);
  mma_16x8x32_e4m3(c, second, b.z, b.w);
}

template <int kTiles>
__global__ void __launch_bounds__(kWarps* kWarp, kTiles > 2 ? 1 : 2)
    product_e4m3(E4m3View w, E4m3Rows x, std::uint32_t rows, float* out, std::size_t out_stride,
                 bool add) {
  constexpr unsigned kRows = kTiles * kTileRows;
  ESP_SHARED float parts[kWarps * kRows * kRowStride];  // [warp][row][output]
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  const unsigned g = lane / 4;
  const unsigned t = lane % 4;
  const std::uint32_t row0 = blockIdx.y * kRows;
  const std::uint32_t pieces = w.stride / kPiece;
  const unsigned char* const weights =
      w.codes + (static_cast<std::size_t>(blockIdx.x) * kPanelRows + g) * w.stride + 16 * t;
  uint4 a[kAhead][2];
  const auto fetch = [&](std::uint32_t piece) {
#pragma unroll
    for (std::uint32_t i = 0; i < kAhead; ++i) {
      // Past the end, the last piece again: loads without branches; it is not used.
      const std::uint32_t at = min(piece + i, pieces - 1) * kPiece;
      a[i][0] = *reinterpret_cast<const uint4*>(weights + at);
      a[i][1] = *reinterpret_cast<const uint4*>(weights + 8 * std::size_t{w.stride} + at);
    }
  };
  let_next_start();
  // The first weights are asked for before the activations are there.
  fetch(warp * kSegmentPieces);
  wait_for_inputs();
  const std::uint8_t* codes[kTiles];
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
    // Rows past the last one repeat it and are not stored.
    codes[i] = x.codes + min(row0 + i * kTileRows + g, rows - 1) * x.stride + 16 * t;
  }
  float total[kTiles][4];
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) total[i][j] = 0.0F;
  }
  for (std::uint32_t begin = warp * kSegmentPieces; begin < pieces;
       begin += kWarps * kSegmentPieces) {
    float acc[kTiles][4];
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) acc[i][j] = 0.0F;
    }
    for (std::uint32_t u = 0; u < kSegmentPieces; u += kAhead) {
      if (begin > warp * kSegmentPieces || u > 0) fetch(begin + u);
#pragma unroll
      for (std::uint32_t p = 0; p < kAhead; ++p) {
        const std::uint32_t piece = begin + u + p;
        if (piece >= pieces) break;
#pragma unroll
        for (int i = 0; i < kTiles; ++i) {
          multiply(acc[i], a[p], *reinterpret_cast<const uint4*>(codes[i] + piece * kPiece));
        }
      }
    }
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) total[i][j] = total[i][j] + acc[i][j];
    }
  }
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const unsigned row = i * kTileRows + 2 * t + j % 2;
      parts[(warp * kRows + row) * kRowStride + g + 8 * (j / 2)] = total[i][j];
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kRows * kPanelRows; i += blockDim.x) {
    const unsigned row = i / kPanelRows;
    const std::uint32_t m = row0 + row;
    const std::uint32_t n = blockIdx.x * kPanelRows + i % kPanelRows;
    if (m >= rows || n >= w.outputs) continue;
    const float* part = parts + row * kRowStride + i % kPanelRows;
    float sum = part[0];
#pragma unroll
    for (unsigned s = 1; s < kWarps; ++s) sum = sum + part[s * kRows * kRowStride];
    sum = (sum * x.scales[m]) * w.scales[n];
    float* const to = out + m * out_stride + n;
    *to = add ? *to + sum : sum;
  }
}

// Blocks: rows x pieces of a row.
__global__ void __launch_bounds__(kScaleThreads)
    scale_rows(const float* scales, std::uint32_t outputs, const float* row_scales,
               const float* sums, std::size_t from_stride, float* out, std::size_t stride,
               bool add) {
  let_next_start();
  wait_for_inputs();
  const std::uint32_t n = blockIdx.y * kScaleThreads + threadIdx.x;
  if (n >= outputs) return;
  const std::size_t m = blockIdx.x;
  const float sum = (sums[m * from_stride + n] * row_scales[m]) * scales[n];
  float* const to = out + m * stride + n;
  *to = add ? *to + sum : sum;
}

}  // namespace

void e4m3_product(cudaStream_t stream, const DeviceMatrix& matrix, const E4m3Rows& x,
                  std::uint32_t rows, float* out, std::size_t stride, bool add,
                  const ProductSizes& sizes) {
  const E4m3View w{matrix.data, matrix.scales, matrix.rows, strip_columns(matrix.columns)};
  const auto run = [&]<int kTiles>() {
    constexpr std::uint32_t kRows = kTiles * kTileRows;
    launch(product_e4m3<kTiles>,
           dim3((matrix.rows + kPanelRows - 1) / kPanelRows, (rows + kRows - 1) / kRows),
           dim3(kWarps * kWarp), 0, stream, w, x, rows, out, stride, add);
  };
  const std::uint32_t together = sizes.rows != 0 ? sizes.rows : rows;
  if (together <= 8) {
    run.template operator()<1>();
  } else if (together <= 16) {
    run.template operator()<2>();
  } else {
    run.template operator()<4>();
  }
}

void scale_sums(cudaStream_t stream, const DeviceMatrix& matrix, const E4m3Rows& x,
                std::uint32_t rows, const float* sums, std::size_t from_stride, float* out,
                std::size_t stride, bool add) {
  if (rows == 0) return;
  launch(scale_rows, dim3(rows, (matrix.rows + kScaleThreads - 1) / kScaleThreads),
         dim3(kScaleThreads), 0, stream, matrix.scales, matrix.rows, x.scales, sums, from_stride,
         out, stride, add);
}

}  // namespace espalier::runtime::cuda
