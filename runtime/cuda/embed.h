// Embeddings looked up on the device.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "runtime/cuda/kernels.h"

namespace espalier::runtime::cuda {

/// out[m] = row ids[m] of a matrix, as dequantise_row (../model/tensor.h) has it, times the factor.
/// As the functions of kernels.h.
void embed_rows(cudaStream_t stream, std::uint32_t rows, const DeviceMatrix& matrix,
                const std::uint32_t* ids, float factor, float* out, std::size_t stride);

}  // namespace espalier::runtime::cuda
