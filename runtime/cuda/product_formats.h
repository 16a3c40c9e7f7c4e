// One function a tensor type: each is a kernel family of its own, compiled apart.
#pragma once

#include "runtime/cuda/kernels.h"

namespace espalier::runtime::cuda {

/// Shared memory that a thread block has on every device without asking.
inline constexpr std::size_t kSharedEverywhere = std::size_t{48} << 10;

template <WeightFormat kFormat>
void quantised_product(cudaStream_t stream, const DeviceMatrix& matrix, const CodedRows& x,
                       std::uint32_t rows, float* out, std::size_t stride, bool add,
                       const std::uint32_t* wanted, const ProductSizes& sizes);

/// Of kE4M3. `sizes`: rows alone, 8, 16 or 32; no bit depends on them, nor on other rows.
void e4m3_product(cudaStream_t stream, const DeviceMatrix& matrix, const E4m3Rows& x,
                  std::uint32_t rows, float* out, std::size_t stride, bool add,
                  const ProductSizes& sizes);

}  // namespace espalier::runtime::cuda
