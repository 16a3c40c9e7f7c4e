// Alternatives of one object: told apart by a member, also where it is required beside them or
// nowhere, and where many of them hold at once. Against a plain validator.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "tests/grammar_schema/verdicts.h"
#include "tests/support/naive_schema.h"

namespace espalier::grammar {
namespace {

using testing::NaiveSchema;

GrammarRef compiled(const Json& schema) {
  auto grammar = compile_json_schema(testing::byte_vocabulary(), schema, {}, {});
  EXPECT_TRUE(grammar.has_value())
      << schema.dump() << ": " << (grammar ? "" : grammar.error().message);
  return grammar ? *grammar : nullptr;
}

// Random alternatives over the members p0 …, and values for them.
class Alternatives {
 public:
  enum class Tag { kRequired, kBeside, kOpen, kNone };  // the member that tells them apart

  Alternatives(std::uint64_t seed, std::size_t count, Tag tag, const char* keyword)
      : random_(seed), names_(count + 3) {
    Json branches = Json::array();
    for (std::size_t i = 0; i < count; ++i) branches.push_back(branch(i, tag));
    schema_ = {{"type", "object"}, {keyword, std::move(branches)}};
    if (tag == Tag::kBeside) schema_["required"] = {"type"};
    if (tag != Tag::kNone) tags_ = count;
  }

  [[nodiscard]] const Json& schema() const { return schema_; }

  // The member that tells them apart comes anywhere, or not at all.
  Json value() {
    Json out = Json::object();
    const std::size_t count = below(5);
    const std::size_t tag = below(count + 2);
    for (std::size_t i = 0; i < count; ++i) {
      if (i == tag && tags_ > 0) out["type"] = "k" + std::to_string(below(tags_));
      out["p" + std::to_string(below(names_))] = scalar();
    }
    if (tag == count && tags_ > 0) out["type"] = "k" + std::to_string(below(tags_));
    return out;
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }
  Json scalar() {
    static const Json kSome[] = {0, 7, "", "ab", "x", true, nullptr, 1.5, Json::array({1})};
    return kSome[below(std::size(kSome))];
  }
  Json member() {
    static const Json kSome[] = {
        {{"type", "string"}},          {{"type", "integer"}, {"minimum", 1}},
        {{"type", "boolean"}},         {{"type", "string"}, {"minLength", 1}},
        {{"enum", {"x", 7, nullptr}}}, {{"type", "array"}, {"items", {{"type", "integer"}}}},
        {{"type", "number"}},          {{"const", "ab"}}};
    return kSome[below(std::size(kSome))];
  }
  Json branch(std::size_t i, Tag tag) {
    Json out = {{"properties", Json::object()}};
    Json required = Json::array();
    for (std::size_t n = 1 + below(3); n > 0; --n) {
      const std::string name = "p" + std::to_string(below(names_));
      out["properties"][name] = member();
      if (below(4) == 0) required.push_back(name);
    }
    if (tag != Tag::kNone) out["properties"]["type"] = {{"const", "k" + std::to_string(i)}};
    if (tag == Tag::kRequired) required.push_back("type");
    if (!required.empty()) out["required"] = std::move(required);
    if (below(3) == 0) out["additionalProperties"] = false;
    return out;
  }

