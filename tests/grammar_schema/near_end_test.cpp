// Laws of masks near the end of a budget where strings stand in items that must differ: no token
// but those after which so many are enough, by each token tried alone, and always one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <utility>
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
      // Whose keys closings repeat.
      list_of({{"type", "object"},
               {"properties", {{"n", {{"type", "object"}}}}},
               {"required", {"n"}},
               {"minProperties", 2}}),
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

// Where one must come twice and few items may come, what is being read may be what is repeated: a
// text that is read on makes the way to the end longer.
TEST(NearEnd, WhatMustComeTwiceAmongFewCountsItsOwnText) {
  const Json text = {{"type", "string"}};
  const auto repeats = [](Json items, int least, int most) -> Json {
    return {{"type", "array"},
            {"items", std::move(items)},
            {"minItems", least},
            {"maxItems", most},
            {"not", {{"uniqueItems", true}}}};
  };
  const Json object = {{"type", "object"},
                       {"properties", {{"a", text}, {"b", text}}},
                       {"required", {"a"}},
                       {"additionalProperties", false}};
  const Json named = {{"type", "object"}, {"minProperties", 1}, {"additionalProperties", text}};
  const Json schemas[] = {
      repeats(text, 0, 2),
      repeats(text, 3, 3),
      repeats(object, 0, 2),
      repeats(named, 0, 2),
      repeats({{"type", "array"}, {"items", text}, {"minItems", 1}}, 2, 3),
      repeats({{"type", {"string", "integer"}}}, 0, 2),
      {{"type", "object"},
       {"properties", {{"name", repeats(object, 0, 2)}, {"x", text}}},
       {"required", {"name", "x"}},
       {"additionalProperties", false}},
  };
  const int rounds = std::getenv("ESPALIER_LONG") != nullptr ? 60 : 2;
  std::uint64_t seed = 2'000;
  for (const Json& schema : schemas) {
    for (int round = 0; round < rounds; ++round) {
      ++seed;
      MaskCheck check(random_vocabulary(seed, {"{\"a\":\"", "\"},{\"", "\"}", "\",\"", "aba"}),
                      schema, seed);
      check.walk(12, true);
      check.walk_near_end(24);
      if (HasFatalFailure() || HasFailure()) return;
    }
  }
}

// A vocabulary that is mostly words, as real ones are.
VocabularyRef wordy_vocabulary(std::uint64_t seed, std::vector<std::string> more) {
  static const char* const kCharacters[] = {
      "a", "b", "c", "x", "1", " ", "n", "\xC3\xA9", "\xE5\x8D\x81", "\xF0\x9F\x98\x80"};
  std::mt19937_64 random(seed);
  for (int i = 0; i < 1'500; ++i) {
    std::string word;
    for (std::uint64_t n = 1 + random() % 6; n > 0; --n) {
      word += kCharacters[random() % std::size(kCharacters)];
    }
    more.push_back(std::move(word));
  }
  return random_vocabulary(seed, more);
}

TEST(NearEnd, WordsAreDecidedByTheirLengthButForThoseThatAreToldApart) {
  const Json text = {{"type", "string"}};
  const auto object = [](Json properties, Json required, Json more) -> Json {
    return {{"type", "object"},
            {"properties", std::move(properties)},
            {"required", std::move(required)},
            {"additionalProperties", std::move(more)}};
  };
  const Json integer = {{"type", "integer"}};
  // And a text along which some are told apart.
  const std::pair<Json, const char*> rows[] = {
      {text, "\"a"},
      {{{"type", "string"}, {"maxLength", 4}}, "\"a"},
      {{{"type", "string"}, {"minLength", 3}}, "\"a"},
      {{{"type", "string"}, {"minLength", 2}, {"maxLength", 5}}, "\"a"},
      {{{"type", {"string", "null"}}}, "\"a"},
      {object({{"a", text}, {"ab", integer}, {"name", text}}, {"ab", "name"}, text),
       R"({"a":"x","n)"},
      {object({{"a", text}, {"abc", integer}}, {"abc"}, {{"enum", {1, 20000}}}), R"({"x":1,"a)"},
      {object({{"n\u00e9", text}, {"x1", {{"maxLength", 2}}}}, {"x1", "n\u00e9"}, true),
       R"({"x1":"","x)"},
      {object({{"a", list_of(text, 2)}, {"b", text}}, {"a", "b"}, false), R"({"a":["a","b)"},
      {list_of(text, 2), R"(["a",")"},
      {list_of(text, 2), R"(["xab\)"},
      {list_of(text, 2), R"(["\u00)"},
      {list_of(text, 2), R"(["\ud83d\uD)"},
      {list_of(text, 3), R"(["\u0061","a\)"},
      {list_of({{"type", "string"}, {"maxLength", 2}}, 5), R"(["a","ab","b)"},
      {object({{"a", {{"const", 1'000'000}}}, {"xa", {{"const", 1'000'000}}}}, Json::array(), true),
       R"({"x)"},
      {list_of(object({{"a", text}}, {"a"}, false)), R"([{"a":"a"},{"a":"a)"},
      {{{"type", "object"}, {"minProperties", 2}, {"propertyNames", {{"maxLength", 3}}}},
       R"({"":0,"a)"},
  };
  const int rounds = std::getenv("ESPALIER_LONG") != nullptr ? 40 : 1;
  std::uint64_t seed = 3'000;
  for (const auto& [schema, along] : rows) {
    for (int round = 0; round < rounds; ++round) {
      ++seed;
      MaskCheck check(wordy_vocabulary(seed, {"\":\"", "\",\"", "ab\":", "name", "\"}"}), schema,
                      seed);
      check.walk(4, true);
      check.walk_near_end(12);
      check.walk_along(along);
      if (HasFatalFailure() || HasFailure()) return;
    }
  }
}

