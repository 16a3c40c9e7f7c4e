#include "dsl/grammar_blocks.h"

#include <algorithm>
#include <functional>

#include "base/fuel.h"
#include "dsl/mock_model.h"
#include "dsl/patterns.h"
#include "grammar/compiled_grammar.h"

namespace espalier::dsl {
namespace {

using Item = grammar::GrammarItem;
using Alternatives = std::vector<std::vector<Item>>;

Item item_of(const GrammarItem& written);

Alternatives alternatives_of(const std::vector<std::vector<GrammarItem>>& written) {
  Alternatives out;
  for (const auto& sequence : written) {
    out.emplace_back();
    for (const auto& one : sequence) out.back().push_back(item_of(one));
  }
  return out;
}

Item item_of(const GrammarItem& written) {
  using Written = GrammarItem::Kind;
  Item out;
  out.kind = written.kind == Written::kRegex    ? Item::Kind::kRegex
             : written.kind == Written::kString ? Item::Kind::kString
             : written.kind == Written::kName   ? Item::Kind::kRule
                                                : Item::Kind::kGroup;
  out.text = written.text;
  out.group = alternatives_of(written.group);
  constexpr auto kEndless = grammar::ExpressionPool::kUnbounded;
  if (written.repeat != 0) {
    out.low = written.repeat == '+' ? 1 : 0;
    out.high = written.repeat == '?' ? 1 : kEndless;
  } else if (written.count) {
    const auto end = [](const std::optional<Number>& number, std::uint32_t otherwise) {
      if (!number) return otherwise;
      return static_cast<std::uint32_t>(
          std::clamp<std::int64_t>(number->int_value, 0, std::int64_t{kEndless} - 1));
    };
    out.low = end(written.count->low, 0);
    out.high = end(written.count->high, kEndless);
  }
  return out;
}

// The rules one of whose sequences consists of items that hold, by `leaf` for what is no rule.
template <class Leaf>
std::set<std::string> fixpoint(const grammar::GrammarRules& rules, const Leaf& leaf) {
  std::set<std::string> found;
  const std::function<bool(const Alternatives&)> any = [&](const Alternatives& alternatives) {
    return std::any_of(alternatives.begin(), alternatives.end(), [&](const auto& sequence) {
      return std::all_of(sequence.begin(), sequence.end(), [&](const Item& one) {
        if (one.low == 0) return true;
        if (one.kind == Item::Kind::kRule) return found.count(one.text) > 0;
        return one.kind == Item::Kind::kGroup ? any(one.group) : leaf(one);
      });
    });
  };
  for (bool changed = true; changed;) {
    changed = false;
    for (const auto& rule : rules.rules)
      if (found.count(rule.name) == 0 && any(rule.alternatives))
        changed = found.insert(rule.name).second;
  }
  return found;
}

std::string written_alternatives(const Alternatives& alternatives);

std::string written_item(const Item& one) {
  std::string out;
  switch (one.kind) {
    case Item::Kind::kRegex:
      out = "/" + one.text + "/";
      break;
    case Item::Kind::kString:
      out = Json(one.text).dump(-1, ' ', false, Json::error_handler_t::replace);
      break;
    case Item::Kind::kRule:
      out = one.text;
      break;
    case Item::Kind::kGroup:
      out = "(" + written_alternatives(one.group) + ")";
      break;
  }
  if (one.low == 1 && one.high == 1) return out;
  const bool endless = one.high == grammar::ExpressionPool::kUnbounded;
  if (endless && one.low <= 1) return out + (one.low == 0 ? "*" : "+");
  if (one.low == 0 && one.high == 1) return out + "?";
  if (one.low == one.high) return out + "{" + std::to_string(one.low) + "}";
  return out + "{" + std::to_string(one.low) + ".." + (endless ? "" : std::to_string(one.high)) +
         "}";
}

std::string written_alternatives(const Alternatives& alternatives) {
  std::string out;
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    if (i > 0) out += " | ";
    for (std::size_t j = 0; j < alternatives[i].size(); ++j)
      out += (j > 0 ? " " : "") + written_item(alternatives[i][j]);
  }
  return out;
}

}  // namespace

std::shared_ptr<const grammar::GrammarRules> rules_of(const GrammarDecl& decl) {
  auto out = std::make_shared<grammar::GrammarRules>();
  for (const auto& rule : decl.rules)
    out->rules.push_back({rule.name.text, alternatives_of(rule.alternatives)});
  return out;
}

std::set<std::string> productive_rules(const grammar::GrammarRules& rules) {
  return fixpoint(rules, [](const Item&) { return true; });
}

std::set<std::string> nullable_rules(const grammar::GrammarRules& rules) {
  return fixpoint(rules, [](const Item& one) {
    return one.kind == Item::Kind::kString ? one.text.empty() : pattern_holds(one.text, "");
  });
}

std::string written(const grammar::GrammarRules& rules) {
  std::string out;
  for (const auto& rule : rules.rules)
    out += (out.empty() ? "" : "\n") + rule.name + " = " + written_alternatives(rule.alternatives);
  return out;
}

Result<grammar::GrammarRef> recogniser(const grammar::GrammarRules& rules) {
  const grammar::Limits limits;
  Fuel fuel("compile steps", limits.compile_fuel);
  const auto pool = std::make_shared<grammar::ExpressionPool>(fuel);
  ESP_ASSIGN(const grammar::Expr root, grammar::rules_expression(*pool, rules, false));
  ESP_TRY(pool->status());
  ESP_ASSIGN(auto vocabulary, byte_vocabulary());
  ESP_ASSIGN(auto compiled,
             grammar::compile_expression(std::move(vocabulary), pool, root, {}, limits, fuel));
  return grammar::GrammarRef(std::move(compiled));
}

bool holds(const grammar::Grammar& grammar, std::string_view text) {
  grammar::Matcher matcher = grammar.start();
  for (const char c : text)
    if (!matcher.advance(static_cast<unsigned char>(c))) return false;
  return matcher.accepting();
}

}  // namespace espalier::dsl
