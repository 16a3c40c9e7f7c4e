#include "runtime/device.h"

#include <algorithm>
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
  return MadeBackend{std::move(backend), "cpu", {Device::Kind::kCpu, 0}, {}, true};
}

#ifdef ESPALIER_CUDA

std::string name_of(const cuda::DeviceFacts& device) {
  return "cuda:" + std::to_string(device.number) + " (" + device.name + ")";
}

// The model's last `layers` on the device.
Result<MadeBackend> on_cuda(const std::shared_ptr<const Model>& model,
                            const BackendOptions& options, const cuda::DeviceFacts& device,
                            std::uint32_t layers, System& system) {
  CudaOptions cuda;
  cuda.device = device.number;
  cuda.threads = options.threads;
  cuda.kv_bytes = options.kv_bytes;
  cuda.layers = layers;
  ESP_ASSIGN(auto backend, CudaBackend::create(model, cuda, system));
  MadeBackend made{
      std::move(backend), name_of(device), {Device::Kind::kCuda, device.number}, {}, true};
  const std::uint32_t all = model->shape().layers;
  if (layers < all) {
    const std::string of_all = std::to_string(layers) + " of " + std::to_string(all) + " layers";
    made.whole = false;
    made.device += ", the last " + of_all;
    if (!options.gpu_layers) {
      made.note = name_of(device) + " has memory for the last " + of_all + "; the first " +
                  std::to_string(all - layers) + " are on the CPU (--gpu-layers says otherwise)";
    }
  }
  return made;
}

// The device asked for, with the layers asked for or as many as it takes.
Result<MadeBackend> on_one(const std::shared_ptr<const Model>& model, const BackendOptions& options,
                           const std::vector<cuda::DeviceFacts>& devices, System& system) {
  cuda::DeviceFacts asked;  // refused where there is none of its number
  asked.number = options.device.number;
  bool found = false;
  for (const cuda::DeviceFacts& device : devices) {
    if (device.number != asked.number) continue;
    asked = device;
    found = true;
  }
  if (options.gpu_layers || !found) {
    return on_cuda(model, options, asked, options.gpu_layers.value_or(model->shape().layers),
                   system);
  }
  ESP_TRY(cuda::check_shape(model->shape()));
  ESP_ASSIGN(const std::uint32_t layers,
             CudaBackend::layers_that_fit(model, asked.number, options.kv_bytes));
  if (layers == 0) {
    ESP_ASSIGN(const std::uint64_t free, cuda::free_bytes());
    return fail(ErrorCode::kExhausted,
                name_of(asked) + ": " + std::to_string(free >> 20) +
                    " MiB are free, which one layer of the model and its head do not leave room "
                    "in for keys and values and scratch; --gpu-layers says how many it has to "
                    "take, 0 leaves all to the CPU");
  }
  return on_cuda(model, options, asked, layers, system);
}

// The first device that takes all, else the one that takes most; the CPU where none takes any.
Result<MadeBackend> on_any(const std::shared_ptr<const Model>& model, const BackendOptions& options,
                           const std::vector<cuda::DeviceFacts>& devices, System& system) {
  const std::uint32_t all = model->shape().layers;
  if (options.gpu_layers) return on_cuda(model, options, devices[0], *options.gpu_layers, system);
  if (!cuda::check_shape(model->shape())) return on_cpu(model, options, system);
  const cuda::DeviceFacts* best = nullptr;
  std::uint32_t most = 0;
  for (const cuda::DeviceFacts& device : devices) {
    const auto layers = CudaBackend::layers_that_fit(model, device.number, options.kv_bytes);
    if (!layers || *layers <= most) continue;
    best = &device;
    most = *layers;
    if (most == all) break;
  }
  if (best == nullptr) return on_cpu(model, options, system);
  return on_cuda(model, options, *best, most, system);
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
  const std::uint32_t gpu_layers = options.gpu_layers.value_or(0);
  const std::string asked = "GPU layers " + std::to_string(gpu_layers);
  if (gpu_layers > model->shape().layers) {
    return fail(ErrorCode::kInvalid,
                asked + ": the model has " + std::to_string(model->shape().layers) + " layers");
  }
  if (options.gpu_layers == 0U) return on_cpu(model, options, system);
  if (options.device.kind == Device::Kind::kCpu) {
    if (!options.gpu_layers) return on_cpu(model, options, system);
    return fail(ErrorCode::kInvalid, asked + ": the device asked for is the CPU, which takes 0");
  }
  if (options.kv_type != KvType::kF16) {
    if (options.device.kind == Device::Kind::kAuto && !options.gpu_layers) {
      return on_cpu(model, options, system);
    }
    return fail(ErrorCode::kUnsupported, std::string("KV type ") + kv_type_name(options.kv_type) +
                                             ": CUDA devices keep K and V in f16 alone; the CPU "
                                             "takes all types");
  }
  const bool named = options.device.kind == Device::Kind::kCuda;
#ifdef ESPALIER_CUDA
  const auto devices = cuda::devices();
  if (!devices && (named || options.gpu_layers)) return fail(devices.error());
  if (devices && named) return on_one(model, options, *devices, system);
  if (devices) return on_any(model, options, *devices, system);
#else
  if (named || options.gpu_layers) {
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
    if (made.whole) out.bytes_per_second = limits.bytes_per_second;
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
