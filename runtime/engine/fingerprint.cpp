#include "runtime/engine/fingerprint.h"

#include <optional>

#include "runtime/model/split.h"
#include "runtime/store/sha256.h"

namespace espalier::runtime {

Result<std::string> model_fingerprint(const Model& model, System& system) {
  Sha256 hash;
  const std::optional<SplitName> split = split_name(model.path());
  for (std::uint64_t file = 1; file <= (split ? split->count : 1); ++file) {
    ESP_ASSIGN(const auto mapping, system.map(split ? split->file(file) : model.path()));
    hash.update(mapping->bytes());
  }
  // The context chooses among rotary factors.
  return hash.finish() + ", context " + std::to_string(model.shape().context);
}

}  // namespace espalier::runtime
