// Context-free grammars as expressions: what the readers of GBNF and Lark and the language's
// `grammar` blocks build with.
//
// Rules are named, may be used before they are defined, and may be any context-free grammar:
// ambiguous, left-recursive (directly, through other rules, behind nullable ones), with cycles of
// units. The language is that of the grammar as it is written: no alternative hides another, and no
// text is cut into tokens first. Running: context_free_machine.h.
//
//   ContextFreeBuilder rules(pool, text);
//   rules.define("list", pool.choice({item, pool.concat({rules.rule("list", 9), comma, item})}),
//   0); ESP_ASSIGN(const ContextFree grammar, rules.finish("list"));
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/ascii.h"
#include "base/result.h"
#include "grammar/expression.h"
#include "grammar/matcher.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

/// What a reader tells beside the grammar.
struct ContextFreeReport {
  std::size_t rules = 0;
  std::vector<std::string> unreachable;   // never used from the start
  std::vector<std::string> unproductive;  // no text of theirs ever ends: what uses them is left out
};

struct ContextFree {
  Expr root;  // a kContextFree; its value is its text
  ContextFreeReport report;
};

/// A text's place as errors print it: "line:column", both from 1, columns in bytes.
[[nodiscard]] std::string place_in(std::string_view text, std::size_t offset);

/// Whether a rule's name may have the byte, in GBNF and in Lark.
[[nodiscard]] constexpr bool is_name_byte(char c) {
  return is_ascii_letter(c) || is_ascii_digit(c) || c == '-' || c == '_';
}

class ContextFreeBuilder {
 public:
  static constexpr std::size_t kLongestText = std::size_t{4} << 20;  // bytes of a grammar's text

  /// `text` is what offsets point into; both must outlive the builder.
  ContextFreeBuilder(ExpressionPool& pool, std::string_view text) : pool_(pool), text_(text) {}

  [[nodiscard]] ExpressionPool& pool() { return pool_; }
  /// The rule of that name, which `offset` is a use of.
  Expr rule(std::string_view name, std::size_t offset);
  /// Fails (kInvalid) where the rule is defined already.
  Status define(std::string_view name, Expr body, std::size_t offset);
  [[nodiscard]] bool defined(std::string_view name) const;
  /// One of `parts`, plain strings among them as a trie: thousands of keywords stay one place.
  Expr alternatives(std::span<const Expr> parts);

  /// The grammar of `start`. Fails with kInvalid where a rule is used but not defined, `start` is
  /// not, or no text of it ever ends (the message names the rules that need each other); with the
  /// pool's error where its fuel ran out. Linear.
  [[nodiscard]] Result<ContextFree> finish(std::string_view start);

  /// An error at a place of the text.
  [[nodiscard]] Error error_at(std::size_t offset, std::string_view what,
                               ErrorCode code = ErrorCode::kInvalid) const;

 private:
  struct Named {
    std::string name;
    Rule rule;
    std::size_t used = 0;     // where first
    std::size_t defined = 0;  // where
    bool is_defined = false;
  };
  Named& named(std::string_view name, std::size_t offset);
  [[nodiscard]] std::string endless(Rule from, const std::vector<bool>& productive) const;

  ExpressionPool& pool_;
  std::string_view text_;
  std::vector<Named> rules_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
};

/// A compiled grammar and what its reader told.
struct ContextFreeGrammar {
  GrammarRef grammar;
  ContextFreeReport report;
};

/// A hole that holds one text of the grammar, followed by `follow` (empty: it ends the turn).
[[nodiscard]] Result<ContextFreeGrammar> compile_context_free(
    VocabularyRef vocabulary, std::shared_ptr<const ExpressionPool> pool, ContextFree grammar,
    std::string_view follow, const Limits& limits, Fuel& fuel);

}  // namespace espalier::grammar
