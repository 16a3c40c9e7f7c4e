// Conditions by constants of a member, which are read as one choice: with and without the member,
// in any order, beside others.
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

// Objects of "kind", "a" and "b" in every order.
std::vector<std::string> texts() {
  const std::vector<std::string> kinds = {"", "\"x\"", "\"y\"", "\"z\"", "\"w\"", "1", "null"};
  const std::vector<std::string> values = {"", "1", "\"s\"", "2.5"};
  std::vector<std::string> out = {"1", "null", "\"x\"", "[]"};
  for (const std::string& kind : kinds) {
    for (const std::string& a : values) {
      for (const std::string& b : {std::string(), std::string("1"), std::string("true")}) {
        const std::vector<std::string> members = {kind.empty() ? "" : "\"kind\":" + kind,
                                                  a.empty() ? "" : "\"a\":" + a,
                                                  b.empty() ? "" : "\"b\":" + b};
        std::vector<std::size_t> order = {0, 1, 2};
        do {
          std::string text;
          for (const std::size_t i : order) {
            if (!members[i].empty()) text += (text.empty() ? "" : ",") + members[i];
          }
          out.push_back("{" + text + "}");
        } while (std::ranges::next_permutation(order).found);
      }
    }
  }
  return out;
}

class RandomConditions {
 public:
  explicit RandomConditions(std::uint64_t seed) : random_(seed) {}

