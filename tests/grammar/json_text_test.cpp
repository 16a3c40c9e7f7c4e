// Laws of reading JSON: the values and the errors of the library's own reader, members in their
// order, and objects of very many members in no more than linear time.
#include "grammar/json_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "grammar/decimal.h"

namespace espalier {
namespace {

using ::testing::HasSubstr;

// Few different keys, so that they repeat; now and then more members than are looked through.
std::string random_json(std::mt19937_64& random, int depth) {
  const auto below = [&](std::uint64_t n) { return random() % n; };
  switch (depth == 0 ? below(6) : below(9)) {
    case 0:
      return "null";
    case 1:
      return below(2) == 0 ? "true" : "false";
    case 2:
      return std::to_string(static_cast<std::int64_t>(random()));
    case 3:
      return std::to_string(random());
    case 4:
      return std::to_string(below(1000)) + ".25e" + std::to_string(below(9));
    case 5:
      return "\"\\u00e9 " + std::to_string(below(100)) + "\"";
    case 6: {
      std::string out = "[";
      for (std::uint64_t i = below(5); i > 0; --i) {
        out += random_json(random, depth - 1) + (i > 1 ? ", " : "");
      }
      return out + "]";
    }
    default: {
      const std::uint64_t members = below(8) == 0 ? below(100) : below(5);
      std::string out = "{";
      for (std::uint64_t i = members; i > 0; --i) {
        out += "\"k" + std::to_string(below(2 * members)) +
               "\": " + random_json(random, members > 8 ? 0 : depth - 1) + (i > 1 ? "," : "");
      }
      return out + "}";
    }
  }
}

TEST(JsonText, IsReadAsTheLibraryReadsIt) {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    std::mt19937_64 random(seed);
    std::string text = random_json(random, 5);
    const Json expected = Json::parse(text);
    const auto read = read_json(text);
    ASSERT_TRUE(read.has_value()) << "seed " << seed << ": " << text;
    ASSERT_EQ(read->dump(), expected.dump()) << "seed " << seed;
    ASSERT_EQ(*read, expected) << "seed " << seed;
    text[random() % text.size()] = "{}[],:\"x0 \x80"[random() % 11];  // mostly wrong now
    std::string error;
    try {
      const Json ignored = Json::parse(text);
    } catch (const Json::exception& thrown) {
      error = thrown.what();
    }
    const auto changed = read_json(text);
    ASSERT_EQ(changed.has_value(), error.empty()) << "seed " << seed << ": " << text;
    if (!changed) {
      ASSERT_EQ("not JSON: " + error.substr(error.find("] ") + 2), changed.error().message);
    }
  }
}

TEST(JsonText, ReadExactlyNoMemberStandsTwice) {
  const std::string text = R"({"a":[1,{"b/c":{"x":1,"y":2,"x":1}}]})";
  EXPECT_TRUE(read_json(text).has_value());
  const auto read = read_json_exactly(text);
  ASSERT_FALSE(read.has_value());
  EXPECT_EQ(read.error().code, ErrorCode::kInvalid);
  EXPECT_EQ(read.error().message, "the member `x` stands twice in #/a/1/b~1c");
  EXPECT_TRUE(read_json_exactly(R"([{"x":1},{"x":1}])").has_value());
  std::string many = "{";  // so that they are looked for in a table
  for (int i = 0; i < 100; ++i) many += "\"m" + std::to_string(i) + "\":0,";
  EXPECT_EQ(read_json_exactly(many + "\"m40\":0}").error().message,
            "the member `m40` stands twice in #");
}

TEST(JsonText, ReadExactlyNoNumberIsAnotherOne) {
  const auto read = [](const std::string& text) { return read_json_exactly(text).value(); };
  // As read_json() has it, where the double gives the text's number back.
  for (const char* text :
       {"0", "-1", "1.5", "1e2", "18446744073709551615", "1e308", "0.1", "1e19"}) {
    EXPECT_EQ(read(text), read_json(text).value()) << text;
    EXPECT_EQ(read(text).type(), read_json(text)->type()) << text;
  }
  EXPECT_EQ(read("9007199254740993.0"), Json(9007199254740993));
  EXPECT_EQ(read("92233720368547758070e-1"), Json(INT64_MAX));
  EXPECT_EQ(read("18446744073709551615.00"), Json(UINT64_MAX));
  for (const char* text : {"18446744073709551616", "-9223372036854775809", "0.10000000000000000001",
                           "1e-400", "1e-99999999999999999999"}) {
    const Json number = read(text);
    ASSERT_TRUE(number.is_binary()) << text;
    EXPECT_EQ(std::string(number.get_binary().begin(), number.get_binary().end()), text);
    EXPECT_TRUE(read_json(text)->is_number_float());
  }
  EXPECT_EQ(grammar::Decimal::of(read("18446744073709551616"))->text(), "18446744073709551616");
  EXPECT_FALSE(grammar::Decimal::of(read("1e-99999999999999999999")).has_value());
}

TEST(JsonText, OfEqualKeysTheLastCountsInTheFirstsPlace) {
  EXPECT_EQ(read_json(R"({"a":1,"b":2,"a":{"c":3}})")->dump(), R"({"a":{"c":3},"b":2})");
}

TEST(JsonText, ObjectsMayHaveVeryManyMembers) {
  constexpr int kMembers = 200'000;
  std::string text = "{";
  for (int i = 0; i < kMembers; ++i) text += "\"member" + std::to_string(i) + "\":0,";
  text += "\"member7\":1}";
  const auto read = read_json(text);
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->size(), static_cast<std::size_t>(kMembers));
  EXPECT_EQ(std::next(read->begin(), 7).value(), 1);
}

TEST(JsonText, NumbersBeyondAnyRangeAndBytesThatAreNoTextAreNamed) {
  for (const auto& read : {read_json("[2, -1e999]"), read_json_exactly("[2, -1e999]")}) {
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().message,
              "the number `-1e999`, which ends at byte 10, is beyond any double");
  }
  for (const std::string text : {"\"\xff\"", "{\"a\":1", "[1]2", "", "{\"a\"}"}) {
    const auto read = read_json(text);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_THAT(read.error().message, HasSubstr("not JSON")) << text;
  }
}

}  // namespace
}  // namespace espalier
