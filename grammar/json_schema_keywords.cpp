#include "grammar/json_schema_keywords.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <string_view>

namespace espalier::grammar {
namespace {

using Names = std::span<const std::string_view>;

bool one_of(std::string_view word, Names names) {
  return std::find(names.begin(), names.end(), word) != names.end();
}

constexpr std::string_view kAnnotations[] = {
    "title",       "description",   "default",          "examples",
    "$comment",    "deprecated",    "readOnly",         "writeOnly",
    "$schema",     "$id",           "$anchor",          "$defs",
    "definitions", "contentSchema", "contentMediaType", "contentEncoding"};
constexpr std::string_view kEnforced[] = {"type",
                                          "enum",
                                          "const",
                                          "properties",
                                          "required",
                                          "items",
                                          "prefixItems",
                                          "additionalProperties",
                                          "minItems",
                                          "maxItems",
                                          "minLength",
                                          "maxLength",
                                          "pattern",
                                          "minimum",
                                          "maximum",
                                          "exclusiveMinimum",
                                          "exclusiveMaximum",
                                          "anyOf",
                                          "oneOf",
                                          "allOf",
                                          "$ref",
                                          "minProperties",
                                          "maxProperties",
                                          "uniqueItems"};
constexpr std::string_view kRefused[] = {"multipleOf",
                                         "not",
                                         "if",
                                         "then",
                                         "else",
                                         "patternProperties",
                                         "propertyNames",
                                         "contains",
                                         "minContains",
                                         "maxContains",
                                         "dependentRequired",
                                         "dependentSchemas",
                                         "dependencies",
                                         "unevaluatedItems",
                                         "unevaluatedProperties",
                                         "format",
                                         "$dynamicRef",
                                         "$dynamicAnchor",
                                         "$recursiveRef",
                                         "$recursiveAnchor",
                                         "$vocabulary",
                                         "additionalItems",
                                         "extends",
                                         "disallow",
                                         "divisibleBy"};

// The largest and smallest doubles whose integer part an int64 holds.
constexpr double kInt64Top = 9223372036854775808.0;

}  // namespace

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
  const auto one = [&](const Json& name) -> Result<JsonTypes> {
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

Status check_keywords(const SchemaPlace& at, const SchemaOptions& options) {
  for (const auto& [key, value] : at.schema->items()) {
    const auto error = [&, &name = key](ErrorCode code, std::string_view what) {
      return schema_error(code, at.child(*at.schema, name).pointer, what);
    };
    if (key == "$schema") {
      const bool known = value.is_string() && value.get_ref<const std::string&>().find(
                                                  "json-schema.org/") != std::string::npos;
      if (!known) return error(ErrorCode::kUnsupported, "a schema language of its own");
      continue;
    }
    if (key == "uniqueItems" && value.is_boolean()) {
      if (value.get<bool>()) return error(ErrorCode::kUnsupported, "`uniqueItems` is not enforced");
      continue;
    }
    if (one_of(key, kAnnotations) || one_of(key, kEnforced) || key.starts_with("x-")) continue;
    if (one_of(key, kRefused)) {
      return error(ErrorCode::kUnsupported, "the keyword `" + key + "` is not enforced");
    }
    if (options.unknown_keywords || (key == "id" && at.pointer == "#" && value.is_string()))
      continue;
    return error(ErrorCode::kUnsupported, "the keyword `" + key + "` is unknown");
  }
  return {};
}

bool constrains(const std::string& keyword) {
  return keyword != "type" && keyword != "uniqueItems" && one_of(keyword, kEnforced);
}

Result<std::optional<std::uint64_t>> read_count(const SchemaPlace& at, const char* keyword) {
  const auto it = at.schema->find(keyword);
  if (it == at.schema->end()) return std::nullopt;
  if (it->is_number_unsigned()) return it->get<std::uint64_t>();
  if (it->is_number_integer() && it->get<std::int64_t>() >= 0) {
    return static_cast<std::uint64_t>(it->get<std::int64_t>());
  }
  if (it->is_number_float()) {
    const double number = it->get<double>();
    if (number >= 0 && number == std::trunc(number)) {
      return number < kInt64Top ? static_cast<std::uint64_t>(number) : UINT64_MAX;
    }
  }
  return schema_error(ErrorCode::kInvalid, at.pointer + "/" + keyword,
                      "a count is an integer from 0");
}

Result<NumberBounds> read_bounds(const SchemaPlace& at) {
  NumberBounds out;
  for (const char* keyword : {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
    const auto it = at.schema->find(keyword);
    if (it == at.schema->end()) continue;
    const std::string pointer = at.pointer + "/" + keyword;
    if (!it->is_number()) {
      return schema_error(it->is_boolean() ? ErrorCode::kUnsupported : ErrorCode::kInvalid, pointer,
                          "a bound is a number (a boolean is of drafts before 6)");
    }
    out.any = true;
    const bool lower = std::string_view(keyword).ends_with("inimum");
    const bool open = keyword[0] == 'e';
    const double number = it->get<double>();
    // Integers beyond 2^53 may lie between two doubles.
    const bool exact =
        it->is_number_float() ||
        (it->is_number_unsigned()
             ? number < 2 * kInt64Top &&
                   static_cast<std::uint64_t>(number) == it->get<std::uint64_t>()
             : number < kInt64Top && static_cast<std::int64_t>(number) == it->get<std::int64_t>());
    if (!exact && std::abs(number) >= 9007199254740992.0) {
      return schema_error(ErrorCode::kUnsupported, pointer, "a bound of more than 53 bits");
    }
    auto& bound = lower ? out.decimal.low : out.decimal.high;
    bool& bound_open = lower ? out.decimal.low_open : out.decimal.high_open;
    if (!bound || (lower ? number > *bound : number < *bound)) {
      bound = number;
      bound_open = open;
    } else if (number == *bound) {
      bound_open = bound_open || open;
    }
  }
  // The integers within: the least one not below, the greatest one not above.
  if (const auto& low = out.decimal.low) {
    double least = std::ceil(*low);
    if (least >= kInt64Top) out.none = true;
    if (!out.none && least >= -kInt64Top) {
      out.low = static_cast<std::int64_t>(least);
      if (out.decimal.low_open && least == *low) {
        if (*out.low == INT64_MAX) {
          out.none = true;
        } else {
          ++*out.low;
        }
      }
    }
  }
  if (const auto& high = out.decimal.high) {
    const double most = std::floor(*high);
    if (most < -kInt64Top) out.none = true;
    if (!out.none && most < kInt64Top) {
      out.high = static_cast<std::int64_t>(most);
      if (out.decimal.high_open && most == *high) {
        if (*out.high == INT64_MIN) {
          out.none = true;
        } else {
          --*out.high;
        }
      }
    }
  }
  if (out.low && out.high && *out.low > *out.high) out.none = true;
  return out;
}

bool within(const NumberBounds& bounds, const Json& number) {
  const DecimalRange& range = bounds.decimal;
  const auto above = [&](double bound, bool open) {
    return open ? number > bound : number >= bound;
  };
  const auto below = [&](double bound, bool open) {
    return open ? number < bound : number <= bound;
  };
  return (!range.low || above(*range.low, range.low_open)) &&
         (!range.high || below(*range.high, range.high_open));
}

Result<std::optional<std::vector<const Json*>>> read_values(const SchemaPlace& at) {
  const auto list = at.schema->find("enum");
  const auto constant = at.schema->find("const");
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
