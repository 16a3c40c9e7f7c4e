// Attention over paged KV on the device: what its kernels read, and their launchers. The plan of a
// step is made on the host (attention.h).
//
// An item is some rows, one or several segments of 256 positions, and the pages of these, which
// its rows share; a thread block takes an item and a KV head. An item of several segments carries
// its rows through them in order. Where a row's segments are items of their own, each leaves a part
// for each head (maximum, sum, values), and the block that comes last folds the row's parts, in
// order. A row with one segment needs no folding. All bits are those of numerics contract 9,
// however rows are put into items and whoever comes last; but of items for tensor cores, which
// numerics `tensor` have.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "runtime/cuda/kernels.h"

namespace espalier::runtime::cuda {

inline constexpr std::uint32_t kPagePositions = 16;
inline constexpr std::uint32_t kSegmentPositions = 256;
inline constexpr std::uint32_t kSegmentPages = kSegmentPositions / kPagePositions;
inline constexpr std::uint32_t kMostHeadWidth = 256;

/// Thread blocks by how many queries (rows x heads of a KV head's group) they hold.
inline constexpr std::uint32_t kAttentionTiles = 5;
inline constexpr std::uint32_t kTileQueries[kAttentionTiles] = {4, 8, 16, 32, 64};
inline constexpr std::uint32_t kMostTileQueries = 64;
/// Items of the largest tile that tensor cores take (attention_tensor.cuh) stand behind those of
/// all tiles.
inline constexpr std::uint32_t kTensorItems = kAttentionTiles;
inline constexpr std::uint32_t kItemKinds = kAttentionTiles + 1;
/// Whether they can, over pages of this type with heads of this width.
constexpr bool tensor_cores_attend(KvType type, std::uint32_t width) {
  return type != KvType::kQ8 && (width == 64 || width == 128);
}

/// A group of more heads than a block holds queries is cut into parts.
__host__ __device__ constexpr std::uint32_t group_parts(std::uint32_t group) {
  return (group + kMostTileQueries - 1) / kMostTileQueries;
}
/// Heads of a part; the last may have fewer.
__host__ __device__ constexpr std::uint32_t part_heads(std::uint32_t group) {
  return (group + group_parts(group) - 1) / group_parts(group);
}

/// Floats of a part: maximum, sum, two of padding, values.
__host__ __device__ constexpr std::size_t part_floats(std::uint32_t width) {
  return 4 + (std::size_t{width} + 3) / 4 * 4;
}

inline constexpr std::uint32_t kNoPart = 0xFFFFFFFFU;

struct AttentionRow {
  std::uint32_t query = 0;  // the row of queries
  std::uint32_t out = 0;    // the row of results
  std::uint32_t first = 0;  // the first position that it sees
  std::uint32_t end = 0;    // its own position + 1
  /// Where the part of its first segment goes, the next segments' behind it. kNoPart: one item has
  /// all that the row sees.
  std::uint32_t part = kNoPart;
  std::uint32_t counter = 0;  // with parts: which of the plan's counters
};

struct AttentionItem {
  std::uint32_t row_begin = 0;
  std::uint32_t rows = 0;
  std::uint32_t segment = 0;  // the first
  std::uint32_t segments = 0;
  std::uint32_t first = 0;  // the least of its rows' firsts
  std::uint32_t end = 0;    // the greatest of its rows' ends
  std::uint32_t pages = 0;  // position p is in page pages[`pages` + p / 16] (modulo 2^32)
  bool parts = false;       // some of its rows leave parts
};

/// The start of a plan in device memory. Arrays follow at these distances in bytes.
struct AttentionHeader {
  std::uint32_t item_begin[kItemKinds] = {};
  std::uint32_t item_count[kItemKinds] = {};
  std::uint32_t items_at = 0;  // AttentionItem
  std::uint32_t rows_at = 0;   // AttentionRow
  std::uint32_t pages_at = 0;  // page numbers
  /// [row with parts][KV head, part of its group]: segments done; 0 between launches.
  std::uint32_t counters_at = 0;
};

/// Blocks to start. At least what the plan has; what is more returns at once.
struct AttentionGrid {
  std::uint32_t items[kItemKinds] = {};
};

struct AttentionCall {
  unsigned char* plan = nullptr;  // an AttentionHeader and its arrays, 16-byte aligned
  KvView pool;
  std::uint32_t layer = 0;
  std::uint32_t heads = 0;         // a multiple of pool.kv_heads
  float scale = 1;                 // of queries
  const float* queries = nullptr;  // rows of heads * width
  std::size_t query_stride = 0;
  float* out = nullptr;        // rows of heads * width, 16-byte aligned
  std::size_t out_stride = 0;  // even, and a multiple of 4 where the width is one
  float* parts = nullptr;      // [part][head][part_floats(width)], 16-byte aligned
};

/// By the pool's type, each compiled on its own.
void attend_f16(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call);
void attend_bf16(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call);
void attend_q8(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call);
/// The items for tensor cores.
void attend_tensor(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call);
/// out[row.out] = attention of queries[row.query], for the rows of the plan. Widths are even and
/// at most kMostHeadWidth. One launch for each tile with items.
inline void attend(cudaStream_t stream, const AttentionGrid& grid, const AttentionCall& call) {
  attend_tensor(stream, grid, call);
  switch (call.pool.type) {
    case KvType::kF16:
      return attend_f16(stream, grid, call);
    case KvType::kBF16:
      return attend_bf16(stream, grid, call);
    case KvType::kQ8:
      return attend_q8(stream, grid, call);
  }
}

}  // namespace espalier::runtime::cuda
