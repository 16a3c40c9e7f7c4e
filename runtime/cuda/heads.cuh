// Heads of Q, K and V after their products, each by a warp: biases, norms, rotation, and the form
// that pages have.
#pragma once

#include <cmath>

#include "runtime/cuda/chain.cuh"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/kv_tiles.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

/// Where a tile of a layer begins in page 0: K of all heads, then V of all heads.
template <class Tile>
__device__ inline std::uint16_t* tile_of(const KvView& pool, unsigned layer, unsigned number) {
  return pool.pages +
         (std::size_t{layer} * 2 * pool.kv_heads + number) * Tile::key_halves(pool.width);
}
template <class Tile>
__device__ inline std::size_t page_halves(const KvView& pool) {
  return std::size_t{pool.layers} * 2 * pool.kv_heads * Tile::key_halves(pool.width);
}

/// One head of a row, by a warp: in shared memory `x`, so that pairs may lie anywhere.
__device__ inline void load_head(const float* from, const float* bias, unsigned width, float* x) {
  for (unsigned d = threadIdx.x % kWarp; d < width; d += kWarp) {
    x[d] = bias == nullptr ? from[d] : from[d] + bias[d];
  }
  __syncwarp();
}

__device__ inline void normalise(float* x, const float* weight, unsigned width, float epsilon) {
  const unsigned lane = threadIdx.x % kWarp;
  float squares = 0.0F;  // both halves of the warp have the 16 lanes of the sum
  for (unsigned d = lane % kSumLanes; d < width; d += kSumLanes)
    squares = fmaf(x[d], x[d], squares);
#pragma unroll
  for (unsigned mask = kSumLanes / 2; mask > 0; mask /= 2) {
    squares = squares + __shfl_xor_sync(kFullWarp, squares, mask);
  }
  const float mean = squares / static_cast<float>(width);
  const float factor = 1.0F / sqrtf(mean + epsilon);
  for (unsigned d = lane; d < width; d += kWarp) x[d] = (x[d] * factor) * weight[d];
  __syncwarp();
}

__device__ inline void rotate(float* x, const Heads& heads, unsigned position) {
  const float* cosines = heads.cosines + std::size_t{position} * heads.pairs;
  const float* sines = heads.sines + std::size_t{position} * heads.pairs;
  for (unsigned i = threadIdx.x % kWarp; i < heads.pairs; i += kWarp) {
    const unsigned first = heads.adjacent ? 2 * i : i;
    const unsigned second = heads.adjacent ? 2 * i + 1 : i + heads.pairs;
    const float a = x[first];
    const float b = x[second];
    x[first] = a * cosines[i] - b * sines[i];
    x[second] = a * sines[i] + b * cosines[i];
  }
  __syncwarp();
}

/// A head of Q of a row by a warp, from `from` to `to`.
__device__ inline void turn_query(const Heads& heads, const float* from, unsigned first,
                                  unsigned width, unsigned position, float* x, float* to) {
  load_head(from, heads.query_bias == nullptr ? nullptr : heads.query_bias + first, width, x);
  if (heads.query_norm != nullptr) normalise(x, heads.query_norm, width, heads.epsilon);
  rotate(x, heads, position);
  const bool tempered = heads.temperatures != nullptr;
  const float temperature = tempered ? heads.temperatures[position] : 1.0F;
  for (unsigned d = threadIdx.x % kWarp; d < width; d += kWarp) to[d] = x[d] * temperature;
  __syncwarp();
}

/// A head of K or V of row m by a warp, which begins at column `first`: its halves go to `halves`.
template <class Tile>
__device__ inline void encode_head(const Heads& heads, bool is_key, std::size_t m,
                                   std::size_t first, unsigned width, unsigned position, float* x,
                                   std::uint16_t* halves) {
  const float* from = is_key ? heads.keys : heads.values;
  const float* bias = is_key ? heads.key_bias : heads.value_bias;
  load_head(from + m * heads.key_stride + first, bias == nullptr ? nullptr : bias + first, width,
            x);
  if (is_key) {
    if (heads.key_norm != nullptr) normalise(x, heads.key_norm, width, heads.epsilon);
    rotate(x, heads, position);
  }
  Tile::encode(x, is_key, width, halves);
  __syncwarp();
}

}  // namespace espalier::runtime::cuda
