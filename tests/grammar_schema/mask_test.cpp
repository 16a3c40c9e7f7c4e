// Masks of schemas against trying each token alone: random schemas and some real shapes, random
// vocabularies whose tokens cross quotes, keys and structure, random prefixes and budgets.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "grammar/schema/scalar_library.h"
#include "tests/grammar_schema/mask_check.h"
#include "tests/grammar_schema/random_schema.h"
#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using testing::MaskCheck;
using testing::random_vocabulary;

TEST(SchemaMask, OfRandomSchemasIsWhatEachTokenTriedAloneGives) {
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 3'000 : 120;
  VocabularyRef vocabulary;
  for (std::uint64_t seed = 0; seed < runs && !HasFailure(); ++seed) {
    if (seed % 10 == 0) vocabulary = random_vocabulary(seed);
    MaskCheck check(vocabulary, testing::RandomSchema(seed).make(2), seed);
    for (int i = 0; i < 3 && !HasFailure(); ++i) check.walk(12, i == 0);
  }
}

TEST(SchemaMask, OfRealShapesIsWhatEachTokenTriedAloneGives) {
  const Json schemas[] = {
      Json::parse(R"({"type":"object","properties":{"name":{"type":"string"},"a":{"type":"integer"},
        "ab":{"type":"number"}},"required":["name"]})"),
      Json::parse(R"({"type":"object","properties":{"name":{"maxLength":3},"ab":{"minLength":2}},
        "additionalProperties":false})"),
      Json::parse(R"({"type":"object","properties":{"a":false,"ab":true},"maxProperties":2})"),
      Json::parse(R"({"type":"array","items":{"enum":["a","ab","name","é\n",1,17,null]},
        "minItems":1})"),
      Json::parse(R"({"type":"array","items":{"type":["string","null","boolean"],"maxLength":2},
        "uniqueItems":true,"maxItems":4})"),
      Json::parse(R"({"anyOf":[{"type":"object","required":["a"],"properties":{"a":{"type":"string",
        "minLength":1}}},{"type":"object","properties":{"a":{"const":"ab"},"b":{"type":"string",
        "pattern":"^[ab]+$"}},"additionalProperties":false}]})"),
      Json::parse(R"({"type":"object","patternProperties":{"^a":{"type":"integer"}},
        "additionalProperties":{"type":"string","pattern":"^.+@.+$"}})"),
      Json::parse(R"({"type":"object","propertyNames":{"pattern":"^[a-c]{1,3}$"},
        "additionalProperties":{"type":"number","minimum":1,"maximum":170}})"),
      Json::parse(R"({"type":"array","items":{"oneOf":[{"type":"string","maxLength":2},
        {"type":"string","pattern":"name"},{"type":"integer","multipleOf":5}]}})"),
      Json::parse(R"({"$ref":"#/$defs/t","$defs":{"t":{"type":"object","properties":{"name":
        {"type":"string","minLength":2,"maxLength":5},"c":{"type":"array","items":{"$ref":
        "#/$defs/t"}}},"required":["name","c"],"additionalProperties":false}}})"),
      Json::parse(R"({"type":"string","maxLength":4})"),
      // Characters that are counted, few or most of all: finished automata and their tables.
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^[a-z]{1,5}$"}})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^[^,:]{2,9}$"}})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^.{1,4}(@.*)?$"}})"),
      Json::parse(
          R"({"type":"array","items":{"anyOf":[{"type":"string","pattern":"^\\d{1,3}-[a-z]*$"},
        {"type":"string","format":"uri-reference"},{"type":"number","minimum":-17,"maximum":217}]}})"),
      // Patterns that are searched for, after which anything may follow; characters that can come
      // only before a place, or only after it.
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"name|ab*z"}})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^[^ab]*n"}})"),
      Json::parse(
          R"({"type":"array","items":{"type":"string","pattern":"^([a-z]+|\"[^\"]*\")@[a-z.]+$"}})"),
      Json::parse(R"({"type":"array","items":{"type":["string","null"],"format":"email"}})"),
      // Lengths beside patterns, and several kinds of strings at once.
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^(a|b|.*c).*[0-9]{1,2}$",
        "maxLength":7}})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"ab|\\n","maxLength":4}})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^[a-z\u00e9]+$",
        "minLength":1,"maxLength":3},"uniqueItems":true})"),
      Json::parse(R"({"type":"object","propertyNames":{"anyOf":[{"maxLength":2},{"pattern":"^na"}]},
        "additionalProperties":{"anyOf":[{"type":"string","maxLength":3},{"enum":["name","abx"]},
        {"type":"string","pattern":"^ab"},{"type":"string","format":"hostname"}]}})"),
      // Items that must differ, of strings without and with an end, under patterns, of few words;
      // alone, beside others, inside each other.
      Json::parse(R"({"type":"array","items":{"type":"string"},"uniqueItems":true,"minItems":3})"),
      Json::parse(R"({"type":"array","items":{"type":"string","maxLength":1},"uniqueItems":true})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^[ab]{1,2}$"},
        "uniqueItems":true,"minItems":2})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^a[a-z]*$"},
        "uniqueItems":true,"maxItems":5})"),
      Json::parse(R"({"type":"array","items":{"type":["string","integer","array"]},
        "uniqueItems":true})"),
      Json::parse(R"({"type":"array","prefixItems":[{"type":"string"},{"enum":["a","ab"]}],
        "items":{"type":"string"},"uniqueItems":true})"),
      Json::parse(R"({"type":"array","items":{"type":"array","items":{"type":"string"},
        "uniqueItems":true},"uniqueItems":true})"),
      Json::parse(R"({"type":"object","additionalProperties":{"type":"array","uniqueItems":true,
        "items":{"anyOf":[{"type":"string","minLength":2},{"enum":["a","b",1]}]}}})"),
      Json::parse(R"({"type":"array","items":{"type":"string"},"not":{"uniqueItems":true}})"),
      // Keys under patterns, of which some stand already, and few that are left.
      Json::parse(R"({"type":"object","patternProperties":{"^a":{"type":"integer"},"b$":{"type":
        "number"}},"properties":{"ab":{"minimum":5},"name":true},"additionalProperties":false})"),
      Json::parse(
          R"({"type":"object","propertyNames":{"pattern":"^[ab]{1,2}$","not":{"const":"ab"}},
        "minProperties":2})"),
      Json::parse(R"({"type":"object","propertyNames":{"maxLength":1},"properties":{"a":false}})"),
      // Counts that are not written out, in values and in keys; lengths that must be reached.
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"^x[ab]{0,18}n?$"}})"),
      Json::parse(R"({"type":"object","patternProperties":{"^[a-z]{1,16}$":{"type":"integer"}}})"),
      Json::parse(R"({"type":"object","propertyNames":{"pattern":"^a{1,17}$"}})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"[0-9]","minLength":4,
        "maxLength":6}})"),
      Json::parse(R"({"type":"array","items":{"type":"string","pattern":"a","minLength":5,
        "not":{"pattern":"name"}},"uniqueItems":true})"),
      // Exactly one of several searched words; multiples within bounds.
      Json::parse(R"({"type":"array","items":{"type":"string","oneOf":[{"pattern":"ab"},
        {"pattern":"name"},{"pattern":"x|z9"}]}})"),
      Json::parse(R"({"type":"array","items":{"type":"integer","minimum":-17,"multipleOf":5}})"),
      Json::parse(R"({"type":"integer"})"), Json::parse(R"({"type":"string","format":"date"})"),
      Json(true)};
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 200 : 3;
  for (std::uint64_t seed = 0; seed < runs && !HasFailure(); ++seed) {
    const VocabularyRef vocabulary = random_vocabulary(seed + 1000);
    for (const Json& schema : schemas) {
      MaskCheck check(vocabulary, schema, seed);
      for (int i = 0; i < 2 && !HasFailure(); ++i) check.walk(12, i == 0);
    }
  }
}

