// The pieces of JSON texts, as expressions; shared by the language's types and by JSON Schema.
//
// Whitespace is `/ ?|\n {0,16}/` after { [ , : and before ] } (docs/language.md): compact and
// pretty, and bounded. One JsonExpressions a pool; it builds each piece once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "grammar/expression.h"

namespace espalier::grammar {

class JsonExpressions {
 public:
  explicit JsonExpressions(ExpressionPool& pool) : pool_(pool) {}

  Expr whitespace();

  /// What stands in a JSON string as itself.
  static constexpr CodePointRange kUnescaped[] = {{0x20, 0x21}, {0x23, 0x5B}, {0x5D, 0x10FFFF}};
  /// One code point of a JSON string, any: plain or escaped (surrogate pairs are one).
  Expr string_character();
  /// One code point of the class, as it may stand in a JSON string: itself, or its short escape for
  /// " \ and controls
  /// (\u00XX where there is no short one). For patterns over a string's decoded content.
  Expr string_characters_of(std::span<const CodePointRange> ranges);
  /// "…" with low..high code points, captured as kJsonString.
  Expr string(std::uint64_t low = 0, std::optional<std::uint64_t> high = std::nullopt);
  /// "body", captured as kJsonString; `body` spells the content with its escapes.
  Expr string_of(Expr body);
  /// The canonical spelling of a string's content, without quotes.
  Expr string_content(std::string_view utf8);
  static std::string spelled(std::string_view utf8);

  /// The literal in its compact spelling (strings: canonical escapes; arrays and objects: with
  /// whitespace()), captured as kConstant.
  Expr literal(const Json& value);

  /// { members }, captured as kObject, where `members` is the whole inside with its commas and
  /// never the empty word; `may_be_empty` says whether {} is in too.
  Expr object(Expr members, bool may_be_empty = false);
  /// "key": value as a member captured as kField(key).
  Expr member(std::string_view key, Expr value);
  /// "key": value where `key` is a JSON string expression; captured as kKey + value.
  Expr free_member(Expr key, Expr value);
  /// , with the whitespace after it.
  Expr comma();
  /// [ item, … ] with low..high items, captured as kArray.
  Expr array(Expr item, std::uint32_t low = 0, std::uint32_t high = ExpressionPool::kUnbounded);

  /// Any JSON value (a recursive rule; nesting is bounded by Limits::max_depth). Keys are not
  /// checked for repeats: the last one counts.
  Expr any();
  /// Any JSON number of at most 17 digits and a two-digit exponent; kNumber.
  Expr number();
  Expr boolean();  // captured constants
  Expr null();

 private:
  ExpressionPool& pool_;
  std::optional<Expr> whitespace_, character_, any_;
};

}  // namespace espalier::grammar
