// The string literals of a Jinja template, in order: all that the family readers look at.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace espalier::runtime {

/// Literals inside `{{ … }}` and `{% … %}`, with their escapes resolved; `{# … #}` is skipped, and
/// an unterminated literal or tag ends the list. O(n).
[[nodiscard]] std::vector<std::string> jinja_literals(std::string_view source);

}  // namespace espalier::runtime