// Objects of several kinds of keys, of which some must come, where no token may be wasted: which
// key is taken next depends on those that stand, and most tokens are decided together.
TEST(SchemaMask, OfKeysNearTheEndOfABudgetIsWhatEachTokenTriedAloneGives) {
  static const char* const kPatterns[] = {
      "^[ab]",     "b$",        "name",   "^.{1,3}$", "^[a-z]{2,40}$",  "[0-9].*[0-9]",
      "^$",        "^(ab)*$",   "x|z9",   "^a.*c$",   "^(a|b){0,6}xa$", "^.{20,}$",
      "^[^\\n]+$", "^\\p{L}+$", "^a\\d$", "^a?b?c?$", "^(a|b|ab)$",     "(a.*){3}"};
  // Of which several together are no finished automaton.
  static const char* const kLarge[] = {
      "^\\p{L}+$",  "^[a-z]{2,8}(-[A-Z]{2})?$", "\\d{3,}",
      "\\p{Lu}{2}", "^(\\p{L}|\\d){1,20}$",     "^[\\p{L}\\d]{1,10}-\\w{1,10}$"};
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 2'000 : 60;
  VocabularyRef vocabulary;
  for (std::uint64_t seed = 0; seed < runs && !HasFailure(); ++seed) {
    std::mt19937_64 random(seed);
    const auto value = [&]() -> Json {
      static const char* const kValues[] = {
          "true",  R"({"type":"integer"})", R"({"maxLength":2,"type":"string"})",
          "false", R"({"enum":["a",1]})",   R"({"type":"object","minProperties":1})"};
      return Json::parse(kValues[random() % std::size(kValues)]);
    };
    const bool large = seed % 6 == 5;
    const auto pattern = [&] {
      return large && random() % 4 != 0 ? kLarge[random() % std::size(kLarge)]
                                        : kPatterns[random() % std::size(kPatterns)];
    };
    Json schema = {{"type", "object"}};
    for (std::uint64_t n = large ? 3 : random() % 4; n > 0; --n)
      schema["patternProperties"][pattern()] = value();
    if (random() % 2 == 0) schema["additionalProperties"] = value();
    if (random() % 4 != 0) schema["minProperties"] = random() % 4;
    if (random() % 4 == 0) schema["maxProperties"] = 2 + random() % 3;
    if (random() % 4 == 0) schema["propertyNames"] = {{"maxLength", 1 + random() % 5}};
    if (random() % 5 == 0) schema["propertyNames"]["pattern"] = pattern();
    for (const char* name : {"a", "ab", "name", "a1"}) {
      if (random() % 5 == 0) schema["properties"][name] = value();
      if (random() % 8 == 0) schema["required"].push_back(name);
    }
    if (seed % 10 == 0)
      vocabulary = random_vocabulary(seed, {"a1", "a2\"", "x\":", "\":1,\"a", "}}"});
    MaskCheck check(vocabulary, schema, seed);
    for (int i = 0; i < 2 && !HasFailure(); ++i) check.walk_near_end(10);
  }
}

