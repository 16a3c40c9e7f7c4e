#include "base/cache_folder.h"

namespace espalier {

std::optional<std::string> cache_folder(std::string_view kind, System& system) {
  const auto home = system.environment("HOME");
  if (!home || home->empty()) return std::nullopt;
  return *home + "/.cache/espalier/" + std::string(kind);
}

}  // namespace espalier
