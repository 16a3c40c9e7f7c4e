// Branches of a `oneOf` that are told apart, or not: by types, values, members that are required,
// given values or types, forbidden; by bounds and patterns of the value or of a member; and where a
// branch is a choice itself.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/grammar_schema/naive_check.h"
#include "tests/grammar_schema/random_bounds.h"

namespace espalier::grammar {
namespace {

using testing::byte_vocabulary;
using testing::check_naively;

std::vector<std::string> texts() {
  std::vector<std::string> out = {"1", "2.5", "\"x\"", "null", "[]", "[1]", "true"};
  const std::vector<std::string> values = {"", "\"x\"", "\"y\"", "1", "null"};
  for (const std::string& kind : values) {
    for (const std::string& a : values) {
      for (const std::string& b : {std::string(), std::string("1")}) {
        std::string text = "{";
        const auto add = [&](const char* name, const std::string& value) {
          if (value.empty()) return;
          if (text.size() > 1) text += ',';
          text += '"' + std::string(name) + "\":" + value;
        };
        add("a", a);
        add("kind", kind);
        add("b", b);
        out.push_back(text + "}");
      }
    }
  }
  return out;
}

class RandomBranches {
 public:
  explicit RandomBranches(std::uint64_t seed) : random_(seed) {}

  Json schema() {
    Json out = {{"oneOf", branches(2)}};
    if (pick(3) == 0) out["type"] = "object";
    if (pick(3) == 0) out["required"] = Json::array({name()});
    out["$defs"] = {{"choice", {{"oneOf", branches(0)}}}, {"one", branch(0)}};
    return out;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  std::string name() {
    static const char* const kNames[] = {"kind", "a", "b"};
    return kNames[pick(3)];
  }
  Json value() {
    static const Json kValues[] = {{{"const", "x"}},
                                   {{"const", "y"}},
                                   {{"enum", {"x", 1}}},
                                   {{"type", "string"}},
                                   {{"type", "integer"}},
                                   {{"type", {"null", "string"}}},
                                   {{"type", "number"}},
                                   false,
                                   true,
                                   {{"enum", {1.0, "y", nullptr}}}};
    return kValues[pick(10)];
  }
  Json branches(int depth) {
    Json out = Json::array();
    for (int i = 0, n = 2 + pick(3); i < n; ++i) out.push_back(branch(depth));
    return out;
  }
  Json branch(int depth) {
    Json out = Json::object();
    if (pick(2) == 0) out["type"] = pick(5) == 0 ? "string" : "object";
    for (int i = 0, n = pick(3); i < n; ++i) out["properties"][name()] = value();
    for (int i = 0, n = pick(3); i < n; ++i) {
      const std::string must = name();
      Json& required = out["required"];
      if (std::find(required.begin(), required.end(), must) == required.end()) {
        required.push_back(must);
      }
    }
    switch (pick(6)) {
      case 0:
        out["additionalProperties"] = false;
        break;
      case 1:
        out["not"]["required"] = Json::array({name()});
        break;
      case 2:
        out["not"]["anyOf"] = Json::array(
            {{{"required", Json::array({name()})}}, {{"required", Json::array({name()})}}});
        break;
      default:
        break;
    }
    if (depth == 0) return out;
    switch (pick(6)) {
      case 0:
        out["oneOf"] = branches(depth - 1);
        break;
      case 1:
        out["anyOf"] = branches(depth - 1);
        break;
      case 2:
        out["allOf"] = branches(depth - 1);
        break;
      case 3:
        out["$ref"] = pick(2) == 0 ? "#/$defs/choice" : "#/$defs/one";
        break;
      default:
        break;
    }
    return out;
  }
  std::mt19937_64 random_;
};

TEST(OneOfOracle, TextsAreAcceptedIffOneBranchHolds) {
  const std::vector<std::string> all = texts();
  for (std::uint64_t seed = 0; seed < 400 && !HasFatalFailure(); ++seed) {
    check_naively(RandomBranches(seed).schema(), all, seed);
  }
}

// Branches by what bounds and patterns say of one value.
class RandomBounds {
 public:
  explicit RandomBounds(std::uint64_t seed) : random_(seed) {}

  Json schema() {
    const bool member = pick(2) == 0;
    Json out = {{"oneOf", Json::array()}};
    for (int i = 0, n = 2 + pick(4); i < n; ++i) {
      Json one = said();
      if (pick(8) == 0) one = {{"allOf", {one, said()}}};
      if (member) one = {{"properties", {{"n", one}}}};
      if (member && pick(4) != 0) one["required"] = {"n"};
      if (member && pick(3) == 0) one["type"] = "object";
      out["oneOf"].push_back(one);
    }
    if (pick(4) == 0) out.update(member ? Json{{"required", {"n"}}} : said());
    return out;
  }

