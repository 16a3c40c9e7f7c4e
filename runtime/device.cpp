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
  if (options.numerics != Numerics::kExact) {
    return fail(ErrorCode::kUnsupported, std::string("numerics ") +
                                             numerics_name(options.numerics) +
                                             ": the CPU, where the model would run, computes "
                                             "exact alone; a CUDA device computes the others");
  }
  CpuOptions cpu;
  cpu.threads = threads_of(options, system);
  cpu.kv_bytes = options.kv_bytes;
  cpu.kv_type = options.kv_type;
  cpu.tune = true;
  ESP_ASSIGN(auto backend, CpuBackend::create(model, cpu, system));
  return MadeBackend{std::move(backend), "cpu", {Device::Kind::kCpu, {0}}, {}, true};
}

#ifdef ESPALIER_CUDA

CudaOptions cuda_options(const BackendOptions& options, std::vector<int> devices, System& system) {
  CudaOptions out;
  out.devices = std::move(devices);
  out.tensor_parallel = options.tensor_parallel;
  out.threads = threads_of(options, system);
  out.kv_bytes = options.kv_bytes;
  out.kv_type = options.kv_type;
  out.numerics = options.numerics;
  out.fp8_calibration = options.fp8_calibration;
#ifndef ESPALIER_HOST_CUDA  // where times say nothing of a device
  out.tune = true;
#endif
  return out;
}

// "cuda:0,1 (NVIDIA H200)"; of several, the name of each kind.
std::string name_of(const std::vector<int>& numbers,
                    const std::vector<cuda::DeviceFacts>& devices) {
  std::string out = "cuda:";
  std::vector<std::string> kinds;
  for (const int number : numbers) {
    if (out.back() != ':') out += ",";
    out += std::to_string(number);
    for (const cuda::DeviceFacts& device : devices) {
      if (device.number != number) continue;
      if (std::find(kinds.begin(), kinds.end(), device.name) == kinds.end()) {
        kinds.push_back(device.name);
      }
    }
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) out += (i == 0 ? " (" : ", ") + kinds[i];
  return kinds.empty() ? out : out + ")";
}

// As `cuda` says, which is settled and of which `layers` are asked for or fit.
Result<MadeBackend> on_cuda(const std::shared_ptr<const Model>& model,
                            const BackendOptions& options, const CudaOptions& cuda,
                            const std::vector<cuda::DeviceFacts>& devices, System& system) {
  ESP_ASSIGN(auto backend, CudaBackend::create(model, cuda, system));
  const std::string name = name_of(cuda.devices, devices);
  MadeBackend made{std::move(backend), name, {Device::Kind::kCuda, cuda.devices}, {}, true};
  const std::size_t count = cuda.devices.size();
  if (count > 1) {
    made.whole = false;
    if (cuda.tensor_parallel > 1) {
      made.device += ", " + std::to_string(cuda.tensor_parallel) + " share each layer";
    }
    if (count > cuda.tensor_parallel) {
      made.device += ", " + std::to_string(count / cuda.tensor_parallel) + " stages of layers";
    }
    made.device += cuda.links == CudaOptions::Links::kNccl ? ", NCCL" : ", copies between them";
  }
  const std::uint32_t all = model->shape().layers;
  if (cuda.layers < all) {
    const std::string of_all =
        std::to_string(cuda.layers) + " of " + std::to_string(all) + " layers";
    made.whole = false;
    made.device += ", the last " + of_all;
    if (!options.gpu_layers) {
      made.note = name + (count > 1 ? " have" : " has") + " memory for the last " + of_all +
                  "; the first " + std::to_string(all - cuda.layers) +
                  " are on the CPU (--gpu-layers says otherwise)";
    }
  }
  return made;
}

