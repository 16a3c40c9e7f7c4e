// Laws of SentencePiece's byte-pair vocabularies, against a merger that does what the definition
// says; hostile vocabularies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <map>

#include "base/random.h"
#include "base/utf8.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "runtime/tokenizer/piece_splits.h"
#include "tests/support/memory_mapping.h"
#include "tests/support/tiny_vocabularies.h"

namespace espalier::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Tiny = testing::TinySentencePiece;

Result<std::shared_ptr<const Tokenizer>> load(const testing::GgufWriter& writer) {
  ESP_ASSIGN(const auto file, Gguf::parse(testing::mapping_of(writer.finish().bytes), "test.gguf"));
  return load_tokenizer(file);
}

std::shared_ptr<const Tokenizer> tiny() { return load(Tiny{}.writer()).value(); }

std::string random_text(const RandomKey& key, bool any_bytes) {
  static const char* const kAtoms[] = {"a",   "the",    " ", "  ", "   ",    "in",  "g",
                                       "and", "\u00e9", "t", "中", "文",     "\n",  "x",
                                       "!",   "e",      "h", "1",  "\u2581", "🦙"};
  std::string out;
  for (std::uint64_t i = 0; i < 1 + key.bits(0)[0] % 20; ++i) {
    const auto bits = key.bits(i + 1);
    if (any_bytes && bits[1] % 4 == 0)
      out += static_cast<char>(bits[2]);
    else
      out += kAtoms[bits[0] % std::size(kAtoms)];
  }
  return out;
}

TEST(PieceSplits, AreAllThatThereAre) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const RandomKey key(seed);
    std::map<std::string, std::uint32_t> known;
    std::vector<std::string> texts;
    for (std::uint64_t i = 0; i < key.bits(0)[0] % 40; ++i) {
      std::string text;
      for (std::uint64_t j = 0; j <= key.with(i).bits(0)[0] % 6; ++j)
        text += static_cast<char>('a' + key.with(i).bits(j + 1)[0] % 2);
      if (known.emplace(text, static_cast<std::uint32_t>(texts.size())).second)
        texts.push_back(text);
    }
    std::vector<std::array<std::uint32_t, 3>> expected;
    for (std::uint32_t whole = 0; whole < texts.size(); ++whole) {
      for (std::size_t at = 1; at < texts[whole].size(); ++at) {
        const auto left = known.find(texts[whole].substr(0, at));
        const auto right = known.find(texts[whole].substr(at));
        if (left != known.end() && right != known.end())
          expected.push_back({whole, left->second, right->second});
      }
    }
    std::vector<std::array<std::uint32_t, 3>> found;
    for (const PieceSplit& it : piece_splits(texts)) found.push_back({it.whole, it.left, it.right});
    ASSERT_EQ(found, expected) << "seed " << seed;
  }
}

// Joins the adjacent pair of the best score, the leftmost of equals, until none is a piece; then
// spells what is no piece by its bytes.
std::vector<TokenId> merged_as_defined(const std::string& text, const Tiny& vocabulary) {
  std::map<std::string, TokenId> ids;
  for (std::size_t i = 0; i < vocabulary.pieces.size(); ++i)
    ids.emplace(vocabulary.pieces[i], Tiny::kFirstPiece + static_cast<TokenId>(i));
  std::vector<std::string> symbols;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8::decode(text, at).length;
    const std::string character = text.substr(at, length);
    symbols.push_back(character == " " ? "\u2581" : character == "\u2581" ? "" : character);
    at += length;
  }
  while (true) {
    TokenId best = std::numeric_limits<TokenId>::max();
    std::size_t best_at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      if (symbols[i].empty() || symbols[i + 1].empty()) continue;
      const auto found = ids.find(symbols[i] + symbols[i + 1]);
      if (found != ids.end() && found->second < best) {
        best = found->second;
        best_at = i;
      }
    }
    if (best == std::numeric_limits<TokenId>::max()) break;
    symbols[best_at] += symbols[best_at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
  std::vector<TokenId> out;
  for (const std::string& symbol : symbols) {
    if (const auto found = ids.find(symbol); found != ids.end()) {
      out.push_back(found->second);
      continue;
    }
    for (const char c : symbol.empty() ? std::string("\u2581") : symbol)
      out.push_back(3 + static_cast<unsigned char>(c));
  }
  return out;
}

