// Laws of what is said of each keyword, and of the order of members.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <string_view>

#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using testing::byte_vocabulary;
using testing::refusal_of;

std::map<std::string, std::string> outcomes(const Json& schema, const SchemaOptions& options = {}) {
  std::map<std::string, std::string> out;
  const auto all = schema_outcomes(schema, options);
  EXPECT_TRUE(all.has_value()) << (all ? "" : all.error().message);
  if (!all) return out;
  for (const KeywordOutcome& o : *all) {
    EXPECT_EQ(o.reason.empty(), o.kind == KeywordOutcome::Kind::kEnforced) << o.pointer;
    EXPECT_TRUE(out.emplace(o.pointer, std::string(name(o.kind))).second) << o.pointer << " twice";
  }
  return out;
}

const char* const kMixed = R"x({"title":"t","type":"object","properties":{
    "a":{"type":"string","format":"colour","maxLength":3},
    "b":{"pattern":"((?=x)y)*"},"c":{"$ref":"#/$defs/n"}},
    "typo":1,"$defs":{"n":{"multipleOf":1e-30},"never":{"format":"colour"}}})x";

TEST(Outcomes, NameEachKeywordOnce) {
  const std::map<std::string, std::string> strict = {{"#/type", "enforced"},
                                                     {"#/properties", "enforced"},
                                                     {"#/properties/a/type", "enforced"},
                                                     {"#/properties/a/format", "refused"},
                                                     {"#/properties/a/maxLength", "enforced"},
                                                     {"#/properties/b/pattern", "refused"},
                                                     {"#/properties/c/$ref", "enforced"},
                                                     {"#/typo", "refused"},
                                                     {"#/$defs/n/multipleOf", "refused"}};
  EXPECT_EQ(outcomes(Json::parse(kMixed)), strict);
  SchemaOptions lax;
  lax.strict = false;
  std::map<std::string, std::string> recorded = strict;
  for (auto& [pointer, outcome] : recorded) {
    if (outcome == "refused") outcome = "recorded";
  }
  EXPECT_EQ(outcomes(Json::parse(kMixed), lax), recorded);
  lax.formats = false;
  lax.unknown_keywords = true;
  EXPECT_EQ(outcomes(Json::parse(kMixed), lax), recorded);
}

TEST(Outcomes, AStrictSchemaCompilesIffNothingIsRefused) {
  for (const char* text :
       {R"({"type":"integer"})", R"({"format":"colour"})", R"({"items":{"foo":1}})",
        R"({"$schema":"http://x/y"})", R"({"minimum":9007199254740993})",
        R"({"uniqueItems":true,"prefixItems":[true,true]})"}) {
    const Json schema = Json::parse(text);
    bool refused = false;
    for (const auto& [pointer, outcome] : outcomes(schema))
      refused = refused || outcome == "refused";
    EXPECT_EQ(refusal_of(schema) == "accepted", !refused) << text;
  }
}

TEST(Outcomes, AnnotationsOfToolsSayNothingAndAllElseIsRefused) {
  for (const char* key : {"markdownDescription", "enumDescriptions", "defaultSnippets", "tsType",
                          "errorMessage", "deprecationMessage", "allowComments", "example",
                          "x-intellij-html-description", "x-taplo", "x-", "javaType"}) {
    const Json schema{{"type", "object"}, {"properties", {{"a", {{key, {"b"}}}}}}, {key, true}};
    EXPECT_EQ(refusal_of(schema), "accepted") << key;
    const std::map<std::string, std::string> two = {{"#/type", "enforced"},
                                                    {"#/properties", "enforced"}};
    EXPECT_EQ(outcomes(schema), two) << key;
  }
  for (const char* key : {"nullable", "discriminator", "typeof", "instanceof", "extends", "x",
                          "markdowndescription", "transform", "switch", "optional", "options"}) {
    EXPECT_THAT(refusal_of(Json{{"type", "string"}, {key, true}}),
                ::testing::HasSubstr("`" + std::string(key) + "` is unknown"));
  }
}

