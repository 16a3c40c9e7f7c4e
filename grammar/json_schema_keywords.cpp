#include "grammar/json_schema_keywords.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "grammar/decimal.h"

namespace espalier::grammar {

JsonTypes type_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
      return JsonTypes::kNull;
    case Json::value_t::boolean:
      return JsonTypes::kBoolean;
    case Json::value_t::object:
      return JsonTypes::kObject;
    case Json::value_t::array:
      return JsonTypes::kArray;
    case Json::value_t::string:
      return JsonTypes::kString;
    case Json::value_t::number_float: {
      const double number = value.get<double>();
      return std::trunc(number) == number ? JsonTypes::kInteger : JsonTypes::kFraction;
    }
    default:
      return JsonTypes::kInteger;
  }
}

Result<JsonTypes> read_types(const SchemaPlace& at) {
  const auto it = at.schema->find("type");
  if (it == at.schema->end()) return JsonTypes();
  const auto one = [&](const Json& value) -> Result<JsonTypes> {
    const auto* text = value.get_ptr<const std::string*>();
    const std::string_view name = text == nullptr ? std::string_view() : *text;
    if (name == "null") return JsonTypes(JsonTypes::kNull);
    if (name == "boolean") return JsonTypes(JsonTypes::kBoolean);
    if (name == "object") return JsonTypes(JsonTypes::kObject);
    if (name == "array") return JsonTypes(JsonTypes::kArray);
    if (name == "string") return JsonTypes(JsonTypes::kString);
    if (name == "integer") return JsonTypes(JsonTypes::kInteger);
    if (name == "number") return JsonTypes(JsonTypes::kNumber);
    return schema_error(ErrorCode::kInvalid, at.pointer + "/type",
                        "a type is null, boolean, object, array, string, integer or number");
  };
  if (!it->is_array()) return one(*it);
  JsonTypes out(0);
  for (const Json& name : *it) {
    ESP_ASSIGN(const JsonTypes more, one(name));
    out = out | more;
  }
  return out;
}

Result<std::optional<std::uint64_t>> read_count(const SchemaPlace& at, const char* keyword) {
  const auto it = at.schema->find(keyword);
  if (it == at.schema->end()) return std::nullopt;
  if (it->is_number_unsigned()) return it->get<std::uint64_t>();
  // What is too large for the type is more than any text has.
  if (const auto number = Decimal::of(*it); number && number->whole() && *number >= 0) {
    return *number <= UINT64_MAX ? std::stoull(number->text()) : UINT64_MAX;
  }
  return schema_error(ErrorCode::kInvalid, at.pointer + "/" + keyword,
                      "a count is an integer from 0");
}

Result<std::optional<std::vector<const Json*>>> read_values(const SchemaPlace& at,
                                                            bool with_const) {
  const auto list = at.schema->find("enum");
  const auto constant = with_const ? at.schema->find("const") : at.schema->end();
  if (list == at.schema->end() && constant == at.schema->end()) return std::nullopt;
  std::vector<const Json*> out;
  if (list == at.schema->end()) {
    out.push_back(&*constant);
    return out;
  }
  if (!list->is_array()) {
    return schema_error(ErrorCode::kInvalid, at.pointer + "/enum", "`enum` is a list of values");
  }
  for (const Json& value : *list) {
    if (constant == at.schema->end() || value == *constant) out.push_back(&value);
  }
  return out;
}

}  // namespace espalier::grammar