// Of closings of one length an automaton takes what it met first, and one that has grown too large
// is made anew: what a budget was held against by the old one must be enough for the new one too.
TEST(NearEnd, ABudgetIsEnoughForAutomataThatAreMadeAnew) {
  const Json schema = Json::parse(R"({"type":"object","properties":{
      "name":{"type":"string"},"named":{"type":"string","minLength":2},"names":{"type":"array",
      "items":{"type":"string"},"minItems":2},"nam":{"enum":["ab","ba","10a"]},"a":{"anyOf":[
      {"type":"string","pattern":"^[a-c]{3}$"},{"type":"integer","minimum":100}]},"b":{"type":
      ["string","integer"],"pattern":"^x"}},
      "required":["name","named","names","nam","a","b"],
      "additionalProperties":{"type":["string","null"],"minLength":2}})");
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 400 : 20;
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    std::mt19937_64 random(seed);
    const VocabularyRef vocabulary =
        random_vocabulary(seed, {"\"name", "\"nam", "ed\":\"", "s\":[\"", "\",\"", "\":\"", "bb"});
    Limits limits;
    limits.state_bytes = 1 << 18;
    SchemaOptions options;
    const auto made = compile_json_schema(vocabulary, schema, {}, options, limits);
    ASSERT_TRUE(made) << made.error().message;
    const GrammarRef grammar = *made;
    // Takes any of the tokens that are allowed; false where there is none.
    const auto take = [&](Matcher& matcher, std::uint32_t left) {
      const MaskRef mask = matcher.mask(left);
      std::vector<TokenId> ids;
      for (TokenId id = 0; static_cast<std::size_t>(id) < vocabulary->size(); ++id) {
        if (mask->allows(id) && !vocabulary->is_end(id)) ids.push_back(id);
      }
      if (ids.empty()) return false;
      EXPECT_TRUE(matcher.advance(ids[random() % ids.size()]));
      return true;
    };
    Matcher held = grammar->start();
    Matcher other = grammar->start();
    for (int i = 0; i < 6; ++i) ASSERT_TRUE(take(held, UINT32_MAX));
    std::uint32_t left = held.distance() + static_cast<std::uint32_t>(random() % 3);
    while (!held.accepting()) {
      ASSERT_LE(held.distance(), left) << "after " << held.text() << " seed " << seed;
      ASSERT_TRUE(take(held, left)) << "no way on after " << held.text() << " seed " << seed;
      --left;
      for (std::uint64_t n = random() % 12; n > 0; --n) {
        if (other.accepting() || !take(other, UINT32_MAX)) other = grammar->start();
      }
    }
  }
}

// Behind a comma a key has to come, though none is owing; and what is behind it may be long. Each
// mask is the first of its place, so that none is held against one that was made nearer the end.
TEST(NearEnd, ACommaIsNotAllowedWhereEveryKeyBehindItIsTooLong) {
  const Json flag = {{"type", "boolean"}};
  const Json words = {{"const", "some words that take their time"}};
  const Json owing = {{"type", "object"},
                      {"properties", {{"first", flag}, {"second", flag}, {"third", flag}}},
                      {"required", {"first", "second", "third"}}};
  const auto object = [&](const Json& members, bool others) -> Json {
    return {{"type", "object"}, {"properties", members}, {"additionalProperties", others}};
  };
  const std::pair<Json, std::string> cases[] = {
      {object({{"a", flag}, {"long", words}}, false), "{\"a\":true"},
      {object({{"a", flag}, {"long", owing}}, false), "{\"a\":true"},
      {object({{"a", flag}, {"inside", object({{"b", flag}, {"long", words}}, false)}}, false),
       "{\"inside\":{\"b\":true"},
      {{{"type", "object"},
        {"properties", {{"a", flag}}},
        {"patternProperties", {{"^[0-9]{40}$", flag}}},
        {"additionalProperties", false}},
       "{\"a\":true"},
      {object({{"a", flag}, {"b", flag}, {"long", words}}, false), "{\"a\":true,\"b\":false"},
      {{{"type", "object"}, {"properties", {{"a", flag}}}, {"additionalProperties", owing}},
       "{\"a\":true"},
      {{{"type", "array"}, {"prefixItems", {flag}}, {"items", owing}}, "[true"},
  };
  for (const auto& [schema, text] : cases) {
    for (std::uint32_t left = 1; left < 80; ++left) {
      const GrammarRef grammar = compile_json_schema(testing::byte_vocabulary(), schema).value();
      Matcher matcher = grammar->start();
      for (const char c : text) ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(c)));
      if (matcher.distance() > left) continue;
      const MaskRef mask = matcher.mask(left);
      Matcher behind = grammar->start();
      for (const char c : text + ",") ASSERT_TRUE(behind.advance(static_cast<unsigned char>(c)));
      EXPECT_EQ(mask->allows(','), behind.distance() < left)
          << schema << " with " << left << " left, " << behind.distance() << " behind the comma";
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
