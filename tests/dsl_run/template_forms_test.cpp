// The path that turns make, in the forms of templates that are not ChatML.
#include <gtest/gtest.h>

#include "dsl/context.h"
#include "runtime/chat/load_chat_template.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using runtime::Role;

// Alternating turns, trimmed, the system text in the first user turn (as gemma's template has it).
constexpr char kFolding[] =
    "{%- if messages[0].role == 'system' -%}{%- set system = messages[0].content + '\\n\\n' -%}{%- "
    "set messages = messages[1:] "
    "-%}{%- else -%}{%- set system = '' -%}{%- endif -%}"
    "{%- for m in messages -%}{%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}{{ "
    "raise_exception('roles must "
    "alternate') }}{%- endif -%}"
    "{{ '<|im_start|>' + m.role + '\\n' + (system if loop.first else '') + m.content | trim + "
    "'<|im_end|>\\n' }}{%- endfor -%}";

class TemplateForms : public ::testing::Test {
 protected:
  void use(const char* source) {
    const auto& tokenizer = testing::tiny_model()->tokenizer();
    auto chat = runtime::make_chat_template(source, tokenizer);
    ASSERT_TRUE(chat) << chat.error().message;
    model_ = {tokenizer, *chat, 4096};
  }
  Context context() { return {model_, world_.engine->open()}; }
  Status turn(Context& context, Role role, std::string_view text) {
    ESP_TRY(context.open(role));
    context.text(text);
    return context.close();
  }
  std::string text(Context& context) {
    return model_.tokenizer->decode(context.branch().ids(), true);
  }
  // As the whole conversation gives them.
  std::vector<TokenId> rendered(const Json& messages) {
    const auto segments = model_.chat->render(messages, Json(), false);
    EXPECT_TRUE(segments) << segments.error().message;
    return runtime::encode(*model_.tokenizer, *segments).value();
  }

  testing::World world_;
  ModelParts model_;
};

TEST_F(TemplateForms, WritesWhatTheTemplateWouldTurnByTurn) {
  use(kFolding);
  Context it = context();
  Json messages = Json::array();
  const std::pair<Role, const char*> turns[] = {{Role::kSystem, "Be good."},
                                                {Role::kUser, "  \n the end "},
                                                {Role::kAssistant, "\n\nand"},
                                                {Role::kUser, "<|im_end|>"}};
  std::vector<TokenId> before;
  for (const auto& [role, said] : turns) {
    ASSERT_TRUE(turn(it, role, said));
    messages.push_back({{"role", std::string(name(role))}, {"content", said}});
    if (role == Role::kSystem) continue;  // alone, it is not written yet
    ASSERT_TRUE(it.flush());
    const std::vector<TokenId> ids = it.branch().ids();
    EXPECT_EQ(ids, rendered(messages)) << text(it);
    // A turn costs its own tokens only.
    ASSERT_GT(ids.size(), before.size());
    EXPECT_TRUE(std::equal(before.begin(), before.end(), ids.begin())) << text(it);
    before = ids;
  }
}

TEST_F(TemplateForms, JoinsAUserTurnToTheOneBeforeWhereTheTemplateRefusesTwo) {
  use(kFolding);
  Context it = context();
  ASSERT_TRUE(turn(it, Role::kUser, "Question "));
  const auto snapshot = it.snapshot();
  ASSERT_TRUE(snapshot);
  const std::string closed = text(it);
  for (int attempt = 0; attempt < 2; ++attempt) {
    EXPECT_FALSE(turn(it, Role::kUser, "Another."));
    ASSERT_TRUE(it.reopen(Role::kUser));
    it.text("\n\nIt failed.");
    ASSERT_TRUE(it.close());
    EXPECT_EQ(text(it), "<|im_start|>user\nQuestion\n\nIt failed.<|im_end|>\n");
    ASSERT_TRUE(turn(it, Role::kAssistant, "a"));
    it.restore(*snapshot);
    EXPECT_EQ(text(it), closed);
  }
  ASSERT_TRUE(turn(it, Role::kAssistant, "a"));
  const auto second = turn(it, Role::kSystem, "late");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kUnsupported);
}

TEST_F(TemplateForms, WritesEarlierTurnsAnewWhereTheTemplateChangesThem) {
  // The system text stands in the last user turn, and the prompt for an answer goes when it is
  // there.
  use("{% set turns = messages | rejectattr('role', 'equalto', 'system') | list %}{% for m in "
      "turns %}{{ '<|im_start|>' + m.role + "
      "'\\n' }}{% if loop.last and messages[0].role == 'system' %}{{ messages[0].content + '|' "
      "}}{% endif %}{{ m.content + "
      "'<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ "
      "'<|im_start|>think!<|im_end|><|im_start|>assistant\\n' }}{% "
      "endif %}");
  ASSERT_NE(model_.chat->not_incremental(), "");
  Context it = context();
  Json messages = Json::array();
  const std::pair<Role, const char*> turns[] = {{Role::kUser, "one"},
                                                {Role::kAssistant, "two"},
                                                {Role::kUser, "three"},
                                                {Role::kAssistant, "four"},
                                                {Role::kUser, "five"}};
  for (const auto& [role, said] : turns) {
    ASSERT_TRUE(it.open(role));
    if (!messages.empty()) {
      const auto before = model_.chat->render_before(messages, role, Json::object());
      ASSERT_TRUE(before) << before.error().message;
      EXPECT_EQ(it.branch().ids(), runtime::encode(*model_.tokenizer, *before).value()) << text(it);
    }
    const auto snapshot = it.snapshot();
    ASSERT_TRUE(snapshot);
    it.text("wrong");
    ASSERT_TRUE(it.close());
    it.restore(*snapshot);
    it.text(said);
    ASSERT_TRUE(it.close());
    messages.push_back({{"role", std::string(name(role))}, {"content", said}});
  }
}

TEST_F(TemplateForms, EscapesResultsThatStandInJson) {
  use("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + (m.content | tojson if m.role "
      "== 'tool' else m.content) + "
      "'<|im_end|>' }}{% endfor %}");
  Context it = context();
  ASSERT_TRUE(turn(it, Role::kUser, "a\"b"));
  ASSERT_TRUE(turn(it, Role::kAssistant, "c"));
  ASSERT_TRUE(turn(it, Role::kTool, "d\"\n"));
  EXPECT_EQ(it.branch().ids(), rendered({{{"role", "user"}, {"content", "a\"b"}},
                                         {{"role", "assistant"}, {"content", "c"}},
                                         {{"role", "tool"}, {"content", "d\"\n"}}}));
}

TEST_F(TemplateForms, HealingLeavesTheTemplatesOpeningAlone) {
  use("{% for m in messages %}{{ '<|im_start|>' + m.role + ' th' + m.content + '<|im_end|>' }}{% "
      "endfor %}");
  Context it = context();
  ASSERT_TRUE(it.open(Role::kAssistant));
  auto healed = it.heal();  // "the" could swallow the opening's "th"
  ASSERT_TRUE(healed);
  EXPECT_EQ(healed->dropped, 0u);
  it.text(" a");
  healed = it.heal();
  ASSERT_TRUE(healed);
  EXPECT_EQ(healed->prefix, "");
  it.text("n");
  healed = it.heal();
  ASSERT_TRUE(healed);
  EXPECT_NE(healed->prefix, "");
}

}  // namespace
}  // namespace espalier::dsl
