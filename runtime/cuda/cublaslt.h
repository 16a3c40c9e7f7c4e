// cuBLASLt's products of matrices, as far as numerics `tensor` calls them.
//
// The library is found when the program runs (libcublasLt.so of this build's CUDA version, or what
// $ESPALIER_CUBLASLT names), and only where numerics `tensor` is asked for: builds need none. The
// few functions below are declared here as its interface has had them since CUDA 12.0.
// tools/cublaslt_check.sh holds them against its own header and library.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace espalier::runtime::cuda {

/// What cuBLASLt's handles point to: nothing that is known here.
struct LtContext;
struct LtOperation;
struct LtLayout;
struct LtPreference;

struct LtAlgorithm {
  std::uint64_t data[8];
};
struct LtFound {
  LtAlgorithm algorithm;
  std::size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
};

/// Its functions, with its types as they cross the interface: enumerations are ints.
struct CublasLtFunctions {
  std::size_t (*get_version)() = nullptr;
  const char* (*get_status_string)(int status) = nullptr;
  int (*create)(LtContext** context) = nullptr;
  int (*destroy)(LtContext* context) = nullptr;
  int (*operation_create)(LtOperation** to, int compute_type, int scale_type) = nullptr;
  int (*operation_destroy)(LtOperation* operation) = nullptr;
  int (*operation_set)(LtOperation* operation, int attribute, const void* value,
                       std::size_t bytes) = nullptr;
  int (*layout_create)(LtLayout** to, int type, std::uint64_t rows, std::uint64_t columns,
                       std::int64_t stride) = nullptr;
  int (*layout_destroy)(LtLayout* layout) = nullptr;
  int (*preference_create)(LtPreference** to) = nullptr;
  int (*preference_destroy)(LtPreference* preference) = nullptr;
  int (*preference_set)(LtPreference* preference, int attribute, const void* value,
                        std::size_t bytes) = nullptr;
  int (*find)(LtContext* context, LtOperation* operation, LtLayout* a, LtLayout* b, LtLayout* c,
              LtLayout* d, LtPreference* preference, int wanted, LtFound* found,
              int* count) = nullptr;
  int (*multiply)(LtContext* context, LtOperation* operation, const void* alpha, const void* a,
                  LtLayout* a_layout, const void* b, LtLayout* b_layout, const void* beta,
                  const void* c, LtLayout* c_layout, void* d, LtLayout* d_layout,
                  const LtAlgorithm* algorithm, void* workspace, std::size_t workspace_bytes,
                  cudaStream_t stream) = nullptr;
};

// Its numbers.
inline constexpr int kLtFloat = 0;           // CUDA_R_32F
inline constexpr int kLtHalf = 2;            // CUDA_R_16F
inline constexpr int kLtBfloat16 = 14;       // CUDA_R_16BF
inline constexpr int kLtE4m3 = 28;           // CUDA_R_8F_E4M3
inline constexpr int kLtComputeFloat = 68;   // CUBLAS_COMPUTE_32F
inline constexpr int kLtTransposed = 1;      // CUBLAS_OP_T
inline constexpr int kLtOperationOnA = 3;    // CUBLASLT_MATMUL_DESC_TRANSA
inline constexpr int kLtMostWorkspace = 1;   // CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES
inline constexpr int kLtReductions = 3;      // CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK
inline constexpr int kLtAlignmentOfC = 7;    // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES
inline constexpr int kLtAlignmentOfD = 8;    // CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES
inline constexpr int kLtReduceInFloats = 2;  // CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE

/// kUnsupported where there is no such library, or it lacks a function. It stays loaded.
[[nodiscard]] Result<CublasLtFunctions> load_cublaslt(const std::string& library);
/// "libcublasLt.so.13", of the CUDA version that this build has.
[[nodiscard]] std::string cublaslt_library();

/// Where the functions come from: load_cublaslt, or what stands in for it.
using FindCublasLt = std::function<Result<CublasLtFunctions>(const std::string& library)>;

}  // namespace espalier::runtime::cuda
