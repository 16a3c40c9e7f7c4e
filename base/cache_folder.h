// Where the program keeps what it can make again: a folder a kind of thing, under
// ~/.cache/espalier.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/system.h"

namespace espalier {

/// The folder of a kind; nothing where there is no home. It need not be there.
[[nodiscard]] std::optional<std::string> cache_folder(std::string_view kind, System& system);

}  // namespace espalier
