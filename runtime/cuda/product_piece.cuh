// What a lane holds of a chunk of quantised weights: codes as the tensor cores take them, and
// scales.
#pragma once

#include "runtime/cuda/layout.h"
#include "runtime/cuda/numbers.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"
#include "runtime/model/code_values.h"

namespace espalier::runtime::cuda {

// Four values of a table of 16 by the nibbles in the bytes of `codes`.
__device__ inline std::uint32_t look_up(const std::uint32_t (&table)[4], std::uint32_t codes) {
  const std::uint32_t low = codes & 0x07070707U;
  const std::uint32_t selector =
      (low & 0x7U) | (low >> 4 & 0x70U) | (low >> 8 & 0x700U) | (low >> 12 & 0x7000U);
  const std::uint32_t first = __byte_perm(table[0], table[1], selector);
  const std::uint32_t second = __byte_perm(table[2], table[3], selector);
  const std::uint32_t upper = (codes >> 3 & 0x01010101U) * 0xFFU;
  return (first & ~upper) | (second & upper);
}

constexpr std::uint32_t table_word(const std::int8_t* values, int word) {
  std::uint32_t out = 0;
  for (int i = 0; i < 4; ++i) {
    out |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(values[4 * word + i])) << (8 * i);
  }
  return out;
}

// A lane's part of a chunk: codes and scales of outputs g and g + 8, two blocks.
template <WeightFormat kFormat>
struct Piece {
  static constexpr Packing kPacking = packing(kFormat);
  static constexpr int kLow = kPacking.low;
  static constexpr int kHigh = kPacking.high;
  static constexpr int kGroups = kPacking.groups;
  static constexpr int kScaleWords = static_cast<int>(scale_bytes(kPacking) / 4);
  static constexpr float kDown = 1.0F / static_cast<float>(1U << kPacking.counted);

  std::uint32_t low[kLow];
  std::uint32_t high[kHigh > 0 ? kHigh : 1];
  std::uint32_t scales[kScaleWords];

  __device__ void load(const unsigned char* chunk, unsigned lane) {
    if constexpr (kLow == 8) {
      load_words<4>(low, chunk + lane * 16);
      load_words<4>(low + 4, chunk + 512 + lane * 16);
    } else {
      load_words<kLow>(low, chunk + lane * 4 * kLow);
    }
    if constexpr (kHigh > 0) load_words<kHigh>(high, chunk + 128 * kLow + lane * 4 * kHigh);
    load_words<kScaleWords>(scales, chunk + 128 * (kLow + kHigh) + lane / 4 * 4 * kScaleWords);
  }

  // The four words of codes of a block: a0 to a3 of layout.h, as the product wants them.
  __device__ void codes(int block, std::uint32_t (&a)[4]) const {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      std::uint32_t v;
      if constexpr (kLow == 8) {
        v = low[4 * block + j];
      } else if constexpr (kLow == 4) {
        v = low[2 * block + (j & 1)] >> (4 * (j >> 1)) & 0x0F0F0F0FU;
      } else {
        v = low[block] >> (2 * j) & 0x03030303U;
      }
      if constexpr (kHigh == 2) {
        v |= (high[block] >> (2 * j) & 0x03030303U) << kLow;
      } else if constexpr (kHigh == 1) {
        v |= (high[0] >> (j + 4 * block) & 0x01010101U) << kLow;
      }
      if constexpr (kPacking.values == Values::kIq4) {
        constexpr std::uint32_t kTable[4] = {table_word(kIq4Values, 0), table_word(kIq4Values, 1),
                                             table_word(kIq4Values, 2), table_word(kIq4Values, 3)};
        v = look_up(kTable, v);
      } else if constexpr (kPacking.values == Values::kMxfp4) {
        constexpr std::uint32_t kTable[4] = {
            table_word(kMxfp4Values, 0), table_word(kMxfp4Values, 1), table_word(kMxfp4Values, 2),
            table_word(kMxfp4Values, 3)};
        v = look_up(kTable, v);
      }
      if constexpr (kPacking.centred) v <<= 8 - kPacking.bits();
      a[j] = v;
    }
  }

  // Of output g + 8 * row, a block and a group (which need not be constants): the scale, with a
  // super-block's where there are such, and the minimum.
  __device__ float scale(int row, int block, int group, float super) const {
    if constexpr (kPacking.super) {
      return super * static_cast<float>(step(0, row, block, group));
    } else {
      return sixteen(row == 0 ? scales[0] : scales[1], block) * kDown;
    }
  }
  __device__ float minimum(int row, int block, int group, float super) const {
    if constexpr (kPacking.super) {
      return super * static_cast<float>(step(kScaleWords / 2, row, block, group));
    } else {
      return sixteen(row == 0 ? scales[2] : scales[3], block);
    }
  }

 private:
  __device__ static float sixteen(std::uint32_t word, int block) {
    const auto bits = static_cast<std::uint16_t>(block == 0 ? word & 0xFFFFU : word >> 16);
    if constexpr (kPacking.bf16) return bfloat16_to_float(bits);
    return half_to_float(bits);
  }
  __device__ std::int32_t step(int first, int row, int block, int group) const {
    const int at = row * 2 * kGroups + block * kGroups + group;
    std::uint32_t word = scales[first];
    if constexpr (kGroups == 2) word = row == 0 ? scales[first] : scales[first + 1];
    return static_cast<std::int8_t>(word >> (8 * (at % 4)) & 0xFFU);
  }
};