// The devices asked for, with the layers asked for or as many as they take.
Result<MadeBackend> on_named(const std::shared_ptr<const Model>& model,
                             const BackendOptions& options,
                             const std::vector<cuda::DeviceFacts>& devices, System& system) {
  CudaOptions cuda = cuda_options(options, options.device.numbers, system);
  cuda.layers = options.gpu_layers.value_or(model->shape().layers);
  ESP_ASSIGN(cuda, CudaBackend::settle(*model, std::move(cuda), system));
  const bool there = std::all_of(cuda.devices.begin(), cuda.devices.end(), [&](int number) {
    return std::any_of(devices.begin(), devices.end(),
                       [&](const cuda::DeviceFacts& it) { return it.number == number; });
  });
  // What is not there or cannot be shared is refused by create().
  if (options.gpu_layers || !there || !cuda::check_shape(model->shape())) {
    return on_cuda(model, options, cuda, devices, system);
  }
  ESP_ASSIGN(cuda.layers, CudaBackend::layers_that_fit(model, cuda));
  if (cuda.layers == 0) {
    std::uint64_t least = UINT64_MAX;
    for (const int number : cuda.devices) {
      ESP_TRY(cuda::use_device(number));
      ESP_ASSIGN(const std::uint64_t free, cuda::free_bytes());
      least = std::min(least, free);
    }
    return fail(ErrorCode::kExhausted,
                name_of(cuda.devices, devices) + ": " + std::to_string(least >> 20) +
                    " MiB are free, which one layer of the model and its head do not leave room "
                    "in for keys and values and scratch; --gpu-layers says how many it has to "
                    "take, 0 leaves all to the CPU");
  }
  return on_cuda(model, options, cuda, devices, system);
}

// The first device that takes all, else the one that takes most; the CPU where none takes any. What
// was free when that was reckoned another process may have by now: then the next one, and the CPU.
Result<MadeBackend> on_any(const std::shared_ptr<const Model>& model, const BackendOptions& options,
                           const std::vector<cuda::DeviceFacts>& devices, System& system) {
  const std::uint32_t all = model->shape().layers;
  const auto settled = [&](const cuda::DeviceFacts& device) {
    return CudaBackend::settle(*model, cuda_options(options, {device.number}, system), system);
  };
  if (options.gpu_layers) {
    ESP_ASSIGN(CudaOptions cuda, settled(devices[0]));
    cuda.layers = *options.gpu_layers;
    return on_cuda(model, options, cuda, devices, system);
  }
  if (!cuda::check_shape(model->shape())) return on_cpu(model, options, system);
  std::vector<cuda::DeviceFacts> left = devices;
  std::optional<Error> lacking;
  std::string note;
  for (;;) {
    CudaOptions best;
    for (const cuda::DeviceFacts& device : left) {
      ESP_ASSIGN(CudaOptions cuda, settled(device));
      const auto layers = CudaBackend::layers_that_fit(model, cuda);
      if (!layers || *layers <= best.layers) continue;
      best = std::move(cuda);
      best.layers = *layers;
      if (best.layers == all) break;
    }
    auto made = best.layers == 0 ? on_cpu(model, options, system)
                                 : on_cuda(model, options, best, devices, system);
    if (made) {
      if (!note.empty())
        made->note = note + made->device + (made->note.empty() ? "" : "; ") + made->note;
      return made;
    }
    if (best.layers == 0) return lacking ? fail(std::move(*lacking)) : std::move(made);
    if (made.error().code != ErrorCode::kExhausted) return made;
    lacking = std::move(made).error();
    note = name_of(best.devices, devices) +
           " has no longer the memory that it had: " + lacking->message + "; the model is on ";
    std::erase_if(left, [&](const auto& it) { return it.number == best.devices[0]; });
  }
}

#endif

// "0,2": numbers from 0, each once.
std::optional<std::vector<int>> device_numbers(std::string_view text) {
  std::vector<int> out;
  for (const char* at = text.data();; ++at) {
    int number = 0;
    const auto [end, error] = std::from_chars(at, text.data() + text.size(), number);
    if (error != std::errc() || number < 0 ||
        std::find(out.begin(), out.end(), number) != out.end()) {
      return std::nullopt;
    }
    out.push_back(number);
    at = end;
    if (at == text.data() + text.size()) return out;
    if (*at != ',') return std::nullopt;
  }
}

}  // namespace

Result<Device> Device::parse(std::string_view text) {
  if (text == "auto") return Device{Kind::kAuto, {0}};
  if (text == "cpu") return Device{Kind::kCpu, {0}};
  if (text == "cuda") return Device{Kind::kCuda, {0}};
  if (constexpr std::string_view kPrefix = "cuda:"; text.starts_with(kPrefix)) {
    if (const auto numbers = device_numbers(text.substr(kPrefix.size()))) {
      return Device{Kind::kCuda, *numbers};
    }
  }
  return fail(ErrorCode::kInvalid,
              "device '" + std::string(text) +
                  "': there are auto, cpu, cuda, cuda:N and cuda:N,M,... (N from 0, each once)");
}

