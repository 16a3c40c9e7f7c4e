// Random schemas that are about one family of keywords each, over keys and texts that real
// vocabularies have tokens of.
#pragma once

#include <random>
#include <string>
#include <string_view>

#include "grammar/json.h"

namespace espalier::grammar::testing {

class KeywordFamilies {
 public:
  static constexpr std::string_view kNames[] = {
      "enum",          "numbers",     "lengths",    "properties", "pattern_properties",
      "member_counts", "items",       "contains",   "unique",     "combinators",
      "conditions",    "unevaluated", "references", "patterns",   "formats"};

  explicit KeywordFamilies(std::uint64_t seed) : random_(seed) {}

  Json make(std::string_view family) {
    if (family == "enum") return enumeration();
    if (family == "numbers") return around(number());
    if (family == "lengths") return around(lengths());
    if (family == "properties") return object();
    if (family == "pattern_properties") return pattern_properties();
    if (family == "member_counts") return member_counts();
    if (family == "items") return items();
    if (family == "contains") {
      Json s{{"type", "array"}, {"contains", leaf()}};
      if (coin()) s["minContains"] = pick(3);
      if (coin()) s["maxContains"] = 1 + pick(3);
      if (coin()) s["items"] = {{"type", {"string", "integer", "object", "null"}}};
      return s;
    }
    if (family == "unique") {
      Json s{{"type", "array"}, {"uniqueItems", true}};
      if (!one_in(4)) s["items"] = leaf();
      if (one_in(3)) s["minItems"] = pick(3);
      return s;
    }
    if (family == "combinators") return combinators();
    if (family == "conditions") {
      return {{"type", "object"},
              {"if", {{"properties", {{key(), leaf()}}}, {"required", {key()}}}},
              {"then", {{"properties", {{key(), leaf()}}}, {"required", {key()}}}},
              {"else", {{"additionalProperties", leaf()}}}};
    }
    if (family == "unevaluated") {
      if (coin()) {
        return {{"type", "object"},
                {"properties", {{key(), leaf()}}},
                {"anyOf", {{{"properties", {{key(), leaf()}}}, {"required", {key()}}}, true}},
                {"unevaluatedProperties", coin() ? Json(false) : leaf()}};
      }
      return {{"type", "array"},
              {"prefixItems", {leaf(), leaf()}},
              {"allOf", {{{"contains", leaf()}}}},
              {"unevaluatedItems", coin() ? Json(false) : leaf()}};
    }
    if (family == "references") {
      return {{"$ref", "#/$defs/t"},
              {"$defs",
               {{"t",
                 {{"type", "object"},
                  {"properties",
                   {{key(), leaf()},
                    {"children", {{"type", "array"}, {"items", {{"$ref", "#/$defs/t"}}}}},
                    {"next", {{"anyOf", {{{"$ref", "#/$defs/t"}}, {{"type", "null"}}}}}}}},
                  {"required", {coin() ? "children" : "next"}},
                  {"additionalProperties", coin()}}}}}};
    }
    if (family == "patterns") return around(pattern());
    static const char* const kFormats[] = {
        "date",          "time",         "date-time", "duration", "email",        "hostname",
        "ipv4",          "ipv6",         "uri",       "uuid",     "json-pointer", "regex",
        "uri-reference", "uri-template", "iri",       "idn-email"};
    return around({{"type", "string"}, {"format", kFormats[pick(std::size(kFormats))]}});
  }

