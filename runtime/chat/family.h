// The families of chat templates, by what their sources alone contain.
#pragma once

#include <string_view>

namespace espalier::runtime {

/// A family's name, or "custom".
[[nodiscard]] std::string_view family_of(std::string_view template_source);

}  // namespace espalier::runtime
