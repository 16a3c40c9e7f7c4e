// Masks of arrays whose items must differ, or must not all, against trying each token alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/grammar_schema/mask_check.h"

namespace espalier::grammar {
namespace {

using testing::MaskCheck;
using testing::random_vocabulary;

// A token that ends an item and begins another one, of strings so short that the item which stands
// for the first could be the second.
TEST(UniqueItems, OfOneTokenDifferWhereFewTextsAreLeft) {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  const auto token = static_cast<TokenId>(spec.bytes.size());
  for (const char* text : {"\",\"a", "\",\"a\"", "\",\"x", "\",\""}) spec.bytes.emplace_back(text);
  for (int i = 0; i < 40; ++i) spec.bytes.push_back("\",\"" + std::to_string(i));
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  const VocabularyRef vocabulary = Vocabulary::create(std::move(spec)).value();
  const Json schema =
      Json::parse(R"({"type":"array","items":{"type":"string","maxLength":1},"uniqueItems":true})");
  Matcher matcher = compile_json_schema(vocabulary, schema).value()->start();
  for (const char c : std::string_view("[\"\",\"x")) {
    ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(c)));
  }
  const MaskRef mask = matcher.mask(UINT32_MAX);
  EXPECT_TRUE(mask->allows(token));
  EXPECT_TRUE(mask->allows(token + 1));
  EXPECT_FALSE(mask->allows(token + 2));
  EXPECT_TRUE(mask->allows(token + 3));
  EXPECT_TRUE(std::ranges::equal(mask->words(), matcher.plain_mask()->words()));
}

// Items that are objects and arrays: tokens that end one in its midst, begin the next, or hold a
// whole one, with nests of such arrays, alternatives, and items of which only few are left.
TEST(UniqueItems, MasksInsideThemAreWhatEachTokenTriedAloneGives) {
  const VocabularyRef vocabulary = random_vocabulary(
      7, {"\"}",           "\"},",         "\"},{\"", "},{\"a\":", "1},{\"a\":1}", "{\"a\":1}",
          ",{\"a\":2}]",   "]]",           "],[",     "1],[",      "],[1,2]",      "[1,2],",
          "[1,2]]",        "\"]},{",       "a\"}]",   "b\"},",     "b\",\"a",      ":\"",
          "\":\"a\"},{\"", "\"a\",\"b\"]", "true},{", "0},{\"b\":"});
  struct Case {
    const char* schema;
    const char* text;
  };
  static constexpr Case kCases[] = {
      {R"({"items":{"type":"object"},"uniqueItems":true})",
       R"([{"a":1,"b":"x"},{"b":"x","a":2},{"a":1,"b":"xy"},{}])"},
      {R"({"items":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},
          "required":["a"],"additionalProperties":false},"uniqueItems":true})",
       R"([{"a":1},{"a":1,"b":"ab"},{"b":"ab","a":12},{"a":0}])"},
      {R"({"items":{"type":"object","properties":{"a":{"type":"boolean"}},"required":["a"],
          "additionalProperties":false},"uniqueItems":true})",
       R"([{"a":true},{"a":false}])"},
      {R"({"items":{"type":"array","items":{"enum":[1,2]},"minItems":2,"maxItems":2},
          "uniqueItems":true,"minItems":3})",
       "[[1,2],[2,2],[1,1],[2,1]]"},
      {R"({"items":{"type":"object","properties":{"a":{"type":"array","items":{"type":"string"},
          "uniqueItems":true}},"additionalProperties":{"type":"integer"}},"uniqueItems":true})",
       R"([{"a":["a","b"]},{"a":["a","ab"],"b":1},{"b":1}])"},
      {R"({"items":{"oneOf":[{"type":"object","properties":{"a":{"const":1}},"required":["a"]},
          {"type":"object","properties":{"a":{"const":"a"}},"required":["a"]},{"type":"integer"}]},
          "uniqueItems":true})",
       R"([{"a":1},17,{"a":"a"},{"a":1,"b":0},170])"},
      {R"({"items":{"type":"array","items":{"type":"number"}},"uniqueItems":true,
          "contains":{"minItems":2},"minContains":2,"maxContains":2})",
       "[[1],[1,2],[],[1.5,2]]"},
      {R"({"prefixItems":[{"type":"object"},{"enum":[{"a":1},{"a":2}]}],"uniqueItems":true,
          "minItems":2})",
       R"([{"a":1},{"a":2},{"b":[]}])"},
      {R"({"type":"array","items":{"type":"object"},"not":{"uniqueItems":true}})",
       R"([{"a":1},{"b":"a"},{"a":1}])"},
      {R"({"type":"array","items":{"type":"string","pattern":"^[ab]+$"},"not":{"uniqueItems":true},
          "contains":true,"minContains":2,"maxContains":2})",
       R"(["ab","ab"])"},
      {R"({"items":{"type":"number","minimum":0},"uniqueItems":true})", "[1,17,0.5,170,1.25,2]"},
      {R"({"items":{"type":"integer","minimum":0,"maximum":3},"uniqueItems":true})", "[1,0,3,2]"},
  };
  for (const Case& c : kCases) {
    const Json schema = Json::parse(c.schema);
    const auto grammar = compile_json_schema(vocabulary, schema);
    ASSERT_TRUE(grammar) << c.schema;
    Matcher matcher = (*grammar)->start();
    std::string read;
    for (const char byte : std::string_view(c.text)) {
      ASSERT_TRUE(
          std::ranges::equal(matcher.mask(UINT32_MAX)->words(), matcher.plain_mask()->words()))
          << c.schema << "\nafter " << read;
      ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(byte))) << c.schema << read;
      read += byte;
    }
    EXPECT_TRUE(matcher.accepting()) << c.schema;
    MaskCheck check(vocabulary, schema, 1);
    for (int i = 0; i < 6 && !HasFailure(); ++i) check.walk(40, false);
  }
}