// A token that ends a key and holds another one whole: the same key twice is no object.
TEST(SchemaMask, KeysOfOneTokenAreHeldAgainstEachOther) {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  const auto token = static_cast<TokenId>(spec.bytes.size());
  for (const char* text : {"\": \"\",\"\"", "\": \"\",\"b\"", "\":1,\"\""}) {
    spec.bytes.emplace_back(text);
  }
  for (int i = 0; i < 40; ++i) spec.bytes.push_back("\": \"" + std::to_string(i));
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  const VocabularyRef vocabulary = Vocabulary::create(std::move(spec)).value();
  const auto after = [&](const char* schema, std::string_view text) {
    const GrammarRef grammar = compile_json_schema(vocabulary, Json::parse(schema)).value();
    Matcher matcher = grammar->start();
    for (const char c : text) EXPECT_TRUE(matcher.advance(static_cast<unsigned char>(c))) << text;
    const MaskRef mask = matcher.mask(UINT32_MAX);
    EXPECT_TRUE(std::ranges::equal(mask->words(), matcher.plain_mask()->words())) << schema;
    return mask;
  };
  const MaskRef open = after(R"({"not":{"additionalProperties":{"type":"integer"}}})", "{\"");
  EXPECT_FALSE(open->allows(token));
  EXPECT_TRUE(open->allows(token + 1));
  EXPECT_FALSE(open->allows(token + 2));
}

