// Proof that no value satisfies two schemas: what makes `oneOf` the same as `anyOf`.
//
// Three arguments, each enough: no type in common; enumerated values of which none is in both; and
// for objects (where only they are in common) a member that both require and whose schemas are
// disjoint, or that one requires and the other forbids. A false answer means "not proved".
#include "grammar/json_schema_compile.h"

#include <algorithm>

namespace espalier::grammar {
namespace {

constexpr int kDeepest = 8;      // members inside members that the proof looks into
constexpr int kReferences = 32;  // references in a row

bool requires_member(const Json& schema, const std::string& key) {
  const auto it = schema.find("required");
  return it != schema.end() && it->is_array() &&
         std::find(it->begin(), it->end(), key) != it->end();
}

bool forbids_member(const Json& schema, const std::string& key) {
  const auto additional = schema.find("additionalProperties");
  if (additional == schema.end() || !additional->is_boolean() || additional->get<bool>())
    return false;
  const auto properties = schema.find("properties");
  return !schema.contains("patternProperties") &&
         (properties == schema.end() || (properties->is_object() && !properties->contains(key)));
}

}  // namespace

Result<SchemaPlace> SchemaCompiler::behind_references(SchemaPlace at) const {
  for (int i = 0; i < kReferences && at.schema->is_object(); ++i) {
    const auto it = at.schema->find("$ref");
    if (it == at.schema->end() || !it->is_string()) break;
    ESP_ASSIGN(at, resolve_reference(root_, at, it->get_ref<const std::string&>()));
  }
  return at;
}

Result<JsonTypes> SchemaCompiler::possible_types(const SchemaPlace& at) const {
  if (!at.schema->is_object()) {
    return JsonTypes(at.schema->is_boolean() && !at.schema->get<bool>() ? 0 : JsonTypes::kAll);
  }
  ESP_ASSIGN(JsonTypes types, read_types(at));
  ESP_ASSIGN(const auto enumerated, read_values(at));
  if (enumerated) {
    JsonTypes named(0);
    for (const Json* value : *enumerated) named = named | type_of(*value);
    types = types & named;
  }
  return types;
}

Result<bool> SchemaCompiler::disjoint(const SchemaPlace& first, const SchemaPlace& second,
                                      int depth) {
  if (!pool_.fuel().spend()) return fail(pool_.fuel().error("schema " + first.pointer));
  ESP_ASSIGN(const SchemaPlace a, behind_references(first));
  ESP_ASSIGN(const SchemaPlace b, behind_references(second));
  ESP_ASSIGN(const JsonTypes a_types, possible_types(a));
  ESP_ASSIGN(const JsonTypes b_types, possible_types(b));
  const JsonTypes common = a_types & b_types;
  if (common.none()) return true;
  if (!a.schema->is_object() || !b.schema->is_object()) return false;
  ESP_ASSIGN(const auto a_values, read_values(a));
  ESP_ASSIGN(const auto b_values, read_values(b));
  if (a_values && b_values) {
    for (const Json* x : *a_values) {
      if (!pool_.fuel().spend(b_values->size()))
        return fail(pool_.fuel().error("schema " + first.pointer));
      for (const Json* y : *b_values) {
        if (*x == *y) return false;
      }
    }
    return true;
  }
  if (common != JsonTypes(JsonTypes::kObject) || depth >= kDeepest) return false;
  for (const auto& [one, other] : {std::pair(&a, &b), std::pair(&b, &a)}) {
    const auto required = one->schema->find("required");
    if (required == one->schema->end() || !required->is_array()) continue;
    for (const Json& name : *required) {
      if (!name.is_string()) continue;
      const auto& key = name.get_ref<const std::string&>();
      if (forbids_member(*other->schema, key)) return true;
      if (!requires_member(*other->schema, key)) continue;
      const auto mine = one->schema->find("properties");
      const auto theirs = other->schema->find("properties");
      if (mine == one->schema->end() || theirs == other->schema->end()) continue;
      if (!mine->is_object() || !theirs->is_object()) continue;
      const auto x = mine->find(key);
      const auto y = theirs->find(key);
      if (x == mine->end() || y == theirs->end()) continue;
      ESP_ASSIGN(const bool apart,
                 disjoint(one->child(*mine, "properties").child(*x, key),
                          other->child(*theirs, "properties").child(*y, key), depth + 1));
      if (apart) return true;
    }
  }
  return false;
}

}  // namespace espalier::grammar
