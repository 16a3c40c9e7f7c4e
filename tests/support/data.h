// Where tests find what the repository does not hold: reference data and models. Each gives nothing
// where it is absent; the test then says so and is skipped.
#pragma once

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/source_folder.h"

namespace espalier::testing {

/// A file below $ESPALIER_DATA, else below ../shared/data from the project's root.
inline std::optional<std::string> data_file(const std::string& name) {
  const char* folder = std::getenv("ESPALIER_DATA");
  const auto path = (folder != nullptr ? std::filesystem::path(folder)
                                       : std::filesystem::path(espalier::testing::source_folder()) /
                                             "../shared/data") /
                    name;
  if (!std::filesystem::exists(path)) return std::nullopt;
  return path.string();
}

/// The content of a .xz file of the reference data; nothing where it or xz is absent.
inline std::optional<std::string> unpacked(const std::string& name) {
  const auto path = data_file(name);
  if (!path) return std::nullopt;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(("xz -dc '" + *path + "'").c_str(), "r"),
                                                   pclose);
  if (pipe == nullptr) return std::nullopt;
  std::string out;
  std::array<char, 1 << 16> buffer{};
  while (const std::size_t read = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    out.append(buffer.data(), read);
  }
  if (out.empty()) return std::nullopt;
  return out;
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
