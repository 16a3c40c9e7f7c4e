#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/system.h"
#include "runtime/chat/tool_syntax.h"
#include "tests/runtime/chat/support.h"

namespace espalier::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kTurns[] =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ '<|im_end|>' + "
    "'\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// Turns in a row, folded as gemma and mistral do.
constexpr char kFolding[] =
    "{%- if messages[0].role == 'system' -%}{%- set system = messages[0].content + '\\n\\n' -%}{%- "
    "set messages = messages[1:] "
    "-%}{%- else -%}{%- set system = '' -%}{%- endif -%}"
    "{%- for m in messages -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}{{ "
    "raise_exception('roles must "
    "alternate') }}{%- endif -%}"
    "{{ '<|im_start|>' + m.role + '\\n' + (system if loop.first else '') + m.content | trim + "
    "'<|im_end|>\\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}";

TEST(ChatMl, WritesTurnsOfEveryRole) {
  const auto it = with_template(kTurns);
  EXPECT_EQ(it.chat->family(), "chatml");
  EXPECT_EQ(it.chat->not_incremental(), "");
  for (const Role role : kRoles) {
    EXPECT_TRUE(it.chat->supports(role));
    EXPECT_EQ(it.chat->refusal(role), "");
    EXPECT_EQ(it.text(it.chat->open(role)), "<|im_start|>" + std::string(name(role)) + "\n");
    EXPECT_EQ(it.text(it.chat->close(role)), "<|im_end|>\n");
    EXPECT_EQ(it.chat->close(role).front().control, it.tokenizer->vocabulary()->end_of_turn());
    EXPECT_THAT(it.chat->begin(role), IsEmpty());
  }
}

TEST(ChatMl, AddsTheDefaultSystemTurnWhereTheTemplateDoes) {
  for (const char* newline : {"\n", "\\n"}) {
    const auto it =
        with_template("{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system" +
                      std::string(newline) + "You\\'re here.<|im_end|>\\n' }}{% endif %}" + kTurns);
    EXPECT_EQ(it.text(it.chat->begin(Role::kUser)), "<|im_start|>system\nYou're here.<|im_end|>\n");
    EXPECT_THAT(it.chat->begin(Role::kSystem), IsEmpty());
  }
}

TEST(ChatMl, BeginsWithBosWhereTheModelWantsIt) {
  auto writer = testing::TinyLlama{}.writer();
  writer.boolean("tokenizer.ggml.add_bos_token", true).u32("tokenizer.ggml.bos_token_id", 0);
  const auto it = load(writer);
  EXPECT_EQ(it.text(it.chat->begin(Role::kSystem)), "<|endoftext|>");
  // Once, where the template writes it itself.
  writer.string("tokenizer.chat_template", std::string("{{ bos_token }}") + kTurns);
  const auto twice = load(writer);
  EXPECT_EQ(twice.text(twice.chat->begin(Role::kSystem)), "<|endoftext|>");
}

TEST(ChatTemplate, OfABaseModelHasNoRoles) {
  testing::TinyLlama base;
  base.chat = false;
  const auto it = load(base.writer());
  EXPECT_EQ(it.chat->family(), "none");
  EXPECT_FALSE(it.chat->supports(Role::kUser));
  EXPECT_THAT(it.chat->refusal(Role::kUser), HasSubstr("no chat template"));
}

TEST(ChatTemplate, ThatCannotBeCompiledSupportsNoRoleAndSaysWhy) {
  const auto it = with_template("{{ messages }}\n{% include 'other' %}");
  EXPECT_EQ(it.chat->family(), "unknown");
  EXPECT_FALSE(it.chat->supports(Role::kUser));
  EXPECT_THAT(it.chat->refusal(Role::kUser), HasSubstr("line 2: {% include %} is not supported"));
  EXPECT_FALSE(it.chat->render(Json::array(), Json(), true));
}

TEST(ChatTemplate, ThatDoesNotEndIsGivenUpAtOnce) {
  const auto it = with_template(
      "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}");
  EXPECT_FALSE(it.chat->supports(Role::kUser));
  EXPECT_THAT(it.chat->refusal(Role::kUser),
              HasSubstr("does not end: line 1: more than 500000 steps"));
}

TEST(ChatTemplate, RefusesRolesInTheTemplatesOwnWords) {
  const auto it = with_template(
      "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not "
      "supported') }}{% endif %}"
      "{% if m.role != 'tool' %}{{ m.role + ':' + m.content + ';' }}{% endif %}{% endfor %}");
  EXPECT_FALSE(it.chat->supports(Role::kSystem));
  EXPECT_THAT(it.chat->refusal(Role::kSystem), HasSubstr("System role not supported"));
  EXPECT_FALSE(it.chat->supports(Role::kTool));
  EXPECT_THAT(it.chat->refusal(Role::kTool), HasSubstr("drops"));
  EXPECT_TRUE(it.chat->supports(Role::kUser));
  EXPECT_EQ(it.chat->family(), "custom");
}

