// What bounds, lengths, counts, patterns and enumerated values say of one value, at random, and
// values around them.
#pragma once

#include <cstdint>
#include <random>

#include "grammar/json.h"

namespace espalier::grammar::testing {

inline constexpr const char* kBoundedValues[] = {
    "0",      "1",       "1.5",      "2",       "3",        "-1",      "10",     R"("")",
    R"("a")", R"("ab")", R"("abc")", R"("b1")", R"("bb1")", R"("A2")", R"("é")", R"("12")",
    "[]",     "[1]",     "[1,2]",    "[1,2,3]", "null",     "{}"};

inline Json random_bounds(std::mt19937_64& random) {
  const auto pick = [&](int n) {
    return static_cast<int>(random() % static_cast<std::uint64_t>(n));
  };
  static const char* const kPatterns[] = {"^a",       "^b",          "^[a-f]{2}", "^(?:ab|b)1?",
                                          "^[0-9]+$", "^[A-Z][0-9]", "^.b",       "1$",
                                          "^(b+|c)1", "^a{0,2}b",    "^é",        "^[^a]",
                                          "^(?=a).b", "^$",          "^\\d\\d",   "^(a(b(c)))$"};
  static const Json kEnums[] = {{0, 1, "a"}, {"ab", "b1"}, {1.5, 3, nullptr}, {"12", 10}};
  Json out = Json::object();
  for (int i = 0, n = 1 + pick(2); i < n; ++i) {
    switch (pick(9)) {
      case 0:
        out["minimum"] = pick(4);
        break;
      case 1:
        out["maximum"] = pick(4);
        break;
      case 2:
        out["exclusiveMinimum"] = pick(4);
        break;
      case 3:
        out["exclusiveMaximum"] = pick(4);
        break;
      case 4:
        out[pick(2) == 0 ? "minLength" : "maxLength"] = pick(4);
        break;
      case 5:
        out[pick(2) == 0 ? "minItems" : "maxItems"] = pick(4);
        break;
      case 6:
        out["enum"] = kEnums[pick(4)];
        break;
      default:
        out["pattern"] = kPatterns[pick(16)];
        break;
    }
  }
  static const Json kTypes[] = {"string", "number", "integer", "array", {"number", "string"}};
  if (pick(4) != 0) out["type"] = kTypes[pick(5)];
  return out;
}
}  // namespace espalier::grammar::testing
