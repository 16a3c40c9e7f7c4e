// Static types: what the checker knows of a value, as grammar::TypeRef, and the questions it asks
// of one.
//
// Pure functions. A null TypeRef is a type that is not known (after an error, or JSON from
// outside): it fits everything, so that one mistake gives one message. Types may be recursive
// (kReference); every walk is bounded.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/json.h"
#include "grammar/type.h"

namespace espalier::dsl {

using grammar::Type;
using grammar::TypeKind;
using grammar::TypeRef;

[[nodiscard]] TypeRef basic_type(TypeKind kind);
[[nodiscard]] TypeRef literal_type(Json value);
[[nodiscard]] TypeRef list_type(TypeRef item);
[[nodiscard]] TypeRef optional_type(TypeRef item);
[[nodiscard]] TypeRef union_type(std::vector<TypeRef> items);

/// The type that a reference stands for; any other type itself. Null only where `type` is null.
[[nodiscard]] TypeRef resolve(const TypeRef& type);
/// As a program writes it, shortened: "int(1..9)", "Topic", "string[]", "{name: string, …}".
[[nodiscard]] std::string type_name(const TypeRef& type);

[[nodiscard]] bool is_text(
    const TypeRef& type);  // string, line, pattern without groups, string literals
[[nodiscard]] bool is_number(const TypeRef& type);  // int, float, number literals
[[nodiscard]] bool is_int(const TypeRef& type);
[[nodiscard]] bool may_be_null(const TypeRef& type);
/// The type without null: of an optional its item, of a union the other alternatives.
[[nodiscard]] TypeRef without_null(const TypeRef& type);
/// Literals widened to string, int or float.
[[nodiscard]] TypeRef widened(const TypeRef& type);

/// Every value of `from` may stand where `to` is asked for. Bounds (lengths, ranges) are checked
/// when the program runs.
[[nodiscard]] bool assignable(const TypeRef& from, const TypeRef& to);
/// One type that both fit.
[[nodiscard]] TypeRef unify(const TypeRef& a, const TypeRef& b);
/// Some value could be equal to one of the other type.
[[nodiscard]] bool comparable(const TypeRef& a, const TypeRef& b);

/// The record of a pattern's named groups (literal-only groups are unions of literals); null
/// without any.
[[nodiscard]] TypeRef group_record(const std::string& pattern);

/// How many strings a type has, for `select`: nothing where they cannot be listed; at most `limit`
/// + 1.
[[nodiscard]] std::optional<std::uint64_t> count_choices(const TypeRef& type, std::uint64_t limit);
/// Names of the choices of a select (enum cases by name, literals as text), in order.
[[nodiscard]] std::vector<std::string> choice_names(const TypeRef& type, std::uint64_t limit);

/// Plain in text, no value is a proper prefix of another, or the type itself says where it ends.
[[nodiscard]] bool ends_itself(const TypeRef& type);
/// Plain in text, the empty string is a value.
[[nodiscard]] bool may_be_empty(const TypeRef& type);

/// A part of it, at most `depth` levels down, is not known.
[[nodiscard]] bool has_unknown(const TypeRef& type, int depth);

/// The first two alternatives that cannot be told apart, with the reason; nothing where all can.
/// `json`: inside a record or list, where strings are quoted.
struct Ambiguity {
  std::size_t first = 0;
  std::size_t second = 0;
  std::string why;
};
[[nodiscard]] std::optional<Ambiguity> find_ambiguity(const std::vector<TypeRef>& alternatives,
                                                      bool json);

/// What a pattern's parser says against it (RE2's words), or nothing.
[[nodiscard]] std::optional<std::string> pattern_error(const std::string& pattern);

}  // namespace espalier::dsl
