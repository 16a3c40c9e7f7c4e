// A block's shared memory in one_kernel.cuh, and how many warps share what of a product.
//
// First the facts of a layer and of the next, and factors of norms; then a product's activations as
// codes and as floats, and behind them what works on them: rows before they are normed, then sums
// of segments. Attention takes the place of all but the first.
#pragma once

#include "runtime/cuda/attention_shape.cuh"
#include "runtime/cuda/one_kernel.h"
#include "runtime/cuda/product_dense.cuh"
#include "runtime/cuda/product_segment.cuh"

namespace espalier::runtime::cuda::one_kernel {

inline constexpr unsigned kWarps = kOneKernelThreads / kWarp;
inline constexpr std::size_t kRoomAt = 2 * sizeof(LayerFacts) + kOneKernelRows * sizeof(float);
static_assert(kRoomAt % 16 == 0);

/// Floats of the sums of 16 outputs.
inline constexpr unsigned kFoldFloats = kOneKernelRows * kSplitStride;
/// Warps' tasks in 16 dense outputs; of quantised ones each segment is a task.
inline constexpr unsigned kDenseTasks = 4;

__host__ __device__ constexpr std::uint32_t segments_of(std::uint32_t columns) {
  return (columns + kDenseSegment - 1) / kDenseSegment;
}
__host__ __device__ constexpr std::uint32_t tasks_of(WeightFormat format, std::uint32_t columns) {
  return is_dense(format) ? kDenseTasks : segments_of(columns);
}
/// Sums that are added up behind the tasks.
__host__ __device__ constexpr std::uint32_t folds_of(WeightFormat format, std::uint32_t columns) {
  return is_dense(format) ? 1 : segments_of(columns);
}

/// Warps that share 16 outputs (of a pair, 16 of both), and the sums that they leave.
struct Team {
  std::uint32_t warps = 1;
  std::uint32_t folds = 0;
};
__host__ __device__ inline Team team_of(const LayerProduct& product) {
  Team out;
  std::uint32_t tasks = 0;
  for (std::uint32_t i = 0; i < product.count; ++i) {
    const std::uint32_t its_tasks = tasks_of(product.parts[i].format, product.columns);
    const std::uint32_t its_folds = folds_of(product.parts[i].format, product.columns);
    if (product.pair) {
      tasks += its_tasks;
      out.folds += its_folds;
    } else {
      tasks = tasks < its_tasks ? its_tasks : tasks;
      out.folds = out.folds < its_folds ? its_folds : out.folds;
    }
  }
  while (out.warps < kWarps && out.warps < tasks) out.warps *= 2;
  return out;
}

/// Where the parts of a product's room begin, in bytes.
struct Room {
  std::uint32_t scales = 0;
  std::uint32_t sums = 0;
  std::uint32_t half_sums = 0;
  std::uint32_t floats = 0;
  std::uint32_t work = 0;
};
__host__ __device__ inline Room room_of(const LayerProduct& product, std::uint32_t rows) {
  const std::uint32_t blocks = product.codes ? product.columns / kBlock : 0;
  constexpr std::uint32_t kScales = kOneKernelRows * sizeof(float);
  Room out;
  out.scales = blocks * kBlock * kOneKernelRows;
  out.sums = out.scales + blocks * kScales;
  out.half_sums = out.sums + blocks * kScales;
  out.floats = out.half_sums + (product.halves ? 2 * blocks * kScales : 0);
  const std::uint32_t floats = rows * product.columns * static_cast<std::uint32_t>(sizeof(float));
  out.work = out.floats + (product.floats ? floats : 0);
  return out;
}

/// The shapes of attention's blocks.
template <KvType kType, unsigned kHeld, bool kWide>
using AttentionShape =
    attention::Shape<kType, kHeld, 1, 4, 32, 3, kOneKernelBlocks, kWide ? 2 : 1, 1>;
static_assert(AttentionShape<KvType::kF16, 4, false>::kThreads == kOneKernelThreads);
static_assert(kTileQueries[0] == 4 && kTileQueries[1] == kOneKernelQueries);

/// What a warp needs to turn a head.
__host__ __device__ constexpr std::uint32_t turning_bytes(std::uint32_t width,
                                                          std::uint32_t token_halves) {
  return (width * static_cast<std::uint32_t>(sizeof(float)) + token_halves * 2 + 15) / 16 * 16;
}

}  // namespace espalier::runtime::cuda::one_kernel
