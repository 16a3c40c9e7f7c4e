// The attacks on vocabularies that other runtimes fell to, by name, on each family that they reach:
// refused with the token or merge that is wrong, or harmless.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/memory_mapping.h"
#include "tests/support/tiny_vocabularies.h"

namespace espalier::runtime {
namespace {

using testing::GgufWriter;
using ::testing::HasSubstr;

// A vocabulary of the family with every byte and one more token, which comes last.
struct Family {
  const char* model;
  std::size_t tokens = 0;
  GgufWriter writer;

  Family(const char* name, const std::string& token, std::int32_t type, float score = 0)
      : model(name) {
    const bool byte_level = std::string_view(name) == "gpt2";
    auto texts = byte_level ? testing::byte_level_alphabet() : testing::byte_token_spellings();
    std::vector<std::int32_t> types(texts.size(), byte_level ? 1 : 6);
    std::vector<float> scores(texts.size(), 0);
    for (const char* letter : {"x", "y", "\u2581"}) {
      if (byte_level) continue;
      texts.emplace_back(letter);
      types.push_back(1);
      scores.push_back(0);
    }
    texts.push_back(token);
    types.push_back(type);
    scores.push_back(score);
    tokens = texts.size();
    writer.string("general.architecture", "llama").string("tokenizer.ggml.model", name);
    writer.string("tokenizer.ggml.pre", "gpt-2");
    writer.strings("tokenizer.ggml.tokens", texts).i32s("tokenizer.ggml.token_type", types);
    writer.f32s("tokenizer.ggml.scores", scores).strings("tokenizer.ggml.merges", {});
  }
  Result<std::shared_ptr<const Tokenizer>> load() const {
    ESP_ASSIGN(const auto file, Gguf::parse(testing::mapping_of(writer.finish().bytes), "f.gguf"));
    return load_tokenizer(file);
  }
};

void expect_refused(const Family& family, const std::string& says) {
  const auto tokenizer = family.load();
  ASSERT_FALSE(tokenizer) << family.model << ": " << says;
  EXPECT_THAT(tokenizer.error().message, HasSubstr("f.gguf: "));
  EXPECT_THAT(tokenizer.error().message, HasSubstr(says));
  EXPECT_LT(tokenizer.error().message.size(), 300U);
}

void expect_harmless(const Family& family) {
  const auto tokenizer = family.load();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (const std::string text : {"xyxyxy yx", "x", "yyy\xFF", ""}) {
    const auto ids = (*tokenizer)->encode(text, TextStart::kContinuation);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ((*tokenizer)->decode(*ids), text);
  }
}

TEST(VocabularyAttack, BadHexInAByteToken) {
  for (const char* text : {"<0x-1>", "<0xZZ>", "<0x1>", "<0x100>", "<0x0a>", "0x00", "<0x+1>"})
    expect_refused(Family("llama", text, 6),
                   "token 259 '" + std::string(text) + "' is typed a byte");
  // An ordinary token may look like one; it is its own text.
  expect_harmless(Family("llama", "<0x-1>", 1));
}

TEST(VocabularyAttack, ByteTokenInAByteLevelVocabulary) {
  expect_refused(Family("gpt2", "<0x-1>", 6), "token 256 '<0x-1>' is typed a byte");
}

TEST(VocabularyAttack, DuplicateToken) {
  expect_refused(Family("gpt2", "x", 1), "token 120 'x' and token 256 have the same text");
  expect_refused(Family("llama", "x", 3), "token 256 'x' and token 259 have the same text");
}

TEST(VocabularyAttack, ZeroLengthToken) {
  for (const std::int32_t type : {1, 3, 4, 5}) {
    expect_harmless(Family("gpt2", "", type));
    expect_harmless(Family("llama", "", type));
  }
}

TEST(VocabularyAttack, TwoMebibyteToken) {
  for (const char* model : {"gpt2", "llama", "bert"}) {
    expect_refused(Family(model, std::string(2 << 20, 'x'), 1), "2097152 bytes; at most 4096");
    expect_refused(Family(model, std::string(2 << 20, 'x'), 3), "2097152 bytes; at most 4096");
  }
}

TEST(VocabularyAttack, UnspellableToken) {
  expect_refused(Family("gpt2", "\xFF\xFE", 1), "token 256 '\\xff\\xfe' has a character outside");
  expect_harmless(Family("llama", "\xFF\xFE", 1));
}

TEST(VocabularyAttack, ScoreThatIsNoNumber) {
  for (const float score : {NAN, -NAN, INFINITY, -INFINITY})
    expect_refused(Family("llama", "xy", 1, score), "token 259 'xy' has a score");
}

TEST(VocabularyAttack, MergeOfNoToken) {
  Family family("gpt2", "xy", 1);
  family.writer.strings("tokenizer.ggml.merges", {"x y", "x q"});
  expect_refused(family, "merge 1 'x q'");
}

// Merges cannot make a shorter token, so that a cycle needs a result that is its own side.
TEST(VocabularyAttack, MergeCycle) {
  Family family("gpt2", "xy", 1);
  family.writer.strings("tokenizer.ggml.merges", {"x y", "x y", "x y"});
  expect_harmless(family);
  for (const char* merge : {"xy ", " xy", "x  y", "xy xy", ""}) {
    family.writer.strings("tokenizer.ggml.merges", {"x y", merge});
    expect_refused(family, "merge 1 ");
  }
}

TEST(VocabularyAttack, ArraysOfOtherLengthsAndTypes) {
  for (const char* key : {"tokenizer.ggml.token_type", "tokenizer.ggml.scores"}) {
    Family family("llama", "xy", 1);
    if (std::string_view(key).ends_with("scores"))
      family.writer.f32s(key, {1});
    else
      family.writer.i32s(key, {1});
    expect_refused(family, "'" + std::string(key) + "' has 1 elements for 260 tokens");
    family.writer.strings(key, {"1"});
    expect_refused(family, key);
  }
  Family family("gpt2", "xy", 1);
  family.writer.i32s("tokenizer.ggml.merges", {1, 2});
  expect_refused(family, "tokenizer.ggml.merges");
}

}  // namespace
}  // namespace espalier::runtime
