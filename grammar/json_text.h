// Reading JSON that comes from outside: arguments, rows, schemas.
//
// RFC 8259, strict: one value, well-formed UTF-8, no comments. Nesting is bounded before anything
// is built, so that the plain recursion of whoever walks or prints the value later uses bounded
// stack. O(bytes).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/json.h"

namespace espalier {

inline constexpr std::uint32_t kMaxJsonTextDepth = 256;

/// The value of `text`. Errors: kInvalid (what is wrong and where), kLimit (nested too deep).
[[nodiscard]] Result<Json> read_json(std::string_view text,
                                     std::uint32_t max_depth = kMaxJsonTextDepth);

/// The same, with the members of each object sorted by key: for objects of very many of which some
/// are looked for.
[[nodiscard]] Result<nlohmann::json> read_json_by_key(std::string_view text,
                                                      std::uint32_t max_depth = kMaxJsonTextDepth);

/// `value` on one line; malformed UTF-8 in strings becomes U+FFFD rather than an exception.
[[nodiscard]] std::string write_json(const Json& value);

}  // namespace espalier
