// GBNF, the grammars of llama.cpp: `root ::= "- " item ("\n" item)*`.
//
// What is read: rules (`name ::= …`, names of letters, digits, `-` and `_`), strings, classes
// `[a-z]` `[^"]`, `.`, groups, `|`, `* + ? {m} {m,} {m,n}`, comments (`#`); escapes \n \r \t \xHH
// \uHHHH \UHHHHHHHH and a backslash before punctuation. The start is `root`. Counts are exact and
// counted, never expanded. Where llama.cpp differs: it takes a maximum above 2,000 for none, and of
// two definitions of a rule the last; here the count holds and the second definition is an error.
// It ends a rule with its line; here a line that does not begin with a name and `::=` goes on with
// the rule before it. Refused by name: references to tokens (`<think>`, `<[1000]>`, `!<…>`).
#pragma once

#include <string_view>

#include "grammar/context_free.h"

namespace espalier::grammar {

/// The grammar's expression. Errors name line and column: kInvalid, kUnsupported, kLimit.
[[nodiscard]] Result<ContextFree> read_gbnf(ExpressionPool& pool, std::string_view text);

/// A hole that holds one text of the grammar, followed by `follow` (empty: it ends the turn).
[[nodiscard]] Result<ContextFreeGrammar> compile_gbnf(VocabularyRef vocabulary,
                                                      std::string_view text,
                                                      std::string_view follow = {},
                                                      const Limits& limits = {});

}  // namespace espalier::grammar
