// Functions of the numerics contract (../cpu/README.md) on the device.
#pragma once

#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

/// exp(x) as the contract has it (6) for x in [-87, 88], exactly 1 at 0; a NaN stays; else
/// anything.
__device__ inline float exponential_within(float x) {
  // Adding 1.5 * 2^23 rounds to the nearest integer and leaves it in the low bits.
  const float shifted = fmaf(x, 0x1.715476p+0F, 12582912.0F);
  const float n = shifted - 12582912.0F;
  float r = fmaf(n, -0x1.62e430p-1F, x);
  r = fmaf(n, 0x1.05c610p-29F, r);
  float p = 1.0F / 5040.0F;
  p = fmaf(p, r, 1.0F / 720.0F);
  p = fmaf(p, r, 1.0F / 120.0F);
  p = fmaf(p, r, 1.0F / 24.0F);
  p = fmaf(p, r, 1.0F / 6.0F);
  p = fmaf(p, r, 0.5F);
  p = fmaf(p, r, 1.0F);
  p = fmaf(p, r, 1.0F);
  const float power = __uint_as_float((__float_as_uint(shifted) << 23) + 0x3F800000U);
  return p * power;
}

/// The contract's exp: 0 below -87, clamped above 88.
__device__ inline float exponential(float x) {
  const float low = 88.0F < x ? 88.0F : x;  // a NaN stays
  const float clamped = -87.0F > low ? -87.0F : low;
  const float within = exponential_within(clamped);
  return x < -87.0F ? 0.0F : within;
}

/// The same, of what is not above 0.
__device__ inline float exponential_to_one(float x) {
  const float within = exponential_within(x);  // before the choice: no branch around it
  return x < -87.0F ? 0.0F : within;
}

}  // namespace espalier::runtime::cuda
