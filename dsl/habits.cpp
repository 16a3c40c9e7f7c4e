#include "dsl/habits.h"

#include <algorithm>
#include <array>
#include <utility>

namespace espalier::dsl {
namespace {

using Pair = std::pair<std::string_view, std::string_view>;

constexpr std::array kTypes = {
    Pair{"str", "a text is `string`, in one line `line`"},
    Pair{"text", "a text is `string`, in one line `line`"},
    Pair{"String", "a text is `string`, in one line `line`"},
    Pair{"char", "a text of one character is `string(1)`"},
    Pair{"integer", "whole numbers are `int`, `int(0..9)` within bounds"},
    Pair{"number", "numbers are `int` or `float`"},
    Pair{"double", "numbers with a fraction are `float`"},
    Pair{"decimal", "numbers with a fraction are `float`"},
    Pair{"boolean", "true and false are `bool`"},
    Pair{"list", "a list is written behind its items' type, as `string[]`"},
    Pair{"List", "a list is written behind its items' type, as `string[]`"},
    Pair{"array", "a list is written behind its items' type, as `string[]`"},
    Pair{"Array", "a list is written behind its items' type, as `string[]`"},
    Pair{"set", "a list is written behind its items' type, as `string[]`"},
    Pair{"dict", "a record is `{ name: string }`, of any keys `map(string)`"},
    Pair{"object", "a record is `{ name: string }`, of any keys `map(string)`"},
    Pair{"any", "any JSON value is `json`"},
    Pair{"Any", "any JSON value is `json`"},
    Pair{"Optional", "what may be null is written `string?`"},
    Pair{"Union", "alternatives are written `string | int`"},
    Pair{"Literal", "a fixed text is a type itself: `\"yes\" | \"no\"`"},
    Pair{"regex", "a pattern stands between slashes, as `/[0-9]+/`"},
    Pair{"none", "nothing is `null`"},
    Pair{"None", "nothing is `null`"},
};

constexpr std::array kOptions = {
    Pair{"stop", "a hole ends where the text behind it begins, or where its type does"},
    Pair{"stop_at", "a hole ends where the text behind it begins, or where its type does"},
    Pair{"until", "a hole ends where the text behind it begins, or where its type does"},
    Pair{"max_tokens", "tokens at most are `max=80`"},
    Pair{"max_new_tokens", "tokens at most are `max=80`"},
    Pair{"length",
         "tokens at most are `max=80`; characters belong to the type, as `string(1..80)`"},
    Pair{"regex", "a pattern is the hole's type: `$[x: /[0-9]+/]`"},
    Pair{"pattern", "a pattern is the hole's type: `$[x: /[0-9]+/]`"},
    Pair{"choices", "choices are the hole's type: `$[x: \"yes\" | \"no\"]`"},
    Pair{"options", "choices are the hole's type: `$[x: \"yes\" | \"no\"]`"},
};

constexpr std::array kFields = {
    Pair{"length", "how many there are is `len(…)`"},
    Pair{"size", "how many there are is `len(…)`"},
    Pair{"count", "how many there are is `len(…)`"},
};

constexpr std::array kDeclarations = {
    Pair{"def", "a function of the language is `gen name(argument: type) -> type { … }`"},
    Pair{"fn", "a function of the language is `gen name(argument: type) -> type { … }`"},
    Pair{"func", "a function of the language is `gen name(argument: type) -> type { … }`"},
    Pair{"function", "a function of the language is `gen name(argument: type) -> type { … }`"},
    Pair{"prompt", "a prompt is `gen name(argument: type) -> type { … }`"},
    Pair{"class", "a type of fields is `record Name { field: type }`"},
    Pair{"struct", "a type of fields is `record Name { field: type }`"},
    Pair{"interface", "a type of fields is `record Name { field: type }`"},
    Pair{"import", "another file is `use \"file.gen\" { names }`"},
    Pair{"include", "another file is `use \"file.gen\" { names }`"},
    Pair{"from", "another file is `use \"file.gen\" { names }`"},
    Pair{"let", "`let` stands inside a `gen`; what is fixed for a file stands in its `config`"},
    Pair{"const", "values are bound by `let` inside a `gen`"},
    Pair{"var", "values are bound by `let` inside a `gen`"},
};

constexpr std::array kStatements = {
    Pair{"while", "every loop is bounded: `for i in 1..20 { … }`, which `break` leaves"},
    Pair{"const", "a value is bound by `let`"},
    Pair{"var", "a value is bound by `let`"},
    Pair{"print", "a run's result is what `return` gives; a text of the prompt stands in quotes"},
    Pair{"switch", "cases are told apart by `match value { case => … }`"},
    Pair{"case", "cases are told apart by `match value { case => … }`"},
    Pair{"try", "what may fail is tried again by `retry 2 { … } else { … }`"},
    Pair{"assert", "what must hold is said by `require condition, \"why\"`"},
    Pair{"continue", "a turn of a loop is left by an `if` around the rest of it"},
    Pair{"elif", "write `else if`"},
};

template <std::size_t N>
std::string known(const std::array<Pair, N>& habits, std::string_view word) {
  const auto at = std::find_if(habits.begin(), habits.end(),
                               [&](const Pair& one) { return one.first == word; });
  return at == habits.end() ? std::string() : std::string(at->second);
}

bool word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

std::string_view word_of(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && word_character(text[end])) ++end;
  return text.substr(0, end);
}

std::string_view behind(std::string_view text, std::size_t length) {
  text.remove_prefix(std::min(length, text.size()));
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  return text;
}

}  // namespace

