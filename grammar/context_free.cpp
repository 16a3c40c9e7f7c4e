#include "grammar/context_free.h"

#include <algorithm>

#include "grammar/compiled_grammar.h"
#include "grammar/context_free_facts.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kNamed = 5;  // rules that one message names

}  // namespace

std::string place_in(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t newline = before.rfind('\n');
  const std::size_t column =
      before.size() - (newline == std::string_view::npos ? 0 : newline + 1) + 1;
  return std::to_string(line) + ":" + std::to_string(column);
}

Error ContextFreeBuilder::error_at(std::size_t offset, std::string_view what,
                                   ErrorCode code) const {
  return {code, "grammar " + place_in(text_, offset) + ": " + std::string(what)};
}

ContextFreeBuilder::Named& ContextFreeBuilder::named(std::string_view name, std::size_t offset) {
  const auto it = by_name_.find(name);
  if (it != by_name_.end()) return rules_[it->second];
  by_name_.emplace(std::string(name), rules_.size());
  rules_.push_back({std::string(name), pool_.declare_rule(std::string(name)), offset, 0, false});
  return rules_.back();
}

Expr ContextFreeBuilder::rule(std::string_view name, std::size_t offset) {
  return pool_.rule(named(name, offset).rule);
}

bool ContextFreeBuilder::defined(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it != by_name_.end() && rules_[it->second].is_defined;
}

Status ContextFreeBuilder::define(std::string_view name, Expr body, std::size_t offset) {
  Named& rule = named(name, offset);
  if (rule.is_defined) {
    return fail(error_at(offset, "rule `" + rule.name + "` is defined at " +
                                     place_in(text_, rule.defined) + " already"));
  }
  rule.is_defined = true;
  rule.defined = offset;
  pool_.define_rule(rule.rule, body);
  return {};
}

Expr ContextFreeBuilder::alternatives(std::span<const Expr> parts) {
  constexpr std::size_t kTrie = 4;  // from so many strings on
  std::vector<std::string> texts;
  std::vector<Expr> others;
  for (const Expr part : parts) {
    if (pool_.node(part).op == Op::kBytes) {
      texts.push_back(pool_.bytes_of(part));
    } else {
      others.push_back(part);
    }
  }
  if (texts.size() < kTrie) return pool_.choice(parts);
  others.push_back(pool_.words(texts));
  return pool_.choice(others);
}

// How a rule without a word needs itself: `a` → `b` → `a`.
std::string ContextFreeBuilder::endless(Rule from, const std::vector<bool>& productive) const {
  std::string out;
  std::vector<std::uint32_t> way;
  for (std::uint32_t rule = from.id;;) {
    const bool again = std::find(way.begin(), way.end(), rule) != way.end();
    out += (way.empty() ? "`" : " → `") + pool_.rule_name(rule) + "`";
    if (again || way.size() == kNamed) return out;
    way.push_back(rule);
    Expr e = pool_.rule_body(rule);
    while (pool_.node(e).op != Op::kRule) {  // any part without a word leads on
      Expr next = pool_.nothing();
      for (const Expr child : pool_.children(e)) {
        if (!productive[child.id]) next = child;
      }
      if (next == pool_.nothing()) return out;
      e = next;
    }
    rule = pool_.node(e).a;
  }
}

Result<ContextFree> ContextFreeBuilder::finish(std::string_view start) {
  ESP_TRY(pool_.status());
  const Named* undefined = nullptr;
  for (const Named& rule : rules_) {
    if (!rule.is_defined && (undefined == nullptr || rule.used < undefined->used)) {
      undefined = &rule;
    }
  }
  if (undefined != nullptr) {
    return fail(error_at(undefined->used, "rule `" + undefined->name + "` is not defined"));
  }
  const auto it = by_name_.find(start);
  if (it == by_name_.end()) {
    return fail(ErrorCode::kInvalid,
                "grammar: there is no rule `" + std::string(start) + "` to start with");
  }
  const Named& first = rules_[it->second];
  std::vector<Expr> bodies;
  for (const Named& rule : rules_) bodies.push_back(pool_.rule(rule.rule));
  ESP_TRY(pool_.status());
  if (!pool_.fuel().spend(pool_.size())) return fail(pool_.fuel().error("grammar"));
  // Whether products have a word is found when the grammar is compiled.
  const ContextFreeFacts facts(pool_, bodies, [](Expr) { return 1U; });
  ContextFree out;
  out.report.rules = rules_.size();
  std::vector<bool> reached(pool_.size(), false);
  std::vector<Expr> work{bodies[it->second]};
  while (!work.empty()) {
    const Expr e = work.back();
    work.pop_back();
    if (reached[e.id]) continue;
    reached[e.id] = true;
    if (pool_.node(e).op == Op::kRule) work.push_back(pool_.rule_body(pool_.node(e).a));
    for (const Expr child : pool_.children(e)) work.push_back(child);
  }
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    if (!reached[bodies[i].id]) out.report.unreachable.push_back(rules_[i].name);
    if (!facts.productive(bodies[i])) out.report.unproductive.push_back(rules_[i].name);
  }
  if (!facts.productive(bodies[it->second])) {
    std::vector<bool> productive(pool_.size());
    for (std::uint32_t id = 0; id < productive.size(); ++id) {
      productive[id] = facts.productive(Expr{id});
    }
    return fail(error_at(first.defined, "E0304: no text of rule `" + first.name +
                                            "` ever ends: " + endless(first.rule, productive)));
  }
  out.root = pool_.context_free(bodies[it->second]);
  ESP_TRY(pool_.status());
  return out;
}

Result<ContextFreeGrammar> compile_context_free(VocabularyRef vocabulary,
                                                std::shared_ptr<const ExpressionPool> pool,
                                                ContextFree grammar, std::string_view follow,
                                                const Limits& limits, Fuel& fuel) {
  ESP_ASSIGN(GrammarRef compiled, compile_expression(std::move(vocabulary), std::move(pool),
                                                     grammar.root, follow, limits, fuel));
  return ContextFreeGrammar{std::move(compiled), std::move(grammar.report)};
}

}  // namespace espalier::grammar
