// JSON from a tool, whoever wrote it.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/json.h"

namespace espalier::dsl {

/// read_json() with one more bound: objects keep their members in order and are searched from the
/// front, so that an object of n members costs n²; the sum over a text stays below
/// kMaxMemberWork. kInvalid, kLimit.
[[nodiscard]] Result<Json> read_answer(std::string_view text);

inline constexpr unsigned long long kMaxMemberWork = 1'000'000'000;

}  // namespace espalier::dsl
