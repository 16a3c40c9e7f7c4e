// What blocks of attention are made of: their shapes, their shared memory, and loads of several
// numbers at once.
//
// Shared memory holds the weights of a segment (before them the queries, in the same place), then
// the ring of stages, then notes.
#pragma once

#include "runtime/cuda/attention_kernels.h"
#include "runtime/cuda/kv_tiles.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda::attention {

inline constexpr unsigned kSumLanes = 16;  // of a sum, as numerics contract 1 has it
inline constexpr unsigned kPiece = 8;      // halves that a copy moves
static_assert(kPagePositions == kTileTokens);
// Weights of 4 queries and a token are a unit of 16 bytes; after 8 units one is left out, so that
// threads that write neighbouring eights use different banks.
inline constexpr unsigned kUnitsOfPage = kPagePositions + kPagePositions / 8;
inline constexpr unsigned kPlaneFloats = 4 * kSegmentPages * kUnitsOfPage;
static_assert(4 * kMostHeadWidth <= kPlaneFloats, "queries fit where weights will be");
// Queries as codes: of 4 queries a word for 4 dimensions, then a scale for each block.
inline constexpr unsigned kQueryScalesAt = kMostHeadWidth / 4;
inline constexpr float kUnseen = -1.0F;

inline constexpr float kInfinity = __builtin_inff();

template <unsigned kCount>
__device__ inline void load_floats(const float* from, float* to) {
  if constexpr (kCount % 4 == 0) {
#pragma unroll
    for (unsigned i = 0; i < kCount; i += 4) {
      const float4 four = *reinterpret_cast<const float4*>(from + i);
      to[i] = four.x;
      to[i + 1] = four.y;
      to[i + 2] = four.z;
      to[i + 3] = four.w;
    }
  } else if constexpr (kCount == 2) {
    const float2 two = *reinterpret_cast<const float2*>(from);
    to[0] = two.x;
    to[1] = two.y;
  } else {
    static_assert(kCount == 1);
    to[0] = *from;
  }
}

template <unsigned kCount>
__device__ inline void store_floats(float* to, const float* from) {
  if constexpr (kCount == 4) {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
  } else if constexpr (kCount == 2) {
    *reinterpret_cast<float2*>(to) = make_float2(from[0], from[1]);
  } else {
    static_assert(kCount == 1);
    *to = *from;
  }
}

/// A block: `groups` times `held` queries; `slices` warps a group. A thread has `columns` times
/// `vector` columns of the head. K comes in chunks of so many dimensions; codes of K by blocks.
template <KvType kType_, unsigned kHeld_, unsigned kGroups_, unsigned kSlices_, unsigned kChunk_,
          unsigned kStages_, unsigned kBlocks_, unsigned kVector_, unsigned kColumns_>
struct Shape {
  static constexpr KvType kType = kType_;
  using Tile = KvTile<kType>;
  static constexpr unsigned kHeld = kHeld_;
  static constexpr unsigned kGroups = kGroups_;
  static constexpr unsigned kSlices = kSlices_;
  static constexpr unsigned kChunk = kType == KvType::kQ8 ? kBlock : kChunk_;
  static constexpr unsigned kStages = kStages_;
  static constexpr unsigned kBlocks = kBlocks_;  // that shall fit in a multiprocessor
  static constexpr unsigned kVector = kVector_;
  static constexpr unsigned kColumns = kColumns_;
  static constexpr unsigned kQueries = kHeld * kGroups;
  static constexpr unsigned kWarps = kGroups * kSlices;
  static constexpr unsigned kThreads = kWarps * kWarp;
  static constexpr unsigned kGroupThreads = kSlices * kWarp;
  static constexpr unsigned kGroupFloats = kHeld / 4 * kPlaneFloats;
  // A page's share of a chunk of K, and some more: pages then begin in different banks.
  static constexpr unsigned kKeyHalves =
      Tile::key_halves(kChunk) + (kType == KvType::kQ8 ? kPiece : kPagePositions);
  static constexpr unsigned kStageHalves = kSegmentPages * kKeyHalves;
  static_assert(kStageHalves >= Tile::key_halves(kMostHeadWidth), "a stage holds a page of V");
};

/// What a block's threads tell each other of its queries.
template <class S>
struct Notes {
  const float* query[S::kQueries];   // null: no such query, or it sees nothing of this segment
  float* out[S::kQueries];           // where the segment's values go
  std::uint32_t first[S::kQueries];  // positions [first, end) of the segment are seen
  std::uint32_t end[S::kQueries];
  float slice_tops[S::kSlices][S::kQueries];
  float top[S::kQueries];  // of the segments so far
  float sum[S::kQueries];
  // value = merges ? carried * before + value * after : value; then, if it ends, times inverse
  float before[S::kQueries];
  float after[S::kQueries];
  float inverse[S::kQueries];
  bool merges[S::kQueries];
  bool ends[S::kQueries];
  bool last[S::kQueries];  // of the item's rows: all their parts are there
};

template <class S>
constexpr std::size_t shared_bytes() {
  return (std::size_t{S::kGroups} * S::kGroupFloats) * sizeof(float) +
         std::size_t{S::kStages} * S::kStageHalves * sizeof(std::uint16_t) + sizeof(Notes<S>);
}

}  // namespace espalier::runtime::cuda::attention
