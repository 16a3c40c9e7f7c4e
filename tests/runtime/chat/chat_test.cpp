#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <sstream>

#include "base/random.h"
#include "base/system.h"
#include "runtime/chat/load_chat_template.h"
#include "runtime/chat/segments.h"
#include "runtime/chat/tool_syntax.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/support/data.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/memory_mapping.h"

namespace espalier::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr Role kRoles[] = {Role::kSystem, Role::kUser, Role::kAssistant, Role::kTool};

struct Loaded {
  std::shared_ptr<const Tokenizer> tokenizer;
  std::shared_ptr<const ChatTemplate> chat;

  std::string text(const Segments& segments) const { return text_of(*tokenizer, segments); }
};

Loaded load(const Gguf& file) {
  Loaded loaded;
  auto tokenizer = load_tokenizer(file);
  EXPECT_TRUE(tokenizer) << tokenizer.error().message;
  loaded.tokenizer = *tokenizer;
  auto chat = load_chat_template(file, loaded.tokenizer);
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

// What the pieces write for a conversation.
Segments by_pieces(const ChatTemplate& chat, const std::vector<Role>& roles,
                   const std::vector<std::string>& texts) {
  Segments out = chat.begin(roles.front());
  std::optional<Role> previous;
  for (std::size_t i = 0; i < roles.size(); ++i) {
    append(out, chat.open(roles[i], previous));
    append(out, {{kNoToken, texts[i]}});
    append(out, chat.close(roles[i]));
    previous = roles[i];
  }
  return out;
}

Json messages_of(const std::vector<Role>& roles, const std::vector<std::string>& texts) {
  Json messages = Json::array();
  for (std::size_t i = 0; i < roles.size(); ++i)
    messages.push_back({{"role", std::string(name(roles[i]))}, {"content", texts[i]}});
  return messages;
}

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

// --- The templates of the reference data
// -------------------------------------------------------------

std::vector<std::pair<std::string, std::string>> reference_templates() {
  std::vector<std::pair<std::string, std::string>> found;
  const auto folder = testing::data_file("tokenizers/chat_templates");
  if (!folder) return found;
  for (const auto& entry : std::filesystem::directory_iterator(*folder)) {
    std::ifstream in(entry.path());
    std::stringstream source;
    source << in.rdbuf();
    found.emplace_back(entry.path().stem().string(), source.str());
  }
  std::sort(found.begin(), found.end());
  return found;
}

// Those whose own rules change an earlier turn's text when a turn is added.
const std::set<std::string> kNotIncremental = {
    "CohereForAI-c4ai-command-r-plus-tool_use",
    "deepseek-ai-DeepSeek-R1-Distill-Llama-8B",
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B",
    "llama-cpp-deepseek-r1",
    "mistralai-Mistral-Nemo-Instruct-2407",
    // Both end a tool result without its line's end where it is the conversation's last message.
    "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
    "NousResearch-Hermes-3-Llama-3.1-8B-tool_use",
};

TEST(ReferenceTemplates, NeverChangeAnEarlierTurnWhereTheyPermitIt) {
  const auto templates = reference_templates();
  if (templates.empty()) GTEST_SKIP() << "no reference data";
  for (const auto& [title, source] : templates) {
    const auto it = with_template(source);
    std::cout << title << ": " << it.chat->family()
              << (it.chat->not_incremental().empty() ? "" : "; ") << it.chat->not_incremental()
              << '\n';
    for (const Role role : kRoles) {
      if (!it.chat->supports(role))
        std::cout << "    no " << name(role) << ": " << it.chat->refusal(role) << '\n';
    }
    EXPECT_NE(it.chat->family(), "custom") << title;
    if (title == "fireworks-ai-llama-3-firefunction-v2") {  // it wants variables of its own
      EXPECT_THAT(it.chat->refusal(Role::kUser), HasSubstr("'functions' is undefined"));
      continue;
    }
    EXPECT_TRUE(it.chat->supports(Role::kUser)) << title;
    EXPECT_TRUE(it.chat->supports(Role::kAssistant)) << title;
    EXPECT_EQ(it.chat->not_incremental().empty(), !kNotIncremental.contains(title))
        << title << ": " << it.chat->not_incremental();
    if (!it.chat->not_incremental().empty()) continue;
    // Random conversations of the turns that the template permits: the pieces give a beginning of
    // what the template gives, and a longer conversation begins with a shorter one.
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      const RandomKey key = RandomKey(seed).with("conversation");
      std::uint64_t draws = 0;
      const auto draw = [&](std::uint64_t n) {
        return static_cast<std::size_t>(key.uniform(draws++) * static_cast<double>(n));
      };
      std::vector<Role> roles;
      std::vector<std::string> texts;
      for (std::size_t turns = 1 + draw(9); roles.size() < turns;) {
        std::vector<Role> possible;
        for (const Role role : kRoles) {
          const auto previous = roles.empty() ? std::nullopt : std::optional(roles.back());
          if (it.chat->refusal(role, previous).empty() &&
              (!roles.empty() || role == Role::kUser || role == Role::kSystem))
            possible.push_back(role);
        }
        if (possible.empty()) break;
        roles.push_back(possible[draw(possible.size())]);
        texts.push_back("Text " + std::to_string(draw(100)) + " of a turn.");
      }
      if (std::count(roles.begin(), roles.end(), Role::kSystem) >
          (roles.front() == Role::kSystem ? 1 : 0))
        continue;
      const auto whole = it.chat->render(messages_of(roles, texts), Json(), false);
      if (!whole) continue;  // a rule about more than two turns
      std::vector<std::string> written = texts;
      const Segments pieces = by_pieces(*it.chat, roles, written);
      EXPECT_TRUE(without_prefix(*whole, pieces)) << title << " " << seed << "\n"
                                                  << it.text(*whole) << "\n---\n"
                                                  << it.text(pieces);
    }
  }
}