TEST(SentencePiece, MergesAsTheDefinitionSays) {
  for (std::uint64_t round = 0; round < 40; ++round) {
    // Other scores each round: the pieces in another order, one of them left out.
    Tiny vocabulary;
    RandomKey key(round);
    for (std::size_t i = vocabulary.pieces.size(); i > 1; --i)
      std::swap(vocabulary.pieces[i - 1], vocabulary.pieces[key.bits(i)[0] % i]);
    if (round > 0) vocabulary.pieces.pop_back();
    const auto tokenizer = load(vocabulary.writer());
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
      const std::string text = random_text(RandomKey(seed).with(round), false);
      ASSERT_EQ((*tokenizer)->encode(text, TextStart::kContinuation).value(),
                merged_as_defined(text, vocabulary))
          << "round " << round << ", seed " << seed << ": " << text;
    }
  }
}

TEST(SentencePiece, EqualScoresMergeTheLeftmostFirst) {
  auto writer = Tiny{}.writer();
  writer.f32s("tokenizer.ggml.scores", std::vector<float>(260 + Tiny{}.pieces.size(), -1.0F));
  const auto tokenizer = load(writer).value();
  // "t|h|e|": "th" at 0 goes before "he" at 1, then "the".
  EXPECT_THAT(tokenizer->encode("the", TextStart::kContinuation).value(), ElementsAre(266));
  // "i|n|g" goes by "in", though "an" follows.
  EXPECT_THAT(tokenizer->encode("ingan", TextStart::kContinuation).value(), ElementsAre(271, 265));
}

TEST(SentencePiece, AnyBytesComeBack) {
  const auto tokenizer = tiny();
  const bool all = std::getenv("ESPALIER_LONG") != nullptr;
  for (std::uint64_t seed = 0; seed < (all ? 1'000'000U : 50'000U); ++seed) {
    const std::string text = random_text(RandomKey(seed), true);
    const auto ids = tokenizer->encode(text, TextStart::kContinuation);
    ASSERT_TRUE(ids) << ids.error().message;
    ASSERT_EQ(tokenizer->decode(*ids), text) << "seed " << seed;
    for (const TokenId id : *ids)
      ASSERT_GE(id, 3) << "a control token from plain text, seed " << seed;
    ASSERT_EQ(tokenizer->vocabulary()->canonical()(text).value(), *ids);
    const auto run = tokenizer->encode(text);
    ASSERT_TRUE(run);
    ASSERT_EQ(tokenizer->decode(*run), (text.starts_with("<h1>") ? "" : " ") + text);
  }
}

TEST(SentencePiece, ARunHasASpaceBeforeItAndAContinuationNone) {
  const auto tokenizer = tiny();
  EXPECT_EQ(tokenizer->run_prefix(), " ");
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("the").value()), " the");
  EXPECT_THAT(tokenizer->encode("the").value(), ElementsAre(267));
  EXPECT_THAT(tokenizer->encode("the", TextStart::kContinuation).value(), ElementsAre(266));
  EXPECT_THAT(tokenizer->encode("").value(), ElementsAre());
  // After a control token a run begins anew; so it does after a user-defined one.
  EXPECT_THAT(tokenizer->encode_special("<s>the</s>the").value(), ElementsAre(1, 267, 2, 267));
  EXPECT_THAT(tokenizer->encode("the<h1>the").value(), ElementsAre(267, 259, 267));
  EXPECT_THAT(tokenizer->encode("the<h1>the", TextStart::kContinuation).value(),
              ElementsAre(266, 259, 266));

  auto writer = Tiny{}.writer();
  writer.boolean("tokenizer.ggml.add_space_prefix", false);
  const auto bare = load(writer).value();
  EXPECT_EQ(bare->run_prefix(), "");
  EXPECT_THAT(bare->encode("the").value(), ElementsAre(266));
}

