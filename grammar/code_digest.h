// Which code this is: what it keeps on disk is read by the same code alone, so that nobody has to
// number the forms that things are kept in.
#pragma once

#include <string_view>

namespace espalier::grammar {

/// SHA-256, as hexadecimal digits, of all sources of this room and of base. Made by the build.
[[nodiscard]] std::string_view code_digest();

}  // namespace espalier::grammar
