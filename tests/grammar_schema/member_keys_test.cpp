// Laws of keys under many patterns, and of members that many conditions speak of.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "grammar/regex.h"
#include "grammar/schema/language_classes.h"
#include "grammar/schema/language_relation.h"
#include "grammar/schema/scalar_library.h"
#include "tests/grammar_schema/naive_check.h"
#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using testing::byte_vocabulary;
using testing::check_naively;

GrammarRef compiled(const Json& schema) {
  auto grammar = compile_json_schema(byte_vocabulary(), schema);
  EXPECT_TRUE(grammar.has_value())
      << schema.dump() << ": " << (grammar ? "" : grammar.error().message);
  return grammar ? *grammar : nullptr;
}

std::vector<std::string> words(const std::string& letters, std::size_t longest) {
  std::vector<std::string> out{""};
  for (std::size_t at = 0; at < out.size(); ++at) {
    if (out[at].size() == longest) break;
    for (const char c : letters) out.push_back(out[at] + c);
  }
  return out;
}

// The automata of keys under patterns of ECMA-262.
std::vector<std::shared_ptr<const ScalarDfa>> automata_of(
    const std::vector<std::string>& patterns) {
  const VocabularyRef vocabulary = byte_vocabulary();
  const auto library = ScalarLibrary::of(vocabulary);
  std::vector<std::shared_ptr<const ScalarDfa>> automata;
  for (const std::string& pattern : patterns) {
    Fuel fuel("steps", 1'000'000);
    const auto pool = std::make_shared<ExpressionPool>(fuel);
    const auto inside =
        regex_expression(*pool, pattern, {RegexDialect::kEcma, true, true, false, true});
    const Expr root = pool->concat({pool->bytes("\""), inside.value(), pool->bytes("\"")});
    const ProgramRef program = Program::create(pool, root, vocabulary, {}, {}, fuel).value();
    automata.push_back(ScalarDfa::create(program, 1'000'000, library->string()));
  }
  return automata;
}

const std::vector<std::string> kPatterns{
    "^[ab]{1,3}$", "a[^c]*b", "^(ab|a)*$", "b{2}", "^.{2,4}$", "^$", "^ab$", "^a", "^a$", "^c", ""};

TEST(LanguageRelations, AreThoseOfTheTexts) {
  const std::vector<std::string>& patterns = kPatterns;
  const auto automata = automata_of(patterns);
  ASSERT_EQ(std::ranges::count(automata, nullptr), 0);
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    for (std::size_t k = 0; k < patterns.size(); ++k) {
      LanguageRelation expected{false, false, false};
      const std::regex first(patterns[i]), second(patterns[k]);
      for (const std::string& text : words("abc", 5)) {
        const bool a = std::regex_search(text, first), b = std::regex_search(text, second);
        expected.both = expected.both || (a && b);
        expected.first_alone = expected.first_alone || (a && !b);
        expected.second_alone = expected.second_alone || (b && !a);
      }
      const LanguageRelation found = language_relation(*automata[i], *automata[k], 1000);
      EXPECT_EQ(found.both, expected.both) << patterns[i] << " and " << patterns[k];
      EXPECT_EQ(found.first_alone, expected.first_alone) << patterns[i] << " - " << patterns[k];
      EXPECT_EQ(found.second_alone, expected.second_alone) << patterns[k] << " - " << patterns[i];
    }
  }
  EXPECT_TRUE(language_relation(*automata[0], *automata[3], 1).all());
}