TEST(SentencePiece, Phi3sControlTokensTakeTheWhiteSpaceAfterThem) {
  auto writer = Tiny{}.writer();
  writer.string("general.architecture", "phi3");
  const auto tokenizer = load(writer).value();
  EXPECT_THAT(tokenizer->encode_special("</s> \n\u00a0the").value(), ElementsAre(2, 267));
  EXPECT_THAT(tokenizer->encode_special("</s>\n").value(), ElementsAre(2));
  EXPECT_THAT(tokenizer->encode_special("<s> the").value(), ElementsAre(1, 260, 266));
  EXPECT_TRUE(tokenizer->takes_space_after(2));
  EXPECT_FALSE(tokenizer->takes_space_after(1));
  EXPECT_FALSE(tiny()->takes_space_after(2));
}

TEST(SentencePiece, BosIsAddedUnlessTheFileSaysOtherwise) {
  EXPECT_TRUE(tiny()->add_bos());
  EXPECT_FALSE(tiny()->add_eos());
  EXPECT_EQ(tiny()->bos(), 1);
  auto writer = Tiny{}.writer();
  writer.boolean("tokenizer.ggml.add_bos_token", false);
  writer.boolean("tokenizer.ggml.add_eos_token", true);
  EXPECT_FALSE(load(writer).value()->add_bos());
  EXPECT_TRUE(load(writer).value()->add_eos());
}

TEST(SentencePiece, TheVocabularyHasTheBytesOfGeneratedText) {
  const auto tokenizer = tiny();
  const grammar::Vocabulary& vocabulary = *tokenizer->vocabulary();
  EXPECT_EQ(vocabulary.bytes(267), " the");
  EXPECT_EQ(vocabulary.bytes(260), "  ");
  EXPECT_EQ(vocabulary.bytes(3), std::string(1, '\0'));
  EXPECT_EQ(vocabulary.bytes(3 + 0xFF), "\xFF");
  EXPECT_EQ(vocabulary.bytes(259), "<h1>");
  for (TokenId id = 0; id < 3; ++id) EXPECT_EQ(vocabulary.bytes(id), "");
  EXPECT_TRUE(vocabulary.is_end(2));
}

TEST(SentencePiece, ByteItCannotSpellIsRefusedWithItsOffset) {
  auto writer = Tiny{}.writer();
  std::vector<std::string> tokens{"<unk>", "<s>", "</s>", "\u2581", "a", "bx"};
  writer.strings("tokenizer.ggml.tokens", tokens);
  writer.i32s("tokenizer.ggml.token_type", {2, 3, 3, 1, 1, 1});
  writer.f32s("tokenizer.ggml.scores", std::vector<float>(tokens.size(), 0.0F));
  const auto tokenizer = load(writer).value();
  // "b" and "x" are no tokens, and "bx" is one.
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a bxa").value()), " a bxa");
  for (const auto& [text, offset] :
       std::vector<std::pair<std::string, std::string>>{{"abxb a", "0x62 at offset 3 "},
                                                        {"aaé", "0xC3 at offset 2 "},
                                                        {"a\xFF", "0xFF at offset 1 "}}) {
    for (const TextStart start : {TextStart::kRun, TextStart::kContinuation}) {
      const auto ids = tokenizer->encode(text, start);
      ASSERT_FALSE(ids) << text;
      EXPECT_EQ(ids.error().code, ErrorCode::kInvalid);
      EXPECT_THAT(ids.error().message, HasSubstr(offset));
    }
  }
}

TEST(SentencePiece, LongRunsTakeNoQuadraticTime) {
  const auto tokenizer = tiny();
  for (const char* atom :
       {"a", " ", "th", "1", "a ", "\n", "\xFF", "\u0301", "中", "👨‍👩‍👧", "<h1"}) {
    std::string text;
    while (text.size() < 1'000'000) text += atom;
    const auto ids = tokenizer->encode(text, TextStart::kContinuation);
    ASSERT_TRUE(ids);
    EXPECT_EQ(tokenizer->decode(*ids), text);
  }
}