// A token that ends a key under patterns and begins the same key once more: where nothing but that
// key can become of the beginning, there is no text behind it.
TEST(SchemaMask, BeginningsOfKeysUnderPatternsAreHeldAgainstTheKeyOfTheSameToken) {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  const auto token = static_cast<TokenId>(spec.bytes.size());
  for (const char* text : {"\": 1,\"  ", "\": 1,\" ", "\": 1,\"", "\": 1,\"ab"}) {
    spec.bytes.emplace_back(text);
  }
  for (int i = 0; i < 40; ++i) spec.bytes.push_back("\": " + std::to_string(i));
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  const VocabularyRef vocabulary = Vocabulary::create(std::move(spec)).value();
  const Json schema =
      Json::parse(R"({"type":"object","propertyNames":{"anyOf":[{"maxLength":2},{"pattern":"^na"}]},
        "additionalProperties":{"type":"integer"}})");
  Matcher matcher = compile_json_schema(vocabulary, schema).value()->start();
  for (const char c : std::string_view("{\"  ")) {
    ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(c)));
  }
  const MaskRef mask = matcher.mask(UINT32_MAX);
  EXPECT_FALSE(mask->allows(token));
  for (TokenId other = token + 1; other < token + 4; ++other) EXPECT_TRUE(mask->allows(other));
  EXPECT_TRUE(std::ranges::equal(mask->words(), matcher.plain_mask()->words()));
}

// Keys that stand may be all that a beginning can still become: of a few texts, of a length, of a
// pattern with escapes; and keys of classes that are never anything but named.
TEST(SchemaMask, BeginningsThatOnlyTakenKeysGoOnFromAreNotAllowed) {
  struct Case {
    const char* schema;
    const char* text;
  };
  static constexpr Case kCases[] = {
      {R"({"type":"object","patternProperties":{"^(ab|abc|b|c[0-9]?)$":{"type":"integer"}},
           "additionalProperties":false})",
       R"({"abc":1,"c":2,"ab":1,"c1":2,"b":3)"},
      {R"({"type":"object","propertyNames":{"pattern":"^.{1,3}$"},
           "additionalProperties":{"type":"integer"}})",
       R"({"abc":1,"ab":2,"a":1,"xyz":2,"x5":3,"é0":1)"},
      {R"({"type":"object","propertyNames":{"minLength":2,"maxLength":3},
           "additionalProperties":{"type":"integer"}})",
       R"({"abc":1,"ab":2,"0a":1,"xyz":2,"x5":3)"},
      {R"({"type":"object","patternProperties":{"^[ab]?[ab]$":{"type":"integer"},
           "^(a|\"|bb)$":{"minimum":2}},"additionalProperties":false})",
       R"({"ab":1,"a":2,"bb":2,"\"":4,"b":3)"},
      {R"({"type":"object","patternProperties":{"[0-9a]{3}":{"type":"integer"}},
           "additionalProperties":{"type":"null"}})",
       R"({"0a":null,"x0a5":1,"0a9":2,"9":null)"},
      {R"({"oneOf":[{"type":"object","properties":{"ab":{"type":"integer"}},"required":["ab"],
           "patternProperties":{"^(abc|b|c)$":{"type":"null"}}},
           {"type":"object","properties":{"abc":{"type":"integer"}},"required":["abc"],
           "patternProperties":{"^(ab|b|c)$":{"type":"null"}}},
           {"type":"object","properties":{"c":{"type":"integer"}},"required":["c"],
           "patternProperties":{"^(ab|b|abc)$":{"type":"null"}}}]})",
       R"({"x":1,"ab":null,"b":null,"abc":null,"c":5)"}};
  const VocabularyRef vocabulary = random_vocabulary(
      1,
      {"ab", "abc", "\"ab", "\"abc", ",\"a", ",\"ab", "c1", "bb", "\\\"\"", "x5\"", "0a9", "0a\""});
  for (const Case& one : kCases) {
    const auto grammar = compile_json_schema(vocabulary, Json::parse(one.schema));
    ASSERT_TRUE(grammar) << one.schema;
    Matcher matcher = (*grammar)->start();
    std::string read;
    for (const char c : std::string_view(one.text)) {
      ASSERT_TRUE(
          std::ranges::equal(matcher.mask(UINT32_MAX)->words(), matcher.plain_mask()->words()))
          << one.schema << "\nafter " << read;
      ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(c))) << one.schema << "\n" << read;
      read += c;
    }
  }
}

