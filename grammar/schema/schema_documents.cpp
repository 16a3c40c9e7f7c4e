#include "grammar/schema/schema_documents.h"

#include <algorithm>
#include <utility>

#include "grammar/schema/schema_metaschema.h"

namespace espalier::grammar {
namespace {

struct Uri {
  std::string_view scheme, authority, path, query;
  bool has_scheme = false, has_authority = false, has_query = false;
};

Uri split(std::string_view text) {
  Uri out;
  const std::size_t colon = text.find_first_of(":/?");
  if (colon != std::string_view::npos && text[colon] == ':' && colon > 0) {
    out.scheme = text.substr(0, colon);
    out.has_scheme = true;
    text.remove_prefix(colon + 1);
  }
  if (text.starts_with("//")) {
    const std::size_t end = std::min(text.find_first_of("/?", 2), text.size());
    out.authority = text.substr(2, end - 2);
    out.has_authority = true;
    text.remove_prefix(end);
  }
  const std::size_t question = std::min(text.find('?'), text.size());
  out.path = text.substr(0, question);
  if (question < text.size()) {
    out.query = text.substr(question + 1);
    out.has_query = true;
  }
  return out;
}

std::string without_dots(std::string_view path) {
  std::vector<std::string_view> segments;
  const bool rooted = path.starts_with('/');
  if (rooted) path.remove_prefix(1);
  for (bool last = false; !last;) {
    const std::size_t slash = path.find('/');
    last = slash == std::string_view::npos;
    const std::string_view segment = path.substr(0, slash);
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
      if (last) segments.emplace_back();
    } else if (segment == ".") {
      if (last) segments.emplace_back();
    } else {
      segments.push_back(segment);
    }
    if (!last) path.remove_prefix(slash + 1);
  }
  std::string out = rooted ? "/" : "";
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (i > 0) out += '/';
    out += segments[i];
  }
  return out;
}

bool percent_decode(std::string_view text, std::string& out) {
  if (text.find('%') == std::string_view::npos) {
    out = text;
    return true;
  }
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return false;
    out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
    i += 2;
  }
  return true;
}

bool unescape_token(std::string_view token, std::string& out) {
  if (token.find('~') == std::string_view::npos) {
    out = token;
    return true;
  }
  for (std::size_t i = 0; i < token.size(); ++i) {
    if (token[i] != '~') {
      out += token[i];
      continue;
    }
    if (i + 1 >= token.size() || (token[i + 1] != '0' && token[i + 1] != '1')) return false;
    out += token[++i] == '0' ? '~' : '/';
  }
  return true;
}

const std::string* text_of(const Json& schema, const char* key) {
  if (!schema.is_object()) return nullptr;
  const auto it = schema.find(key);
  return it != schema.end() && it->is_string() ? it->get_ptr<const std::string*>() : nullptr;
}

// What a schema says of where it stands, in one pass over its keys.
struct Names {
  explicit Names(const Json& value) {
    if (!value.is_object()) return;
    for (const auto& [key, held] : value.get_ref<const Json::object_t&>()) {
      if (key == "id") id = held.get_ptr<const std::string*>();
      if (!key.starts_with('$')) continue;
      if (key == "$schema") schema = held.get_ptr<const std::string*>();
      if (key == "$id") dollar_id = held.get_ptr<const std::string*>();
      if (key == "$anchor") anchor = held.get_ptr<const std::string*>();
      if (key == "$dynamicAnchor") dynamic_anchor = held.get_ptr<const std::string*>();
      refers = refers || key == "$ref";
      dynamic = dynamic || key.starts_with("$dynamic") || key.starts_with("$recursive");
    }
  }

  const std::string *schema = nullptr, *id = nullptr, *dollar_id = nullptr;  // where they are text
  const std::string *anchor = nullptr, *dynamic_anchor = nullptr;
  bool refers = false;  // by `$ref`
  // … by a reference whose target depends on the way there, or may be the target of one in the
  // drafts' own schemas, which are read later.
  bool dynamic = false;
};

std::optional<SchemaDraft> draft_named(std::string_view uri) {
  if (uri.find("json-schema.org/") == std::string_view::npos) return std::nullopt;
  if (uri.find("draft-04") != std::string_view::npos) return SchemaDraft::k4;
  if (uri.find("draft-06") != std::string_view::npos) return SchemaDraft::k6;
  if (uri.find("draft-07") != std::string_view::npos) return SchemaDraft::k7;
  if (uri.find("2019-09") != std::string_view::npos) return SchemaDraft::k2019;
  if (uri.find("2020-12") != std::string_view::npos) return SchemaDraft::k2020;
  return std::nullopt;  // "the latest", whenever that was written
}

