#include "grammar/schema/schema_graph.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "grammar/regex_parser.h"
#include "grammar/schema/schema_scalar.h"

namespace espalier::grammar {
namespace {

using Parts = std::vector<FormulaId>;

enum class Use : std::uint8_t { kAnnotation, kEnforced };
struct Keyword {
  std::string_view name;
  Use use;
  SchemaDraft first = SchemaDraft::k4, last = SchemaDraft::k2020;
};
constexpr auto k4 = SchemaDraft::k4, k6 = SchemaDraft::k6, k7 = SchemaDraft::k7,
               k2019 = SchemaDraft::k2019, k2020 = SchemaDraft::k2020;
constexpr Keyword kKeywords[] = {
    {"title", Use::kAnnotation},
    {"description", Use::kAnnotation},
    {"default", Use::kAnnotation},
    {"examples", Use::kAnnotation},
    {"$comment", Use::kAnnotation},
    {"deprecated", Use::kAnnotation},
    {"readOnly", Use::kAnnotation},
    {"writeOnly", Use::kAnnotation},
    {"$schema", Use::kAnnotation},
    {"$id", Use::kAnnotation},
    {"id", Use::kAnnotation, k4, k4},
    {"$anchor", Use::kAnnotation},
    {"$dynamicAnchor", Use::kAnnotation},
    {"$recursiveAnchor", Use::kAnnotation},
    {"$defs", Use::kAnnotation},
    {"definitions", Use::kAnnotation},
    {"contentSchema", Use::kAnnotation},
    {"contentMediaType", Use::kAnnotation},
    {"contentEncoding", Use::kAnnotation},
    {"type", Use::kEnforced},
    {"enum", Use::kEnforced},
    {"const", Use::kEnforced, k6},
    {"multipleOf", Use::kEnforced},
    {"minimum", Use::kEnforced},
    {"maximum", Use::kEnforced},
    {"exclusiveMinimum", Use::kEnforced},
    {"exclusiveMaximum", Use::kEnforced},
    {"minLength", Use::kEnforced},
    {"maxLength", Use::kEnforced},
    {"pattern", Use::kEnforced},
    {"format", Use::kEnforced},
    {"properties", Use::kEnforced},
    {"patternProperties", Use::kEnforced},
    {"additionalProperties", Use::kEnforced},
    {"propertyNames", Use::kEnforced, k6},
    {"required", Use::kEnforced},
    {"minProperties", Use::kEnforced},
    {"maxProperties", Use::kEnforced},
    {"dependentRequired", Use::kEnforced, k2019},
    {"dependentSchemas", Use::kEnforced, k2019},
    {"dependencies", Use::kEnforced, k4, k7},
    {"items", Use::kEnforced},
    {"prefixItems", Use::kEnforced, k2020},
    {"additionalItems", Use::kEnforced, k4, k2019},
    {"minItems", Use::kEnforced},
    {"maxItems", Use::kEnforced},
    {"uniqueItems", Use::kEnforced},
    {"contains", Use::kEnforced, k6},
    {"minContains", Use::kEnforced, k2019},
    {"maxContains", Use::kEnforced, k2019},
    {"unevaluatedItems", Use::kEnforced, k2019},
    {"unevaluatedProperties", Use::kEnforced, k2019},
    {"allOf", Use::kEnforced},
    {"anyOf", Use::kEnforced},
    {"oneOf", Use::kEnforced},
    {"not", Use::kEnforced},
    {"if", Use::kEnforced, k7},
    {"then", Use::kEnforced, k7},
    {"else", Use::kEnforced, k7},
    {"$ref", Use::kEnforced},
    {"$dynamicRef", Use::kEnforced, k2020},
    {"$recursiveRef", Use::kEnforced, k2019, k2019},
};

std::uint32_t clamp(std::uint64_t n) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, UINT32_MAX - 1));
}

}  // namespace

