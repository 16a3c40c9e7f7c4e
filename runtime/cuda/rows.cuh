// Rows of floats on their way into the forms that products read: norms, gates, codes.
//
// A thread takes columns 4t to 4t + 3 and 16 + 4t to 16 + 4t + 3 of a block of 32, as the codes of
// products lie (layout.h): four neighbouring lanes share a block, and each writes its 8 codes at
// once.
#pragma once

#include <cmath>

#include "runtime/cuda/chain.cuh"
#include "runtime/cuda/codes.cuh"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/math.cuh"
#include "runtime/cuda/numbers.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

inline constexpr unsigned kItemColumns = 8;  // that a thread takes at a time

template <bool kWide>
__device__ inline float4 load_four(const float* from) {
  if constexpr (kWide) return *reinterpret_cast<const float4*>(from);
  return make_float4(from[0], from[1], from[2], from[3]);
}

template <bool kWide>
__device__ inline void store_four(float* to, float4 four) {
  if constexpr (kWide) {
    *reinterpret_cast<float4*>(to) = four;
  } else {
    to[0] = four.x;
    to[1] = four.y;
    to[2] = four.z;
    to[3] = four.w;
  }
}

template <class F>
__device__ inline float4 each(float4 a, F f) {
  return make_float4(f(a.x), f(a.y), f(a.z), f(a.w));
}
template <class F>
__device__ inline float4 each(float4 a, float4 b, F f) {
  return make_float4(f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w));
}

__device__ inline std::uint32_t largest_bits(float4 v, std::uint32_t top) {
  top = max(top, __float_as_uint(v.x) & 0x7FFFFFFFU);
  top = max(top, __float_as_uint(v.y) & 0x7FFFFFFFU);
  top = max(top, __float_as_uint(v.z) & 0x7FFFFFFFU);
  return max(top, __float_as_uint(v.w) & 0x7FFFFFFFU);
}

// The codes of four values as bytes, and their sum.
struct FourCodes {
  std::uint32_t bytes;
  std::int32_t sum;
};

__device__ inline FourCodes codes_of(float4 v, float inverse) {
  const std::uint32_t a = code_bits(v.x, inverse);
  const std::uint32_t b = code_bits(v.y, inverse);
  const std::uint32_t c = code_bits(v.z, inverse);
  const std::uint32_t d = code_bits(v.w, inverse);
  return {__byte_perm(__byte_perm(a, b, 0x0040U), __byte_perm(c, d, 0x0040U), 0x5410U),
          static_cast<std::int32_t>(a + b + c + d - 4U * kZeroCode)};
}

// A row's place among the activations of the next products.
template <bool kWide>
struct RowOut {
  Activations to;
  std::uint32_t row;

  // Writes the 8 columns of an item. The four lanes of a block must call together, and the whole
  // warp at once; `real` is false in lanes that have none.
  __device__ void put(std::uint32_t item, float4 first, float4 second, bool real) const {
    const std::uint32_t block = item / 4;
    const std::uint32_t t = item % 4;
    if (to.floats != nullptr && real) {
      float* floats = to.floats + row * to.stride + block * kBlock + 4 * t;
      store_four<kWide>(floats, first);
      store_four<kWide>(floats + 16, second);
    }
    if (to.coded.codes == nullptr) return;
    std::uint32_t top = largest_bits(second, largest_bits(first, 0));
    top = max(top, __shfl_xor_sync(kFullWarp, top, 1));
    top = max(top, __shfl_xor_sync(kFullWarp, top, 2));
    const auto [scale, inverse] = block_scale(top);
    const FourCodes a = codes_of(first, inverse);
    const FourCodes b = codes_of(second, inverse);
    std::int32_t first_sum = a.sum;
    std::int32_t second_sum = b.sum;
#pragma unroll
    for (int by = 1; by <= 2; by *= 2) {
      first_sum += __shfl_xor_sync(kFullWarp, first_sum, by);
      second_sum += __shfl_xor_sync(kFullWarp, second_sum, by);
    }
    if (!real) return;
    const CodedRows& coded = to.coded;
    const std::size_t place =
        (static_cast<std::size_t>(row / kTileRows) * coded.blocks + block) * kTileRows +
        row % kTileRows;
    *reinterpret_cast<uint2*>(coded.codes + (place * 4 + t) * 8) = make_uint2(a.bytes, b.bytes);
    // The four share the writing of scales.
    const std::int32_t sum = first_sum + second_sum;
    if (t == 0) coded.scales[place] = scale;
    if (t == 1) coded.scaled_sums[place] = scale * static_cast<float>(sum);
    if (t == 2 && coded.scaled_half_sums != nullptr) {
      *reinterpret_cast<float2*>(coded.scaled_half_sums + 2 * place) = make_float2(
          scale * static_cast<float>(first_sum), scale * static_cast<float>(second_sum));
    }
  }
};