// Where schemas stand inside a schema: under other keywords nothing is one, whatever it looks like.
enum class Holds : std::uint8_t { kNone, kSchema, kSchemas, kSchemaMap };
Holds held_by(std::string_view keyword) {
  static constexpr std::pair<std::string_view, Holds> kHolders[] = {
      {"additionalItems", Holds::kSchema},
      {"additionalProperties", Holds::kSchema},
      {"contains", Holds::kSchema},
      {"contentSchema", Holds::kSchema},
      {"else", Holds::kSchema},
      {"if", Holds::kSchema},
      {"items", Holds::kSchemas},  // one, or in older drafts a list
      {"not", Holds::kSchema},
      {"propertyNames", Holds::kSchema},
      {"then", Holds::kSchema},
      {"unevaluatedItems", Holds::kSchema},
      {"unevaluatedProperties", Holds::kSchema},
      {"allOf", Holds::kSchemas},
      {"anyOf", Holds::kSchemas},
      {"oneOf", Holds::kSchemas},
      {"prefixItems", Holds::kSchemas},
      {"$defs", Holds::kSchemaMap},
      {"definitions", Holds::kSchemaMap},
      {"dependencies", Holds::kSchemaMap},
      {"dependentSchemas", Holds::kSchemaMap},
      {"patternProperties", Holds::kSchemaMap},
      {"properties", Holds::kSchemaMap},
  };
  for (const auto& [name, holds] : kHolders) {
    if (name == keyword) return holds;
  }
  return Holds::kNone;
}

}  // namespace

std::string resolve_uri(std::string_view base_text, std::string_view reference_text) {
  const Uri base = split(base_text);
  const Uri reference = split(reference_text);
  Uri out = reference;
  std::string path;
  if (reference.has_scheme || reference.has_authority) {
    path = without_dots(reference.path);
    if (!reference.has_scheme) out.scheme = base.scheme, out.has_scheme = base.has_scheme;
  } else {
    out.scheme = base.scheme, out.has_scheme = base.has_scheme;
    out.authority = base.authority, out.has_authority = base.has_authority;
    if (reference.path.empty()) {
      path = base.path;
      if (!reference.has_query) out.query = base.query, out.has_query = base.has_query;
    } else if (reference.path.starts_with('/')) {
      path = without_dots(reference.path);
    } else {
      const std::size_t slash = base.path.rfind('/');
      std::string merged =
          base.has_authority && base.path.empty()
              ? "/"
              : std::string(base.path.substr(0, slash == std::string_view::npos ? 0 : slash + 1));
      merged += reference.path;
      path = without_dots(merged);
    }
  }
  std::string text;
  if (out.has_scheme) text += std::string(out.scheme) + ":";
  if (out.has_authority) text += "//" + std::string(out.authority);
  text += path;
  if (out.has_query) text += "?" + std::string(out.query);
  return text;
}

Result<SchemaPlace> SchemaDocuments::root() {
  if (!loaded_) {
    ESP_TRY(add(*schema_, options_.base_uri));
    loaded_ = true;
  }
  return resources_.at(schema_).place;
}

SchemaPlace SchemaDocuments::child(const SchemaPlace& at, const Json& value,
                                   std::string_view key) const {
  return {&value, resources_.contains(&value) ? &value : at.resource,
          at.pointer + "/" + pointer_token(key)};
}

const SchemaRules& SchemaDocuments::rules(const SchemaPlace& at) const {
  return resources_.at(at.resource).rules;
}

// What the metaschema at `uri` says of the keywords of schemas that name it.
Status SchemaDocuments::read_metaschema(const std::string& uri, const std::string& pointer,
                                        SchemaRules& rules) {
  rules.foreign = uri;
  if (!options_.resolver || uri.find("json-schema.org/") != std::string::npos) return {};
  const auto document = options_.resolver(uri.substr(0, uri.find('#')));
  if (!document) return {};
  ESP_TRY(check_schema_document(*document, SchemaOptions::kMaxDepth));
  if (const std::string* schema = text_of(*document, "$schema")) {
    if (const auto named = draft_named(*schema)) rules.draft = *named, rules.declared = true;
  }
  const auto vocabularies = document->is_object() ? document->find("$vocabulary") : document->end();
  if (!document->is_object() || vocabularies == document->end() || !vocabularies->is_object()) {
    return {};
  }
  rules.validation = false;
  for (const auto& [name, required] : vocabularies->items()) {
    const std::string_view known = name;
    const bool ours = known.find("json-schema.org/draft/") != std::string_view::npos;
    if (ours && known.ends_with("/vocab/validation")) rules.validation = true;
    if (ours && known.ends_with("/vocab/format-assertion")) rules.formats = true;
    if (ours && known.ends_with("/vocab/format-annotation")) rules.formats = false;
    if (!ours && required == true) {
      return schema_error(ErrorCode::kUnsupported, pointer + "/$schema",
                          "`" + uri + "` requires the vocabulary `" + name + "`");
    }
  }
  rules.foreign.clear();
  return {};
}

