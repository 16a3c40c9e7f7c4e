// A plain validator of JSON Schema over parsed values: the oracle of the schema tests. Knows the
// keywords that the random schemas use, and `$ref` to `#/$defs/…`; patterns by std::regex.
#pragma once

#include <cmath>
#include <regex>
#include <string>

#include "base/utf8.h"
#include "grammar/json.h"

namespace espalier::grammar::testing {

class NaiveSchema {
 public:
  explicit NaiveSchema(const Json& root) : root_(root) {}
  [[nodiscard]] bool valid(const Json& value) const { return valid(root_, value); }

 private:
  static bool is(const std::string& type, const Json& v) {
    if (type == "null") return v.is_null();
    if (type == "boolean") return v.is_boolean();
    if (type == "object") return v.is_object();
    if (type == "array") return v.is_array();
    if (type == "string") return v.is_string();
    if (type == "number") return v.is_number();
    return v.is_number() && std::trunc(v.get<double>()) == v.get<double>();
  }

  [[nodiscard]] bool valid(const Json& s, const Json& v) const {
    if (s.is_boolean()) return s.get<bool>();
    const auto has = [&](const char* key) { return s.contains(key); };
    const auto count = [&](const char* key) { return s[key].get<std::size_t>(); };
    if (has("$ref") && !valid(root_["$defs"][s["$ref"].get<std::string>().substr(8)], v))
      return false;
    if (has("type")) {
      bool any = false;
      if (s["type"].is_string()) any = is(s["type"].get<std::string>(), v);
      if (s["type"].is_array()) {
        for (const Json& t : s["type"]) any = any || is(t.get<std::string>(), v);
      }
      if (!any) return false;
    }
    if (has("enum")) {
      bool any = false;
      for (const Json& e : s["enum"]) any = any || e == v;
      if (!any) return false;
    }
    if (has("const") && s["const"] != v) return false;
    if (v.is_number()) {
      const double n = v.get<double>();
      if (has("minimum") && n < s["minimum"].get<double>()) return false;
      if (has("maximum") && n > s["maximum"].get<double>()) return false;
      if (has("exclusiveMinimum") && n <= s["exclusiveMinimum"].get<double>()) return false;
      if (has("exclusiveMaximum") && n >= s["exclusiveMaximum"].get<double>()) return false;
      if (has("multipleOf")) {
        // Exact: the divisors of the tests are binary fractions.
        const auto value = v.is_number_integer() ? static_cast<long double>(v.get<std::int64_t>())
                                                 : static_cast<long double>(n);
        if (std::fmod(value, s["multipleOf"].get<long double>()) != 0) return false;
      }
    }
    if (v.is_string()) {
      const auto text = v.get<std::string>();
      if (has("minLength") && utf8::count(text) < count("minLength")) return false;
      if (has("maxLength") && utf8::count(text) > count("maxLength")) return false;
      if (has("pattern") && !std::regex_search(text, std::regex(s["pattern"].get<std::string>())))
        return false;
    }
    if (v.is_object() && !object(s, v)) return false;
    if (v.is_array() && !array(s, v)) return false;
    if (has("allOf")) {
      for (const Json& inner : s["allOf"]) {
        if (!valid(inner, v)) return false;
      }
    }
    const auto holding = [&](const Json& list) {
      std::size_t n = 0;
      for (const Json& inner : list) n += valid(inner, v) ? 1 : 0;
      return n;
    };
    if (has("anyOf") && holding(s["anyOf"]) == 0) return false;
    if (has("oneOf") && holding(s["oneOf"]) != 1) return false;
    if (has("not") && valid(s["not"], v)) return false;
    if (has("if")) {
      const char* branch = valid(s["if"], v) ? "then" : "else";
      if (has(branch) && !valid(s[branch], v)) return false;
    }
    return true;
  }

  [[nodiscard]] bool object(const Json& s, const Json& v) const {
    const auto has = [&](const char* key) { return s.contains(key); };
    if (has("required")) {
      for (const Json& name : s["required"]) {
        if (!v.contains(name.get<std::string>())) return false;
      }
    }
    if (has("minProperties") && v.size() < s["minProperties"].get<std::size_t>()) return false;
    if (has("maxProperties") && v.size() > s["maxProperties"].get<std::size_t>()) return false;
    if (has("dependentRequired")) {
      for (const auto& [key, names] : s["dependentRequired"].items()) {
        if (!v.contains(key)) continue;
        for (const Json& name : names) {
          if (!v.contains(name.get<std::string>())) return false;
        }
      }
    }
    for (const auto& [key, inner] : v.items()) {
      bool spoken = false;
      if (has("propertyNames") && !valid(s["propertyNames"], Json(key))) return false;
      if (has("properties") && s["properties"].contains(key)) {
        spoken = true;
        if (!valid(s["properties"][key], inner)) return false;
      }
      if (has("patternProperties")) {
        for (const auto& [pattern, schema] : s["patternProperties"].items()) {
          if (!std::regex_search(key, std::regex(pattern))) continue;
          spoken = true;
          if (!valid(schema, inner)) return false;
        }
      }
      if (!spoken && has("additionalProperties") && !valid(s["additionalProperties"], inner))
        return false;
    }
    return true;
  }

  [[nodiscard]] bool array(const Json& s, const Json& v) const {
    const auto has = [&](const char* key) { return s.contains(key); };
    if (has("minItems") && v.size() < s["minItems"].get<std::size_t>()) return false;
    if (has("maxItems") && v.size() > s["maxItems"].get<std::size_t>()) return false;
    if (has("uniqueItems") && s["uniqueItems"] == true) {
      const auto items = nlohmann::json::parse(v.dump());  // whose members have no order
      for (std::size_t i = 0; i < items.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
          if (items[i] == items[j]) return false;
        }
      }
    }
    const std::size_t first = has("prefixItems") ? s["prefixItems"].size() : 0;
    for (std::size_t i = 0; i < v.size(); ++i) {
      if (i < first && !valid(s["prefixItems"][i], v[i])) return false;
      if (i >= first && has("items") && !valid(s["items"], v[i])) return false;
    }
    if (has("contains")) {
      std::size_t n = 0;
      for (const Json& item : v) n += valid(s["contains"], item) ? 1 : 0;
      if (n < (has("minContains") ? s["minContains"].get<std::size_t>() : 1)) return false;
      if (has("maxContains") && n > s["maxContains"].get<std::size_t>()) return false;
    }
    return true;
  }

  const Json& root_;
};

}  // namespace espalier::grammar::testing