// Two of four must be those that are asked for, so what comes second is one or comes again.
TEST(UniqueItems, ThatMustNotAllDifferLeaveRoomForTheOneThatComesTwice) {
  const auto grammar = compile_json_schema(
      testing::byte_vocabulary(),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"name$"},
                      "not":{"uniqueItems":true},"contains":{"pattern":"^a"},
                      "allOf":[{"contains":{"enum":["a","name"]}}],"minItems":3,"maxItems":4})"));
  ASSERT_TRUE(grammar);
  Matcher matcher = (*grammar)->start();
  for (const char byte : std::string_view(R"(["00name",")")) {
    ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(byte)));
  }
  const MaskRef mask = matcher.mask(UINT32_MAX);
  EXPECT_TRUE(std::ranges::equal(mask->words(), matcher.plain_mask()->words()));
  for (const char byte : std::string_view("0an")) {
    EXPECT_TRUE(mask->allows(static_cast<unsigned char>(byte))) << byte;
  }
  EXPECT_FALSE(mask->allows('1'));
  EXPECT_TRUE(testing::accepts(*grammar, R"(["00name","name","name","a name"])"));
  EXPECT_FALSE(testing::accepts(*grammar, R"(["00name","name","a name"])"));
}

// What an array may ask of its items beside that they differ.
Json random_array(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto one_of = [&](const std::vector<Json>& some) { return some[random() % some.size()]; };
  static const std::vector<Json> strings = {
      Json::parse(R"({"type":"string"})"),
      Json::parse(R"({"type":"string","minLength":2})"),
      Json::parse(R"({"type":"string","maxLength":1})"),
      Json::parse(R"({"type":"string","pattern":"^a"})"),
      Json::parse(R"({"type":"string","pattern":"^[ab]+$"})"),
      Json::parse(R"({"type":"string","pattern":"^(a|b)$"})"),
      Json::parse(R"({"type":"string","pattern":"name$"})"),
      Json::parse(R"({"enum":["a","ab"]})"),
      Json::parse(R"({"enum":["a","name","\"\\",1]})"),
      Json::parse(R"({"anyOf":[{"const":"b"},{"type":"string","pattern":"^[^b]*$"}]})"),
      Json::parse(R"({"const":"a"})"),
      Json::parse(R"({"const":""})"),
      Json::parse(R"({"const":"\n"})"),
      Json::parse(R"({"not":{"const":"ab"}})"),
      Json::parse(R"({"not":{"enum":["a","b"]},"type":"string"})"),
  };
  static const std::vector<Json> others = {
      Json::parse("true"),
      Json::parse(R"({"type":["string","integer"]})"),
      Json::parse(R"({"type":["string","null","boolean"]})"),
      Json::parse(R"({"type":"object","required":["a"]})"),
      Json::parse(R"({"type":"integer"})"),
      Json::parse(R"({"const":17})"),
  };
  const auto any = [&] { return random() % 3 == 0 ? one_of(others) : one_of(strings); };
  Json out = {{"type", "array"}, {"items", any()}};
  if (random() % 5 == 0) {
    out["not"] = {{"uniqueItems", true}};
  } else {
    out["uniqueItems"] = true;
  }
  if (random() % 4 == 0) out["prefixItems"] = {any(), any()};
  if (random() % 4 != 0) {
    out["contains"] = any();
    if (random() % 3 == 0) out["minContains"] = random() % 3;
    if (random() % 3 == 0) out["maxContains"] = 1 + random() % 2;
  }
  if (random() % 4 == 0) out["allOf"] = {{{"contains", any()}}};
  if (random() % 4 == 0) out["minItems"] = 1 + random() % 3;
  if (random() % 3 == 0) out["maxItems"] = 2 + random() % 3;
  switch (random() % 5) {
    case 0:
      return {{"type", "object"}, {"properties", {{"a", out}}}, {"required", {"a"}}};
    case 1:
      return {{"type", "array"}, {"items", out}, {"uniqueItems", true}};
    default:
      return out;
  }
}

// One place stands for all texts of an item but those that others depend on.
TEST(UniqueItems, MasksBesideWhatElseTheirArrayAsksAreWhatEachTokenTriedAloneGives) {
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 2'000 : 48;
  static const std::vector<std::string> kTokens = {
      "[\"",      "\",\"",        "\", \"",    "\"]",           "a\",",    "a\",\"",
      "b\",\"a",  "a\",\"b\"",    "ab\"",      "name",          "name\"",  ",\"a\"]",
      "\",\"a\"", "\"a\",\"name", "\\u0061\"", "\\u0061\",\"a", "u0062",   "\\/",
      ",17",      "17]",          "17,\"a\"",  "\",{\"a\":1}",  "{\"a\":", "1},\"a\""};
  VocabularyRef vocabulary;
  for (std::uint64_t seed = 0; seed < runs && !HasFailure(); ++seed) {
    if (seed % 10 == 0) vocabulary = random_vocabulary(seed, kTokens);
    const Json schema = random_array(seed);
    MaskCheck check(vocabulary, schema, seed);
    for (int i = 0; i < 3 && !HasFailure(); ++i) check.walk(16, i == 0);
  }
}

}  // namespace
}  // namespace espalier::grammar