  std::mt19937_64 random_;
  std::size_t names_;
  std::size_t tags_ = 0;
  Json schema_;
};

TEST(Alternatives, HoldAsAPlainValidatorHasIt) {
  using Tag = Alternatives::Tag;
  std::uint64_t seed = 0;
  for (const Tag tag : {Tag::kRequired, Tag::kBeside, Tag::kOpen, Tag::kNone}) {
    for (const char* keyword : {"oneOf", "anyOf"}) {
      for (const std::size_t count : {2U, 4U, 7U, 12U}) {
        if (tag == Tag::kNone && count > 7) continue;  // a few of those are refused as undecided
        Alternatives random(++seed, count, tag, keyword);
        const auto grammar =
            compile_json_schema(testing::byte_vocabulary(), random.schema(), {}, {});
        ASSERT_TRUE(grammar.has_value()) << random.schema().dump() << grammar.error().message;
        const NaiveSchema naive(random.schema());
        for (int i = 0; i < 60; ++i) {
          const Json value = random.value();
          ASSERT_EQ(testing::accepts(*grammar, value.dump()), naive.valid(value))
              << "seed " << seed << ": " << random.schema().dump() << "\n"
              << value.dump();
        }
      }
    }
  }
}

// Forty kinds of event whose authors left `type` out of `required`, or put it beside the list.
TEST(Alternatives, ManyAreToldApartByAMemberThatTheyDoNotRequire) {
  for (const bool beside : {false, true}) {
    Json schema = {{"type", "object"}, {"oneOf", Json::array()}};
    if (beside) schema["required"] = {"type"};
    for (int i = 0; i < 40; ++i) {
      const std::string n = std::to_string(i);
      schema["oneOf"].push_back({{"properties",
                                  {{"type", {{"const", "event" + n}}},
                                   {"id", {{"type", i % 2 == 0 ? "integer" : "string"}}},
                                   {"field" + n, {{"type", "boolean"}}},
                                   {"note", {{"type", "string"}, {"minLength", i % 3}}}}}});
    }
    const GrammarRef grammar = compiled(schema);
    ASSERT_NE(grammar, nullptr);
    EXPECT_TRUE(testing::accepts(grammar, R"({"type":"event8","id":3,"field8":true})"));
    EXPECT_TRUE(testing::accepts(grammar, R"({"id":3,"note":"ab","field9":1,"type":"event8"})"));
    EXPECT_FALSE(testing::accepts(grammar, R"({"id":"3","field8":true,"type":"event8"})"));
    EXPECT_FALSE(testing::accepts(grammar, R"({"type":"event8","id":3,"field8":1})"));
    EXPECT_FALSE(testing::accepts(grammar, R"({"type":"event40"})"));
    EXPECT_FALSE(testing::accepts(grammar, R"({"id":3})"));  // twenty hold, or none
  }
}

// So many that what becomes of those which do not name a member is found once for all of them.
TEST(Alternatives, OfWhichFewNameAMemberHoldAsAPlainValidatorHasIt) {
  using Tag = Alternatives::Tag;
  constexpr std::size_t kMany = 48;
  std::uint64_t seed = 0;
  for (const Tag tag : {Tag::kRequired, Tag::kBeside, Tag::kOpen}) {
    for (const char* keyword : {"oneOf", "anyOf"}) {
      // Of so many that nothing tells apart it is not decided which hold together.
      if (tag == Tag::kOpen && std::string(keyword) == "oneOf") continue;
      for (int of = 0; of < 4; ++of) {
        Alternatives random(++seed, kMany, tag, keyword);
        Json schema = random.schema();
        Json& branches = schema[keyword];
        for (std::size_t i = 0; i < kMany; ++i) {
          if (i % 7 == 1) branches[i]["patternProperties"]["^p[1-3]$"] = {{"type", "integer"}};
          if (i % 5 == 2) branches[i]["minProperties"] = 1 + i % 3;
          if (i % 11 == 3) branches[i]["additionalProperties"] = {{"type", "boolean"}};
        }
        const auto grammar = compile_json_schema(testing::byte_vocabulary(), schema, {}, {});
        ASSERT_TRUE(grammar.has_value()) << schema.dump() << grammar.error().message;
        const NaiveSchema naive(schema);
        for (int i = 0; i < 200; ++i) {
          const Json value = random.value();
          ASSERT_EQ(testing::accepts(*grammar, value.dump()), naive.valid(value))
              << "seed " << seed << ": " << schema.dump() << "\n"
              << value.dump();
        }
      }
    }
  }
}

// A thousand objects each of which has a member that no other has: to derive all of them by each of
// their names takes more steps than a search may.
TEST(Alternatives, OfAThousandClosedObjectsAreTriedByTheirOwnNames) {
  for (const char* keyword : {"anyOf", "oneOf"}) {
    Json schema = {{keyword, Json::array()}};
    for (int i = 0; i < 1000; ++i) {
      const std::string n = std::to_string(i);
      schema[keyword].push_back(
          {{"type", "object"},
           {"properties", {{"kind", {{"const", "k" + n}}}, {"value" + n, {{"type", "integer"}}}}},
           {"required", {"kind", "value" + n}},
           {"additionalProperties", false}});
    }
    const GrammarRef grammar = compiled(schema);
    ASSERT_NE(grammar, nullptr);
    EXPECT_TRUE(testing::accepts(grammar, R"({"kind":"k999","value999":1})"));
    EXPECT_TRUE(testing::accepts(grammar, R"({"value7":1,"kind":"k7"})"));
    EXPECT_FALSE(testing::accepts(grammar, R"({"value7":1,"kind":"k8"})"));
    EXPECT_FALSE(testing::accepts(grammar, R"({"kind":"k7"})"));
    EXPECT_FALSE(testing::accepts(grammar, R"({"kind":"k7","value7":1,"value8":1})"));
  }
}

}  // namespace
}  // namespace espalier::grammar
