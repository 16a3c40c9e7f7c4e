// Random small schemas against a plain validator: every text of a list is accepted iff its value
// satisfies the schema, and every place that texts lead to has a way to its end.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "tests/grammar_schema/random_schema.h"
#include "tests/grammar_schema/verdicts.h"
#include "tests/support/naive_schema.h"

namespace espalier::grammar {
namespace {

using testing::NaiveSchema;
using testing::RandomSchema;

std::vector<std::string> texts() {
  std::vector<std::string> scalars = {"null",  "true",   "0", "1",  "2",   "1.5",  "\"\"", "\"a\"",
                                      "\"b\"", "\"ab\"", "3", "12", "-12", "2.25", "0.70"};
  std::vector<std::string> out = scalars;
  const std::vector<std::string> inner = {"1",  "2.5", "\"a\"", "\"bb\"",   "null",
                                          "[]", "{}",  "[1]",   "{\"a\":1}"};
  out.insert(out.end(), {"[]", "{}"});
  for (const auto& x : inner) {
    out.push_back("[" + x + "]");
    for (const char* k : {"a", "b", "c", "d"}) {
      out.push_back("{\"" + std::string(k) + "\":" + x + "}");
      for (const char* l : {"a", "b", "c"}) {
        if (*k == *l) continue;
        for (const char* y : {"1", "\"a\"", "null"}) {
          out.push_back("{\"" + std::string(k) + "\":" + x + ",\"" + l + "\":" + y + "}");
        }
      }
    }
    for (const auto& y : {"1", "\"b\"", "{}"}) {
      out.push_back("[" + x + "," + y + "]");
      out.push_back("[" + x + "," + y + ",1]");
      out.push_back("[[" + x + "]," + y + ",[" + y + "]]");
      out.push_back("[{\"b\":" + x + ",\"a\":1},{\"a\":1,\"b\":" + y + "}]");
    }
  }
  out.insert(out.end(), {R"({"a":1,"b":1,"c":1})", "[12]", "[1,12]", "[12,12]"});
  return out;
}

// Spellings of numbers that need not be accepted where their value is valid: what must not be is
// another way to write a number that the schema excludes, or that an array has already.
std::vector<std::string> odd_texts() {
  std::vector<std::string> out;
  for (const char* x : {"0", "1", "1.5", "12"}) {
    for (const char* y : {"0e1", "0.0", "-0", "0E-2", "10e-1", "0.1e1", "1.0", "1E0", "15e-1",
                          "1.50", "0.12e2", "1.2e+1", "120e-1"}) {
      for (const std::string& text :
           {std::string(y), "[" + std::string(x) + "," + y + "]", "{\"a\":" + std::string(y) + "}",
            "[{\"a\":" + std::string(x) + "},{\"a\":" + y + "}]"}) {
        out.push_back(text);
      }
    }
  }
  return out;
}

// Whether no number of the text has more digits than a double holds.
bool exact_as_double(const std::string& text) {
  std::size_t digits = 0;
  for (const char c : text) {
    digits = c >= '0' && c <= '9' ? digits + 1 : c == '.' ? digits : 0;
    if (digits > 15) return false;
  }
  return true;
}

void check(const Json& schema, std::uint64_t seed) {
  SchemaOptions options;
  const auto grammar = compile_json_schema(testing::byte_vocabulary(), schema, {}, options);
  const bool none =
      !grammar && (grammar.error().message.find("no value satisfies") != std::string::npos ||
                   grammar.error().message.find("E0301") != std::string::npos);
  if (!grammar && !none) return;
  const NaiveSchema naive(schema);
  static const std::vector<std::string> all = texts();
  for (const std::string& text : all) {
    const bool valid = naive.valid(Json::parse(text));
    const bool accepted = !none && testing::accepts(*grammar, text);
    ASSERT_EQ(accepted, valid) << "seed " << seed << ": " << schema.dump() << "\n" << text;
  }
  static const std::vector<std::string> odd = odd_texts();
  for (const std::string& text : odd) {
    if (none || !testing::accepts(*grammar, text)) continue;
    ASSERT_TRUE(naive.valid(Json::parse(text))) << "seed " << seed << ": " << schema.dump() << "\n"
                                                << text;
  }
  if (none) return;
  // Random walks end, and the distance falls along the closing.
  std::mt19937_64 random(seed);
  for (int walk = 0; walk < 2; ++walk) {
    Matcher matcher = (*grammar)->start();
    std::string read;
    for (int step = 0; step < 30; ++step) {
      const MaskRef mask = matcher.mask(1000);
      std::vector<TokenId> ids;
      for (TokenId id = 0; id < 256; ++id) {
        if (mask->allows(id)) ids.push_back(id);
      }
      if (ids.empty()) break;
      const TokenId id = ids[random() % ids.size()];
      ASSERT_TRUE(matcher.advance(id)) << schema.dump() << "\n" << read;
      read += static_cast<char>(id);
    }
    for (std::uint32_t left = matcher.distance(); left > 0; left = matcher.distance()) {
      const MaskRef mask = matcher.mask(left);
      TokenId next = kNoToken;
      for (TokenId id = 0; id < 256 && next == kNoToken; ++id) {
        if (mask->allows(id)) next = id;
      }
      ASSERT_NE(next, kNoToken) << "no way on: seed " << seed << ": " << schema.dump() << "\n"
                                << read;
      ASSERT_TRUE(matcher.advance(next));
      read += static_cast<char>(next);
      ASSERT_LT(matcher.distance(), left) << "seed " << seed << ": " << schema.dump() << "\n"
                                          << read;
    }
    ASSERT_TRUE(matcher.accepting()) << read;
    const Json value = Json::parse(read, nullptr, false);
    ASSERT_FALSE(value.is_discarded()) << read;
    if (!exact_as_double(read)) continue;  // the validator's numbers are doubles
    ASSERT_TRUE(naive.valid(value)) << "seed " << seed << ": " << schema.dump() << "\n" << read;
    ASSERT_EQ(matcher.value(), value);
  }
}

TEST(SchemaOracle, TextsAreAcceptedIffTheirValueIsValid) {
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 20'000 : 300;
  for (std::uint64_t seed = 0; seed < runs && !HasFatalFailure(); ++seed) {
    check(RandomSchema(seed).make(2), seed);
  }
}

}  // namespace
}  // namespace espalier::grammar
