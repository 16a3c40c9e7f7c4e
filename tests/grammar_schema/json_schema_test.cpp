// Laws of the JSON Schema front end: what is enforced, what is refused by name, what ends in a
// limit.
#include "grammar/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using testing::byte_vocabulary;
using ::testing::HasSubstr;
using testing::refusal_of;

bool accepts(std::string_view schema, std::string_view text) {
  const auto grammar = compile_json_schema(byte_vocabulary(), Json::parse(schema));
  EXPECT_TRUE(grammar.has_value()) << schema << ": " << (grammar ? "" : grammar.error().message);
  return grammar && testing::accepts(*grammar, text);
}

std::string refusal(std::string_view schema) { return refusal_of(Json::parse(schema)); }

TEST(JsonSchema, KeywordsSpeakOnlyOfTheirOwnType) {
  constexpr std::string_view schema =
      R"({"minLength": 2, "minimum": 5, "required": ["a"], "minItems": 1})";
  for (const char* good : {"\"ab\"", "5", "5.5", "{\"a\":1}", "{\"b\":1,\"a\":2}"}) {
    EXPECT_TRUE(accepts(schema, good)) << good;
  }
  for (const char* good : {"null", "true", "[1]"}) EXPECT_TRUE(accepts(schema, good)) << good;
  for (const char* bad : {"\"a\"", "4", "{}", "[]", "{\"b\":1}"})
    EXPECT_FALSE(accepts(schema, bad)) << bad;
}

TEST(JsonSchema, MembersComeInAnyOrderEachOnce) {
  constexpr std::string_view schema =
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["b"],
          "additionalProperties":{"type":"boolean"}})";
  EXPECT_TRUE(accepts(schema, R"({"a":1,"b":"x"})"));
  EXPECT_TRUE(accepts(schema, R"({"b":"x","a":1})"));
  EXPECT_TRUE(accepts(schema, R"({"c":true,"b":"x","aa":false})"));
  EXPECT_FALSE(accepts(schema, R"({"a":1})"));
  EXPECT_FALSE(accepts(schema, R"({"b":"x","c":1})"));
  EXPECT_FALSE(accepts(schema, R"({"b":"x","a":true})"))
      << "an additional key is never a declared one";
  EXPECT_FALSE(accepts(schema, R"({"b":"x","\u0061":true})")) << "nor in another spelling";
  EXPECT_FALSE(accepts(schema, R"({"b":"x",})"));
  EXPECT_FALSE(accepts(schema, R"({"b":"x","b":"y"})")) << "no key stands twice";
  EXPECT_FALSE(accepts(schema, R"({"b":"x","c":true,"c":true})"));
}

TEST(JsonSchema, ArraysHaveTheirPrefixAndTheirLength) {
  constexpr std::string_view schema =
      R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"},
          "minItems":1,"maxItems":3})";
  for (const char* good : {"[1]", R"([1,"a"])", R"([1,"a",null])"})
    EXPECT_TRUE(accepts(schema, good)) << good;
  for (const char* bad : {"[]", R"(["a"])", R"([1,2])", R"([1,"a",null,null])", R"([1,"a",2])"}) {
    EXPECT_FALSE(accepts(schema, bad)) << bad;
  }
  EXPECT_TRUE(accepts(R"({"prefixItems":[true,false]})", "[1]"));
  EXPECT_FALSE(accepts(R"({"prefixItems":[true,false]})", "[1,2]"));
  EXPECT_TRUE(accepts(R"({"items":false})", "[]"));
  EXPECT_FALSE(accepts(R"({"items":false})", "[1]"));
}

TEST(JsonSchema, PatternAndLengthHoldTogether) {
  constexpr std::string_view schema =
      R"({"type":"string","pattern":"^a+|b$","minLength":2,"maxLength":3})";
  for (const char* good : {"\"aa\"", "\"axx\"", "\"xb\""})
    EXPECT_TRUE(accepts(schema, good)) << good;
  for (const char* bad : {"\"a\"", "\"aaaa\"", "\"xx\""}) EXPECT_FALSE(accepts(schema, bad)) << bad;
}

