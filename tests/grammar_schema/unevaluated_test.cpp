// Members that no schema has spoken of: what holds beside them decides. Where these speak of names
// alone the formula is another one than where they have patterns.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using testing::byte_vocabulary;

std::vector<std::string> texts() {
  std::vector<std::string> out = {"1", "[]", "{}"};
  const std::vector<std::string> names = {"kind", "a", "b", "c", "d"};
  for (std::size_t bits = 1; bits < 32; ++bits) {
    for (const char* kind : {"\"x\"", "\"y\"", "1"}) {
      std::string text;
      for (std::size_t i = 0; i < names.size(); ++i) {
        if (((bits >> i) & 1) == 0) continue;
        text += (text.empty() ? "" : ",") + ('"' + names[i] + "\":") + (i == 0 ? kind : "1");
      }
      out.push_back("{" + text + "}");
    }
  }
  return out;
}

class RandomCoverage {
 public:
  explicit RandomCoverage(std::uint64_t seed) : random_(seed) {}
  Json schema() {
    Json out = speaks(2);
    out["unevaluatedProperties"] = pick(3) == 0 ? Json{{"type", "string"}} : Json(false);
    return out;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  Json speaks(int depth) {
    static const char* const kNames[] = {"kind", "a", "b", "c", "d"};
    Json out = Json::object();
    for (int i = 0, n = pick(3); i < n; ++i) {
      const int name = pick(5);
      out["properties"][kNames[name]] =
          name == 0 && pick(2) == 0 ? Json{{"const", pick(2) == 0 ? "x" : "y"}} : Json(true);
    }
    if (pick(3) == 0) out["required"] = Json::array({kNames[pick(5)]});
    if (pick(12) == 0) out["additionalProperties"] = {{"type", "integer"}};
    if (depth == 0) return out;
    for (int i = 0, n = 1 + pick(2); i < n; ++i) {
      switch (pick(5)) {
        case 0:
          out["oneOf"] = {speaks(depth - 1), speaks(depth - 1)};
          break;
        case 1:
          out["anyOf"] = {speaks(depth - 1), speaks(depth - 1), speaks(0)};
          break;
        case 2:
          out["if"] = speaks(0);
          out["then"] = speaks(depth - 1);
          if (pick(2) == 0) out["else"] = speaks(0);
          break;
        case 3:
          out["dependentSchemas"][kNames[pick(5)]] = speaks(depth - 1);
          break;
        default:
          out["allOf"] = {speaks(depth - 1)};
          break;
      }
    }
    return out;
  }
  std::mt19937_64 random_;
};

TEST(Unevaluated, MembersAreTheSameByNamesAndByCases) {
  const std::vector<std::string> all = texts();
  int compared = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const Json schema = RandomCoverage(seed).schema();
    Json cases = schema;  // the same, with a pattern that no text here has
    cases["allOf"].push_back({{"anyOf", {{{"patternProperties", {{"^zzz$", true}}}}, true}}});
    const auto by_names = compile_json_schema(byte_vocabulary(), schema);
    const auto by_cases = compile_json_schema(byte_vocabulary(), cases);
    if (!by_cases && by_cases.error().message.find("more than 6") != std::string::npos) continue;
    ASSERT_EQ(by_names.has_value(), by_cases.has_value()) << schema.dump();
    if (!by_names) continue;
    ++compared;
    for (const std::string& text : all) {
      ASSERT_EQ(testing::accepts(*by_names, text), testing::accepts(*by_cases, text))
          << "seed " << seed << ": " << schema.dump() << "\n"
          << text;
    }
  }
  EXPECT_GT(compared, 150);
}

// A schema that a member brings says nothing of arrays, which have none.
TEST(Unevaluated, ItemsAreNotSpokenOfByWhatMembersBring) {
  const Json brought = {{"prefixItems", {true}}, {"contains", {{"type", "integer"}}}};
  const Json schema = {{"dependentSchemas", {{"a", brought}}},
                       {"unevaluatedItems", {{"const", 7}}}};
  const auto grammar = compile_json_schema(byte_vocabulary(), schema);
  ASSERT_TRUE(grammar.has_value());
  for (const char* text : {"[]", "[7]", "[7,7]", "{}", "{\"a\":1}", "6"}) {
    EXPECT_TRUE(testing::accepts(*grammar, text)) << text;
  }
  for (const char* text : {"[6]", "[\"x\"]", "[7,6]"}) {
    EXPECT_FALSE(testing::accepts(*grammar, text)) << text;
  }
}

TEST(Unevaluated, MembersDependOnManySchemas) {
  Json schema = {{"type", "object"},
                 {"properties", {{"id", {{"type", "integer"}}}}},
                 {"oneOf", Json::array()},
                 {"unevaluatedProperties", false}};
  Json kinds = {{"type", "object"}, {"unevaluatedProperties", {{"type", "null"}}}};
  for (int i = 0; i < 24; ++i) {
    const std::string n = std::to_string(i);
    schema["oneOf"].push_back(
        {{"properties", {{"type", {{"const", "t" + n}}}, {"a" + n, {{"type", "integer"}}}}},
         {"required", {"type"}}});
    kinds["dependentSchemas"]["k" + n] = {{"properties", {{"k" + n, true}, {"v" + n, true}}}};
  }
  const auto grammar = compile_json_schema(byte_vocabulary(), schema).value();
  EXPECT_TRUE(testing::accepts(grammar, R"({"id":1,"type":"t7","a7":1})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"a7":1,"id":1,"type":"t7"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"id":1,"type":"t7","a8":1})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"a8":1,"type":"t7"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"type":"t7","other":1})"));
  const auto pairs = compile_json_schema(byte_vocabulary(), kinds).value();
  EXPECT_TRUE(testing::accepts(pairs, R"({"v3":1,"k3":1,"other":null})"));
  EXPECT_FALSE(testing::accepts(pairs, R"({"v3":1,"k4":1})"));
  EXPECT_TRUE(testing::accepts(pairs, R"({"v3":null,"k4":1})"));
  EXPECT_FALSE(testing::accepts(pairs, R"({"other":1})"));
  for (int i = 24; i < 65; ++i) {
    kinds["dependentSchemas"]["k" + std::to_string(i)] = {{"properties", {{"v", true}}}};
  }
  EXPECT_NE(testing::refusal_of(kinds).find("more than 64 other schemas"), std::string::npos);
}

}  // namespace
}  // namespace espalier::grammar
