// Ids equal those of llama.cpp, on data that nobody of this project wrote.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/system.h"
#include "base/utf8.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/runtime/tokenizer/pairs.h"
#include "tests/support/data.h"

namespace espalier::runtime {
namespace {

std::shared_ptr<const Tokenizer> load(const std::string& path) {
  const auto file = Gguf::open(path, real_system());
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return nullptr;
  }
  auto tokenizer = load_tokenizer(*file);
  if (!tokenizer) {
    ADD_FAILURE() << tokenizer.error().message;
    return nullptr;
  }
  return *tokenizer;
}

class VocabularyFile : public ::testing::TestWithParam<const char*> {};

TEST_P(VocabularyFile, GivesLlamaCppsIdsAndKeepsAnyBytes) {
  const std::string name = std::string("tokenizers/ggml-vocab-") + GetParam() + ".gguf";
  const auto path = testing::data_file(name);
  if (!path) GTEST_SKIP() << "no reference data (" << name << ")";
  const auto tokenizer = load(*path);
  ASSERT_NE(tokenizer, nullptr);
  testing::expect_pairs(*tokenizer, GetParam());
  testing::expect_any_bytes(*tokenizer);
}
INSTANTIATE_TEST_SUITE_P(All, VocabularyFile,
                         ::testing::Values("gpt-2", "starcoder", "falcon", "deepseek-coder",
                                           "llama-spm", "phi-3"));

// The reference's two longer texts: fields of a .jsonl file, rows joined by blank lines, cut after
// some characters.
std::string joined_text(const std::string& path, const std::vector<std::string>& fields,
                        std::size_t characters) {
  std::ifstream in(path);
  std::string text;
  std::string line;
  while (std::getline(in, line)) {
    const auto row = nlohmann::json::parse(line);
    if (!text.empty()) text += "\n\n";
    for (std::size_t i = 0; i < fields.size(); ++i) {
      text += (i > 0 ? "\n" : "") + row[fields[i]].get<std::string>();
    }
  }
  std::size_t end = 0;
  for (; end < text.size() && characters > 0; --characters) end += utf8::decode(text, end).length;
  return text.substr(0, end);
}

struct TestModel {
  const char* file;
  const char* reference;
  const char* pairs;  // of a vocabulary that is the model's own; or nullptr
};

class Model : public ::testing::TestWithParam<TestModel> {
 protected:
  void SetUp() override {
    const auto path = testing::model_file(GetParam().file);
    if (!path) GTEST_SKIP() << "no model " << GetParam().file;
    tokenizer_ = load(*path);
    ASSERT_NE(tokenizer_, nullptr);
  }
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(Model, GivesLlamaCppsIds) {
  const auto reference = testing::data_file(GetParam().reference);
  if (!reference) GTEST_SKIP() << "no reference data";
  const auto data = nlohmann::json::parse(testing::slurp(*reference));
  std::size_t cases = 0;
  for (const auto& it : data["cases"]) {
    const auto text = it["text"].get<std::string>();
    auto expected = it["ids"].get<std::vector<TokenId>>();
    if (tokenizer_->add_bos()) {
      ASSERT_FALSE(expected.empty());
      EXPECT_EQ(expected.front(), tokenizer_->bos());
      expected.erase(expected.begin());
    }
    EXPECT_EQ(tokenizer_->encode_special(text), expected) << text;
    EXPECT_EQ(tokenizer_->decode(expected, true), text);
    EXPECT_EQ(tokenizer_->decode(it["greedy"].get<std::vector<TokenId>>(), true),
              it["greedy_text"].get<std::string>());
    ++cases;
  }
  EXPECT_GT(cases, 3U);
}

TEST_P(Model, KeepsAnyBytes) { testing::expect_any_bytes(*tokenizer_); }

TEST_P(Model, GivesItsVocabularysPairs) {
  if (GetParam().pairs == nullptr) GTEST_SKIP() << "no pairs for this vocabulary";
  testing::expect_pairs(*tokenizer_, GetParam().pairs);
}

TEST_P(Model, GivesLlamaCppsIdsForLongTexts) {
  const auto reference = testing::data_file(GetParam().reference);
  const auto questions = testing::data_file("questions/gsm8k_train_first200.jsonl");
  const auto receipts = testing::data_file("receipts/receipts_000_312.jsonl");
  if (!reference || !questions || !receipts) GTEST_SKIP() << "no reference data";
  const auto data = nlohmann::json::parse(testing::slurp(*reference));
  const std::string texts[] = {joined_text(*questions, {"question", "answer"}, 4000),
                               joined_text(*receipts, {"text"}, 3000)};
  ASSERT_EQ(data["nll"].size(), std::size(texts));
  for (std::size_t i = 0; i < std::size(texts); ++i) {
    const auto& it = data["nll"][i];
    auto ids = tokenizer_->encode(texts[i]);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(tokenizer_->decode(*ids), texts[i]);
    if (tokenizer_->add_bos()) ids->insert(ids->begin(), tokenizer_->bos());
    EXPECT_EQ(ids->size(), it["n_tokens"].get<std::size_t>());
    const auto first = it["first_ids"].get<std::vector<TokenId>>();
    ASSERT_GE(ids->size(), first.size());
    ids->resize(first.size());
    EXPECT_EQ(*ids, first);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Model,
                         ::testing::Values(TestModel{"SmolLM2-135M-Instruct.Q4_1.gguf",
                                                     "reference/smollm2.json", nullptr},
                                           TestModel{"gemma-3-270m-q4_k_m.gguf",
                                                     "reference/gemma3.json", nullptr},
                                           TestModel{"qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                                                     "reference/qwen25.json", "qwen2"}));

TEST(DefaultModel, RefusesTheBytesItsVocabularyLacks) {
  const auto model = testing::default_model();
  if (!model) GTEST_SKIP() << "no default model";
  const auto tokenizer = load(*model);
  ASSERT_NE(tokenizer, nullptr);
  int refused = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = "ab" + std::string(1, static_cast<char>(byte)) + "c";
    const auto ids = tokenizer->encode(text);
    if (ids) {
      EXPECT_EQ(tokenizer->decode(*ids), text);
      continue;
    }
    ++refused;
    EXPECT_EQ(ids.error().code, ErrorCode::kInvalid);
    EXPECT_NE(ids.error().message.find("offset 2"), std::string::npos) << ids.error().message;
    // The same inside a text with special tokens counts from the whole text's start.
    const auto special = tokenizer->encode_special("<|im_end|>" + text);
    ASSERT_FALSE(special);
    EXPECT_NE(special.error().message.find("offset 12"), std::string::npos)
        << special.error().message;
  }
  EXPECT_EQ(refused, 21);
}

TEST(DefaultModel, EndsATurnWithItsEndOfTurnToken) {
  const auto model = testing::default_model();
  if (!model) GTEST_SKIP() << "no default model";
  const auto tokenizer = load(*model);
  ASSERT_NE(tokenizer, nullptr);
  EXPECT_EQ(tokenizer->special("<|im_start|>"), 1);
  EXPECT_EQ(tokenizer->vocabulary()->end_of_turn(), 2);
  EXPECT_TRUE(tokenizer->vocabulary()->is_end(0));  // <|endoftext|>
  EXPECT_FALSE(tokenizer->vocabulary()->is_end(1));
  EXPECT_FALSE(tokenizer->add_bos());
  EXPECT_EQ(tokenizer->vocabulary()->canonical()("Hello world").value(),
            tokenizer->encode("Hello world").value());
}

}  // namespace
}  // namespace espalier::runtime
