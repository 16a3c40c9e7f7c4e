// Products of quantised weights with rows of int8 codes, on tensor cores (numerics contract 4).
//
// A piece of 16 outputs x 32 columns x 8 rows is one integer product of a warp, exact in any order.
// What has an order are the scaled sums: within a segment of 512 columns one chain of fmaf an
// output and row, block by block; then the segments in order. Two kernels keep it:
//
// - product_split: the warps of a thread block share a panel's segments, since memory is what they
//   wait for; a chain stays in a lane's registers, and the segments meet in shared memory.
// - product_many: a warp takes all columns of its panel for some tiles of 8 rows; weights and codes
//   come through a ring in shared memory.
//
// Both give the same bits, those of cpu::Kernels::panel_product. Thread blocks none of whose panels
// are wanted read no weights and end once what comes before them has.
#pragma once

#include <algorithm>

#include "runtime/cuda/kernels.h"
#include "runtime/cuda/layout.h"
#include "runtime/cuda/product_formats.h"
#include "runtime/cuda/product_piece.cuh"
#include "runtime/cuda/product_segment.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

// Whether panel `number` of a bitset is wanted; null: all are.
__device__ inline bool is_wanted(const std::uint32_t* wanted, std::uint32_t number) {
  return wanted == nullptr || (wanted[number / 32] >> number % 32 & 1U) != 0;
}

inline constexpr unsigned kSplitWarps = 8;

// Thread blocks of product_split that a multiprocessor should hold: as many as its registers are
// enough for.
template <WeightFormat kFormat>
constexpr int split_blocks(int tiles, int ahead) {
  if (tiles > 1) return 1;
  if (ahead > 2) return 2;
  return packing(kFormat).groups == 2 && packing(kFormat).minima ? 3 : 4;
}

template <WeightFormat kFormat, int kTiles, bool kOne, int kAhead>
__global__ void __launch_bounds__(kSplitWarps * 32, split_blocks<kFormat>(kTiles, kAhead))
    product_split(PanelView w, CodedRows x, std::uint32_t rows, float* out, std::size_t stride,
                  bool add, const std::uint32_t* wanted) {
  constexpr unsigned kRows = kOne ? 1 : kTiles * kTileRows;
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  const unsigned warps = blockDim.x / kWarp;
  // [segment][row][output]
  float* const parts = reinterpret_cast<float*>(dynamic_shared());
  const unsigned char* panel = w.data + blockIdx.x * w.panel_bytes;
  let_next_start();
  // Where rows are few, the first weights are asked for before the activations are there.
  constexpr bool kEarly = kTiles == 1;
  Piece<kFormat> pieces[kAhead];
  // Where a lane's registers only just do, its place in a chunk is worked out at each load.
  constexpr bool kTight = kTiles == 1 && !kOne && kAhead == 2 && packing(kFormat).super &&
                          packing(kFormat).minima && packing(kFormat).high > 0;
  const auto fetch = [&](std::uint32_t chunk) {
    fetch_chunks(pieces, w, panel, chunk, kTight ? opaque(lane) : lane);
  };
  const bool skipped = !is_wanted(wanted, blockIdx.x);
  if constexpr (kEarly) {
    if (!skipped) fetch(warp * kSegmentChunks);
  }
  wait_for_inputs();
  if (skipped) return;
  const std::uint32_t tiles = (rows + kTileRows - 1) / kTileRows;
  // Tiles past the last one repeat it and are not stored.
  std::size_t first[kTiles];
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
    const unsigned tile = kOne ? 0 : min(blockIdx.y * kTiles + static_cast<unsigned>(i), tiles - 1);
    first[i] = static_cast<std::size_t>(tile) * w.blocks;
  }
  const std::uint32_t segments = (w.blocks + kSegmentBlocks - 1) / kSegmentBlocks;
  for (std::uint32_t segment = warp; segment < segments; segment += warps) {
    float acc[kTiles][4];
#pragma unroll
    for (int i = 0; i < kTiles; ++i) {
#pragma unroll
      for (int j = 0; j < 4; ++j) acc[i][j] = 0.0F;
    }
    const std::uint32_t begin = segment * kSegmentChunks;
    const std::uint32_t end = min(begin + kSegmentChunks, w.chunks);
    Super<kFormat> super;
    for (std::uint32_t chunk = begin; chunk < end; chunk += kAhead) {
      if (!kEarly || chunk > warp * kSegmentChunks) fetch(chunk);
      add_chunks<kFormat, kTiles, kOne>(acc, pieces, super, w, panel, x, first, chunk, end, lane);
    }
    put_sums<kTiles, kRows>(acc, parts + std::size_t{segment} * kRows * kSplitStride, lane);
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < kRows * kPanelRows; i += blockDim.x) {
    const unsigned row = i / kPanelRows;
    const std::uint32_t m = blockIdx.y * kRows + row;
    const std::uint32_t n = blockIdx.x * kPanelRows + i % kPanelRows;
    if (m >= rows || n >= w.rows) continue;
    const float* part = parts + row * kSplitStride + i % kPanelRows;
    float sum = part[0];
#pragma unroll 4
    for (std::uint32_t s = 1; s < segments; ++s) sum = sum + part[s * kRows * kSplitStride];
    float* to = out + m * stride + n;
    *to = add ? *to + sum : sum;
  }
}

