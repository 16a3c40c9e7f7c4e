#include "runtime/device.h"

#include <charconv>
#include <utility>

#include "runtime/cpu/cpu_backend.h"
#include "runtime/cpu/limits.h"
#ifdef ESPALIER_CUDA
#include "runtime/cuda/cuda_backend.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/limits.h"
#include "runtime/cuda/weights.h"
#endif

namespace espalier::runtime {
namespace {

Result<MadeBackend> on_cpu(const std::shared_ptr<const Model>& model, const BackendOptions& options,
                           System& system) {
  CpuOptions cpu;
  cpu.threads = options.threads;
  cpu.kv_bytes = options.kv_bytes;
  cpu.kv_type = options.kv_type;
  cpu.tune = true;
  ESP_ASSIGN(auto backend, CpuBackend::create(model, cpu, system));
  return MadeBackend{std::move(backend), "cpu", {Device::Kind::kCpu, 0}};
}

#ifdef ESPALIER_CUDA

Result<MadeBackend> on_cuda(const std::shared_ptr<const Model>& model,
                            const BackendOptions& options, const cuda::DeviceFacts& device,
                            System& system) {
  CudaOptions cuda;
  cuda.device = device.number;
  cuda.threads = options.threads;
  cuda.kv_bytes = options.kv_bytes;
  ESP_ASSIGN(auto backend, CudaBackend::create(model, cuda, system));
  return MadeBackend{std::move(backend),
                     "cuda:" + std::to_string(device.number) + " (" + device.name + ")",
                     {Device::Kind::kCuda, device.number}};
}

// Whether the weights fit, with room for a pool and scratch.
bool takes(const cuda::DeviceFacts& device, const Model& model) {
  constexpr std::uint64_t kRoom = std::uint64_t{1} << 30;
  if (!cuda::check_shape(model.shape()) || !cuda::use_device(device.number)) return false;
  const auto free = cuda::free_bytes();
  return free && *free >= cuda::DeviceWeights::bytes(model) + kRoom;
}

#endif

}  // namespace

Result<Device> Device::parse(std::string_view text) {
  if (text == "auto") return Device{Kind::kAuto, 0};
  if (text == "cpu") return Device{Kind::kCpu, 0};
  if (text == "cuda") return Device{Kind::kCuda, 0};
  if (constexpr std::string_view kPrefix = "cuda:"; text.starts_with(kPrefix)) {
    const std::string_view digits = text.substr(kPrefix.size());
    int number = 0;
    const auto [end, error] = std::from_chars(digits.begin(), digits.end(), number);
    if (error == std::errc() && end == digits.end() && number >= 0) {
      return Device{Kind::kCuda, number};
    }
  }
  return fail(ErrorCode::kInvalid, "device '" + std::string(text) +
                                       "': there are auto, cpu, cuda and cuda:N (N from 0)");
}

Result<KvType> parse_kv_type(std::string_view text) {
  for (const KvType type : {KvType::kF16, KvType::kBF16, KvType::kQ8}) {
    if (text == kv_type_name(type)) return type;
  }
  return fail(ErrorCode::kInvalid,
              "KV type '" + std::string(text) + "': there are f16, bf16 and q8");
}

Result<MadeBackend> create_backend(const std::shared_ptr<const Model>& model,
                                   const BackendOptions& options, System& system) {
  if (options.device.kind == Device::Kind::kCpu) return on_cpu(model, options, system);
  if (options.kv_type != KvType::kF16) {
    if (options.device.kind == Device::Kind::kAuto) return on_cpu(model, options, system);
    return fail(ErrorCode::kUnsupported, std::string("KV type ") + kv_type_name(options.kv_type) +
                                             ": CUDA devices keep K and V in f16 alone; the CPU "
                                             "takes all types");
  }
#ifdef ESPALIER_CUDA
  const auto devices = cuda::devices();
  if (options.device.kind == Device::Kind::kCuda) {
    if (!devices) return fail(devices.error());
    cuda::DeviceFacts asked;  // refused where there is none of its number
    asked.number = options.device.number;
    for (const cuda::DeviceFacts& device : *devices) {
      if (device.number == asked.number) asked = device;
    }
    return on_cuda(model, options, asked, system);
  }
  if (devices) {
    for (const cuda::DeviceFacts& device : *devices) {
      if (takes(device, *model)) return on_cuda(model, options, device, system);
    }
  }
#else
  if (options.device.kind == Device::Kind::kCuda) {
    return fail(ErrorCode::kUnsupported,
                "this espalier was built without CUDA: its build found no CUDA Toolkit of version "
                "12 or later");
  }
#endif
  return on_cpu(model, options, system);
}

Result<DeviceLimits> measure_limits(const MadeBackend& made, const Model& model,
                                    const BackendOptions& options, System& system) {
  DeviceLimits out;
#ifdef ESPALIER_CUDA
  if (made.on.kind == Device::Kind::kCuda) {
    ESP_ASSIGN(const cuda::MeasuredLimits limits, cuda::measure_limits(made.on.number));
    out.arithmetic = limits.architecture;
    out.bytes_per_second = limits.bytes_per_second;
    out.weight_bytes = cuda::DeviceWeights::bytes(model);
    return out;
  }
#endif
  (void)made;
  out.weight_bytes = CpuBackend::memory(model, 0, options.kv_type).weights;
  ESP_ASSIGN(const cpu::MachineLimits limits,
             cpu::measure_limits(options.threads, system.environment("ESPALIER_ISA").value_or(""),
                                 out.weight_bytes, system));
  out.arithmetic = limits.isa;
  out.bytes_per_second = limits.bytes_per_second;
  out.products_per_second = limits.products_per_second;
  return out;
}

}  // namespace espalier::runtime
