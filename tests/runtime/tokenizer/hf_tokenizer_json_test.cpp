// tokenizer.json files: real ones against llama.cpp's ids and against the same model's GGUF file;
// hostile ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/random.h"
#include "base/system.h"
#include "runtime/tokenizer/hf_tokenizer_json.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/runtime/tokenizer/pairs.h"
#include "tests/support/data.h"

namespace espalier::runtime {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(HfTokenizerJson, Llama3GivesLlamaCppsIds) {
  const auto text = testing::unpacked("tokenizers/llama3.1.tokenizer.json.xz");
  if (!text) GTEST_SKIP() << "no reference data";
  const auto tokenizer = load_hf_tokenizer_json(*text, "llama3.1.tokenizer.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  testing::expect_pairs(**tokenizer, "llama-bpe");
  EXPECT_EQ((*tokenizer)->size(), 128256U);
  EXPECT_TRUE((*tokenizer)->add_bos());
  EXPECT_EQ((*tokenizer)->bos(), 128000);
  EXPECT_EQ((*tokenizer)->vocabulary()->end_of_turn(), 128009);  // <|eot_id|>
}

// Texts of many scripts, cut at random places.
std::vector<std::string> sample_texts() {
  const auto inputs = testing::data_file("tokenizers/ggml-vocab-gpt-2.gguf.inp");
  if (!inputs) return {};
  const std::string all = testing::slurp(*inputs);
  std::vector<std::string> out;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const auto bits = RandomKey(seed).bits(0);
    std::size_t start = bits[0] % all.size();
    std::size_t end = std::min<std::size_t>(start + bits[1] % 60, all.size());
    const auto inside = [&](std::size_t at) {
      return at < all.size() && (static_cast<unsigned char>(all[at]) & 0xC0) == 0x80;
    };
    while (inside(start)) ++start;
    while (inside(end)) ++end;
    if (start < end) out.push_back(all.substr(start, end - start));
  }
  return out;
}

// The tokenizer of a GGUF file made from the same vocabulary.
void expect_same(const Tokenizer& tokenizer, const char* model) {
  const auto path = testing::model_file(model);
  if (!path) GTEST_SKIP() << "no model " << model;
  const auto file = Gguf::open(*path, real_system());
  ASSERT_TRUE(file) << file.error().message;
  const auto other = load_tokenizer(*file);
  ASSERT_TRUE(other) << other.error().message;
  std::size_t texts = 0;
  for (const std::string& text : sample_texts()) {
    ASSERT_EQ(tokenizer.encode(text).value(), (*other)->encode(text).value()) << text;
    ++texts;
  }
  EXPECT_GT(texts, 1000U);
  const std::string turn = "<start_of_turn>user\n<|im_start|>Hi<|im_end|><end_of_turn>\n";
  EXPECT_EQ(tokenizer.encode_special(turn).value(), (*other)->encode_special(turn).value());
  for (std::size_t id = 0; id < std::min(tokenizer.size(), (*other)->size()); ++id) {
    const auto token = static_cast<TokenId>(id);
    // The two files do not agree which added tokens are control tokens, which have no bytes.
    const std::string_view others = (*other)->vocabulary()->bytes(token);
    const std::string_view ours = tokenizer.vocabulary()->bytes(token);
    if (!others.empty() && !ours.empty()) {
      ASSERT_EQ(ours, others) << id;
    }
  }
}

TEST(HfTokenizerJson, Qwen3GivesQwens) {
  const auto text = testing::unpacked("tokenizers/qwen3.tokenizer.json.xz");
  if (!text) GTEST_SKIP() << "no reference data";
  const auto tokenizer = load_hf_tokenizer_json(*text, "qwen3.tokenizer.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  testing::expect_pairs(**tokenizer, "qwen2");
  EXPECT_FALSE((*tokenizer)->add_bos());
}

TEST(HfTokenizerJson, Gemma3GivesItsGgufFiles) {
  const auto text = testing::unpacked("tokenizers/gemma3.tokenizer.json.xz");
  if (!text) GTEST_SKIP() << "no reference data";
  const auto tokenizer = load_hf_tokenizer_json(*text, "gemma3.tokenizer.json");
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_TRUE((*tokenizer)->add_bos());
  EXPECT_EQ((*tokenizer)->run_prefix(), "");
  expect_same(**tokenizer, "gemma-3-270m-q4_k_m.gguf");
}

json byte_fallback_file() {
  json vocabulary = json::object();
  static constexpr char kHex[] = "0123456789ABCDEF";
  vocabulary["<unk>"] = 0;
  for (unsigned byte = 0; byte < 256; ++byte)
    vocabulary[std::string{'<', '0', 'x', kHex[byte >> 4], kHex[byte & 15], '>'}] = byte + 1;
  int next = 257;
  for (const char* piece : {"\u2581", "t", "h", "e", "th", "the", "\u2581the", "<s>", "<h1>"})
    vocabulary[piece] = next++;
  return {{"model",
           {{"type", "BPE"},
            {"byte_fallback", true},
            {"unk_token", "<unk>"},
            {"vocab", vocabulary},
            {"merges", {"t h", "th e", "\u2581 the"}}}},
          {"added_tokens",
           {{{"id", 264}, {"content", "<s>"}, {"special", true}},
            {{"id", 265}, {"content", "<h1>"}, {"special", false}}}},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", "\u2581"}},
              {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}}}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, {{"Sequence", {{"id", "A"}}}}}}}}};
}

