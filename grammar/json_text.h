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

/// The same, and no number is another one: whole numbers stay so up to 64 bits, also where the text
/// has a point or an exponent, and what a double's shortest form would not give back is kept as its
/// text, of type binary (grammar/decimal.h reads it). A member that stands twice in an object is an
/// error too (kInvalid, with the object's JSON Pointer): readers differ on which of them counts.
/// For schemas, whose bounds are such numbers.
[[nodiscard]] Result<Json> read_json_exactly(std::string_view text,
                                             std::uint32_t max_depth = kMaxJsonTextDepth);

/// The same as read_json(), with the members of each object sorted by key: for objects of very many
/// of which some are looked for.
[[nodiscard]] Result<nlohmann::json> read_json_by_key(std::string_view text,
                                                      std::uint32_t max_depth = kMaxJsonTextDepth);

/// `value` on one line; malformed UTF-8 in strings becomes U+FFFD rather than an exception.
[[nodiscard]] std::string write_json(const Json& value);

}  // namespace espalier
