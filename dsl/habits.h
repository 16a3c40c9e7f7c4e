// What people write by habit from other languages, and what it is here: a help for the error that
// stands there anyway.
//
// Pure functions of words and of the text behind an error. "" where nothing is known. A name that
// the program declares never comes here, so no habit can hide one. Only helps: which errors there
// are does not depend on it.
#pragma once

#include <string>
#include <string_view>

namespace espalier::dsl {

/// A type's name: `str`, `boolean`, `list`.
[[nodiscard]] std::string habit_of_type(std::string_view word);
/// An option of a hole: `stop`, `max_tokens`.
[[nodiscard]] std::string habit_of_option(std::string_view word);
/// A field of what has none: `length`.
[[nodiscard]] std::string habit_of_field(std::string_view word);
/// Where a declaration should begin: `def`, `class`, `import`.
[[nodiscard]] std::string habit_of_declaration(std::string_view text);
/// Where a statement should begin: an assignment, `while`, an expression alone.
[[nodiscard]] std::string habit_of_statement(std::string_view text);
/// Where a head should end and its block begin: `if n = 3 {`.
[[nodiscard]] std::string habit_of_head(std::string_view text);
/// Where an operand should stand: `xs[1..]`.
[[nodiscard]] std::string habit_of_operand(std::string_view text);
/// Inside brackets that begin at `opening` of `text`, at `offset`: `[x for x in xs]`,
/// `list[string]`.
[[nodiscard]] std::string habit_in_brackets(std::string_view text, std::size_t opening,
                                            std::size_t offset);

}  // namespace espalier::dsl
