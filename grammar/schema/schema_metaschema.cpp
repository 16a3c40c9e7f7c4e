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

// The drafts from 2019-09 on have a schema for each vocabulary, which theirs puts together.
enum class Part : std::uint8_t {
  kCore,
  kApplicator,
  kUnevaluated,  // in 2019-09 one with kApplicator
  kValidation,
  kMetaData,
  kFormat,
  kContent,
  kOlder,  // of no vocabulary
};

struct MetaKeyword {
  const char* name;
  Part part;
  Shape shape;
  SchemaDraft first = k4, last = k2020;
};

constexpr MetaKeyword kMetaKeywords[] = {
    {"$schema", Part::kCore, Shape::kUri},
    {"id", Part::kCore, Shape::kText, k4, k4},
    {"$id", Part::kCore, Shape::kReference, k6},
    {"$ref", Part::kCore, Shape::kReference},
    {"$anchor", Part::kCore, Shape::kName, k2019},
    {"$dynamicRef", Part::kCore, Shape::kReference, k2020},
    {"$dynamicAnchor", Part::kCore, Shape::kName, k2020},
    {"$recursiveRef", Part::kCore, Shape::kReference, k2019, k2019},
    {"$recursiveAnchor", Part::kCore, Shape::kBoolean, k2019, k2019},
    {"$vocabulary", Part::kCore, Shape::kAny, k2019},
    {"$comment", Part::kCore, Shape::kText, k7},
    {"$defs", Part::kCore, Shape::kSchemaMap, k2019},
    {"definitions", Part::kOlder, Shape::kSchemaMap},
    {"title", Part::kMetaData, Shape::kText},
    {"description", Part::kMetaData, Shape::kText},
    {"default", Part::kMetaData, Shape::kAny},
    {"deprecated", Part::kMetaData, Shape::kBoolean, k2019},
    {"readOnly", Part::kMetaData, Shape::kBoolean, k7},
    {"writeOnly", Part::kMetaData, Shape::kBoolean, k7},
    {"examples", Part::kMetaData, Shape::kList, k6},
    {"multipleOf", Part::kValidation, Shape::kPositive},
    {"maximum", Part::kValidation, Shape::kNumber},
    {"exclusiveMaximum", Part::kValidation, Shape::kBoolean, k4, k4},
    {"exclusiveMaximum", Part::kValidation, Shape::kNumber, k6},
    {"minimum", Part::kValidation, Shape::kNumber},
    {"exclusiveMinimum", Part::kValidation, Shape::kBoolean, k4, k4},
    {"exclusiveMinimum", Part::kValidation, Shape::kNumber, k6},
    {"maxLength", Part::kValidation, Shape::kCount},
    {"minLength", Part::kValidation, Shape::kCount},
    {"pattern", Part::kValidation, Shape::kPattern},
    {"format", Part::kFormat, Shape::kText},
    {"maxItems", Part::kValidation, Shape::kCount},
    {"minItems", Part::kValidation, Shape::kCount},
    {"uniqueItems", Part::kValidation, Shape::kBoolean},
    {"maxContains", Part::kValidation, Shape::kCount, k2019},
    {"minContains", Part::kValidation, Shape::kCount, k2019},
    {"maxProperties", Part::kValidation, Shape::kCount},
    {"minProperties", Part::kValidation, Shape::kCount},
    {"required", Part::kValidation, Shape::kNames},
    {"dependentRequired", Part::kValidation, Shape::kNameLists, k2019},
    {"enum", Part::kValidation, Shape::kEnum},
    {"const", Part::kValidation, Shape::kAny, k6},
    {"type", Part::kValidation, Shape::kTypes},
    {"prefixItems", Part::kApplicator, Shape::kSchemas, k2020},
    {"items", Part::kApplicator, Shape::kSchemaOrList, k4, k2019},
    {"items", Part::kApplicator, Shape::kSchema, k2020},
    {"additionalItems", Part::kApplicator, Shape::kSchema, k4, k2019},
    {"contains", Part::kApplicator, Shape::kSchema, k6},
    {"additionalProperties", Part::kApplicator, Shape::kSchema},
    {"properties", Part::kApplicator, Shape::kSchemaMap},
    {"patternProperties", Part::kApplicator, Shape::kPatternMap},
    {"dependencies", Part::kOlder, Shape::kDependencies},
    {"dependentSchemas", Part::kApplicator, Shape::kSchemaMap, k2019},
    {"propertyNames", Part::kApplicator, Shape::kSchema, k6},
    {"if", Part::kApplicator, Shape::kSchema, k7},
    {"then", Part::kApplicator, Shape::kSchema, k7},
    {"else", Part::kApplicator, Shape::kSchema, k7},
    {"allOf", Part::kApplicator, Shape::kSchemas},
    {"anyOf", Part::kApplicator, Shape::kSchemas},
    {"oneOf", Part::kApplicator, Shape::kSchemas},
    {"not", Part::kApplicator, Shape::kSchema},
    {"unevaluatedItems", Part::kUnevaluated, Shape::kSchema, k2019},
    {"unevaluatedProperties", Part::kUnevaluated, Shape::kSchema, k2019},
    {"contentMediaType", Part::kContent, Shape::kText, k7},
    {"contentEncoding", Part::kContent, Shape::kText, k7},
    {"contentSchema", Part::kContent, Shape::kSchema, k2019},
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

struct PartName {
  const char* name;
  Part part;
  SchemaDraft first = k2019, last = k2020;
};
constexpr PartName kPartNames[] = {
    {"core", Part::kCore},
    {"applicator", Part::kApplicator},
    {"unevaluated", Part::kUnevaluated, k2020},
    {"validation", Part::kValidation},
    {"meta-data", Part::kMetaData},
    {"format", Part::kFormat, k2019, k2019},
    {"format-annotation", Part::kFormat, k2020},
    {"format-assertion", Part::kFormat, k2020},
    {"content", Part::kContent},
};

std::string_view without_scheme(std::string_view uri) {
  const std::size_t slashes = uri.find("://");
  return slashes == std::string_view::npos ? uri : uri.substr(slashes + 3);
}

bool same_uri(std::string_view uri, std::string_view known) {
  return uri.starts_with("http") && without_scheme(uri) == without_scheme(known);
}

// What other schemas refer to by these names.
Json definitions_of(SchemaDraft draft) {
  Json out = {{"schemaArray", schema_of(Shape::kSchemas, draft)},
              {"stringArray", schema_of(Shape::kNames, draft)},
              {"anchorString", schema_of(Shape::kName, draft)},
              {"uriString", schema_of(Shape::kUri, draft)},
              {"uriReferenceString", schema_of(Shape::kReference, draft)}};
  out["simpleTypes"] = {
      {"enum", {"array", "boolean", "integer", "null", "number", "object", "string"}}};
  for (const char* count : {"positiveInteger", "positiveIntegerDefault0", "nonNegativeInteger",
                            "nonNegativeIntegerDefault0"}) {
    out[count] = schema_of(Shape::kCount, draft);
  }
  return out;
}

// The members of `out` that say what the keywords of a part, or all, are.
void add_keywords(Json& out, SchemaDraft draft, std::optional<Part> part) {
  Json properties = Json::object();
  for (const MetaKeyword& keyword : kMetaKeywords) {
    if (keyword.first > draft || draft > keyword.last) continue;
    const bool joined = keyword.part == Part::kUnevaluated && draft == k2019;
    if (part && *part != (joined ? Part::kApplicator : keyword.part)) continue;
    properties[keyword.name] = schema_of(keyword.shape, draft);
  }
  out["type"] = draft == k4 ? Json("object") : Json::array({"object", "boolean"});
  out["properties"] = std::move(properties);
  out["definitions"] = definitions_of(draft);
}

// Schemas inside a schema are those of the whole that the part is put into.
void refer_to_whole(Json& schema, SchemaDraft draft) {
  if (schema.is_array() || schema.is_object()) {
    for (Json& inner : schema) refer_to_whole(inner, draft);
  }
  if (schema.is_object() && schema.value("$ref", Json()) == "#") {
    schema.erase("$ref");
    schema[draft == k2019 ? "$recursiveRef" : "$dynamicRef"] = draft == k2019 ? "#" : "#meta";
  }
}

Json part_of(SchemaDraft draft, Part part, const std::string& uri) {
  Json out = Json::object();
  add_keywords(out, draft, part);
  out["$defs"] = out["definitions"];
  refer_to_whole(out, draft);
  out["$schema"] = uri_of(draft);
  out["$id"] = uri;
  if (draft == k2019) {
    out["$recursiveAnchor"] = true;
  } else {
    out["$dynamicAnchor"] = "meta";
  }
  return out;
}

Json whole(SchemaDraft draft) {
  const std::string uri(uri_of(draft));
  Json out = {{"$schema", uri}, {draft == k4 ? "id" : "$id", uri}};
  add_keywords(out, draft, std::nullopt);
  if (draft == k4) {
    out["dependencies"] = {{"exclusiveMaximum", {"maximum"}}, {"exclusiveMinimum", {"minimum"}}};
  }
  return out;
}

}  // namespace

std::optional<SchemaDraft> draft_of(std::string_view uri) {
  if (uri.ends_with('#')) uri.remove_suffix(1);
  for (const SchemaDraft draft : {k4, k6, k7, k2019, k2020}) {
    if (same_uri(uri, uri_of(draft))) return draft;
  }
  return std::nullopt;
}

std::optional<Json> metaschema(const std::string& uri) {
  if (const auto draft = draft_of(uri)) return whole(*draft);
  for (const SchemaDraft draft : {k2019, k2020}) {
    std::string_view folder = uri_of(draft);
    folder.remove_suffix(std::string_view("schema").size());
    for (const PartName& known : kPartNames) {
      if (known.first > draft || draft > known.last) continue;
      if (same_uri(uri, std::string(folder) + "meta/" + known.name)) {
        return part_of(draft, known.part, uri);
      }
    }
  }
  return std::nullopt;
}

}  // namespace espalier::grammar
