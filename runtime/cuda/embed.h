// Embeddings looked up on the device.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "runtime/cuda/kernels.h"
#include "runtime/cuda/sample.h"

namespace espalier::runtime::cuda {

/// Of an id that was chosen on the device (sample.h): the rest is the number of its choice.
inline constexpr std::uint32_t kChosenId = std::uint32_t{1} << 31;

/// out[m] = row ids[m] of a matrix, as dequantise_row (../model/tensor.h) has it, times the factor.
/// `chosen`: the choices that ids name; of one that failed the row is anything. As the functions of
/// kernels.h.
void embed_rows(cudaStream_t stream, std::uint32_t rows, const DeviceMatrix& matrix,
                const std::uint32_t* ids, const SampleResult* chosen, float factor, float* out,
                std::size_t stride);

}  // namespace espalier::runtime::cuda
