// Integers that are multiples of several numbers at once: against division, and their masks,
// closings and budgets against trying every token.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "tests/grammar_schema/mask_check.h"
#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using testing::accepts;
using testing::byte_vocabulary;

Json multiples(const std::vector<std::int64_t>& of, Json more = Json::object()) {
  more["type"] = "integer";
  for (const std::int64_t step : of) more["allOf"].push_back({{"multipleOf", step}});
  return more;
}

GrammarRef compiled(const Json& schema) {
  auto grammar = compile_json_schema(byte_vocabulary(), schema);
  EXPECT_TRUE(grammar.has_value()) << schema.dump();
  return grammar ? *grammar : nullptr;
}

// Automata of their remainders side by side have some millions of states.
TEST(IntegerMultiples, OfManyPrimesAreThoseOfTheirProduct) {
  const GrammarRef primes = compiled(multiples({7, 11, 13, 17, 19, 23}));
  ASSERT_NE(primes, nullptr);
  for (const char* text : {"0", "-0", "7436429", "-7436429", "14872858", "9223372036852368395"}) {
    EXPECT_TRUE(accepts(primes, text)) << text;
  }
  for (const char* text : {"7", "323323", "7436428", "-1", "07436429", "7436429.0", "-", "",
                           "9223372036859804824"}) {  // beyond int64
    EXPECT_FALSE(accepts(primes, text)) << text;
  }
  EXPECT_TRUE(primes->start().mask(UINT32_MAX)->allows('7'));
  EXPECT_LT(primes->size().bytes, std::size_t{1} << 20);
}

TEST(IntegerMultiples, TextsAreAcceptedIffTheyAreWithinTheBoundsAndDivide) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 120; ++round) {
    std::vector<std::int64_t> of;
    for (int n = 1 + static_cast<int>(random() % 3); n > 0; --n) {
      of.push_back(1 + static_cast<std::int64_t>(random() % 90));
    }
    std::int64_t low = INT64_MIN, high = INT64_MAX;
    Json bounds = Json::object();
    const auto bound = [&] { return static_cast<std::int64_t>(random() % 60'000) - 30'000; };
    if (random() % 2 == 0) bounds["minimum"] = low = bound();
    if (random() % 2 == 0) {
      high = bound();
      bounds["exclusiveMaximum"] = static_cast<double>(high) - 0.5;
      --high;
    }
    const Json schema = multiples(of, bounds);
    const auto grammar = compile_json_schema(byte_vocabulary(), schema);
    bool some = false;
    for (std::int64_t value = -30'000; value <= 30'000; value += 1 + random() % 7) {
      bool holds = value >= low && value <= high;
      for (const std::int64_t step : of) holds = holds && value % step == 0;
      some = some || holds;
      if (!grammar) continue;
      ASSERT_EQ(accepts(*grammar, std::to_string(value)), holds) << schema.dump() << value;
    }
    ASSERT_TRUE(grammar || !some) << schema.dump();
  }
}

TEST(IntegerMultiples, MayBeOfFractionsAndOfMoreThanThereIsRoomFor) {
  const auto of = [](const std::string& steps, const std::string& more = "") {
    return compiled(Json::parse(R"({"type":"integer","allOf":[)" + steps + "]" + more + "}"));
  };
  const GrammarRef fractions = of(R"({"multipleOf":7.5},{"multipleOf":0.3},{"multipleOf":11})");
  EXPECT_TRUE(accepts(fractions, "165"));  // 15 and 3 and 11
  EXPECT_FALSE(accepts(fractions, "33"));
  EXPECT_FALSE(accepts(fractions, "15"));
  // The least number but 0 has twenty-seven digits.
  const GrammarRef nothing =
      of(R"({"multipleOf":999999937},{"multipleOf":999999929},{"multipleOf":999999893})");
  EXPECT_TRUE(accepts(nothing, "0"));
  EXPECT_FALSE(accepts(nothing, "999999866000004473"));
  const GrammarRef large = of(R"({"multipleOf":1000003})", R"(,"minimum":9223372036854775807)");
  EXPECT_TRUE(accepts(large, "18446744073709200929"));  // up to 64 bits without a sign
  EXPECT_FALSE(accepts(large, "1000003"));
  EXPECT_NE(testing::refusal_of(
                Json::parse(R"({"type":"integer","multipleOf":1000003,"minimum":1,"maximum":9})")),
            "accepted");
}

// Each text as where nothing but the bound is said, but for those of other numbers.
TEST(IntegerMultiples, OfNumbersMayHaveZerosBehindAPoint) {
  const GrammarRef all = compiled({{"type", "number"}, {"minimum", -3000.5}});
  const GrammarRef some =
      compiled({{"type", "number"}, {"multipleOf", 1000}, {"minimum", -3000.5}});
  for (const char* text : {"0",
                           "-0",
                           "0.0",
                           "0.00000000000000000000000",
                           "0.000000000000000000000000",
                           "1000",
                           "1000.",
                           "1000.0",
                           "1000.0000000000000",
                           "1000.00000000000000",
                           "-3000",
                           "-3000.0",
                           "-4000",
                           "10000000000000000",
                           "10000000000000000.0",
                           "1000000000000000.0",
                           "100000000000000000",
                           "01000",
                           "-",
                           "1000.00"}) {
    EXPECT_EQ(accepts(some, text), accepts(all, text)) << text;
  }
  for (const char* text : {"1", "100", "1000.5", "999.0", "1e3", "1000.01", ".0"}) {
    EXPECT_FALSE(accepts(some, text)) << text;
  }
  const GrammarRef tenths =
      compiled({{"type", "number"}, {"allOf", {{{"multipleOf", 0.7}}, {{"multipleOf", 11}}}}});
  EXPECT_TRUE(accepts(tenths, "77.0"));
  EXPECT_FALSE(accepts(tenths, "11"));
  EXPECT_FALSE(accepts(tenths, "7.7"));
}

TEST(IntegerMultiples, MasksAndBudgetsAreThoseOfEveryTokenTried) {
  const std::vector<std::string> digits = {"12",   "345", "000", "77",  "-1", "-0", "9,", "1]",
                                           "0,\n", "63}", "001", "143", "-7", "99", "08"};
  const Json steps = multiples({7, 11, 13});
  Json bounded = multiples({143, 9}, {{"minimum", -70'000}, {"maximum", 500}});
  std::uint64_t seed = 0;
  for (const Json& schema :
       {steps, bounded, Json{{"type", "array"}, {"items", steps}},
        Json{{"type", "array"}, {"items", bounded}, {"uniqueItems", true}, {"maxItems", 3}},
        Json{{"type", "object"},
             {"properties", {{"a", bounded}, {"b", steps}}},
             {"required", {"a"}},
             {"additionalProperties", false}},
        Json{{"multipleOf", 1000}, {"maximum", 90'000.5}, {"minimum", -7e300}},
        Json{{"anyOf", {steps, bounded, {{"type", "null"}}}}}}) {
    for (int of = 0; of < 6 && !HasFailure(); ++of) {
      ++seed;
      testing::MaskCheck check(testing::random_vocabulary(seed, digits), schema, seed);
      check.walk(40, true);
      check.walk_near_end(40);
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