// Strings that are listed here and forbidden there.
TEST(SchemaMask, OfListsAndPatternsThatExcludeEachOtherIsExact) {
  const Json schema = Json::parse(
      R"({"oneOf":[{"type":"string","pattern":"^[a-c]+$"},{"enum":["ab","x@","17",2]},
                   {"type":"string","maxLength":1}]})");
  const VocabularyRef vocabulary =
      random_vocabulary(7, {"ab\"", "\"ab", "x@", "\"x@\"", "aa", "\"17\""});
  const auto grammar = compile_json_schema(vocabulary, schema);
  ASSERT_TRUE(grammar);
  for (const char* text : {R"("abc")", R"("cab")", R"("x@")", R"("17")", R"("1")", "2"}) {
    Matcher matcher = (*grammar)->start();
    for (const char c : std::string_view(text)) {
      ASSERT_TRUE(
          std::ranges::equal(matcher.mask(UINT32_MAX)->words(), matcher.plain_mask()->words()))
          << text;
      ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(c))) << text;
    }
    EXPECT_TRUE(matcher.accepting()) << text;
  }
  for (const char* text : {R"("ab")", R"("a")", R"("x1")"}) {
    Matcher matcher = (*grammar)->start();
    bool accepted = true;
    for (const char c : std::string_view(text)) {
      accepted = accepted && matcher.advance(static_cast<unsigned char>(c));
    }
    EXPECT_FALSE(accepted && matcher.accepting()) << text;
  }
}

// An automaton of thousands of states, whose masks are shared by those that do the same with short
// tokens: near the bound of its repeats, near the greatest length, and far from both. Some tokens
// are longer than what is shared.
TEST(SchemaMask, CountedWordsBesideLengthsAreExactNearEachBound) {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  for (const char* text : {"a b", " c", "dd ", "a b c d e f g h i j k l m", "                    ",
                           "abcdefghijklmnopqrstuvwxyz", "a b\"", "\",", "é ", "x y z \"}"}) {
    spec.bytes.emplace_back(text);
  }
  for (int i = 0; i < 40; ++i) spec.bytes.push_back("w" + std::to_string(i) + (i % 3 ? " " : ""));
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  const VocabularyRef vocabulary = Vocabulary::create(std::move(spec)).value();
  for (const char* bounds : {R"("minLength":1,"maxLength":230)", R"("minLength":1)",
                             R"("minLength":3,"maxLength":230)", R"("maxLength":230)"}) {
    const std::string schema =
        std::string(R"({"type":"object","properties":{"t":{"type":"string",)") +
        R"x("pattern":"^$|(^(?:\\S+\\s+){0,99}\\S+$)",)x" + bounds +
        R"(}},"required":["t"],"additionalProperties":false})";
    const GrammarRef grammar = compile_json_schema(vocabulary, Json::parse(schema)).value();
    std::string text = "{\"t\": \"";
    for (int words = 0; words <= 100; ++words) {
      Matcher matcher = grammar->start();
      bool fits = true;
      for (const char c : text) fits = fits && matcher.advance(static_cast<unsigned char>(c));
      EXPECT_EQ(fits, words < 100) << bounds << " after " << words;  // 99 and the last
      if (!fits) break;
      if (words < 3 || words > 90) {
        EXPECT_TRUE(
            std::ranges::equal(matcher.mask(UINT32_MAX)->words(), matcher.plain_mask()->words()))
            << bounds << " after " << words;
      }
      text += "a ";
    }
  }
}

