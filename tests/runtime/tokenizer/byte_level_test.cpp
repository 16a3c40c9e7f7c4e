// Laws of byte-level tokenizers, on a small vocabulary that the test writes; hostile vocabularies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>

#include "base/random.h"
#include "runtime/tokenizer/byte_pair.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"

namespace espalier::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Result<std::shared_ptr<const Tokenizer>> load(const testing::GgufWriter& writer) {
  ESP_ASSIGN(const auto file, Gguf::parse(testing::mapping_of(writer.finish().bytes), "test.gguf"));
  return load_tokenizer(file);
}

std::shared_ptr<const Tokenizer> tiny() { return load(testing::TinyLlama{}.writer()).value(); }

// Few kinds of characters, much mixing, and any bytes now and then.
std::string random_text(const RandomKey& key) {
  static const char* const kAtoms[] = {
      "a",          "the",      " ",        "  ",           "\n",
      "\t",         "'s",       "'",        "'ll",          "1",
      "23",         "\xC2\xBD", "\xC3\xA9", "\xE4\xB8\xAD", "!",
      "<|im_end|>", "<|",       "\xC2\xA0", "\xE3\x80\x80", "\xF0\x9F\xA6\x99",
      "and",        "in"};
  std::string out;
  for (std::uint64_t i = 0; i < 1 + key.bits(0)[0] % 24; ++i) {
    const auto bits = key.bits(i + 1);
    if (bits[1] % 4 == 0)
      out += static_cast<char>(bits[2]);
    else
      out += kAtoms[bits[0] % std::size(kAtoms)];
  }
  return out;
}

TEST(BytePair, MergesAsTheDefinitionSays) {
  // A naive merger over random rules: scan for the lowest rank, leftmost, merge it, start again.
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const RandomKey key(seed);
    const std::size_t tokens = 4 + key.bits(0)[0] % 12;
    std::vector<BytePair::Rule> rules;
    for (std::uint64_t i = 0; i < key.bits(1)[0] % 30; ++i) {
      const auto bits = key.with(1).bits(i);
      const auto id = [&](std::uint32_t b) { return static_cast<TokenId>(b % tokens); };
      rules.push_back({id(bits[0]), id(bits[1]), id(bits[2]),  // cycles among them, too
                       static_cast<std::uint32_t>(i)});
    }
    std::vector<TokenId> expected;
    for (std::uint64_t i = 0; i < key.bits(2)[0] % 40; ++i) {
      expected.push_back(
          static_cast<TokenId>(key.with(2).bits(i)[0] % std::min<std::size_t>(tokens, 4)));
    }
    const auto piece = expected;
    for (bool merged = true; merged;) {
      merged = false;
      std::size_t best_rule = rules.size();
      std::size_t best_at = 0;
      for (std::size_t at = 0; at + 1 < expected.size(); ++at) {
        for (std::size_t rule = 0; rule < best_rule; ++rule) {
          if (rules[rule].left == expected[at] && rules[rule].right == expected[at + 1]) {
            best_rule = rule;
            best_at = at;
          }
        }
      }
      if (best_rule == rules.size()) break;
      merged = true;
      expected[best_at] = rules[best_rule].merged;
      expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
    }
    const BytePair pairs(tokens, rules);
    BytePair::Scratch scratch;
    std::vector<TokenId> out;
    pairs.merge(piece, scratch, out);
    ASSERT_EQ(out, expected) << "seed " << seed;
  }
}

TEST(ByteLevel, AnyBytesComeBack) {
  const auto tokenizer = tiny();
  const bool all = std::getenv("ESPALIER_LONG") != nullptr;
  for (std::uint64_t seed = 0; seed < (all ? 1'000'000U : 50'000U); ++seed) {
    const std::string text = random_text(RandomKey(seed));
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    ASSERT_EQ(tokenizer->decode(*ids), text) << "seed " << seed;
    for (const TokenId id : *ids)
      ASSERT_GE(id, 3) << "a control token from plain text, seed " << seed;
    const auto special = tokenizer->encode_special(text);
    ASSERT_TRUE(special);
    ASSERT_EQ(tokenizer->decode(*special, true), text) << "seed " << seed;
  }
}

TEST(ByteLevel, LongRunsTakeNoQuadraticTime) {
  const auto tokenizer = tiny();
  for (const char* atom : {"a", " ", "th", "1", "!", "\n", "\xFF"}) {
    std::string text;
    while (text.size() < 1'000'000) text += atom;
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids);
    EXPECT_EQ(tokenizer->decode(*ids), text);
  }
}

