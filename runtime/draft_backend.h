// A draft model ready to guess for another one.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "base/system.h"
#include "runtime/backend.h"
#include "runtime/device.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

/// Loads the model at `path` with a pool of `pages` pages, as many tokens as `model`'s has.
/// kInvalid with the first difference where its tokens are not those of `model`.
/// `options.kv_bytes`, `gpu_layers` and `tensor_parallel` are not looked at.
[[nodiscard]] Result<std::unique_ptr<Backend>> load_draft(const std::string& path,
                                                          const Model& model, std::uint32_t pages,
                                                          BackendOptions options, System& system);

}  // namespace espalier::runtime