TEST(ReferenceTemplates, WriteToolCallsThatReadBackEqual) {
  const auto templates = reference_templates();
  if (templates.empty()) GTEST_SKIP() << "no reference data";
  std::size_t with_calls = 0;
  for (const auto& [title, source] : templates) {
    const auto it = with_template(source);
    const ToolSyntax* syntax = it.chat->tool_syntax();
    std::cout << title << ": "
              << (syntax == nullptr        ? "no tool syntax"
                  : syntax->writes_calls() ? "calls"
                                           : "definitions only")
              << '\n';
    if (syntax == nullptr) continue;
    std::vector<ToolCall> calls = {
        {"get_weather",
         {{"city", "Zürich \"x\" }]"}, {"days", 3}, {"deep", {{"a", {1, 2.5, nullptr}}}}},
         "abcdef123"},
        {"other", Json::object(), "abcdef124"}};
    if (!syntax->form().several) calls.pop_back();
    // What the syntax writes, it reads.
    const auto own = syntax->parse("Some text." + syntax->write(calls));
    if (syntax->form().prefix.empty() && syntax->form().begin.empty()) {
      const auto bare = syntax->parse(syntax->write(calls));
      ASSERT_TRUE(bare) << title;
      EXPECT_EQ(bare->calls.size(), calls.size()) << title;
    } else {
      ASSERT_TRUE(own) << title << ": " << own.error().message;
      ASSERT_EQ(own->calls.size(), calls.size()) << title;
      EXPECT_THAT(own->text, StartsWith("Some text.")) << title;
    }
    if (!syntax->writes_calls()) continue;
    ++with_calls;
    // What the template writes, it reads.
    Json messages =
        Json::array({{{"role", "user"}, {"content", "question"}}, syntax->message(calls)});
    const auto rendered = it.chat->render(messages, Json(), false);
    const Json definition =
        Json::parse(R"([{"type": "function", "function": {"name": "t", "description": "d",
        "parameters": {"type": "object", "properties": {}, "required": []}}}])");
    const auto with_tools = it.chat->render(messages, definition, false);
    ASSERT_TRUE(rendered || with_tools) << title << rendered.error().message;
    const std::string text = it.text(rendered ? *rendered : *with_tools);
    const std::string turn = text.substr(text.rfind("question") + 8);
    const std::size_t begin = turn.find(
        std::string(syntax->form().begin.empty()
                        ? syntax->form().name_prefix.empty()
                              ? syntax->form().prefix.empty() ? "{" : syntax->form().prefix
                              : syntax->form().name_prefix
                        : syntax->form().begin));
    ASSERT_NE(begin, std::string::npos) << title << turn;
    auto body = turn.substr(begin);
    const auto parsed = syntax->parse(body);
    ASSERT_TRUE(parsed) << title << ": " << parsed.error().message << "\n" << body;
    ASSERT_EQ(parsed->calls.size(), calls.size()) << title << "\n" << body;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(parsed->calls[i].name, calls[i].name) << title;
      EXPECT_EQ(parsed->calls[i].arguments, calls[i].arguments) << title << "\n" << body;
    }
  }
  EXPECT_GE(with_calls, 10u);
}