TEST(SentencePiece, HostileVocabulariesAreRefusedByName) {
  struct Case {
    const char* says;
    std::function<void(testing::GgufWriter&)> change;
  };
  const std::size_t size = 260 + Tiny{}.pieces.size();
  const auto with_token = [](std::string token, std::int32_t type, float score = 0.0F) {
    return [token = std::move(token), type, score](testing::GgufWriter& w) {
      w.strings("tokenizer.ggml.tokens", {"a", token});
      w.i32s("tokenizer.ggml.token_type", {1, type}).f32s("tokenizer.ggml.scores", {0.0F, score});
      for (const char* key : {"bos", "eos", "unknown"})
        w.remove(std::string("tokenizer.ggml.") + key + "_token_id");
    };
  };
  const Case cases[] = {
      {"token 1 '<0x-1>' is typed a byte", with_token("<0x-1>", 6)},
      {"token 1 '<0x0g>' is typed a byte", with_token("<0x0g>", 6)},
      {"is typed a byte", with_token("<0xAB", 6)},
      {"is typed a byte", with_token("<0xABCD>", 6)},
      {"is typed a byte", with_token("a byte", 6)},
      {"token 0 'a' and token 1 have the same text", with_token("a", 1)},
      {"token 1 'b' has a score", with_token("b", 1, NAN)},
      {"token 1 'b' has a score", with_token("b", 1, INFINITY)},
      {"at most 4096", with_token(std::string(2 << 20, 'b'), 1)},
      {"has type 7", with_token("b", 7)},
      {"has type 0", with_token("b", 0)},
      {"the vocabulary cannot spell it", with_token("b", 1)},
      {"'tokenizer.ggml.scores' has 1 elements",
       [](auto& w) { w.f32s("tokenizer.ggml.scores", {1}); }},
      {"'tokenizer.ggml.scores' is missing", [](auto& w) { w.remove("tokenizer.ggml.scores"); }},
      {"tokenizer.ggml.scores",
       [size](auto& w) { w.i32s("tokenizer.ggml.scores", std::vector<std::int32_t>(size, 0)); }},
      {"'tokenizer.ggml.token_type' is missing",
       [](auto& w) { w.remove("tokenizer.ggml.token_type"); }},
      {"token_type' has 2 elements",
       [](auto& w) {
         w.i32s("tokenizer.ggml.token_type", {1, 1});
       }},
      {"has no token", [](auto& w) { w.strings("tokenizer.ggml.tokens", {}); }},
      {"bos_token_id", [](auto& w) { w.u32("tokenizer.ggml.bos_token_id", 1U << 31); }},
      {"add_eos_token",
       [](auto& w) {
         w.boolean("tokenizer.ggml.add_eos_token", true).remove("tokenizer.ggml.eos_token_id");
       }},
      {"add_space_prefix", [](auto& w) { w.u32("tokenizer.ggml.add_space_prefix", 1); }},
      {"no token has bytes",
       [](auto& w) {
         w.strings("tokenizer.ggml.tokens", {"", ""}).i32s("tokenizer.ggml.token_type", {1, 1});
         w.f32s("tokenizer.ggml.scores", {0, 0});
         w.boolean("tokenizer.ggml.add_space_prefix", false);
         for (const char* key : {"bos", "eos", "unknown"})
           w.remove(std::string("tokenizer.ggml.") + key + "_token_id");
       }},
  };
  for (const auto& it : cases) {
    auto writer = Tiny{}.writer();
    it.change(writer);
    const auto tokenizer = load(writer);
    ASSERT_FALSE(tokenizer) << it.says;
    EXPECT_THAT(tokenizer.error().message, HasSubstr(it.says));
    EXPECT_THAT(tokenizer.error().message, HasSubstr("test.gguf"));
    EXPECT_LT(tokenizer.error().message.size(), 400U);
  }
}

TEST(SentencePiece, HolesAndUnspellableTokensDoNoHarm) {
  auto writer = Tiny{}.writer();
  writer.strings("tokenizer.ggml.tokens", {"<s>", "", "\xFF\xFE", "a", "\u2581", "a b", ""});
  writer.i32s("tokenizer.ggml.token_type", {3, 1, 1, 1, 1, 1, 5});
  writer.f32s("tokenizer.ggml.scores", std::vector<float>(7, 0.0F));
  for (const char* key : {"bos", "eos", "unknown"})
    writer.remove(std::string("tokenizer.ggml.") + key + "_token_id");
  const auto tokenizer = load(writer);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_FALSE((*tokenizer)->add_bos());
  EXPECT_EQ((*tokenizer)->vocabulary()->bytes(2), "\xFF\xFE");
  EXPECT_THAT((*tokenizer)->encode("a a").value(), ElementsAre(4, 3, 4, 3));
}

}  // namespace
}  // namespace espalier::runtime
