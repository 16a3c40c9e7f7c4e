// A file's new text, all of it or none.
#pragma once

#include <string>

#include "base/result.h"
#include "base/system.h"

namespace espalier::cli {

/// The old text stays until the new one is on the disk.
[[nodiscard]] Status replace_file(const std::string& path, const std::string& text, System& system);

}  // namespace espalier::cli