Result<std::shared_ptr<const SchemaGraph>> SchemaGraph::create(Json schema,
                                                               const SchemaOptions& options,
                                                               Fuel& fuel) {
  const std::shared_ptr<SchemaGraph> graph(new SchemaGraph(std::move(schema), options, fuel));
  ESP_TRY(graph->read());
  graph->fuel_ = nullptr;
  return graph;
}

Status SchemaGraph::read() {
  ESP_ASSIGN(const SchemaPlace root, documents_.root());
  ESP_ASSIGN(root_, node(root, 0));
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    if (!fuel_->spend()) return fail(fuel_->error("schema " + nodes_[i].place.pointer));
    ESP_ASSIGN(nodes_[i].formula, read_node(i));
  }
  ESP_TRY(expand_all());
  if (root_ > Formulas::kTrue) root_ = nodes_[0].expanded;
  for (const auto& [pointer, item] : unique_) {
    const FormulaId whole = formulas_.map(item, [&](FormulaId l) {
      const Atom& atom = formulas_.atom(l);
      return atom.kind == AtomKind::kNode && !formulas_.negated(l) ? nodes_[atom.a].expanded : l;
    });
    if (formulas_.restrict(whole, JsonTypes::kObject) != Formulas::kFalse ||
        formulas_.restrict(whole, JsonTypes::kArray) != Formulas::kFalse) {
      return schema_error(ErrorCode::kUnsupported, pointer,
                          "`uniqueItems` of objects or arrays is not enforced");
    }
  }
  const FormulaId number = formulas_.restrict(root_, JsonTypes::kNumber);
  may_be_number_ = number != Formulas::kFalse;
  return {};
}

std::uint32_t SchemaGraph::scope_with(std::uint32_t scope, const Json* resource) {
  if (!documents_.dynamic()) return 0;
  std::vector<const Json*> list = scopes_[scope];
  if (std::find(list.begin(), list.end(), resource) != list.end()) return scope;
  list.push_back(resource);
  const auto [it, fresh] = scope_ids_.try_emplace(list, static_cast<std::uint32_t>(scopes_.size()));
  if (fresh) scopes_.push_back(std::move(list));
  return it->second;
}

// The formula that the schema at `place` holds; read later, from the work list.
Result<FormulaId> SchemaGraph::node(const SchemaPlace& place, std::uint32_t scope) {
  const Json& schema = *place.schema;
  if (schema.is_boolean()) return schema.get<bool>() ? Formulas::kTrue : Formulas::kFalse;
  if (!schema.is_object()) {
    return schema_error(ErrorCode::kInvalid, place.pointer, "a schema is an object, true or false");
  }
  scope = scope_with(scope, place.resource);
  const auto [it, fresh] =
      node_ids_.try_emplace({&schema, scope}, static_cast<std::uint32_t>(nodes_.size()));
  if (fresh) nodes_.push_back({place, scope, 0, 0, 0});
  return formulas_.literal({AtomKind::kNode, it->second, 0});
}

Result<FormulaId> SchemaGraph::child(const SchemaPlace& at, std::uint32_t scope,
                                     const char* keyword) {
  return node(documents_.child(at, (*at.schema)[keyword], keyword), scope);
}

Result<Parts> SchemaGraph::list(const SchemaPlace& at, std::uint32_t scope, const char* keyword) {
  const Json& schemas = (*at.schema)[keyword];
  const SchemaPlace here = documents_.child(at, schemas, keyword);
  if (!schemas.is_array() || schemas.empty()) {
    return schema_error(ErrorCode::kInvalid, here.pointer, "a list of at least one schema");
  }
  Parts out;
  for (std::size_t i = 0; i < schemas.size(); ++i) {
    ESP_ASSIGN(const FormulaId f,
               node(documents_.child(here, schemas[i], std::to_string(i)), scope));
    out.push_back(f);
  }
  return out;
}

