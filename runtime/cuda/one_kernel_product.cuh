// A warp's tasks in the products of one_kernel.cuh: 16 outputs of a matrix, by its type. Their sums
// go to shared memory: [row][output], rows kSplitStride apart.
#pragma once

#include "runtime/cuda/chain.cuh"
#include "runtime/cuda/one_kernel_room.cuh"
#include "runtime/cuda/product_dense.cuh"
#include "runtime/cuda/product_segment.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda::one_kernel {

/// Of codes, a segment of columns.
template <WeightFormat kFormat>
__device__ __forceinline__ void add_segment(const LayerMatrix& matrix, std::uint32_t columns,
                                            std::uint32_t panel, std::uint32_t segment,
                                            const CodedRows& x, float* sums) {
  constexpr int kAhead = 4;
  constexpr std::size_t kFirst[1] = {0};
  const unsigned lane = opaque(threadIdx.x % kWarp);
  const unsigned char* const data = matrix.data + panel * matrix.unit_bytes;
  PanelView w{};
  w.blocks = columns / kBlock;
  w.chunks = (w.blocks + kChunkBlocks - 1) / kChunkBlocks;
  const std::uint32_t begin = segment * kSegmentChunks;
  const std::uint32_t end = min(begin + kSegmentChunks, w.chunks);
  float acc[1][4] = {{0.0F, 0.0F, 0.0F, 0.0F}};
  Super<kFormat> super;
#pragma unroll 1
  for (std::uint32_t chunk = begin; chunk < end; chunk += kAhead) {
    Piece<kFormat> pieces[kAhead];
    fetch_chunks(pieces, w, data, chunk, lane);
    add_chunks<kFormat, 1, false>(acc, pieces, super, w, data, x, kFirst, chunk, end, lane);
  }
  put_sums<1, kOneKernelRows>(acc, sums, lane);
}

/// Of floats, two outputs a half warp through all segments: of each lane first the segments in
/// order, then the tree.
template <WeightFormat kFormat, int kCols>
__device__ __forceinline__ void add_dense(const LayerMatrix& matrix, std::uint32_t columns,
                                          std::uint32_t panel, std::uint32_t task,
                                          const Activations& x, std::uint32_t rows, float* sums) {
  constexpr int kOutputs = kPanelRows / kDenseTasks / 2;
  constexpr int kAhead = kCols == 1 ? static_cast<int>(kSegmentStrips) : 2;
  constexpr std::uint32_t kBytes = Strip<kFormat>::kWords * 4;
  const unsigned thread = opaque(threadIdx.x);
  const unsigned lane = thread % kSumLanes;
  const std::uint32_t first =
      (task * 2 + thread / kSumLanes % 2) * static_cast<std::uint32_t>(kOutputs);
  const std::uint32_t strips = (columns + kStrip - 1) / kStrip;
  const std::uint32_t segments = segments_of(columns);
  const unsigned char* weights[kOutputs];
#pragma unroll
  for (int r = 0; r < kOutputs; ++r) {
    const std::uint32_t n = min(panel * kPanelRows + first + r, matrix.rows - 1);
    weights[r] = matrix.data + n * matrix.unit_bytes + lane * kBytes;
  }
  const float* inputs[kCols];
#pragma unroll
  for (int c = 0; c < kCols; ++c) {
    inputs[c] = x.floats + min(static_cast<std::uint32_t>(c), rows - 1) * columns + lane;
  }
  float total[kOutputs][kCols];
#pragma unroll 1
  for (std::uint32_t segment = 0; segment < segments; ++segment) {
    float acc[kOutputs][kCols];
#pragma unroll
    for (int r = 0; r < kOutputs; ++r) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) acc[r][c] = 0.0F;
    }
