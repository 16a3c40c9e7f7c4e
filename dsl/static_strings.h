// What strings a type has, as far as the checker can tell without an automaton: which choices a
// `select` has, whether a hole could be empty or endless, whether alternatives can be told apart.
//
// Pure functions under the rules of static_types.h. What they cannot decide is left to the grammar.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dsl/static_types.h"

namespace espalier::dsl {

/// How many strings a type has, for `select`: nothing where they cannot be listed; at most `limit`
/// + 1.
[[nodiscard]] std::optional<std::uint64_t> count_choices(const TypeRef& type, std::uint64_t limit);
/// Names of the choices of a select (enum cases by name, literals as text), in order.
[[nodiscard]] std::vector<std::string> choice_names(const TypeRef& type, std::uint64_t limit);

/// Plain in text, no value is a proper prefix of another, or the type itself says where it ends.
[[nodiscard]] bool ends_itself(const TypeRef& type);
/// Plain in text, the empty string is a value.
[[nodiscard]] bool may_be_empty(const TypeRef& type);

/// The first two alternatives that cannot be told apart, with the reason; nothing where all can.
/// `json`: inside a record or list, where strings are quoted.
struct Ambiguity {
  std::size_t first = 0;
  std::size_t second = 0;
  std::string why;
};
[[nodiscard]] std::optional<Ambiguity> find_ambiguity(const std::vector<TypeRef>& alternatives,
                                                      bool json);

}  // namespace espalier::dsl