std::string habit_of_type(std::string_view word) { return known(kTypes, word); }
std::string habit_of_option(std::string_view word) { return known(kOptions, word); }
std::string habit_of_field(std::string_view word) { return known(kFields, word); }
std::string habit_of_declaration(std::string_view text) {
  return known(kDeclarations, word_of(text));
}

std::string habit_of_statement(std::string_view text) {
  const std::string_view word = word_of(text);
  if (std::string help = known(kStatements, word); !help.empty()) return help;
  if (word.empty()) return {};
  const std::string_view next = behind(text, word.size());
  if (next.starts_with("=") && !next.starts_with("=="))
    return "a name is bound once, by `let " + std::string(word.substr(0, 40)) +
           " = …`; a list grows by `let xs = for … { yield … }`";
  if (next.starts_with("+=") || next.starts_with("-=") || next.starts_with("++"))
    return "a name is bound once; a list of what a loop makes is `let xs = for … { yield … }`";
  if (next.empty() || next.front() == '(' || next.front() == '.' || next.front() == '[' ||
      next.front() == '}' || next.front() == '\n')
    return "a value alone says nothing: `let` binds it, `return` and `yield` give it, `\"${…}\"` "
           "writes it";
  return {};
}

std::string habit_of_head(std::string_view text) {
  if (text.starts_with("=") && !text.starts_with("==")) return "two values are compared by `==`";
  if (text.starts_with("&&")) return "write `and`";
  if (text.starts_with("||")) return "write `or`";
  if (text.starts_with(":")) return "a block stands in braces: `{ … }`";
  return {};
}

std::string habit_of_operand(std::string_view text) {
  if (text.starts_with("]"))
    return "both ends of a range are written, and what lies outside is left out";
  return {};
}

std::string habit_in_brackets(std::string_view text, std::size_t opening, std::size_t offset) {
  const std::string_view word = word_of(text.substr(std::min(offset, text.size())));
  if (word == "for") return "a list from a loop is bound by `let xs = for x in … { yield … }`";
  std::size_t begin = std::min(opening, text.size());
  while (begin > 0 && word_character(text[begin - 1])) --begin;
  return habit_of_type(text.substr(begin, std::min(opening, text.size()) - begin));
}

}  // namespace espalier::dsl
