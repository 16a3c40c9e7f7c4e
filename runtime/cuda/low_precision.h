// What numerics other than `exact` multiply with.
#pragma once

#include <span>

#include "base/result.h"
#include "runtime/cuda/cublaslt.h"
#include "runtime/cuda/device.h"
#include "runtime/fp8_products.h"
#include "runtime/numerics.h"

namespace espalier::runtime::cuda {

struct LowPrecision {
  const CublasLtFunctions* tensor = nullptr;  // null: numerics are exact
  const Fp8Products* fp8 = nullptr;           // also: of the model; null: no weights in 8 bits

  [[nodiscard]] Numerics numerics() const {
    if (tensor == nullptr) return Numerics::kExact;
    return fp8 == nullptr ? Numerics::kTensor : Numerics::kFp8;
  }
};

/// kUnsupported, by name, where a device has no products of 8-bit floats: before compute capability
/// 8.9.
[[nodiscard]] Status check_fp8(std::span<const DeviceFacts> devices);

}  // namespace espalier::runtime::cuda
