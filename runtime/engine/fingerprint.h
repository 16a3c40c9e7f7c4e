// What a model's KV depends on beside the backend: its files, bit for bit, and the positions it is
// used with.
#pragma once

#include <string>

#include "base/result.h"
#include "base/system.h"
#include "runtime/model/model.h"

namespace espalier::runtime {

/// For EngineOptions::model_digest. Reads all of the model's files: about a second a gigabyte.
[[nodiscard]] Result<std::string> model_fingerprint(const Model& model, System& system);

}  // namespace espalier::runtime
