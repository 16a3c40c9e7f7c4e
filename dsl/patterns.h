// Patterns (`/…/`) as the checker and the values see them: whether one parses, its named groups,
// and what a text is by it.
//
// Pure functions, linear in the pattern and the text; `pattern_holds` and `pattern_value` compile
// the pattern anew each time.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dsl/static_types.h"
#include "grammar/json.h"

namespace espalier::dsl {

/// What its parser says against a pattern: kInvalid, kUnsupported, kLimit; or nothing.
[[nodiscard]] std::optional<Error> pattern_error(const std::string& pattern);

/// Whether the pattern parses and all of `text` matches it.
[[nodiscard]] bool pattern_holds(const std::string& pattern, std::string_view text);

/// The value of all of `text` by the pattern: the text itself, or an object of all named groups in
/// their order, null where one took no part. Nothing where it does not match. kLimit.
[[nodiscard]] Result<std::optional<Json>> pattern_value(const std::string& pattern,
                                                        std::string_view text);

/// The record of a pattern's named groups: literal-only ones are unions of literals, those that
/// need not take part in a match may be null. Null without any.
[[nodiscard]] TypeRef group_record(const std::string& pattern);

}  // namespace espalier::dsl
