#include "grammar/schema/schema_graph.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace espalier::grammar {
namespace {

using Parts = std::vector<FormulaId>;

}  // namespace

Result<std::shared_ptr<const SchemaGraph>> SchemaGraph::create(const Json& schema,
                                                               const SchemaOptions& options,
                                                               Fuel& fuel) {
  const std::shared_ptr<SchemaGraph> graph(new SchemaGraph(schema, options, fuel));
  ESP_TRY(graph->read());
  graph->outcomes_ = {};
  graph->forget();
  return graph;
}

Result<std::shared_ptr<const SchemaGraph>> SchemaGraph::examine(const Json& schema,
                                                                const SchemaOptions& options,
                                                                Fuel& fuel) {
  const std::shared_ptr<SchemaGraph> graph(new SchemaGraph(schema, options, fuel));
  graph->examining_ = true;
  ESP_TRY(graph->read());
  graph->forget();
  return graph;
}

// What was needed for reading alone: the documents, places in them, and numbers of things.
void SchemaGraph::forget() {
  fuel_ = nullptr;
  expanded_.reserve(nodes_.size());
  for (const Node& node : nodes_) expanded_.push_back(node.expanded);
  nodes_ = {};
  node_ids_.clear();
  scopes_ = {};
  scope_ids_.clear();
  outcome_ids_.clear();
  documents_.clear();
}

std::size_t SchemaGraph::held_bytes() const {
  constexpr std::size_t kNoDocuments = 600;  // of an empty deque
  return block_bytes(sizeof *this) + kNoDocuments + held_by_all(formulas_, expanded_, enumerated_);
}

Status SchemaGraph::read() {
  ESP_ASSIGN(const SchemaPlace root, documents_.root());
  ESP_ASSIGN(root_, node(root, 0));
  for (std::uint32_t i = 0; i < nodes_.size(); ++i) {
    if (!fuel_->spend()) return fail(fuel_->error("schema " + nodes_[i].place.pointer));
    ESP_ASSIGN(nodes_[i].formula, read_node(i));
  }
  ESP_TRY(expand_all());
  if (conditions_ >= kFewestConditions) ESP_TRY(tell_conditions_apart());
  if (root_ > Formulas::kTrue) root_ = nodes_[0].expanded;
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
  const SchemaRules& rules = documents_.rules(at);
  if (rules.declared && rules.draft <= SchemaDraft::k7 && at.schema->contains("$ref")) {
    note(at.pointer + "/$ref", KeywordOutcome::Kind::kEnforced, {});
    ESP_ASSIGN(const auto target, reference(at, scope, "$ref"));
    return node(target.first, target.second);
  }
  Parts parts;
  ESP_TRY(read_keywords(at, parts));
  ESP_TRY(read_values(at, parts));
  ESP_TRY(read_numbers(at, parts));
  ESP_TRY(read_strings(at, parts));
  ESP_TRY(read_objects(at, scope, parts));
  ESP_TRY(read_arrays(at, scope, parts));
  ESP_TRY(read_dependencies(at, scope, parts));
  ESP_TRY(read_combinations(at, scope, parts));
  ESP_TRY(read_unevaluated(at, scope, parts));
  return formulas_.all(parts);
}

// Exactly one of them. A branch excludes those that it may meet, for values that may be of both:
// none where the branches are told apart by a member or by their types, else this is quadratic.
FormulaId SchemaGraph::exactly_one(const Parts& branches,
                                   const std::vector<std::vector<Meeting>>& meets) {
  Parts any;
  for (std::size_t i = 0; i < branches.size(); ++i) {
    Parts all{branches[i]};
    for (const auto& [other, types] : meets[i]) {
      const FormulaId excluded = formulas_.negate(branches[other]);
      const FormulaId free = formulas_.literal({AtomKind::kType, types.bits(), 0}, true);
      all.push_back(formulas_.any({excluded, free}));
    }
    any.push_back(formulas_.all(all));
  }
  return formulas_.any(any);
}

Status SchemaGraph::read_combinations(const SchemaPlace& at, std::uint32_t scope, Parts& parts) {
  for (const char* name : {"$ref", "$dynamicRef", "$recursiveRef"}) {
    if (!has(at, name)) continue;
    ESP_ASSIGN(const auto target, reference(at, scope, name));
    ESP_ASSIGN(const FormulaId f, node(target.first, target.second));
    parts.push_back(f);
  }
  if (has(at, "allOf")) {
    ESP_ASSIGN(const Parts all, list(at, scope, "allOf"));
    parts.insert(parts.end(), all.begin(), all.end());
  }
  if (has(at, "anyOf")) {
    ESP_ASSIGN(Parts any, list(at, scope, "anyOf"));
    parts.push_back(formulas_.any(any));
  }
  if (has(at, "oneOf")) {
    ESP_ASSIGN(const Parts one, list(at, scope, "oneOf"));
    std::vector<SchemaPlace> places;
    const Json& branches = (*at.schema)["oneOf"];
    const SchemaPlace here = documents_.child(at, branches, "oneOf");
    for (std::size_t i = 0; i < branches.size(); ++i) {
      places.push_back(documents_.child(here, branches[i], std::to_string(i)));
    }
    const JsonTypes may = types_of_one(places);
    ESP_ASSIGN(const auto meets, meeting(at, places, may));
    parts.push_back(formulas_.types(may));
    parts.push_back(exactly_one(one, meets));
  }
  if (has(at, "not")) {
    ESP_ASSIGN(const FormulaId f, child(at, scope, "not"));
    parts.push_back(formulas_.negate(f));
  }
  if (has(at, "if")) {
    ++conditions_;
    ESP_ASSIGN(const FormulaId condition, child(at, scope, "if"));
    if (has(at, "then")) {
      ESP_ASSIGN(const FormulaId then, child(at, scope, "then"));
      parts.push_back(formulas_.any({formulas_.negate(condition), then}));
    }
    if (has(at, "else")) {
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