TEST(LanguageClasses, AreTheSetsThatSomeTextIsIn) {
  const auto automata = automata_of(kPatterns);
  const std::vector<std::string> texts = words("abc", 6);
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<const ScalarDfa*> languages;
    std::vector<std::regex> patterns;
    for (std::uint64_t n = random() % 7; patterns.size() < n;) {
      const std::size_t which = random() % kPatterns.size();
      languages.push_back(automata[which].get());
      patterns.emplace_back(kPatterns[which]);
    }
    std::set<std::vector<std::uint32_t>> expected{{}};
    for (const std::string& text : texts) {
      std::vector<std::uint32_t> in;
      for (std::uint32_t i = 0; i < patterns.size(); ++i) {
        if (std::regex_search(text, patterns[i])) in.push_back(i);
      }
      expected.insert(std::move(in));
    }
    const auto found = language_classes(languages, 1000);
    ASSERT_TRUE(found) << seed;
    EXPECT_EQ(std::set(found->sets.begin(), found->sets.end()), expected) << seed;
    EXPECT_EQ(found->sets.size(), expected.size()) << seed;
    const std::size_t fewer = found->states - 1;
    EXPECT_TRUE(languages.empty() || !language_classes(languages, fewer)) << seed;
  }
}

TEST(KeyPatterns, HoldForEveryKeyHoweverMany) {
  std::mt19937_64 random(11);
  const std::vector<std::string> keys = words("ab", 3);
  const auto some = [&] {
    Json out = Json::array();
    for (int v = 0; v < 4; ++v) {
      if (random() % 2 == 0) out.push_back(v);
    }
    if (out.empty()) out.push_back(7);
    return Json{{"enum", out}};
  };
  for (int run = 0; run < 25; ++run) {
    Json schema{{"type", "object"}};
    std::vector<std::pair<std::regex, Json>> patterns;
    while (schema["patternProperties"].size() < 7 + static_cast<std::size_t>(run % 4)) {
      const std::string& word = keys[random() % keys.size()];
      const std::string pattern = "^" + word + (random() % 3 == 0 ? "" : "$");
      if (schema["patternProperties"].contains(pattern)) continue;
      const Json value = some();
      schema["patternProperties"][pattern] = value;
      patterns.emplace_back(pattern, value["enum"]);
    }
    Json other;
    if (run % 3 == 1) {
      schema["additionalProperties"] = false;
      other = Json::array();
    } else if (run % 3 == 2) {
      schema["additionalProperties"] = some();
      other = schema["additionalProperties"]["enum"];
    }
    Json named;
    if (run % 2 == 0) {
      schema["properties"]["ab"] = some();
      named = schema["properties"]["ab"]["enum"];
    }
    const GrammarRef grammar = compiled(schema);
    ASSERT_NE(grammar, nullptr);
    for (const std::string& key : keys) {
      for (int v = 0; v < 4; ++v) {
        const auto in = [&](const Json& set) {
          return std::find(set.begin(), set.end(), Json(v)) != set.end();
        };
        bool expected = true, spoken = key == "ab" && !named.is_null();
        if (spoken) expected = in(named);
        for (const auto& [pattern, value] : patterns) {
          if (!std::regex_search(key, pattern)) continue;
          spoken = true;
          expected = expected && in(value);
        }
        if (!spoken && !other.is_null()) expected = in(other);
        const std::string text = Json{{key, v}}.dump();
        EXPECT_EQ(testing::accepts(grammar, text), expected)
            << text << " under " << schema.dump() << ", run " << run;
      }
    }
  }
}

TEST(KeyPatterns, ThatMeetInMoreWaysThanAreReadHoldWhereFewMatch) {
  Json schema{{"type", "object"}, {"additionalProperties", {{"const", 0}}}};
  const std::vector<std::string> searched{"ax", "bx", "cx", "dx", "ex", "fx", "gx", "hx", "ix"};
  for (std::size_t i = 0; i < searched.size(); ++i) {
    schema["patternProperties"][searched[i]] = {{"const", i + 1}};
  }
  const GrammarRef grammar = compiled(schema);
  ASSERT_NE(grammar, nullptr);
  EXPECT_TRUE(testing::accepts(grammar, R"({"abc":0,"1cx":3,"cx":3,"ix":9})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"abc":1})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"acx":0})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"cx":3,"cx":3})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"axbx":1})"));  // nor could anything be its value
}

