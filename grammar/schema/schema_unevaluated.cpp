// `unevaluatedProperties` and `unevaluatedItems`: which members and items the schemas beside them
// have spoken of depends on which of those hold, so the keyword is a choice over the cases.
#include <algorithm>

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
  const Json& schema = *at.schema;
  const SchemaDraft draft = documents_.draft(at);
  scope = scope_with(scope, at.resource);
  Coverage own;
  own.condition = condition;
  if (of_items) {
    const auto items = schema.find("items");
    const bool listed = items != schema.end() && items->is_array();
    if (const auto it = schema.find("prefixItems"); it != schema.end()) own.items = it->size();
    if (listed) own.items = items->size();
    own.all = (items != schema.end() && !listed) ||
              (listed && schema.contains("additionalItems")) ||
              (!outermost && schema.contains("unevaluatedItems"));
    if (schema.contains("contains") && draft == SchemaDraft::k2020) {
      ESP_ASSIGN(const FormulaId f, child(at, scope, "contains"));
      own.contains.push_back(f);
    }
  } else {
    if (const auto it = schema.find("properties"); it != schema.end()) {
      for (const auto& [key, value] : it->items()) own.names.push_back(key);
    }
    if (const auto it = schema.find("patternProperties"); it != schema.end()) {
      for (const auto& [key, value] : it->items()) {
        ESP_ASSIGN(const FormulaId f, pattern(at.pointer + "/patternProperties", key));
        own.patterns.push_back(f);
      }
    }
    own.all = schema.contains("additionalProperties") ||
              (!outermost && schema.contains("unevaluatedProperties"));
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
  for (const char* keyword : {"$ref", "$dynamicRef", "$recursiveRef"}) {
    if (!schema.contains(keyword)) continue;
    ESP_ASSIGN(const auto target, reference(at, scope, keyword));
    ESP_TRY(inner(target.first, false));
  }
  for (const char* keyword : {"allOf", "anyOf", "oneOf"}) {
    const auto it = schema.find(keyword);
    if (it == schema.end() || !it->is_array()) continue;
    const SchemaPlace here = documents_.child(at, *it, keyword);
    for (std::size_t i = 0; i < it->size(); ++i) {
      ESP_TRY(inner(documents_.child(here, (*it)[i], std::to_string(i)),
                    std::string_view(keyword) != "allOf"));
    }
  }
  if (const auto it = schema.find("dependentSchemas"); it != schema.end() && it->is_object()) {
    const SchemaPlace here = documents_.child(at, *it, "dependentSchemas");
    for (const auto& [key, value] : it->items()) {
      const FormulaId under =
          formulas_.all({condition, formulas_.literal({AtomKind::kHas, formulas_.name(key), 0})});
      ESP_TRY(
          cover(documents_.child(here, value, key), scope, of_items, under, depth + 1, false, out));
    }
  }
  if (schema.contains("if")) {
    ESP_ASSIGN(const FormulaId test, child(at, scope, "if"));
    const FormulaId holds = formulas_.all({condition, test});
    const FormulaId fails = formulas_.all({condition, formulas_.negate(test)});
    const auto branch = [&](const char* keyword, FormulaId under) -> Status {
      if (!schema.contains(keyword)) return {};
      return cover(documents_.child(at, schema[keyword], keyword), scope, of_items, under,
                   depth + 1, false, out);
    };
    ESP_TRY(branch("if", holds));
    ESP_TRY(branch("then", holds));
    ESP_TRY(branch("else", fails));
  }
  return {};
}

Status SchemaGraph::read_unevaluated(const SchemaPlace& at, std::uint32_t scope,
                                     std::vector<FormulaId>& parts) {
  for (const char* keyword : {"unevaluatedProperties", "unevaluatedItems"}) {
    if (!at.schema->contains(keyword)) continue;
    const bool of_items = std::string_view(keyword) == "unevaluatedItems";
    ESP_ASSIGN(const FormulaId rest, child(at, scope, keyword));
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
    if (conditions.size() > kMaxConditions) {
      return schema_error(
          ErrorCode::kUnsupported, at.pointer + "/" + keyword,
          "it depends on more than " + std::to_string(kMaxConditions) + " other schemas");
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
        for (const std::string& name : c.names) names.push_back(formulas_.name(name));
        for (const FormulaId f : c.patterns) members.patterns.emplace_back(f, Formulas::kTrue);
      }
      if (!everything && of_items) {
        items.first.assign(spoken, Formulas::kTrue);
        items.other = formulas_.any(item);
        all.push_back(formulas_.literal({AtomKind::kItems, formulas_.items(std::move(items)), 0}));
      } else if (!everything) {
        std::sort(names.begin(), names.end());
        names.erase(std::unique(names.begin(), names.end()), names.end());
        for (const std::uint32_t name : names) members.named.emplace_back(name, Formulas::kTrue);
        members.other = rest;
        all.push_back(
            formulas_.literal({AtomKind::kMembers, formulas_.members(std::move(members)), 0}));
      }
      cases.push_back(formulas_.all(std::move(all)));
    }
    parts.push_back(formulas_.any(std::move(cases)));
  }
  return {};
}

}  // namespace espalier::grammar