unsigned threads_of(const BackendOptions& options, System& system) {
  const unsigned most = std::min(system.processors(), CpuBackend::kMostThreads);
  return options.threads == 0 ? most : std::min(options.threads, most);
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
  const std::size_t named_devices =
      options.device.kind == Device::Kind::kCuda ? options.device.numbers.size() : 1;
  if (options.tensor_parallel > named_devices) {
    return fail(ErrorCode::kInvalid,
                std::to_string(options.tensor_parallel) + " devices a layer: " +
                    (named_devices == 1 ? "one device is"
                                        : std::to_string(named_devices) + " devices are") +
                    " asked for");
  }
  if (options.fp8_calibration != nullptr) {
    if (options.numerics != Numerics::kFp8) {
      return fail(ErrorCode::kInvalid, std::string("numerics ") + numerics_name(options.numerics) +
                                           ": a calibration is for numerics fp8");
    }
    ESP_TRY(options.fp8_calibration->check(*model));
  }
  if (options.gpu_layers == 0U) return on_cpu(model, options, system);
  if (options.device.kind == Device::Kind::kCpu) {
    if (!options.gpu_layers) return on_cpu(model, options, system);
    return fail(ErrorCode::kInvalid, asked + ": the device asked for is the CPU, which takes 0");
  }
  const bool named = options.device.kind == Device::Kind::kCuda;
#ifdef ESPALIER_CUDA
  const auto devices = cuda::devices();
  if (!devices && (named || options.gpu_layers)) return fail(devices.error());
  if (devices && named) return on_named(model, options, *devices, system);
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

std::vector<int> devices_that_take(const std::shared_ptr<const Model>& model,
                                   const BackendOptions& options, System& system) {
  std::vector<int> out;
#ifdef ESPALIER_CUDA
  const auto devices = cuda::devices();
  if (!devices || !cuda::check_shape(model->shape())) return out;
  const std::uint32_t wanted = options.gpu_layers.value_or(model->shape().layers);
  for (const cuda::DeviceFacts& device : *devices) {
    const auto cuda =
        CudaBackend::settle(*model, cuda_options(options, {device.number}, system), system);
    if (!cuda) continue;
    const auto layers = CudaBackend::layers_that_fit(model, *cuda);
    if (layers && *layers >= wanted) out.push_back(device.number);
  }
#else
  (void)model, (void)options, (void)system;
#endif
  return out;
}

Result<DeviceLimits> measure_limits(const MadeBackend& made, const Model& model,
                                    const BackendOptions& options, System& system) {
  DeviceLimits out;
#ifdef ESPALIER_CUDA
  if (made.on.kind == Device::Kind::kCuda) {
    std::optional<cuda::CublasLtFunctions> tensor;
    if (options.numerics != Numerics::kExact) {
      ESP_ASSIGN(tensor, cuda::load_cublaslt(CudaBackend::cublaslt_library(system)));
    }
    const bool fp8 = options.numerics == Numerics::kFp8;
    ESP_ASSIGN(const cuda::MeasuredLimits limits,
               cuda::measure_limits(made.on.numbers[0], tensor ? &*tensor : nullptr,
                                    fp8 ? cuda::WeightFormat::kE4M3 : cuda::WeightFormat::kBF16));
    out.arithmetic = limits.architecture;
    out.products_per_second = made.whole ? limits.products_per_second : 0;
    if (tensor) out.multiplied = fp8 ? "e4m3" : "bf16";
    if (made.whole) out.bytes_per_second = limits.bytes_per_second;
    const Fp8Products products = products_of(options.fp8_calibration);
    out.weight_bytes = cuda::DeviceWeights::bytes(model, fp8 ? &products : nullptr);
    return out;
  }
#endif
  (void)made;
  out.weight_bytes = CpuBackend::memory(model, 0, options.kv_type).weights;
  ESP_ASSIGN(const cpu::MachineLimits limits,
             cpu::measure_limits(threads_of(options, system),
                                 system.environment("ESPALIER_ISA").value_or(""), out.weight_bytes,
                                 system));
  out.arithmetic = limits.isa;
  out.bytes_per_second = limits.bytes_per_second;
  out.products_per_second = limits.products_per_second;
  return out;
}

}  // namespace espalier::runtime
