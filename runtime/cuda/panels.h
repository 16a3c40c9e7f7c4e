// Tensors of a model file laid out for the device (layout.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/cuda/layout.h"
#include "runtime/model/tensor.h"

namespace espalier::runtime::cuda {

[[nodiscard]] WeightFormat weight_format(TensorType type);
/// matrix_bytes() of a tensor.
[[nodiscard]] std::uint64_t device_bytes(const Tensor& tensor);

/// Groups of outputs that are laid out together: a panel of 16, or of dense types a row.
[[nodiscard]] std::uint32_t groups_of(const Tensor& tensor);
[[nodiscard]] std::uint64_t group_bytes(const Tensor& tensor);
/// Lays out groups [begin, end) into `out`, group_bytes(tensor) each. Different parts may be laid
/// out by different threads.
void lay_out(const Tensor& tensor, std::uint32_t begin, std::uint32_t end,
             std::span<std::byte> out);
/// The part of the file that those groups are made from.
[[nodiscard]] std::span<const std::byte> source(const Tensor& tensor, std::uint32_t begin,
                                                std::uint32_t end);

}  // namespace espalier::runtime::cuda
