// Where a model runs: the choice of a backend, made in one place for all who load models.
//
// Every backend computes the same numbers (cpu/README.md), so the choice is one of speed alone;
// unless another version of the numerics is asked for by name.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/cpu/kv_type.h"
#include "runtime/fp8_calibration.h"
#include "runtime/model/model.h"
#include "runtime/numerics.h"

namespace espalier::runtime {

/// "auto": the first CUDA device that can be used and takes the weights; else the one that takes
/// most of the layers, the others on the CPU; else the CPU; and so on where one that was taken
/// lacks memory after all. "cpu"; "cuda" (device 0), "cuda:N", or "cuda:N,M,…": several devices for
/// one model.
struct Device {
  enum class Kind : std::uint8_t { kAuto, kCpu, kCuda };
  Kind kind = Kind::kAuto;
  std::vector<int> numbers = {0};

  /// kInvalid, with what there is.
  [[nodiscard]] static Result<Device> parse(std::string_view text);
};

struct BackendOptions {
  Device device;
  unsigned threads = 0;        // 0: as many as processors, which are the most (threads_of)
  std::uint64_t kv_bytes = 0;  // KV pool; 0: the device's default (cpu_backend.h, cuda_backend.h)
  KvType kv_type = KvType::kF16;
  Numerics numerics = Numerics::kExact;
  std::shared_ptr<const Fp8Calibration> fp8_calibration = {};  // of kFp8; null: all in 8 bits
  // How many of the model's last layers the GPU has; none said: as many as its memory takes. 0: the
  // CPU has all, whatever the device.
  std::optional<std::uint32_t> gpu_layers;
  // Of several devices, how many share each layer; the rest deals the layers out. 0: as many as the
  // model lets.
  std::uint32_t tensor_parallel = 0;
};

/// The threads that a backend is made with: those asked for, but no more than this process has
/// processors, since threads that take turns on one only wait for each other, nor than
/// CpuBackend::kMostThreads.
[[nodiscard]] unsigned threads_of(const BackendOptions& options, System& system);

/// "f16", "bf16" or "q8"; kInvalid, with what there is.
[[nodiscard]] Result<KvType> parse_kv_type(std::string_view text);

/// What a backend was made for: "cpu", "cuda:0 (NVIDIA H200)", "cuda:0 (NVIDIA H200), the last 20
/// of 32 layers", "cuda:0,1 (NVIDIA H200), 2 share each layer, NCCL".
struct MadeBackend {
  std::unique_ptr<Backend> backend;
  std::string device;
  Device on;  // never kAuto
  // Where layers were dealt to two places that nobody named, or "auto" found less memory than it
  // had reckoned with: where the model is, and why.
  std::string note;
  bool whole = true;  // in one place
};

/// kInvalid where more layers are asked for than the model has, or some for the CPU's device, or
/// more devices a layer than were named; or a calibration of another model or for other numerics.
/// kUnsupported where a device was asked for that this build or this machine does not have, or one
/// that does not keep K and V in the type asked for; or where numerics are asked for that the
/// device, or a CPU that the model would run on, does not compute. kExhausted where the device that
/// was asked for takes not one layer. Else as the backends' own create().
[[nodiscard]] Result<MadeBackend> create_backend(const std::shared_ptr<const Model>& model,
                                                 const BackendOptions& options, System& system);

/// The numbers of the CUDA devices that can be used and each take the whole model alone, or the
/// layers asked for where some are. None where there are none, or the model's shape suits none.
[[nodiscard]] std::vector<int> devices_that_take(const std::shared_ptr<const Model>& model,
                                                 const BackendOptions& options, System& system);

/// What a device can do at most, measured, and what it reads of a model in each step. Of a model in
/// two places there is no one rate: 0.
struct DeviceLimits {
  std::string arithmetic;  // the kernels' name: "avx512vnni", "sm_90"
  double bytes_per_second = 0;
  double products_per_second = 0;   // 0: not measured
  const char* multiplied = "int8";  // what of: "int8" codes, "bf16" numbers, "e4m3" numbers
  std::uint64_t weight_bytes = 0;
};

/// Takes some tenths of a second, and memory as much as the weights.
[[nodiscard]] Result<DeviceLimits> measure_limits(const MadeBackend& made, const Model& model,
                                                  const BackendOptions& options, System& system);

}  // namespace espalier::runtime