Result<std::pair<SchemaPlace, std::uint32_t>> SchemaGraph::reference(const SchemaPlace& at,
                                                                     std::uint32_t scope,
                                                                     const char* keyword) {
  const Json& to = (*at.schema)[keyword];
  const std::string pointer = at.pointer + "/" + keyword;
  if (!to.is_string()) return schema_error(ErrorCode::kInvalid, pointer, "a URI reference");
  const auto& text = to.get_ref<const std::string&>();
  ESP_ASSIGN(SchemaPlace place, documents_.resolve(at, text, keyword));
  const std::string_view kind = keyword;
  if (kind == "$dynamicRef") {
    const std::size_t hash = text.find('#');
    const std::string anchor = hash == std::string::npos ? "" : text.substr(hash + 1);
    if (documents_.dynamic_anchor(place.resource, anchor) != nullptr) {
      for (const Json* resource : scopes_[scope]) {
        if (const SchemaPlace* found = documents_.dynamic_anchor(resource, anchor)) {
          place = *found;
          break;
        }
      }
    }
  } else if (kind == "$recursiveRef") {
    const auto recursive = [](const Json& schema) {
      const auto it = schema.find("$recursiveAnchor");
      return it != schema.end() && *it == true;
    };
    if (place.schema->is_object() && recursive(*place.schema)) {
      for (const Json* resource : scopes_[scope]) {
        if (!resource->is_object() || !recursive(*resource)) continue;
        place = {resource, resource, place.pointer};
        break;
      }
    }
  }
  return std::pair(std::move(place), scope);
}

Result<FormulaId> SchemaGraph::read_node(std::uint32_t index) {
  const SchemaPlace at = nodes_[index].place;
  const std::uint32_t scope = nodes_[index].scope;
  const Json& schema = *at.schema;
  const SchemaDraft draft = documents_.draft(at);
  const bool declared = documents_.declares_draft(at);
  Parts parts;
  if (declared && draft <= SchemaDraft::k7 && schema.contains("$ref")) {
    ESP_ASSIGN(const auto target, reference(at, scope, "$ref"));
    return node(target.first, target.second);
  }
  for (const auto& [key, value] : schema.items()) {
    const auto* known = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                     [&, &name = key](const Keyword& k) { return k.name == name; });
    if (key == "$schema") {
      const bool ours = value.is_string() && value.get_ref<const std::string&>().find(
                                                 "json-schema.org/") != std::string::npos;
      if (!ours) {
        return schema_error(ErrorCode::kUnsupported, at.pointer + "/$schema",
                            "a schema language of its own");
      }
    }
    if (known != std::end(kKeywords)) continue;
    if (key.starts_with("x-") || options_.unknown_keywords) continue;
    if (key == "id" && value.is_string()) continue;
    return schema_error(ErrorCode::kUnsupported, documents_.child(at, value, key).pointer,
                        "the keyword `" + key + "` is unknown");
  }
  ESP_TRY(read_values(at, parts));
  ESP_TRY(read_numbers(at, parts));
  ESP_TRY(read_strings(at, parts));
  ESP_TRY(read_objects(at, scope, parts));
  ESP_TRY(read_arrays(at, scope, parts));
  ESP_TRY(read_dependencies(at, scope, parts));
  ESP_TRY(read_combinations(at, scope, parts));
  ESP_TRY(read_unevaluated(at, scope, parts));
  return formulas_.all(std::move(parts));
}

FormulaId SchemaGraph::unless(const Atom& atom, JsonTypes types) {
  const JsonTypes others(static_cast<std::uint8_t>(JsonTypes::kAll & ~types.bits()));
  return formulas_.any({formulas_.types(others), formulas_.literal(atom, true)});
}

