// Small random schemas, the same for a seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>

#include "grammar/json.h"

namespace espalier::grammar::testing {

class RandomSchema {
 public:
  explicit RandomSchema(std::uint64_t seed) : random_(seed) {}

  Json make(int depth) {
    Json s = Json::object();
    const int keywords = 1 + pick(3);
    for (int i = 0; i < keywords; ++i) add(s, depth);
    return s;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  Json child(int depth) {
    if (depth <= 0 || pick(4) == 0) {
      static const Json kLeaves[] = {true,
                                     false,
                                     {{"type", "integer"}},
                                     {{"type", "string"}},
                                     {{"const", 1}},
                                     {{"enum", {"a", "b", nullptr}}},
                                     {{"minimum", 10}},
                                     {{"type", "null"}},
                                     {{"maxLength", 1}}};
      return kLeaves[pick(9)];
    }
    return make(depth - 1);
  }
  std::string key() { return std::string(1, static_cast<char>('a' + pick(3))); }
  Json list(int depth) {
    Json out = Json::array();
    const int n = 1 + pick(3);
    for (int i = 0; i < n; ++i) out.push_back(child(depth - 1));
    return out;
  }
  void add(Json& s, int depth) {
    static const char* const kTypes[] = {"object", "array", "string", "integer", "number", "null"};
    switch (pick(28)) {
      case 0:
        s["type"] = kTypes[pick(6)];
        break;
      case 1:
        s["type"] = Json::array({kTypes[pick(2)], kTypes[2 + pick(4)]});
        break;
      case 2:
      case 3:
        s["properties"][key()] = child(depth - 1);
        break;
      case 4:
        s["required"] = Json::array({key()});
        break;
      case 5:
        s["additionalProperties"] = child(depth - 1);
        break;
      case 6:
        s["patternProperties"][pick(2) == 0 ? "^[ab]" : "b|c"] = child(depth - 1);
        break;
      case 7:
        s["propertyNames"] = {{"pattern", "^[a-b]*$"}};
        break;
      case 8:
        s["minProperties"] = pick(3);
        break;
      case 9:
        s["maxProperties"] = pick(3);
        break;
      case 10:
        s["dependentRequired"][key()] = Json::array({key()});
        break;
      case 11:
        s["items"] = child(depth - 1);
        break;
      case 12:
        s["prefixItems"] = list(depth);
        break;
      case 13:
        s["minItems"] = pick(3);
        break;
      case 14:
        s["maxItems"] = pick(3);
        break;
      case 15:
        s["contains"] = child(depth - 1);
        break;
      case 16:
        s["contains"] = child(depth - 1), s["maxContains"] = pick(2), s["minContains"] = pick(2);
        break;
      case 17:
        s["allOf"] = list(depth);
        break;
      case 18:
      case 19:
        s["anyOf"] = list(depth);
        break;
      case 20:
      case 21:
        s["oneOf"] = list(depth);
        break;
      case 22:
        s["not"] = child(depth - 1);
        break;
      case 23:
        s["if"] = child(depth - 1), s["then"] = child(depth - 1), s["else"] = child(depth - 1);
        break;
      case 24:
      case 25:
        s["uniqueItems"] = true;
        break;
      case 26:
        s["multipleOf"] = pick(2) == 0 ? Json(3) : Json(0.75);
        break;
      default:
        s["enum"] = Json::array({1, "a", Json{{"a", 1}}, Json::array({1})});
        break;
    }
  }
  std::mt19937_64 random_;
};

}  // namespace espalier::grammar::testing