TEST(KeyPatterns, ThatAreTooManyAreRefusedByTheLimit) {
  const auto schema = [](int patterns) {
    Json out{{"type", "object"}};
    for (int i = 0; i < patterns; ++i) {
      out["patternProperties"]["^k" + std::to_string(i) + "_"] = {{"const", i}};
    }
    return out;
  };
  const GrammarRef most = compiled(schema(128));
  ASSERT_NE(most, nullptr);
  EXPECT_TRUE(testing::accepts(most, R"({"k127_a":127,"k0_a":0,"x":"y"})"));
  EXPECT_FALSE(testing::accepts(most, R"({"k127_a":126})"));
  EXPECT_NE(testing::refusal_of(schema(129)).find("more than 128 patterns of keys"),
            std::string::npos)
      << testing::refusal_of(schema(129));
}

// A key that its class still holds open is another one than those that stand or are named.
TEST(KeyPatterns, LeaveOutWhatStandsAndWhatIsNamed) {
  Json schema{{"type", "object"}, {"propertyNames", {{"pattern", "^[A-Z]{1,2}$"}}}};
  for (char c = 'A'; c <= 'Z'; ++c) {
    if (c % 2 == 0) schema["properties"][std::string(1, c)] = {{"type", "integer"}};
  }
  schema["additionalProperties"] = {{"type", "null"}};
  const GrammarRef grammar = compiled(schema);
  ASSERT_NE(grammar, nullptr);
  EXPECT_TRUE(testing::accepts(grammar, R"({"B":1,"C":null,"BB":null,"D":2})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"B":null})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"C":1})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"C":null,"B":1,"C":null})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"CC":null,"C":null,"CC":null})"));
  EXPECT_FALSE(testing::accepts(grammar, R"({"ABC":null})"));
}

// What `propertyNames` denies is a pattern too: several of them, of which some hold under a choice,
// beside patterns that are not denied.
TEST(KeyPatterns, ThatAreDeniedHoldInEveryChoice) {
  const std::vector<std::string> patterns{"^a",       "b$", "^a?b*$", "^(ab|ba)$",
                                          "^.{1,2}$", "^$", "c",      "^[ab]*$"};
  std::vector<std::string> texts{"{}"};
  const std::vector<std::string> keys = words("abc", 3);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    texts.push_back("{\"" + keys[i] + "\":1}");
    texts.push_back("{\"" + keys[i] + "\":\"x\"}");
    const std::string& other = keys[(i * 7 + 3) % keys.size()];
    if (other != keys[i]) texts.push_back("{\"" + keys[i] + "\":1,\"" + other + "\":2}");
  }
  const std::uint64_t runs = std::getenv("ESPALIER_LONG") != nullptr ? 10'000 : 150;
  for (std::uint64_t seed = 0; seed < runs && !HasFatalFailure(); ++seed) {
    std::mt19937_64 random(seed);
    const auto pattern = [&] { return patterns[random() % patterns.size()]; };
    const auto names = [&] {
      Json out = {{"propertyNames", {{"pattern", pattern()}}}};
      if (random() % 4 == 0) out["propertyNames"] = {{"not", {{"pattern", pattern()}}}};
      if (random() % 3 == 0) out["patternProperties"][pattern()] = {{"type", "integer"}};
      return out;
    };
    Json schema = {{"type", "object"}, {"anyOf", Json::array()}};
    for (std::uint64_t i = 0; i < 1 + random() % 3; ++i) {
      schema["anyOf"].push_back({{"allOf", {names(), names()}}});
    }
    if (random() % 2 == 0) schema["minProperties"] = 1;
    if (random() % 3 == 0) schema["not"] = names();
    check_naively(schema, texts, seed);
  }
}

