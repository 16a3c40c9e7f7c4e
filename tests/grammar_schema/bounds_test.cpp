// Bounds of any length are compared as decimals are: against digits laid side by side.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/json_text.h"
#include "tests/grammar_schema/mask_check.h"
#include "tests/grammar_schema/verdicts.h"
#include "tests/support/naive_schema.h"

namespace espalier::grammar {
namespace {

using testing::byte_vocabulary;
using ::testing::HasSubstr;
using testing::refusal_of;

Json schema_of(const std::string& text) {
  const auto schema = read_json_exactly(text);
  EXPECT_TRUE(schema.has_value()) << text;
  return schema.value_or(Json());
}

// The verdict on texts; a schema that nothing satisfies accepts none.
class Verdicts {
 public:
  explicit Verdicts(const std::string& schema) {
    auto grammar = compile_json_schema(byte_vocabulary(), schema_of(schema));
    if (grammar) {
      grammar_ = *grammar;
    } else {
      EXPECT_THAT(grammar.error().message, HasSubstr("no value satisfies")) << schema;
    }
  }
  [[nodiscard]] bool accepts(std::string_view text) const {
    return grammar_ != nullptr && testing::accepts(grammar_, text);
  }

 private:
  GrammarRef grammar_;
};

// A number's digits with 400 places on either side of the point, which compare as characters do.
struct Laid {
  bool negative = false;
  std::string digits;
};

Laid laid(const std::string& text) {
  static const std::regex kNumber(R"((-?)(\d+)(?:\.(\d+))?(?:[eE]([-+]?\d+))?)");
  std::smatch m;
  EXPECT_TRUE(std::regex_match(text, m, kNumber)) << text;
  const long exponent = m[4].matched ? std::stol(m[4].str()) : 0;
  Laid out{m[1].length() > 0, std::string(800, '0')};
  const std::string digits = m[2].str() + m[3].str();
  const long first = 400 - m[2].length() - exponent;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    out.digits.at(static_cast<std::size_t>(first + static_cast<long>(i))) = digits[i];
  }
  if (out.digits == std::string(800, '0')) out.negative = false;
  return out;
}

int order(const std::string& a, const std::string& b) {
  const Laid left = laid(a);
  const Laid right = laid(b);
  if (left.negative != right.negative) return left.negative ? -1 : 1;
  const int magnitudes = left.digits.compare(right.digits);
  return left.negative ? -magnitudes : magnitudes;
}

constexpr const char* kLeast = "-9223372036854775808";
constexpr const char* kInt64 = "9223372036854775807";
constexpr const char* kUint64 = "18446744073709551615";

// Texts that the grammar has of a type, where nothing else is said: docs/grammar.md.
bool has_text(bool integer, const std::string& text, const std::string& top) {
  static const std::regex kInteger(R"(-?(0|[1-9]\d*))");
  static const std::regex kPlain(R"(-?(0|[1-9]\d*)(\.\d+)?)");
  static const std::regex kScientific(R"(-?[1-9](\.\d{1,16})?[eE][-+]?\d{1,2})");
  if (integer) {
    return std::regex_match(text, kInteger) && order(text, kLeast) >= 0 && order(text, top) <= 0;
  }
  static const std::regex kZeros(R"(^-?0\.0{0,6})");  // count for none
  const std::string counted = std::regex_replace(text, kZeros, "");
  const auto digits =
      std::count_if(counted.begin(), counted.end(), [](char c) { return c >= '0'; });
  return (std::regex_match(text, kPlain) && digits <= 17) || std::regex_match(text, kScientific);
}

std::string random_digits(std::mt19937& random, std::size_t count) {
  std::string out(count, '0');
  const bool plain = random() % 3 != 0;
  for (char& c : out) c = plain ? static_cast<char>('0' + random() % 10) : "09"[random() % 2];
  return out;
}

std::string random_number(std::mt19937& random, std::size_t most) {
  std::string out = random() % 2 == 0 ? "-" : "";
  std::string whole = random_digits(random, 1 + random() % most);
  whole.erase(0, std::min(whole.find_first_not_of('0'), whole.size() - 1));
  out += whole;
  if (random() % 2 == 0) out += "." + random_digits(random, 1 + random() % most);
  if (random() % 3 == 0) out += "e" + std::to_string(static_cast<int>(random() % 60) - 30);
  return out;
}

// What lies around a number: each of its digits changed, what is left of it when the rest is cut
// off, and both with an exponent.
std::vector<std::string> around(const std::string& number, std::mt19937& random) {
  std::vector<std::string> out{number, "0", "-0", "1e50", "-1e50", kInt64, kUint64, kLeast};
  const std::size_t end = std::min(number.find('e'), number.size());
  const std::string mantissa = number.substr(0, end);
  const std::string exponent = number.substr(end);
  for (std::size_t i = 0; i < mantissa.size(); ++i) {
    if (mantissa[i] < '0' || mantissa[i] > '9') continue;
    std::string other = mantissa;
    for (const int by : {-1, 1}) {
      other[i] = static_cast<char>('0' + (mantissa[i] - '0' + 10 + by) % 10);
      out.push_back(other + exponent);
      out.push_back(other);
    }
  }
  // In the form that exponents have, cut to seventeen digits and less.
  const Laid all = laid(number);
  const std::size_t first = all.digits.find_first_not_of('0');
  if (first == std::string::npos) return out;
  for (const std::size_t count : {1U, 2U, 5U, 15U, 16U, 17U}) {
    for (const int by : {-1, 0, 1}) {
      std::string digits = all.digits.substr(first, count);
      digits.back() = static_cast<char>('0' + (digits.back() - '0' + 10 + by) % 10);
      std::string text = all.negative ? "-" : "";
      text += digits[0];
      if (digits.size() > 1) text += "." + digits.substr(1);
      const int power = 399 - static_cast<int>(first);
      out.push_back(text + (random() % 2 == 0 ? "e" : "E") + std::to_string(power));
      out.push_back(text + "e" + std::to_string(power - 1));
    }
  }
  return out;
}

TEST(Bounds, AreExactDecimalsOfAnyLength) {
  static const std::regex kNumber(R"(-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?)");
  std::mt19937 random(11);
  int compared = 0;
  int inside_all = 0;
  for (int round = 0; round < 120; ++round) {
    const std::size_t most = random() % 3 == 0 ? 6 : random() % 2 == 0 ? 20 : 40;
    const std::string low = random_number(random, most);
    // Often a near one, so that little lies between them.
    const std::vector<std::string> near = around(low, random);
    std::string high = near[random() % near.size()];
    if (!std::regex_match(high, kNumber) || random() % 2 == 0) high = random_number(random, most);
    const bool low_open = random() % 3 == 0;
    const bool high_open = random() % 3 == 0;
    const bool integer = random() % 2 == 0;
    const bool one_side = random() % 4 == 0;
    std::string schema = std::string("{\"type\":\"") + (integer ? "integer" : "number") + "\",\"" +
                         (low_open ? "exclusiveMinimum" : "minimum") + "\":" + low;
    if (!one_side) {
      schema += std::string(",\"") + (high_open ? "exclusiveMaximum" : "maximum") + "\":" + high;
    }
    schema += "}";
    SCOPED_TRACE(schema);
    const Verdicts verdicts(schema);
    const bool wide = order(low, kInt64) >= 0 || (!one_side && order(high, kInt64) >= 0);
    for (const std::string& bound : {low, high}) {
      for (const std::string& text : around(bound, random)) {
        if (!std::regex_match(text, kNumber)) continue;
        const int from = order(text, low);
        const int to = order(text, high);
        const bool inside =
            (low_open ? from > 0 : from >= 0) && (one_side || (high_open ? to < 0 : to <= 0));
        ASSERT_EQ(verdicts.accepts(text),
                  inside && has_text(integer, text, wide ? kUint64 : kInt64))
            << text;
        ++compared;
        inside_all += inside ? 1 : 0;
      }
    }
  }
  EXPECT_GT(inside_all, 1'000);  // (neither verdict is rare)
  EXPECT_GT(compared - inside_all, 1'000);
}

__extension__ using Wide = __int128;

std::string text_of(Wide value) {
  std::string out;
  for (Wide rest = value < 0 ? -value : value; rest > 0; rest /= 10) {
    out.insert(out.begin(), static_cast<char>('0' + static_cast<int>(rest % 10)));
  }
  return (value < 0 ? "-" : "") + (out.empty() ? "0" : out);
}

TEST(Bounds, OfIntegersHoldNumberByNumberNearTheEndsOf64Bits) {
  constexpr Wide kTop = Wide{1} << 64;
  for (const Wide end : {-kTop / 2, kTop / 2, kTop, Wide{1} << 53, Wide{1'000'000}}) {
    for (int shift = -3; shift <= 3; ++shift) {
      const Wide bound = end + shift;
      for (const char* keyword :
           {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "not"}) {
        const std::string_view k = keyword;
        const std::string schema =
            k == "not" ? R"({"type":"integer","not":{"minimum":)" + text_of(bound) + "}}"
                       : R"({"type":"integer",")" + std::string(k) + "\":" + text_of(bound) + "}";
        const Verdicts verdicts(schema);
        const Wide top = bound >= kTop / 2 - 1 ? kTop - 1 : kTop / 2 - 1;
        for (Wide n = bound - 6; n <= bound + 6; ++n) {
          const bool inside = k == "minimum"            ? n >= bound
                              : k == "exclusiveMinimum" ? n > bound
                              : k == "maximum"          ? n <= bound
                                                        : n < bound;
          ASSERT_EQ(verdicts.accepts(text_of(n)), inside && n >= -kTop / 2 && n <= top)
              << schema << " " << text_of(n);
        }
      }
    }
  }
}

TEST(Bounds, AreOneNumberInEverySpelling) {
  for (const char* bound :
       {"100", "100.0", "1e2", "1E+2", "1000e-1", "0.1e3", "100.000000000000000000000"}) {
    const Verdicts verdicts(std::string(R"({"type":"integer","exclusiveMaximum":)") + bound + "}");
    EXPECT_TRUE(verdicts.accepts("99")) << bound;
    EXPECT_FALSE(verdicts.accepts("100")) << bound;
  }
}

TEST(Bounds, StandBesideMultiplesAndUnderChoices) {
  // Ranges that meet in one number: exactly one of them.
  const Verdicts either(R"({"type":"integer","oneOf":[{"maximum":9223372036854775807},
                                                       {"minimum":9223372036854775807}]})");
  EXPECT_TRUE(either.accepts("9223372036854775806"));
  EXPECT_FALSE(either.accepts("9223372036854775807"));
  EXPECT_TRUE(either.accepts("9223372036854775808"));
  EXPECT_TRUE(either.accepts("18446744073709551615"));
  const Verdicts sevens(
      R"({"type":"integer","minimum":9223372036854775800,"maximum":18446744073709551615,
          "multipleOf":7})");
  for (Wide n = (Wide{1} << 63) - 30; n < (Wide{1} << 63) + 30; ++n) {
    EXPECT_EQ(sevens.accepts(text_of(n)), n >= Wide{9223372036854775800U} && n % 7 == 0);
  }
}