// A stage of product_many: a chunk's columns of the activations, for some tiles; after it the same
// of each warp's panel.
template <WeightFormat kFormat, int kTiles>
struct ManyStage {
  static constexpr Packing kPacking = packing(kFormat);
  static constexpr int kSums = kPacking.minima ? kPacking.groups : 0;
  std::uint8_t codes[kTiles][kChunkBlocks][256];
  float scales[kTiles][kChunkBlocks][kTileRows];
  float sums[kTiles][kChunkBlocks][kTileRows * (kSums > 0 ? kSums : 1)];

  static constexpr std::size_t bytes(unsigned warps) {
    return sizeof(ManyStage) + std::size_t{warps} * chunk_bytes(kPacking);
  }
};
template <int kTiles>
inline constexpr int kManyStages = 6;

template <WeightFormat kFormat, int kTiles>
__global__ void __launch_bounds__(256)
    product_many(PanelView w, CodedRows x, std::uint32_t rows, float* out, std::size_t stride,
                 bool add, const std::uint32_t* wanted) {
  constexpr Packing kPacking = packing(kFormat);
  constexpr int kGroups = kPacking.groups;
  constexpr std::uint32_t kBytes = chunk_bytes(kPacking);
  constexpr int kStages = kManyStages<kTiles>;
  using Stage = ManyStage<kFormat, kTiles>;
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  const unsigned warps = blockDim.x / kWarp;
  const unsigned g = lane / 4;
  const unsigned t = lane % 4;
  const std::uint32_t panel_number = blockIdx.x * warps + warp;
  // Panels and tiles past the last one repeat it and are not stored.
  const unsigned char* panel = w.data + min(panel_number, w.panels - 1) * w.panel_bytes;
  const std::uint32_t tiles = (rows + kTileRows - 1) / kTileRows;
  const std::size_t stage_bytes = Stage::bytes(warps);
  const auto stage_at = [&](std::uint32_t chunk) {
    return dynamic_shared() + chunk % kStages * stage_bytes;
  };

  const auto copy = [&](void* to, const void* from, std::uint32_t bytes, std::uint32_t piece) {
    if (piece * 16 < bytes) {
      copy_async_16(static_cast<unsigned char*>(to) + piece * 16,
                    static_cast<const unsigned char*>(from) + piece * 16);
    }
  };
  const auto fetch = [&](std::uint32_t chunk) {
    if (chunk < w.chunks) {
      unsigned char* const at = stage_at(chunk);
      Stage& stage = *reinterpret_cast<Stage*>(at);
      unsigned char* const weights = at + sizeof(Stage) + warp * kBytes;
      for (std::uint32_t piece = lane; piece * 16 < kBytes; piece += kWarp) {
        copy(weights, panel + static_cast<std::size_t>(chunk) * kBytes, kBytes, piece);
      }
      const std::uint32_t block = chunk * kChunkBlocks;
      const std::uint32_t blocks = min(w.blocks - block, kChunkBlocks);
      for (std::uint32_t tile = warp; tile < kTiles; tile += warps) {
        const std::size_t of =
            static_cast<std::size_t>(min(blockIdx.y * kTiles + tile, tiles - 1)) * w.blocks + block;
        copy(stage.codes[tile], x.codes + of * 256, blocks * 256, lane);
        copy(stage.scales[tile], x.scales + of * kTileRows, blocks * 32, lane);
        if constexpr (packing(kFormat).minima) {
          const float* sums = kGroups == 2 ? x.scaled_half_sums : x.scaled_sums;
          copy(stage.sums[tile], sums + of * kTileRows * kGroups, blocks * 32 * kGroups, lane);
        }
      }
    }
    copy_async_commit();
  };
  let_next_start();
  wait_for_inputs();
  // The warps of a thread block share its activations: they go on together.
  bool skipped = wanted != nullptr;
  for (std::uint32_t i = 0; skipped && i < warps; ++i) {
    skipped = !is_wanted(wanted, min(blockIdx.x * warps + i, w.panels - 1));
  }
  if (skipped) return;
  for (std::uint32_t i = 0; i + 1 < kStages; ++i) fetch(i);

  float acc[kTiles][4];    // of the segment
  float total[kTiles][4];  // of those before
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) acc[i][j] = total[i][j] = 0.0F;
  }
  Super<kFormat> super;
  Super<kFormat> next_super;
  next_super.load(panel, w.chunks, 0, lane);
  for (std::uint32_t chunk = 0; chunk < w.chunks; ++chunk) {
    copy_async_wait<kStages - 2>();
    __syncthreads();
    fetch(chunk + kStages - 1);
    const unsigned char* const at = stage_at(chunk);
    const Stage& stage = *reinterpret_cast<const Stage*>(at);
    Piece<kFormat> piece;
    piece.load(at + sizeof(Stage) + warp * kBytes, lane);
    if (kPacking.super && chunk % kSuperChunks == 0) {
      super = next_super;
      if (chunk + kSuperChunks < w.chunks) {
        next_super.load(panel, w.chunks, chunk + kSuperChunks, lane);
      }
    }
#pragma unroll
    for (int half = 0; half < static_cast<int>(kChunkBlocks); ++half) {
      if (chunk * kChunkBlocks + half >= w.blocks) break;
      uint2 codes[kTiles];
      float2 scales[kTiles];
      float2 sums[kTiles][kPacking.minima ? kGroups : 1];
#pragma unroll
      for (int i = 0; i < kTiles; ++i) {
        codes[i] = *reinterpret_cast<const uint2*>(&stage.codes[i][half][lane * 8]);
        scales[i] = *reinterpret_cast<const float2*>(&stage.scales[i][half][2 * t]);
        if constexpr (kPacking.minima) {
#pragma unroll
          for (int group = 0; group < kGroups; ++group) {
            const float* both = &stage.sums[i][half][2 * t * kGroups + group];
            sums[i][group] = make_float2(both[0], both[kGroups]);
          }
        }
      }
      add_block<kFormat, kTiles>(acc, piece, super, half, codes, scales, sums);
    }
    if ((chunk + 1) % kSegmentChunks == 0 || chunk + 1 == w.chunks) {
#pragma unroll
      for (int i = 0; i < kTiles; ++i) {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          total[i][j] = total[i][j] + acc[i][j];
          acc[i][j] = 0.0F;
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < kTiles; ++i) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const std::uint32_t row =
          (blockIdx.y * kTiles + static_cast<std::uint32_t>(i)) * kTileRows + 2 * t + j % 2;
      const std::uint32_t n = panel_number * kPanelRows + g + 8 * (j / 2);
      if (row >= rows || n >= w.rows) continue;
      float* to = out + row * stride + n;
      *to = add ? *to + total[i][j] : total[i][j];
    }
  }
}