FormulaId SchemaGraph::value_formula(const Json& value) {
  if (value.is_object()) {
    Parts parts{formulas_.types(JsonTypes::kObject)};
    MemberMap map;
    map.other = Formulas::kFalse;
    for (const auto& [key, inner] : value.items()) {
      const std::uint32_t name = formulas_.name(key);
      map.named.emplace_back(name, value_formula(inner));
      parts.push_back(formulas_.literal({AtomKind::kHas, name, 0}));
    }
    std::sort(map.named.begin(), map.named.end());
    parts.push_back(formulas_.literal({AtomKind::kMembers, formulas_.members(std::move(map)), 0}));
    return formulas_.all(std::move(parts));
  }
  if (value.is_array()) {
    ItemMap map;
    map.other = Formulas::kFalse;
    for (const Json& inner : value) map.first.push_back(value_formula(inner));
    return formulas_.all({formulas_.types(JsonTypes::kArray),
                          formulas_.literal({AtomKind::kItems, formulas_.items(std::move(map)), 0}),
                          formulas_.literal({AtomKind::kItemsAtLeast, clamp(value.size()), 0})});
  }
  return formulas_.literal({AtomKind::kIn, formulas_.set({value}), 0});
}

Status SchemaGraph::read_values(const SchemaPlace& at, Parts& parts) {
  ESP_ASSIGN(const JsonTypes types, read_types(at));
  parts.push_back(formulas_.types(types));
  ESP_ASSIGN(const auto values, grammar::read_values(at));
  if (!values) return {};
  std::vector<Json> scalars;
  Parts any;
  for (const Json* value : *values) {
    if (!fuel_->spend()) return fail(fuel_->error("schema " + at.pointer));
    if (value->is_structured()) {
      any.push_back(value_formula(*value));
    } else {
      scalars.push_back(*value);
    }
  }
  any.push_back(formulas_.literal({AtomKind::kIn, formulas_.set(std::move(scalars)), 0}));
  parts.push_back(formulas_.any(std::move(any)));
  return {};
}

Status SchemaGraph::read_numbers(const SchemaPlace& at, Parts& parts) {
  const Json& schema = *at.schema;
  const auto open = [&](const char* keyword) {  // drafts before 6: a boolean beside the bound
    const auto it = schema.find(keyword);
    return it != schema.end() && it->is_boolean() && it->get<bool>();
  };
  for (const char* keyword : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
    const auto it = schema.find(keyword);
    if (it == schema.end()) continue;
    const bool exclusive = keyword[0] == 'e';
    const bool lower = std::string_view(keyword).ends_with("inimum");
    if (exclusive && it->is_boolean()) continue;
    if (!it->is_number()) {
      return schema_error(ErrorCode::kInvalid, at.pointer + "/" + keyword, "a bound is a number");
    }
    const double bound = it->get<double>();
    if (!it->is_number_float() && std::abs(bound) >= 9007199254740992.0 &&
        Json(static_cast<double>(bound)).dump() != it->dump() + ".0") {
      return schema_error(ErrorCode::kUnsupported, at.pointer + "/" + keyword,
                          "a bound of more than 53 bits");
    }
    const bool strict = exclusive || open(lower ? "exclusiveMinimum" : "exclusiveMaximum");
    const std::uint32_t n = formulas_.number(bound);
    if (lower) {
      parts.push_back(formulas_.literal({strict ? AtomKind::kAbove : AtomKind::kAtLeast, n, 0}));
    } else {
      parts.push_back(
          unless({strict ? AtomKind::kAtLeast : AtomKind::kAbove, n, 0}, JsonTypes::kNumber));
    }
  }
  if (const auto it = schema.find("multipleOf"); it != schema.end()) {
    if (!it->is_number() || it->get<double>() <= 0) {
      return schema_error(ErrorCode::kInvalid, at.pointer + "/multipleOf",
                          "a number greater than 0");
    }
    if (!multiples_supported(it->get<double>())) {
      return schema_error(ErrorCode::kUnsupported, at.pointer + "/multipleOf",
                          "a multiple of " + it->dump() + " is not enforced");
    }
    parts.push_back(
        formulas_.literal({AtomKind::kMultipleOf, formulas_.number(it->get<double>()), 0}));
  }
  return {};
}

Result<FormulaId> SchemaGraph::pattern(const std::string& pointer, const std::string& regex) {
  const auto parsed = parse_regex(regex, RegexDialect::kEcma);
  if (!parsed) {
    Error error = parsed.error();
    return fail(std::move(error).within("schema " + pointer));
  }
  return formulas_.literal({AtomKind::kPattern, formulas_.pattern({regex, true}), 0});
}