TEST(Values, BeyondWhatADoubleTellsApartAreDifferent) {
  const Verdicts one(R"({"const":9223372036854775807})");
  EXPECT_TRUE(one.accepts("9223372036854775807"));
  EXPECT_FALSE(one.accepts("9223372036854775808"));
  const Verdicts listed(
      R"({"enum":[9223372036854775807,9223372036854775808,9007199254740993,-9223372036854775808],
          "minimum":9007199254740993,"exclusiveMaximum":9223372036854775808})");
  EXPECT_TRUE(listed.accepts("9223372036854775807"));
  EXPECT_TRUE(listed.accepts("9007199254740993"));
  EXPECT_FALSE(listed.accepts("9223372036854775808"));
  EXPECT_FALSE(listed.accepts("-9223372036854775808"));
  const Verdicts others(
      R"({"type":"integer","minimum":9223372036854775806,"maximum":9223372036854775809,
                            "not":{"const":9223372036854775807}})");
  EXPECT_TRUE(others.accepts("9223372036854775806"));
  EXPECT_FALSE(others.accepts("9223372036854775807"));
  EXPECT_TRUE(others.accepts("9223372036854775808"));
  const Verdicts both(R"({"enum":[9223372036854775807,9223372036854775808],
                          "not":{"const":9223372036854775808.0}})");
  EXPECT_TRUE(both.accepts("9223372036854775807"));
  EXPECT_FALSE(both.accepts("9223372036854775808"));
  const Verdicts neither(R"({"enum":[9007199254740993],"not":{"enum":[9007199254740992.0]}})");
  EXPECT_TRUE(neither.accepts("9007199254740993"));
}

