// The parts that a row's segments have left, folded in order (numerics contract 9).
#pragma once

#include "runtime/cuda/attention_kernels.h"
#include "runtime/cuda/attention_shape.cuh"
#include "runtime/cuda/math.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda::attention {

/// How many segments a row sees.
__device__ inline unsigned segments_of(const AttentionRow& row) {
  return (row.end - 1) / kSegmentPositions + 1 - row.first / kSegmentPositions;
}

/// A warp folds the parts of a row's head. Factors depend on maxima alone, so its lanes find those
/// of 32 segments at once. Parts are read past the nearest cache, which may hold what lay there
/// before other blocks wrote.
__device__ inline void fold_parts(const AttentionCall& call, const AttentionRow& row,
                                  unsigned head) {
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned width = call.pool.width;
  const unsigned count = segments_of(row);
  const std::size_t stride = call.heads * part_floats(width);
  const float* parts =
      call.parts + (std::size_t{row.part} * call.heads + head) * part_floats(width);
  float* out = call.out + row.out * call.out_stride + head * width;
  for (unsigned column = lane * 4; column - lane * 4 < width; column += 4 * kWarp) {
    // Lanes past the head's end fold its last columns for nobody.
    const float* values = parts + 4 + min(column, (width - 1) / 4 * 4);
    float4 carried = make_float4(0.0F, 0.0F, 0.0F, 0.0F);
    float carried_top = -kInfinity;
    float carried_sum = 0.0F;
    for (unsigned begin = 0; begin < count; begin += kWarp) {
      const unsigned here = min(count - begin, kWarp);
      float top = -kInfinity;
      float sum = 0.0F;
      if (lane < here) {
        top = __ldcg(parts + (begin + lane) * stride);
        sum = __ldcg(parts + (begin + lane) * stride + 1);
      }
      float shift = fmaxf(carried_top, top);  // the maximum of all segments up to this lane's
#pragma unroll
      for (unsigned distance = 1; distance < kWarp; distance *= 2) {
        const float other = __shfl_up_sync(kFullWarp, shift, distance);
        if (lane >= distance) shift = fmaxf(shift, other);
      }
      float previous = __shfl_up_sync(kFullWarp, shift, 1);
      if (lane == 0) previous = carried_top;
      const float before = exponential(previous - shift);
      const float after = exponential(top - shift);
      unsigned i = 0;
      if (begin == 0) {
        carried = __ldcg(reinterpret_cast<const float4*>(values));
        carried_sum = __shfl_sync(kFullWarp, sum, 0);
        i = 1;
      }
#pragma unroll 8
      for (; i < here; ++i) {
        const float4 later = __ldcg(reinterpret_cast<const float4*>(values + (begin + i) * stride));
        const float b = __shfl_sync(kFullWarp, before, i);
        const float a = __shfl_sync(kFullWarp, after, i);
        carried_sum = carried_sum * b + __shfl_sync(kFullWarp, sum, i) * a;
        carried.x = carried.x * b + later.x * a;
        carried.y = carried.y * b + later.y * a;
        carried.z = carried.z * b + later.z * a;
        carried.w = carried.w * b + later.w * a;
      }
      carried_top = __shfl_sync(kFullWarp, shift, here - 1);
    }
    const float inverse = 1.0F / carried_sum;
    const float results[4] = {carried.x * inverse, carried.y * inverse, carried.z * inverse,
                              carried.w * inverse};
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      if (column + i < width) out[column + i] = results[i];
    }
  }
}

}  // namespace espalier::runtime::cuda::attention