TEST(JsonSchema, ReferencesMayBeRecursive) {
  constexpr std::string_view schema =
      R"({"$ref":"#/$defs/tree","$defs":{"tree":{"type":"object","properties":{"v":{"type":"integer"},
          "kids":{"type":"array","items":{"$ref":"#/$defs/tree"}}},"required":["v"],"additionalProperties":false}}})";
  EXPECT_TRUE(accepts(schema, R"({"v":1,"kids":[{"v":2},{"v":3,"kids":[]}]})"));
  EXPECT_FALSE(accepts(schema, R"({"v":1,"kids":[{"kids":[]}]})"));
}

TEST(JsonSchema, OneOfIsExactlyOne) {
  EXPECT_TRUE(accepts(R"({"oneOf":[{"type":"string"},{"type":"integer"}]})", "1"));
  EXPECT_TRUE(accepts(R"({"oneOf":[{"const":1},{"enum":[2,3]}]})", "3"));
  constexpr std::string_view tagged =
      R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},
                   {"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]})";
  EXPECT_TRUE(accepts(tagged, R"({"k":"b"})"));
  EXPECT_FALSE(accepts(tagged, R"({"k":"c"})"));
  constexpr std::string_view overlap = R"({"oneOf":[{"type":"number"},{"type":"integer"}]})";
  EXPECT_TRUE(accepts(overlap, "1.5"));
  EXPECT_FALSE(accepts(overlap, "1"));
  constexpr std::string_view members =
      R"({"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]})";
  EXPECT_TRUE(accepts(members, R"({"b":1})"));
  EXPECT_TRUE(accepts(members, R"({"c":1,"a":2})"));
  EXPECT_FALSE(accepts(members, R"({"b":1,"a":2})"));
  EXPECT_FALSE(accepts(members, R"({"c":1})"));
}

TEST(JsonSchema, CombinationsSpeakOfOneValue) {
  constexpr std::string_view both = R"({"allOf":[{"minimum":1},{"maximum":2}],"type":"integer"})";
  EXPECT_TRUE(accepts(both, "2"));
  EXPECT_FALSE(accepts(both, "3"));
  EXPECT_FALSE(accepts(R"({"not":{"type":"string"}})", "\"a\""));
  EXPECT_TRUE(accepts(R"({"not":{"type":"string"}})", "[1]"));
  constexpr std::string_view conditional =
      R"({"type":"object","properties":{"k":{"enum":["a","b"]},"v":{}},"required":["k"],
          "if":{"properties":{"k":{"const":"a"}}},"then":{"required":["v"]},
          "else":{"properties":{"v":false}}})";
  EXPECT_TRUE(accepts(conditional, R"({"k":"a","v":1})"));
  EXPECT_TRUE(accepts(conditional, R"({"v":1,"k":"a"})"));
  EXPECT_FALSE(accepts(conditional, R"({"k":"a"})"));
  EXPECT_TRUE(accepts(conditional, R"({"k":"b"})"));
  EXPECT_FALSE(accepts(conditional, R"({"v":1,"k":"b"})"));
}

TEST(JsonSchema, KeysArePatternsToo) {
  constexpr std::string_view schema =
      R"({"type":"object","patternProperties":{"^x":{"type":"integer"},"y$":{"minimum":5}},
          "properties":{"ab":{"type":"null"}},"additionalProperties":false})";
  EXPECT_TRUE(accepts(schema, R"({"xa":1,"by":"s","ab":null})"));
  EXPECT_TRUE(accepts(schema, R"({"xy":5})"));
  EXPECT_FALSE(accepts(schema, R"({"xy":4})"));
  EXPECT_FALSE(accepts(schema, R"({"c":4})"));
  EXPECT_FALSE(accepts(schema, R"({"xa":1,"xa":1})"));
  constexpr std::string_view names = R"({"type":"object","propertyNames":{"maxLength":1}})";
  EXPECT_TRUE(accepts(names, R"({"a":1,"b":2})"));
  EXPECT_FALSE(accepts(names, R"({"ab":1})"));
  constexpr std::string_view few =
      R"({"type":"object","patternProperties":{"^[ab]$":{}},"additionalProperties":false,
          "minProperties":2})";
  EXPECT_TRUE(accepts(few, R"({"b":1,"a":2})"));
  EXPECT_FALSE(accepts(few, R"({"b":1})"));
}

