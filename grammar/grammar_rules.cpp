#include "grammar/grammar_rules.h"

#include "grammar/context_free.h"
#include "grammar/json_expression.h"
#include "grammar/regex.h"

namespace espalier::grammar {
namespace {

class RulesBuilder {
 public:
  RulesBuilder(ExpressionPool& pool, bool json)
      : pool_(pool), spelling_(pool), rules_(pool, {}), json_(json) {}

  Result<Expr> build(const GrammarRules& grammar) {
    for (const GrammarRule& rule : grammar.rules) {
      ESP_ASSIGN(const Expr body, alternatives(rule.alternatives));
      ESP_TRY(rules_.define(rule.name, body, 0));
    }
    ESP_ASSIGN(const ContextFree finished, rules_.finish(GrammarRules::kStart));
    return finished.root;
  }

 private:
  Result<Expr> alternatives(const std::vector<std::vector<GrammarItem>>& written) {
    std::vector<Expr> parts;
    for (const auto& sequence : written) {
      std::vector<Expr> items;
      for (const GrammarItem& one : sequence) {
        ESP_ASSIGN(const Expr part, item(one));
        items.push_back(pool_.repeat(part, one.low, one.high));
      }
      parts.push_back(pool_.concat(items));
    }
    return rules_.alternatives(parts);
  }

  Result<Expr> item(const GrammarItem& one) {
    switch (one.kind) {
      case GrammarItem::Kind::kRegex:
        return regex_expression(pool_, one.text, {RegexDialect::kRe2, false, json_, false});
      case GrammarItem::Kind::kString:
        return json_ ? spelling_.string_content(one.text) : pool_.bytes(one.text);
      case GrammarItem::Kind::kRule:
        return rules_.rule(one.text, 0);
      case GrammarItem::Kind::kGroup:
        return alternatives(one.group);
    }
    return pool_.nothing();
  }

  ExpressionPool& pool_;
  JsonExpressions spelling_;
  ContextFreeBuilder rules_;
  bool json_;
};

}  // namespace

Result<Expr> rules_expression(ExpressionPool& pool, const GrammarRules& rules, bool json) {
  return RulesBuilder(pool, json).build(rules);
}

}  // namespace espalier::grammar