  Json schema() {
    Json out = {{"allOf", Json::array()}};
    for (int i = 0, n = 3 + pick(4); i < n; ++i) out["allOf"].push_back(condition());
    if (pick(2) == 0) out["type"] = "object";
    if (pick(3) == 0) out["required"] = Json::array({pick(2) == 0 ? "kind" : "a"});
    if (pick(4) == 0) out["properties"]["kind"] = {{"enum", {"x", "y", 1}}};
    if (pick(4) == 0) {
      for (const char* name : {"kind", "a", "b"}) {
        if (!out["properties"].contains(name)) out["properties"][name] = true;
      }
      out["additionalProperties"] = false;
    }
    return out;
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  Json constant() {
    static const Json kSome[] = {{{"const", "x"}},       {{"const", "y"}},
                                 {{"const", "z"}},       {{"enum", {"w", "v"}}},
                                 {{"const", 1}},         {{"const", nullptr}},
                                 {{"enum", {"x", "w"}}}, {{"type", "string"}, {"const", "y"}},
                                 {{"type", "string"}},   {{"type", "string"}, {"enum", {"z", 1}}}};
    return kSome[pick(10)];
  }
  Json then() {
    static const Json kSome[] = {
        {{"required", {"a"}}},
        {{"properties", {{"a", {{"type", "integer"}}}}}},
        {{"properties", {{"a", {{"type", "string"}}}, {"b", false}}}},
        {{"required", {"b"}}, {"properties", {{"b", {{"const", 1}}}}}},
        {{"anyOf", {{{"required", {"a"}}}, {{"required", {"b"}}}}}},
        false,
        {{"if", {{"properties", {{"a", {{"const", 1}}}}}}}, {"then", {{"required", {"b"}}}}},
        {{"type", "object"}}};
    return kSome[pick(8)];
  }
  Json condition() {
    Json out = {{"if", {{"properties", {{pick(6) == 0 ? "a" : "kind", constant()}}}}}};
    if (pick(2) == 0) out["if"]["required"] = Json::array({pick(5) == 0 ? "a" : "kind"});
    if (pick(8) != 0) out["then"] = then();
    if (pick(4) == 0) out["else"] = then();
    return out;
  }
  std::mt19937_64 random_;
};

TEST(ConditionsOracle, TextsAreAcceptedIffEachConditionHolds) {
  const std::vector<std::string> all = texts();
  for (std::uint64_t seed = 0; seed < 300 && !HasFatalFailure(); ++seed) {
    check_naively(RandomConditions(seed).schema(), all, seed);
  }
}

// The same where what tells them apart lies inside a member.
TEST(ConditionsOracle, TextsAreAcceptedIffEachConditionInsideAMemberHolds) {
  std::vector<std::string> all = {"1", "[]"};
  for (const char* o :
       {"", "1", "{}", R"({"kind":"x"})", R"({"kind":"y"})", R"({"kind":"w","p":1})",
        R"({"p":{"kind":"x"}})", R"({"kind":1})", "null"}) {
    for (const char* a : {"", "1", R"("s")"}) {
      const std::string first = *o == 0 ? "" : "\"o\":" + std::string(o);
      const std::string second = *a == 0 ? "" : "\"a\":" + std::string(a);
      const std::string comma = *o == 0 || *a == 0 ? "" : ",";
      all.push_back("{" + first + comma + second + "}");
      all.push_back("{" + second + comma + first + "}");
    }
  }
  for (std::uint64_t seed = 0; seed < 300 && !HasFatalFailure(); ++seed) {
    std::mt19937_64 random(seed);
    const auto pick = [&](std::uint64_t n) { return random() % n; };
    const std::uint64_t shape = pick(64);
    Json schema = {{"allOf", Json::array()}};
    for (std::uint64_t i = 0, n = 3 + pick(3); i < n; ++i) {
      static const Json kConstants[] = {
          {{"const", "x"}}, {{"const", "y"}}, {{"enum", {"w", 1}}}, {{"const", nullptr}}};
      static const Json kThen[] = {{{"required", {"a"}}},
                                   {{"properties", {{"a", {{"type", "integer"}}}}}},
                                   {{"properties", {{"a", false}}}},
                                   {{"properties", {{"o", {{"required", {"p"}}}}}}}};
      const bool own = pick(6) == 0;  // another shape than the others
      const std::uint64_t flags = own ? pick(64) : shape;
      Json inner = {{"properties", {{"kind", kConstants[i % 4]}}}};
      if ((flags & 1) != 0) inner["required"] = {"kind"};
      if ((flags & 2) != 0) inner["type"] = "object";
      if ((flags & 48) == 48) inner = {{"properties", {{"p", inner}}}};
      Json condition = {{"properties", {{"o", inner}}}};
      if ((flags & 4) != 0) condition["required"] = {"o"};
      if ((flags & 8) != 0) condition["type"] = "object";
      schema["allOf"].push_back({{"if", condition}, {"then", kThen[pick(4)]}});
    }
    check_naively(schema, all, seed);
  }
}

// Where two conditions name one constant they are no choice, but a table by constants all the same.
TEST(Conditions, ByVeryManyConstantsMayNameOneTwice) {
  Json schema = {{"type", "object"}, {"required", {"kind"}}, {"allOf", Json::array()}};
  for (int i = 0; i < 101; ++i) {
    schema["allOf"].push_back(
        {{"if", {{"properties", {{"kind", {{"const", "k" + std::to_string(i % 100)}}}}}}},
         {"then", {{"required", {"m" + std::to_string(i)}}}}});
  }
  const auto grammar = compile_json_schema(byte_vocabulary(), schema).value();
  EXPECT_TRUE(testing::accepts(grammar, R"({"kind":"k7","m7":1})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"kind":"k7","m8":1})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"kind":"k0","m0":1})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"m100":1,"kind":"k0","m0":1})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"kind":"other"})"));
}

// Before its constant a member is read by each condition that types it, however many there are.
TEST(Conditions, TypeAMemberThatComesBeforeTheirConstant) {
  Json schema = {{"type", "object"}, {"allOf", Json::array()}};
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    schema["allOf"].push_back(
        {{"if", {{"properties", {{"kind", {{"const", "k" + n}}}}}, {"required", {"kind"}}}},
         {"then",
          {{"properties",
            {{"of", {{"type", "object"}, {"required", {"m" + n}}}},
             {"at" + n, {{"const", i}}}}}}}});
  }
  const auto grammar = compile_json_schema(byte_vocabulary(), schema, {}, {}).value();
  EXPECT_TRUE(testing::accepts(grammar, R"({"of":{"m7":1},"kind":"k7"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"of":{"m7":1},"kind":"k8"})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"of":{"m7":1,"m8":1},"at8":8,"kind":"k8"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"of":{"m7":1,"m8":1},"at8":7,"kind":"k8"})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"of":1,"at8":9,"kind":"other"})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"of":1})"));
}

