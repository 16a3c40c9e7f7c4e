// Models that are split over several files, NAME-00001-of-00003.gguf and so on: each holds some of
// the tensors, the first the keys too.
//
// The convention of llama.cpp's gguf-split: every file has the keys split.no (from 0), split.count
// and split.tensors.count (of all files).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/system.h"
#include "runtime/model/gguf.h"

namespace espalier::runtime {

inline constexpr std::uint64_t kMaxSplitFiles = 1024;

/// What the name of a split model's file says.
struct SplitName {
  std::string stem;          // "folder/NAME"
  std::uint64_t number = 0;  // from 1
  std::uint64_t count = 0;

  /// The name of another file of the same model.
  [[nodiscard]] std::string file(std::uint64_t other) const;
};
/// Nothing where the name is not of that form.
[[nodiscard]] std::optional<SplitName> split_name(std::string_view path);

/// Opens a model file, and with it all the other files of a split one, whichever of them is given.
/// kNotFound where one is missing; kCorrupt where one is not the part that its name says, or where
/// they disagree. Errors name the file.
[[nodiscard]] Result<Gguf> open_split(const std::string& path, System& system);

}  // namespace espalier::runtime
