// A warp's part of a product of quantised weights with rows of codes: one segment of a panel's
// columns, a chain of fmaf an output and row, block by block (numerics contract 4).
#pragma once

#include "runtime/cuda/kernels.h"
#include "runtime/cuda/layout.h"
#include "runtime/cuda/product_piece.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

// Where a matrix's panels lie, and how many columns they have.
struct PanelView {
  const unsigned char* data;
  std::uint32_t rows;
  std::uint32_t panels;
  std::uint32_t blocks;  // of 32 columns
  std::uint32_t chunks;
  std::uint64_t panel_bytes;
};

// A segment of columns: 16 blocks.
inline constexpr std::uint32_t kSegmentBlocks = 16;
inline constexpr std::uint32_t kSegmentChunks = kSegmentBlocks / kChunkBlocks;

// What a lane holds of a chunk of activations: of each block its codes, and the scales and sums of
// rows 2t and 2t + 1.
template <WeightFormat kFormat, int kTiles>
struct Lanes {
  static constexpr int kGroups = packing(kFormat).groups;
  static constexpr bool kMinima = packing(kFormat).minima;
  uint2 codes[kChunkBlocks][kTiles];
  float2 scales[kChunkBlocks][kTiles];
  float2 sums[kChunkBlocks][kTiles][kMinima ? kGroups : 1];

  // `first[i]`: the block 0 of tile i. kOne: there is one row, the first of its tile.
  template <bool kOne>
  __device__ void load(const CodedRows& x, const std::size_t (&first)[kTiles], std::uint32_t chunk,
                       std::uint32_t blocks, unsigned lane) {
#pragma unroll
    for (std::uint32_t half = 0; half < kChunkBlocks; ++half) {
      // The last chunk may have no second block: what is loaded for it is not used.
      const std::uint32_t block = min(chunk * kChunkBlocks + half, blocks - 1);
#pragma unroll
      for (int i = 0; i < kTiles; ++i) {
        const std::size_t of = first[i] + block;
        codes[half][i] = make_uint2(0, 0);
        if (!kOne || lane < 4) {
          codes[half][i] = *reinterpret_cast<const uint2*>(x.codes + (of * 32 + lane) * 8);
        }
        const std::size_t row = of * kTileRows + (kOne ? 0 : 2 * (lane % 4));
        scales[half][i] = *reinterpret_cast<const float2*>(x.scales + row);
        if constexpr (kMinima && kGroups == 2) {
          const float4 both = *reinterpret_cast<const float4*>(x.scaled_half_sums + 2 * row);
          sums[half][i][0] = make_float2(both.x, both.z);
          sums[half][i][1] = make_float2(both.y, both.w);
        } else if constexpr (kMinima) {
          sums[half][i][0] = *reinterpret_cast<const float2*>(x.scaled_sums + row);
        }
      }
    }
  }
};

// Goes on with the chains of a segment over one block of a chunk: of outputs g and g + 8, rows 2t
// and 2t + 1.
template <WeightFormat kFormat, int kTiles>
__device__ inline void add_block(
    float (&acc)[kTiles][4], const Piece<kFormat>& piece, const Super<kFormat>& super, int half,
    const uint2 (&codes)[kTiles], const float2 (&scales)[kTiles],
    const float2 (&sums)[kTiles][Lanes<kFormat, kTiles>::kMinima ? packing(kFormat).groups : 1]) {
  constexpr Packing kPacking = packing(kFormat);
  std::uint32_t a[4];
  piece.codes(half, a);
#pragma unroll
  for (int group = 0; group < kPacking.groups; ++group) {
    float d[2];
    float m[2] = {0.0F, 0.0F};
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      d[r] = piece.scale(r, half, group, super.scale[r]);
      if constexpr (kPacking.minima) m[r] = piece.minimum(r, half, group, super.minimum[r]);
    }
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
      std::int32_t c[4];
      multiply<kFormat>(c, a, codes[i], group);
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        float& first = acc[i][2 * r];
        float& second = acc[i][2 * r + 1];
        first = fmaf(counted<kFormat>(c[2 * r]), d[r] * scales[i].x, first);
        second = fmaf(counted<kFormat>(c[2 * r + 1]), d[r] * scales[i].y, second);
        if constexpr (kPacking.minima) {
          first = fmaf(m[r], sums[i][group].x, first);
          second = fmaf(m[r], sums[i][group].y, second);
        }
      }
    }
  }
}

// Floats of a segment in shared memory, for a row: 16 outputs, and room so that rows begin at
// different banks.
inline constexpr unsigned kSplitStride = 20;

// Asks for the weights of `chunk` and the next ones of its segment.
template <WeightFormat kFormat, int kAhead>
__device__ inline void fetch_chunks(Piece<kFormat> (&pieces)[kAhead], const PanelView& w,
                                    const unsigned char* panel, std::uint32_t chunk,
                                    unsigned lane) {
  const std::uint32_t last =
      min(chunk / kSegmentChunks * kSegmentChunks + kSegmentChunks, w.chunks) - 1;
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    // Past the end, the last chunk again: loads without branches; it is not used.
    const std::uint32_t at = min(chunk + static_cast<std::uint32_t>(i), last);
    pieces[i].load(panel + static_cast<std::size_t>(at) * chunk_bytes(packing(kFormat)), lane);
  }
}

// Goes on with the chains of a segment, which ends before chunk `end`, over kAhead chunks (a
// divisor of a super-block's four) whose weights have been asked for together.
template <WeightFormat kFormat, int kTiles, bool kOne, int kAhead>
__device__ inline void add_chunks(float (&acc)[kTiles][4], const Piece<kFormat> (&pieces)[kAhead],
                                  Super<kFormat>& super, const PanelView& w,
                                  const unsigned char* panel, const CodedRows& x,
                                  const std::size_t (&first)[kTiles], std::uint32_t chunk,
                                  std::uint32_t end, unsigned lane) {
  Lanes<kFormat, kTiles> lanes[kAhead];
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
    lanes[i].template load<kOne>(x, first, min(chunk + static_cast<std::uint32_t>(i), end - 1),
                                 w.blocks, lane);
  }
  if (chunk % kSuperChunks == 0) super.load(panel, w.chunks, chunk, lane);
#pragma unroll
  for (int i = 0; i < kAhead; ++i) {
#pragma unroll
    for (int half = 0; half < static_cast<int>(kChunkBlocks); ++half) {
      if ((chunk + i) * kChunkBlocks + half >= w.blocks || chunk + i >= end) continue;
      add_block<kFormat, kTiles>(acc, pieces[i], super, half, lanes[i].codes[half],
                                 lanes[i].scales[half], lanes[i].sums[half]);
    }
  }
}

// Leaves a lane's sums of a segment in shared memory: [row][output], rows kSplitStride apart.
template <int kTiles, unsigned kRows>
__device__ inline void put_sums(const float (&acc)[kTiles][4], float* part, unsigned lane) {
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const unsigned row = i * kTileRows + 2 * (lane % 4) + j % 2;
      if (row < kRows) part[row * kSplitStride + lane / 4 + 8 * (j / 2)] = acc[i][j];
    }
  }
}

}  // namespace espalier::runtime::cuda
