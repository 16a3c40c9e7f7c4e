// Products of 16-bit weights with rows of 16-bit activations on tensor cores, through cuBLASLt:
// what numerics `tensor` has in place of product() (kernels.h).
//
// Exact products of 16-bit numbers, summed in fp32 in whatever order its kernel has: so a row's
// bits depend on the device, on cuBLASLt's version and on how many rows there are, and on nothing
// else (no reduction by atomics is allowed). Weights are read where they lie: both sides have
// their columns in the same order of strips (layout.h), and in a sum that order is free. Adding to
// the residual is the product's own epilogue.
//
// Which kernel a shape has is asked once and kept; a step that comes again asks nothing. Owns
// cuBLASLt's context and 32 MiB of workspace on the device that is current at create(). One thread
// at a time, on one stream.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "base/result.h"
#include "runtime/cuda/cublaslt.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/kernels.h"

namespace espalier::runtime::cuda {

/// From so many rows on: with fewer, product() is limited by reading the weights, too.
inline constexpr std::uint32_t kLeastTensorRows = 4;

class TensorProducts {
 public:
  /// kExhausted; kInternal, as cuBLASLt calls the error.
  [[nodiscard]] static Result<std::unique_ptr<TensorProducts>> create(
      const CublasLtFunctions& functions);
  ~TensorProducts();
  TensorProducts(const TensorProducts&) = delete;
  TensorProducts& operator=(const TensorProducts&) = delete;

  /// out[m * stride + n] = matrix[n] . x[m] (or +=), n < matrix.rows, m < rows. The weights are F16
  /// or BF16, x of the same type and as wide. kUnsupported where cuBLASLt has no kernel for it.
  [[nodiscard]] Status product(const Stream& stream, const DeviceMatrix& matrix, const StripRows& x,
                               std::uint32_t rows, float* out, std::size_t stride, bool add);

 private:
  struct Shape {
    std::uint64_t outputs, columns, rows, stride;
    std::uint32_t alignment;  // of out
    int type;
    auto operator<=>(const Shape&) const = default;
  };
  // How cuBLASLt multiplies a shape; its descriptions are destroyed with it.
  struct Plan {
    explicit Plan(const CublasLtFunctions& of) : lt(of) {}
    ~Plan();
    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    const CublasLtFunctions& lt;
    LtOperation* operation = nullptr;
    LtLayout* weights = nullptr;
    LtLayout* rows = nullptr;
    LtLayout* out = nullptr;
    LtAlgorithm algorithm{};
  };

  explicit TensorProducts(const CublasLtFunctions& functions) : lt_(functions) {}
  [[nodiscard]] Status check_lt(int status, const char* what) const;
  [[nodiscard]] Result<const Plan*> plan(const Shape& shape);
  [[nodiscard]] Status choose(const Shape& shape, Plan& plan);

  const CublasLtFunctions lt_;
  LtContext* context_ = nullptr;
  DeviceMemory workspace_;
  std::map<Shape, std::unique_ptr<Plan>> plans_;
};

}  // namespace espalier::runtime::cuda
