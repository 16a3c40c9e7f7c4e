// Patterns (`/…/`) as the checker sees them: RE2's judgement, and the named groups.
//
// Pure functions; linear in the pattern (RE2's own bounds apply to what it compiles).
#pragma once

#include <optional>
#include <string>

#include "dsl/static_types.h"

namespace espalier::dsl {

/// What a pattern's parser says against it (RE2's words), or nothing.
[[nodiscard]] std::optional<std::string> pattern_error(const std::string& pattern);

/// Whether RE2 takes the pattern and it matches all of `text`.
[[nodiscard]] bool pattern_matches(const std::string& pattern, const std::string& text);

/// The record of a pattern's named groups (literal-only groups are unions of literals); null
/// without any.
[[nodiscard]] TypeRef group_record(const std::string& pattern);

}  // namespace espalier::dsl
