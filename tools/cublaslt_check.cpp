// Holds runtime/cuda/cublaslt.h against cuBLASLt's own header and library: the functions have the
// signatures, the numbers are the numbers, and the library has them all. tools/cublaslt_check.sh
// builds and runs it.
#include "runtime/cuda/cublaslt.h"

#include <cublasLt.h>

#include <cstddef>
#include <cstdio>
#include <type_traits>

namespace {

using namespace espalier::runtime::cuda;

// A type of cuBLASLt's as it is declared here: enumerations are ints, handles are pointers.
template <class T>
struct Here {
  using Type = std::conditional_t<std::is_enum_v<T>, int, T>;
};
#define ESP_HERE(theirs, ours) \
  template <>                  \
  struct Here<theirs> {        \
    using Type = ours;         \
  }
ESP_HERE(cublasLtHandle_t, LtContext*);
ESP_HERE(cublasLtHandle_t*, LtContext**);
ESP_HERE(cublasLtMatmulDesc_t, LtOperation*);
ESP_HERE(cublasLtMatmulDesc_t*, LtOperation**);
ESP_HERE(cublasLtMatrixLayout_t, LtLayout*);
ESP_HERE(cublasLtMatrixLayout_t*, LtLayout**);
ESP_HERE(cublasLtMatmulPreference_t, LtPreference*);
ESP_HERE(cublasLtMatmulPreference_t*, LtPreference**);
ESP_HERE(cublasLtMatmulHeuristicResult_t*, LtFound*);
ESP_HERE(const cublasLtMatmulAlgo_t*, const LtAlgorithm*);
template <class R, class... P>
auto here(R (*)(P...)) -> typename Here<R>::Type (*)(typename Here<P>::Type...);

#define ESP_SAME(member, function)                                  \
  static_assert(std::is_same_v<decltype(CublasLtFunctions::member), \
                               decltype(here(decltype(&(function)){}))>)
ESP_SAME(get_version, cublasLtGetVersion);
ESP_SAME(get_status_string, cublasLtGetStatusString);
ESP_SAME(create, cublasLtCreate);
ESP_SAME(destroy, cublasLtDestroy);
ESP_SAME(operation_create, cublasLtMatmulDescCreate);
ESP_SAME(operation_destroy, cublasLtMatmulDescDestroy);
ESP_SAME(operation_set, cublasLtMatmulDescSetAttribute);
ESP_SAME(layout_create, cublasLtMatrixLayoutCreate);
ESP_SAME(layout_destroy, cublasLtMatrixLayoutDestroy);
ESP_SAME(preference_create, cublasLtMatmulPreferenceCreate);
ESP_SAME(preference_destroy, cublasLtMatmulPreferenceDestroy);
ESP_SAME(preference_set, cublasLtMatmulPreferenceSetAttribute);
ESP_SAME(find, cublasLtMatmulAlgoGetHeuristic);
ESP_SAME(multiply, cublasLtMatmul);

static_assert(sizeof(cublasStatus_t) == sizeof(int) && CUBLAS_STATUS_SUCCESS == 0);
static_assert(sizeof(cublasLtMatmulAlgo_t) == sizeof(LtAlgorithm));
static_assert(sizeof(cublasLtMatmulHeuristicResult_t) == sizeof(LtFound));
static_assert(offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize) ==
              offsetof(LtFound, workspace_bytes));
static_assert(offsetof(cublasLtMatmulHeuristicResult_t, state) == offsetof(LtFound, status));
static_assert(CUDA_R_32F == kLtFloat && CUDA_R_16F == kLtHalf && CUDA_R_16BF == kLtBfloat16 &&
              CUDA_R_8F_E4M3 == kLtE4m3);
static_assert(CUBLAS_COMPUTE_32F == kLtComputeFloat && CUBLAS_OP_T == kLtTransposed);
static_assert(CUBLASLT_MATMUL_DESC_TRANSA == kLtOperationOnA);
static_assert(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES == kLtMostWorkspace);
static_assert(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK == kLtReductions);
static_assert(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES == kLtAlignmentOfC);
static_assert(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES == kLtAlignmentOfD);
static_assert(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE == kLtReduceInFloats);

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const auto cublaslt = load_cublaslt(arguments[1]);
  if (!cublaslt) {
    std::fprintf(stderr, "cublaslt-check: %s\n", cublaslt.error().message.c_str());
    return 1;
  }
  std::printf("cublaslt-check: cuBLASLt %zu has what is declared (header %d.%d.%d)\n",
              cublaslt->get_version(), CUBLAS_VER_MAJOR, CUBLAS_VER_MINOR, CUBLAS_VER_PATCH);
  return 0;
}
