// Laws of masks near the end of a budget where strings stand in items that must differ: no token
// but those after which so many are enough, by each token tried alone, and always one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/grammar_schema/mask_check.h"

namespace espalier::grammar {
namespace {

using testing::MaskCheck;
using testing::random_vocabulary;

Json list_of(Json items, int least = 2) {
  return {
      {"type", "array"}, {"items", std::move(items)}, {"uniqueItems", true}, {"minItems", least}};
}

std::vector<Json> schemas() {
  const Json text = {{"type", "string"}};
  const auto object = [](Json properties, Json required) -> Json {
    return {{"type", "object"},
            {"properties", std::move(properties)},
            {"required", std::move(required)},
            {"additionalProperties", false}};
  };
  return {
      list_of(text, 3),
      list_of(object({{"a", text}}, {"a"})),
      list_of(object({{"a", text}, {"b", text}}, {"a"}), 3),
      list_of(object({{"a", text}, {"b", {{"type", "integer"}}}}, {"a", "b"})),
      list_of(object({{"a", {{"type", "string"}, {"pattern", "^[ab]+$"}}}}, {"a"}), 3),
      list_of(object({{"a", {{"type", "string"}, {"minLength", 2}}}}, {"a"})),
      list_of(object({{"a", {{"enum", {"a", "ab", "c"}}}}, {"b", text}}, {"a"}), 3),
      list_of(object({{"a", {{"anyOf", {{{"const", "ab"}}, text}}}}}, {"a"})),
      list_of(list_of(text, 1)),
      list_of({{"type", "array"}, {"items", text}, {"minItems", 1}, {"maxItems", 2}}),
      list_of({{"type", {"string", "integer", "null"}}}, 4),
      {{"type", "object"},
       {"properties", {{"name", list_of(object({{"a", text}}, {"a"}))}, {"x", text}}},
       {"required", {"name", "x"}},
       {"additionalProperties", false}},
      list_of({{"type", "object"},
               {"properties", {{"a", text}, {"b", text}, {"c", text}}},
               {"minProperties", 2},
               {"additionalProperties", false}}),
      {{"type", "array"},
       {"prefixItems", {object({{"a", text}}, {"a"}), text}},
       {"items", text},
       {"uniqueItems", true},
       {"minItems", 3}},
  };
}

TEST(NearEnd, StringsOfItemsThatMustDifferHaveNoTokenThatIsTooLong) {
  const int rounds = std::getenv("ESPALIER_LONG") != nullptr ? 100 : 2;
  std::uint64_t seed = 0;
  for (const Json& schema : schemas()) {
    for (int round = 0; round < rounds; ++round) {
      ++seed;
      MaskCheck check(random_vocabulary(seed, {"\"a\":\"", "\"b\":\"", "\"},{\"", "\"}", "\",\""}),
                      schema, seed);
      check.walk(12, true);
      check.walk_near_end(24);
      if (HasFatalFailure() || HasFailure()) return;
    }
  }
}

// Strings that are items themselves, which closings never repeat, have all tokens that fit.
TEST(NearEnd, StringsThatMustDifferHaveEveryTokenThatIsNotTooLong) {
  const Json text = {{"type", "string"}};
  const auto with = [](Json list, const char* key, Json value) {
    list[key] = std::move(value);
    return list;
  };
  const Json schemas[] = {
      list_of(text, 0),
      list_of(text, 3),
      list_of({{"type", "string"}, {"pattern", "^[ab]+$"}}, 3),
      list_of({{"type", "string"}, {"maxLength", 2}}, 2),
      list_of({{"type", "string"}, {"minLength", 2}}, 2),
      list_of({{"anyOf", {{{"enum", {"a", "ab"}}}, {{"type", "string"}, {"minLength", 3}}}}}),
      list_of({{"type", {"string", "integer", "null"}}}, 4),
      with(list_of(text, 2), "contains", {{"const", "ab"}}),
      with(list_of(text, 1), "contains", {{"enum", {"a", "ab", "c"}}}),
      with(list_of(text, 1), "contains", {{"type", "string"}, {"pattern", "^a"}}),
      with(list_of({{"enum", {"a", "ab", "x"}}}, 3), "prefixItems", {text}),
  };
  const int rounds = std::getenv("ESPALIER_LONG") != nullptr ? 60 : 2;
  std::uint64_t seed = 1'000;
  for (const Json& schema : schemas) {
    for (int round = 0; round < rounds; ++round) {
      ++seed;
      MaskCheck check(random_vocabulary(seed, {"[\"", "\",\"", "ab\"", "\"]", "a\",\"ab", "u0061"}),
                      schema, seed);
      check.let_no_text_be_refused();
      check.walk(12, true);
      check.walk_near_end(24);
      if (HasFatalFailure() || HasFailure()) return;
    }
  }
}

// What is decided of a whole string's tokens at once does not grow with how many they are.
TEST(NearEnd, AMaskOfAnItemThatMustDifferHoldsLittleHoweverManyTokensThereAre) {
  std::vector<std::string> words;
  for (int i = 0; i < 30'000; ++i) words.push_back("w" + std::to_string(i));
  const Json schema =
      list_of({{"type", "object"},
               {"properties", {{"first", {{"type", "string"}}}, {"second", {{"type", "string"}}}}},
               {"minProperties", 2},
               {"additionalProperties", false}});
  const GrammarRef grammar = compile_json_schema(random_vocabulary(1, words), schema).value();
  Matcher matcher = grammar->start();
  for (const char c : std::string("[{\"first\":\"x")) {
    ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(c)));
  }
  const MaskRef mask = matcher.mask(matcher.distance() + 40);
  EXPECT_TRUE(mask->allows(static_cast<TokenId>(grammar->vocabulary()->size()) - 2));
  EXPECT_LT(grammar->size().bytes, std::size_t{16} << 20);
}

}  // namespace
}  // namespace espalier::grammar
