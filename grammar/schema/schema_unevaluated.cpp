// `unevaluatedProperties` and `unevaluatedItems`: which members and items the schemas beside them
// have spoken of depends on which of those hold, so the keyword is a choice over the cases.
#include <algorithm>
#include <map>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {

// What the schema at `at` speaks of, where `condition` holds. Its own unevaluated… keyword counts
// but for the outermost one, which is being read.
Status SchemaGraph::cover(const SchemaPlace& at, std::uint32_t scope, bool of_items,
                          FormulaId condition, std::size_t depth, bool outermost,
                          std::vector<Coverage>& out) {
  if (!at.schema->is_object()) return {};
  if (depth > kMaxInPlace) {
    return fail(ErrorCode::kLimit, "schema " + at.pointer + ": more than " +
                                       std::to_string(kMaxInPlace) +
                                       " schemas inside each other for one value");
  }
  if (!fuel_->spend()) return fail(fuel_->error("schema " + at.pointer));
  const SchemaDraft draft = documents_.rules(at).draft;
  scope = scope_with(scope, at.resource);
  Coverage own;
  own.condition = condition;
  if (of_items) {
    const Json* items = keyword(at, "items");
    const bool listed = items != nullptr && items->is_array();
    if (const Json* it = keyword(at, "prefixItems"); it != nullptr) own.items = it->size();
    if (listed) own.items = items->size();
    own.all = (items != nullptr && !listed) || (listed && has(at, "additionalItems")) ||
              (!outermost && has(at, "unevaluatedItems"));
    if (has(at, "contains") && draft == SchemaDraft::k2020) {
      ESP_ASSIGN(const FormulaId f, child(at, scope, "contains"));
      own.contains.push_back(f);
    }
  } else {
    if (const Json* it = keyword(at, "properties"); it != nullptr) {
      for (const auto& [key, value] : it->items()) own.names.push_back(key);
    }
    if (const Json* it = keyword(at, "patternProperties"); it != nullptr) {
      for (const auto& [key, value] : it->items()) {
        ESP_ASSIGN(const FormulaId f, pattern(at.pointer + "/patternProperties", key));
        // A pattern that is not enforced may cover any member.
        own.all = own.all || formulas_.atom(f).kind == AtomKind::kUnknown;
        own.patterns.push_back(f);
      }
    }
    own.all = own.all || has(at, "additionalProperties") ||
              (!outermost && has(at, "unevaluatedProperties"));
  }
  out.push_back(std::move(own));
  const auto inner = [&](const SchemaPlace& place, bool conditional) -> Status {
    FormulaId under = condition;
    if (conditional) {
      ESP_ASSIGN(const FormulaId f, node(place, scope));
      under = formulas_.all({condition, f});
    }
    return cover(place, scope, of_items, under, depth + 1, false, out);
  };
  for (const char* name : {"$ref", "$dynamicRef", "$recursiveRef"}) {
    if (!has(at, name)) continue;
    ESP_ASSIGN(const auto target, reference(at, scope, name));
    ESP_TRY(inner(target.first, false));
  }
  for (const std::string_view name : {"allOf", "anyOf", "oneOf"}) {
    const Json* it = keyword(at, name);
    if (it == nullptr || !it->is_array()) continue;
    const SchemaPlace here = documents_.child(at, *it, name);
    for (std::size_t i = 0; i < it->size(); ++i) {
      ESP_TRY(inner(documents_.child(here, (*it)[i], std::to_string(i)), name != "allOf"));
    }
  }
  // An array has no members that such a schema could depend on.
  if (const Json* it = of_items ? nullptr : keyword(at, "dependentSchemas");
      it != nullptr && it->is_object()) {
    const SchemaPlace here = documents_.child(at, *it, "dependentSchemas");
    for (const auto& [key, value] : it->items()) {
      const FormulaId under =
          formulas_.all({condition, formulas_.literal({AtomKind::kHas, formulas_.name(key), 0})});
      ESP_TRY(
          cover(documents_.child(here, value, key), scope, of_items, under, depth + 1, false, out));
    }
  }
  if (has(at, "if")) {
    ESP_ASSIGN(const FormulaId test, child(at, scope, "if"));
    const FormulaId holds = formulas_.all({condition, test});
    const FormulaId fails = formulas_.all({condition, formulas_.negate(test)});
    const auto branch = [&](const char* name, FormulaId under) -> Status {
      if (!has(at, name)) return {};
      return cover(documents_.child(at, (*at.schema)[name], name), scope, of_items, under,
                   depth + 1, false, out);
    };
    ESP_TRY(branch("if", holds));
    ESP_TRY(branch("then", holds));
    ESP_TRY(branch("else", fails));
  }
  return {};
}