// The scales of a super-block of 256 columns, of outputs g and g + 8.
template <WeightFormat kFormat>
struct Super {
  static constexpr Packing kPacking = packing(kFormat);
  float scale[2] = {0.0F, 0.0F};
  float minimum[2] = {0.0F, 0.0F};

  __device__ void load(const unsigned char* panel, std::uint32_t chunks, std::uint32_t chunk,
                       unsigned lane) {
    if constexpr (kPacking.super) {
      constexpr int kWords = kPacking.minima ? 2 : 1;
      std::uint32_t words[kWords];
      load_words<kWords>(words, panel + static_cast<std::size_t>(chunks) * chunk_bytes(kPacking) +
                                    (chunk / kSuperChunks * 8 + lane / 4) * super_bytes(kPacking));
#pragma unroll
      for (int row = 0; row < 2; ++row) {
        scale[row] = half_to_float(static_cast<std::uint16_t>(words[0] >> (16 * row))) *
                     Piece<kFormat>::kDown;
        if constexpr (kPacking.minima) {
          minimum[row] = half_to_float(static_cast<std::uint16_t>(words[kWords - 1] >> (16 * row)));
        }
      }
    }
  }
};

// A piece's integer product, of a whole block or of the half `group`, as counted() takes it: sums
// begin at kFloatBits. b: a lane's codes of the activations.
template <WeightFormat kFormat>
__device__ inline void multiply(std::int32_t (&c)[4], const std::uint32_t (&a)[4], uint2 b,
                                int group) {
  constexpr Packing kPacking = packing(kFormat);
  constexpr bool kSigned = kPacking.centred || kPacking.values != Values::kCodes;
  if constexpr (kPacking.groups == 2) {
    const std::uint32_t half[2] = {a[2 * group], a[2 * group + 1]};
    const std::uint32_t codes = group == 0 ? b.x : b.y;
    if constexpr (kSigned) {
      mma_16x8x16_s8(c, half, codes, kFloatBits);
    } else {
      mma_16x8x16_u8(c, half, codes, kFloatBits);
    }
  } else {
    const std::uint32_t codes[2] = {b.x, b.y};
    if constexpr (kSigned) {
      mma_16x8x32_s8(c, a, codes, kFloatBits);
    } else {
      mma_16x8x32_u8(c, a, codes, kFloatBits);
    }
  }
}

// The sum that the contract scales, exactly.
template <WeightFormat kFormat>
__device__ inline float counted(std::int32_t bits) {
  constexpr float kDown = 1.0F / static_cast<float>(1U << packing(kFormat).excess());
  const float sum = __int_as_float(bits);
  if constexpr (packing(kFormat).excess() == 0) return sum - kFloatOffset;
  return fmaf(sum, kDown, -kFloatOffset * kDown);
}

}  // namespace espalier::runtime::cuda
