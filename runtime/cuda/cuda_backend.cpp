#include "runtime/cuda/cuda_backend.h"

#include <algorithm>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/cpu/cpu_backend.h"
#include "runtime/cpu/isa.h"
#include "runtime/cpu/kv_pool.h"
#include "runtime/cpu/worker_pool.h"
#include "runtime/cuda/autotuner.h"
#include "runtime/cuda/device.h"
#include "runtime/cuda/device_backend.h"
#include "runtime/cuda/device_choices.h"
#include "runtime/cuda/forward.h"
#include "runtime/cuda/host_layers.h"
#include "runtime/cuda/nccl_communicator.h"
#include "runtime/cuda/network.h"
#include "runtime/cuda/rank.h"
#include "runtime/cuda/rank_threads.h"
#include "runtime/cuda/thread_communicator.h"
#include "runtime/cuda/weights.h"
#include "runtime/model/model_part.h"

namespace espalier::runtime {
namespace {

using cuda::MakeGroup;
using cuda::Network;
using cuda::Part;
using cuda::Rank;

constexpr unsigned kMostThreads = 256;
constexpr std::uint64_t kMostDefaultKv = std::uint64_t{16} << 30;
// What layers_that_fit() leaves for scratch and, where nobody asked for a size, the pool.
// Embeddings take none of it: a layer on the CPU costs more than looking them up there, so it is
// not they that are counted.
constexpr std::uint64_t kRoom = std::uint64_t{1} << 30;

std::uint32_t stages_of(const CudaOptions& options) {
  return static_cast<std::uint32_t>(options.devices.size()) / options.tensor_parallel;
}

// What each rank has of the model's last `layers`, stage by stage.
Result<std::vector<Part>> deal(const ModelShape& shape, const CudaOptions& options,
                               std::uint32_t layers) {
  const std::uint32_t stages = stages_of(options);
  if (layers < stages) {
    return fail(ErrorCode::kInvalid, std::to_string(layers) + " layers on the devices, which are " +
                                         std::to_string(stages) +
                                         " stages: each needs one at least");
  }
  ESP_ASSIGN(const Shares shares, share_layers(shape, options.tensor_parallel));
  const std::uint32_t before = shape.layers - layers;
  std::vector<Part> out;
  for (std::uint32_t s = 0; s < stages; ++s) {
    const std::uint32_t first = layers * s / stages;
    const std::uint32_t count = layers * (s + 1) / stages - first;
    for (std::uint32_t r = 0; r < options.tensor_parallel; ++r) {
      out.push_back({{before + first, count}, shares, r});
    }
  }
  return out;
}

// Pages of a pool: of the bytes asked for of all layers, else as many as every device has room for,
// and the host with `before` (null: it has no layers).
Result<std::uint32_t> pool_pages(const Model& whole,
                                 const std::vector<std::unique_ptr<Rank>>& ranks,
                                 const Model* before, const CudaOptions& options, System& system) {
  const KvType type = options.kv_type;
  if (options.kv_bytes != 0) {
    return cpu::KvPool::pages_in(whole.shape(), type, options.kv_bytes);
  }
  std::uint64_t pages = UINT32_MAX - 1;
  for (const auto& rank : ranks) {
    ESP_TRY(rank->enter());
    ESP_ASSIGN(const std::uint64_t free, cuda::free_bytes());
    const std::uint64_t room =
        std::min(kMostDefaultKv, free > cuda::kSpare ? (free - cuda::kSpare) / 2 : 0);
    pages = std::min(pages, room / rank->page_bytes());
  }
  if (before != nullptr) {
    ESP_ASSIGN(const std::uint32_t of_host,
               cpu::KvPool::pages_in(before->shape(), type, CpuBackend::default_kv_bytes(system)));
    pages = std::min<std::uint64_t>(pages, of_host);
  }
  // The error, where not one fits.
  return cpu::KvPool::pages_in(whole.shape(), type,
                               pages * cpu::KvPool::page_bytes(whole.shape(), type));
}

std::string nccl_library(System& system) {
  return system.environment("ESPALIER_NCCL").value_or("libnccl.so.2");
}

Result<MakeGroup> group_maker(const CudaOptions& options, System& system) {
  if (options.links != CudaOptions::Links::kNccl) {
    return [](const std::vector<int>& devices) -> Result<cuda::Group> {
      return cuda::thread_group(static_cast<std::uint32_t>(devices.size()));
    };
  }
  ESP_ASSIGN(const cuda::NcclFunctions nccl, cuda::load_nccl(nccl_library(system)));
  return [nccl](const std::vector<int>& devices) { return cuda::nccl_group(nccl, devices); };
}

}  // namespace

std::string CudaBackend::cublaslt_library(System& system) {
  return system.environment("ESPALIER_CUBLASLT").value_or(cuda::cublaslt_library());
}

Result<CudaOptions> CudaBackend::settle(const Model& model, CudaOptions options, System& system) {
  const std::size_t count = options.devices.size();
  ESP_CHECK(count > 0);
  const auto fits = [&](std::uint32_t tensor) {
    const std::uint64_t layers = options.layers == 0 ? model.shape().layers : options.layers;
    return tensor <= cuda::kMostRanks && count % tensor == 0 && count / tensor <= layers &&
           share_layers(model.shape(), tensor).has_value();
  };
  if (options.tensor_parallel == 0) {
    options.tensor_parallel = static_cast<std::uint32_t>(std::min<std::size_t>(count, 1024));
    while (options.tensor_parallel > 1 && !fits(options.tensor_parallel)) --options.tensor_parallel;
  }
  if (options.tensor_parallel > cuda::kMostRanks || count % options.tensor_parallel != 0) {
    return fail(ErrorCode::kInvalid, std::to_string(options.tensor_parallel) +
                                         " devices a layer: there are " + std::to_string(count) +
                                         " devices, of which a part with no rest must share "
                                         "it, at most " +
                                         std::to_string(cuda::kMostRanks));
  }
  if (options.links == CudaOptions::Links::kAuto) {
    options.links = CudaOptions::Links::kThreads;
    const std::set<int> once(options.devices.begin(), options.devices.end());
    const auto named = system.environment("ESPALIER_NCCL");
    if (count > 1 && once.size() == count && named != "none") {
      // A library that was named must be there; else copies do.
      const auto nccl = cuda::load_nccl(nccl_library(system));
      if (!nccl && named) return fail(nccl.error());
      if (nccl) options.links = CudaOptions::Links::kNccl;
    }
  }
  return options;
}

Result<std::uint32_t> CudaBackend::layers_that_fit(const std::shared_ptr<const Model>& model,
                                                   const CudaOptions& options) {
  const std::uint32_t all = model->shape().layers;
  std::vector<std::uint64_t> free;
  for (const int device : options.devices) {
    ESP_TRY(cuda::use_device(device));
    ESP_ASSIGN(free.emplace_back(), cuda::free_bytes());
  }
  // Each layer more takes more; fewer than there are stages cannot be dealt out.
  const std::uint32_t stages = stages_of(options);
  std::uint32_t fits = stages - 1;
  std::uint32_t beyond = all + 1;
  while (fits + 1 < beyond) {
    const std::uint32_t layers = fits + (beyond - fits) / 2;
    ESP_ASSIGN(const auto parts, deal(model->shape(), options, layers));
    bool fit = true;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Fp8Products fp8 = products_of(options.fp8_calibration).from(parts[i].layers.first);
      const std::uint64_t weights = cuda::DeviceWeights::bytes(
          *parts[i].of(model), options.numerics == Numerics::kFp8 ? &fp8 : nullptr);
      const std::uint64_t keys_values =
          options.kv_bytes / all * parts[i].layers.count / options.tensor_parallel;
      fit = fit && weights + keys_values + kRoom <= free[i];
    }
    (fit ? fits : beyond) = layers;
  }
  return fits < stages ? 0 : fits;
}

