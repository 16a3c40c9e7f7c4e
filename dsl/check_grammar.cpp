// `grammar` blocks: names of rules, patterns, counts, and whether a text of each rule ever ends.
#include <algorithm>

#include "dsl/checker.h"
#include "dsl/grammar_blocks.h"
#include "dsl/patterns.h"

namespace espalier::dsl {
namespace {

void each_item(const std::vector<std::vector<GrammarItem>>& alternatives,
               const std::function<void(const GrammarItem&)>& visit) {
  for (const auto& sequence : alternatives)
    for (const GrammarItem& item : sequence) {
      visit(item);
      each_item(item.group, visit);
    }
}

}  // namespace

TypeRef Checker::grammar_type(const GrammarDecl& decl, TypeInfo& info) {
  const std::size_t before = diagnostics_.errors();
  if (too_many(decl.rules.size(), decl.name.span, "rules")) return nullptr;
  std::map<std::string, Span> rules;
  std::vector<std::string> names;
  for (const GrammarRule& rule : decl.rules) {
    names.push_back(rule.name.text);
    if (const auto [at, fresh] = rules.emplace(rule.name.text, rule.name.span); !fresh)
      error("E0104", rule.name.span, "the rule `" + rule.name.text + "` is defined twice")
          .secondary.push_back({at->second, "first here"});
  }
  std::set<std::string> used{grammar::GrammarRules::kStart};
  for (const GrammarRule& rule : decl.rules) {
    each_item(rule.alternatives, [&](const GrammarItem& item) {
      if (item.kind == GrammarItem::Kind::kName) {
        used.insert(item.text);
        if (const auto at = rules.find(item.text); at != rules.end()) {
          const auto length = static_cast<std::uint32_t>(item.text.size());
          note_use({item.span.file, item.span.begin, item.span.begin + length}, at->second);
        }
        if (rules.count(item.text) == 0 && !tainted(item.text))
          unknown_name({item.text, item.span}, "rule", names);
      } else if (item.kind == GrammarItem::Kind::kRegex) {
        (void)unreadable_pattern(item.text, item.span);
      }
      Type bounds;
      if (item.count) length_bounds(*item.count, bounds);
    });
  }
  if (rules.count(grammar::GrammarRules::kStart) == 0) {
    if (!broken_)
      error("E0101", decl.name.span, "the grammar `" + decl.name.text + "` has no rule `start`",
            "its texts begin there")
          .help = "name its first rule `start`";
    return nullptr;
  }
  if (diagnostics_.errors() != before || broken_) return nullptr;
  auto made = std::make_shared<Type>();
  made->kind = TypeKind::kGrammar;
  made->rules = rules_of(decl);
  const std::set<std::string> productive = productive_rules(*made->rules);
  for (const GrammarRule& rule : decl.rules) {
    if (productive.count(rule.name.text) > 0) continue;
    error("E0304", rule.name.span, "no text of the rule `" + rule.name.text + "` ever ends",
          "each of its alternatives needs another one")
        .help = "add an alternative that does not lead back here";
    return nullptr;
  }
  for (const GrammarRule& rule : decl.rules)
    if (used.count(rule.name.text) == 0)
      diagnostics_.warning("W0602", rule.name.span,
                           "the rule `" + rule.name.text + "` is never used");
  auto compiled = recogniser(*made->rules);
  if (!compiled) {
    uncompiled(compiled.error(), decl.name.span);
    return nullptr;
  }
  info.recogniser = std::move(*compiled);
  return made;
}

}  // namespace espalier::dsl
