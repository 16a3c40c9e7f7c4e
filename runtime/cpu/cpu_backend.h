// The CPU backend: Backend on panels, paged KV and a few threads (README.md has layout and
// contract).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cpu/kv_type.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

struct CpuOptions {
  unsigned threads = 0;        // 0: as many as processors
  std::uint64_t kv_bytes = 0;  // KV pool; 0: default_kv_bytes()
  KvType kv_type = KvType::kF16;
  // Measure which sizes of work this machine is fastest with (cpu/autotuner.h), once: they are kept
  // under ~/.cache/espalier/tuning. Without a place to keep them nothing is measured.
  bool tune = false;
  std::string isa;  // "scalar", "avx2", "avx512vnni"; empty: $ESPALIER_ISA, else the best
};

/// What a model takes of memory, beside a few MB of scratch.
struct CpuMemory {
  std::uint64_t weights = 0;      // panels, and matrices that are used where the file has them
  std::uint64_t keys_values = 0;  // the KV pages of one sequence
};

class CpuBackend {
 public:
  static constexpr unsigned kMostThreads = 256;

  /// With one sequence of `context` tokens. The embedding is looked up in the mapped file, row by
  /// row, and is not counted.
  [[nodiscard]] static CpuMemory memory(const Model& model, std::uint32_t context, KvType kv_type);
  /// Makes panels from the model's weights (O(file size), in parallel) and reserves the KV pool.
  /// kInvalid / kUnsupported: an instruction set that is unknown or missing; too many threads.
  /// kLimit: a KV pool smaller than a page. kExhausted: memory or threads.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> create(std::shared_ptr<const Model> model,
                                                               const CpuOptions& options,
                                                               System& system);
  /// The KV pool where nobody asked for a size: the smaller of 4 GiB and a quarter of memory.
  [[nodiscard]] static std::uint64_t default_kv_bytes(System& system);
};

}  // namespace espalier::runtime
