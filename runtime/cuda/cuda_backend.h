// The CUDA backend: Backend on an NVIDIA device (README.md has layout and contract).
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

struct CudaOptions {
  int device = 0;              // its number, as CUDA counts
  unsigned threads = 0;        // of the host: loading and sampling; 0: as many as processors
  std::uint64_t kv_bytes = 0;  // KV pool; 0: half of what the weights leave, at most 16 GiB
};

class CudaBackend {
 public:
  /// Lays the model's weights out on the device and reserves the KV pool.
  /// kUnsupported: no driver, no such device, one too old. kLimit: a KV pool smaller than a page.
  /// kExhausted: memory of the device or the host, or threads.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> create(std::shared_ptr<const Model> model,
                                                               const CudaOptions& options,
                                                               System& system);
};

}  // namespace espalier::runtime