// Parts that speak of some members are joined where there are many.
TEST(Members, OfManyPartsSatisfyEachOfThem) {
  const std::vector<std::string> keys = words("ab", 2);
  std::vector<std::string> texts{"{}"};
  for (std::size_t i = 0; i < keys.size(); ++i) {
    for (const char* value : {"1", "2", "\"x\""}) {
      texts.push_back("{\"" + keys[i] + "\":" + value + "}");
      for (std::size_t k = 0; k < i; ++k) {
        texts.push_back("{\"" + keys[i] + "\":" + value + ",\"" + keys[k] + "\":1}");
      }
    }
  }
  const std::vector<Json> values{{{"type", "integer"}}, {{"minimum", 2}}, {{"enum", {1, "x"}}}};
  for (std::uint64_t seed = 0; seed < 100 && !HasFatalFailure(); ++seed) {
    std::mt19937_64 random(seed);
    const auto value = [&] { return values[random() % values.size()]; };
    Json schema{{"allOf", Json::array()}};
    if (random() % 2 == 0) schema["type"] = "object";
    for (std::uint64_t parts = 7 + random() % 8; schema["allOf"].size() < parts;) {
      Json part = Json::object();
      const std::string& key = keys[random() % keys.size()];
      if (random() % 4 == 0) {
        part["patternProperties"]["^" + key] = value();
      } else {
        part["properties"][key] = value();
      }
      if (random() % 8 == 0) part["properties"][keys[random() % keys.size()]] = false;
      if (random() % 8 == 0) part["additionalProperties"] = value();
      if (random() % 4 == 0) part["required"] = {keys[random() % keys.size()]};
      schema["allOf"].push_back(std::move(part));
    }
    check_naively(schema, texts, seed);
  }
}

// As many steps as parts times members would be more than a search has.
TEST(Members, OfAThousandPartsAreRead) {
  Json schema, text = Json::object();
  for (int i = 0; i < 1000; ++i) {
    const std::string key = "p" + std::to_string(i);
    schema["allOf"].push_back(
        {{"properties", {{key, {{"type", "integer"}}}}}, {"required", {key}}});
    text[key] = i;
  }
  const GrammarRef grammar = compiled(schema);
  ASSERT_NE(grammar, nullptr);
  EXPECT_TRUE(testing::accepts(grammar, text.dump()));
  text["p77"] = "x";
  EXPECT_FALSE(testing::accepts(grammar, text.dump()));
}

TEST(Conditions, ByVeryManyConstantsTellValuesApart) {
  constexpr int kMany = 300;
  Json schema = Json::parse(R"({"type":"object","required":["kind","value"],
      "properties":{"kind":{"type":"string","pattern":"^k"},"value":{}}})");
  for (int i = 0; i < kMany; ++i) {
    const Json kinds = i % 3 == 0 ? Json{{"enum", {"k" + std::to_string(i), "kk", "other"}}}
                                  : Json{{"const", "k" + std::to_string(i)}};
    schema["allOf"].push_back({{"if", {{"properties", {{"kind", kinds}}}}},
                               {"then", {{"properties", {{"value", {{"enum", {i, -1}}}}}}}}});
  }
  const GrammarRef grammar = compiled(schema);
  ASSERT_NE(grammar, nullptr);
  const auto accepts = [&](const std::string& kind, int value) {
    return testing::accepts(grammar, Json{{"kind", kind}, {"value", value}}.dump());
  };
  for (const int i : {0, 1, 2, 3, 150, 299}) {
    EXPECT_TRUE(accepts("k" + std::to_string(i), i)) << i;
    EXPECT_TRUE(accepts("k" + std::to_string(i), -1)) << i;
    EXPECT_FALSE(accepts("k" + std::to_string(i), i + 1)) << i;
  }
  EXPECT_TRUE(accepts("k", 12345));
  EXPECT_TRUE(accepts("kk", -1));
  EXPECT_FALSE(accepts("kk", 0));
  EXPECT_FALSE(accepts("other", -1));  // no kind
}

}  // namespace
}  // namespace espalier::grammar
