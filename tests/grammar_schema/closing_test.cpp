// Laws of closings: how far a place is from its end is a matter of the place alone, so that an
// automaton that was dropped and made again keeps what its masks near a budget's end have promised.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/grammar_schema/mask_check.h"
#include "tests/grammar_schema/random_schema.h"
#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

GrammarRef compiled(const VocabularyRef& vocabulary, const Json& schema) {
  SchemaOptions options;
  options.unknown_keywords = true;
  auto made = compile_json_schema(vocabulary, schema, {}, options);
  return made ? *made : nullptr;
}

// Of a grammar that has been asked for nothing yet.
std::uint32_t distance_behind(const GrammarRef& grammar, const std::vector<TokenId>& tokens) {
  Matcher matcher = grammar->start();
  for (const TokenId id : tokens) EXPECT_TRUE(matcher.advance(id));
  return matcher.distance();
}

TEST(Closing, InsideAKeyIsThatOfTheKeysStartAsFarAsTheKeyBeginsAlike) {
  struct Case {
    Json schema;
    std::string before;  // another member, so that nothing closes along this way
  };
  const Case cases[] = {
      {Json::parse(R"({"type":"object","properties":{"bc":{"type":"array","minItems":1}},
        "required":["bc"]})"),
       "{\"z\":1"},
      {Json::parse(R"({"type":"object","required":["bc","b"],
        "additionalProperties":{"type":"string","minLength":3}})"),
       "{\"z\":\"zzzz\""},
      {Json::parse(R"({"type":"object","patternProperties":{"^b":{"type":"integer"}},
        "required":["bc"],"minProperties":2})"),
       "{\"bb\":1"}};
  for (const auto& [schema, before] : cases) {
    SCOPED_TRACE(schema.dump());
    std::vector<TokenId> tokens;
    for (const char c : before + ",") tokens.push_back(static_cast<unsigned char>(c));
    const GrammarRef asked = compiled(testing::byte_vocabulary(), schema);
    ASSERT_NE(asked, nullptr);
    Matcher matcher = asked->start();
    for (const TokenId id : tokens) ASSERT_TRUE(matcher.advance(id));
    for (const char c : std::string("\"bc\":")) {
      const std::uint32_t distance = matcher.distance();
      tokens.push_back(static_cast<unsigned char>(c));
      ASSERT_TRUE(matcher.advance(tokens.back()));
      EXPECT_EQ(matcher.distance() + 1, distance) << "at " << c;
      EXPECT_EQ(distance_behind(compiled(testing::byte_vocabulary(), schema), tokens),
                matcher.distance())
          << "behind " << c;
    }
  }
}

TEST(Closing, IsTheSameWhateverWasAskedBefore) {
  VocabularyRef vocabulary;
  std::size_t places = 0;
  for (std::uint64_t seed = 0; seed < 120 && !HasFailure(); ++seed) {
    if (seed % 10 == 0) vocabulary = testing::random_vocabulary(seed, {"{\"a", "{\"b", ",\"a"});
    Json schema = testing::RandomSchema(seed).make(2);
    if (seed % 2 == 0) schema["required"] = {"ab", "b"};
    if (seed % 2 == 0) schema["type"] = "object";
    const GrammarRef asked = compiled(vocabulary, schema);
    if (asked == nullptr) continue;
    SCOPED_TRACE(std::to_string(seed) + " " + schema.dump());
    std::mt19937_64 random(seed);
    Matcher matcher = asked->start();
    std::vector<TokenId> tokens;
    for (int step = 0; step < 12; ++step) {
      ++places;
      ASSERT_EQ(matcher.distance(), distance_behind(compiled(vocabulary, schema), tokens))
          << "behind " << matcher.text();
      const MaskRef mask = matcher.mask(matcher.distance() + 1 + random() % 8);
      std::vector<TokenId> ids;
      for (TokenId id = 0; static_cast<std::size_t>(id) + 1 < vocabulary->size(); ++id) {
        if (mask->allows(id)) ids.push_back(id);
      }
      if (ids.empty()) break;
      tokens.push_back(ids[random() % ids.size()]);
      ASSERT_TRUE(matcher.advance(tokens.back()));
    }
  }
  EXPECT_GT(places, 400U);
}

}  // namespace
}  // namespace espalier::grammar
