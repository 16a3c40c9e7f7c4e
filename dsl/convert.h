// From JSON to typed values: arguments, tools' results and what holes gave.
//
// One validator for all three: whatever comes from outside is checked in full against its declared
// type, and the message names the path ("argument `history[2].role`"), what was expected and what
// stands there. Records fill in the defaults of their declaration. Work is linear in the JSON for
// everything but unions, whose alternatives are tried in turn; nesting is bounded by kMaxJsonDepth.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "dsl/program.h"
#include "dsl/value.h"
#include "grammar/json.h"
#include "grammar/span_source.h"
#include "grammar/type.h"

namespace espalier::dsl {

inline constexpr std::uint32_t kMaxJsonDepth = 256;

/// The typed value of `json` against `type` (null: any JSON). `path` starts the place in messages.
/// With `source`, spans must stand in it, and know where. kInvalid, kLimit.
[[nodiscard]] Result<Value> from_json(const Program& program, const Json& json,
                                      const grammar::TypeRef& type, std::string_view path,
                                      const grammar::SpanSource* source = nullptr);

/// The values of `parameters`, in order, from a JSON object by their keys (or names): missing,
/// unknown and wrong ones are refused by name. An omittable parameter that was left out is null;
/// null JSON stands for no arguments.
[[nodiscard]] Result<std::vector<Value>> arguments_from_json(
    const Program& program, const std::vector<Parameter>& parameters, const Json& json);

/// An argument given as text on a command line: the text itself where `type` is a kind of text,
/// else the text read as JSON (and as text again where that fails, so that the message is about the
/// type).
[[nodiscard]] Json argument_from_text(const grammar::TypeRef& type, std::string_view text);

}  // namespace espalier::dsl