Result<std::unique_ptr<Backend>> CudaBackend::create(std::shared_ptr<const Model> model,
                                                     const CudaOptions& asked, System& system) {
  const ModelShape& shape = model->shape();
  if (asked.threads > kMostThreads) {
    return fail(ErrorCode::kInvalid, std::to_string(asked.threads) + " threads: the most is " +
                                         std::to_string(kMostThreads));
  }
  if (asked.layers > shape.layers) {
    return fail(ErrorCode::kInvalid, std::to_string(asked.layers) +
                                         " layers on the device: the model has " +
                                         std::to_string(shape.layers));
  }
  ESP_TRY(cuda::check_shape(shape));
  ESP_ASSIGN(const auto devices, cuda::named_devices(asked.devices));
  ESP_ASSIGN(const CudaOptions options, settle(*model, asked, system));
  const unsigned threads =
      options.threads == 0 ? std::min(system.processors(), kMostThreads) : options.threads;
  const std::uint32_t layers = options.layers == 0 ? shape.layers : options.layers;
  ESP_ASSIGN(const auto parts, deal(shape, options, layers));
  ESP_ASSIGN(auto make_group, group_maker(options, system));
  std::optional<cuda::CublasLtFunctions> tensor;
  if (options.numerics != Numerics::kExact) {
    ESP_ASSIGN(tensor, options.find_cublaslt(cublaslt_library(system)));
  }
  const Fp8Products fp8 = products_of(options.fp8_calibration);
  cuda::LowPrecision low;
  if (tensor) low.tensor = &*tensor;
  if (options.numerics == Numerics::kFp8) {
    ESP_TRY(cuda::check_fp8(devices));
    low.fp8 = &fp8;
  }
  const auto count = static_cast<std::uint32_t>(parts.size());
  try {
    ESP_ASSIGN(const cpu::Kernels* kernels,
               cpu::choose_kernels(system.environment("ESPALIER_ISA").value_or("")));
    cuda::DeviceBackend::Places places;
    const auto add_workers = [&](unsigned of) -> Status {
      ESP_ASSIGN(places.workers.emplace_back(), cpu::WorkerPool::create(of));
      return {};
    };
    ESP_TRY(add_workers(threads));
    for (std::uint32_t r = 0; r < count && count > 1; ++r) {
      ESP_TRY(add_workers(std::max(1U, threads / count)));
    }
    ESP_ASSIGN(places.threads, cuda::RankThreads::create(count));
    places.ranks.resize(count);
    // Devices are loaded side by side.
    ESP_TRY(places.threads->each(
        [&](std::uint32_t r) -> Status {
          ESP_ASSIGN(places.ranks[r], Rank::create(model, parts[r], options.kv_type, devices[r],
                                                   *places.workers[count > 1 ? r + 1 : 0], low));
          return {};
        },
        [] {}));
    const std::uint32_t before = shape.layers - layers;
    const auto earlier = before == 0 ? nullptr : layers_of(model, {0, before});
    ESP_ASSIGN(places.pages, pool_pages(*model, places.ranks, earlier.get(), options, system));
    for (const auto& rank : places.ranks) {
      ESP_TRY(rank->enter());
      ESP_TRY(rank->reserve(places.pages, options.kv_bytes == 0 ? cuda::kSpare : kRoom));
    }
    if (options.tune && cuda::Autotuner::worth_it(shape)) {
      // One after the other: the file that one writes the next of its kind reads.
      const auto until = system.now() + cuda::Autotuner::kBudget;
      for (const auto& rank : places.ranks) {
        ESP_TRY(rank->enter());
        ESP_TRY(rank->tune(until, options.stopwatch, system));
      }
    }
    places.tensor = options.tensor_parallel;
    places.network =
        std::make_unique<Network>(std::move(make_group), options.devices, options.tensor_parallel);
    ESP_TRY(places.network->join());
    if (earlier != nullptr) {
      ESP_ASSIGN(places.host, cuda::HostLayers::create(earlier, options.kv_type, *kernels,
                                                       *places.workers[0], places.pages));
    }
    for (std::uint32_t r = count - options.tensor_parallel; r < count; ++r) {
      ESP_TRY(places.ranks[r]->enter());
      ESP_ASSIGN(auto choices,
                 cuda::DeviceChoices::create(shape.vocabulary, *kernels, *places.workers[0]));
      places.choices.push_back(std::move(choices));
    }
    return cuda::DeviceBackend::create(*model, options, std::move(places));
  } catch (const std::bad_alloc&) {
    return fail(ErrorCode::kExhausted, "CUDA backend: out of memory");
  }
}

}  // namespace espalier::runtime
