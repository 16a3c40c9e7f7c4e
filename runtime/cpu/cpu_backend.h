// The CPU backend: Backend on panels, paged KV and a few threads (README.md has layout and
// contract).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

struct CpuOptions {
  unsigned threads = 0;        // 0: as many as processors
  std::uint64_t kv_bytes = 0;  // KV pool; 0: the smaller of 4 GiB and a quarter of memory
  std::string isa;  // "scalar", "avx2", "avx512vnni"; empty: $ESPALIER_ISA, else the best
};

class CpuBackend {
 public:
  /// Makes panels from the model's weights (O(file size), in parallel) and reserves the KV pool.
  /// kInvalid / kUnsupported: an instruction set that is unknown or missing; too many threads.
  /// kLimit: a KV pool smaller than a page. kExhausted: memory or threads.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> create(std::shared_ptr<const Model> model,
                                                               const CpuOptions& options,
                                                               System& system);
};

}  // namespace espalier::runtime