// Members that nobody has spoken of satisfy `rest`, where under conditions schemas speak of names
// alone or of all: each of these names is such a member, or one of the schemas holds that speak of
// it. Linear, where the cases of what holds are exponential in the conditions.
FormulaId SchemaGraph::by_names(const std::vector<Coverage>& coverage, FormulaId rest) {
  std::vector<FormulaId> everything;  // conditions
  std::map<std::uint32_t, std::vector<FormulaId>> under;
  MemberMap spoken;
  spoken.other = rest;
  for (const Coverage& c : coverage) {
    if (c.all) everything.push_back(c.condition);
    for (const std::string& name : c.names) under[formulas_.name(name)].push_back(c.condition);
  }
  // By conditions the names that these speak of, and no others.
  std::map<std::vector<FormulaId>, MemberMap> alike;
  for (auto& [name, conditions] : under) {
    spoken.named.emplace_back(name, Formulas::kTrue);
    std::sort(conditions.begin(), conditions.end());
    conditions.erase(std::unique(conditions.begin(), conditions.end()), conditions.end());
    alike[conditions].named.emplace_back(name, rest);
  }
  std::vector<FormulaId> all;
  const auto unless = [&](MemberMap map, const std::vector<FormulaId>& conditions) {
    std::vector<FormulaId> any(everything);
    any.insert(any.end(), conditions.begin(), conditions.end());
    any.push_back(formulas_.literal({AtomKind::kMembers, formulas_.members(std::move(map)), 0}));
    all.push_back(formulas_.any(any));
  };
  unless(std::move(spoken), {});
  for (auto& [conditions, map] : alike) unless(std::move(map), conditions);
  return formulas_.all(all);
}

Status SchemaGraph::read_unevaluated(const SchemaPlace& at, std::uint32_t scope,
                                     std::vector<FormulaId>& parts) {
  for (const char* name : {"unevaluatedProperties", "unevaluatedItems"}) {
    if (!has(at, name)) continue;
    const bool of_items = std::string_view(name) == "unevaluatedItems";
    ESP_ASSIGN(const FormulaId rest, child(at, scope, name));
    if (rest == Formulas::kTrue) continue;
    std::vector<Coverage> coverage;
    ESP_TRY(cover(at, scope, of_items, Formulas::kTrue, 0, true, coverage));
    std::vector<FormulaId> conditions;
    std::erase_if(coverage, [](const Coverage& c) {
      return !c.all && c.names.empty() && c.patterns.empty() && c.items == 0 && c.contains.empty();
    });
    for (const Coverage& c : coverage) {
      if (c.condition > Formulas::kTrue &&
          std::find(conditions.begin(), conditions.end(), c.condition) == conditions.end()) {
        conditions.push_back(c.condition);
      }
    }
    const bool named = !of_items && std::ranges::all_of(coverage, [](const Coverage& c) {
      return c.patterns.empty();
    });
    const std::size_t most = named ? kMaxNamedConditions : kMaxConditions;
    if (conditions.size() > most) {
      ESP_ASSIGN(const FormulaId f,
                 unenforced(at.pointer + "/" + name,
                            "it depends on more than " + std::to_string(most) + " other schemas"));
      parts.push_back(f);
      continue;
    }
    if (named) {
      parts.push_back(by_names(coverage, rest));
      continue;
    }
    std::vector<FormulaId> cases;
    for (std::uint32_t bits = 0; bits < (1U << conditions.size()); ++bits) {
      std::vector<FormulaId> all;
      for (std::size_t i = 0; i < conditions.size(); ++i) {
        all.push_back((bits >> i) & 1 ? conditions[i] : formulas_.negate(conditions[i]));
      }
      MemberMap members;
      ItemMap items;
      bool everything = false;
      std::size_t spoken = 0;
      std::vector<FormulaId> item{rest};
      std::vector<std::uint32_t> names;
      for (const Coverage& c : coverage) {
        bool holds = c.condition == Formulas::kTrue;
        for (std::size_t i = 0; i < conditions.size(); ++i) {
          holds = holds || (c.condition == conditions[i] && ((bits >> i) & 1) != 0);
        }
        if (!holds) continue;
        everything = everything || c.all;
        spoken = std::max(spoken, c.items);
        item.insert(item.end(), c.contains.begin(), c.contains.end());
        for (const std::string& member : c.names) names.push_back(formulas_.name(member));
        for (const FormulaId f : c.patterns) members.patterns.emplace_back(f, Formulas::kTrue);
      }
      if (!everything && of_items) {
        items.first.assign(spoken, Formulas::kTrue);
        items.other = formulas_.any(item);
        all.push_back(formulas_.literal({AtomKind::kItems, formulas_.items(std::move(items)), 0}));
      } else if (!everything) {
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
        for (const std::uint32_t n : names) members.named.emplace_back(n, Formulas::kTrue);
        members.other = rest;
        all.push_back(
            formulas_.literal({AtomKind::kMembers, formulas_.members(std::move(members)), 0}));
      }
      cases.push_back(formulas_.all(all));
    }
    parts.push_back(formulas_.any(cases));
  }
  return {};
}

}  // namespace espalier::grammar