// Where characters are owed and texts taken away, the least distance is the shortest text's, and
// each budget from there on is kept.
TEST(SchemaMask, OwedCharactersBesideTakenTextsAreCountedExactly) {
  Vocabulary::Spec spec;
  for (int b = 0; b < 256; ++b) spec.bytes.emplace_back(1, static_cast<char>(b));
  spec.end_of_turn = static_cast<TokenId>(spec.bytes.size());
  spec.bytes.emplace_back();
  const VocabularyRef vocabulary = Vocabulary::create(std::move(spec)).value();
  const auto grammar = [&](const std::string& not_in) {
    return compile_json_schema(
               vocabulary,
               Json::parse(R"({"type":"string","minLength":40,"maxLength":60,"pattern":"^a*b?$")" +
                           not_in + "}"))
        .value();
  };
  const std::string all_a = std::string(40, 'a'), with_b = std::string(39, 'a') + "b";
  const auto taken = [](const std::vector<std::string>& texts) {
    return R"(,"not":{"enum":)" + Json(texts).dump() + "}";
  };
  const std::uint32_t least = grammar("")->start().distance();
  EXPECT_EQ(grammar(taken({all_a}))->start().distance(), least);
  EXPECT_EQ(grammar(taken({all_a, with_b}))->start().distance(), least + 1);
  for (const std::uint32_t more : {0U, 1U, 7U}) {
    Matcher matcher = grammar(taken({all_a, with_b}))->start();
    std::string read;
    for (std::uint32_t left = matcher.distance() + more; !matcher.accepting(); --left) {
      ASSERT_GT(left, 0U) << read;
      const MaskRef mask = matcher.mask(left);
      TokenId last = kNoToken;  // the b where it may come, which then may not be too early
      for (TokenId id = 0; id < 256; ++id)
        if (mask->allows(id)) last = id;
      ASSERT_NE(last, kNoToken) << "no way on after " << read;
      ASSERT_TRUE(matcher.advance(last));
      ASSERT_LT(matcher.distance(), left) << read;
      read += static_cast<char>(last);
    }
    const std::string text = matcher.value().get<std::string>();
    EXPECT_GE(text.size(), 41U);
    EXPECT_NE(text, all_a);
    EXPECT_NE(text, with_b);
  }
}

