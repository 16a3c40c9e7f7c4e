#include "runtime/cuda/cublaslt.h"

#include "runtime/cuda/library_functions.h"

namespace espalier::runtime::cuda {

Result<CublasLtFunctions> load_cublaslt(const std::string& library) {
  LibraryFunctions functions(library);
  CublasLtFunctions out;
  functions.find(out.get_version, "cublasLtGetVersion");
  functions.find(out.get_status_string, "cublasLtGetStatusString");
  functions.find(out.create, "cublasLtCreate");
  functions.find(out.destroy, "cublasLtDestroy");
  functions.find(out.operation_create, "cublasLtMatmulDescCreate");
  functions.find(out.operation_destroy, "cublasLtMatmulDescDestroy");
  functions.find(out.operation_set, "cublasLtMatmulDescSetAttribute");
  functions.find(out.layout_create, "cublasLtMatrixLayoutCreate");
  functions.find(out.layout_destroy, "cublasLtMatrixLayoutDestroy");
  functions.find(out.preference_create, "cublasLtMatmulPreferenceCreate");
  functions.find(out.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  functions.find(out.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  functions.find(out.find, "cublasLtMatmulAlgoGetHeuristic");
  functions.find(out.multiply, "cublasLtMatmul");
  const std::string why = functions.why_not();
  if (why.empty()) return out;
  return fail(ErrorCode::kUnsupported,
              "numerics tensor and fp8 multiply with cuBLASLt, and " + library + why +
                  "; it is a part of the CUDA Toolkit, and $ESPALIER_CUBLASLT may name it");
}

std::string cublaslt_library() { return "libcublasLt.so." + std::to_string(CUDART_VERSION / 1000); }

}  // namespace espalier::runtime::cuda
