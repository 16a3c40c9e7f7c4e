// Of which types of values a schema says anything. A value of which two branches of a `oneOf` say
// nothing satisfies both, so it is none that the `oneOf` lets through: branches that speak of
// objects alone, as most do which leave `type` out, are told apart as if they named it.
#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kDepth = 16;  // of references and allOf that are looked through

// Keywords that hold for every value of other types, and those that say nothing of any.
constexpr std::pair<std::string_view, JsonTypes::Bit> kOfOneType[] = {
    {"properties", JsonTypes::kObject},
    {"patternProperties", JsonTypes::kObject},
    {"additionalProperties", JsonTypes::kObject},
    {"unevaluatedProperties", JsonTypes::kObject},
    {"propertyNames", JsonTypes::kObject},
    {"required", JsonTypes::kObject},
    {"minProperties", JsonTypes::kObject},
    {"maxProperties", JsonTypes::kObject},
    {"dependentRequired", JsonTypes::kObject},
    {"dependentSchemas", JsonTypes::kObject},
    {"dependencies", JsonTypes::kObject},
    {"items", JsonTypes::kArray},
    {"prefixItems", JsonTypes::kArray},
    {"additionalItems", JsonTypes::kArray},
    {"unevaluatedItems", JsonTypes::kArray},
    {"contains", JsonTypes::kArray},
    {"minContains", JsonTypes::kArray},
    {"maxContains", JsonTypes::kArray},
    {"minItems", JsonTypes::kArray},
    {"maxItems", JsonTypes::kArray},
    {"uniqueItems", JsonTypes::kArray},
    {"minLength", JsonTypes::kString},
    {"maxLength", JsonTypes::kString},
    {"pattern", JsonTypes::kString},
    {"minimum", JsonTypes::kNumber},
    {"maximum", JsonTypes::kNumber},
    {"exclusiveMinimum", JsonTypes::kNumber},
    {"exclusiveMaximum", JsonTypes::kNumber},
    {"multipleOf", JsonTypes::kNumber},
};
constexpr std::string_view kOfNone[] = {
    "title", "description", "default",     "examples", "$comment", "deprecated",  "readOnly",
    "$defs", "writeOnly",   "definitions", "$anchor",  "$schema",  "$vocabulary", "$dynamicAnchor"};

}  // namespace

JsonTypes SchemaGraph::spoken_types(const SchemaPlace& at, std::size_t depth) {
  if (*at.schema == true) return {0};
  if (!at.schema->is_object() || depth > kDepth) return {};
  JsonTypes out(0);
  for (const auto& [name, said] : at.schema->items()) {
    if (name == "$ref" && said.is_string()) {
      const auto to = documents_.resolve(at, said.get_ref<const std::string&>(), "$ref");
      out = out | (to ? spoken_types(*to, depth + 1) : JsonTypes());
    } else if (name == "allOf" && said.is_array()) {
      const SchemaPlace here = documents_.child(at, said, "allOf");
      for (std::size_t i = 0; i < said.size() && out != JsonTypes(); ++i) {
        out = out | spoken_types(documents_.child(here, said[i], std::to_string(i)), depth + 1);
      }
    } else if (const auto* own = std::ranges::find(
                   kOfOneType, name, &std::pair<std::string_view, JsonTypes::Bit>::first);
               own != std::end(kOfOneType)) {
      out = out | JsonTypes(own->second);
    } else if (std::ranges::find(kOfNone, name) == std::end(kOfNone)) {
      return {};
    }
  }
  return out;
}

JsonTypes SchemaGraph::types_of_one(const std::vector<SchemaPlace>& branches) {
  constexpr std::uint8_t kTypes[] = {JsonTypes::kNull,  JsonTypes::kBoolean, JsonTypes::kObject,
                                     JsonTypes::kArray, JsonTypes::kString,  JsonTypes::kNumber};
  JsonTypes once(0), twice(0);  // of which so many branches say nothing
  for (const SchemaPlace& branch : branches) {
    const JsonTypes spoken = spoken_types(branch, 0);
    for (const JsonTypes type : kTypes) {
      if (!(spoken & type).none()) continue;
      twice = twice | (once & type);
      once = once | type;
    }
    if (twice == JsonTypes()) break;
  }
  return {static_cast<std::uint8_t>(JsonTypes::kAll & ~twice.bits())};
}

}  // namespace espalier::grammar
