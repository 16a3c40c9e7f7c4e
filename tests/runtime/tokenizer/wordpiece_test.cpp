// Laws of WordPiece vocabularies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/utf8.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "runtime/tokenizer/unicode.h"
#include "tests/support/memory_mapping.h"
#include "tests/support/tiny_vocabularies.h"

namespace espalier::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<std::shared_ptr<const Tokenizer>> load(const testing::GgufWriter& writer) {
  ESP_ASSIGN(const auto file, Gguf::parse(testing::mapping_of(writer.finish().bytes), "test.gguf"));
  return load_tokenizer(file);
}

std::shared_ptr<const Tokenizer> tiny(bool hashes = false) {
  testing::TinyWordPiece vocabulary;
  vocabulary.hashes = hashes;
  return load(vocabulary.writer()).value();
}

std::string words(const Tokenizer& tokenizer, const std::string& text) {
  return tokenizer.decode(tokenizer.encode(text).value(), true);
}

TEST(WordPiece, WordsAreSpelledByTheLongestPiecesFromTheirStart) {
  for (const bool hashes : {false, true}) {
    const auto tokenizer = tiny(hashes);
    EXPECT_EQ(words(*tokenizer, "unaffable"), " unaffable");
    EXPECT_EQ(tokenizer->encode("unaffable")->size(), 3U);
    EXPECT_EQ(words(*tokenizer, "the  cafes\n"), " the cafes");
    // One place that cannot be spelled makes the whole word unknown, and no other.
    EXPECT_EQ(words(*tokenizer, "a unaffx the"), " a[UNK] the");
  }
}

TEST(WordPiece, CaseAccentsAndControlCharactersGo) {
  const auto tokenizer = tiny();
  EXPECT_EQ(words(*tokenizer, "CAFÉS"), " cafes");
  EXPECT_EQ(words(*tokenizer, "cafe\u0301\x01s\u200d\xFF"), " cafes");
  EXPECT_EQ(words(*tokenizer, "Ἄ Άα"), " α αα");
}

TEST(WordPiece, PunctuationAndIdeographsAreWords) {
  const auto tokenizer = tiny();
  EXPECT_EQ(words(*tokenizer, "the!the#中中1"), " the ! the # 中 中 1");
  EXPECT_EQ(words(*tokenizer, "12"), " 12");
}

TEST(WordPiece, WhatIsDecodedGivesTheSameIdsAgain) {
  const auto tokenizer = tiny();
  static const char* const kAtoms[] = {"a", "THE",    " ", "é", "un",    "able", "!",
                                       "#", "中",     "s", "α", "Ά",     "\t",   "1",
                                       "2", "\u0301", "z", "ſ", "\u200d"};
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    const RandomKey key(seed);
    std::string text;
    for (std::uint64_t i = 0; i < key.bits(0)[0] % 16; ++i) {
      const auto bits = key.bits(i + 1);
      text += bits[1] % 16 == 0 ? std::string(1, static_cast<char>(bits[2]))
                                : kAtoms[bits[0] % std::size(kAtoms)];
    }
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    // "[UNK]" would be three words where its text is not recognised.
    ASSERT_EQ(tokenizer->encode_special(tokenizer->decode(*ids, true)).value(), *ids)
        << "seed " << seed;
  }
}

TEST(WordPiece, ATextIsBetweenClsAndSep) {
  const auto tokenizer = tiny();
  EXPECT_TRUE(tokenizer->add_bos());
  EXPECT_TRUE(tokenizer->add_eos());
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
}

TEST(WordPiece, WithoutAnUnknownTokenAWordIsRefusedWithItsOffset) {
  auto writer = testing::TinyWordPiece{}.writer();
  writer.strings("tokenizer.ggml.tokens", {"\u2581a", "b"}).remove("tokenizer.ggml.token_type");
  const auto tokenizer = load(writer).value();
  EXPECT_THAT(tokenizer->encode("a ab").value(), ElementsAre(0, 0, 1));
  const auto ids = tokenizer->encode("a ab\u00a0bx");
  ASSERT_FALSE(ids);
  EXPECT_THAT(ids.error().message, HasSubstr("0x62 at offset 6 "));
}

TEST(WordPiece, HostileVocabulariesAreRefusedByName) {
  auto writer = testing::TinyWordPiece{}.writer();
  writer.strings("tokenizer.ggml.tokens", {"a", "<0x-1>"})
      .i32s("tokenizer.ggml.token_type", {1, 6});
  const auto tokenizer = load(writer);
  ASSERT_FALSE(tokenizer);
  EXPECT_THAT(tokenizer.error().message, HasSubstr("token 1 '<0x-1>' is typed a byte"));
}

TEST(WordPiece, LongTextsTakeNoQuadraticTime) {
  const auto tokenizer = tiny();
  for (const char* atom : {"a", " ", "a ", "!", "\u0301", "中", "\xFF", "affable", "가"}) {
    std::string text;
    while (text.size() < 1'000'000) text += atom;
    ASSERT_TRUE(tokenizer->encode(text));
  }
}

TEST(Unicode, BasesOfHangulAreTheirLetters) {
  std::u32string out;
  append_base(out, U'각');
  append_base(out, U'가');
  append_base(out, U'é');
  append_base(out, U'x');
  EXPECT_EQ(out, U"\u1100\u1161\u11a8\u1100\u1161ex");
}

TEST(Unicode, LowerCaseIsUnicodes) {
  for (const auto& [upper, lower] : std::vector<std::pair<char32_t, char32_t>>{{U'A', U'a'},
                                                                               {U'Z', U'z'},
                                                                               {U'[', U'['},
                                                                               {U'É', U'é'},
                                                                               {U'ÿ', U'ÿ'},
                                                                               {U'Ÿ', U'ÿ'},
                                                                               {U'Ā', U'ā'},
                                                                               {U'ā', U'ā'},
                                                                               {U'Σ', U'σ'},
                                                                               {U'Я', U'я'},
                                                                               {U'\u1E9E', U'ß'},
                                                                               {U'\u2126', U'ω'},
                                                                               {U'𐐀', U'𐐨'},
                                                                               {U'中', U'中'},
                                                                               {U'ǅ', U'ǆ'}})
    EXPECT_EQ(to_lower(upper), lower) << static_cast<std::uint32_t>(upper);
}

}  // namespace
}  // namespace espalier::runtime
