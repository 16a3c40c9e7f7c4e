// Which keywords there are, in which drafts and vocabularies, and what becomes of each in a schema.
#include <algorithm>
#include <string_view>
#include <utility>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

enum class Use : std::uint8_t { kAnnotation, kEnforced, kValidation };
struct Keyword {
  std::string_view name;
  Use use;
  SchemaDraft first = SchemaDraft::k4, last = SchemaDraft::k2020;
};
using enum SchemaDraft;
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
    {"type", Use::kValidation},
    {"enum", Use::kValidation},
    {"const", Use::kValidation, k6},
    {"multipleOf", Use::kValidation},
    {"minimum", Use::kValidation},
    {"maximum", Use::kValidation},
    {"exclusiveMinimum", Use::kValidation},
    {"exclusiveMaximum", Use::kValidation},
    {"minLength", Use::kValidation},
    {"maxLength", Use::kValidation},
    {"pattern", Use::kValidation},
    {"format", Use::kEnforced},
    {"properties", Use::kEnforced},
    {"patternProperties", Use::kEnforced},
    {"additionalProperties", Use::kEnforced},
    {"propertyNames", Use::kEnforced, k6},
    {"required", Use::kValidation},
    {"minProperties", Use::kValidation},
    {"maxProperties", Use::kValidation},
    {"dependentRequired", Use::kValidation, k2019},
    {"dependentSchemas", Use::kEnforced, k2019},
    {"dependencies", Use::kEnforced},
    {"items", Use::kEnforced},
    {"prefixItems", Use::kEnforced, k2020},
    {"additionalItems", Use::kEnforced, k4, k2019},
    {"minItems", Use::kValidation},
    {"maxItems", Use::kValidation},
    {"uniqueItems", Use::kValidation},
    {"contains", Use::kEnforced, k6},
    {"minContains", Use::kValidation, k2019},
    {"maxContains", Use::kValidation, k2019},
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

// Annotations that tools have documented: what editors show beside a value, what generators of code
// name it, what descriptions of interfaces add. None of them says what a value may be: a keyword
// that could (`nullable`, `discriminator`, `typeof`) is not among them. What begins with `x-` is an
// annotation too.
constexpr std::string_view kToolAnnotations[] = {
    // The JSON language service of Visual Studio Code.
    "allowComments", "allowTrailingCommas", "completionDetail", "defaultSnippets",
    "deprecationMessage", "doNotSuggest", "enumDescriptions", "errorMessage", "markdownDescription",
    "markdownEnumDescriptions", "patternErrorMessage", "suggestSortText",
    // Settings of its extensions.
    "enumItemLabels", "markdownDeprecationMessage",
    // json-schema-to-typescript and jsonschema2pojo.
    "tsEnumNames", "tsType", "existingJavaType", "javaEnumNames", "javaEnums", "javaInterfaces",
    "javaName", "javaType",
    // Forms: JSON Editor and react-jsonschema-form.
    "enumNames", "headerTemplate", "propertyOrder",
    // OpenAPI, JSON Hyper-Schema, and Adobe's documents.
    "example", "externalDocs", "xml", "links", "meta:enum"};

// `dependencies` is enforced in every draft: 2019-09 has split it up and still reserves the name.

const Keyword* find_keyword(std::string_view name) {
  const auto* at = std::find_if(std::begin(kKeywords), std::end(kKeywords),
                                [&](const Keyword& k) { return k.name == name; });
  return at == std::end(kKeywords) ? nullptr : at;
}

bool of_a_tool(std::string_view name) {
  return std::find(std::begin(kToolAnnotations), std::end(kToolAnnotations), name) !=
         std::end(kToolAnnotations);
}

bool of_rules(const Keyword& keyword, const SchemaRules& rules) {
  if (keyword.use == Use::kValidation && !rules.validation) return false;
  return !rules.declared || (keyword.first <= rules.draft && rules.draft <= keyword.last);
}

std::string_view draft_name(SchemaDraft draft) {
  constexpr std::string_view kNames[] = {"draft 4", "draft 6", "draft 7", "draft 2019-09",
                                         "draft 2020-12"};
  return kNames[static_cast<std::size_t>(draft)];
}

}  // namespace

const Json* SchemaGraph::keyword(const SchemaPlace& at, std::string_view name) const {
  const auto it = at.schema->find(name);
  if (it == at.schema->end()) return nullptr;
  const Keyword* known = find_keyword(name);
  return known == nullptr || of_rules(*known, documents_.rules(at)) ? &*it : nullptr;
}

void SchemaGraph::note(const std::string& pointer, KeywordOutcome::Kind kind, std::string reason) {
  if (!examining_) return;
  const auto [it, fresh] = outcome_ids_.try_emplace(pointer, outcomes_.size());
  if (fresh) {
    outcomes_.push_back({kind, pointer, std::move(reason)});
  } else if (kind != KeywordOutcome::Kind::kEnforced) {
    outcomes_[it->second] = {kind, pointer, std::move(reason)};
  }
}

Result<FormulaId> SchemaGraph::unenforced(const std::string& pointer, const std::string& why) {
  note(pointer, options_.strict ? KeywordOutcome::Kind::kRefused : KeywordOutcome::Kind::kRecorded,
       why);
  if (options_.strict && !examining_) return schema_error(ErrorCode::kUnsupported, pointer, why);
  return formulas_.literal({AtomKind::kUnknown, unknowns_++, 0});
}

// Notes each keyword, and refuses those that nothing here knows.
Status SchemaGraph::read_keywords(const SchemaPlace& at, std::vector<FormulaId>& parts) {
  const SchemaRules& rules = documents_.rules(at);
  for (const auto& [key, value] : at.schema->items()) {
    const Keyword* known = find_keyword(key);
    if (key == "$schema" && at.schema == at.resource) {
      if (!rules.foreign.empty()) {
        ESP_ASSIGN(const FormulaId f,
                   unenforced(at.pointer + "/$schema",
                              "the schema language `" + rules.foreign + "` is not known"));
        parts.push_back(f);
      }
      continue;
    }
    if (known != nullptr && known->use == Use::kAnnotation) continue;
    if (known != nullptr && of_rules(*known, rules)) {
      if (examining_) {
        note(documents_.child(at, value, key).pointer, KeywordOutcome::Kind::kEnforced, {});
      }
      continue;
    }
    if (key.starts_with("x-") || (key == "id" && value.is_string()) || of_a_tool(key)) continue;
    const std::string why =
        known == nullptr ? "the keyword `" + key + "` is unknown"
        : known->use == Use::kValidation && !rules.validation
            ? "the metaschema has no vocabulary with the keyword `" + key + "`"
            : "the keyword `" + key + "` is not one of " + std::string(draft_name(rules.draft));
    if (options_.unknown_keywords) {
      note(documents_.child(at, value, key).pointer, KeywordOutcome::Kind::kRecorded, why);
      continue;
    }
    ESP_ASSIGN(const FormulaId f, unenforced(documents_.child(at, value, key).pointer, why));
    parts.push_back(f);
  }
  return {};
}

}  // namespace espalier::grammar
