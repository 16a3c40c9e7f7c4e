// Schemas made to hurt: each ends in a grammar or a named error, the same every time, on a stack of
// 256 KiB, destructors included.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "tests/grammar_schema/verdicts.h"
#include "tests/support/small_stack.h"

namespace espalier::grammar {
namespace {

using espalier::testing::on_a_small_stack;
using ::testing::AnyOf;
using testing::byte_vocabulary;
using ::testing::HasSubstr;
using testing::refusal_of;
using ::testing::StartsWith;

Json chain(int n, const char* keyword, bool in_list) {
  Json out = true;
  for (int i = 0; i < n; ++i) {
    Json inner = in_list ? Json::array({std::move(out)}) : std::move(out);
    out = Json::object();
    out[keyword] = std::move(inner);
  }
  return out;
}

TEST(HostileSchemas, NestsAMillionDeepAreALimit) {
  on_a_small_stack([] {
    for (const char* keyword : {"items", "not", "additionalProperties"}) {
      const Json deep = chain(1'000'000, keyword, false);
      EXPECT_THAT(refusal_of(deep), StartsWith("limit: schema: nested more than")) << keyword;
    }
    EXPECT_THAT(refusal_of(chain(1'000'000, "allOf", true)), StartsWith("limit"));
    EXPECT_EQ(refusal_of(chain(60, "items", false)), "accepted");
    EXPECT_EQ(refusal_of(chain(60, "not", false)), "accepted");
  });
}

TEST(HostileSchemas, ReferencesThatLeadBackOrFarAreNamed) {
  on_a_small_stack([] {
    const Json mutual = Json::parse(R"({"$ref":"#/$defs/a","$defs":{
        "a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}}})");
    EXPECT_THAT(refusal_of(mutual), HasSubstr("lead back to itself"));
    Json far = {{"$ref", "#/$defs/0"}, {"$defs", Json::object()}};
    auto& defs = far["$defs"].get_ref<Json::object_t&>();
    for (int i = 0; i < 20'000; ++i) {
      Json link = i + 1 < 20'000 ? Json{{"$ref", "#/$defs/" + std::to_string(i + 1)}} : Json(true);
      defs.push_back({std::to_string(i), std::move(link)});
    }
    EXPECT_THAT(refusal_of(far), StartsWith("limit"));
  });
}

TEST(HostileSchemas, CountsWithoutEndCostNothing) {
  on_a_small_stack([] {
    EXPECT_EQ(refusal_of(Json{{"type", "string"}, {"maxLength", 1'000'000'000}}), "accepted");
    EXPECT_EQ(refusal_of(Json{{"type", "array"}, {"maxItems", 1'000'000'000}}), "accepted");
    EXPECT_THAT(refusal_of(Json{{"type", "string"}, {"minLength", 1'000'000'000}}),
                AnyOf(StartsWith("limit"), HasSubstr("E0301")));
    EXPECT_THAT(refusal_of(Json{{"type", "array"}, {"minItems", 1'000'000'000}}),
                AnyOf(StartsWith("limit"), HasSubstr("E0301")));
    EXPECT_THAT(refusal_of(Json{{"type", "object"}, {"minProperties", 1'000'000}}),
                AnyOf(StartsWith("limit"), HasSubstr("E0301")));
  });
}

TEST(HostileSchemas, ChoicesThatMultiplyAreBounded) {
  on_a_small_stack([] {
    std::string wide;
    for (int i = 0; i < 10'000; ++i) {
      wide += std::string(i > 0 ? "," : "") + R"({"required":["k)" + std::to_string(i) + R"("]})";
    }
    EXPECT_THAT(refusal_of(Json::parse(R"({"oneOf":[)" + wide + "]}")),
                StartsWith("limit: schema #/oneOf"));
    // Choices that cut across each other, and some that nothing satisfies.
    std::string cross, impossible, never;
    for (int i = 0; i < 12; ++i) {
      const std::string n = std::to_string(i);
      const std::string comma = i > 0 ? "," : "";
      cross += comma + R"({"oneOf":[{"required":["a)" + n +
               R"("]},{"required":["x"],"properties":{"x":{"minimum":)" + n + "}}}]}";
      impossible +=
          comma + R"({"anyOf":[{"required":["a)" + n + R"("]},{"required":["b)" + n + R"("]}]})";
      never += comma + R"("a)" + n + R"(":false)";
    }
    EXPECT_THAT(refusal_of(Json::parse(R"({"type":"object","allOf":[)" + cross + "]}")),
                AnyOf("accepted", StartsWith("limit")));
    EXPECT_THAT(refusal_of(Json::parse(R"({"type":"object","maxProperties":11,"properties":{)" +
                                       never + R"(},"allOf":[)" + impossible + "]}")),
                AnyOf(StartsWith("limit"), HasSubstr("E0301")));
  });
}

TEST(HostileSchemas, BranchesWithoutNumberAreTakenWhereAMemberTellsThemApart) {
  on_a_small_stack([] {
    Json tagged = {{"oneOf", Json::array()}};
    for (int i = 0; i < 10'000; ++i) {
      const Json tag = {{"const", "k" + std::to_string(i)}};
      tagged["oneOf"].push_back(
          {{"type", "object"}, {"properties", {{"kind", tag}}}, {"required", {"kind"}}});
    }
    EXPECT_THAT(refusal_of(tagged), AnyOf("accepted", StartsWith("limit: ")));
  });
}

// In any order: no order of them is derived, and no rest of them searched, anew for each.
// Each of them excludes all others, and there are more than automata are kept: each pattern is
// looked up once a combination, or this takes minutes.
TEST(HostileSchemas, PatternsThatExcludeEachOtherMayBeMany) {
  Json schema = {{"oneOf", Json::array()}};
  for (int i = 0; i < 530; ++i) {
    schema["oneOf"].push_back(
        {{"type", "string"}, {"pattern", "^a" + std::to_string(i) + "[0-9]*b"}});
  }
  const auto grammar = compile_json_schema(testing::byte_vocabulary(), schema);
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  EXPECT_TRUE(testing::accepts(*grammar, "\"a7b\""));
  EXPECT_FALSE(testing::accepts(*grammar, "\"a77b\""));  // under 7 and 77
  EXPECT_FALSE(testing::accepts(*grammar, "\"b\""));
}

TEST(HostileSchemas, MembersThatMustComeMayBeVeryMany) {
  constexpr int kMembers = 400;
  Json schema = {{"type", "object"}, {"additionalProperties", false}};
  std::string text = "{";
  for (int i = 0; i < kMembers; ++i) {
    const std::string name = "member" + std::to_string(i);
    schema["properties"][name] = {{"type", i % 2 == 0 ? "integer" : "boolean"}};
    schema["required"].push_back(name);
    const int other = (i * 7 + 3) % kMembers;  // each once
    text += (i == 0 ? "" : ",") + ("\"member" + std::to_string(other) + "\":") +
            (other % 2 == 0 ? "12" : "true");
  }
  const auto grammar = compile_json_schema(byte_vocabulary(), schema);
  ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
  EXPECT_TRUE(testing::accepts(*grammar, text + "}"));
  EXPECT_FALSE(testing::accepts(*grammar, text.substr(0, text.rfind(',')) + "}"));
}

TEST(HostileSchemas, TextsThatMustBeLongerThanAnyMaskCanSayAreALimit) {
  Json schema = {{"type", "object"}};
  for (int i = 0; i < 2'500; ++i) {
    schema["required"].push_back("a member that must come " + std::to_string(i));
  }
  EXPECT_THAT(refusal_of(schema), HasSubstr("65536 bytes of its shortest text"));
}

TEST(HostileSchemas, NumbersBeyondAnyRangeAreNamed) {
  on_a_small_stack([] {
    EXPECT_THAT(refusal_of(Json{{"maximum", HUGE_VAL}}), HasSubstr("invalid: schema: a number"));
    EXPECT_EQ(refusal_of(Json{{"const", -0.0}}), "accepted");
    EXPECT_THAT(refusal_of(Json{{"minimum", 1e308}, {"maximum", 1e308}, {"type", "number"}}),
                AnyOf(HasSubstr("no value satisfies"), StartsWith("limit")))
        << "exponents have two digits";
    EXPECT_THAT(refusal_of(Json{{"multipleOf", 1e308}}), StartsWith("unsupported: schema #/mul"));
    EXPECT_THAT(refusal_of(Json{{"multipleOf", 0}}), StartsWith("invalid: schema #/multipleOf"));
    EXPECT_THAT(refusal_of(Json{{"multipleOf", 99'999'989},
                                {"type", "integer"},
                                {"minimum", 1},
                                {"maximum", 99'999'988}}),
                AnyOf(StartsWith("limit"), HasSubstr("no value satisfies")));
    EXPECT_TRUE(Json::parse("1e400", nullptr, false).is_discarded());
    const auto zero = compile_json_schema(byte_vocabulary(), Json{{"const", 0}});
    ASSERT_TRUE(zero.has_value());
    EXPECT_TRUE(testing::accepts(*zero, "0"));
    const auto number = compile_json_schema(byte_vocabulary(), Json{{"type", "number"}});
    EXPECT_TRUE(testing::accepts(*number, "-0"));
    EXPECT_FALSE(testing::accepts(*number, "1e400"));
    EXPECT_FALSE(testing::accepts(*number, "0." + std::string(10'000, '1')));
  });
}

TEST(HostileSchemas, StringsThatAreNoTextAreNamed) {
  on_a_small_stack([] {
    EXPECT_THAT(refusal_of(Json{{"const", "\xed\xa0\x80"}}), HasSubstr("not well-formed UTF-8"));
    EXPECT_THAT(refusal_of(Json{{"pattern", "\xff"}}), HasSubstr("not well-formed UTF-8"));
    EXPECT_THAT(refusal_of(Json{{"properties", {{"\xc0\x80", true}}}}),
                HasSubstr("a key is not well-formed UTF-8"));
    EXPECT_THAT(refusal_of(Json{{"pattern", std::string(100'000, 'a')}}),
                HasSubstr("limit: schema #/pattern: regex: a pattern of 100000 bytes"));
    EXPECT_THAT(refusal_of(Json{{"pattern", std::string(60'000, '(')}}),
                HasSubstr("limit: schema #/pattern: regex: groups nested"));
    EXPECT_THAT(refusal_of(Json{{"pattern", "^(?=(?=(?=a)))"}}), StartsWith("unsupported"));
    EXPECT_THAT(refusal_of(Json{{"pattern", "((a{1,1000}){1,1000}){1,1000}"}}),
                AnyOf("accepted", StartsWith("limit")));
  });
}

TEST(HostileSchemas, ConjunctionsThatNothingSatisfiesEnd) {
  on_a_small_stack([] {
    Json all = {{"type", "string"}, {"allOf", Json::array()}};
    for (int i = 0; i < 40; ++i) {
      all["allOf"].push_back({{"pattern", "^(?:[ab]{" + std::to_string(7 + i) + "})*$"},
                              {"not", {{"pattern", "a.{" + std::to_string(i) + "}b"}}}});
    }
    all["minLength"] = 1;
    EXPECT_THAT(refusal_of(all), AnyOf("accepted", StartsWith("limit"), HasSubstr("E0301")));
    Json unique = {{"type", "array"}, {"uniqueItems", true}, {"minItems", 40}};
    unique["items"] = {{"type", "array"}, {"items", {{"type", "boolean"}}}, {"maxItems", 3}};
    EXPECT_THAT(refusal_of(unique), AnyOf(StartsWith("limit"), HasSubstr("E0301")))
        << "15 values at most";
    Json kinds = {{"uniqueItems", true}, {"prefixItems", Json::array()}};
    for (int i = 0; i < 1'000; ++i) kinds["prefixItems"].push_back({{"const", i}});
    EXPECT_THAT(refusal_of(kinds), StartsWith("unsupported: schema #/uniqueItems"));
  });
}

// Entries that repeat, that are empty, that cut a character or hold several values at once.
TEST(HostileVocabularies, MasksAreThoseOfTheBytes) {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  for (const char* token : {"", "", "a", "a", "\"a\"", "\"a\",", "\xc3", "\xa9\"", "]", "[[",
                            "\",\"", "{\"a\":[1,2],\"b\":", "1,2", "nulltrue", "\\u00", "\\"}) {
    spec.bytes.emplace_back(token);
  }
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  const VocabularyRef vocabulary = *Vocabulary::create(std::move(spec));
  for (const char* schema :
       {R"({"items":{"enum":["a","é",null,1]},"uniqueItems":true})", "true",
        R"({"type":"object","properties":{"a":{"items":{"type":"integer"}},"b":true}})",
        R"({"items":{"type":"string","maxLength":2}})"}) {
    const auto grammar = compile_json_schema(vocabulary, Json::parse(schema));
    ASSERT_TRUE(grammar.has_value());
    std::vector<Matcher> places{(*grammar)->start()};
    for (std::size_t i = 0; i < places.size() && i < 60; ++i) {
      const MaskRef mask = places[i].mask(1000);
      for (std::size_t id = 0; id + 1 < vocabulary->size(); ++id) {
        Matcher token = places[i];
        Matcher bytes = places[i];
        bool spelled = !vocabulary->bytes(static_cast<TokenId>(id)).empty();
        for (const char c : vocabulary->bytes(static_cast<TokenId>(id))) {
          spelled = spelled && bytes.advance(static_cast<unsigned char>(c));
        }
        ASSERT_EQ(mask->allows(static_cast<TokenId>(id)), spelled) << schema << " " << id;
        ASSERT_EQ(token.advance(static_cast<TokenId>(id)), spelled) << schema << " " << id;
        if (spelled && places.size() < 200) places.push_back(token);
      }
    }
  }
}

TEST(HostileSchemas, PatternsThatHangOthersAreCompiled) {
  on_a_small_stack([] {
    const auto grammar =
        compile_json_schema(byte_vocabulary(), Json{{"type", "string"}, {"pattern", "^(a+)+$"}});
    ASSERT_TRUE(grammar.has_value());
    const std::string many(5'000, 'a');
    EXPECT_TRUE(testing::accepts(*grammar, "\"" + many + "\""));
    EXPECT_FALSE(testing::accepts(*grammar, "\"" + many + "!\""));
  });
}

// What completes a long counted text beside looks is not searched for state by state.
TEST(HostileSchemas, LongCountedPatternsBesideLooksTakeFewStates) {
  const auto grammar = compile_json_schema(
      byte_vocabulary(),
      Json{{"type", "string"}, {"pattern", "^(?=.*[a-z])(?=.*\\d)(?!.*\\s).{120}$"}});
  ASSERT_TRUE(grammar.has_value());
  EXPECT_LT((*grammar)->size().state_bytes, std::size_t{8} << 20);
  EXPECT_TRUE(testing::accepts(*grammar, "\"" + std::string(119, 'a') + "1\""));
  EXPECT_FALSE(testing::accepts(*grammar, "\"" + std::string(120, 'a') + "\""));
  EXPECT_FALSE(testing::accepts(*grammar, "\"" + std::string(118, 'a') + " 1\""));
}

TEST(HostileSchemas, TextsMayBeHostileToo) {
  on_a_small_stack([] {
    const auto grammar = compile_json_schema(byte_vocabulary(), true);
    ASSERT_TRUE(grammar.has_value());
    EXPECT_FALSE(testing::accepts(*grammar, std::string(100'000, '[')));
    EXPECT_FALSE(testing::accepts(*grammar, "\"\xff\""));
    EXPECT_FALSE(testing::accepts(*grammar, R"("\ud800")"));
    EXPECT_FALSE(testing::accepts(*grammar, std::string(10'000, '1')));
    EXPECT_TRUE(testing::accepts(*grammar, "-0"));
  });
}

}  // namespace
}  // namespace espalier::grammar
