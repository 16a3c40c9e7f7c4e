// Reductions whose order the numerics contract fixes: a lane's additions are a chain, each waiting
// for the one before.
#pragma once

#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

inline constexpr unsigned kSumLanes = 16;  // of the contract's reductions

/// values[first], values[first + 16], ... below `count`, in shared memory, given to f in turn: what
/// a lane adds up. Loads run a round ahead of f, so that only f's own latency is waited for. f
/// gets zeros past the end, which must not change what it adds up.
template <class F>
__device__ inline void for_lane(const float* values, std::uint32_t first, std::uint32_t count,
                                F f) {
  constexpr unsigned kRound = 16;
  const auto load = [&](std::uint32_t begin, float(&to)[kRound]) {
#pragma unroll
    for (unsigned i = 0; i < kRound; ++i) {
      const std::uint32_t at = begin + i * kSumLanes;
      to[i] = at < count ? values[at] : 0.0F;
    }
  };
  float now[kRound];
  load(first, now);
  for (std::uint32_t at = first; at < count; at += kRound * kSumLanes) {
    float next[kRound];
    load(at + kRound * kSumLanes, next);
#pragma unroll
    for (unsigned i = 0; i < kRound; ++i) f(now[i]);
#pragma unroll
    for (unsigned i = 0; i < kRound; ++i) now[i] = next[i];
  }
}

/// The tree over the 16 lanes of either half of a warp, all of which call; each gets the sum.
__device__ inline float tree_sum(float lane) {
#pragma unroll
  for (int half = kSumLanes / 2; half > 0; half /= 2) {
    lane += __shfl_xor_sync(kFullWarp, lane, half);
  }
  return lane;
}

}  // namespace espalier::runtime::cuda