// Thread blocks that fill a large device twice.
inline constexpr std::uint32_t kManyThreadBlocks = 264;
// Panels x tiles of 64 rows from which on warps that take all columns are enough for it.
inline constexpr std::uint32_t kManyPieces = 1024;

// Which threads a product of coded rows has, by ProductSizes' meaning.
struct QuantisedLaunch {
  std::uint32_t rows;
  std::uint32_t warps;
  std::uint32_t ahead;
};

template <WeightFormat kFormat>
QuantisedLaunch quantised_launch(const PanelView& w, std::uint32_t segments, std::uint32_t rows,
                                 const ProductSizes& sizes) {
  const std::uint32_t tiles = (rows + kTileRows - 1) / kTileRows;
  const std::uint64_t pieces = std::uint64_t{w.panels} * ((tiles + 7) / 8);
  const auto shared = [&](const QuantisedLaunch& of) -> std::size_t {
    if (of.rows == 64) return kManyStages<8> * ManyStage<kFormat, 8>::bytes(of.warps);
    return std::size_t{segments} * (rows == 1 && of.rows == 8 ? 1 : of.rows) * kSplitStride *
           sizeof(float);
  };
  const auto by_rule = [&](std::uint32_t together) {
    QuantisedLaunch out{together, min(segments, kSplitWarps), 2};
    if (together == 8 && w.panels < kManyPieces) out.ahead = 4;
    if (together != 64) return out;
    // As many warps to a thread block, up to 8, as leave enough of them for a large device.
    out.warps = 1;
    while (out.warps < 8 && pieces >= std::uint64_t{2} * out.warps * kManyThreadBlocks) {
      out.warps *= 2;
    }
    return out;
  };
  const auto tile_of = [](std::uint32_t wanted) -> std::uint32_t {
    return wanted <= 8 ? 8 : wanted <= 16 ? 16 : wanted <= 32 ? 32 : 64;
  };
  const QuantisedLaunch rule = by_rule(rows > 32 && pieces < kManyPieces ? 32 : tile_of(rows));
  QuantisedLaunch out = sizes.rows == 0 ? rule : by_rule(tile_of(sizes.rows));
  if (sizes.warps != 0) {
    out.warps = min(sizes.warps, out.rows == 64 ? kSplitWarps : min(segments, kSplitWarps));
  }
  if (sizes.ahead != 0) out.ahead = sizes.ahead > 2 ? 4 : 2;
  return shared(out) <= std::max(shared(rule), kSharedEverywhere) ? out : rule;
}

