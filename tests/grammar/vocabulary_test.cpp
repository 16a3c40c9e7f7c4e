#include "grammar/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "grammar/token_trie.h"

namespace espalier::grammar {
namespace {

Vocabulary::Spec spec_of(std::vector<std::string> bytes) {
  Vocabulary::Spec spec;
  spec.bytes = std::move(bytes);
  return spec;
}

TEST(Vocabulary, AnEndTokenOutOfRangeIsRefused) {
  Vocabulary::Spec spec = spec_of({"a", "b"});
  spec.end_of_turn = 2;
  EXPECT_EQ(Vocabulary::create(spec).error().code, ErrorCode::kInvalid);
  spec.end_of_turn = 1;
  spec.also_end = {-5};
  EXPECT_EQ(Vocabulary::create(spec).error().code, ErrorCode::kInvalid);
}

TEST(Vocabulary, WithoutAnyBytesItIsRefused) {
  EXPECT_FALSE(Vocabulary::create(spec_of({"", ""})).has_value());
  EXPECT_FALSE(Vocabulary::create(spec_of({})).has_value());
}

TEST(Vocabulary, EndTokensAreNotInTheTrie) {
  Vocabulary::Spec spec = spec_of({"a", "</s>"});
  spec.end_of_turn = 1;
  const auto vocabulary = Vocabulary::create(spec).value();
  EXPECT_THAT(vocabulary->trie().tokens(), testing::ElementsAre(0));
  EXPECT_TRUE(vocabulary->is_end(1));
  EXPECT_FALSE(vocabulary->is_end(0));
  EXPECT_FALSE(vocabulary->is_end(kNoToken));
}

TEST(TokenTrie, ListsEveryTokenUnderEachOfItsPrefixesAndNowhereElse) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    // Few and many, short ones and such as agree for long, up to zeros at the end.
    std::vector<std::string> bytes(1 + random() % (seed % 2 == 0 ? 40 : 400));
    const std::string heads[] = {"", std::string(7, 'a'), std::string(8, 'b'),
                                 std::string(17, '\0')};
    for (auto& b : bytes) {
      b = heads[random() % (seed % 3 == 0 ? 4 : 1)];
      for (std::size_t n = random() % 6; n > 0; --n) b += "ab\xff\x80\0"[random() % 5];
    }
    bytes[0] = "a";
    const auto vocabulary = Vocabulary::create(spec_of(bytes)).value();
    const TokenTrie& trie = vocabulary->trie();
    std::map<std::string, std::vector<TokenId>> at;
    std::map<std::string, std::size_t> below;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      if (!bytes[i].empty()) at[bytes[i]].push_back(static_cast<TokenId>(i));
      for (std::size_t n = 1; n <= bytes[i].size(); ++n) ++below[bytes[i].substr(0, n)];
    }
    ASSERT_EQ(trie.nodes().size(), below.size());
    std::string path;
    std::string last;
    for (std::size_t i = 0; i < trie.nodes().size(); ++i) {
      const auto& node = trie.nodes()[i];
      path.resize(node.depth - 1u);
      path.push_back(static_cast<char>(node.byte));
      ASSERT_TRUE(below.count(path));
      ASSERT_TRUE(i == 0 || last < path);
      last = path;
      const auto here = trie.tokens_at(i);
      ASSERT_EQ(std::vector<TokenId>(here.begin(), here.end()), at[path]);
      ASSERT_EQ(trie.tokens_below(i).size(), below[path]);
      std::uint32_t found = TokenTrie::kRoot;
      for (const char c : path) found = trie.child(found, static_cast<std::uint8_t>(c));
      ASSERT_EQ(found, i);
      ByteSet some;
      std::vector<std::uint32_t> children, expected;
      for (unsigned byte = 0; byte < 256; ++byte) {
        if (random() % 2 == 0) continue;
        some.add(byte);
        if (!below.contains(path + static_cast<char>(byte))) continue;
        expected.push_back(
            trie.child(static_cast<std::uint32_t>(i), static_cast<std::uint8_t>(byte)));
      }
      trie.children(static_cast<std::uint32_t>(i), some, children);
      std::sort(children.begin(), children.end());
      ASSERT_EQ(children, expected);
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
