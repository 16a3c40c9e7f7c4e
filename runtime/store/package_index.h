// Finds a wheel in the Python registry that this machine is set up to use.
//
// The index's address is pip's: PIP_INDEX_URL, else `index-url` in pip's configuration files, else
// pypi.org. The index speaks the simple repository API, in JSON (PEP 691) or HTML (PEP 503).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/system.h"
#include "runtime/store/http.h"

namespace espalier::runtime {

struct Wheel {
  std::string url;
  std::uint64_t bytes = 0;  // 0 where the index does not say
};

[[nodiscard]] std::string package_index_url(System& system);

/// The URL of the wheel of `package` at `version` (the first of several). kNotFound names package
/// and index.
[[nodiscard]] Result<Wheel> find_wheel(Http& http, const std::string& index_url,
                                       std::string_view package, std::string_view version);

/// A project's name as the index's paths spell it (PEP 503): lower case, runs of "-_." as one "-".
[[nodiscard]] std::string normalised_package(std::string_view name);

}  // namespace espalier::runtime