// A row in 16 bits: a thread takes eight numbers of a strip that lie side by side there (layout.h),
// so that loads and stores of neighbours are neighbours.
template <bool kHalf, class Source>
__device__ inline void put_strips(const StripRows& to, std::uint32_t row, std::uint32_t width,
                                  std::uint32_t thread, std::uint32_t threads,
                                  const Source& source) {
  constexpr std::uint32_t kLanes = 16;
  const std::uint32_t items = static_cast<std::uint32_t>(to.stride) / kItemColumns;
  for (std::uint32_t item = thread; item < items; item += threads) {
    const std::uint32_t first = item / kLanes * kStrip + item % kLanes;
    const auto bits = [&](std::uint32_t i) -> std::uint32_t {
      const std::uint32_t k = first + kLanes * i;
      const float value = k < width ? source.at(k) : 0.0F;
      return kHalf ? activation_to_half(value) : float_to_bfloat16(value);
    };
    *reinterpret_cast<uint4*>(to.values + row * to.stride + item * kItemColumns) =
        make_uint4(bits(0) | bits(1) << 16, bits(2) | bits(3) << 16, bits(4) | bits(5) << 16,
                   bits(6) | bits(7) << 16);
  }
}

// Puts a row whose values `source` gives: four(k) is columns k to k + 3, at(k) is column k. The
// threads of `threads` share it; this one is `thread`, of a whole warp.
template <bool kWide, class Source>
__device__ inline void put_row(const RowOut<kWide>& out, std::uint32_t width, std::uint32_t thread,
                               std::uint32_t threads, const Source& source) {
  if (out.to.strips.values != nullptr) {
    if (out.to.strips.format == WeightFormat::kF16) {
      put_strips<true>(out.to.strips, out.row, width, thread, threads, source);
    } else {
      put_strips<false>(out.to.strips, out.row, width, thread, threads, source);
    }
  }
  if (out.to.floats == nullptr && out.to.coded.codes == nullptr) return;
  const std::uint32_t items = width / kBlock * 4;
  const std::uint32_t lane = thread % kWarp;
  for (std::uint32_t start = thread - lane; start < items; start += threads) {
    const std::uint32_t item = min(start + lane, items - 1);
    const std::uint32_t column = item / 4 * kBlock + item % 4 * 4;
    out.put(item, source.four(column), source.four(column + 16), start + lane < items);
  }
  // The rest of a width that is no multiple of 32, which only floats have.
  if (out.to.floats == nullptr) return;
  for (std::uint32_t k = items * kItemColumns + thread; k < width; k += threads) {
    out.to.floats[out.row * out.to.stride + k] = source.at(k);
  }
}

/// The factor of the norm of a row in shared memory; a half warp has a row. All lanes call.
__device__ inline float norm_factor(const float* row, std::uint32_t width, float epsilon) {
  // 16 lanes, each a chain in rising k.
  float squares = 0.0F;
  for_lane(row, threadIdx.x % kSumLanes, width,
           [&squares](float v) { squares = fmaf(v, v, squares); });
  squares = tree_sum(squares);
  const float mean = squares / static_cast<float>(width);
  return 1.0F / sqrtf(mean + epsilon);
}

template <bool kWide>
struct Normed {
  const float* row;  // in shared memory
  const float* weight;
  float factor;

  __device__ float4 four(std::uint32_t k) const {
    const float scale = factor;
    return each(load_four<true>(row + k), load_four<kWide>(weight + k),
                [scale](float x, float w) { return (x * scale) * w; });
  }
  __device__ float at(std::uint32_t k) const { return (row[k] * factor) * weight[k]; }
};

template <bool kWide>
struct Plain {
  const float* row;

  __device__ float4 four(std::uint32_t k) const { return load_four<kWide>(row + k); }
  __device__ float at(std::uint32_t k) const { return row[k]; }
};

// Contract 7.
__device__ inline float silu(float gate) { return gate / (1.0F + exponential(0.0F - gate)); }
__device__ inline float gelu(float gate) {
  const float inner = fmaf(gate * gate, 0.044715F, 1.0F);
  return gate / (1.0F + exponential((gate * inner) * -1.5957691216F));
}

template <bool kWide, bool kGelu>
struct Gated {
  const float* gate;
  const float* up;

  __device__ static float value(float g, float u) { return (kGelu ? gelu(g) : silu(g)) * u; }
  __device__ float4 four(std::uint32_t k) const {
    return each(load_four<kWide>(gate + k), load_four<kWide>(up + k), value);
  }
  __device__ float at(std::uint32_t k) const { return value(gate[k], up[k]); }
};

}  // namespace espalier::runtime::cuda