 private:
  std::size_t pick(std::size_t n) { return static_cast<std::size_t>(random_() % n); }
  bool coin() { return pick(2) == 0; }
  bool one_in(std::size_t n) { return pick(n) == 0; }
  std::string key() {
    static const char* const kKeys[] = {"name", "id",          "type", "value", "na",
                                        "x-id", "über",        "a b",  "items", "created_at",
                                        "n",    "description", "\"q\""};
    return kKeys[pick(std::size(kKeys))];
  }
  Json leaf() {
    switch (pick(12)) {
      case 0:
        return {{"type", "string"}};
      case 1:
        return {{"type", "integer"}};
      case 2:
        return {{"type", "number"}};
      case 3:
        return {{"type", "boolean"}};
      case 4:
        return enumeration();
      case 5:
        return lengths();
      case 6:
        return number();
      case 7:
        return pattern();
      case 8:
        return {{"const", nullptr}};
      case 9:
        return {{"type", {"string", "null"}}};
      case 10:
        return {{"type", "array"}, {"items", {{"type", coin() ? "string" : "integer"}}}};
      default:
        return {{"type", "object"}, {"properties", {{key(), {{"type", "string"}}}}}};
    }
  }
  // As it is, a member of an object, or an item.
  Json around(Json s) {
    const std::size_t how = pick(4);
    if (how == 0) return s;
    if (how == 1) return {{"type", "array"}, {"items", std::move(s)}};
    return {{"type", "object"}, {"properties", {{key(), std::move(s)}}}, {"minProperties", 1}};
  }
  Json enumeration() {
    static const Json kValues[] = {"red",  "green",      "dark red", "re",       "",  nullptr,
                                   true,   12,           -3,         1.5,        120, "日本",
                                   "a\"b", "line\nfeed", {"a"},      {{"id", 1}}};
    Json out = Json::array();
    for (std::size_t n = 1 + pick(6); n > 0; --n) out.push_back(kValues[pick(std::size(kValues))]);
    return {{"enum", std::move(out)}};
  }
  Json number() {
    Json s{{"type", coin() ? "integer" : "number"}};
    const int low = static_cast<int>(pick(400)) - 150;
    if (coin()) s[coin() ? "minimum" : "exclusiveMinimum"] = low;
    if (coin()) s[coin() ? "maximum" : "exclusiveMaximum"] = low + 1 + static_cast<int>(pick(900));
    if (one_in(3))
      s["multipleOf"] = coin() ? Json(5) : s["type"] == "integer" ? Json(3) : Json(0.25);
    return s;
  }
  Json lengths() {
    Json s{{"type", "string"}};
    const std::size_t low = pick(4);
    if (coin()) s["minLength"] = low;
    if (!one_in(3)) s["maxLength"] = low + pick(coin() ? 4 : 40);
    return s;
  }
  Json pattern() {
    static const char* const kPatterns[] = {"^[a-z]+$",
                                            "^[A-Z][a-z]{2,8}$",
                                            "^[^@ ]+@[^@ ]+\\.com$",
                                            "id",
                                            "^(foo|bar).*[0-9]$",
                                            "^\\d{3}-\\d{4}$",
                                            "^.{1,12}$",
                                            "[0-9]{2}",
                                            "^\\S+$",
                                            "^(?=.*[0-9])[a-z0-9]{4,}$",
                                            "^#[0-9a-f]{6}$",
                                            "^[\\w.-]*$",
                                            "^a|b$",
                                            "^\\p{L}+$",
                                            "^(\\S+\\s){0,3}\\S+$"};
    Json s{{"type", "string"}, {"pattern", kPatterns[pick(std::size(kPatterns))]}};
    if (one_in(3)) s["maxLength"] = 4 + pick(12);
    if (one_in(4)) s["minLength"] = 1 + pick(4);
    return s;
  }
  Json object() {
    Json s{{"type", "object"}, {"properties", Json::object()}};
    Json required = Json::array();
    for (std::size_t n = 1 + pick(4); n > 0; --n) {
      const std::string k = key();
      s["properties"][k] = one_in(8) ? Json(coin()) : leaf();
      if (one_in(3) && s["properties"][k] != Json(false)) required.push_back(k);
    }
    if (!required.empty()) s["required"] = std::move(required);
    if (one_in(3)) s["additionalProperties"] = coin() ? Json(false) : leaf();
    return s;
  }
  Json pattern_properties() {
    static const char* const kPatterns[] = {"^x-", "^[a-z]+$", "id$", "[0-9]", "^.{1,5}$", "^n|e$"};
    Json s{{"type", "object"}};
    s["patternProperties"][kPatterns[pick(std::size(kPatterns))]] = leaf();
    if (coin()) s["patternProperties"][kPatterns[pick(std::size(kPatterns))]] = leaf();
    if (coin()) s["properties"][key()] = leaf();
    if (one_in(3)) s["propertyNames"] = {{"pattern", "^[a-z_]+$"}};
    if (one_in(4)) s["propertyNames"] = {{"maxLength", 4}};
    if (coin()) s["additionalProperties"] = coin() ? Json(false) : leaf();
    return s;
  }
  Json member_counts() {
    Json s = object();
    if (coin()) s["minProperties"] = pick(4);
    if (coin()) s["maxProperties"] = 1 + pick(4);
    if (coin()) s["dependentRequired"][key()] = {key()};
    if (one_in(3)) s["dependentSchemas"][key()] = {{"required", {key()}}};
    return s;
  }
  Json items() {
    Json s{{"type", "array"}};
    if (coin()) s["prefixItems"] = {leaf(), leaf()};
    if (!one_in(3)) s["items"] = one_in(4) ? Json(false) : leaf();
    if (coin()) s["minItems"] = pick(3);
    if (one_in(3)) s["maxItems"] = 1 + pick(4);
    return s;
  }
  Json combinators() {
    static const char* const kHow[] = {"anyOf", "oneOf", "allOf"};
    Json parts = Json::array();
    for (std::size_t n = 2 + pick(2); n > 0; --n) parts.push_back(coin() ? object() : leaf());
    Json s{{kHow[pick(std::size(kHow))], std::move(parts)}};
    if (one_in(3)) s["not"] = leaf();
    return s;
  }

  std::mt19937_64 random_;
};

}  // namespace espalier::grammar::testing