// The pieces of a template that has the tools bound are what it writes with them given.
TEST(ReferenceTemplates, WithToolsTheirPiecesGiveTheConversationsWithDefinitions) {
  const auto templates = reference_templates();
  if (templates.empty()) GTEST_SKIP() << "no reference data";
  const Json definitions = Json::parse(R"([{"type": "function", "function": {"name": "find_it",
      "description": "Finds \"it\". <|im_start|>", "parameters": {"type": "object", "properties":
      {"x": {"type": "string", "description": "an x"}}, "required": ["x"]}}}])");
  std::size_t bound = 0;
  for (const auto& [title, source] : templates) {
    const auto it = with_template(source);
    const auto made = it.chat->with_tools(definitions);
    const ToolSyntax* syntax = it.chat->tool_syntax();
    if (syntax == nullptr || !syntax->writes_definitions()) {
      EXPECT_FALSE(made) << title;
      continue;
    }
    if (!made) {
      std::cout << title << ": " << made.error().message << '\n';
      continue;
    }
    ++bound;
    const ChatTemplate& chat = **made;
    if (!chat.not_incremental().empty()) {
      std::cout << title << ": rendered whole (" << chat.not_incremental() << ")\n";
      continue;
    }
    for (const std::vector<Role>& roles :
         {std::vector<Role>{Role::kUser, Role::kAssistant},
          std::vector<Role>{Role::kSystem, Role::kUser, Role::kAssistant, Role::kUser}}) {
      Json messages = Json::array();
      Segments pieces;
      bool possible = true;
      for (std::size_t i = 0; i < roles.size(); ++i) {
        const auto previous = i == 0 ? std::nullopt : std::optional(roles[i - 1]);
        possible = possible && chat.refusal(roles[i], previous).empty();
        const std::string text = "text " + std::to_string(i);
        messages.push_back({{"role", std::string(name(roles[i]))}, {"content", text}});
        if (i == 0) append(pieces, chat.begin(roles[i]));
        append(pieces, chat.open(roles[i], previous));
        append(pieces, {{kNoToken, text}});
        if (i + 1 < roles.size()) append(pieces, chat.close(roles[i]));
      }
      if (!possible) continue;
      const auto whole = it.chat->render(messages, definitions, false);
      ASSERT_TRUE(whole) << title << ": " << whole.error().message;
      EXPECT_THAT(it.text(*whole), StartsWith(it.text(pieces))) << title;
      EXPECT_THAT(it.text(*whole), HasSubstr("find_it")) << title;
    }
  }
  EXPECT_GE(bound, 5u);
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