// Of "kind" by patterns and bounds, of which some exclude and some imply each other; a value of
// another type satisfies them all.
TEST(ConditionsOracle, TextsAreAcceptedIffEachConditionByPatternsOrBoundsHolds) {
  static const Json kSaid[] = {{{"pattern", "^x"}},
                               {{"pattern", "^xy"}},
                               {{"pattern", "^y"}},
                               {{"pattern", "y$"}},
                               {{"pattern", "^$"}},
                               {{"pattern", "z"}},
                               {{"minLength", 2}},
                               {{"minimum", 2}},
                               {{"maximum", 2}},
                               {{"exclusiveMinimum", 1}},
                               {{"minimum", 5}},
                               {{"type", "string"}, {"pattern", "^x"}},
                               {{"type", {"string", "null"}}, {"pattern", "y"}},
                               {{"const", "xy"}},
                               {{"multipleOf", 2}}};
  std::vector<std::string> texts;
  for (const std::string kind : {"", "\"\"", "\"x\"", "\"xy\"", "\"y\"", "\"yz\"", "\"xzy\"", "1",
                                 "2", "3", "6", "2.5", "null", "true", "{}"}) {
    for (unsigned set = 0; set < 16; ++set) {
      std::string before, after;
      for (unsigned i = 0; i < 4; ++i) {
        if ((set >> i & 1U) == 0) continue;
        std::string& to = i % 2 == 0 ? before : after;
        to += (i % 2 == 0 ? "\"l" : ",\"l") + std::to_string(i) + "\":1" + (i % 2 == 0 ? "," : "");
      }
      std::string text = before + (kind.empty() ? "" : "\"kind\":" + kind) + after;
      if (kind.empty() && !after.empty()) text = before + after.substr(1);
      if (kind.empty() && after.empty() && !before.empty()) text.pop_back();
      if (!kind.empty() && kind == "true") text = "\"kind\":true" + after;
      texts.push_back("{" + text + "}");
    }
  }
  for (std::uint64_t seed = 0; seed < 150; ++seed) {
    std::mt19937_64 random(seed);
    Json schema = {{"type", "object"}, {"allOf", Json::array()}};
    for (std::size_t i = 0, n = 3 + random() % 6; i < n; ++i) {
      Json condition = {{"if", {{"properties", {{"kind", kSaid[random() % std::size(kSaid)]}}}}}};
      if (random() % 2 == 0) condition["if"]["required"] = {"kind"};
      condition["then"] = {{"required", {"l" + std::to_string(random() % 4)}}};
      if (random() % 3 == 0)
        condition["else"] = {{"required", {"l" + std::to_string(random() % 4)}}};
      schema["allOf"].push_back(condition);
    }
    if (random() % 3 == 0) schema["properties"]["kind"] = {{"type", "string"}};
    check_naively(schema, texts, seed);
    if (HasFatalFailure()) return;
  }
}

TEST(Conditions, ByManyPatternsThatExcludeEachOtherReadEveryText) {
  Json schema = {{"type", "object"}, {"allOf", Json::array()}};
  for (int i = 0; i < 30; ++i) {
    const std::string own = std::to_string(i);
    schema["allOf"].push_back(
        {{"if", {{"properties", {{"id", {{"pattern", "^p" + own + "-"}}}}}, {"required", {"id"}}}},
         {"then", {{"required", {"l" + own}}}}});
  }
  const GrammarRef grammar = compile_json_schema(byte_vocabulary(), schema).value();
  EXPECT_TRUE(testing::accepts(grammar, R"({"id":"p3-x","l3":1})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"l29":1,"id":"p29-"})"));
  EXPECT_TRUE(testing::accepts(grammar, R"({"id":"q"})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"id":7})"));  // all patterns hold of it
  EXPECT_TRUE(testing::accepts(grammar, R"({})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"id":"p3-x","l4":1})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"l4":1,"id":"p3-x"})"));
}

// Where what a branch says of a value is more than one thing it is not asked again of a value that
// it was told of: branches stay as few as they are.
TEST(Conditions, OfBranchesThatNoRequiredConstantTellsApartStayFew) {
  const Json kinds[] = {{{"type", "string"}},
                        {{"type", "integer"}, {"minimum", 0}},
                        {{"enum", {"x", "y"}}},
                        {{"type", "array"}, {"items", {{"type", "string"}}}}};
  Json branches = Json::array();
  for (int i = 0; i < 30; ++i) {
    Json properties = {{"type", {{"const", "event" + std::to_string(i)}}}};
    for (const int step : {1, 3, 4}) {
      properties["p" + std::to_string(i * step % 9)] = kinds[(i + step) % 4];
    }
    branches.push_back(
        {{"properties", std::move(properties)}, {"required", {"p" + std::to_string(i * 3 % 9)}}});
  }
  const auto grammar =
      compile_json_schema(byte_vocabulary(), {{"type", "object"}, {"oneOf", branches}});
  ASSERT_TRUE(grammar) << grammar.error().message;
  EXPECT_TRUE(testing::accepts(*grammar, R"({"p5":"x","p6":"text","p2":3,"type":"event5"})"));
  EXPECT_FALSE(testing::accepts(*grammar, R"({"p5":"x","p6":"text","p2":"3","type":"event5"})"));
  EXPECT_LT((*grammar)->size().bytes, std::size_t{4} << 20);
}

