#include "runtime/engine_backends.h"

#include <algorithm>
#include <utility>

#include "runtime/cpu/cpu_backend.h"
#include "runtime/draft_backend.h"

namespace espalier::runtime {
namespace {

std::string engines(std::size_t count) { return std::to_string(count) + " engines"; }

// The numbers of the devices that they share; none: the CPU.
Result<std::vector<int>> devices_for(const std::shared_ptr<const Model>& model,
                                     const BackendOptions& options, std::size_t count,
                                     System& system) {
  if (options.gpu_layers == 0U || options.device.kind == Device::Kind::kCpu) {
    return std::vector<int>();
  }
  if (options.device.kind == Device::Kind::kCuda) {
    const std::size_t named = options.device.numbers.size();
    if (named % count != 0) {
      return fail(ErrorCode::kInvalid, engines(count) +
                                           " have as many devices each: " + std::to_string(named) +
                                           (named == 1 ? " is named" : " are named"));
    }
    return options.device.numbers;
  }
  std::vector<int> found = devices_that_take(model, options, system);
  if (found.size() >= count) {
    found.resize(count);
    return found;
  }
  if (!options.gpu_layers) return std::vector<int>();
  return fail(ErrorCode::kUnsupported, engines(count) +
                                           " with layers on a GPU each: this espalier can use " +
                                           std::to_string(found.size()) + " here");
}

Result<MadeEngines> make(const std::shared_ptr<const Model>& model,
                         const std::vector<BackendOptions>& each,
                         const std::optional<std::string>& draft, System& system) {
  MadeEngines out;
  for (const BackendOptions& on : each) {
    ESP_ASSIGN(MadeBackend made, create_backend(model, on, system));
    EngineBackends backends;
    if (draft) {
      ESP_ASSIGN(backends.draft,
                 load_draft(*draft, *model, made.backend->info().pages, on, system));
    }
    backends.backend = std::move(made.backend);
    out.backends.push_back(std::move(backends));
    out.device += (out.device.empty() ? "" : "; ") + made.device;
    if (!made.note.empty()) out.notes.push_back(std::move(made.note));
  }
  return out;
}

}  // namespace

Result<std::vector<BackendOptions>> deal_out(const std::shared_ptr<const Model>& model,
                                             const BackendOptions& options, std::size_t count,
                                             System& system) {
  if (count == 0 || count > Engine::kMostEngines) {
    return fail(ErrorCode::kInvalid,
                engines(count) + ": there may be 1 to " + std::to_string(Engine::kMostEngines));
  }
  std::vector<BackendOptions> out(count, options);
  if (count == 1) return out;
  ESP_ASSIGN(const std::vector<int> devices, devices_for(model, options, count, system));
  const std::size_t share = devices.size() / count;
  const auto parts = static_cast<unsigned>(count);
  for (std::size_t i = 0; i < count; ++i) {
    BackendOptions& it = out[i];
    it.threads = std::max(1U, threads_of(options, system) / parts);
    if (devices.empty()) {
      it.device = {Device::Kind::kCpu, {0}};
      if (options.kv_bytes == 0) it.kv_bytes = CpuBackend::default_kv_bytes(system) / count;
    } else {
      const auto from = devices.begin() + static_cast<std::ptrdiff_t>(i * share);
      it.device = {Device::Kind::kCuda, {from, from + static_cast<std::ptrdiff_t>(share)}};
    }
  }
  return out;
}

Result<MadeEngines> make_engine_backends(const std::shared_ptr<const Model>& model,
                                         const BackendOptions& options, std::size_t count,
                                         const std::optional<std::string>& draft, System& system) {
  ESP_ASSIGN(const std::vector<BackendOptions> each, deal_out(model, options, count, system));
  auto made = make(model, each, draft, system);
  const bool chosen = options.device.kind == Device::Kind::kAuto &&
                      each[0].device.kind == Device::Kind::kCuda && !options.gpu_layers;
  if (made || !chosen || made.error().code != ErrorCode::kExhausted) return made;
  // Another process has by now what was free when the devices were chosen.
  const Error lacking = std::move(made).error();
  BackendOptions cpu = options;
  cpu.device = {Device::Kind::kCpu, {0}};
  ESP_ASSIGN(const std::vector<BackendOptions> instead, deal_out(model, cpu, count, system));
  made = make(model, instead, draft, system);
  if (!made) return fail(lacking);
  made->notes.push_back("the devices that were chosen have no longer the memory that they had: " +
                        lacking.message + "; the model is on the CPU");
  return made;
}

}  // namespace espalier::runtime