TEST(ByteLevel, SpecialTokensStandApartFromText) {
  const auto tokenizer = tiny();
  const auto plain = tokenizer->encode("<|im_end|>").value();
  EXPECT_GT(plain.size(), 1U);
  EXPECT_THAT(tokenizer->encode_special("<|im_end|>").value(), ElementsAre(2));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{1, 2}), "");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{1, 2}, true), "<|im_start|><|im_end|>");
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{-5, 100000, 2}, true), "<|im_end|>");
  EXPECT_EQ(tokenizer->special("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer->special("the"), kNoToken);
  for (TokenId id = 0; id < 3; ++id) EXPECT_EQ(tokenizer->vocabulary()->bytes(id), "");
}

TEST(ByteLevel, TheLongestSpecialTokenWins) {
  auto writer = testing::TinyLlama{}.writer();
  auto tokens = testing::byte_level_alphabet();
  tokens.insert(tokens.end(), {"<a", "<a>", "<a><b>", "user"});
  std::vector<std::int32_t> types(tokens.size(), 1);
  types[256] = types[257] = types[258] = 3;
  types[259] = 4;  // user-defined: recognised in plain text, too
  writer.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
  writer.strings("tokenizer.ggml.merges", {});
  const auto tokenizer = load(writer).value();
  EXPECT_THAT(tokenizer->encode_special("<a><b><a><b").value(), ElementsAre(258, 257, '<', 'b'));
  EXPECT_THAT(tokenizer->encode_special("<auser<").value(), ElementsAre(256, 259, '<'));
  EXPECT_THAT(tokenizer->encode("<user>").value(), ElementsAre('<', 259, '>'));
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{259}), "user");
}

TEST(ByteLevel, HostileVocabulariesAreRefusedByName) {
  struct Case {
    const char* says;
    std::function<void(testing::GgufWriter&)> change;
  };
  const auto with_token = [](std::string token) {
    return [token = std::move(token)](testing::GgufWriter& w) {
      auto tokens = testing::byte_level_alphabet();
      tokens.push_back(token);
      w.strings("tokenizer.ggml.tokens", tokens).strings("tokenizer.ggml.merges", {});
      w.remove("tokenizer.ggml.token_type");
    };
  };
  const Case cases[] = {
      {"same text", with_token("a")},
      {"at most 4096", with_token(std::string(2 << 20, 'a'))},
      {"outside the byte-level alphabet", with_token("a b")},
      {"outside the byte-level alphabet", with_token("\xFF")},
      {"has no token", [](auto& w) { w.strings("tokenizer.ggml.tokens", {}); }},
      {"'tokenizer.ggml.tokens' is missing", [](auto& w) { w.remove("tokenizer.ggml.tokens"); }},
      {"array of i32", [](auto& w) { w.i32s("tokenizer.ggml.tokens", {1}); }},
      {"token_type' has 1 elements", [](auto& w) { w.i32s("tokenizer.ggml.token_type", {1}); }},
      {"has type 9",
       [](auto& w) {
         w.i32s("tokenizer.ggml.token_type",
                std::vector<std::int32_t>(testing::TinyLlama::vocabulary(), 9));
       }},
      {"merge 0", [](auto& w) { w.strings("tokenizer.ggml.merges", {""}); }},
      {"merge 0", [](auto& w) { w.strings("tokenizer.ggml.merges", {" a"}); }},
      {"merge 0", [](auto& w) { w.strings("tokenizer.ggml.merges", {"a "}); }},
      {"merge 1",
       [](auto& w) {
         w.strings("tokenizer.ggml.merges", {"t h", "q q"});
       }},
      {"merge 0", [](auto& w) { w.strings("tokenizer.ggml.merges", {"<|im_start|> a"}); }},
      {"'mystery' is not supported", [](auto& w) { w.string("tokenizer.ggml.pre", "mystery"); }},
      {"'rwkv' is not supported", [](auto& w) { w.string("tokenizer.ggml.model", "rwkv"); }},
      {"bos_token_id", [](auto& w) { w.u32("tokenizer.ggml.bos_token_id", 0xFFFFFFFF); }},
      {"eos_token_id", [](auto& w) { w.i32("tokenizer.ggml.eos_token_id", -1); }},
      {"add_bos_token",
       [](auto& w) {
         w.boolean("tokenizer.ggml.add_bos_token", true).remove("tokenizer.ggml.bos_token_id");
       }},
      {"add_bos_token", [](auto& w) { w.u32("tokenizer.ggml.add_bos_token", 1); }},
  };
  for (const auto& it : cases) {
    auto writer = testing::TinyLlama{}.writer();
    it.change(writer);
    const auto tokenizer = load(writer);
    ASSERT_FALSE(tokenizer) << it.says;
    EXPECT_THAT(tokenizer.error().message, HasSubstr(it.says));
    EXPECT_THAT(tokenizer.error().message, HasSubstr("test.gguf"));
    EXPECT_LT(tokenizer.error().message.size(), 400U);
  }
}

TEST(ByteLevel, ScoresEmptyTokensAndRepeatedMergesDoNoHarm) {
  auto writer = testing::TinyLlama{}.writer();
  writer.f32s("tokenizer.ggml.scores", {NAN, INFINITY});  // no byte-level model goes by them
  writer.strings("tokenizer.ggml.merges", {"t h", "t h", "th e"});
  EXPECT_TRUE(load(writer));
  auto tokens = testing::byte_level_alphabet();
  tokens.insert(tokens.end(), {"", ""});
  writer.strings("tokenizer.ggml.tokens", tokens).strings("tokenizer.ggml.merges", {});
  writer.remove("tokenizer.ggml.token_type");
  const auto tokenizer = load(writer);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->vocabulary()->bytes(256), "");
}

}  // namespace
}  // namespace espalier::runtime
