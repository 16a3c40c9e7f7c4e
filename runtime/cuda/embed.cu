// Rows of an embedding by tokens' ids, out of the matrix that the head multiplies with: each weight
// as dequantise_row (../model/tensor.h) forms it.
#include "runtime/cuda/embed.h"

#include <utility>

#include "runtime/cuda/numbers.cuh"
#include "runtime/cuda/product_piece.cuh"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {
namespace {

constexpr unsigned kThreads = 128;

// Codes of four columns as they lie (layout.h): output `output` of a panel, columns 4 * quad on of
// the chunk's block `half`.
template <WeightFormat kFormat>
__device__ inline std::uint32_t codes_of(const unsigned char* chunk, unsigned output, unsigned half,
                                         unsigned quad) {
  constexpr Packing p = packing(kFormat);
  const auto word = [chunk](unsigned at) {
    return *reinterpret_cast<const std::uint32_t*>(chunk + at);
  };
  const unsigned lane = output % 8 * 4 + quad % 4;
  const unsigned j = output / 8 + 2 * (quad / 4);
  if constexpr (p.low == 8) return word(half * 512 + lane * 16 + j * 4);
  std::uint32_t codes;
  if constexpr (p.low == 4) {
    codes = word(lane * 16 + half * 8 + j % 2 * 4) >> 4 * (j / 2) & 0x0F0F0F0FU;
  } else {
    codes = word(lane * 8 + half * 4) >> 2 * j & 0x03030303U;
  }
  constexpr unsigned kHigh = 128U * p.low;
  if constexpr (p.high == 2) {
    codes |= (word(kHigh + lane * 8 + half * 4) >> 2 * j & 0x03030303U) << p.low;
  } else if constexpr (p.high == 1) {
    codes |= (word(kHigh + lane * 4) >> (j + 4 * half) & 0x01010101U) << p.low;
  }
  return codes;
}

// What the codes stand for, a signed byte each.
template <WeightFormat kFormat>
__device__ inline int value_of(std::uint32_t codes, unsigned i) {
  constexpr Packing p = packing(kFormat);
  if constexpr (p.values == Values::kIq4) {
    constexpr std::uint32_t kTable[4] = {table_word(kIq4Values, 0), table_word(kIq4Values, 1),
                                         table_word(kIq4Values, 2), table_word(kIq4Values, 3)};
    codes = look_up(kTable, codes);
  } else if constexpr (p.values == Values::kMxfp4) {
    constexpr std::uint32_t kTable[4] = {table_word(kMxfp4Values, 0), table_word(kMxfp4Values, 1),
                                         table_word(kMxfp4Values, 2), table_word(kMxfp4Values, 3)};
    codes = look_up(kTable, codes);
  } else if constexpr (p.centred) {
    codes <<= 8 - p.bits();  // the top bit, which is flipped, becomes the byte's sign
    return static_cast<std::int8_t>(codes >> 8 * i) >> (8 - p.bits());
  } else {
    return static_cast<int>(codes >> 8 * i & 0xFFU);
  }
  return static_cast<std::int8_t>(codes >> 8 * i);
}

__device__ inline float half_at(const unsigned char* at) {
  return half_to_float(*reinterpret_cast<const std::uint16_t*>(at));
}

// Four columns of a row.
template <WeightFormat kFormat>
__device__ inline void quantised_columns(const DeviceMatrix& matrix, std::uint32_t row,
                                         std::uint32_t four, float (&out)[4]) {
  constexpr Packing p = packing(kFormat);
  const unsigned char* panel =
      matrix.data + row / kPanelRows * panel_bytes(kFormat, matrix.columns);
  const unsigned output = row % kPanelRows;
  const unsigned block = four / 8;
  const unsigned quad = four % 8;
  const unsigned half = block % kChunkBlocks;
  const unsigned char* chunk = panel + std::size_t{block / kChunkBlocks} * chunk_bytes(p);
  const unsigned char* scales = chunk + 128U * (p.low + p.high) + output % 8 * scale_bytes(p);
  float scale;
  float minimum = 0.0F;
  if constexpr (p.super) {
    const std::uint32_t chunks =
        (matrix.columns + kChunkBlocks * kBlock - 1) / (kChunkBlocks * kBlock);
    const unsigned char* super =
        panel + std::size_t{chunks} * chunk_bytes(p) +
        (std::size_t{block / (kChunkBlocks * kSuperChunks)} * 8 + output % 8) * super_bytes(p);
    const unsigned group = output / 8 * 2 * p.groups + half * p.groups + quad * p.groups / 8;
    scale = half_at(super + output / 8 * 2) *
            static_cast<float>(static_cast<std::int8_t>(scales[group]));
    if constexpr (p.minima) {
      minimum =
          half_at(super + 4 + output / 8 * 2) * static_cast<float>(scales[4 * p.groups + group]);
    }
  } else {
    const unsigned at = output / 8 * 4 + half * 2;
    if constexpr (p.bf16) {
      scale = bfloat16_to_float(*reinterpret_cast<const std::uint16_t*>(scales + at));
    } else {
      scale = half_at(scales + at);
    }
    if constexpr (p.minima) minimum = half_at(scales + 8 + at);
  }
  const std::uint32_t codes = codes_of<kFormat>(chunk, output, half, quad);
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {
    out[i] = scale * static_cast<float>(value_of<kFormat>(codes, i));
    if constexpr (p.minima) out[i] = out[i] + minimum;
  }
}

template <WeightFormat kFormat>
__device__ inline float dense_column(const DeviceMatrix& matrix, std::uint32_t row,
                                     std::uint32_t column) {
  const unsigned char* from = matrix.data + row * dense_row_bytes(kFormat, matrix.columns);
  const std::uint32_t at = column / kStrip * kStrip + column % 16 * 8 + column % kStrip / 16;
  if constexpr (kFormat == WeightFormat::kF32) return reinterpret_cast<const float*>(from)[at];
  const std::uint16_t word = reinterpret_cast<const std::uint16_t*>(from)[at];
  return kFormat == WeightFormat::kF16 ? half_to_float(word) : bfloat16_to_float(word);
}

template <WeightFormat kFormat>
__global__ void __launch_bounds__(kThreads)
    embed(DeviceMatrix matrix, const std::uint32_t* ids, const SampleResult* chosen, float factor,
          float* out, std::size_t stride) {
  let_next_start();
  wait_for_inputs();
  std::uint32_t row = ids[blockIdx.x];
  if ((row & kChosenId) != 0) {
    const std::int32_t token = chosen[row & ~kChosenId].token;
    row = token < 0 ? 0 : static_cast<std::uint32_t>(token);
  }
  const std::uint32_t four = blockIdx.y * kThreads + threadIdx.x;
  if (four * 4 >= matrix.columns) return;
  float columns[4];
  if constexpr (is_dense(kFormat)) {
#pragma unroll
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint32_t column = four * 4 + i;
      columns[i] = column < matrix.columns ? dense_column<kFormat>(matrix, row, column) : 0.0F;
    }
  } else {
    quantised_columns<kFormat>(matrix, row, four, columns);
  }
  float* const to = out + blockIdx.x * stride + four * 4;
#pragma unroll
  for (unsigned i = 0; i < 4; ++i) {
    if (four * 4 + i < matrix.columns) to[i] = columns[i] * factor;
  }
}

using Kernel = void (*)(DeviceMatrix, const std::uint32_t*, const SampleResult*, float, float*,
                        std::size_t);

template <std::size_t... kFormats>
Kernel kernel_of(WeightFormat format, std::index_sequence<kFormats...>) {
  const Kernel kernels[] = {embed<static_cast<WeightFormat>(kFormats)>...};
  return kernels[static_cast<std::size_t>(format)];
}

}  // namespace

void embed_rows(cudaStream_t stream, std::uint32_t rows, const DeviceMatrix& matrix,
                const std::uint32_t* ids, const SampleResult* chosen, float factor, float* out,
                std::size_t stride) {
  if (rows == 0) return;
  const std::uint32_t fours = (matrix.columns + 3) / 4;
  launch(kernel_of(matrix.format, std::make_index_sequence<kWeightFormats>()),
         dim3(rows, (fours + kThreads - 1) / kThreads), dim3(kThreads), 0, stream, matrix, ids,
         chosen, factor, out, stride);
}

}  // namespace espalier::runtime::cuda
