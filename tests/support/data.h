// Where tests find what the repository does not hold: reference data and models. Each gives nothing
// where it is absent; the test then says so and is skipped.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

namespace espalier::testing {

/// A file below $ESPALIER_DATA, else below ../shared/data from the project's root.
inline std::optional<std::string> data_file(const std::string& name) {
  const char* folder = std::getenv("ESPALIER_DATA");
  const auto path =
      (folder != nullptr ? std::filesystem::path(folder)
                         : std::filesystem::path(ESPALIER_SOURCE_DIR) / "../shared/data") /
      name;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path.string();
}

/// A model's file in $ESPALIER_MODELS, else in ~/.cache/espalier/models.
inline std::optional<std::string> model_file(const std::string& name) {
  const char* folder = std::getenv("ESPALIER_MODELS");
  const char* home = std::getenv("HOME");
  if (folder == nullptr && home == nullptr) return std::nullopt;
  const auto path = (folder != nullptr ? std::filesystem::path(folder)
                                       : std::filesystem::path(home) / ".cache/espalier/models") /
                    name;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path.string();
}

inline std::optional<std::string> default_model() {
  return model_file("SmolLM2-135M-Instruct.Q4_1.gguf");
}

}  // namespace espalier::testing
