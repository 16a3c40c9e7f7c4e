#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/system.h"
#include "runtime/chat/jinja_literals.h"
#include "runtime/chat/load_chat_template.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/data.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"

namespace espalier::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Loaded {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat;

  std::string text(const std::vector<TokenId>& ids) const { return tokenizer->decode(ids, true); }
};

Loaded load(const Gguf& file) {
  Loaded loaded;
  auto tokenizer = load_tokenizer(file);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  loaded.tokenizer = *tokenizer;
  auto chat = load_chat_template(file, *loaded.tokenizer);
  EXPECT_TRUE(chat) << chat.error().message;
  loaded.chat = *chat;
  return loaded;
}

Loaded load(const testing::GgufWriter& writer) {
  const auto file = Gguf::parse(testing::mapping_of(writer.finish().bytes), "test.gguf");
  EXPECT_TRUE(file) << file.error().message;
  return load(*file);
}

Loaded with_template(const std::string& source) {
  auto writer = testing::TinyLlama{}.writer();
  writer.string("tokenizer.chat_template", source);
  return load(writer);
}

constexpr char kTurns[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + "
    "'\\n'}}{% endfor %}";

TEST(JinjaLiterals, AreThoseOfTags) {
  EXPECT_THAT(jinja_literals("a 'no' {{ 'x\\'\\n' + \"y'\" }}{# 'no' #}{% if a == 'z' %}"),
              ElementsAre("x'\n", "y'", "z"));
  EXPECT_THAT(jinja_literals("{{ 'a' + 'open }}"), ElementsAre("a"));
  EXPECT_THAT(jinja_literals("{"), ElementsAre());
  EXPECT_THAT(jinja_literals("{{ 'a\\"), ElementsAre());
  EXPECT_THAT(jinja_literals("{% '}}' %}"), ElementsAre("}}"));
}

TEST(ChatMl, WritesTurnsOfEveryRole) {
  const auto it = with_template(kTurns);
  EXPECT_EQ(it.chat->family(), "chatml");
  for (const Role role : {Role::kSystem, Role::kUser, Role::kAssistant, Role::kTool}) {
    EXPECT_TRUE(it.chat->supports(role));
    EXPECT_EQ(it.chat->refusal(role), "");
    EXPECT_EQ(it.text(it.chat->open(role)), "<|im_start|>" + std::string(name(role)) + "\n");
    EXPECT_EQ(it.text(it.chat->close(role)), "<|im_end|>\n");
    EXPECT_EQ(it.chat->close(role).front(), it.tokenizer->vocabulary()->end_of_turn());
    EXPECT_TRUE(it.chat->begin(role).empty());
  }
}

TEST(ChatMl, AddsTheDefaultSystemTurnWhereTheTemplateDoes) {
  for (const char* newline : {"\n", "\\n"}) {
    const auto it =
        with_template("{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system" +
                      std::string(newline) + "You\\'re here.<|im_end|>\\n' }}{% endif %}" + kTurns);
    EXPECT_EQ(it.chat->family(), "chatml");
    EXPECT_EQ(it.text(it.chat->begin(Role::kUser)), "<|im_start|>system\nYou're here.<|im_end|>\n");
    EXPECT_TRUE(it.chat->begin(Role::kSystem).empty());
  }
}

TEST(ChatMl, BeginsWithBosWhereTheModelWantsIt) {
  auto writer = testing::TinyLlama{}.writer();
  writer.boolean("tokenizer.ggml.add_bos_token", true).u32("tokenizer.ggml.bos_token_id", 0);
  EXPECT_THAT(load(writer).chat->begin(Role::kSystem), ElementsAre(0));
}

TEST(ChatMl, RefusesTheToolRoleWhereTheTemplateWritesItAnotherWay) {
  const auto it = with_template(
      std::string("{% if message.role == 'tool' %}{{ '<tool_response>' }}{% endif %}") + kTurns);
  EXPECT_TRUE(it.chat->supports(Role::kUser));
  EXPECT_FALSE(it.chat->supports(Role::kTool));
  EXPECT_THAT(it.chat->refusal(Role::kTool), HasSubstr("tool"));
}

TEST(ChatTemplate, OfABaseModelHasNoRoles) {
  testing::TinyLlama base;
  base.chat = false;
  const auto it = load(base.writer());
  EXPECT_EQ(it.chat->family(), "none");
  EXPECT_FALSE(it.chat->supports(Role::kUser));
  EXPECT_THAT(it.chat->refusal(Role::kUser), HasSubstr("no chat template"));
}

TEST(ChatTemplate, OfAnotherFamilyIsRefusedByName) {
  for (const char* source : {"{{ '[INST]' }}", "<|im_start|>", "", "{{ '<|im_start|>' }}", "{{"}) {
    const auto it = with_template(source);
    EXPECT_EQ(it.chat->family(), "unknown") << source;
    EXPECT_FALSE(it.chat->supports(Role::kUser));
    EXPECT_THAT(it.chat->refusal(Role::kUser), HasSubstr("not supported yet"));
  }
  // Two default prompts: which one holds depends on what is not read here.
  const std::string two =
      "{{ '<|im_start|>system\\na<|im_end|>' }}{{ '<|im_start|>system\\nb<|im_end|>' }}";
  EXPECT_EQ(with_template(two + kTurns).chat->family(), "unknown");
}

TEST(ChatTemplate, OfTheDefaultModelAddsItsSystemPrompt) {
  const auto path = testing::default_model();
  if (!path) GTEST_SKIP() << "no default model";
  const auto file = Gguf::open(*path, real_system());
  ASSERT_TRUE(file) << file.error().message;
  const auto it = load(*file);
  const std::string expected =
      "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
      "Face<|im_end|>\n";
  EXPECT_EQ(it.text(it.chat->begin(Role::kUser)), expected);
  EXPECT_EQ(it.chat->begin(Role::kUser), it.tokenizer->encode_special(expected).value());
  EXPECT_TRUE(it.chat->begin(Role::kSystem).empty());
  EXPECT_TRUE(it.chat->supports(Role::kTool));
}

}  // namespace
}  // namespace espalier::runtime
