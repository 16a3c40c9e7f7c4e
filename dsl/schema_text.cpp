#include "dsl/schema_text.h"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "dsl/grammar_blocks.h"
#include "dsl/text_formats.h"
#include "grammar/json_text.h"

namespace espalier::dsl {
namespace {

using grammar::Type;
using grammar::TypeKind;
using grammar::TypeRef;

// JSON Schema's word for a type that is a text of a well-known form: models know these words, and
// they are a tenth of the patterns' length.
std::string_view format_word(const Type& type) {
  if (type.name.empty() || type.pattern != text_format(type.name)) return {};
  const std::string_view name = type.name;
  return name == "datetime" ? "date-time" : name == "url" ? "uri" : name;
}

class Writer {
 public:
  // Depth first with a stack of its own: types nest deep.
  Json write(const TypeRef& type) {
    Json out = Json::object();
    std::vector<Place> open = {{&out, type.get(), nullptr}};
    while (!open.empty()) {
      const Place at = open.back();
      open.pop_back();
      *at.out = Json::object();
      if (at.type != nullptr) {
        describe(*at.out, *at.type);
        if (!at.type->doc.empty() && !at.out->contains("description"))
          (*at.out)["description"] = at.type->doc;
      }
      if (at.doc != nullptr && !at.doc->empty()) (*at.out)["description"] = *at.doc;
      // No member is added any more, so places in it stay where they are.
      find_inside(*at.out, at.type, open);
    }
    return out;
  }
  Json finish(Json schema) {
    // References met on the way may bring new ones.
    while (!pending_.empty()) {
      const TypeRef next = pending_.back();
      pending_.pop_back();
      if (!defined_.insert(next->name).second) continue;
      Json one = write(next);
      schema["$defs"][next->name] = std::move(one);
    }
    return schema;
  }

 private:
  /// Where the schema of a type is to be written; `doc`: what it is called there.
  struct Place {
    Json* out;
    const Type* type;
    const std::string* doc;
  };

  // The places of the types in `type` that describe() left empty, the first one on top.
  static void find_inside(Json& out, const Type* type, std::vector<Place>& open) {
    if (type == nullptr) return;
    const std::size_t begin = open.size();
    switch (type->kind) {
      case TypeKind::kUnion:
        if (!out.contains("anyOf")) break;
        for (std::size_t i = 0; i < type->items.size(); ++i)
          open.push_back({&out["anyOf"][i], type->items[i].get(), nullptr});
        break;
      case TypeKind::kOptional:
        open.push_back({&out["anyOf"][0], type->items[0].get(), nullptr});
        break;
      case TypeKind::kList:
        open.push_back({&out["items"], type->items[0].get(), nullptr});
        break;
      case TypeKind::kMap:
        open.push_back({&out["additionalProperties"], type->items[0].get(), nullptr});
        break;
      case TypeKind::kRecord:
        for (const auto& field : type->fields)
          open.push_back({&out["properties"][field.key], field.type.get(), &field.doc});
        break;
      case TypeKind::kCall:
        for (std::size_t i = 0; i < type->fields.size(); ++i)
          open.push_back(
              {&out["anyOf"][i]["properties"]["arguments"], type->fields[i].type.get(), nullptr});
        break;
      default:
        break;
    }
    std::reverse(open.begin() + static_cast<std::ptrdiff_t>(begin), open.end());
  }

