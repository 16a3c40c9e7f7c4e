// The types that are texts of a well-known form, as patterns: `date`, `time`, `datetime`, `uuid`,
// `email`, `url`.
#pragma once

#include <string>
#include <string_view>

namespace espalier::dsl {

/// The pattern (RE2 syntax, anchored) of the type `name`, or "" where it is none of these.
///
/// date: RFC 3339 full-date of the real calendar (2023-02-29 is none, 2024-02-29 is one). time: RFC
/// 3339 partial-time, with an offset or without, no leap seconds. datetime: RFC 3339 date-time, the
/// offset required. uuid: RFC 9562 in lower case, versions 1 to 8. email, url: the common ASCII
/// forms, bounded.
[[nodiscard]] std::string text_format(std::string_view name);

}  // namespace espalier::dsl