// More conditions over one member than are multiplied out, by bounds, patterns, values and counts
// that overlap.
TEST(ConditionsOracle, TextsAreAcceptedIffEachConditionByBoundsHolds) {
  std::vector<std::string> all = {"1", "{}"};
  for (const char* value : testing::kBoundedValues) {
    const std::string n = R"("n":)" + std::string(value);
    for (const char* beside : {R"("a":1)", R"("b":"x")", R"("b":1,"a":"x")"}) {
      all.push_back("{" + n + "," + beside + "}");
      all.push_back("{" + std::string(beside) + "," + n + "}");
    }
    all.push_back("{" + n + "}");
  }
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 6'000 : 400;
      for (std::uint64_t seed = 0; seed < runs && !HasFatalFailure(); ++seed) {
    std::mt19937_64 random(seed);
    static const Json kThen[] = {{{"required", {"a"}}},
                                 {{"required", {"b"}}},
                                 {{"properties", {{"a", {{"type", "integer"}}}}}},
                                 {{"properties", {{"b", {{"const", "x"}}}}}},
                                 {{"properties", {{"a", false}}}},
                                 {{"anyOf", {{{"required", {"a"}}}, {{"required", {"b"}}}}}}};
    Json schema = {{"allOf", Json::array()}};
    for (std::uint64_t i = 0, count = 4 + random() % 12; i < count; ++i) {
      Json one = {{"if", {{"properties", {{"n", testing::random_bounds(random)}}}}},
                  {random() % 4 == 0 ? "else" : "then", kThen[random() % 6]}};
      if (random() % 2 == 0) one["if"]["required"] = {"n"};
      schema["allOf"].push_back(one);
    }
    if (random() % 3 == 0) schema["properties"]["n"] = testing::random_bounds(random);
    if (random() % 3 == 0) schema["type"] = "object";
    check_naively(schema, all, seed);
  }
}

// By ranges, lengths, patterns and counts, more than could be multiplied out: each member that a
// value asks for, and no other.
TEST(Conditions, ManyOverOneMemberAreToldApart) {
  for (const char* by : {"range", "least", "length", "pattern", "items"}) {
    for (const int count : {8, 20, 100}) {
      Json schema = {{"allOf", Json::array()}};
      for (int i = 0; i < count; ++i) {
        Json said;
        if (by == std::string("range")) {
          said = {{"minimum", i * 10}, {"maximum", i * 10 + 9}};
        } else if (by == std::string("least")) {
          said = {{"type", "number"}, {"minimum", i}};
        } else if (by == std::string("pattern")) {
          said = {{"pattern", std::string("^") + static_cast<char>('a' + i / 26) +
                                  static_cast<char>('a' + i % 26)}};
        } else {
          said = {{by == std::string("length") ? "minLength" : "minItems", i + 1}};
        }
        schema["allOf"].push_back(
            {{"if", {{"type", "object"}, {"properties", {{"n", said}}}, {"required", {"n"}}}},
             {"then", {{"required", {"of" + std::to_string(i)}}}}});
      }
      std::vector<std::string> all;
      for (const char* value :
           {"0", "15", "1.5", R"("ab")", R"("ax")", R"("a")", "[1,2]", "null"}) {
        const std::string n = R"("n":)" + std::string(value);
        for (const char* beside : {"", R"(,"of0":1)", R"(,"of1":1)", R"(,"of0":1,"of1":1)"}) {
          all.push_back("{" + n + beside + "}");
          if (*beside != 0) all.push_back("{" + std::string(beside).substr(1) + "," + n + "}");
        }
      }
      check_naively(schema, all, static_cast<std::uint64_t>(count));
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
