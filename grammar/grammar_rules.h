// The language's `grammar` blocks: rules over patterns, strings and each other, as they are
// written.
//
// Any context-free grammar; a text begins with the rule `start`. Compiled by context_free.h, plain
// or spelled as the content of a JSON string.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/expression.h"

namespace espalier::grammar {

/// A pattern, a string, the name of a rule, or alternatives in parentheses; low..high times.
struct GrammarItem {
  enum class Kind : std::uint8_t { kRegex, kString, kRule, kGroup };
  Kind kind = Kind::kString;
  std::string text;
  std::vector<std::vector<GrammarItem>> group;  // kGroup: alternatives of sequences
  std::uint32_t low = 1;
  std::uint32_t high = 1;  // ExpressionPool::kUnbounded: no end
};

struct GrammarRule {
  std::string name;
  std::vector<std::vector<GrammarItem>> alternatives;
};

struct GrammarRules {
  static constexpr const char* kStart = "start";
  std::vector<GrammarRule> rules;
};

/// A text of `rules`, without captures; `json`: as the content of a JSON string, quotes left out.
/// kInvalid: a rule that is not defined or defined twice, no `start`, a pattern that does not
/// parse, E0304 where no text ever ends. Groups nest as deep as the program's text does.
[[nodiscard]] Result<Expr> rules_expression(ExpressionPool& pool, const GrammarRules& rules,
                                            bool json);

}  // namespace espalier::grammar
