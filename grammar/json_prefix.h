// JSON texts that may be cut off: the value as far as it goes. For streaming partial values.
#pragma once

#include <string>
#include <string_view>

#include "grammar/json.h"

namespace espalier::grammar {

/// The content of "…"; an unfinished end is left out.
std::string decode_json_string(std::string_view text);

/// The value of a text that begins as well-formed JSON: open strings, arrays and objects as they
/// stand, an open number, literal or key left out; null where nothing is left. A complete text
/// gives its value. The last of members with one key counts. Cost: O(bytes), no recursion.
Json json_prefix(std::string_view text);

}  // namespace espalier::grammar