// Registers a document's resources and anchors.
Status SchemaDocuments::add(const Json& document, const std::string& uri) {
  ESP_TRY(check_schema_document(document, SchemaOptions::kMaxDepth));
  struct Item {
    const Json* value;
    const Json* resource;
    std::uint32_t holder;      // the item it stands in; of the document's root itself
    std::string_view keyword;  // there
    const std::string* name;   // in what stands there, where that is an object of schemas
    std::uint32_t index = 0;   // … or a list
    bool listed = false;
  };
  std::vector<Item> items{{&document, nullptr, 0, {}, nullptr}};
  // Few pointers are asked for.
  const auto pointer = [&](std::uint32_t item) {
    std::vector<std::uint32_t> way;
    for (std::uint32_t i = item; i != 0; i = items[i].holder) way.push_back(i);
    std::string out = &document == schema_ ? "#" : uri + "#";
    for (auto i = way.rbegin(); i != way.rend(); ++i) {
      const Item& at = items[*i];
      out += '/' + pointer_token(at.keyword);
      if (at.name != nullptr) out += '/' + pointer_token(*at.name);
      if (at.listed) out += '/' + std::to_string(at.index);
    }
    return out;
  };
  std::vector<std::uint32_t> work{0};
  while (!work.empty()) {
    const std::uint32_t number = work.back();
    work.pop_back();
    const Json& value = *items[number].value;
    const Names names(value);
    const Json* own = items[number].resource;
    const Resource* outer = own == nullptr ? nullptr : &resources_.at(own);
    SchemaRules rules;
    if (outer != nullptr) rules = outer->rules;
    if (outer == nullptr && options_.draft) rules.draft = *options_.draft, rules.declared = true;
    if (names.schema != nullptr) {
      if (const auto named = draft_named(*names.schema))
        rules.draft = *named, rules.declared = true;
    }
    const std::string* id = rules.draft == SchemaDraft::k4 ? names.id : names.dollar_id;
    if (id != nullptr && rules.draft <= SchemaDraft::k7 && names.refers) id = nullptr;
    if (id != nullptr && id->starts_with('#')) {  // an anchor, before 2019-09
      if (outer != nullptr) {
        resources_.at(own).anchors.emplace(id->substr(1),
                                           SchemaPlace{&value, own, pointer(number)});
      }
      id = nullptr;
    }
    if (outer == nullptr || id != nullptr) {
      const std::string base = outer == nullptr ? uri : outer->uri;
      Resource resource;
      resource.uri =
          id == nullptr ? base : resolve_uri(base, std::string_view(*id).substr(0, id->find('#')));
      resource.place = {&value, &value, pointer(number)};
      if (names.schema != nullptr && names.schema->find("json-schema.org/") == std::string::npos) {
        ESP_TRY(read_metaschema(*names.schema, resource.place.pointer, rules));
      }
      resource.rules = std::move(rules);
      if (const auto [first, fresh] = by_uri_.emplace(resource.uri, &value);
          !fresh && *first->second != value) {
        ambiguous_.emplace(resource.uri, resource.place.pointer);
      }
      if (outer == nullptr) by_uri_.emplace(uri, &value);
      resources_.emplace(&value, std::move(resource));
      own = &value;
    }
    if (names.anchor != nullptr || names.dynamic_anchor != nullptr) {
      Resource& here = resources_.at(own);
      const SchemaPlace place{&value, own, pointer(number)};
      if (names.anchor != nullptr && !here.anchors.emplace(*names.anchor, place).second) {
        return schema_error(ErrorCode::kInvalid, place.pointer,
                            "more than one $anchor `" + *names.anchor + "`");
      }
      if (names.dynamic_anchor != nullptr) {
        here.anchors.emplace(*names.dynamic_anchor, place);
        here.dynamic_anchors.emplace(*names.dynamic_anchor, place);
      }
    }
    dynamic_ = dynamic_ || names.dynamic;
    if (!value.is_object()) continue;
    const auto add_item = [&](Item item) {
      if (!item.value->is_object()) return;
      work.push_back(static_cast<std::uint32_t>(items.size()));
      items.push_back(item);
    };
    for (const auto& [key, held] : value.get_ref<const Json::object_t&>()) {
      const Holds holds = held.is_structured() ? held_by(key) : Holds::kNone;
      if (holds == Holds::kNone) continue;
      if (held.is_object() && holds != Holds::kSchemaMap) {
        add_item({&held, own, number, key, nullptr});
      } else if (held.is_object()) {
        for (const auto& [name, inner] : held.get_ref<const Json::object_t&>()) {
          add_item({&inner, own, number, key, &name});
        }
      } else if (holds == Holds::kSchemas) {
        for (std::uint32_t i = 0; i < held.size(); ++i) {
          add_item({&held[i], own, number, key, nullptr, i, true});
        }
      }
    }
  }
  return {};
}

