// Room on the device for the activations that a group of matrices reads.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/kernels.h"
#include "runtime/cuda/weights.h"

namespace espalier::runtime::cuda {

/// Grows, never shrinks.
class ActivationRoom {
 public:
  /// Room for `rows` of `columns` in the forms that `reader` takes; the contents are undefined.
  /// kExhausted.
  [[nodiscard]] Status fit(std::uint32_t rows, std::uint32_t columns, const MatrixGroup& reader);
  /// Room for `rows` of `columns` in 16 bits, for products on tensor cores. kExhausted.
  [[nodiscard]] Status fit_strips(std::uint32_t rows, std::uint32_t columns, WeightFormat format);
  [[nodiscard]] const Activations& view() const { return view_; }

 private:
  DeviceMemory memory_;
  Activations view_;
};

}  // namespace espalier::runtime::cuda
