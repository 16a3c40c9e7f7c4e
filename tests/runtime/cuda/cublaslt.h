// The cuBLASLt of tests: over the shim what stands in for it, on a device itself.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "runtime/cuda/cublaslt.h"
#include "runtime/cuda/tensor_products.h"

namespace espalier::runtime::cuda {

#ifdef ESPALIER_HOST_CUDA
/// What stands in for cuBLASLt, its products enqueued on the shim's streams. Calls that break its
/// rules, or that it would have a slower kernel for than is thought, fail the test.
[[nodiscard]] Result<CublasLtFunctions> find_cublaslt(const std::string& library);

/// Since the start of the program, of all contexts.
struct LtUse {
  int alive = 0;     // contexts and descriptions that were not destroyed
  int asked = 0;     // for kernels
  int products = 0;  // enqueued
};
[[nodiscard]] LtUse lt_use();
/// It has no kernels from now on.
void lt_without_kernels(bool without);
#else
inline Result<CublasLtFunctions> find_cublaslt(const std::string& library) {
  return load_cublaslt(library);
}
#endif

/// Products by it; null, and a failure, where there are none.
inline std::unique_ptr<TensorProducts> tensor_products_of_tests() {
  const auto found = find_cublaslt(cublaslt_library());
  EXPECT_TRUE(found.has_value()) << found.error().message;
  if (!found) return nullptr;
  auto products = TensorProducts::create(*found);
  EXPECT_TRUE(products.has_value()) << products.error().message;
  return products ? std::move(*products) : nullptr;
}

}  // namespace espalier::runtime::cuda