  static std::vector<std::string> texts() {
    std::vector<std::string> out;
    for (const char* value : testing::kBoundedValues) {
      out.emplace_back(value);
      out.push_back(R"({"n":)" + std::string(value) + "}");
      out.push_back(R"({"m":1,"n":)" + std::string(value) + "}");
    }
    return out;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  Json said() { return testing::random_bounds(random_); }
  std::mt19937_64 random_;
};

TEST(OneOfOracle, TextsAreAcceptedIffBoundsAndPatternsOfOneBranchHold) {
  const std::vector<std::string> all = RandomBounds::texts();
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 30'000 : 1500;
  for (std::uint64_t seed = 0; seed < runs && !HasFatalFailure(); ++seed) {
    check_naively(RandomBounds(seed).schema(), all, seed);
  }
}

// A hundred of them: excluded by pairs, no search for a text would end.
TEST(OneOf, ManyBranchesAreToldApartByBoundsAndPatterns) {
  for (const char* by : {"range", "length", "pattern", "items"}) {
    Json schema = {{"oneOf", Json::array()}};
    for (int i = 0; i < 100; ++i) {
      Json said;
      if (by == std::string("range")) {
        said = {{"type", "integer"}, {"minimum", i * 10}, {"exclusiveMaximum", i * 10 + 10}};
      } else if (by == std::string("pattern")) {
        const std::string prefix = {static_cast<char>('a' + i / 26),
                                    static_cast<char>('a' + i % 26)};
        said = {{"type", "string"}, {"pattern", "^" + prefix + "-[0-9]+$"}};
      } else {
        const bool text = by == std::string("length");
        said = {{"type", text ? "string" : "array"},
                {text ? "minLength" : "minItems", i},
                {text ? "maxLength" : "maxItems", i}};
      }
      schema["oneOf"].push_back({{"properties", {{"n", said}, {"of" + std::to_string(i), false}}},
                                 {"required", {"n"}},
                                 {"type", "object"}});
    }
    const auto grammar = compile_json_schema(byte_vocabulary(), schema, {}, {});
    ASSERT_TRUE(grammar.has_value()) << by << ": " << grammar.error().message;
    const std::string value = by == std::string("range")     ? "23"
                              : by == std::string("pattern") ? R"("ac-1")"
                              : by == std::string("length")  ? R"("ab")"
                                                             : "[1,2]";
    EXPECT_TRUE(testing::accepts(*grammar, R"({"of3":1,"n":)" + value + "}")) << by;
    EXPECT_TRUE(testing::accepts(*grammar, R"({"n":)" + value + R"(,"of1":1})")) << by;
    EXPECT_FALSE(testing::accepts(*grammar, R"({"of2":1,"n":)" + value + "}")) << by;
    EXPECT_FALSE(testing::accepts(*grammar, R"({"n":)" + value + R"(,"of2":1})")) << by;
  }
}

// Choices inside a choice, none of which says that it is an object.
TEST(OneOf, ChoicesInsideChoicesAreToldApart) {
  Json inputs = {{"oneOf", Json::array()}};
  for (int i = 0; i < 24; ++i) {
    const std::string n = std::to_string(i);
    inputs["oneOf"].push_back({{"properties",
                                {{"type", {{"const", "input" + n}}},
                                 {"name", {{"type", "string"}}},
                                 {"of" + n, {{"type", "integer"}}}}},
                               {"required", {"type", "name"}},
                               {"additionalProperties", false}});
  }
  Json schema = {{"$defs", {{"inputs", inputs}}}, {"oneOf", Json::array()}};
  schema["oneOf"].push_back({{"$ref", "#/$defs/inputs"}});
  for (const char* kind : {"set", "group", "list"}) {
    schema["oneOf"].push_back(
        {{"allOf",
          {{{"type", "object"}, {"required", {"type"}}},
           {{"properties", {{"type", {{"const", kind}}}, {"items", {{"items", {{"$ref", "#"}}}}}}},
            {"additionalProperties", false}}}}});
  }
  schema["oneOf"].push_back(
      {{"type", "object"},
       {"properties", {{"include", {{"type", "string"}}}}},
       {"required", {"include"}},
       {"not", {{"anyOf", {{{"required", {"name"}}}, {{"required", {"type"}}}}}}}});
  const auto grammar = compile_json_schema(byte_vocabulary(), schema, {}, {}).value();
  EXPECT_TRUE(testing::accepts(grammar, R"({"of23":1,"name":"a","type":"input23"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"of23":1,"name":"a","type":"input22"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"type":"input22"})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"items":[{"include":"b"}],"type":"group"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"items":[1],"type":"group"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"include":"b","name":"a"})"));
  EXPECT_FALSE(testing::accepts(grammar, "1"));  // of all inputs, which say nothing of numbers
}

// The member that tells branches apart is required outside of them, by what stands around the
// choice that they are part of: without knowing that, each branch would have to deny all others.
TEST(OneOf, BranchesAreToldApartByAMemberThatIsRequiredAroundThem) {
  constexpr int kBranches = 40;
  Json kinds = Json::array(), inner = Json::array();
  for (int i = 0; i < kBranches; ++i) {
    const std::string n = std::to_string(i);
    kinds.push_back("kind" + n);
    inner.push_back({{"properties",
                      {{"kind", {{"type", "string"}, {"enum", {"kind" + n}}}},
                       {"of" + n, {{"type", "integer"}}}}}});
  }
  const Json schema = {
      {"allOf",
       {{{"type", "object"},
         {"properties", {{"kind", {{"type", "string"}}}}},
         {"required", {"kind"}}}}},
      {"oneOf",
       {{{"properties",
          {{"kind", {{"not", {{"enum", kinds}}}}}, {"plain", {{"type", "boolean"}}}}}},
        {{"oneOf", inner}}}}};
  const auto grammar = compile_json_schema(byte_vocabulary(), schema, {}, {});
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_TRUE(testing::accepts(*grammar, R"({"of3":1,"kind":"kind3"})"));
  EXPECT_FALSE(testing::accepts(*grammar, R"({"of3":"x","kind":"kind3"})"));
  EXPECT_TRUE(testing::accepts(*grammar, R"({"of3":"x","kind":"kind39"})"));
  EXPECT_FALSE(testing::accepts(*grammar, R"({"of3":1})"));
  EXPECT_TRUE(testing::accepts(*grammar, R"({"plain":true,"kind":"other"})"));
  EXPECT_FALSE(testing::accepts(*grammar, R"({"plain":1,"kind":"other"})"));
  EXPECT_TRUE(testing::accepts(*grammar, R"({"plain":1,"kind":"kind0"})"));
  EXPECT_FALSE(testing::accepts(*grammar, R"({"kind":3})"));
}

// Branches without a `type`: whatever is no object satisfies all of them, so none is let through.
TEST(OneOf, BranchesThatSayNothingOfAValueAreAllOfThemSatisfiedByIt) {
  constexpr int kBranches = 1000;
  Json branches = Json::array(), named = Json::object();
  for (int i = 0; i < kBranches; ++i) {
    const std::string n = std::to_string(i);
    named["d" + n] = {
        {"properties", {{"kind", {{"const", "k" + n}}}, {"of" + n, {{"type", "integer"}}}}},
        {"required", {"kind"}}};
    branches.push_back({{"$ref", "#/$defs/d" + n}, {"description", "one of many"}});
  }
  const Json schema = {{"oneOf", branches}, {"$defs", named}};
  const auto grammar = compile_json_schema(byte_vocabulary(), schema, {}, {});
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_TRUE(testing::accepts(*grammar, R"({"of3":1,"kind":"k3"})"));
  EXPECT_FALSE(testing::accepts(*grammar, R"({"of3":"x","kind":"k3"})"));
  for (const char* text : {"1", "\"k3\"", "null", "[]", "{}"}) {
    EXPECT_FALSE(testing::accepts(*grammar, text)) << text;
  }
  // Of a text the first branch says something, and of a list the second.
  check_naively({{"oneOf",
                  {{{"minLength", 2}, {"required", {"a"}}},
                   {{"maxItems", 1}, {"allOf", {{{"minProperties", 1}}}}},
                   {{"minimum", 3}, {"title", "the third"}}}}},
                {"\"a\"", "\"ab\"", "[]", "[1]", "[1,2]", "3", "2", "{}", R"({"a":1})",
                 R"({"b":1})", "true", "null"},
                0);
  check_naively({{"oneOf", {{{"minLength", 2}}, {{"required", {"a"}}}}}},
                {"\"a\"", "\"ab\"", "[]", "{}", R"({"a":1})", "1"}, 1);
}

}  // namespace
}  // namespace espalier::grammar
