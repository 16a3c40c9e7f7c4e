// Weights that are floats made into E4M3 codes for the device (layout.h), when a model is loaded
// under numerics `fp8`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/model/tensor.h"

namespace espalier::runtime::cuda {

/// Rows [begin, end) as codes, strip_columns(columns) bytes each, the rest filled up with zeros;
/// and each row's scale: its largest magnitude / 448. Rows past the tensor's last are zeros.
/// `scratch` has room for a row. Different rows may be made by different threads.
void make_e4m3(const Tensor& tensor, std::uint32_t begin, std::uint32_t end,
               std::span<std::byte> codes, std::span<float> scales, std::span<float> scratch);

}  // namespace espalier::runtime::cuda