template <WeightFormat kFormat>
void quantised_product(cudaStream_t stream, const DeviceMatrix& matrix, const CodedRows& x,
                       std::uint32_t rows, float* out, std::size_t stride, bool add,
                       const std::uint32_t* wanted, const ProductSizes& sizes) {
  PanelView w{};
  w.data = matrix.data;
  w.rows = matrix.rows;
  w.panels = (matrix.rows + kPanelRows - 1) / kPanelRows;
  w.blocks = matrix.columns / kBlock;
  w.chunks = (w.blocks + kChunkBlocks - 1) / kChunkBlocks;
  w.panel_bytes = panel_bytes(kFormat, matrix.columns);
  const std::uint32_t segments = (w.blocks + kSegmentBlocks - 1) / kSegmentBlocks;
  const std::uint32_t tiles = (rows + kTileRows - 1) / kTileRows;
  const QuantisedLaunch of = quantised_launch<kFormat>(w, segments, rows, sizes);
  const auto split_by = [&]<int kTiles, bool kOne, int kAhead>() {
    const std::size_t shared =
        std::size_t{segments} * (kOne ? 1 : kTiles * kTileRows) * kSplitStride * sizeof(float);
    launch(product_split<kFormat, kTiles, kOne, kAhead>,
           dim3(w.panels, (tiles + kTiles - 1) / kTiles), dim3(of.warps * kWarp), shared, stream, w,
           x, rows, out, stride, add, wanted);
  };
  const auto split = [&]<int kTiles, bool kOne>() {
    if constexpr (kTiles == 1) {
      if (of.ahead == 4) return split_by.template operator()<kTiles, kOne, 4>();
    }
    split_by.template operator()<kTiles, kOne, 2>();
  };
  if (of.rows == 64) {
    constexpr std::uint32_t kTiles = 8;
    launch(product_many<kFormat, kTiles>,
           dim3((w.panels + of.warps - 1) / of.warps, (tiles + kTiles - 1) / kTiles),
           dim3(of.warps * kWarp),
           kManyStages<kTiles> * ManyStage<kFormat, kTiles>::bytes(of.warps), stream, w, x, rows,
           out, stride, add, wanted);
  } else if (of.rows == 32) {
    split.template operator()<4, false>();
  } else if (of.rows == 16) {
    split.template operator()<2, false>();
  } else if (rows > 1) {
    split.template operator()<1, false>();
  } else {
    split.template operator()<1, true>();
  }
}

}  // namespace espalier::runtime::cuda
