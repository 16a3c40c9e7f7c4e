// JSON Schema as a hole: the texts of the values that a schema admits. Drafts 4, 6, 7, 2019-09 and
// 2020-12.
//
// Honest by construction: what is compiled is enforced exactly, and everything else is refused by
// name with its JSON Pointer (grammar/README.md has the table), or recorded where the caller asks
// for that. No text outside the schema's language is accepted, but for what is recorded. Members
// come in any order or in the declared one, each key once. Texts inside the language that are left
// out: other spellings of enumerated strings, keys and numbers, integers written with a point or
// beyond int64, numbers of more than 17 digits.
//
// Hostile schemas end in an error: nesting and size are bounded (kMaxDepth, fuel), references that
// lead back to themselves are found, not run into.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "grammar/expression.h"
#include "grammar/json_expression.h"
#include "grammar/matcher.h"

namespace espalier::grammar {

enum class SchemaDraft : std::uint8_t { k4, k6, k7, k2019, k2020 };

enum class MemberOrder : std::uint8_t {
  kFree,
  /// The members that one `properties` declares keep its order, and those of an enumerated object
  /// theirs; others may stand anywhere among them. Of what value is in the language this changes
  /// nothing.
  kDeclared,
};

struct SchemaOptions {
  static constexpr std::size_t kMaxDepth = 128;  // nesting of the schema's own JSON text

  /// What cannot be enforced is an error. Off: it is left out of the language, which so holds texts
  /// that the schema does not, and recorded (schema_outcomes).
  bool strict = true;
  MemberOrder order = MemberOrder::kFree;
  /// Keywords that no draft defines are annotations, as the specification has it. Off: they are
  /// refused, since a misspelt keyword would otherwise enforce nothing. Names that begin with `x-`
  /// are annotations anyway, and those that tools have documented as such (`markdownDescription`).
  bool unknown_keywords = false;
  /// `format` asserts; else it is an annotation, as draft 2020-12 has it by default.
  bool formats = true;
  /// The draft of a schema that names none by $schema; unset: 2020-12, with the keywords of older
  /// drafts where they don't contradict it.
  std::optional<SchemaDraft> draft;
  /// What relative references are relative to.
  std::string base_uri;
  /// Gives the document at an absolute URI (without a fragment); none: such references are refused.
  /// The drafts' own schemas need none. Read by read_json_exactly(), as a schema is, bounds are
  /// what their texts say.
  std::function<Result<Json>(const std::string& uri)> resolver;
};

/// A resolver that knows these documents, JSON texts by absolute URI, and no others; none where
/// there are none.
[[nodiscard]] std::function<Result<Json>(const std::string& uri)> resolver_of(
    std::map<std::string, std::string> documents);

/// What becomes of one keyword.
struct KeywordOutcome {
  enum class Kind : std::uint8_t {
    kEnforced,
    kRecorded,  // not enforced, and the schema compiles: what the caller must still check
    kRefused,   // not enforced, and the schema does not compile
  };
  Kind kind = Kind::kEnforced;
  std::string pointer;  // JSON Pointer of the keyword: "#/properties/a/format"
  std::string reason;   // why it is not enforced
};

/// The outcome of each keyword that the schema's root reaches, once a place, in reading order.
/// Keywords that assert nothing (`title`, `$defs` …) are not among them. Errors: kInvalid, kLimit
/// as for schema_expression; a schema that is refused is none.
[[nodiscard]] Result<std::vector<KeywordOutcome>> schema_outcomes(const Json& schema,
                                                                  const SchemaOptions& options = {},
                                                                  const Limits& limits = {});

/// "enforced", "recorded" or "refused".
[[nodiscard]] std::string_view name(KeywordOutcome::Kind kind);

/// `schema` is only read. The pool's status is the caller's to look at.
/// Errors: kInvalid (malformed, or no value satisfies it), kUnsupported (a keyword that is not
/// enforced, where options are strict), kLimit.
[[nodiscard]] Result<Expr> schema_expression(ExpressionPool& pool, const Json& schema,
                                             const SchemaOptions& options = {});

/// A hole that holds one value of `schema`, followed by `follow` (empty: it ends the turn).
[[nodiscard]] Result<GrammarRef> compile_json_schema(VocabularyRef vocabulary, const Json& schema,
                                                     std::string_view follow = {},
                                                     const SchemaOptions& options = {},
                                                     const Limits& limits = {});

/// Makes what schemas need of a vocabulary alone, once (some 60 ms at 128,000 tokens); else the
/// schemas' compilations do, as they need it. Thread-safe.
void prepare_schemas(const VocabularyRef& vocabulary);

/// To be called before the vocabulary's first schema: what takes longest of that, the automata of
/// the formats, is kept in a file of `folder`. The first schema that names a format reads it, or
/// makes and writes all of it where no file is there that holds; where none can be written, formats
/// are made as schemas need them. Without this nothing is read or written. `system` lives as long
/// as the vocabulary. Thread-safe.
void keep_tables(const VocabularyRef& vocabulary, std::string folder, System& system);
/// The same in the folder that another vocabulary's are kept in, if they are.
void keep_tables_beside(const VocabularyRef& other, const VocabularyRef& vocabulary);

}  // namespace espalier::grammar