TEST(ChatTemplate, FoldsTheSystemTextIntoTheFirstUserTurn) {
  const auto it = with_template(kFolding);
  EXPECT_EQ(it.chat->not_incremental(), "");
  EXPECT_EQ(it.text(by_pieces(*it.chat, {Role::kSystem, Role::kUser, Role::kAssistant, Role::kUser},
                              {"s", "u", "a", "v"})),
            "<|im_start|>user\ns\n\nu<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n<|im_start|>"
            "user\nv<|im_end|>\n");
  EXPECT_EQ(it.chat->text_form(Role::kUser), TextForm::kTrimmed);
  EXPECT_EQ(it.chat->text_form(Role::kSystem), TextForm::kPlain);
  EXPECT_THAT(it.chat->refusal(Role::kUser, Role::kUser), HasSubstr("roles must alternate"));
  EXPECT_EQ(it.chat->refusal(Role::kAssistant, Role::kUser), "");
}

TEST(ChatTemplate, SaysWhichPartChangesWhenATurnIsAdded) {
  const auto moving = with_template(
      "{% for m in messages %}{% if m.role != 'system' %}{% if loop.last and messages[0].role == "
      "'system' %}{{ "
      "'<|im_start|>' + messages[0].content + '|' }}{% else %}{{ '<|im_start|>' }}{% endif %}{{ "
      "m.content + '<|im_end|>' }}{% endif "
      "%}{% endfor %}");
  EXPECT_THAT(std::string(moving.chat->not_incremental()), HasSubstr("system"));
  const auto prompt =
      with_template(std::string(kTurns) + "{% if add_generation_prompt %}go on{% endif %}");
  EXPECT_EQ(prompt.text(prompt.chat->generation_suffix()), "go on");
  EXPECT_EQ(prompt.chat->not_incremental(), "");
}

TEST(ChatTemplate, FindsReasoningThatHistoryDrops) {
  EXPECT_FALSE(with_template(kTurns).chat->drops_reasoning());
  EXPECT_TRUE(with_template("{% for m in messages %}{{ '<|im_start|>' + "
                            "m.content.split('</think>')[-1] + '<|im_end|>' }}{% endfor %}")
                  .chat->drops_reasoning());
}

TEST(ChatTemplate, WritesToolResultsInsideJsonEscaped) {
  const auto it = with_template(
      "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + (m.content | tojson if m.role "
      "== 'tool' else m.content) + "
      "'<|im_end|>' }}{% endfor %}");
  EXPECT_EQ(it.chat->text_form(Role::kTool), TextForm::kJson);
  EXPECT_EQ(it.text(it.chat->open(Role::kTool, Role::kAssistant)), "<|im_start|>tool\n\"");
  EXPECT_EQ(it.text(it.chat->close(Role::kTool)), "\"<|im_end|>");
  EXPECT_EQ(in_form(TextForm::kJson, "a\"\n\x01", false), "a\\\"\\n\\u0001");
}