TEST(JsonSchema, ItemsAreCounted) {
  constexpr std::string_view schema =
      R"({"type":"array","contains":{"const":1},"minContains":2,"maxContains":3,"maxItems":5})";
  EXPECT_TRUE(accepts(schema, "[1,1]"));
  EXPECT_TRUE(accepts(schema, "[0,1,0,1,0]"));
  EXPECT_FALSE(accepts(schema, "[0,0,0,0,0]"));
  EXPECT_FALSE(accepts(schema, "[1,1,1,1]"));
  EXPECT_FALSE(accepts(schema, "[1,0,0,0,0]"));
}

TEST(JsonSchema, MultiplesAreExactDecimals) {
  EXPECT_TRUE(accepts(R"({"type":"number","multipleOf":0.01})", "19.99"));
  EXPECT_FALSE(accepts(R"({"type":"number","multipleOf":0.01})", "19.999"));
  EXPECT_TRUE(accepts(R"({"type":"integer","multipleOf":5})", "-15"));
  EXPECT_FALSE(accepts(R"({"type":"integer","multipleOf":5})", "12"));
  EXPECT_TRUE(accepts(R"({"multipleOf":2.5})", "7.5"));
  EXPECT_FALSE(accepts(R"({"multipleOf":2.5})", "6.5"));
}

TEST(JsonSchema, DatesHaveACalendar) {
  constexpr std::string_view date = R"({"type":"string","format":"date"})";
  for (const char* good : {"\"2024-02-29\"", "\"2000-02-29\"", "\"1999-12-31\""})
    EXPECT_TRUE(accepts(date, good)) << good;
  for (const char* bad : {"\"2023-02-29\"", "\"1900-02-29\"", "\"2023-04-31\"", "\"2023-4-1\""})
    EXPECT_FALSE(accepts(date, bad)) << bad;
}

TEST(JsonSchema, UnevaluatedMembersAreThoseThatNoSchemaSpokeOf) {
  constexpr std::string_view schema =
      R"({"type":"object","properties":{"a":{}},"anyOf":[{"properties":{"b":{"type":"integer"}},
          "required":["b"]},{"required":["c"],"properties":{"c":{}}}],"unevaluatedProperties":false})";
  EXPECT_TRUE(accepts(schema, R"({"a":1,"b":2})"));
  EXPECT_TRUE(accepts(schema, R"({"b":2,"c":3})"));
  EXPECT_FALSE(accepts(schema, R"({"b":2,"d":3})"));
  EXPECT_FALSE(accepts(schema, R"({"b":"x","c":3})"))
      << "b is not evaluated where its schema fails";
}