#pragma unroll 1
    for (std::uint32_t u = 0; u < kSegmentStrips; u += kAhead) {
      Strip<kFormat> strip[kAhead][kOutputs];
      const std::uint32_t at = segment * kSegmentStrips + u;
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        // Past the end, the last strip again, whose activations are taken for 0.
        const std::uint32_t s = min(at + i, strips - 1);
#pragma unroll
        for (int r = 0; r < kOutputs; ++r) strip[i][r].load(weights[r] + s * 16 * kBytes);
      }
#pragma unroll
      for (int i = 0; i < kAhead; ++i) add_strip(acc, strip[i], inputs, (at + i) * kStrip, columns);
    }
#pragma unroll
    for (int r = 0; r < kOutputs; ++r) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        total[r][c] = segment == 0 ? acc[r][c] : total[r][c] + acc[r][c];
      }
    }
  }
#pragma unroll
  for (int r = 0; r < kOutputs; ++r) {
#pragma unroll
    for (int c = 0; c < kCols; ++c) {
      float sum = total[r][c];
#pragma unroll
      for (int by = kSumLanes / 2; by > 0; by /= 2) {
        sum = sum + __shfl_xor_sync(kFullWarp, sum, by);
      }
      if (lane == 0) sums[c * kSplitStride + first + r] = sum;
    }
  }
}

/// Task number `task` of 16 outputs.
__device__ __forceinline__ void run_task(const LayerMatrix& matrix, std::uint32_t columns,
                                         std::uint32_t panel, std::uint32_t task,
                                         const Activations& x, std::uint32_t rows, float* sums) {
  const auto coded = [&]<WeightFormat kFormat>() {
    add_segment<kFormat>(matrix, columns, panel, task, x.coded, sums + task * kFoldFloats);
  };
  const auto dense = [&]<WeightFormat kFormat>() {
    if (rows == 1) {
      add_dense<kFormat, 1>(matrix, columns, panel, task, x, rows, sums);
    } else if (rows <= 4) {
      add_dense<kFormat, 4>(matrix, columns, panel, task, x, rows, sums);
    } else {
      add_dense<kFormat, 8>(matrix, columns, panel, task, x, rows, sums);
    }
  };
  switch (matrix.format) {
    case WeightFormat::kQ4_0:
      return coded.template operator()<WeightFormat::kQ4_0>();
    case WeightFormat::kQ4_1:
      return coded.template operator()<WeightFormat::kQ4_1>();
    case WeightFormat::kQ5_0:
      return coded.template operator()<WeightFormat::kQ5_0>();
    case WeightFormat::kQ5_1:
      return coded.template operator()<WeightFormat::kQ5_1>();
    case WeightFormat::kQ8_0:
      return coded.template operator()<WeightFormat::kQ8_0>();
    case WeightFormat::kQ2_K:
      return coded.template operator()<WeightFormat::kQ2_K>();
    case WeightFormat::kQ3_K:
      return coded.template operator()<WeightFormat::kQ3_K>();
    case WeightFormat::kQ4_K:
      return coded.template operator()<WeightFormat::kQ4_K>();
    case WeightFormat::kQ5_K:
      return coded.template operator()<WeightFormat::kQ5_K>();
    case WeightFormat::kQ6_K:
      return coded.template operator()<WeightFormat::kQ6_K>();
    case WeightFormat::kIQ4_NL:
      return coded.template operator()<WeightFormat::kIQ4_NL>();
    case WeightFormat::kIQ4_XS:
      return coded.template operator()<WeightFormat::kIQ4_XS>();
    case WeightFormat::kMXFP4:
      return coded.template operator()<WeightFormat::kMXFP4>();
    case WeightFormat::kF32:
      return dense.template operator()<WeightFormat::kF32>();
    case WeightFormat::kF16:
      return dense.template operator()<WeightFormat::kF16>();
    case WeightFormat::kBF16:
      return dense.template operator()<WeightFormat::kBF16>();
    case WeightFormat::kE4M3:
      return;  // of numerics that have a kernel a stage
  }
}

}  // namespace espalier::runtime::cuda::one_kernel