TEST(Outcomes, MalformedSchemasAreErrorsInEitherWay) {
  SchemaOptions lax;
  lax.strict = false;
  for (const char* text : {R"({"type":"strng"})", R"({"pattern":"("})", R"({"minLength":-1})"}) {
    EXPECT_FALSE(schema_outcomes(Json::parse(text)).has_value()) << text;
    EXPECT_THAT(refusal_of(Json::parse(text), lax), ::testing::StartsWith("invalid")) << text;
  }
}

// What is recorded is left out of the language, which may only grow by that, whatever stands
// around.
TEST(Recorded, HoldsEveryTextOfTheSchema) {
  SchemaOptions lax;
  lax.strict = false;
  const auto accepts = [&](const char* schema, std::string_view text) {
    const auto grammar = compile_json_schema(byte_vocabulary(), Json::parse(schema), {}, lax);
    EXPECT_TRUE(grammar.has_value()) << schema << (grammar ? "" : grammar.error().message);
    return grammar && testing::accepts(*grammar, text);
  };
  for (
      const char* schema :
      {R"({"type":"string","format":"colour"})", R"({"type":"string","not":{"format":"colour"}})",
       R"({"type":"string","oneOf":[{"format":"colour"},{"minLength":2}]})",
       R"({"type":"string","if":{"format":"colour"},"then":{"maxLength":9},"else":{"minLength":1}})",
       R"({"type":["string","array"],"items":{"not":{"typo":1}},"not":{"type":"array"}})"}) {
    EXPECT_TRUE(accepts(schema, "\"red\"")) << schema;
    EXPECT_FALSE(accepts(schema, "[1]")) << schema << ": the rest is enforced";
  }
  for (const char* keys :
       {R"x({"propertyNames":{"pattern":"((?=a)b)*","maxLength":2}})x",
        R"x({"propertyNames":{"not":{"pattern":"((?=a)b)*"},"maxLength":2}})x",
        R"x({"patternProperties":{"((?=a)b)*":false},"propertyNames":{"maxLength":2}})x",
        R"x({"patternProperties":{"((?=a)b)*":true},"unevaluatedProperties":false,
             "propertyNames":{"maxLength":2}})x"}) {
    EXPECT_TRUE(accepts(keys, R"({"ab":1})")) << keys;
    EXPECT_FALSE(accepts(keys, R"({"abc":1})")) << keys;
  }
  EXPECT_TRUE(accepts(R"({"items":{"not":{"typo":1},"type":"integer"}})", "[1,2]"));
  EXPECT_FALSE(accepts(R"({"items":{"not":{"typo":1},"type":"integer"}})", "[1,\"2\"]"));
}

TEST(MemberOrder, IsTheDeclaredOneWhereAskedFor) {
  SchemaOptions declared;
  declared.order = MemberOrder::kDeclared;
  const auto accepts = [&](const Json& schema, std::string_view text) {
    const auto grammar = compile_json_schema(byte_vocabulary(), schema, {}, declared);
    EXPECT_TRUE(grammar.has_value()) << (grammar ? "" : grammar.error().message);
    return grammar && testing::accepts(*grammar, text);
  };
  const Json plain = Json::parse(
      R"({"type":"object","properties":{"b":true,"a":{"type":"integer"},"c":true},"required":["c","a"]})");
  EXPECT_TRUE(accepts(plain, R"({"b":1,"a":2,"c":3})"));
  EXPECT_TRUE(accepts(plain, R"({"a":2,"c":3})"));
  EXPECT_TRUE(accepts(plain, R"({"z":0,"a":2,"y":0,"c":3,"x":0})")) << "others stand anywhere";
  EXPECT_FALSE(accepts(plain, R"({"a":2,"b":1,"c":3})"));
  EXPECT_FALSE(accepts(plain, R"({"c":3,"a":2})"));
  EXPECT_FALSE(accepts(plain, R"({"a":"x","c":3})")) << "values are as ever";
  const Json nested = Json::parse(
      R"({"properties":{"type":true,"of":{"$ref":"#"}},"oneOf":[{"properties":{"x":true,"y":true},"required":["x"]},
          {"properties":{"y":true,"x":true},"required":["y"],"not":{"required":["x"]}}]})");
  EXPECT_TRUE(accepts(nested, R"({"type":1,"x":1,"of":{"y":1},"y":2})"));
  EXPECT_FALSE(accepts(nested, R"({"x":1,"of":{"x":1},"type":1})"));
  EXPECT_FALSE(accepts(nested, R"({"y":1,"x":2})"));
  const Json enumerated = Json::parse(R"({"enum":[{"b":1,"a":2},[1]]})");
  EXPECT_TRUE(accepts(enumerated, R"({"b":1,"a":2})"));
  EXPECT_FALSE(accepts(enumerated, R"({"a":2,"b":1})"));
  // Members that must come before one that must: the order is kept while closing too.
  const Json counted = Json::parse(
      R"({"properties":{"a":true,"b":true},"required":["b"],"minProperties":2,"additionalProperties":false})");
  EXPECT_TRUE(accepts(counted, R"({"a":1,"b":2})"));
  Matcher first = (*compile_json_schema(byte_vocabulary(), counted, {}, declared))->start();
  ASSERT_TRUE(first.advance('{') && first.advance('"'));
  EXPECT_FALSE(first.advance('b')) << "two members must come, and none may follow b";
}

TEST(MemberOrder, ChangesNoValueUnderNot) {
  SchemaOptions declared;
  declared.order = MemberOrder::kDeclared;
  const auto grammar = compile_json_schema(
      byte_vocabulary(),
      Json::parse(R"({"type":"object","not":{"properties":{"a":{"const":1},"b":true}}})"), {},
      declared);
  ASSERT_TRUE(grammar.has_value());
  EXPECT_TRUE(testing::accepts(*grammar, R"({"a":2,"b":1})"));
  EXPECT_TRUE(testing::accepts(*grammar, R"({"b":1,"a":2})"));
  EXPECT_FALSE(testing::accepts(*grammar, R"({"b":1,"a":1})"));
}

}  // namespace
}  // namespace espalier::grammar
