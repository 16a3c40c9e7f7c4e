// The grammar room on real vocabularies: masks against the byte recogniser, token by token.
#include <gtest/gtest.h>

#include <random>

#include "base/system.h"
#include "grammar/matcher.h"
#include "runtime/model/gguf.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/data.h"

namespace espalier::grammar {
namespace {

// Vocabularies of each family: byte-level pieces, SentencePiece's.
struct TestModel {
  const char* file;
  int texts;  // of each hole; the larger the vocabulary, the fewer
};

class GrammarVocabulary : public ::testing::TestWithParam<TestModel> {
 protected:
  void SetUp() override {
    const auto path = espalier::testing::model_file(GetParam().file);
    if (!path) GTEST_SKIP() << "no model " << GetParam().file;
    const auto file = runtime::Gguf::open(*path, real_system());
    ASSERT_TRUE(file) << file.error().message;
    const auto tokenizer = runtime::load_tokenizer(*file);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    vocabulary = (*tokenizer)->vocabulary();
  }
  VocabularyRef vocabulary;
};
INSTANTIATE_TEST_SUITE_P(All, GrammarVocabulary,
                         ::testing::Values(TestModel{"SmolLM2-135M-Instruct.Q4_1.gguf", 6},
                                           TestModel{"gemma-3-270m-q4_k_m.gguf", 1},
                                           TestModel{"qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
                                                     1}));

TypeRef make(TypeKind kind, std::vector<TypeRef> items = {}, std::optional<std::uint64_t> low = {},
             std::optional<std::uint64_t> high = {}) {
  Type t;
  t.kind = kind;
  t.items = std::move(items);
  t.low = low;
  t.high = high;
  return std::make_shared<const Type>(std::move(t));
}

TEST_P(GrammarVocabulary, MasksAgreeWithTheRecogniserTokenByTokenAndHolesClose) {
  Type person;
  person.kind = TypeKind::kRecord;
  person.fields = {
      {"name", "name", make(TypeKind::kString), false, {}},
      {"n", "n", make(TypeKind::kInt), true, {}},
      {"tags", "tags", make(TypeKind::kList, {make(TypeKind::kString, {}, 2, 9)}, 0, 3), false, {}},
      {"x", "x", make(TypeKind::kFloat), false, {}}};
  const TypeRef record = std::make_shared<const Type>(person);
  const std::vector<std::pair<TypeRef, std::string>> holes = {
      {record, ""},
      {make(TypeKind::kLine), "\n"},
      {make(TypeKind::kString), "</a>"},
      {make(TypeKind::kString, {}, 3, 30), "."},
      {make(TypeKind::kJson), ""},
      {make(TypeKind::kFloat), "."},
  };
  for (std::size_t h = 0; h < holes.size(); ++h) {
    const auto grammar = compile(vocabulary, holes[h].first, holes[h].second);
    ASSERT_TRUE(grammar.has_value()) << grammar.error().message;
    std::mt19937 random(static_cast<unsigned>(h));
    for (int text = 0; text < GetParam().texts; ++text) {
      Matcher m = (*grammar)->start();
      std::uint32_t left = (*grammar)->least_tokens() + random() % 40;
      for (int step = 0; !m.done(); ++step) {
        ASSERT_LT(step, 400);
        SCOPED_TRACE("hole " + std::to_string(h) + " after " + m.text() + ", left " +
                     std::to_string(left));
        ASSERT_TRUE(m.distance() <= left);
        const MaskRef mask = m.mask(left);
        ASSERT_GT(mask->count(), 0U);
        std::vector<TokenId> allowed;
        const bool compare = left > 0 && random() % 4 == 0;
        for (std::size_t id = 0; id < vocabulary->size(); ++id) {
          const auto t = static_cast<TokenId>(id);
          if (mask->allows(t)) allowed.push_back(t);
          if (!compare || vocabulary->is_end(t)) continue;
          Matcher next = m;
          const bool fits = next.advance(t) && next.distance() <= left - 1;
          ASSERT_EQ(mask->allows(t), fits) << id << " \"" << vocabulary->bytes(t) << "\"";
        }
        ASSERT_TRUE(m.advance(allowed[random() % allowed.size()]));
        if (left > 0) --left;
      }
      (void)m.value();
    }
  }
}

// Forced tokens are the model's own spelling, and jumping over them changes nothing.
TEST_P(GrammarVocabulary, ForcedTokensAreCanonicalAndJumpingGivesTheSameText) {
  Type record;
  record.kind = TypeKind::kRecord;
  record.fields = {{"description", "description", make(TypeKind::kBool), false, {}},
                   {"certainty", "certainty", make(TypeKind::kInt), false, {}}};
  const auto grammar = compile(vocabulary, std::make_shared<const Type>(record), "");
  ASSERT_TRUE(grammar.has_value());
  std::uint32_t forced_tokens = 0;
  for (unsigned seed = 0; seed < 10; ++seed) {
    std::string texts[2];
    for (const bool jump : {false, true}) {
      std::mt19937 random(seed);
      Matcher m = (*grammar)->start();
      std::uint32_t left = 60;
      while (!m.done()) {
        std::vector<TokenId> next = m.forced(left);
        if (jump) forced_tokens += static_cast<std::uint32_t>(next.size());
        if (!jump && next.size() > 1) next.resize(1);
        if (next.empty()) {
          const MaskRef mask = m.mask(left);
          std::vector<TokenId> allowed;
          for (std::size_t id = 0; id < vocabulary->size(); ++id) {
            if (mask->allows(static_cast<TokenId>(id))) allowed.push_back(static_cast<TokenId>(id));
          }
          ASSERT_FALSE(allowed.empty());
          next = {allowed[random() % allowed.size()]};
        }
        for (const TokenId id : next) {
          ASSERT_TRUE(m.mask(left)->allows(id)) << vocabulary->bytes(id);
          ASSERT_TRUE(m.advance(id));
          if (left > 0) --left;
        }
      }
      texts[jump ? 1 : 0] = m.text();
    }
    EXPECT_EQ(texts[0], texts[1]);
  }
  EXPECT_GT(forced_tokens, 10U);
}

// What a grammar forces is spelled so that it reads the same, wherever it stands in a word.
TEST_P(GrammarVocabulary, CanonicalIdsHaveTheBytesAskedFor) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (unsigned i = random() % 12; i > 0; --i) {
      const auto id = static_cast<TokenId>(random() % vocabulary->size());
      if (!vocabulary->is_end(id)) text += vocabulary->bytes(id);
    }
    if (!text.empty() && random() % 4 == 0) text = text.substr(random() % text.size());
    const auto ids = vocabulary->canonical()(text);
    if (!ids) continue;  // some vocabularies lack bytes
    std::string back;
    for (const TokenId id : *ids) back += vocabulary->bytes(id);
    ASSERT_EQ(back, text) << "round " << round;
  }
}

}  // namespace
}  // namespace espalier::grammar
