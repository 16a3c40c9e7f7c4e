#include "grammar/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include "base/utf8.h"
#include "grammar/token_slice.h"
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

// The tokens of a class by their length, and what is left: nothing is in both, nothing in neither.
TEST(TokenSlice, PartsTheTokensByTheirCharacters) {
  const std::vector<CodePointRange> letters{{'a', 'b'}, {0xE9, 0xEA}, {0x1F600, 0x1F600}};
  const std::vector<CodePointRange> all_beyond{{'a', 'b'}, {0x80, 0xD7FF}, {0xE000, 0x10FFFF}};
  unsigned with_trie = 0, with_bits = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const std::size_t kinds = seed % 3 == 0 ? 5 : 7;  // of 5 most tokens are of the class
    const std::string pieces[] = {"a", "b",   "\xC3\xA9", "\xC3\xAA", "\xF0\x9F\x98\x80",
                                  "c", "\xC3"};
    std::vector<std::string> bytes(200);
    for (auto& b : bytes) {
      for (std::size_t n = 1 + random() % 4; n > 0; --n) b += pieces[random() % kinds];
    }
    bytes[0] = std::string(TokenSlice::kLongest, 'a');
    bytes[1] = std::string(TokenSlice::kLongest + 1, 'a');
    bytes[2] = bytes[3];
    const auto vocabulary = Vocabulary::create(spec_of(bytes)).value();
    const std::optional<unsigned char> exclusions[] = {'b', std::nullopt, 0xA9, std::nullopt};
    const auto excluded = exclusions[seed % 4];
    const auto slice = TokenSlice::create(*vocabulary, TokenCharacters(*vocabulary),
                                          seed % 5 < 2 ? all_beyond : letters, excluded);
    ASSERT_NE(slice, nullptr);
    ASSERT_EQ(slice->longest(), TokenSlice::kLongest);
    std::vector<std::vector<std::uint64_t>> up_to, beyond;  // of at most, and of more characters
    for (std::size_t n = 0; n <= TokenSlice::kLongest; ++n) {
      std::vector<bool> lengths(TokenSlice::kLongest + 1);
      std::fill_n(lengths.begin(), n + 1, true);
      up_to.emplace_back((bytes.size() + 63) / 64);
      slice->allow(lengths, up_to.back());
      lengths.flip();
      beyond.emplace_back((bytes.size() + 63) / 64);
      slice->allow(lengths, beyond.back());
    }
    std::vector<std::string> others;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      std::size_t length = 0;
      for (std::size_t at = 0; at < bytes[i].size() && length != SIZE_MAX;) {
        const auto d = utf8::decode(bytes[i], at);
        const bool inside =
            d.length != 0 && d.code_point != 'c' &&
            (!excluded ||
             bytes[i].substr(at, d.length).find(static_cast<char>(*excluded)) == std::string::npos);
        at += d.length;
        length = inside ? length + 1 : SIZE_MAX;
      }
      if (length > TokenSlice::kLongest) others.push_back(bytes[i]);
      for (std::size_t n = 0; n <= TokenSlice::kLongest; ++n) {
        ASSERT_EQ(up_to[n][i / 64] >> (i % 64) & 1U, length <= n ? 1U : 0U) << i << " " << n;
        ASSERT_EQ(beyond[n][i / 64] >> (i % 64) & 1U,
                  length > n && length <= TokenSlice::kLongest ? 1U : 0U)
            << i << " " << n;
      }
    }
    std::sort(others.begin(), others.end());
    std::vector<std::string> walked;
    std::string path;
    const TokenWalk& rest = slice->others() != nullptr ? *slice->others() : vocabulary->trie();
    ASSERT_EQ(slice->others() == nullptr, !slice->beside().empty());
    (slice->others() == nullptr ? with_bits : with_trie)++;
    std::size_t others_or_not = 0;
    const auto in_slice = [&](TokenId id) {
      return (up_to.back()[static_cast<std::size_t>(id) / 64] >> (id % 64) & 1U) != 0;
    };
    for (std::uint32_t i = 0; i < rest.nodes().size();) {
      const auto& node = rest.nodes()[i];
      ASSERT_GT(node.next, i);
      if (slice->others() == nullptr && (slice->beside()[i / 64] >> (i % 64) & 1U) == 0) {
        for (const TokenId id : rest.tokens_below(i)) ASSERT_TRUE(in_slice(id));
        others_or_not += rest.tokens_below(i).size();
        i = node.next;
        continue;
      }
      path.resize(node.depth - 1U);
      path.push_back(static_cast<char>(node.byte));
      ASSERT_FALSE(rest.tokens_below(i).empty());
      for (const TokenId id : rest.tokens_at(i)) {
        ASSERT_EQ(bytes[static_cast<std::size_t>(id)], path);
        ASSERT_TRUE(!in_slice(id) || slice->others() == nullptr) << path;
        if (!in_slice(id)) walked.push_back(path);
        ++others_or_not;
      }
      ++i;
    }
    ASSERT_EQ(walked, others);
    ASSERT_EQ(others_or_not, slice->others() != nullptr ? others.size() : bytes.size());
  }
  EXPECT_GT(with_trie, 0U);
  EXPECT_GT(with_bits, 0U);
}

TEST(TokenSlice, IsNotKeptForAClassOfFewTokens) {
  std::vector<std::string> bytes{"1"};
  for (char a = 'a'; a <= 'z'; ++a) {
    for (char b = 'a'; b <= 'z'; ++b) bytes.push_back({a, b});
  }
  const auto vocabulary = Vocabulary::create(spec_of(bytes)).value();
  const std::vector<CodePointRange> digits{{'0', '9'}}, letters{{'a', 'z'}};
  EXPECT_EQ(vocabulary->slice(digits, std::nullopt), nullptr);
  EXPECT_NE(vocabulary->slice(letters, std::nullopt), nullptr);
}

}  // namespace
}  // namespace espalier::grammar