TEST(JsonSchema, WhatIsNotEnforcedIsRefusedWithItsPointer) {
  EXPECT_EQ(refusal(R"({"properties":{"a/b":{"format":"colour"}}})"),
            "unsupported: schema #/properties/a~1b/format: the format `colour` is unknown");
  EXPECT_THAT(refusal(R"({"minLenght":1})"), HasSubstr("`minLenght` is unknown"));
  EXPECT_THAT(refusal(R"x({"pattern":"(a(?=b))*"})x"),
              HasSubstr("#/pattern: regex: not supported: look-around"));
  EXPECT_THAT(refusal(R"({"$ref":"http://example.com/x"})"), HasSubstr("another document"));
  EXPECT_THAT(refusal(R"({"multipleOf":1e-30})"), HasSubstr("#/multipleOf: a multiple of 1e-30"));
}

TEST(JsonSchema, OtherDocumentsComeFromTheResolverAlone) {
  SchemaOptions options;
  options.resolver = [](const std::string& uri) -> Result<Json> {
    if (uri != "http://example.com/x") return fail(ErrorCode::kNotFound, "no " + uri);
    return Json::parse(R"({"$defs":{"n":{"type":"integer"}}})");
  };
  const auto grammar = compile_json_schema(
      byte_vocabulary(), Json{{"$ref", "http://example.com/x#/$defs/n"}}, {}, options);
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  EXPECT_TRUE(testing::accepts(*grammar, "1"));
  EXPECT_FALSE(testing::accepts(*grammar, "\"1\""));
  EXPECT_THAT(refusal_of(Json{{"$ref", "http://example.com/y"}}, options),
              HasSubstr("not_found: schema #/$ref"));
}

TEST(JsonSchema, WhatNothingSatisfiesIsAnError) {
  for (
      const char* none :
      {"false", R"({"type":"string","minLength":5,"maxLength":3})", R"({"enum":[]})",
       R"({"type":"object","properties":{"a":false},"required":["a"]})",
       R"({"type":"integer","minimum":0.2,"maximum":0.8})",
       R"({"allOf":[{"const":1},{"const":2}]})",
       R"({"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"x":{"$ref":"#/$defs/a"}},
            "required":["x"]}}})"}) {
    EXPECT_THAT(refusal(none),
                ::testing::AnyOf(HasSubstr("no value satisfies it"), HasSubstr("E0301")))
        << none;
  }
  EXPECT_EQ(refusal(R"({"properties":{"a":false}})"), "accepted");
}

TEST(JsonSchema, HostileSchemasEndInAnError) {
  EXPECT_THAT(refusal(R"({"$ref":"#"})"), HasSubstr("lead back to itself"));
  EXPECT_THAT(
      refusal(
          R"({"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"type":"object","properties":{"x":{"$ref":"#/$defs/b"}}},
      {"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}}})"),
      HasSubstr("lead back to itself"));
  Json deep = true;
  for (int i = 0; i < 100'000; ++i) deep = Json{{"items", std::move(deep)}};
  EXPECT_THAT(refusal_of(deep), HasSubstr("nested more than 128 deep"));
  Json chain = {{"$ref", "#/$defs/0"}, {"$defs", Json::object()}};
  auto& defs = chain["$defs"].get_ref<Json::object_t&>();
  for (int i = 0; i < 20'000; ++i) {
    Json link = i + 1 < 20'000 ? Json{{"$ref", "#/$defs/" + std::to_string(i + 1)}} : Json(true);
    defs.push_back({std::to_string(i), std::move(link)});
  }
  const std::string result = refusal_of(chain);
  EXPECT_TRUE(result == "accepted" || result.starts_with("limit")) << result;
  EXPECT_THAT(refusal("[]"), HasSubstr("a schema is an object"));
  EXPECT_THAT(refusal(R"({"type":"strng"})"), HasSubstr("#/type"));
}

// Which of two schemas a reference means that have one identifier nobody can say.
TEST(JsonSchema, AReferenceThatMayMeanTwoSchemasIsRefusedWithBothPlaces) {
  const auto schema = [](const Json& reference, const Json& second) {
    return Json{{"$id", "http://example.com/root"},
                {"$ref", reference},
                {"$defs",
                 {{"a", {{"$id", "part"}, {"type", "string"}}},
                  {"b", {{"$id", "part"}, {"type", second}}}}}};
  };
  const std::string message = testing::refusal_of(schema("part", "integer"));
  EXPECT_THAT(message, HasSubstr("invalid: schema #/$ref: `part` may mean two schemas"));
  EXPECT_THAT(message, HasSubstr("#/$defs/a"));
  EXPECT_THAT(message, HasSubstr("#/$defs/b"));
  EXPECT_THAT(testing::refusal_of(schema("part#", "integer")), HasSubstr("may mean two schemas"));
  EXPECT_EQ(testing::refusal_of(schema("#/$defs/b", "integer")), "accepted");  // by its place
  EXPECT_EQ(testing::refusal_of(schema("part", "string")), "accepted");        // the same twice
}

}  // namespace
}  // namespace espalier::grammar
