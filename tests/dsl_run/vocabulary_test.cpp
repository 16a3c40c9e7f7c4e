// Holes that a model's vocabulary cannot spell: said with a model at hand, and before a run.
#include <gmock/gmock.h>

#include "dsl/explanations.h"
#include "dsl/mock_model.h"
#include "runtime/chat/load_chat_template.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::HasSubstr;

/// A token for each byte but those `missing`, and one for "!?".
class Toy final : public runtime::Tokenizer {
 public:
  explicit Toy(std::string_view missing = "q7!") {
    grammar::Vocabulary::Spec spec;
    for (int byte = 0; byte < 256; ++byte)
      spec.bytes.emplace_back(missing.find(static_cast<char>(byte)) != std::string_view::npos
                                  ? std::string()
                                  : std::string(1, static_cast<char>(byte)));
    spec.bytes.emplace_back("!?");
    spec.bytes.emplace_back();
    spec.end_of_turn = 257;
    auto made = grammar::Vocabulary::create(std::move(spec));
    EXPECT_TRUE(made);
    vocabulary_ = *made;
  }
  Result<std::vector<TokenId>> encode(std::string_view text, runtime::TextStart) const override {
    std::vector<TokenId> ids;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text.substr(i, 2) == "!?") {
        ids.push_back(256);
        ++i;
      } else if (vocabulary_->bytes(static_cast<unsigned char>(text[i])).empty()) {
        return fail(ErrorCode::kUnsupported,
                    "no token spells the byte at offset " + std::to_string(i));
      } else {
        ids.push_back(static_cast<unsigned char>(text[i]));
      }
    }
    return ids;
  }
  Result<std::vector<TokenId>> encode_special(std::string_view text) const override {
    return encode(text, runtime::TextStart::kRun);
  }
  std::string decode(std::span<const TokenId> ids, bool) const override {
    std::string text;
    for (const TokenId id : ids) text += vocabulary_->bytes(id);
    return text;
  }
  std::string_view run_prefix() const override { return {}; }
  const grammar::VocabularyRef& vocabulary() const override { return vocabulary_; }
  std::size_t size() const override { return 258; }
  TokenId special(std::string_view) const override { return kNoToken; }
  bool takes_space_after(TokenId) const override { return false; }
  TokenId bos() const override { return kNoToken; }
  TokenId eos() const override { return 257; }
  bool add_bos() const override { return false; }
  bool add_eos() const override { return false; }

 private:
  grammar::VocabularyRef vocabulary_;
};

class VocabularyTest : public ::testing::Test {
 protected:
  void SetUp() override { use(std::make_shared<const Toy>()); }
  void use(const std::shared_ptr<const Toy>& tokenizer) {
    auto chat = runtime::make_chat_template(
        "{%- for m in messages -%}{{ m.role + ': ' + m.content + '\n' }}{%- endfor -%}", tokenizer);
    ASSERT_TRUE(chat) << chat.error().message;
    auto model = MockModel::create({tokenizer, *chat, 0}, real_system());
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::move(*model);
  }
  std::string said(const std::string& source) {
    const Compiled compiled = compile("toy.gen", source);
    EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    return render(model_->runner().check(*compiled.program), compiled.sources);
  }
  static std::string ask(const std::string& hole) {
    return "gen main() -> json {\n  user \"Go.\"\n  assistant \"" + hole +
           "\"\n  return json(x)\n}\n";
  }

  std::unique_ptr<MockModel> model_;
};

TEST_F(VocabularyTest, AHoleThatNoTokensSpellIsNamedWithItsPlaceAndAFix) {
  EXPECT_EQ(said(ask("$[x: /[0-6]q+/, max=9]")),
            "error[E0305]: this model's vocabulary cannot spell any value of `x`\n"
            " --> toy.gen:3:14\n"
            "  |\n"
            "3 |   assistant \"$[x: /[0-6]q+/, max=9]\"\n"
            "  |              ^^^^^^^^^^^^^^^^^^^^^^\n"
            "  = help: write it with other characters, or take a model that has a token for every "
            "byte\n");
}

TEST_F(VocabularyTest, TheExampleOfTheCodeIsOneAndItsRightProgramIsNone) {
  use(std::make_shared<const Toy>("\xE2"));
  int examples = 0;
  for (const Explanation& one : explanations()) {
    if (one.said_by != SaidBy::kModel) continue;
    ++examples;
    EXPECT_THAT(said(std::string(one.wrong)), HasSubstr("error[" + std::string(one.code) + "]"));
    EXPECT_EQ(said(std::string(one.right)), "");
  }
  EXPECT_EQ(examples, 1);
}

TEST_F(VocabularyTest, SoAreAFollowAndAChoiceThatItCannotSpell) {
  EXPECT_THAT(
      said(ask("$[x: int] q")),
      HasSubstr("cannot spell the text that ends `x`: no token spells the byte at offset 1"));
  EXPECT_THAT(said(ask("$[x: select \"yes\" | \"quite\"]")),
              HasSubstr("cannot spell \"quite\", which `x` chooses from"));
}

TEST_F(VocabularyTest, WhatCanBeWrittenInOtherWordsIsFine) {
  EXPECT_EQ(said(ask("$[x: \"yes\" | \"quite\"]")), "");
  EXPECT_EQ(said(ask("$[x: string] end")), "");
  EXPECT_EQ(said(ask("$[x: /a!?\\?b/]")), "");
  EXPECT_EQ(said(ask("$[x: int(0..99)]")), "");
}

TEST_F(VocabularyTest, EveryHoleIsReportedAndSoAreBudgetsThatThisModelNeedsMoreThan) {
  const std::string all = said(
      "gen main() -> string {\n  user \"Go.\"\n  assistant \"$[a: \"q\"].$[b: int]7 \"\n"
      "  let c = other()\n  return \"${a} ${b} ${c}\"\n}\n"
      "gen other() -> string {\n  assistant \"$[c: \"abcdef\", max=3]\"\n  return c\n}\n");
  EXPECT_THAT(all, HasSubstr("any value of `a`"));
  EXPECT_THAT(all, HasSubstr("the text that ends `b`"));
  EXPECT_THAT(all, HasSubstr("error[E0704]: `c` needs at least 6 tokens; max is 3"));
}

TEST_F(VocabularyTest, ARunSaysItBeforeItsFirstToken) {
  const Compiled compiled = compile("toy.gen", ask("$[x: \"q\"]"));
  ASSERT_NE(compiled.program, nullptr);
  const auto out = model_->runner().run_now(compiled.program, "", Json::object(), {});
  ASSERT_FALSE(out);
  EXPECT_THAT(out.error().rendered, HasSubstr("error[E0305]"));
  EXPECT_EQ(model_->runner().engine().stats().requests, 0U);
}

}  // namespace
}  // namespace espalier::dsl