Status SchemaGraph::read_strings(const SchemaPlace& at, Parts& parts) {
  const Json& schema = *at.schema;
  ESP_ASSIGN(const auto shortest, read_count(at, "minLength"));
  ESP_ASSIGN(const auto longest, read_count(at, "maxLength"));
  if (shortest) parts.push_back(formulas_.literal({AtomKind::kLength, clamp(*shortest), 0}));
  if (longest && *longest < UINT32_MAX - 2) {
    parts.push_back(unless({AtomKind::kLength, clamp(*longest + 1), 0}, JsonTypes::kString));
  }
  if (const auto it = schema.find("pattern"); it != schema.end()) {
    if (!it->is_string())
      return schema_error(ErrorCode::kInvalid, at.pointer + "/pattern", "a regular expression");
    ESP_ASSIGN(const FormulaId f,
               pattern(at.pointer + "/pattern", it->get_ref<const std::string&>()));
    parts.push_back(f);
  }
  if (const auto it = schema.find("format"); it != schema.end() && options_.formats) {
    if (!it->is_string())
      return schema_error(ErrorCode::kInvalid, at.pointer + "/format", "a format's name");
    const auto& name = it->get_ref<const std::string&>();
    const auto format = schema_format(name);
    if (!format && !options_.unknown_keywords) {
      return schema_error(ErrorCode::kUnsupported, at.pointer + "/format",
                          "the format `" + name + "` is unknown");
    }
    if (format && format->regex == nullptr) {
      return schema_error(ErrorCode::kUnsupported, at.pointer + "/format",
                          "the format `" + name + "` is not enforced");
    }
    if (format) {
      parts.push_back(
          formulas_.literal({AtomKind::kPattern, formulas_.pattern({format->regex, false}), 0}));
      if (format->longest > 0)
        parts.push_back(unless({AtomKind::kLength, format->longest + 1, 0}, JsonTypes::kString));
    }
  }
  return {};
}

Status SchemaGraph::read_objects(const SchemaPlace& at, std::uint32_t scope, Parts& parts) {
  const Json& schema = *at.schema;
  MemberMap map;
  bool speaks = false;
  if (const auto it = schema.find("properties"); it != schema.end()) {
    const SchemaPlace here = documents_.child(at, *it, "properties");
    if (!it->is_object())
      return schema_error(ErrorCode::kInvalid, here.pointer, "an object of schemas");
    speaks = true;
    for (const auto& [key, value] : it->items()) {
      ESP_ASSIGN(const FormulaId f, node(documents_.child(here, value, key), scope));
      map.named.emplace_back(formulas_.name(key), f);
    }
    std::stable_sort(map.named.begin(), map.named.end());
    for (std::size_t i = 1; i < map.named.size(); ++i) {
      if (map.named[i].first == map.named[i - 1].first) {
        return schema_error(ErrorCode::kInvalid, here.pointer,
                            "`" + formulas_.name_of(map.named[i].first) + "` stands twice");
      }
    }
  }
  if (const auto it = schema.find("patternProperties"); it != schema.end()) {
    const SchemaPlace here = documents_.child(at, *it, "patternProperties");
    if (!it->is_object())
      return schema_error(ErrorCode::kInvalid, here.pointer, "an object of schemas");
    speaks = true;
    for (const auto& [key, value] : it->items()) {
      const SchemaPlace place = documents_.child(here, value, key);
      ESP_ASSIGN(const FormulaId k, pattern(place.pointer, key));
      ESP_ASSIGN(const FormulaId f, node(place, scope));
      map.patterns.emplace_back(k, f);
    }
  }
  if (schema.contains("additionalProperties")) {
    speaks = true;
    ESP_ASSIGN(map.other, child(at, scope, "additionalProperties"));
  }
  if (speaks) parts.push_back(formulas_.literal({AtomKind::kMembers, formulas_.members(map), 0}));
  if (schema.contains("propertyNames")) {
    ESP_ASSIGN(const FormulaId key, child(at, scope, "propertyNames"));
    MemberMap names;
    names.patterns.emplace_back(formulas_.negate(key), Formulas::kFalse);
    parts.push_back(
        formulas_.literal({AtomKind::kMembers, formulas_.members(std::move(names)), 0}));
  }
  if (const auto it = schema.find("required"); it != schema.end() && !it->is_boolean()) {
    const bool names = it->is_array() && std::all_of(it->begin(), it->end(), [](const Json& name) {
                         return name.is_string();
                       });
    if (!names)
      return schema_error(ErrorCode::kInvalid, at.pointer + "/required", "a list of names");
    for (const Json& name : *it) {
      parts.push_back(formulas_.literal(
          {AtomKind::kHas, formulas_.name(name.get_ref<const std::string&>()), 0}));
    }
  } else if (it != schema.end()) {
    return schema_error(ErrorCode::kInvalid, at.pointer + "/required", "a list of names");
  }
  ESP_ASSIGN(const auto least, read_count(at, "minProperties"));
  ESP_ASSIGN(const auto most, read_count(at, "maxProperties"));
  if (least) parts.push_back(formulas_.literal({AtomKind::kMembersAtLeast, clamp(*least), 0}));
  if (most && *most < UINT32_MAX - 2) {
    parts.push_back(unless({AtomKind::kMembersAtLeast, clamp(*most + 1), 0}, JsonTypes::kObject));
  }
  return {};
}