  // All of it but the types inside, whose places are left empty.
  void describe(Json& out, const Type& type) {
    switch (type.kind) {
      case TypeKind::kString:
      case TypeKind::kLine:
        out["type"] = "string";
        if (type.low) out["minLength"] = *type.low;
        if (type.high) out["maxLength"] = *type.high;
        break;
      case TypeKind::kInt:
        out["type"] = "integer";
        if (type.int_low) out["minimum"] = *type.int_low;
        if (type.int_high) out["maximum"] = *type.int_high;
        break;
      case TypeKind::kFloat:
        out["type"] = "number";
        if (type.float_low) out["minimum"] = *type.float_low;
        if (type.float_high) out["maximum"] = *type.float_high;
        break;
      case TypeKind::kBool:
        out["type"] = "boolean";
        break;
      case TypeKind::kNull:
        out["type"] = "null";
        break;
      case TypeKind::kLiteral:
        out["const"] = type.literal;
        break;
      case TypeKind::kEnum:
        out["enum"] = Json::array();
        for (const auto& one : type.cases) out["enum"].push_back(one.surface);
        for (const auto& one : type.cases) {
          if (one.doc.empty()) continue;
          std::string said = out.value("description", type.doc);
          if (!said.empty()) said += '\n';
          out["description"] = said + one.surface + ": " + one.doc;
        }
        break;
      case TypeKind::kRegex:
        out["type"] = "string";
        if (const std::string_view format = format_word(type); !format.empty()) {
          out["format"] = format;
        } else {
          out["pattern"] = "^(?:" + type.pattern + ")$";
        }
        break;
      case TypeKind::kUnion: {
        Json words = Json::array();
        for (const TypeRef& item : type.items) {
          if (item->kind == TypeKind::kLiteral) words.push_back(item->literal);
        }
        if (words.size() == type.items.size()) {
          out["enum"] = std::move(words);
          break;
        }
        out["anyOf"] = Json::array();
        for (std::size_t i = 0; i < type.items.size(); ++i) out["anyOf"].push_back(Json());
        break;
      }
      case TypeKind::kOptional: {
        out["anyOf"] = Json::array();
        out["anyOf"].push_back(Json());
        out["anyOf"].push_back(Json{{"type", "null"}});
        break;
      }
      case TypeKind::kList:
        out["type"] = "array";
        out["items"] = Json();
        if (type.low) out["minItems"] = *type.low;
        if (type.high) out["maxItems"] = *type.high;
        break;
      case TypeKind::kMap:
        out["type"] = "object";
        out["additionalProperties"] = Json();
        if (type.low) out["minProperties"] = *type.low;
        if (type.high) out["maxProperties"] = *type.high;
        break;
      case TypeKind::kRecord: {
        out["type"] = "object";
        out["properties"] = Json::object();
        Json required = Json::array();
        for (const auto& field : type.fields) {
          out["properties"][field.key] = Json();
          if (!field.omittable) required.push_back(field.key);
        }
        if (!required.empty()) out["required"] = std::move(required);
        out["additionalProperties"] = false;
        break;
      }
      case TypeKind::kJson:
        break;
      case TypeKind::kSchema:
        out = type.literal.is_object() ? type.literal : Json::object();
        break;
      case TypeKind::kGrammar:
        out["type"] = "string";
        out["grammar"] = written(*type.rules);
        break;
      case TypeKind::kSpan:
        out["type"] = "string";
        out["description"] = "copied word for word from the text";
        break;
      case TypeKind::kCall: {
        out["anyOf"] = Json::array();
        for (const auto& field : type.fields) {
          Json one = Json::object();
          one["type"] = "object";
          one["properties"]["name"] = Json{{"const", field.key}};
          one["properties"]["arguments"] = Json();
          out["anyOf"].push_back(std::move(one));
        }
        break;
      }
      case TypeKind::kReference: {
        const TypeRef target = type.target.lock();
        if (target == nullptr) break;
        out["$ref"] = "#/$defs/" + target->name;
        pending_.push_back(target);
        break;
      }
    }
  }

  std::vector<TypeRef> pending_;
  std::set<std::string> defined_;
};

}  // namespace

Json schema_of(const TypeRef& type) {
  Writer writer;
  Json schema = writer.write(type);
  return writer.finish(std::move(schema));
}

std::string schema_text(const TypeInfo& type) { return write_json(schema_of(type.type)); }

std::string tool_text(const ToolInfo& tool) {
  Json out = Json::object();
  out["name"] = tool.real_name;
  if (!tool.doc.empty()) out["description"] = tool.doc;
  out["parameters"] = schema_of(tool.arguments);
  return write_json(out);
}

}  // namespace espalier::dsl
