// Regular expressions as expressions: what a pattern, anchored at both ends or searched for, lets a
// text be.
//
// Anchors are compiled exactly and wherever they stand: for each part of the pattern the empty word
// and the non-empty words are kept apart in the four contexts (text begins here, text ends here),
// so that `(^a|b)c$`, `a$b` (no word) and `(^|x)*` mean what they mean in RE2. Counts stay counts.
// Built bottom-up in a loop, so nesting costs no machine stack; size is bounded by the pool's fuel.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "grammar/expression.h"
#include "grammar/matcher.h"
#include "grammar/regex_parser.h"

namespace espalier::grammar {

struct RegexUse {
  RegexDialect dialect = RegexDialect::kRe2;
  bool search =
      false;          // the text contains a match (JSON Schema's `pattern`); else all of it is one
  bool json = false;  // spelled as the content of a JSON string, without the quotes
  bool captures = true;  // named groups make an object of strings; else no captures at all
  /// With `json` and `search`: what stands around the match is in its canonical spelling too, so
  /// that the words can be taken away from others.
  bool canonical = false;
  RegexFlags flags = {};
};

/// Errors: those of parse_regex. A pattern that no text matches is not an error here: the
/// expression is the empty language.
[[nodiscard]] Result<Expr> regex_expression(ExpressionPool& pool, std::string_view pattern,
                                            const RegexUse& use = {});

/// A hole that holds one match of `pattern` (RE2's syntax), followed by `follow` (empty: it ends
/// the turn). Unlike a hole of the language it may be empty.
[[nodiscard]] Result<GrammarRef> compile_regex(VocabularyRef vocabulary, std::string_view pattern,
                                               std::string_view follow = {},
                                               const Limits& limits = {});

struct NamedGroup {
  std::string name;
  std::uint32_t offset = 0;  // of its parenthesis in the pattern
  /// All that it can capture, where that is a short list of literals (`year|month`): it is then
  /// typed as their union.
  std::optional<std::vector<std::string>> literals;
  /// Whether it takes part in every match. False too where each of several alternatives has it, or
  /// something else only a closer look would tell.
  bool always = false;
};
/// The named groups in the order of their parentheses; the errors of parse_regex.
[[nodiscard]] Result<std::vector<NamedGroup>> regex_groups(std::string_view pattern);

}  // namespace espalier::grammar
