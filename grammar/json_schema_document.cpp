#include "grammar/json_schema_document.h"

#include <cmath>
#include <utility>
#include <vector>

#include "base/utf8.h"

namespace espalier::grammar {
namespace {

std::string escape_token(std::string_view token) {
  std::string out;
  for (const char c : token) {
    if (c == '~') {
      out += "~0";
    } else if (c == '/') {
      out += "~1";
    } else {
      out += c;
    }
  }
  return out;
}

// %41 -> A; false where a % is not followed by two hexadecimal digits.
bool percent_decode(std::string_view text, std::string& out) {
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

const std::string* identifier(const Json& schema) {
  if (!schema.is_object()) return nullptr;
  const auto it = schema.find("$id");
  return it != schema.end() && it->is_string() ? it->get_ptr<const std::string*>() : nullptr;
}

// ~1 -> /, ~0 -> ~; false on any other ~.
bool unescape_token(std::string_view token, std::string& out) {
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

Result<SchemaPlace> follow_pointer(SchemaPlace at, const SchemaPlace& from,
                                   std::string_view pointer, const std::string& reference) {
  const auto missing = [&] {
    return schema_error(ErrorCode::kInvalid, from.pointer + "/$ref",
                        "nothing stands at `" + reference + "`");
  };
  while (!pointer.empty()) {
    pointer.remove_prefix(1);  // the slash
    const std::size_t end = std::min(pointer.find('/'), pointer.size());
    std::string token;
    if (!unescape_token(pointer.substr(0, end), token)) return missing();
    pointer.remove_prefix(end);
    if (at.schema->is_object()) {
      const auto it = at.schema->find(token);
      if (it == at.schema->end()) return missing();
      at = at.child(*it, token);
    } else if (at.schema->is_array()) {
      std::size_t index = 0;
      if (token.empty() || token.size() > 9) return missing();
      for (const char c : token) {
        if (c < '0' || c > '9') return missing();
        index = index * 10 + static_cast<std::size_t>(c - '0');
      }
      if (index >= at.schema->size() || (token.size() > 1 && token[0] == '0')) return missing();
      at = at.child((*at.schema)[index], token);
    } else {
      return missing();
    }
  }
  return at;
}

// The one subschema of `resource` with this $anchor. Values of enum and const are no schemas.
Result<SchemaPlace> find_anchor(SchemaPlace resource, const SchemaPlace& from,
                                std::string_view anchor) {
  std::vector<SchemaPlace> found;
  std::vector<SchemaPlace> work = {std::move(resource)};
  while (!work.empty()) {
    const SchemaPlace at = std::move(work.back());
    work.pop_back();
    if (at.schema->is_object()) {
      const auto it = at.schema->find("$anchor");
      if (it != at.schema->end() && it->is_string() &&
          it->get_ref<const std::string&>() == anchor) {
        found.push_back(at);
      }
      for (const auto& [key, value] : at.schema->items()) {
        if (!value.is_structured() || key == "enum" || key == "const") continue;
        SchemaPlace next = at.child(value, key);
        if (next.resource == at.resource) work.push_back(std::move(next));
      }
    } else if (at.schema->is_array()) {
      for (std::size_t i = 0; i < at.schema->size(); ++i) {
        if (!(*at.schema)[i].is_structured()) continue;
        SchemaPlace next = at.child((*at.schema)[i], std::to_string(i));
        if (next.resource == at.resource) work.push_back(std::move(next));
      }
    }
  }
  if (found.size() == 1) return found[0];
  return schema_error(
      ErrorCode::kInvalid, from.pointer + "/$ref",
      (found.empty() ? "no $anchor `" : "more than one $anchor `") + std::string(anchor) + "`");
}

}  // namespace

SchemaPlace SchemaPlace::child(const Json& value, std::string_view key) const {
  return {&value, identifier(value) != nullptr ? &value : resource,
          pointer + "/" + escape_token(key)};
}

Status check_schema_document(const Json& root, std::size_t max_depth) {
  struct Open {
    const Json* value;
    Json::const_iterator at;
  };
  std::vector<Open> open;
  const auto enter = [&](const Json& value) -> Status {
    if (value.is_structured()) {
      if (open.size() >= max_depth) {
        return fail(ErrorCode::kLimit,
                    "schema: nested more than " + std::to_string(max_depth) + " deep");
      }
      open.push_back({&value, value.begin()});
    } else if (value.is_string() &&
               utf8::find_malformed(value.get_ref<const std::string&>()) != std::string::npos) {
      return fail(ErrorCode::kInvalid, "schema: a string is not well-formed UTF-8");
    } else if (value.is_number_float() && !std::isfinite(value.get<double>())) {
      return fail(ErrorCode::kInvalid, "schema: a number is not finite");
    }
    return {};
  };
  ESP_TRY(enter(root));
  while (!open.empty()) {
    if (open.back().at == open.back().value->end()) {
      open.pop_back();
      continue;
    }
    const auto at = open.back().at++;
    if (open.back().value->is_object() && utf8::find_malformed(at.key()) != std::string::npos) {
      return fail(ErrorCode::kInvalid, "schema: a key is not well-formed UTF-8");
    }
    ESP_TRY(enter(*at));
  }
  return {};
}

Result<SchemaPlace> resolve_reference(const SchemaPlace& root, const SchemaPlace& from,
                                      const std::string& reference) {
  const std::size_t hash = std::min(reference.find('#'), reference.size());
  const std::string base = reference.substr(0, hash);
  if (!base.empty()) {
    const std::string* own = identifier(*from.resource);
    if (own == nullptr || own->substr(0, own->find('#')) != base) {
      return schema_error(ErrorCode::kUnsupported, from.pointer + "/$ref",
                          "`" + reference + "` points to another document");
    }
  }
  // The resource's own place: only the root's pointer is known to be empty; a nested resource's
  // errors name the reference itself.
  SchemaPlace resource =
      from.resource == root.schema
          ? root
          : SchemaPlace{from.resource, from.resource, *identifier(*from.resource) + "#"};
  std::string fragment;
  if (!percent_decode(std::string_view(reference).substr(std::min(hash + 1, reference.size())),
                      fragment)) {
    return schema_error(ErrorCode::kInvalid, from.pointer + "/$ref",
                        "`" + reference + "` is not a URI reference");
  }
  if (fragment.empty()) return resource;
  if (fragment[0] == '/') return follow_pointer(std::move(resource), from, fragment, reference);
  return find_anchor(std::move(resource), from, fragment);
}

tl::unexpected<Error> schema_error(ErrorCode code, std::string_view pointer,
                                   std::string_view what) {
  return fail(code, "schema " + std::string(pointer) + ": " + std::string(what));
}

}  // namespace espalier::grammar
