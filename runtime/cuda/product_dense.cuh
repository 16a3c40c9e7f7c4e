// A half warp's part of a product of weights that are floats: a strip of 128 columns, of each
// output and row one chain a lane (numerics contract 5).
#pragma once

#include "runtime/cuda/layout.h"
#include "runtime/cuda/numbers.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

inline constexpr std::uint32_t kDenseSegment = 512;
inline constexpr std::uint32_t kSegmentStrips = kDenseSegment / kStrip;

// Eight weights of a lane's column mod 16, sixteen columns apart.
template <WeightFormat kFormat>
struct Strip {
  static constexpr int kWords = kFormat == WeightFormat::kF32 ? 8 : 4;
  std::uint32_t words[kWords];

  __device__ void load(const unsigned char* from) {
#pragma unroll
    for (int i = 0; i < kWords; i += 4) {
      const uint4 v = *reinterpret_cast<const uint4*>(from + 4 * i);
      words[i] = v.x;
      words[i + 1] = v.y;
      words[i + 2] = v.z;
      words[i + 3] = v.w;
    }
  }
  __device__ float weight(int i) const {
    if constexpr (kFormat == WeightFormat::kF32) return __uint_as_float(words[i]);
    const auto bits = static_cast<std::uint16_t>(words[i / 2] >> (16 * (i % 2)));
    if constexpr (kFormat == WeightFormat::kF16) return half_to_float(bits);
    return bfloat16_to_float(bits);
  }
};

// Goes on with a lane's chains over the strip from `first` on. `inputs`: the lane's columns of each
// row; those past `columns` are taken for 0.
template <WeightFormat kFormat, int kOutputs, int kCols>
__device__ inline void add_strip(float (&acc)[kOutputs][kCols],
                                 const Strip<kFormat> (&strips)[kOutputs],
                                 const float* const (&inputs)[kCols], std::uint32_t first,
                                 std::uint32_t columns) {
  const unsigned lane = threadIdx.x % 16;
#pragma unroll
  for (int j = 0; j < 8; ++j) {
    const std::uint32_t column = first + 16 * j;
    float v[kCols];
#pragma unroll
    for (int c = 0; c < kCols; ++c) v[c] = column + lane < columns ? inputs[c][column] : 0.0F;
#pragma unroll
    for (int r = 0; r < kOutputs; ++r) {
      const float weight = strips[r].weight(j);
#pragma unroll
      for (int c = 0; c < kCols; ++c) acc[r][c] = fmaf(weight, v[c], acc[r][c]);
    }
  }
}

}  // namespace espalier::runtime::cuda