TEST(Values, OfMoreDigitsThanANumberKeepsAreRefusedByName) {
  for (const char* values :
       {R"({"const":18446744073709551617})", R"({"enum":[1,{"a":[1.00000000000000000001]}]})"}) {
    EXPECT_THAT(refusal_of(schema_of(values)), HasSubstr("more digits than")) << values;
  }
  EXPECT_THAT(refusal_of(schema_of(R"({"minimum":1e-5000})")), HasSubstr("4096 places"));
  EXPECT_EQ(
      refusal_of(schema_of(R"({"default":18446744073709551617,"minLength":99999999999999999999})")),
      "accepted");
}

TEST(Bounds, OfManyDigitsHaveExactMasksAndBudgets) {
  for (
      const char* schema :
      {R"({"type":"integer","minimum":-9223372036854775808,"maximum":18446744073709551615})",
       R"({"type":"array","items":{"minimum":0.12345678901234567890123,"maximum":1e40},"minItems":1})",
       R"({"type":"number","exclusiveMinimum":99999999999999999999999999999999.5})"}) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      testing::MaskCheck check(testing::random_vocabulary(seed, {"99", "922", "775807", "e1"}),
                               schema_of(schema), seed);
      check.walk(30, true);
    }
  }
}

// Trees of bounds of numbers, lengths, items and members: what one says of another is left out.
class RandomBounds {
 public:
  explicit RandomBounds(std::uint64_t seed) : random_(seed) {}
  Json make(int depth) {
    if (depth == 0 || pick(4) == 0) {
      static const char* const kKeywords[] = {
          "minimum",   "exclusiveMinimum", "maximum",  "exclusiveMaximum", "minLength",
          "maxLength", "minItems",         "maxItems", "minProperties",    "maxProperties"};
      return {{kKeywords[pick(3) == 0 ? pick(10) : pick(4)], pick(6)}};
    }
    Json out = Json::object();
    switch (pick(5)) {
      case 0:
        return {{"not", make(depth - 1)}};
      case 1:
        return {{"if", make(depth - 1)}, {"then", make(depth - 1)}, {"else", make(depth - 1)}};
      default:
        const char* const of = pick(2) == 0 ? "allOf" : "anyOf";
        for (int i = 0, n = 2 + pick(4); i < n; ++i) out[of].push_back(make(depth - 1));
        return out;
    }
  }

