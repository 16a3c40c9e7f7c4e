// Which kernel a product takes, and products with weights that are floats.
#include <algorithm>

#include "runtime/cuda/product_dense.cuh"
#include "runtime/cuda/product_formats.h"
#include "runtime/cuda/ptx.cuh"
#include "runtime/cuda/simt.cuh"

namespace espalier::runtime::cuda {
namespace {

constexpr unsigned kDenseHalves = 16;  // half warps of a thread block
// Numerics contract 5: of each output and row 16 sums, by column mod 16, in rising columns within a
// segment of 512; then the segments in order, lane by lane; then the tree. A half warp has a
// segment of some outputs and rows; `spread` of them share the segments of the same outputs.
template <WeightFormat kFormat, int kOutputs, int kCols>
__global__ void __launch_bounds__(kDenseHalves * 16)
    product_dense(const unsigned char* data, std::uint32_t outputs, std::uint32_t columns,
                  std::uint64_t row_bytes, unsigned spread, const float* x, std::size_t x_stride,
                  std::uint32_t rows, float* out, std::size_t stride, bool add,
                  const std::uint32_t* wanted) {
  // Strips whose weights are asked for at once.
  constexpr int kAhead = kCols == 1 ? static_cast<int>(kSegmentStrips) : kCols == 2 ? 2 : 1;
  constexpr std::uint32_t kBytes = Strip<kFormat>::kWords * 4;
  const unsigned lane = threadIdx.x % 16;
  const unsigned half = threadIdx.x / 16;
  const unsigned groups = kDenseHalves / spread;
  const unsigned group = half / spread;
  const std::uint32_t first = (blockIdx.x * groups + group) * kOutputs;
  const std::uint32_t row0 = blockIdx.y * kCols;
  const std::uint32_t segments = (columns + kDenseSegment - 1) / kDenseSegment;
  const std::uint32_t strips = (columns + kStrip - 1) / kStrip;
  // [segment][output of the block][row][lane]
  float* const parts = reinterpret_cast<float*>(dynamic_shared());
  const unsigned all = groups * kOutputs * kCols * 16;

  const unsigned char* weights[kOutputs];
#pragma unroll
  for (int r = 0; r < kOutputs; ++r) {
    // Outputs past the last one repeat it and are not stored: all lanes stay together.
    weights[r] = data + min(first + r, outputs - 1) * row_bytes + lane * kBytes;
  }
  const float* inputs[kCols];
#pragma unroll
  for (int c = 0; c < kCols; ++c) inputs[c] = x + min(row0 + c, rows - 1) * x_stride + lane;

  Strip<kFormat> strip[kAhead][kOutputs];
  const auto fetch = [&](std::uint32_t from) {
#pragma unroll
    for (int i = 0; i < kAhead; ++i) {
      // Past the end, the last strip again, whose activations are taken for 0.
      const std::uint32_t s = min(from + i, strips - 1);
#pragma unroll
      for (int r = 0; r < kOutputs; ++r) strip[i][r].load(weights[r] + s * 16 * kBytes);
    }
  };
  let_next_start();
  // Outputs of a thread block: a panel's part, or some panels.
  bool skipped = wanted != nullptr;
  for (std::uint32_t n = blockIdx.x * groups * kOutputs;
       skipped && n < min((blockIdx.x + 1) * groups * kOutputs, outputs); n += kPanelRows) {
    skipped = (wanted[n / kPanelRows / 32] >> n / kPanelRows % 32 & 1U) == 0;
  }
  // The first weights are asked for before the activations are there.
  if constexpr (kAhead > 1) {
    if (!skipped) fetch(half % spread * kSegmentStrips);
  }
  wait_for_inputs();
  if (skipped) return;
  for (std::uint32_t segment = half % spread; segment < segments; segment += spread) {
    float acc[kOutputs][kCols];
#pragma unroll
    for (int r = 0; r < kOutputs; ++r) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) acc[r][c] = 0.0F;
    }
#pragma unroll 1
    for (std::uint32_t u = 0; u < kSegmentStrips; u += kAhead) {
      if (u > 0 || kAhead == 1) fetch(segment * kSegmentStrips + u);
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        add_strip(acc, strip[i], inputs, (segment * kSegmentStrips + u + i) * kStrip, columns);
      }
    }
    if constexpr (kAhead > 1) fetch((segment + spread) * kSegmentStrips);
#pragma unroll
    for (int r = 0; r < kOutputs; ++r) {
#pragma unroll
      for (int c = 0; c < kCols; ++c) {
        parts[segment * all + ((group * kOutputs + r) * kCols + c) * 16 + lane] = acc[r][c];
      }
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < all; i += blockDim.x) {
    float sum = parts[i];
#pragma unroll 4
    for (std::uint32_t s = 1; s < segments; ++s) sum = sum + parts[s * all + i];
#pragma unroll
    for (int by = 8; by > 0; by /= 2) sum = sum + __shfl_xor_sync(kFullWarp, sum, by);
    const std::uint32_t n = blockIdx.x * groups * kOutputs + i / (16 * kCols);
    const std::uint32_t m = row0 + i / 16 % kCols;
    if (lane != 0 || n >= outputs || m >= rows) continue;
    float* to = out + m * stride + n;
    *to = add ? *to + sum : sum;
  }
}

