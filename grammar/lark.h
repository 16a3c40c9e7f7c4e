// Lark grammars, in the dialect that llguidance documents: rules over terminals, `%ignore` between
// them, regular expressions with `&` and `~`, `%json` schemas inside.
//
// Lower-case names are rules (context-free), upper-case ones terminals (regular, not recursive).
// Strings, regexes and terminals in rules are lexemes: `%ignore` may follow each of them (before
// the first only with `%llguidance {"allow_initial_skip": true}`), never stands inside one. The
// start is `start`. The language is the grammar's own: all ways to cut a text into lexemes count,
// as with Lark's `lexer='dynamic_complete'`, none is hidden by a longer match.
//
// Read: `|`, groups, `[optional]`, `* + ?`, `~n`, `~n..m`, `{n}` `{n,}` `{,m}` `{n,m}`, "strings"
// with an `i` flag, "a".."z", /regex/ with the flags i m s u, `&` and `~` in terminals, `%ignore`,
// `%import common.X`, `%json {…}`, `%regex {"substring_…": …}`, `%llguidance {…}`, attributes of
// rules `capture`, `lazy`, `suffix=…`; comments `//` and `#`. No effect on the language have
// `-> alias`, `!` and `?` before rule names, and priorities (`name.2`): they choose between ways to
// read a text, all of which count. A rule with `lazy` or `suffix` holds the shortest matches: those
// without a shorter one before them. `~X` is every UTF-8 text that X is not.
//
// Refused by name: special tokens (`<name>`, `<[id]>`), `stop`, `max_tokens`, `temperature`,
// templates, parametric rules (`::`, `%if`), nested grammars (`@name`, `%lark`), `%declare`,
// `%override`, attributes of terminals, the flags x and l.
#pragma once

#include <string_view>

#include "grammar/context_free.h"

namespace espalier::grammar {

/// The grammar's expression. Errors name line and column: kInvalid, kUnsupported, kLimit.
[[nodiscard]] Result<ContextFree> read_lark(ExpressionPool& pool, std::string_view text);

/// A hole that holds one text of the grammar, followed by `follow` (empty: it ends the turn).
[[nodiscard]] Result<ContextFreeGrammar> compile_lark(VocabularyRef vocabulary,
                                                      std::string_view text,
                                                      std::string_view follow = {},
                                                      const Limits& limits = {});

}  // namespace espalier::grammar
