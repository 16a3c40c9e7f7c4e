// How a page keeps K and V of a head (../cpu/kv_pool.h), by the pool's type: all that kernels know
// of it. A tile is the 16 tokens of K or of V, in halves (16 bits), so many a token.
#pragma once

#include "runtime/cpu/kv_type.h"
#include "runtime/cuda/codes.cuh"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/layout.h"
#include "runtime/cuda/numbers.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {

inline constexpr unsigned kTileTokens = 16;

/// binary16 and bfloat16: K by dimensions, V by tokens.
template <KvType kType>
struct KvTile {
  /// Halves of a tile of K before this dimension; the last may be the head's width.
  __host__ __device__ static constexpr unsigned key_halves(unsigned dimension) {
    return dimension * kTileTokens;
  }
  /// Halves of a token.
  __host__ __device__ static constexpr unsigned token_halves(unsigned width) { return width; }

  /// A token's halves, in the order in which V has them, from `width` floats in shared memory. By a
  /// warp.
  __device__ static void encode(const float* x, bool, unsigned width, std::uint16_t* to) {
    for (unsigned d = threadIdx.x % kWarp; d < width; d += kWarp) {
      to[d] = kType == KvType::kF16 ? float_to_half(x[d]) : float_to_bfloat16(x[d]);
    }
  }
  /// Where half h of a token is in a tile of K, what stands there, and whose half i of the tile is.
  __device__ static unsigned key_at(unsigned h, unsigned token) { return h * kTileTokens + token; }
  __device__ static std::uint16_t key_half(unsigned, std::uint16_t half) { return half; }
  __device__ static unsigned key_token(unsigned i) { return i % kTileTokens; }

  __device__ static float number(std::uint16_t half) {
    return kType == KvType::kF16 ? half_to_float(half) : bfloat16_to_float(half);
  }
  /// Neighbouring numbers: of a dimension of K, or columns of a token of V.
  template <unsigned kCount>
  __device__ static void load(const std::uint16_t* from, float (&to)[kCount]) {
    const auto two = [&](std::uint32_t word, unsigned i) {
      to[i] = number(static_cast<std::uint16_t>(word));
      to[i + 1] = number(static_cast<std::uint16_t>(word >> 16));
    };
    if constexpr (kCount == 8) {
      const uint4 words = *reinterpret_cast<const uint4*>(from);
      two(words.x, 0);
      two(words.y, 2);
      two(words.z, 4);
      two(words.w, 6);
    } else if constexpr (kCount == 4) {
      const uint2 words = *reinterpret_cast<const uint2*>(from);
      two(words.x, 0);
      two(words.y, 2);
    } else if constexpr (kCount == 2) {
      two(*reinterpret_cast<const std::uint32_t*>(from), 0);
    } else {
      static_assert(kCount == 1);
      to[0] = number(*from);
    }
  }
  /// Columns [column, column + kCount) of a token of V; `column` is a multiple of kCount.
  template <unsigned kCount>
  __device__ static void load_value(const std::uint16_t* token, unsigned column,
                                    float (&to)[kCount]) {
    load(token + column, to);
  }
};

/// Codes. A block of 32 dimensions of a token is a scale and 16 pairs of codes, and so a token of V
/// is; a block of a tile of K is a panel of Q8_0: [four dimensions][token] codes, 128 more than
/// they are, then scales.
template <>
struct KvTile<KvType::kQ8> {
  static constexpr unsigned kBlockHalves = 1 + kBlock / 2;         // of a token
  static constexpr unsigned kScalesAt = kBlock / 2 * kTileTokens;  // of a block of K
  static constexpr std::uint32_t kFlip = 0x80808080U;              // of stored codes of K

  __host__ __device__ static constexpr unsigned key_halves(unsigned dimension) {
    return (dimension + kBlock - 1) / kBlock * (kBlockHalves * kTileTokens);
  }
  __host__ __device__ static constexpr unsigned token_halves(unsigned width) {
    return key_halves(width) / kTileTokens;
  }

  __device__ static void encode(const float* x, bool is_key, unsigned width, std::uint16_t* to) {
    const unsigned lane = threadIdx.x % kWarp;
    for (unsigned begin = 0; begin < width; begin += kBlock, to += kBlockHalves) {
      const float value = begin + lane < width ? x[begin + lane] : 0.0F;
      const LaneCode code = code_of_lane(is_key ? hadamard(value) : value);
      const std::uint32_t next = __shfl_xor_sync(kFullWarp, code.bits, 1);
      if (lane == 0) to[0] = float_to_half(code.scale);
      if (lane % 2 == 0) {
        to[1 + lane / 2] = static_cast<std::uint16_t>((code.bits & 0xFFU) | (next & 0xFFU) << 8);
      }
    }
  }
  __device__ static unsigned key_at(unsigned h, unsigned token) {
    const unsigned of_block = h % kBlockHalves;
    const unsigned block = h / kBlockHalves * (kBlockHalves * kTileTokens);
    if (of_block == 0) return block + kScalesAt + token;
    const unsigned pair = of_block - 1;
    return block + (pair / 2 * kTileTokens + token) * 2 + pair % 2;
  }
  __device__ static std::uint16_t key_half(unsigned h, std::uint16_t half) {
    return h % kBlockHalves == 0 ? half : static_cast<std::uint16_t>(half ^ (kFlip & 0xFFFFU));
  }
  __device__ static unsigned key_token(unsigned i) {
    const unsigned of_block = i % (kBlockHalves * kTileTokens);
    return (of_block < kScalesAt ? of_block / 2 : of_block) % kTileTokens;
  }

  template <unsigned kCount>
  __device__ static void load_value(const std::uint16_t* token, unsigned column,
                                    float (&to)[kCount]) {
    const std::uint16_t* block = token + column / kBlock * kBlockHalves;
    const float scale = half_to_float(block[0]);
    const std::uint16_t* codes = block + 1 + column % kBlock / 2;
#pragma unroll
    for (unsigned i = 0; i < kCount; ++i) {
      const std::uint32_t half = codes[i / 2];
      // 2^23 and the code, 128 more than it is, in the low byte.
      const std::uint32_t code = half >> (kCount == 1 ? column % 2 * 8 : i % 2 * 8) & 0xFFU;
      to[i] = scale * (__uint_as_float(0x4B000000U | (code ^ 0x80U)) - 8388736.0F);
    }
  }
};

/// f.template operator()<type>().
template <class F>
void with_type(KvType type, F&& f) {
  switch (type) {
    case KvType::kF16:
      return f.template operator()<KvType::kF16>();
    case KvType::kBF16:
      return f.template operator()<KvType::kBF16>();
    case KvType::kQ8:
      return f.template operator()<KvType::kQ8>();
  }
}

}  // namespace espalier::runtime::cuda