// Which threads a dense product has: rows that share a read of the weights, and half warps that
// share an output's segments.
struct DenseLaunch {
  std::uint32_t rows;
  std::uint32_t spread;

  [[nodiscard]] std::uint32_t outputs() const {
    return kDenseHalves / spread * (rows == 1 ? 2 : 4);
  }
  [[nodiscard]] std::size_t shared(std::uint32_t segments) const {
    return std::size_t{segments} * outputs() * rows * 16 * sizeof(float);
  }
};

DenseLaunch dense_launch(std::uint32_t rows, std::uint32_t segments, const ProductSizes& sizes) {
  const auto at_most = [](std::uint32_t most, std::uint32_t wanted) {
    std::uint32_t out = 1;
    while (out < most && out < wanted) out *= 2;
    return out;
  };
  DenseLaunch rule{at_most(8, rows), 1};
  // Where rows are many, fewer half warps: their activations are shared.
  rule.spread = at_most(rule.rows < 8 ? 8 : 4, segments);
  DenseLaunch out = rule;
  if (sizes.rows != 0) out.rows = at_most(8, sizes.rows);
  if (sizes.warps != 0) out.spread = at_most(kDenseHalves, min(sizes.warps, segments));
  const std::size_t most = std::max(rule.shared(segments), kSharedEverywhere);
  return out.shared(segments) <= most ? out : rule;
}

template <WeightFormat kFormat>
void dense_product(cudaStream_t stream, const DeviceMatrix& matrix, const Activations& x,
                   std::uint32_t rows, float* out, std::size_t stride, bool add,
                   const std::uint32_t* wanted, const ProductSizes& sizes) {
  const std::uint32_t segments = (matrix.columns + kDenseSegment - 1) / kDenseSegment;
  const DenseLaunch of = dense_launch(rows, segments, sizes);
  const auto run = [&]<int kOutputs, int kCols>() {
    launch(product_dense<kFormat, kOutputs, kCols>,
           dim3((matrix.rows + of.outputs() - 1) / of.outputs(), (rows + kCols - 1) / kCols),
           dim3(kDenseHalves * 16), of.shared(segments), stream, matrix.data, matrix.rows,
           matrix.columns, dense_row_bytes(kFormat, matrix.columns), of.spread, x.floats, x.stride,
           rows, out, stride, add, wanted);
  };
  if (of.rows == 1) {
    run.template operator()<2, 1>();
  } else if (of.rows == 2) {
    run.template operator()<4, 2>();
  } else if (of.rows == 4) {
    run.template operator()<4, 4>();
  } else {
    run.template operator()<4, 8>();
  }
}

}  // namespace

void product(cudaStream_t stream, const DeviceMatrix& matrix, const Activations& x,
             std::uint32_t rows, float* out, std::size_t stride, bool add,
             const std::uint32_t* wanted, const ProductSizes& sizes) {
  const auto quantised = [&]<WeightFormat kFormat>() {
    quantised_product<kFormat>(stream, matrix, x.coded, rows, out, stride, add, wanted, sizes);
  };
  switch (matrix.format) {
    case WeightFormat::kQ4_0:
      return quantised.template operator()<WeightFormat::kQ4_0>();
    case WeightFormat::kQ4_1:
      return quantised.template operator()<WeightFormat::kQ4_1>();
    case WeightFormat::kQ5_0:
      return quantised.template operator()<WeightFormat::kQ5_0>();
    case WeightFormat::kQ5_1:
      return quantised.template operator()<WeightFormat::kQ5_1>();
    case WeightFormat::kQ8_0:
      return quantised.template operator()<WeightFormat::kQ8_0>();
    case WeightFormat::kQ2_K:
      return quantised.template operator()<WeightFormat::kQ2_K>();
    case WeightFormat::kQ3_K:
      return quantised.template operator()<WeightFormat::kQ3_K>();
    case WeightFormat::kQ4_K:
      return quantised.template operator()<WeightFormat::kQ4_K>();
    case WeightFormat::kQ5_K:
      return quantised.template operator()<WeightFormat::kQ5_K>();
    case WeightFormat::kQ6_K:
      return quantised.template operator()<WeightFormat::kQ6_K>();
    case WeightFormat::kIQ4_NL:
      return quantised.template operator()<WeightFormat::kIQ4_NL>();
    case WeightFormat::kIQ4_XS:
      return quantised.template operator()<WeightFormat::kIQ4_XS>();
    case WeightFormat::kMXFP4:
      return quantised.template operator()<WeightFormat::kMXFP4>();
    case WeightFormat::kF32:
      return dense_product<WeightFormat::kF32>(stream, matrix, x, rows, out, stride, add, wanted,
                                               sizes);
    case WeightFormat::kF16:
      return dense_product<WeightFormat::kF16>(stream, matrix, x, rows, out, stride, add, wanted,
                                               sizes);
    case WeightFormat::kBF16:
      return dense_product<WeightFormat::kBF16>(stream, matrix, x, rows, out, stride, add, wanted,
                                                sizes);
    case WeightFormat::kE4M3:
      return e4m3_product(stream, matrix, x.e4m3, rows, out, stride, add, sizes);
  }
}

}  // namespace espalier::runtime::cuda