 private:
  int pick(int n) { return static_cast<int>(random_() % static_cast<std::uint64_t>(n)); }
  std::mt19937_64 random_;
};

TEST(Bounds, BesideEachOtherSayWhatTheySayAlone) {
  std::vector<std::string> texts = {"null", "-1", "2.5", "4.75", "7", "-0.5"};
  std::string text = "aaaaaaa", items = "0,0,0,0,0,0,0", members;
  for (std::size_t n = 0; n <= 6; ++n) {
    texts.push_back(std::to_string(n));
    texts.push_back('"' + text.substr(0, n) + '"');
    texts.push_back('[' + items.substr(0, n == 0 ? 0 : 2 * n - 1) + ']');
    texts.push_back('{' + members + '}');
    members += (n == 0 ? "\"k" : ",\"k") + std::to_string(n) + "\":0";
  }
  for (std::uint64_t seed = 0; seed < 1500; ++seed) {
    const Json schema = RandomBounds(seed).make(4);
    const Verdicts verdicts(schema.dump());
    const testing::NaiveSchema naive(schema);
    for (const std::string& one : texts) {
      ASSERT_EQ(verdicts.accepts(one), naive.valid(Json::parse(one)))
          << "seed " << seed << ": " << schema.dump() << "\n"
          << one;
    }
  }
}

// Fifty bounds of one number, and conditions by as many that speak of another member.
TEST(Bounds, OfOneNumberInAnyCountAreOne) {
  std::string all = R"({"type":"number","allOf":[{"maximum":1000})", ladder = R"({"allOf":[true)";
  for (int i = 0; i < 50; ++i) {
    all += ",{\"minimum\":" + std::to_string(i) + "." + std::to_string(i % 7) + "}";
    ladder += R"(,{"if":{"properties":{"age":{"minimum":)" + std::to_string(10 * i) +
              R"(}},"required":["age"]},"then":{"required":["n)" + std::to_string(i) + "\"]}}";
  }
  const Verdicts one(all + "]}");
  EXPECT_TRUE(one.accepts("49.0"));
  EXPECT_FALSE(one.accepts("48.5"));
  EXPECT_FALSE(one.accepts("1001"));
  const Verdicts steps(ladder + "]}");
  EXPECT_TRUE(steps.accepts(R"({"age":25,"n0":1,"n1":1,"n2":1})"));
  EXPECT_TRUE(steps.accepts(R"({"n2":1,"n1":1,"age":25,"n0":1})"));
  EXPECT_FALSE(steps.accepts(R"({"age":25,"n0":1,"n1":1})"));
  EXPECT_TRUE(steps.accepts(R"({"age":-1})"));
  EXPECT_TRUE(steps.accepts("{}"));
}

}  // namespace
}  // namespace espalier::grammar
