// Ids equal those of llama.cpp, on data that nobody of this project wrote.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/system.h"
#include "base/utf8.h"
#include "runtime/tokenizer/load_tokenizer.h"
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

std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class VocabularyFile : public ::testing::TestWithParam<const char*> {};

TEST_P(VocabularyFile, GivesLlamaCppsIds) {
  const std::string name = std::string("tokenizers/ggml-vocab-") + GetParam() + ".gguf";
  const auto path = testing::data_file(name);
  if (!path) GTEST_SKIP() << "no reference data (" << name << ")";
  const auto tokenizer = load(*path);
  ASSERT_NE(tokenizer, nullptr);

  const std::string texts = slurp(*path + ".inp");
  std::istringstream lines(slurp(*path + ".out"));
  static const std::string kSeparator = "\n__ggml_vocab_test__\n";
  std::size_t at = 0;
  std::size_t cases = 0;
  std::string line;
  while (at < texts.size() && std::getline(lines, line)) {
    const std::size_t end = std::min(texts.find(kSeparator, at), texts.size());
    const std::string text = texts.substr(at, end - at);
    at = end + kSeparator.size();
    std::vector<TokenId> expected;
    std::istringstream numbers(line);
    for (TokenId id = 0; numbers >> id;) expected.push_back(id);
    const auto ids = tokenizer->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, expected) << "text: " << text;
    EXPECT_EQ(tokenizer->decode(*ids), text);
    ++cases;
  }
  EXPECT_GT(cases, 30U);
}
INSTANTIATE_TEST_SUITE_P(ByteLevel, VocabularyFile, ::testing::Values("gpt-2", "starcoder"));

TEST(DefaultModel, GivesLlamaCppsIds) {
  const auto model = testing::default_model();
  const auto reference = testing::data_file("reference/smollm2.json");
  if (!model || !reference) GTEST_SKIP() << "no default model or no reference data";
  const auto tokenizer = load(*model);
  ASSERT_NE(tokenizer, nullptr);
  const auto data = nlohmann::json::parse(slurp(*reference));
  for (const auto& it : data["cases"]) {
    const auto text = it["text"].get<std::string>();
    EXPECT_EQ(tokenizer->encode_special(text), it["ids"].get<std::vector<TokenId>>()) << text;
    EXPECT_EQ(tokenizer->decode(it["ids"].get<std::vector<TokenId>>(), true), text);
    EXPECT_EQ(tokenizer->decode(it["greedy"].get<std::vector<TokenId>>(), true),
              it["greedy_text"].get<std::string>());
  }
}

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

TEST(DefaultModel, GivesLlamaCppsIdsForLongTexts) {
  const auto model = testing::default_model();
  const auto reference = testing::data_file("reference/smollm2.json");
  const auto questions = testing::data_file("questions/gsm8k_train_first200.jsonl");
  const auto receipts = testing::data_file("receipts/receipts_000_312.jsonl");
  if (!model || !reference || !questions || !receipts)
    GTEST_SKIP() << "no default model or no reference data";
  const auto tokenizer = load(*model);
  ASSERT_NE(tokenizer, nullptr);
  const auto data = nlohmann::json::parse(slurp(*reference));
  const std::string texts[] = {joined_text(*questions, {"question", "answer"}, 4000),
                               joined_text(*receipts, {"text"}, 3000)};
  ASSERT_EQ(data["nll"].size(), std::size(texts));
  for (std::size_t i = 0; i < std::size(texts); ++i) {
    const auto& it = data["nll"][i];
    const auto ids = tokenizer->encode(texts[i]);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(ids->size(), it["n_tokens"].get<std::size_t>());
    const auto first = it["first_ids"].get<std::vector<TokenId>>();
    ASSERT_GE(ids->size(), first.size());
    EXPECT_EQ(std::vector<TokenId>(ids->begin(),
                                   ids->begin() + static_cast<std::ptrdiff_t>(first.size())),
              first);
    EXPECT_EQ(tokenizer->decode(*ids), texts[i]);
  }
}

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
