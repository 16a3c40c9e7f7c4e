// How long the texts of a language can be, which bounds what a hole takes of the context: a token
// has one byte at least.
//
// The figure is an upper bound, read off the expression: exact where it is made of words, sets,
// sequences, choices and counted repeats; not less than the truth where a product or the condition
// of a grammar keeps the longest words out. Recursion, repeats without an end, JSON Schemas and
// multiples have none.
#pragma once

#include <cstdint>
#include <optional>

#include "grammar/call_form.h"
#include "grammar/expression.h"
#include "grammar/span_source.h"
#include "grammar/type.h"

namespace espalier::grammar {

/// Bytes of the longest word of `root`; nothing where there is no bound, or none below 2^64.
/// O(nodes), without recursion on them.
[[nodiscard]] std::optional<std::uint64_t> longest_text(const ExpressionPool& pool, Expr root);

/// The same of a type that stands in a text, as compile() has it: `source` is what its spans copy
/// from, `calls` how a call is written; null: not known yet, so that they have no bound. Nothing
/// also for a type that is refused, or that takes more than Limits::compile_fuel to build.
[[nodiscard]] std::optional<std::uint64_t> longest_text(const TypeRef& type,
                                                        const SpanSourceRef& source = nullptr,
                                                        const CallForm* calls = nullptr);

}  // namespace espalier::grammar