Status SchemaGraph::read_arrays(const SchemaPlace& at, std::uint32_t scope, Parts& parts) {
  const Json& schema = *at.schema;
  const SchemaDraft draft = documents_.draft(at);
  ItemMap map;
  FormulaId item = Formulas::kTrue;
  bool speaks = false;
  const auto items = schema.find("items");
  const bool listed = items != schema.end() && items->is_array();
  if (listed && documents_.declares_draft(at) && draft == SchemaDraft::k2020) {
    return schema_error(ErrorCode::kInvalid, at.pointer + "/items",
                        "a list of items is of drafts before 2020-12: write `prefixItems`");
  }
  const char* prefix = schema.contains("prefixItems") ? "prefixItems" : listed ? "items" : nullptr;
  if (prefix != nullptr) {
    speaks = true;
    const Json& schemas = schema[prefix];
    if (!schemas.is_array())
      return schema_error(ErrorCode::kInvalid, at.pointer + "/" + prefix, "a list of schemas");
    const SchemaPlace here = documents_.child(at, schemas, prefix);
    for (std::size_t i = 0; i < schemas.size(); ++i) {
      ESP_ASSIGN(const FormulaId f,
                 node(documents_.child(here, schemas[i], std::to_string(i)), scope));
      map.first.push_back(f);
    }
  }
  const char* rest = listed ? "additionalItems" : "items";
  if (schema.contains(rest)) {
    speaks = true;
    ESP_ASSIGN(map.other, child(at, scope, rest));
  }
  if (speaks) {
    item = map.other;
    parts.push_back(formulas_.literal({AtomKind::kItems, formulas_.items(std::move(map)), 0}));
  }
  ESP_ASSIGN(const auto least, read_count(at, "minItems"));
  ESP_ASSIGN(const auto most, read_count(at, "maxItems"));
  if (least) parts.push_back(formulas_.literal({AtomKind::kItemsAtLeast, clamp(*least), 0}));
  if (most && *most < UINT32_MAX - 2) {
    parts.push_back(unless({AtomKind::kItemsAtLeast, clamp(*most + 1), 0}, JsonTypes::kArray));
  }
  if (const auto it = schema.find("uniqueItems"); it != schema.end()) {
    if (!it->is_boolean())
      return schema_error(ErrorCode::kInvalid, at.pointer + "/uniqueItems", "true or false");
    if (it->get<bool>()) {
      if (prefix != nullptr || schema.contains("contains")) {
        return schema_error(ErrorCode::kUnsupported, at.pointer + "/uniqueItems",
                            "`uniqueItems` beside other items than one kind is not enforced");
      }
      unique_.push_back({at.pointer + "/uniqueItems", item});
      parts.push_back(formulas_.literal({AtomKind::kUnique, formulas_.values({}), 0}));
    }
  }
  if (schema.contains("contains")) {
    ESP_ASSIGN(const FormulaId f, child(at, scope, "contains"));
    ESP_ASSIGN(const auto at_least, read_count(at, "minContains"));
    ESP_ASSIGN(const auto at_most, read_count(at, "maxContains"));
    parts.push_back(formulas_.literal({AtomKind::kContains, f, clamp(at_least.value_or(1))}));
    if (at_most && *at_most < UINT32_MAX - 2) {
      parts.push_back(unless({AtomKind::kContains, f, clamp(*at_most + 1)}, JsonTypes::kArray));
    }
  }
  return {};
}

