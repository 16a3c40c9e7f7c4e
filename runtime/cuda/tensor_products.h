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
//
// Numerics `fp8` have E4M3 weights multiplied here with many rows: for few, product() is limited by
// reading them, and for many it is not, but on Hopper and Blackwell `mma.sync` only takes such
// codes apart into binary16 again, while cuBLASLt's kernels multiply them as they are. It takes the
// sums of codes alone; the scales come behind it.
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
/// The same of E4M3: more than product() reads the weights once for.
inline constexpr std::uint32_t kLeastE4m3Rows = 33;

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
  /// Whether the sums of E4M3 codes, without their scales, are enqueued to `out`; false where
  /// cuBLASLt has no kernel for them, or asks for shapes of another kind.
  [[nodiscard]] Result<bool> code_product(const Stream& stream, const DeviceMatrix& matrix,
                                          const E4m3Rows& x, std::uint32_t rows, float* out,
                                          std::size_t stride);

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
  [[nodiscard]] Status run(const Stream& stream, const Plan& how, const void* weights,
                           const void* rows, float* out, bool add);
  [[nodiscard]] Status choose(const Shape& shape, Plan& plan);

  const CublasLtFunctions lt_;
  LtContext* context_ = nullptr;
  DeviceMemory workspace_;
  std::map<Shape, std::unique_ptr<Plan>> plans_;  // null: there is no kernel
};

}  // namespace espalier::runtime::cuda
