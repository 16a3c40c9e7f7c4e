// Static types: what the checker knows of a value, as grammar::TypeRef, and the questions it asks
// of one.
//
// Pure functions. A null TypeRef is a type that is not known (after an error, or JSON from
// outside): it fits everything, so that one mistake gives one message. Types may be recursive
// (kReference); every walk is bounded.
#pragma once

#include <cstdint>
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

/// Deeper than any type a program writes; walks cut a recursive one off here.
inline constexpr int kMaxTypeDepth = 64;

[[nodiscard]] TypeRef basic_type(TypeKind kind);
[[nodiscard]] TypeRef literal_type(Json value);
[[nodiscard]] TypeRef list_type(TypeRef item);
[[nodiscard]] TypeRef optional_type(TypeRef item);
[[nodiscard]] TypeRef union_type(std::vector<TypeRef> items);

/// The type that a reference stands for; any other type itself. Null only where `type` is null.
[[nodiscard]] TypeRef resolve(const TypeRef& type);
/// As a program writes it, shortened: "int(1..9)", "Topic", "string[]", "{name: string, …}".
[[nodiscard]] std::string type_name(const TypeRef& type);

/// A text as messages show it: in quotes, shortened.
[[nodiscard]] std::string quoted(const std::string& text);

[[nodiscard]] bool is_text(
    const TypeRef& type);  // string, line, pattern without groups, string literals
[[nodiscard]] bool is_number(const TypeRef& type);  // int, float, number literals
[[nodiscard]] bool is_int(const TypeRef& type);
[[nodiscard]] bool may_be_null(const TypeRef& type);
/// A call, or a list of calls: what a hole writes in the form of the model's template.
[[nodiscard]] bool is_calls(const TypeRef& type);
/// Calls, or a union with them.
[[nodiscard]] bool writes_calls(const TypeRef& type);
/// The kinds of value that a value of the type may be at run time: a bit each (1 << ValueKind).
[[nodiscard]] std::uint32_t value_kinds(const TypeRef& type);
/// The cases that a `match` may tell apart: enum cases, true and false, tools, null, alternatives,
/// each as a type. Anything else is one case.
[[nodiscard]] std::vector<TypeRef> cases_of(const TypeRef& type);
/// The values of a type that has few: literals, cases by their surface, true, false and null.
/// Nothing where there are others. At most 256.
[[nodiscard]] std::optional<std::vector<Json>> listed_values(const TypeRef& type);
/// A value of record `other` is never taken for one of record `one` by its keys and by what stands
/// directly behind them (`fits` in evaluate.h): a key that only one of them always has, or one that
/// `other` always has with other kinds of values or other listed ones.
[[nodiscard]] bool told_apart(const TypeRef& one, const TypeRef& other);
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

/// Some value of it copies from a source (`span`).
[[nodiscard]] bool holds_span(const TypeRef& type);
/// A part of it, at most `depth` levels down, is not known.
[[nodiscard]] bool has_unknown(const TypeRef& type, int depth);

}  // namespace espalier::dsl
