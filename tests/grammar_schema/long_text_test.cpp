// Texts that outgrow their automaton: what takes its place, and when.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/compiled_grammar.h"
#include "grammar/json_schema.h"
#include "tests/grammar_schema/mask_check.h"

namespace espalier::grammar {
namespace {

// No place inside of items that must differ comes twice, so their automaton grows with the text.
const Json& growing_schema() {
  static const Json schema =
      Json::parse(R"({"type":"array","uniqueItems":true,"items":{"type":"object",
        "properties":{"id":{"type":"integer"},"name":{"type":"string"}},"required":["id"],
        "additionalProperties":{"type":["string","null"]}}})");
  return schema;
}

std::string item(std::size_t i) {
  return "{\"name\":\"n" + std::to_string(i % 50) + "\",\"id\":" + std::to_string(i) +
         (i % 3 == 0 ? ",\"x\":null}" : "}");
}

struct Grammars {
  GrammarRef small, large;

  explicit Grammars(std::size_t state_bytes) {
    const VocabularyRef vocabulary =
        testing::random_vocabulary(5, {"{\"name\":\"", "\",\"id\":", "},", "null", "n1", "12"});
    Limits limits;
    limits.state_bytes = state_bytes;
    small = compile_json_schema(vocabulary, growing_schema(), {}, {}, limits).value();
    large = compile_json_schema(vocabulary, growing_schema()).value();
  }
};

const CompiledGrammar& compiled(const GrammarRef& grammar) {
  return static_cast<const CompiledGrammar&>(*grammar);
}

std::uint64_t generation(const GrammarRef& grammar) {
  return CompiledGrammar::Call(compiled(grammar)), compiled(grammar).generation();
}

bool same_mask(const Matcher& a, const Matcher& b) {
  return std::ranges::equal(a.mask(UINT32_MAX)->words(), b.mask(UINT32_MAX)->words());
}

// What it takes to read the beginning alone is over the budget.
TEST(LongText, OfManyMembersIsNotReplayedAtEveryToken) {
  constexpr int kMembers = 1500;
  Json schema{{"type", "object"}};
  for (int i = 0; i < kMembers; ++i) {
    schema["properties"]["m" + std::to_string(i)] = {{"type", "integer"}};
    schema["required"].push_back("m" + std::to_string(i));
  }
  Limits limits;
  limits.state_bytes = 1'000'000;
  const GrammarRef grammar =
      compile_json_schema(testing::byte_vocabulary(), schema, {}, {}, limits).value();
  Matcher at = grammar->start();
  std::string text = "{";
  for (int i = kMembers; i-- > 0;) {
    text += "\"m" + std::to_string(i) + "\":1" + (i > 0 ? "," : "}");
  }
  const std::uint64_t first = generation(grammar);
  for (const char c : text) {
    ASSERT_TRUE(at.advance(static_cast<unsigned char>(c))) << at.text();
    ASSERT_LT(generation(grammar), first + 20) << at.text();
  }
  EXPECT_TRUE(at.accepting());
}

// A place of a map keeps what stands before it, but not as texts.
TEST(LongText, OfAMapOfManyMembersStaysWithinTheBudget) {
  constexpr int kMembers = 2000;
  const GrammarRef grammar = compile_json_schema(testing::byte_vocabulary(),
                                                 {{"additionalProperties", {{"type", "integer"}}}})
                                 .value();
  Matcher at = grammar->start();
  std::string text = "{";
  for (int i = 0; i < kMembers; ++i) {
    text += (i == 0 ? "\"a longer name " : ",\"a longer name ") + std::to_string(i * 7919 % 10007) +
            "\":1";
  }
  const std::uint64_t first = generation(grammar);
  for (const char c : text) ASSERT_TRUE(at.advance(static_cast<unsigned char>(c))) << at.text();
  EXPECT_EQ(generation(grammar), first);
  EXPECT_FALSE(Matcher(at).advance(static_cast<unsigned char>(':')));
  for (const char c : std::string_view(",\"a longer name 7919")) {
    ASSERT_TRUE(at.advance(static_cast<unsigned char>(c)));
  }
  EXPECT_FALSE(Matcher(at).advance(static_cast<unsigned char>('"')));  // it stands already
}

TEST(LongText, IsReplayedAFewTokensAtATime) {
  const Grammars grammars(1'500'000);
  Matcher small = grammars.small->start(), large = grammars.large->start();
  std::vector<std::pair<Matcher, Matcher>> old;
  const auto read = [&](std::string_view text) {
    for (const char c : text) {
      ASSERT_TRUE(small.advance(static_cast<unsigned char>(c))) << small.text();
      ASSERT_TRUE(large.advance(static_cast<unsigned char>(c)));
    }
  };
  read("[");
  std::uint64_t first = generation(grammars.small);
  for (std::size_t i = 0; i < 400; ++i) {
    read((i == 0 ? "" : ",") + item(i));
    ASSERT_TRUE(same_mask(small, large)) << i;
    ASSERT_FALSE(Matcher(small).advance('}'));
    if (i % 40 == 7) old.emplace_back(small, large);
  }
  EXPECT_GT(generation(grammars.small), first + 1);
  EXPECT_LT(compiled(grammars.small).longest_replay(), 64U);
  // An item that was there, though in no automaton that is left.
  Matcher again = small;
  for (const char c : "," + item(1).substr(0, item(1).size() - 1)) {
    ASSERT_TRUE(again.advance(static_cast<unsigned char>(c)));
  }
  EXPECT_FALSE(again.advance('}'));
  for (auto& [a, b] : old) {
    EXPECT_EQ(a.text(), b.text());
    EXPECT_TRUE(same_mask(a, b));
  }
  read("]");
  EXPECT_TRUE(small.accepting());
}

// Matchers that go on from the same places, and from earlier ones, with whichever automaton there
// is.
TEST(LongText, OfAnyMatcherIsReadAsInAnAutomatonWithoutBounds) {
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    std::mt19937_64 random(seed);
    const Grammars grammars(200'000 << (seed % 3));
    std::vector<std::pair<Matcher, Matcher>> at(1,
                                                {grammars.small->start(), grammars.large->start()});
    ASSERT_TRUE(at[0].first.advance('[') && at[0].second.advance('['));
    const std::uint64_t first = generation(grammars.small);
    for (std::size_t i = 0; i < 400; ++i) {
      const std::size_t which = random() % at.size();
      const std::string text = (at[which].first.text() == "[" ? "" : ",") + item(random() % 4000);
      auto [small, large] = at[which];
      bool fits = true;
      for (const char c : text) {
        fits = small.advance(static_cast<unsigned char>(c));
        ASSERT_EQ(fits, large.advance(static_cast<unsigned char>(c))) << small.text();
        if (!fits) break;
      }
      if (!fits) continue;
      ASSERT_TRUE(same_mask(small, large)) << small.text();
      ASSERT_EQ(small.text(), large.text());
      if (at.size() < 6 && random() % 4 == 0) {
        at.emplace_back(small, large);
      } else {
        at[random() % 8 == 0 ? random() % at.size() : which] = {small, large};
      }
    }
    EXPECT_GT(generation(grammars.small), first + 1);
  }
}

}  // namespace
}  // namespace espalier::grammar
