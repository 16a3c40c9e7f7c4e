// The CUDA backend: Backend on an NVIDIA device (README.md has layout and contract).
//
// A model that is larger than the device has its last layers there and the first ones on the CPU:
// so the residual stream goes up where embeddings would, in the same copy, and the head, masks and
// choices stay on the device. Each layer's K and V lie where the layer is; a page's bytes are those
// of a pool in one place.
#pragma once

#include <cstdint>
#include <memory>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

struct CudaOptions {
  int device = 0;        // its number, as CUDA counts
  unsigned threads = 0;  // of the host: loading and sampling; 0: as many as processors
  // KV pool, of all layers; 0: half of what the weights leave, at most 16 GiB, on the device, and
  // on the CPU, where it has layers, no more than its own default.
  std::uint64_t kv_bytes = 0;
  std::uint32_t layers = 0;  // on the device, the model's last ones; 0: all
};

class CudaBackend {
 public:
  /// Lays the model's weights out on the device and reserves the KV pool.
  /// kInvalid: more layers than the model has. kUnsupported: no driver, no such device, one too
  /// old. kLimit: a KV pool smaller than a page.
  /// kExhausted: memory of the device or the host, or threads.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> create(std::shared_ptr<const Model> model,
                                                               const CudaOptions& options,
                                                               System& system);

  /// How many of a model's last layers a device has memory for now, with its head, their part of
  /// the KV pool and a GiB of scratch; the default pool counts as half of that GiB.
  [[nodiscard]] static Result<std::uint32_t> layers_that_fit(
      const std::shared_ptr<const Model>& model, int device, std::uint64_t kv_bytes);
};

}  // namespace espalier::runtime
