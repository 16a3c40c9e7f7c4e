// The CUDA backend: Backend on one NVIDIA device or several (README.md has layout and contract).
//
// A model that is larger than the devices has its last layers there and the first ones on the CPU:
// so the residual stream goes up where embeddings would, in the same copy, and the head, masks and
// choices stay on the device. Several devices share each layer, or have the layers in turn, or
// both. Each layer's K and V lie where the layer is, and of a shared one each head's where the head
// is; a page's bytes are those of a pool in one place.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cpu/kv_type.h"
#include "runtime/cuda/cublaslt.h"
#include "runtime/cuda/device_watch.h"
#include "runtime/cuda/stopwatch.h"
#include "runtime/fp8_calibration.h"
#include "runtime/model/model.h"
#include "runtime/numerics.h"

namespace espalier::runtime {

struct CudaOptions {
  /// How devices give each other what they have computed (cuda/communicator.h).
  enum class Links : std::uint8_t {
    kAuto,     // NCCL where its library is ($ESPALIER_NCCL, "none": nowhere) and no device is twice
    kThreads,  // copies, one call at a time
    kNccl,
  };

  std::vector<int> devices = {0};     // their numbers, as CUDA counts
  std::uint32_t tensor_parallel = 0;  // so many share each layer; 0: as many as the model lets
  Links links = Links::kAuto;
  unsigned threads = 0;  // of the host: loading and sampling; 0: as many as processors
  // KV pool, of all layers; 0: half of what the weights leave, at most 16 GiB, on each device, and
  // on the CPU, where it has layers, no more than its own default.
  std::uint64_t kv_bytes = 0;
  KvType kv_type = KvType::kF16;
  // Of what runs on the devices; layers on the CPU are exact.
  Numerics numerics = Numerics::kExact;
  std::shared_ptr<const Fp8Calibration> fp8_calibration = {};  // of kFp8; null: there is none
  cuda::FindCublasLt find_cublaslt = cuda::load_cublaslt;  // called for others than kExact alone
  std::uint32_t layers = 0;  // on the devices, the model's last ones; 0: all
  // Measure which sizes of work the devices are fastest with (cuda/autotuner.h), once: they are
  // kept under ~/.cache/espalier/tuning. Without a place to keep them nothing is measured.
  bool tune = false;
  cuda::Stopwatch stopwatch = cuda::time_on_device;  // of what is measured
  // Of the device that has the head, told of each step's launches; null: nobody watches.
  std::shared_ptr<cuda::DeviceWatch> watch = {};
};

class CudaBackend {
 public:
  /// Lays the model's weights out on the devices and reserves the KV pool.
  /// kInvalid: more layers than the model has, or fewer than there are stages; a number of devices
  /// that cannot be dealt out. kUnsupported: no driver, no such device, one too old; a model that
  /// so many devices cannot share; no NCCL or cuBLASLt where it was asked for, no 8-bit floats.
  /// kLimit: a KV pool smaller than a page. kExhausted: memory of a device or the host, or threads.
  [[nodiscard]] static Result<std::unique_ptr<Backend>> create(std::shared_ptr<const Model> model,
                                                               const CudaOptions& options,
                                                               System& system);

  /// The options with tensor_parallel and links chosen. kInvalid, kUnsupported as create().
  [[nodiscard]] static Result<CudaOptions> settle(const Model& model, CudaOptions options,
                                                  System& system);

  /// The library that numerics `tensor` and `fp8` load: $ESPALIER_CUBLASLT, or that of this build's
  /// CUDA.
  [[nodiscard]] static std::string cublaslt_library(System& system);

  /// How many of a model's last layers the devices have memory for now, with the head, their part
  /// of the KV pool and a GiB of scratch each; the default pool counts as half of that GiB.
  /// Embeddings beside a head of their own are not counted: create() puts them on the device where
  /// the scratch stays whole, else the host looks them up. Of settled options; their `layers` are
  /// not looked at.
  [[nodiscard]] static Result<std::uint32_t> layers_that_fit(
      const std::shared_ptr<const Model>& model, const CudaOptions& options);
};

}  // namespace espalier::runtime
