// The launches of attention over pages of one type: which shape a tile's blocks have. A source
// includes it for each type.
#pragma once

#include <algorithm>

#include "runtime/cuda/attention_block.cuh"
#include "runtime/cuda/attention_kernels.h"

namespace espalier::runtime::cuda::attention {

/// Blocks that registers have to be enough for: no more than shared memory lets a multiprocessor of
/// this kind have, or they spill for nothing.
template <class S>
constexpr unsigned blocks_that_fit() {
  const std::size_t fit = kSharedOfMultiprocessor / (shared_bytes<S>() + kSharedOfBlock);
  return fit == 0 ? 1 : std::min<std::size_t>(fit, S::kBlocks);
}

template <class S, unsigned kTile>
__global__ void __launch_bounds__(S::kThreads, blocks_that_fit<S>())
    attend_items(const AttentionCall call) {
  let_next_start();
  wait_for_inputs();
  const auto& header = *reinterpret_cast<const AttentionHeader*>(call.plan);
  if (blockIdx.x >= header.item_count[kTile]) return;
  const auto* items = reinterpret_cast<const AttentionItem*>(call.plan + header.items_at);
  Attend<S>(call, header, items[header.item_begin[kTile] + blockIdx.x], blockIdx.y, gridDim.y,
            threadIdx.x, dynamic_shared())
      .run();
}

template <class S, unsigned kTile>
void launch_tile(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  const std::uint32_t parts = group_parts(call.heads / call.pool.kv_heads);
  launch(attend_items<S, kTile>, dim3(grid.items[kTile], call.pool.kv_heads * parts),
         dim3(S::kThreads), shared_bytes<S>(), stream, call);
}

// Tiles by their number of warps a group, for all widths.
template <KvType kType, unsigned kTile, unsigned kHeld, unsigned kGroups, unsigned kBlocks>
void launch_by_four(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  if (grid.items[kTile] == 0) return;
  if (call.pool.width <= 128) {
    launch_tile<Shape<kType, kHeld, kGroups, 4, 32, 3, kBlocks, 1, 1>, kTile>(stream, grid, call);
  } else {
    launch_tile<Shape<kType, kHeld, kGroups, 4, 32, 3, kBlocks, 2, 1>, kTile>(stream, grid, call);
  }
}

template <KvType kType, unsigned kTile, unsigned kGroups, unsigned kChunk, unsigned kBlocks>
void launch_by_two(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  if (grid.items[kTile] == 0) return;
  constexpr unsigned kWideBlocks = kBlocks < 2 ? kBlocks : 2;  // of heads that take more registers
  const std::uint32_t width = call.pool.width;
  if (width <= 128) {
    constexpr unsigned kNarrowBlocks = kType == KvType::kQ8 ? kWideBlocks : kBlocks;
    launch_tile<Shape<kType, 8, kGroups, 2, kChunk, 2, kNarrowBlocks, 2, 1>, kTile>(stream, grid,
                                                                                    call);
  } else if (width % 4 == 0) {
    launch_tile<Shape<kType, 8, kGroups, 2, kChunk, 2, kWideBlocks, 4, 1>, kTile>(stream, grid,
                                                                                  call);
  } else {
    launch_tile<Shape<kType, 8, kGroups, 2, kChunk, 2, kWideBlocks, 2, 2>, kTile>(stream, grid,
                                                                                  call);
  }
}

template <KvType kType, unsigned kTile>
void launch_by_one(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  if (grid.items[kTile] == 0) return;
  const std::uint32_t width = call.pool.width;
  if (width <= 64) {
    launch_tile<Shape<kType, 8, 8, 1, 16, 2, 2, 2, 1>, kTile>(stream, grid, call);
  } else if (width <= 128 && width % 4 == 0) {
    launch_tile<Shape<kType, 8, 8, 1, 16, 2, 2, 4, 1>, kTile>(stream, grid, call);
  } else {
    launch_by_two<kType, kTile, 8, 16, 1>(stream, grid, call);
  }
}

template <KvType kType>
void attend_tiles(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  launch_by_four<kType, 0, 4, 1, 4>(stream, grid, call);
  launch_by_four<kType, 1, 8, 1, 3>(stream, grid, call);
  launch_by_four<kType, 2, 8, 2, 2>(stream, grid, call);
  launch_by_two<kType, 3, 4, 32, 3>(stream, grid, call);
  launch_by_one<kType, 4>(stream, grid, call);
}

}  // namespace espalier::runtime::cuda::attention