Result<std::shared_ptr<const Tokenizer>> load(const json& file) {
  return load_hf_tokenizer_json(file.dump(), "tokenizer.json");
}

TEST(HfTokenizerJson, ByteFallbackModelsAreSentencePieces) {
  const auto tokenizer = load(byte_fallback_file());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_TRUE((*tokenizer)->add_bos());
  EXPECT_EQ((*tokenizer)->bos(), 264);
  EXPECT_THAT((*tokenizer)->encode("the<s>").value(), ElementsAre(263, 1 + '<', 1 + 's', 1 + '>'));
  EXPECT_THAT((*tokenizer)->encode_special("<s>the<h1>").value(), ElementsAre(264, 263, 265));
  EXPECT_THAT((*tokenizer)->encode("thé", TextStart::kContinuation).value(),
              ElementsAre(261, 1 + 0xC3, 1 + 0xA9));
}

TEST(HfTokenizerJson, WhatItDoesNotKnowIsRefusedByName) {
  struct Case {
    const char* says;
    void (*change)(json&);
  };
  const Case cases[] = {
      {"model 'Unigram'", [](json& it) { it["model"]["type"] = "Unigram"; }},
      {"model ''", [](json& it) { it.erase("model"); }},
      {"'model.vocab' has no token", [](json& it) { it["model"]["vocab"] = json::object(); }},
      {"'model.vocab' has no token", [](json& it) { it["model"]["vocab"] = json::array({"a"}); }},
      {"the id of token 't'", [](json& it) { it["model"]["vocab"]["t"] = -1; }},
      {"the id of token 't'", [](json& it) { it["model"]["vocab"]["t"] = 1.5; }},
      {"the id of token 't'", [](json& it) { it["model"]["vocab"]["t"] = 1ULL << 63; }},
      {"the id of token 't'", [](json& it) { it["model"]["vocab"]["t"] = 1 << 22; }},
      {"have the same id", [](json& it) { it["model"]["vocab"]["t"] = 0; }},
      {"have the same text",
       [](json& it) {
         it["added_tokens"].push_back({{"id", 300}, {"content", "<s>"}});
       }},
      {"an added token has no text",
       [](json& it) {
         it["added_tokens"].push_back({{"id", 300}});
       }},
      {"an added token has no text", [](json& it) { it["added_tokens"].push_back(7); }},
      {"the id of token 'x'",
       [](json& it) {
         it["added_tokens"].push_back({{"content", "x"}});
       }},
      {"at most 4096", [](json& it) { it["model"]["vocab"][std::string(2 << 20, 'a')] = 300; }},
      {"merge 3", [](json& it) { it["model"]["merges"].push_back("the"); }},
      {"merge 3",
       [](json& it) {
         it["model"]["merges"].push_back({"t", "h", "e"});
       }},
      {"merge 3",
       [](json& it) {
         it["model"]["merges"].push_back({"t", 7});
       }},
      {"merge 3", [](json& it) { it["model"]["merges"].push_back("h t"); }},
      {"'model.merges' is no list", [](json& it) { it["model"].erase("merges"); }},
      {"normalizer 'NFKC'",
       [](json& it) {
         it["normalizer"] = {{"type", "NFKC"}};
       }},
      {"pre-tokenizer 'Metaspace'",
       [](json& it) {
         it["pre_tokenizer"] = {{"type", "Metaspace"}};
       }},
      {"pre-tokenizer expression 'a+'",
       [](json& it) {
         it["pre_tokenizer"] = {{"type", "Sequence"},
                                {"pretokenizers",
                                 {{{"type", "Split"}, {"pattern", {{"Regex", "a+"}}}},
                                  {{"type", "ByteLevel"}, {"use_regex", false}}}}};
         it["normalizer"] = nullptr;
       }},
      {"byte_fallback", [](json& it) { it["model"]["byte_fallback"] = false; }},
      {"'end_of_word_suffix' '</w>'", [](json& it) { it["model"]["end_of_word_suffix"] = "</w>"; }},
      {"is typed a byte", [](json& it) { it["model"]["vocab"]["<0x-1>"] = 300; }},
  };
  for (const auto& it : cases) {
    json file = byte_fallback_file();
    it.change(file);
    const auto tokenizer = load(file);
    ASSERT_FALSE(tokenizer) << it.says;
    EXPECT_THAT(tokenizer.error().message, HasSubstr(it.says));
    EXPECT_THAT(tokenizer.error().message, HasSubstr("tokenizer.json"));
    EXPECT_LT(tokenizer.error().message.size(), 500U);
  }
  for (const std::string& text : {std::string(), std::string("{"), std::string(100000, '['),
                                  std::string("[]"), std::string("{\"model\": \"\xFF\"}")}) {
    EXPECT_FALSE(load_hf_tokenizer_json(text, "tokenizer.json"));
  }
}

}  // namespace
}  // namespace espalier::runtime
