#include "grammar/schema/schema_metaschema.h"

#include <string>

namespace espalier::grammar {
namespace {

using enum SchemaDraft;

// What a keyword's value is.
enum class Shape : std::uint8_t {
  kAny,
  kBoolean,
  kText,
  kReference,  // a URI reference
  kUri,
  kPattern,
  kName,  // of an anchor
  kNumber,
  kPositive,
  kCount,
  kList,
  kNames,
  kNameLists,  // names by name
  kSchema,
  kSchemas,  // a list of them, not empty
  kSchemaOrList,
  kSchemaMap,
  kPatternMap,    // schemas by pattern
  kDependencies,  // schemas or names by name
  kTypes,
  kEnum,
};

struct MetaKeyword {
  const char* name;
  Shape shape;
  SchemaDraft first = k4, last = k2020;
};

constexpr MetaKeyword kMetaKeywords[] = {
    {"$schema", Shape::kUri},
    {"id", Shape::kText, k4, k4},
    {"$id", Shape::kReference, k6},
    {"$ref", Shape::kReference},
    {"$anchor", Shape::kName, k2019},
    {"$dynamicRef", Shape::kReference, k2020},
    {"$dynamicAnchor", Shape::kName, k2020},
    {"$recursiveRef", Shape::kReference, k2019, k2019},
    {"$recursiveAnchor", Shape::kBoolean, k2019, k2019},
    {"$vocabulary", Shape::kAny, k2019},
    {"$comment", Shape::kText, k7},
    {"$defs", Shape::kSchemaMap, k2019},
    {"definitions", Shape::kSchemaMap},
    {"title", Shape::kText},
    {"description", Shape::kText},
    {"default", Shape::kAny},
    {"deprecated", Shape::kBoolean, k2019},
    {"readOnly", Shape::kBoolean, k7},
    {"writeOnly", Shape::kBoolean, k7},
    {"examples", Shape::kList, k6},
    {"multipleOf", Shape::kPositive},
    {"maximum", Shape::kNumber},
    {"exclusiveMaximum", Shape::kBoolean, k4, k4},
    {"exclusiveMaximum", Shape::kNumber, k6},
    {"minimum", Shape::kNumber},
    {"exclusiveMinimum", Shape::kBoolean, k4, k4},
    {"exclusiveMinimum", Shape::kNumber, k6},
    {"maxLength", Shape::kCount},
    {"minLength", Shape::kCount},
    {"pattern", Shape::kPattern},
    {"format", Shape::kText},
    {"maxItems", Shape::kCount},
    {"minItems", Shape::kCount},
    {"uniqueItems", Shape::kBoolean},
    {"maxContains", Shape::kCount, k2019},
    {"minContains", Shape::kCount, k2019},
    {"maxProperties", Shape::kCount},
    {"minProperties", Shape::kCount},
    {"required", Shape::kNames},
    {"dependentRequired", Shape::kNameLists, k2019},
    {"enum", Shape::kEnum},
    {"const", Shape::kAny, k6},
    {"type", Shape::kTypes},
    {"prefixItems", Shape::kSchemas, k2020},
    {"items", Shape::kSchemaOrList, k4, k2019},
    {"items", Shape::kSchema, k2020},
    {"additionalItems", Shape::kSchema, k4, k2019},
    {"contains", Shape::kSchema, k6},
    {"additionalProperties", Shape::kSchema},
    {"properties", Shape::kSchemaMap},
    {"patternProperties", Shape::kPatternMap},
    {"dependencies", Shape::kDependencies},
    {"dependentSchemas", Shape::kSchemaMap, k2019},
    {"propertyNames", Shape::kSchema, k6},
    {"if", Shape::kSchema, k7},
    {"then", Shape::kSchema, k7},
    {"else", Shape::kSchema, k7},
    {"allOf", Shape::kSchemas},
    {"anyOf", Shape::kSchemas},
    {"oneOf", Shape::kSchemas},
    {"not", Shape::kSchema},
    {"unevaluatedItems", Shape::kSchema, k2019},
    {"unevaluatedProperties", Shape::kSchema, k2019},
    {"contentMediaType", Shape::kText, k7},
    {"contentEncoding", Shape::kText, k7},
    {"contentSchema", Shape::kSchema, k2019},
};

Json referring(const char* to) { return {{"$ref", to}}; }
Json typed(const char* type) { return {{"type", type}}; }
Json map_of(Json values) {
  return {{"type", "object"}, {"additionalProperties", std::move(values)}};
}

Json schema_of(Shape shape, SchemaDraft draft) {
  const bool names_may_lack = draft >= k6;  // before, a list of names has one at least
  const auto names = [&] {
    Json out = {{"type", "array"}, {"items", typed("string")}, {"uniqueItems", true}};
    if (!names_may_lack) out["minItems"] = 1;
    return out;
  };
  switch (shape) {
    case Shape::kAny:
      return Json::object();
    case Shape::kBoolean:
      return typed("boolean");
    case Shape::kText:
      return typed("string");
    case Shape::kReference:
      return {{"type", "string"}, {"format", "uri-reference"}};
    case Shape::kUri:
      return {{"type", "string"}, {"format", "uri"}};
    case Shape::kPattern:
      return {{"type", "string"}, {"format", "regex"}};
    case Shape::kName:
      return {{"type", "string"}, {"pattern", "^[A-Za-z_][-A-Za-z0-9._]*$"}};
    case Shape::kNumber:
      return typed("number");
    case Shape::kPositive: {
      Json out = typed("number");
      if (draft == k4) {
        out["minimum"] = 0, out["exclusiveMinimum"] = true;
      } else {
        out["exclusiveMinimum"] = 0;
      }
      return out;
    }
    case Shape::kCount:
      return {{"type", "integer"}, {"minimum", 0}};
    case Shape::kList:
      return typed("array");
    case Shape::kNames:
      return names();
    case Shape::kNameLists:
      return map_of(names());
    case Shape::kSchema:
      return draft == k4 ? Json{{"anyOf", {typed("boolean"), referring("#")}}} : referring("#");
    case Shape::kSchemas:
      return {{"type", "array"}, {"minItems", 1}, {"items", referring("#")}};
    case Shape::kSchemaOrList:
      return {{"anyOf", {referring("#"), schema_of(Shape::kSchemas, draft)}}};
    case Shape::kSchemaMap:
      return map_of(referring("#"));
    case Shape::kPatternMap: {
      Json out = map_of(referring("#"));
      if (draft >= k6) out["propertyNames"] = {{"format", "regex"}};
      return out;
    }
    case Shape::kDependencies:
      return map_of({{"anyOf", {referring("#"), names()}}});
    case Shape::kTypes: {
      const Json one = referring("#/definitions/simpleTypes");
      return {{"anyOf",
               {one, {{"type", "array"}, {"items", one}, {"minItems", 1}, {"uniqueItems", true}}}}};
    }
    case Shape::kEnum:
      if (draft >= k6) return typed("array");
      return {{"type", "array"}, {"minItems", 1}, {"uniqueItems", true}};
  }
  return Json::object();
}

std::string_view uri_of(SchemaDraft draft) {
  switch (draft) {
    case k4:
      return "http://json-schema.org/draft-04/schema";
    case k6:
      return "http://json-schema.org/draft-06/schema";
    case k7:
      return "http://json-schema.org/draft-07/schema";
    case k2019:
      return "https://json-schema.org/draft/2019-09/schema";
    case k2020:
      break;
  }
  return "https://json-schema.org/draft/2020-12/schema";
}

std::string_view without_scheme(std::string_view uri) {
  const std::size_t slashes = uri.find("://");
  return slashes == std::string_view::npos ? uri : uri.substr(slashes + 3);
}

}  // namespace

std::optional<SchemaDraft> draft_of(std::string_view uri) {
  if (uri.ends_with('#')) uri.remove_suffix(1);
  if (!uri.starts_with("http")) return std::nullopt;
  for (const SchemaDraft draft : {k4, k6, k7, k2019, k2020}) {
    if (without_scheme(uri) == without_scheme(uri_of(draft))) return draft;
  }
  return std::nullopt;
}

Json metaschema(SchemaDraft draft) {
  const std::string uri(uri_of(draft));
  Json out = {{"$schema", uri}, {draft == k4 ? "id" : "$id", uri}};
  out["type"] = draft == k4 ? Json("object") : Json::array({"object", "boolean"});
  Json properties = Json::object();
  for (const MetaKeyword& keyword : kMetaKeywords) {
    if (keyword.first > draft || draft > keyword.last) continue;
    properties[keyword.name] = schema_of(keyword.shape, draft);
  }
  out["properties"] = std::move(properties);
  if (draft == k4) {
    out["dependencies"] = {{"exclusiveMaximum", {"maximum"}}, {"exclusiveMinimum", {"minimum"}}};
  }
  // What other schemas refer to by these names.
  Json& definitions = out["definitions"];
  definitions["schemaArray"] = schema_of(Shape::kSchemas, draft);
  definitions["stringArray"] = schema_of(Shape::kNames, draft);
  definitions["simpleTypes"] = {
      {"enum", {"array", "boolean", "integer", "null", "number", "object", "string"}}};
  for (const char* count : {"positiveInteger", "positiveIntegerDefault0", "nonNegativeInteger",
                            "nonNegativeIntegerDefault0"}) {
    definitions[count] = schema_of(Shape::kCount, draft);
  }
  return out;
}

}  // namespace espalier::grammar