// Places that share what a walk found of their value or their keys, and differ in what follows: the
// last member or not, another one owed, deeper or at the top, an array around it or a map.
TEST(SchemaMask, AlikeValuesInUnlikePlacesAreExact) {
  const Json string = {{"type", "string"}};
  const Json number = {{"type", "integer"}};
  const Json either = {{"anyOf", {string, number, {{"type", "array"}, {"items", string}}}}};
  std::mt19937_64 random(5);
  const std::uint64_t seeds = std::getenv("ESPALIER_LONG") != nullptr ? 200 : 10;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    Json schema = seed % 2 == 0 ? string : either;
    for (int around = 0; around < 4; ++around) {
      Json next = {{"type", "object"}};
      switch (random() % 4) {
        case 0:
          next = {{"type", "array"}, {"items", schema}, {"maxItems", 2}};
          break;
        case 1:
          next["additionalProperties"] = schema;
          break;
        default:
          next["properties"] = {{"a", schema}, {"ab", schema}, {"name", either}, {"c", schema}};
          if (random() % 2 == 0) next["required"] = {"a", "c"};
          if (random() % 2 == 0)
            next["additionalProperties"] = random() % 2 == 0 ? Json(false) : number;
          if (random() % 4 == 0) next["minProperties"] = 2;
      }
      schema = next;
    }
    MaskCheck check(random_vocabulary(seed), schema, seed);
    for (int i = 0; i < 2; ++i) check.walk(40, i == 0);
    ASSERT_FALSE(HasFailure()) << schema.dump() << " seed " << seed;
  }
}

// Places before a value of plain types share what follows, in all schemas of a vocabulary; not
// where the containers that a token opens may be more than are allowed there.
TEST(SchemaMask, OfPlainTypesIsSharedByNoneWithLessRoomForContainers) {
  const std::vector<Json> schemas = {
      Json::parse(R"({})"), Json::parse(R"({"type": ["array", "string"]})"),
      Json::parse(R"({"properties": {"a": {"type": "object"}, "b": {"type": "array"}}})"),
      Json::parse(R"({"items": {"items": {"type": ["integer", "object"]}}})")};
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    std::vector<std::string> opening;  // many containers
    for (std::size_t n = 2; n <= 12; ++n) {
      opening.emplace_back(n, '[');
      opening.push_back("\":" + std::string(n, '['));
      opening.push_back(":" + std::string(n / 2, '[') + "{\"a\":[");
      opening.push_back("]," + std::string(n, '['));
    }
    const VocabularyRef vocabulary = random_vocabulary(seed, opening);
    for (const std::uint32_t depth : {64U, 3U, 1U, 12U, 2U, 40U, 5U, 20U, 8U}) {
      for (const Json& schema : schemas) {
        SCOPED_TRACE("seed " + std::to_string(seed) + " depth " + std::to_string(depth) + " " +
                     schema.dump());
        Limits limits;
        limits.max_depth = depth;
        MaskCheck(vocabulary, schema, seed * 100 + depth, limits).walk(40, false);
        if (HasFailure()) return;
      }
    }
  }
}

// What one schema's pool made of a scalar serves all others, which met its parts in another order.
TEST(ScalarKey, IsTheSameWhateverCameFirst) {
  const Atom longer{AtomKind::kLength, 3, 0};
  Formulas one, other;
  const FormulaId string = one.types(JsonTypes::kString);
  const FormulaId first = one.all({string, one.literal(longer)});
  const FormulaId length = other.literal(longer);
  const FormulaId second = other.all({other.types(JsonTypes::kString), length});
  EXPECT_EQ(scalar_key(one, first), scalar_key(other, second));
  EXPECT_NE(scalar_key(one, first), scalar_key(one, string));
}

// A pattern holds whatever characters a key is made of: where it ends is no question.
TEST(ScalarKey, TellsOnePatternFromTwo) {
  Formulas formulas;
  const auto pattern = [&](const std::string& regex) {
    return formulas.literal({AtomKind::kPattern, formulas.pattern({regex, true}), 0});
  };
  const FormulaId both = formulas.all({pattern("a"), pattern("b")});
  const std::string of_both = scalar_key(formulas, both).value();
  // Parts of that key as patterns.
  for (std::size_t end = 1; end < of_both.size(); ++end) {
    for (std::size_t from = 0; from < end; ++from) {
      const FormulaId other = pattern(of_both.substr(from, end - from));
      EXPECT_NE(scalar_key(formulas, other), of_both);
      if (other == pattern("b")) continue;
      EXPECT_NE(scalar_key(formulas, formulas.all({pattern("a"), other})), of_both);
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
