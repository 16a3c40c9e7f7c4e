// JSON Schema (2020-12) as an expression: the texts of the values that a schema admits.
//
// Honest by construction: what is compiled is enforced exactly, and everything else is refused by
// name with its JSON Pointer (grammar/README.md has the table). No text outside the schema's
// language is in the expression. Texts inside it that are left out: members in another order than
// declared, other spellings of enumerated strings, keys and numbers, integers written with a point
// or beyond int64, numbers of more than 17 digits.
//
// Hostile schemas end in an error: nesting and size are bounded (kMaxDepth, the pool's fuel),
// references are compiled from a work list and their cycles are found, not run into.
#pragma once

#include <string_view>

#include "base/result.h"
#include "grammar/expression.h"
#include "grammar/json_expression.h"
#include "grammar/matcher.h"

namespace espalier::grammar {

struct SchemaOptions {
  static constexpr std::size_t kMaxDepth = 128;  // nesting of the schema's own JSON text

  /// Keywords that no draft defines are annotations, as the specification has it. Off: they are
  /// refused, since a misspelt keyword would otherwise enforce nothing. Names that begin with `x-`
  /// are annotations anyway.
  bool unknown_keywords = false;
};

/// `schema` is only read. The pool's status is the caller's to look at.
/// Errors: kInvalid (malformed, or no value satisfies it), kUnsupported (a keyword that is not
/// enforced), kLimit.
[[nodiscard]] Result<Expr> schema_expression(ExpressionPool& pool, JsonExpressions& json,
                                             const Json& schema, const SchemaOptions& options = {});

/// A hole that holds one value of `schema`, followed by `follow` (empty: it ends the turn).
[[nodiscard]] Result<GrammarRef> compile_json_schema(VocabularyRef vocabulary, const Json& schema,
                                                     std::string_view follow = {},
                                                     const SchemaOptions& options = {},
                                                     const Limits& limits = {});

}  // namespace espalier::grammar