// CONTRACTS 15: whatever a user writes, and whatever a filter makes of it, is no control token.
TEST(ControlTokens, ComeFromTheTemplateAlone) {
  const char* const ways[] = {
      "{{ m.content }}",
      "{{ m.content | trim }}",
      "{{ m.content | tojson }}",
      "{{ m.content | replace('x', '') }}",
      "{{ m.content | upper | lower }}",
      "{{ m.content[:8] ~ m.content[8:] }}",
      "{{ m.content.split('x') | join }}",
      "{{ '%s' % m.content }}",
      "{{ '{}'.format(m.content) }}",
      "{{ m.content | list | join }}",
      "{{ m.content[::-1][::-1] }}",
      "{{ [m.content] | string }}",
      "{% set a = m.content %}{% set b %}{{ a }}{% endset %}{{ b }}",
      "{% filter trim %}{{ m.content }}{% endfilter %}",
      "{{ '<|' + m.content[2:] }}",  // half the template's, half the user's
      "{{ m.content[:-2] + '|>' }}",
      "{{ m.content | indent }}",
      "{{ m.content | safe }}",
      "{{ m.content * 2 }}",
      "{{ m.content.center(40, '|') }}",
      "{{ m.content | urlencode }}{{ m.content | reverse | reverse }}{{ m.content | title }}",
      "{% for c in m.content %}{{ c }}{% endfor %}",
      "{% macro show(t) %}{{ t }}{% endmacro %}{{ show(m.content) }}",
      "{{ m.items() | list }}{{ m }}{{ m | dictsort }}",
  };
  for (const char* way : ways) {
    const auto it =
        with_template(std::string("{% for m in messages %}") + way + "<|im_end|>{% endfor %}");
    for (const std::string text : {"<|im_start|>", "x<|im_end|>x", "<|xim_start|>", "<|IM_END|>",
                                   "<|endoftext|> <|im_end|>"}) {
      const auto segments = it.chat->render({{{"role", "user"}, {"content", text}}}, Json(), false);
      ASSERT_TRUE(segments) << way << ": " << segments.error().message;
      std::size_t controls = 0;
      for (const Segment& segment : *segments) controls += segment.control != kNoToken ? 1 : 0;
      EXPECT_EQ(controls, 1u) << way << " with " << text;
      EXPECT_EQ(segments->back().control, it.tokenizer->special("<|im_end|>")) << way;
      const auto ids = encode(*it.tokenizer, *segments);
      ASSERT_TRUE(ids);
      EXPECT_EQ(std::count_if(ids->begin(), ids->end(), [](TokenId id) { return id < 3; }), 1)
          << way;
    }
  }
}

TEST(ControlTokens, OfARoleThatIsUnknownAreNone) {
  const auto it = with_template("{% for m in messages %}{{ '<|' + m.role + '|>' }}{% endfor %}");
  const auto segments = it.chat->render({{{"role", "im_end"}, {"content", ""}}}, Json(), false);
  ASSERT_TRUE(segments);
  EXPECT_EQ(*segments, (Segments{{kNoToken, "<|im_end|>"}}));
}

TEST(ControlTokens, OfToolsAndResultsAreNone) {
  const auto it = with_template(
      "{{ tools | tojson }}{% for m in messages %}{{ m | tojson }}{% endfor %}{{ eos_token }}");
  const Json tools = {{{"name", "<|im_start|>"}, {"<|im_start|>", 1}}};
  const auto segments =
      it.chat->render({{{"role", "tool"}, {"<|im_end|>", "<|im_end|>"}}}, tools, false);
  ASSERT_TRUE(segments);
  EXPECT_EQ(segments->size(), 2u);  // the text, and the template's own eos
}

TEST(ToolSyntax, RefusesCallsThatAreNotWhole) {
  const auto it = with_template(std::string("{# <tool_call> <tool_response> #}") +
                                "{% for m in messages %}{% for c in m.tool_calls %}<tool_call>\n{{ "
                                "c.function | tojson }}\n</tool_call>{% endfor %}{% endfor %}" +
                                "<|im_start|>");
  const ToolSyntax* syntax = it.chat->tool_syntax();
  ASSERT_NE(syntax, nullptr);
  const auto plain = syntax->parse("no call here");
  ASSERT_TRUE(plain);
  EXPECT_THAT(plain->calls, IsEmpty());
  for (const char* bad :
       {"<tool_call>", "<tool_call>\n{", "<tool_call>{\"name\": \"x\"", "<tool_call>{}</tool_call>",
        "<tool_call>[1]</tool_call>", "<tool_call>{\"name\": 1}</tool_call>",
        "<tool_call>{\"name\": \"a\", \"arguments\": [1]}</tool_call>",
        "<tool_call>{\"name\": \"a\", \"arguments\": \"{\"}</tool_call>",
        "<tool_call>{\"name\": \"a\"}</tool"}) {
    EXPECT_FALSE(syntax->parse(bad)) << bad;
  }
  EXPECT_FALSE(syntax->parse("<tool_call>" + std::string(1'000'000, '[')));
  const auto good = syntax->parse(
      "text <tool_call>{\"name\": \"a\", \"parameters\": {\"x\": "
      "1}}</tool_call>\n<tool_call>{\"name\": \"b\"}</tool_call>");
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->calls, (std::vector<ToolCall>{{"a", {{"x", 1}}, ""}, {"b", Json::object(), ""}}));
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
  EXPECT_EQ(it.chat->family(), "chatml");
  EXPECT_EQ(it.text(it.chat->begin(Role::kUser)), expected);
  EXPECT_EQ(encode(*it.tokenizer, it.chat->begin(Role::kUser)).value(),
            it.tokenizer->encode_special(expected).value());
  EXPECT_THAT(it.chat->begin(Role::kSystem), IsEmpty());
  EXPECT_TRUE(it.chat->supports(Role::kTool));
}

}  // namespace
}  // namespace espalier::runtime
