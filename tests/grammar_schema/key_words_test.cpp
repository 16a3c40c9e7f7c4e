// Laws of sets of names as tries that others are made of.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "grammar/schema/key_words.h"
#include "grammar/schema/word_trie.h"
#include "tests/grammar_schema/verdicts.h"

namespace espalier::grammar {
namespace {

using Words = std::set<std::string>;

Words below(const WordTrie& trie, std::uint32_t node) {
  Words out;
  trie.for_each_below(node, [&](std::string_view word) { out.emplace(word); });
  return out;
}

void expect_words(const WordTrie& trie, std::uint32_t node, const Words& words) {
  ASSERT_EQ(below(trie, node), words);
  ASSERT_EQ(trie.words_below(node), words.size());
  const std::string closing = trie.closing_word(node);
  ASSERT_TRUE(words.contains(closing)) << closing;
  std::size_t least = closing.size();
  for (const std::string& word : words) least = std::min(least, word.size());
  ASSERT_EQ(closing.size(), least);
  ASSERT_EQ(trie.closing_size(node), least);
  for (const std::string& word : words) {
    std::uint32_t at = node;
    for (const char c : word) {
      ASSERT_TRUE(trie.bytes_of(at).has(static_cast<unsigned char>(c)));
      at = trie.step(at, static_cast<unsigned char>(c));
    }
    ASSERT_TRUE(at != 0 && trie.accepting(at)) << word;
  }
}

TEST(WordTrie, WithoutAWordIsTheTrieOfTheOthersAndTheOldOneStays) {
  for (std::uint32_t seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    Words words;
    for (unsigned i = 0; i < 1 + random() % 12; ++i) {
      std::string word;
      for (unsigned k = 0; k < 1 + random() % 5; ++k) word += static_cast<char>('a' + random() % 3);
      words.insert(word);
    }
    WordTrie trie({words.begin(), words.end()});
    std::vector<std::pair<std::uint32_t, Words>> made{{WordTrie::kStart, words}};
    for (unsigned i = 0; i < 16; ++i) {
      const auto [node, all] = made[random() % made.size()];
      Words rest = all;
      const auto gone =
          std::next(rest.begin(), static_cast<std::ptrdiff_t>(random() % rest.size()));
      const std::string word = *gone;
      rest.erase(gone);
      const std::uint32_t without = trie.without(node, word);
      ASSERT_EQ(without == 0, rest.empty());
      if (without != 0) made.emplace_back(without, rest);
    }
    for (const auto& [node, all] : made) expect_words(trie, node, all);
  }
}

TEST(KeyWords, FindWhatWasAddedAndALargerSetOfWhichLittleMustGo) {
  KeyWords known;
  std::vector<std::uint32_t> all;
  for (std::uint32_t name = 0; name < 100; ++name) all.push_back(name);
  EXPECT_FALSE(known.larger(all));
  known.add(all, {7, 1});
  ASSERT_NE(known.find(all), nullptr);
  std::vector<std::uint32_t> some = all;
  some.erase(some.begin() + 40);
  EXPECT_EQ(known.find(some), nullptr);
  const auto larger = known.larger(some);
  ASSERT_TRUE(larger);
  EXPECT_EQ(larger->from.scalar, 7U);
  EXPECT_EQ(larger->from.state, 1U);
  EXPECT_EQ(larger->without, std::vector<std::uint32_t>{40});
  known.add(some, {7, 9});
  some.erase(some.begin() + 70);  // 71
  ASSERT_TRUE(known.larger(some));
  EXPECT_EQ(known.larger(some)->from.state, 9U);
  EXPECT_EQ(known.larger(some)->without, std::vector<std::uint32_t>{71});
  // 40 again, which the newest does not have.
  std::vector<std::uint32_t> other = all;
  other.erase(other.begin() + 50);
  ASSERT_TRUE(known.larger(other));
  EXPECT_EQ(known.larger(other)->from.state, 1U);
  EXPECT_FALSE(known.larger({1, 2, 3}));       // too many would go
  EXPECT_FALSE(known.larger({1, 2, 3, 100}));  // another name
}

// Each key of many leaves the others: what that adds does not grow with how many they are.
TEST(KeyWords, AKeyOfManyNamesCostsTheGrammarTheSameHoweverManyThereAre) {
  const auto added = [](std::size_t names) {
    Json schema = {{"type", "object"}, {"additionalProperties", false}};
    for (std::size_t i = 0; i < names; ++i) {
      schema["properties"]["some_name_" + std::to_string(1000 + i)] = {{"type", "null"}};
    }
    const GrammarRef grammar = compile_json_schema(testing::byte_vocabulary(), schema).value();
    Matcher matcher = grammar->start();
    const auto feed = [&](const std::string& text) {
      for (const char c : text) ASSERT_TRUE(matcher.advance(static_cast<unsigned char>(c)));
    };
    constexpr std::size_t kKeys = 60;
    std::size_t before = 0;
    for (std::size_t i = 0; i < kKeys; ++i) {
      feed((i == 0 ? "{" : ",") + ("\"some_name_" + std::to_string(1000 + i)) + "\":null");
      if (i == kKeys / 2) before = grammar->size().bytes;
    }
    return grammar->size().bytes - before;
  };
  const std::size_t few = added(100), many = added(800);
  EXPECT_LT(many, 3 * few);
}

}  // namespace
}  // namespace espalier::grammar
