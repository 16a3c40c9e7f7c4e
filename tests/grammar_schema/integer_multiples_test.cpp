// Integers that are multiples of several numbers at once, or of one of several: against division,
// and their masks, closings and budgets against trying every token.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
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

// What a random choice of multiples, of numbers that are none, and of bounds says of a value.
struct Choice {
  Json schema;
  std::function<bool(std::int64_t)> holds;
};

Choice random_choice(std::mt19937_64& random, int depth) {
  const auto below = [&](std::int64_t n) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(n));
  };
  const std::int64_t kind = below(depth == 0 ? 3 : 7);
  if (kind == 0) {
    const std::int64_t step = 1 + below(40);
    return {{{"multipleOf", step}}, [=](std::int64_t value) { return value % step == 0; }};
  }
  if (kind == 1) {  // of which integers are multiples of 3, 6 …, and of 75, 150 …
    const std::int64_t step = 3 * (1 + below(4));
    if (below(2) == 0) {
      return {{{"multipleOf", static_cast<double>(step) / 2}},
              [=](std::int64_t value) { return 2 * value % step == 0; }};
    }
    return {{{"multipleOf", 25 * step}},
            [=](std::int64_t value) { return value % (25 * step) == 0; }};
  }
  if (kind == 2) {
    const std::int64_t bound = below(1200) - 600;
    switch (below(4)) {
      case 0:
        return {{{"minimum", bound}}, [=](std::int64_t value) { return value >= bound; }};
      case 1:
        return {{{"maximum", static_cast<double>(bound) + 0.5}},
                [=](std::int64_t value) { return value <= bound; }};
      case 2:
        return {{{"exclusiveMinimum", bound}}, [=](std::int64_t value) { return value > bound; }};
      default:
        return {{{"exclusiveMaximum", bound}}, [=](std::int64_t value) { return value < bound; }};
    }
  }
  if (kind == 3) {
    const Choice of = random_choice(random, depth - 1);
    return {{{"not", of.schema}}, [holds = of.holds](std::int64_t value) { return !holds(value); }};
  }
  std::vector<Choice> of;
  Json parts = Json::array();
  for (std::int64_t n = 2 + below(3); n > 0; --n) {
    of.push_back(random_choice(random, depth - 1));
    parts.push_back(of.back().schema);
  }
  const char* name = kind == 4 ? "allOf" : kind == 5 ? "anyOf" : "oneOf";
  return {{{name, parts}}, [=](std::int64_t value) {
            const auto count =
                std::ranges::count_if(of, [&](const Choice& one) { return one.holds(value); });
            if (kind == 4) return count == std::ssize(of);
            return kind == 5 ? count > 0 : count == 1;
          }};
}

TEST(IntegerMultiples, ChoicesAreThoseThatHoldOfEachValue) {
  std::mt19937_64 random(11);
  int compiled_ones = 0;
  for (int round = 0; round < 250; ++round) {
    Choice of = random_choice(random, 3);
    of.schema["type"] = "integer";
    const auto grammar = compile_json_schema(byte_vocabulary(), of.schema);
    bool some = false;
    for (std::int64_t value = -700; value <= 700; ++value) {
      const bool holds = of.holds(value);
      some = some || holds;
      if (!grammar) continue;
      ASSERT_EQ(accepts(*grammar, std::to_string(value)), holds) << of.schema.dump() << value;
    }
    compiled_ones += grammar ? 1 : 0;
    ASSERT_TRUE(grammar || !some) << of.schema.dump() << grammar.error().message;
  }
  EXPECT_GT(compiled_ones, 100);
}

// Of automata side by side the first mask of eight took seconds and more than a gigabyte.
TEST(IntegerMultiples, OneOfManyIsNoProductOfAutomata) {
  const std::vector<std::int64_t> primes = {7,  11, 13,  17,  19,  23,  29,  31,  37,  41,
                                            43, 47, 53,  59,  61,  67,  71,  73,  79,  83,
                                            89, 97, 101, 103, 107, 109, 113, 127, 131, 137};
  for (const char* name : {"anyOf", "oneOf"}) {
    Json schema = {{"type", "integer"}};
    for (const std::int64_t prime : primes) schema[name].push_back({{"multipleOf", prime}});
    const GrammarRef grammar = compiled(schema);
    ASSERT_NE(grammar, nullptr);
    for (std::int64_t value = -3000; value <= 3000; ++value) {
      const auto count =
          std::ranges::count_if(primes, [&](std::int64_t prime) { return value % prime == 0; });
      const bool holds = name == std::string("anyOf") ? count > 0 : count == 1;
      ASSERT_EQ(accepts(grammar, std::to_string(value)), holds) << name << value;
    }
    EXPECT_TRUE(grammar->start().mask(UINT32_MAX)->allows('7'));
    EXPECT_LT(grammar->size().bytes, std::size_t{8} << 20);
  }
  // Where each says on its own that it is an integer.
  const GrammarRef each = compiled(
      {{"oneOf",
        {{{"type", "integer"}, {"multipleOf", 70}}, {{"type", "integer"}, {"multipleOf", 30}}}}});
  EXPECT_TRUE(accepts(each, "140"));
  EXPECT_FALSE(accepts(each, "210"));
  EXPECT_FALSE(accepts(each, "140.0"));
  // Of numbers too, where all of them are whole.
  Json numbers = {{"type", "number"}};
  for (const std::int64_t prime : primes) numbers["oneOf"].push_back({{"multipleOf", prime}});
  const GrammarRef grammar = compiled(numbers);
  EXPECT_TRUE(accepts(grammar, "49.0"));
  EXPECT_FALSE(accepts(grammar, "77.0"));
  EXPECT_FALSE(accepts(grammar, "7.5"));
  EXPECT_FALSE(accepts(grammar, "0"));
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
        Json{{"type", "integer"},
             {"minimum", -4000},
             {"oneOf", {{{"multipleOf", 7}}, {{"multipleOf", 11}}, {{"multipleOf", 13}}}}},
        Json{{"type", "integer"},
             {"anyOf",
              {{{"multipleOf", 400}, {"minimum", 70}}, {{"multipleOf", 4}, {"maximum", 9}}}},
             {"not", {{"multipleOf", 16}}}},
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
