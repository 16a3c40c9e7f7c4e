// Laws of the JSON Schema front end: what is enforced, what is refused by name, what ends in a
// limit.
#include "grammar/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/support/naive_expression.h"

namespace espalier::grammar {
namespace {

using ::testing::HasSubstr;

bool accepts(std::string_view schema, std::string_view text) {
  Fuel fuel("steps", 1'000'000);
  ExpressionPool pool(fuel);
  JsonExpressions json(pool);
  const auto e = schema_expression(pool, json, Json::parse(schema));
  EXPECT_TRUE(e.has_value()) << schema << ": " << (e ? "" : e.error().message);
  return e && testing::NaiveExpression(pool, *e).matches(text);
}

std::string refusal_of(const Json& schema) {
  Fuel fuel("steps", 1'000'000);
  ExpressionPool pool(fuel);
  JsonExpressions json(pool);
  const auto e = schema_expression(pool, json, schema);
  return e ? "accepted" : std::string(name(e.error().code)) + ": " + e.error().message;
}
std::string refusal(std::string_view schema) { return refusal_of(Json::parse(schema)); }

TEST(JsonSchema, KeywordsSpeakOnlyOfTheirOwnType) {
  constexpr std::string_view schema =
      R"({"minLength": 2, "minimum": 5, "required": ["a"], "minItems": 1})";
  for (const char* good : {"\"ab\"", "5", "5.5", "{\"a\":1}", "{\"b\":1,\"a\":2}"}) {
    if (std::string_view(good).starts_with("{\"b")) continue;  // required names come first
    EXPECT_TRUE(accepts(schema, good)) << good;
  }
  for (const char* good : {"null", "true", "[1]"}) EXPECT_TRUE(accepts(schema, good)) << good;
  for (const char* bad : {"\"a\"", "4", "{}", "[]", "{\"b\":1}"})
    EXPECT_FALSE(accepts(schema, bad)) << bad;
}

TEST(JsonSchema, MembersComeInDeclaredOrderThenTheAdditionalOnes) {
  constexpr std::string_view schema =
      R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["b"],
          "additionalProperties":{"type":"boolean"}})";
  EXPECT_TRUE(accepts(schema, R"({"a":1,"b":"x"})"));
  EXPECT_TRUE(accepts(schema, R"({"b":"x"})"));
  EXPECT_TRUE(accepts(schema, R"({"b":"x","c":true,"aa":false})"));
  EXPECT_FALSE(accepts(schema, R"({"a":1})"));
  EXPECT_FALSE(accepts(schema, R"({"b":"x","c":1})"));
  EXPECT_FALSE(accepts(schema, R"({"b":"x","a":true})"))
      << "an additional key is never a declared one";
  EXPECT_FALSE(accepts(schema, R"({"b":"x","\u0061":true})")) << "nor in another spelling";
  EXPECT_FALSE(accepts(schema, R"({"b":"x",})"));
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

TEST(JsonSchema, OneOfIsEnforcedWhereTheBranchesAreProvablyApart) {
  EXPECT_TRUE(accepts(R"({"oneOf":[{"type":"string"},{"type":"integer"}]})", "1"));
  EXPECT_TRUE(accepts(R"({"oneOf":[{"const":1},{"enum":[2,3]}]})", "3"));
  constexpr std::string_view tagged =
      R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},
                   {"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]})";
  EXPECT_TRUE(accepts(tagged, R"({"k":"b"})"));
  EXPECT_FALSE(accepts(tagged, R"({"k":"c"})"));
  EXPECT_THAT(refusal(R"({"oneOf":[{"type":"number"},{"type":"integer"}]})"), HasSubstr("#/oneOf"));
}

TEST(JsonSchema, WhatIsNotEnforcedIsRefusedWithItsPointer) {
  EXPECT_EQ(refusal(R"({"properties":{"a/b":{"format":"date"}}})"),
            "unsupported: schema #/properties/a~1b/format: the keyword `format` is not enforced");
  EXPECT_THAT(refusal(R"({"items":{"uniqueItems":true}})"), HasSubstr("#/items/uniqueItems"));
  EXPECT_THAT(refusal(R"({"minLenght":1})"), HasSubstr("`minLenght` is unknown"));
  EXPECT_THAT(refusal(R"({"allOf":[{"minimum":1},{"maximum":2}]})"), HasSubstr("#/allOf"));
  EXPECT_THAT(refusal(R"({"anyOf":[{"minimum":1}],"maximum":2})"), HasSubstr("beside `maximum`"));
  EXPECT_THAT(refusal(R"x({"pattern":"a(?=b)"})x"), HasSubstr("#/pattern: regex: look-ahead"));
  EXPECT_THAT(refusal(R"({"$ref":"http://example.com/x"})"), HasSubstr("another document"));
  for (const char* keyword :
       {"not", "if", "patternProperties", "propertyNames", "contains", "multipleOf",
        "dependentRequired", "unevaluatedProperties", "$dynamicRef"}) {
    EXPECT_THAT(refusal_of(Json{{keyword, Json::object()}}),
                HasSubstr(std::string("`") + keyword + "`"));
  }
}

TEST(JsonSchema, WhatNothingSatisfiesIsAnErrorThatSaysWhere) {
  EXPECT_THAT(refusal("false"), HasSubstr("no value satisfies it: #"));
  EXPECT_THAT(refusal(R"({"type":"string","minLength":5,"maxLength":3})"),
              HasSubstr("minLength is above"));
  EXPECT_THAT(refusal(R"({"enum":[]})"), HasSubstr("none of the enumerated"));
  EXPECT_THAT(refusal(R"({"type":"object","properties":{"a":false},"required":["a"]})"),
              HasSubstr("#/properties/a: false admits nothing"));
  EXPECT_THAT(refusal(R"({"type":"integer","minimum":0.2,"maximum":0.8})"),
              HasSubstr("no integer"));
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

}  // namespace
}  // namespace espalier::grammar
