// JSON Schema as a hole: the texts of the values that a schema admits. Drafts 4, 6, 7, 2019-09 and
// 2020-12.
//
// Honest by construction: what is compiled is enforced exactly, and everything else is refused by
// name with its JSON Pointer (grammar/README.md has the table). No text outside the schema's
// language is accepted. Members come in any order, each key once. Texts inside the language that
// are left out: other spellings of enumerated strings, keys and numbers, integers written with a
// point or beyond int64, numbers of more than 17 digits.
//
// Hostile schemas end in an error: nesting and size are bounded (kMaxDepth, fuel), references that
// lead back to themselves are found, not run into.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/expression.h"
#include "grammar/json_expression.h"
#include "grammar/matcher.h"

namespace espalier::grammar {

enum class SchemaDraft : std::uint8_t { k4, k6, k7, k2019, k2020 };

struct SchemaOptions {
  static constexpr std::size_t kMaxDepth = 128;  // nesting of the schema's own JSON text

  /// Keywords that no draft defines are annotations, as the specification has it. Off: they are
  /// refused, since a misspelt keyword would otherwise enforce nothing. Names that begin with `x-`
  /// are annotations anyway.
  bool unknown_keywords = false;
  /// `format` asserts; else it is an annotation, as draft 2020-12 has it by default.
  bool formats = true;
  /// The draft of a schema that names none by $schema; unset: 2020-12, with the keywords of older
  /// drafts where they don't contradict it.
  std::optional<SchemaDraft> draft;
  /// What relative references are relative to.
  std::string base_uri;
  /// Gives the document at an absolute URI (without a fragment); none: such references are refused.
  std::function<Result<Json>(const std::string& uri)> resolver;
};

/// `schema` is only read. The pool's status is the caller's to look at.
/// Errors: kInvalid (malformed, or no value satisfies it), kUnsupported (a keyword that is not
/// enforced), kLimit.
[[nodiscard]] Result<Expr> schema_expression(ExpressionPool& pool, const Json& schema,
                                             const SchemaOptions& options = {});

/// A hole that holds one value of `schema`, followed by `follow` (empty: it ends the turn).
[[nodiscard]] Result<GrammarRef> compile_json_schema(VocabularyRef vocabulary, const Json& schema,
                                                     std::string_view follow = {},
                                                     const SchemaOptions& options = {},
                                                     const Limits& limits = {});

/// Makes what schemas need of a vocabulary alone, once (some 35 ms at 128,000 tokens); else the
/// first schema's compilation does. Thread-safe.
void prepare_schemas(const VocabularyRef& vocabulary);

}  // namespace espalier::grammar
