#include "runtime/cuda/cublaslt.h"

#include <dlfcn.h>

namespace espalier::runtime::cuda {

Result<CublasLtFunctions> load_cublaslt(const std::string& library) {
  const auto unusable = [&](const std::string& why) {
    return fail(ErrorCode::kUnsupported,
                "numerics tensor multiply with cuBLASLt, and " + library + why +
                    "; it is a part of the CUDA Toolkit, and $ESPALIER_CUBLASLT may name it");
  };
  void* const handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    return unusable(std::string(" cannot be loaded: ") + (why == nullptr ? "unknown" : why));
  }
  CublasLtFunctions out;
  std::string missing;
  const auto find = [&]<class F>(F& to, const char* name) {
    to = reinterpret_cast<F>(dlsym(handle, name));
    if (to == nullptr) missing += std::string(missing.empty() ? "" : ", ") + name;
  };
  find(out.get_version, "cublasLtGetVersion");
  find(out.get_status_string, "cublasLtGetStatusString");
  find(out.create, "cublasLtCreate");
  find(out.destroy, "cublasLtDestroy");
  find(out.operation_create, "cublasLtMatmulDescCreate");
  find(out.operation_destroy, "cublasLtMatmulDescDestroy");
  find(out.operation_set, "cublasLtMatmulDescSetAttribute");
  find(out.layout_create, "cublasLtMatrixLayoutCreate");
  find(out.layout_destroy, "cublasLtMatrixLayoutDestroy");
  find(out.preference_create, "cublasLtMatmulPreferenceCreate");
  find(out.preference_destroy, "cublasLtMatmulPreferenceDestroy");
  find(out.preference_set, "cublasLtMatmulPreferenceSetAttribute");
  find(out.find, "cublasLtMatmulAlgoGetHeuristic");
  find(out.multiply, "cublasLtMatmul");
  if (missing.empty()) return out;
  dlclose(handle);
  return unusable(" has no " + missing);
}

std::string cublaslt_library() { return "libcublasLt.so." + std::to_string(CUDART_VERSION / 1000); }

}  // namespace espalier::runtime::cuda
