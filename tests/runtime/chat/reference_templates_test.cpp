// The chat templates of the reference data: what is found out about each, and the table of them in
// docs/models.md.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <iostream>
#include <set>

#include "base/random.h"
#include "base/system.h"
#include "runtime/chat/tool_syntax.h"
#include "tests/runtime/chat/support.h"
#include "tests/support/gguf_edit.h"
#include "tests/support/source_folder.h"

namespace espalier::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Json messages_of(const std::vector<Role>& roles, const std::vector<std::string>& texts) {
  Json messages = Json::array();
  for (std::size_t i = 0; i < roles.size(); ++i)
    messages.push_back({{"role", std::string(name(roles[i]))}, {"content", texts[i]}});
  return messages;
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

TEST(ReferenceTemplates, RefuseAsTheFirstTurnWhatTheTemplateRefusesThere) {
  const auto templates = reference_templates();
  if (templates.empty()) GTEST_SKIP() << "no reference data";
  std::size_t refused = 0;
  for (const auto& [title, source] : templates) {
    const auto it = with_template(source);
    for (const Role role : kRoles) {
      bool begins = false;
      for (const Role next : kRoles)
        begins =
            begins || it.chat->render(messages_of({role, next}, {"One.", "Two."}), Json(), false);
      if (begins) continue;
      ++refused;
      EXPECT_NE(it.chat->refusal(role, std::nullopt), "") << title << " " << name(role);
    }
    if (title.starts_with("google-gemma-2")) {
      EXPECT_THAT(it.chat->refusal(Role::kSystem, std::nullopt),
                  HasSubstr("System role not supported"));
    }
  }
  EXPECT_GT(refused, 3u);
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
    const auto own =
        syntax->parse("Some text." + write_calls(syntax->form(), calls, syntax->form().several));
    if (syntax->form().prefix.empty() && syntax->form().begin.empty()) {
      const auto bare = syntax->parse(write_calls(syntax->form(), calls, syntax->form().several));
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

std::string row(const std::string& title, const ChatTemplate& chat) {
  const ToolSyntax* syntax = chat.tool_syntax();
  std::string roles;
  for (const Role role : kRoles) {
    // A system turn that cannot come first is none to speak of.
    const bool usual = role != Role::kSystem || chat.refusal(role, std::nullopt).empty();
    if (chat.supports(role) && usual) roles += (roles.empty() ? "" : " ") + std::string(name(role));
  }
  const auto yes = [](bool is) { return is ? std::string("yes") : std::string("–"); };
  const bool pieces = chat.supports(Role::kUser) && chat.not_incremental().empty();
  return "| " + title + " | `" + std::string(chat.family()) + "` | " +
         (roles.empty() ? "–" : roles) + " | " + yes(pieces) + " | " +
         yes(syntax != nullptr && syntax->writes_definitions()) + " | " +
         yes(syntax != nullptr && syntax->writes_calls()) + " | " +
         yes(syntax != nullptr && syntax->writes_results()) + " | " + yes(chat.drops_reasoning()) +
         " |\n";
}

TEST(ModelsPage, SaysWhatTheReferenceTemplatesDo) {
  const auto templates = reference_templates();
  if (templates.empty()) GTEST_SKIP() << "no reference data";
  std::string table =
      "| template | family | roles | turns added in pieces | tool definitions | calls | results | "
      "earlier "
      "reasoning goes |\n|---|---|---|---|---|---|---|---|\n";
  for (const auto& [title, source] : templates) table += row(title, *with_template(source).chat);
  const std::string page =
      testing::read_whole(espalier::testing::source_folder() + "/docs/models.md");
  const std::string begin = "<!-- made by tests/runtime/chat/reference_templates_test.cpp -->\n";
  const std::size_t from = page.find(begin);
  ASSERT_NE(from, std::string::npos);
  const std::size_t to = page.find("<!-- end -->\n", from);
  ASSERT_NE(to, std::string::npos);
  // Where they differ, what stands between the marks must be what the templates show.
  EXPECT_EQ(page.substr(from + begin.size(), to - from - begin.size()), table);
}

}  // namespace
}  // namespace espalier::runtime