const SchemaPlace* SchemaDocuments::dynamic_anchor(const Json* resource,
                                                   const std::string& anchor) const {
  const auto& anchors = resources_.at(resource).dynamic_anchors;
  const auto it = anchors.find(anchor);
  return it == anchors.end() ? nullptr : &it->second;
}

const Json* SchemaDocuments::member(const Json& object, const std::string& key) {
  constexpr std::size_t kFew = 32;
  if (object.size() <= kFew) {
    const auto it = object.find(key);
    return it == object.end() ? nullptr : &*it;
  }
  const auto [it, fresh] = members_.try_emplace(&object);
  if (fresh) {
    for (const auto& [name, value] : object.get_ref<const Json::object_t&>()) {
      it->second.emplace(name, &value);
    }
  }
  const auto found = it->second.find(key);
  return found == it->second.end() ? nullptr : found->second;
}

Result<SchemaPlace> SchemaDocuments::follow(SchemaPlace at, std::string_view pointer,
                                            const SchemaPlace& from, const std::string& reference,
                                            std::string_view keyword) {
  const auto missing = [&] {
    return schema_error(ErrorCode::kInvalid, from.pointer + "/" + std::string(keyword),
                        "nothing stands at `" + reference + "`");
  };
  while (!pointer.empty()) {
    pointer.remove_prefix(1);  // the slash
    const std::size_t end = std::min(pointer.find('/'), pointer.size());
    std::string token;
    if (!unescape_token(pointer.substr(0, end), token)) return missing();
    pointer.remove_prefix(end);
    if (at.schema->is_object()) {
      const Json* found = member(*at.schema, token);
      if (found == nullptr) return missing();
      at = child(at, *found, token);
    } else if (at.schema->is_array()) {
      const bool digits = !token.empty() && token.size() < 10 &&
                          token.find_first_not_of("0123456789") == std::string::npos &&
                          (token.size() == 1 || token[0] != '0');
      if (!digits || std::stoul(token) >= at.schema->size()) return missing();
      at = child(at, (*at.schema)[std::stoul(token)], token);
    } else {
      return missing();
    }
  }
  return at;
}

Result<SchemaPlace> SchemaDocuments::resolve(const SchemaPlace& from, const std::string& reference,
                                             std::string_view keyword) {
  const std::string pointer = from.pointer + "/" + std::string(keyword);
  const std::size_t hash = std::min(reference.find('#'), reference.size());
  const std::string uri =
      resolve_uri(resources_.at(from.resource).uri, std::string_view(reference).substr(0, hash));
  auto it = by_uri_.find(uri);
  if (hash == 0) it = by_uri_.end();  // the resource itself, whatever its name
  const Json* resource = hash == 0 ? from.resource : nullptr;
  if (resource == nullptr && it == by_uri_.end()) {
    auto known = metaschema(uri);
    if (!options_.resolver && !known) {
      // A relative reference does not show what must be given.
      const std::string named = uri == reference ? "" : ", `" + uri + "`";
      return schema_error(ErrorCode::kUnsupported, pointer,
                          "`" + reference + "` points to another document" + named);
    }
    auto document = known ? Result<Json>(std::move(*known)) : options_.resolver(uri);
    if (!document) return fail(std::move(document).error().within("schema " + pointer));
    documents_.push_back(std::move(*document));
    ESP_TRY(add(documents_.back(), uri));
    it = by_uri_.find(uri);
  }
  if (resource == nullptr) {
    resource = it->second;
    if (const auto other = ambiguous_.find(uri); other != ambiguous_.end()) {
      return schema_error(ErrorCode::kInvalid, pointer,
                          "`" + reference +
                              "` may mean two schemas: " + resources_.at(resource).place.pointer +
                              " and " + other->second + " have one identifier, `" + uri + "`");
    }
  }
  std::string fragment;
  if (!percent_decode(std::string_view(reference).substr(std::min(hash + 1, reference.size())),
                      fragment)) {
    return schema_error(ErrorCode::kInvalid, pointer, "`" + reference + "` is not a URI reference");
  }
  const Resource& found = resources_.at(resource);
  if (fragment.empty()) return found.place;
  if (fragment[0] == '/') return follow(found.place, fragment, from, reference, keyword);
  const auto anchor = found.anchors.find(fragment);
  if (anchor == found.anchors.end()) {
    return schema_error(ErrorCode::kInvalid, pointer, "no $anchor `" + fragment + "`");
  }
  return anchor->second;
}

}  // namespace espalier::grammar