Status SchemaGraph::read_dependencies(const SchemaPlace& at, std::uint32_t scope, Parts& parts) {
  const bool declared = documents_.declares_draft(at);
  const SchemaDraft draft = documents_.draft(at);
  for (const char* keyword : {"dependentRequired", "dependentSchemas", "dependencies"}) {
    const auto it = at.schema->find(keyword);
    if (it == at.schema->end()) continue;
    const bool old = std::string_view(keyword) == "dependencies";
    if (declared && old != (draft <= SchemaDraft::k7)) continue;  // not this draft's
    const SchemaPlace here = documents_.child(at, *it, keyword);
    if (!it->is_object()) return schema_error(ErrorCode::kInvalid, here.pointer, "an object");
    for (const auto& [key, value] : it->items()) {
      const SchemaPlace place = documents_.child(here, value, key);
      const FormulaId absent = formulas_.literal({AtomKind::kHas, formulas_.name(key), 0}, true);
      FormulaId then = Formulas::kTrue;
      if (std::string_view(keyword) == "dependentSchemas" ||
          (old && !value.is_array() && !value.is_string())) {
        ESP_ASSIGN(then, node(place, scope));
        // Of objects alone: for other values the member is absent in either case.
        const FormulaId other =
            formulas_.types(static_cast<std::uint8_t>(JsonTypes::kAll & ~JsonTypes::kObject));
        then = formulas_.any({other, then});
      } else {
        Parts needed;
        const auto need = [&](const Json& name) -> Status {
          if (!name.is_string())
            return schema_error(ErrorCode::kInvalid, place.pointer, "a list of names");
          needed.push_back(formulas_.literal(
              {AtomKind::kHas, formulas_.name(name.get_ref<const std::string&>()), 0}));
          return {};
        };
        if (value.is_array()) {
          for (const Json& name : value) ESP_TRY(need(name));
        } else {
          ESP_TRY(need(value));
        }
        then = formulas_.all(std::move(needed));
      }
      // "Absent" holds of no value but an object; the rest must not be caught by the dependency.
      const FormulaId other =
          formulas_.types(static_cast<std::uint8_t>(JsonTypes::kAll & ~JsonTypes::kObject));
      parts.push_back(formulas_.any({other, absent, then}));
    }
  }
  return {};
}

// Exactly one of them: linear for few branches would need counting; this is quadratic and flat.
FormulaId SchemaGraph::exactly_one(const Parts& branches) {
  Parts any;
  Parts negations;
  for (const FormulaId b : branches) negations.push_back(formulas_.negate(b));
  for (std::size_t i = 0; i < branches.size(); ++i) {
    Parts all = negations;
    all[i] = branches[i];
    any.push_back(formulas_.all(std::move(all)));
  }
  return formulas_.any(std::move(any));
}

