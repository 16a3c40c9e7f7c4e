// What a CUDA device can do at most, measured: the limits that figures stand beside.
#pragma once

#include <string>

#include "base/result.h"
#include "runtime/cuda/cublaslt.h"
#include "runtime/cuda/layout.h"

namespace espalier::runtime::cuda {

struct MeasuredLimits {
  std::string architecture;     // "sm_90"
  double bytes_per_second = 0;  // of a large copy within the device, read and written
  // Multiplications of cuBLASLt's best large product of BF16 or E4M3 matrices; 0: not measured.
  double products_per_second = 0;
};

/// The best of several copies of a block far larger than the cache; with `tensor` also of products
/// of such numbers. kExhausted where the device has no room for it, kUnsupported where cuBLASLt has
/// no such products there.
[[nodiscard]] Result<MeasuredLimits> measure_limits(int device, const CublasLtFunctions* tensor,
                                                    WeightFormat format = WeightFormat::kBF16);

}  // namespace espalier::runtime::cuda
