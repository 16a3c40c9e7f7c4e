// `grammar` blocks as the checker and the reader of values see them.
//
// Pure functions. Depth is bounded by the parser's nesting.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"
#include "dsl/ast.h"
#include "grammar/grammar_rules.h"
#include "grammar/matcher.h"

namespace espalier::dsl {

/// What is written, for the grammar engine.
[[nodiscard]] std::shared_ptr<const grammar::GrammarRules> rules_of(const GrammarDecl& decl);

/// The rules that some text of finite length fits; those that the empty text fits. Patterns count
/// as what they match. O(rules × size).
[[nodiscard]] std::set<std::string> productive_rules(const grammar::GrammarRules& rules);
[[nodiscard]] std::set<std::string> nullable_rules(const grammar::GrammarRules& rules);

/// As a program writes them, a rule a line.
[[nodiscard]] std::string written(const grammar::GrammarRules& rules);

/// The rules over single bytes, for texts that no model wrote. Errors: those of compiling.
[[nodiscard]] Result<grammar::GrammarRef> recogniser(const grammar::GrammarRules& rules);
/// Whether `grammar`, over single bytes, holds exactly `text`.
[[nodiscard]] bool holds(const grammar::Grammar& grammar, std::string_view text);

}  // namespace espalier::dsl