Status SchemaGraph::read_combinations(const SchemaPlace& at, std::uint32_t scope, Parts& parts) {
  const Json& schema = *at.schema;
  for (const char* keyword : {"$ref", "$dynamicRef", "$recursiveRef"}) {
    if (!schema.contains(keyword)) continue;
    ESP_ASSIGN(const auto target, reference(at, scope, keyword));
    ESP_ASSIGN(const FormulaId f, node(target.first, target.second));
    parts.push_back(f);
  }
  if (schema.contains("allOf")) {
    ESP_ASSIGN(const Parts all, list(at, scope, "allOf"));
    parts.insert(parts.end(), all.begin(), all.end());
  }
  if (schema.contains("anyOf")) {
    ESP_ASSIGN(Parts any, list(at, scope, "anyOf"));
    parts.push_back(formulas_.any(std::move(any)));
  }
  if (schema.contains("oneOf")) {
    ESP_ASSIGN(const Parts one, list(at, scope, "oneOf"));
    if (!fuel_->spend(one.size() * one.size())) {
      return fail(fuel_->error("schema " + at.pointer + "/oneOf"));
    }
    parts.push_back(exactly_one(one));
  }
  if (schema.contains("not")) {
    ESP_ASSIGN(const FormulaId f, child(at, scope, "not"));
    parts.push_back(formulas_.negate(f));
  }
  if (schema.contains("if")) {
    ESP_ASSIGN(const FormulaId condition, child(at, scope, "if"));
    if (schema.contains("then")) {
      ESP_ASSIGN(const FormulaId then, child(at, scope, "then"));
      parts.push_back(formulas_.any({formulas_.negate(condition), then}));
    }
    if (schema.contains("else")) {
      ESP_ASSIGN(const FormulaId otherwise, child(at, scope, "else"));
      parts.push_back(formulas_.any({condition, otherwise}));
    }
  }
  return {};
}

// Puts what applies to the same value in, depth first; a node that leads back to itself says
// nothing about any value.
Status SchemaGraph::expand_all() {
  struct Open {
    std::uint32_t node;
    Parts waits;  // nodes it speaks of
    std::size_t next = 0;
  };
  const auto mentioned = [&](FormulaId f) {
    Parts out;
    formulas_.map(f, [&](FormulaId l) {
      if (formulas_.atom(l).kind == AtomKind::kNode) out.push_back(formulas_.atom(l).a);
      return l;
    });
    return out;
  };
  for (std::uint32_t start = 0; start < nodes_.size(); ++start) {
    if (nodes_[start].state != 0) continue;
    std::vector<Open> open;
    nodes_[start].state = 1;
    open.push_back({start, mentioned(nodes_[start].formula), 0});
    while (!open.empty()) {
      Open& top = open.back();
      if (top.next < top.waits.size()) {
        const std::uint32_t to = top.waits[top.next++];
        if (nodes_[to].state == 1) {
          return schema_error(ErrorCode::kInvalid, nodes_[to].place.pointer,
                              "its references lead back to itself for the same value");
        }
        if (nodes_[to].state == 0) {
          if (open.size() >= kMaxInPlace) {
            return fail(ErrorCode::kLimit, "schema " + nodes_[to].place.pointer + ": more than " +
                                               std::to_string(kMaxInPlace) +
                                               " schemas inside each other for one value");
          }
          nodes_[to].state = 1;
          open.push_back({to, mentioned(nodes_[to].formula), 0});
        }
        continue;
      }
      Node& node = nodes_[top.node];
      const std::size_t before = formulas_.size();
      node.expanded = formulas_.map(node.formula, [&](FormulaId l) -> FormulaId {
        const Atom& atom = formulas_.atom(l);
        if (atom.kind != AtomKind::kNode) return l;
        const FormulaId f = nodes_[atom.a].expanded;
        return formulas_.negated(l) ? formulas_.negate(f) : f;
      });
      if (!fuel_->spend(1 + formulas_.size() - before)) {
        return fail(fuel_->error("schema " + node.place.pointer));
      }
      node.state = 2;
      open.pop_back();
    }
  }
  return {};
}

}  // namespace espalier::grammar
