// What the engines of an Engine run on: a backend for each, and a draft model's where there is one.
//
// One place for all who start engines, so that devices and threads are dealt out alike.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "runtime/device.h"
#include "runtime/engine/engine.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

/// The part of `options` that each of `count` engines has, 1 to Engine::kMostEngines. The devices
/// that are named are dealt out in their order, as many to each; `auto` takes the first `count`
/// that each take the whole model (or the layers asked for), else the CPU, where all engines are,
/// also where one of those lacks memory after all (make_engine_backends).
/// Threads are divided, one for each at least. `kv_bytes` are each one's own; where nothing is said
/// and all are on the CPU, its default is divided. kInvalid where the devices cannot be dealt out
/// evenly; kUnsupported where layers are asked for on more devices than there are.
[[nodiscard]] Result<std::vector<BackendOptions>> deal_out(
    const std::shared_ptr<const Model>& model, const BackendOptions& options, std::size_t count,
    System& system);

struct MadeEngines {
  std::vector<EngineBackends> backends;
  std::string device;              // of each, as MadeBackend has it: "cuda:0 (…); cuda:1 (…)"
  std::vector<std::string> notes;  // as MadeBackend has it
};

/// `draft`: the path of a smaller model that guesses; each engine has its own copy of both. Errors
/// as deal_out(), create_backend() and load_draft().
[[nodiscard]] Result<MadeEngines> make_engine_backends(const std::shared_ptr<const Model>& model,
                                                       const BackendOptions& options,
                                                       std::size_t count,
                                                       const std::optional<std::string>& draft,
                                                       System& system);

}  // namespace espalier::runtime
