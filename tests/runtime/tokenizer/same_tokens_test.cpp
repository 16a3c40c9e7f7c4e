// Whether two vocabularies are one, and the words in which their first difference is told.
#include "runtime/tokenizer/same_tokens.h"

#include <gmock/gmock.h>

#include "grammar/vocabulary.h"

namespace espalier::runtime {
namespace {

using ::testing::HasSubstr;

/// Tokens by their bytes; those without are control tokens with a text.
class Listed final : public Tokenizer {
 public:
  Listed(std::vector<std::string> bytes, TokenId end, std::string control)
      : control_(std::move(control)) {
    grammar::Vocabulary::Spec spec;
    spec.bytes = std::move(bytes);
    spec.end_of_turn = end;
    vocabulary_ = grammar::Vocabulary::create(std::move(spec)).value();
  }
  Result<std::vector<TokenId>> encode(std::string_view, TextStart) const override {
    return std::vector<TokenId>{};
  }
  Result<std::vector<TokenId>> encode_special(std::string_view) const override {
    return std::vector<TokenId>{};
  }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string out;
    for (const TokenId id : ids) {
      const auto bytes = vocabulary_->bytes(id);
      out += bytes.empty() ? control_ : std::string(bytes);
    }
    return out;
  }
  std::string_view run_prefix() const override { return ""; }
  const grammar::VocabularyRef& vocabulary() const override { return vocabulary_; }
  std::size_t size() const override { return vocabulary_->size(); }
  TokenId special(std::string_view) const override { return kNoToken; }
  bool takes_space_after(TokenId) const override { return false; }
  TokenId bos() const override { return kNoToken; }
  TokenId eos() const override { return kNoToken; }
  bool add_bos() const override { return false; }
  bool add_eos() const override { return false; }

 private:
  grammar::VocabularyRef vocabulary_;
  std::string control_;
};

TEST(TokenDifference, NamesTheFirst) {
  const Listed model({"a", "b", "", ""}, 2, "<end>");
  EXPECT_EQ(token_difference(model, model), std::nullopt);
  EXPECT_EQ(token_difference(model, Listed({"a", "b", "", ""}, 2, "<end>")), std::nullopt);
  EXPECT_EQ(*token_difference(model, Listed({"a", "b", ""}, 2, "<end>")),
            "it has 3 tokens, the model 4");
  EXPECT_EQ(*token_difference(model, Listed({"a", "x\n", "", ""}, 2, "<end>")),
            R"(token 1 is "b" in the model and "x\n" in it)");
  EXPECT_EQ(*token_difference(model, Listed({"a", "b", "", ""}, 2, "<eos>")),
            R"(token 2 is "<end>" in the model and "<eos>" in it)");
  EXPECT_THAT(*token_difference(model, Listed({"a", "b", "<end>", ""}, 3, "<end>")),
              HasSubstr("once text and once a control token"));
  EXPECT_EQ(*token_difference(model, Listed({"a", "b", "", ""}, 3, "<end>")),
            R"(token 2, "<end>", ends a text in the model only)");
}

}  // namespace
}  // namespace espalier::runtime
