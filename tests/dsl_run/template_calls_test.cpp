// Calls in the form of templates that need ids or that change earlier turns: the path is what the
// template renders of the same messages, and what a model writes reads back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <regex>

#include "dsl/context.h"
#include "dsl/convert.h"
#include "dsl/tool_calls.h"
#include "runtime/chat/load_chat_template.h"
#include "runtime/tokenizer/load_tokenizer.h"
#include "tests/dsl_run/support.h"
#include "tests/support/data.h"
#include "tests/support/memory_mapping.h"

namespace espalier::dsl {
namespace {

using runtime::Role;
using runtime::ToolCall;
using testing::Functions;

std::optional<Role> last_role(const Json& messages) {
  return messages.empty() ? std::nullopt
                          : role_named(messages.back()["role"].get_ref<const std::string&>());
}

/// What stands for a control token in a template's text.
std::vector<std::string> control_tokens(const std::string& source) {
  static const std::regex token("<[|][A-Za-z0-9_]+[|]>|<｜[^｜ ]*｜>|\\[/?[A-Z_]{4,}\\]");
  std::vector<std::string> out;
  for (auto it = std::sregex_iterator(source.begin(), source.end(), token);
       it != std::sregex_iterator(); ++it)
    if (std::find(out.begin(), out.end(), it->str()) == out.end()) out.push_back(it->str());
  return out;
}

/// A template of the reference data over a vocabulary of bytes and its own control tokens, with an
/// engine.
struct Templated {
  static std::unique_ptr<Templated> of(const std::string& title, const std::string& end) {
    const auto folder = espalier::testing::data_file("tokenizers/chat_templates");
    if (!folder) return nullptr;
    std::ifstream in(*folder + "/" + title + ".jinja", std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    auto out = std::make_unique<Templated>();
    std::vector<std::string> tokens = control_tokens(text.str());
    std::erase(tokens, end);
    tokens.insert(tokens.begin(), end);
    std::vector<std::int32_t> types(tokens.size(), 3);
    for (auto& byte : espalier::testing::byte_level_alphabet()) tokens.push_back(byte);
    types.resize(tokens.size(), 1);
    auto writer = espalier::testing::TinyLlama{}.writer();
    writer.strings("tokenizer.ggml.tokens", tokens).i32s("tokenizer.ggml.token_type", types);
    writer.strings("tokenizer.ggml.merges", {});
    writer.u32("tokenizer.ggml.bos_token_id", 0).u32("tokenizer.ggml.eos_token_id", 0);
    writer.string("tokenizer.chat_template", text.str());
    const auto file =
        runtime::Gguf::parse(espalier::testing::mapping_of(writer.finish().bytes), "test.gguf");
    EXPECT_TRUE(file) << file.error().message;
    out->tokenizer = runtime::load_tokenizer(*file).value();
    out->chat = runtime::load_chat_template(*file, out->tokenizer).value();
    espalier::testing::ToyOptions toy;
    toy.vocabulary = static_cast<std::uint32_t>(out->tokenizer->size());
    toy.pages = 4096;
    toy.context = 1U << 16;
    out->engine =
        runtime::Engine::create(std::make_unique<espalier::testing::ToyBackend>(std::move(toy)),
                                {.cache = true, .poison = true, .check = true}, real_system())
            .value();
    out->runner = std::make_unique<Runner>(*out->engine, out->tokenizer, out->chat);
    return out;
  }
  [[nodiscard]] std::string text(Context& context) const {
    return tokenizer->decode(context.branch().ids(), true);
  }

  std::shared_ptr<const runtime::Tokenizer> tokenizer;
  std::shared_ptr<const runtime::ChatTemplate> chat;
  std::unique_ptr<runtime::Engine> engine;
  std::unique_ptr<Runner> runner;
};

struct Case {
  const char* title;
  const char* end;
  bool ids;
  bool declares;  // the template has a place for definitions
};
const Case kCases[] = {
    {"mistralai-Mistral-Nemo-Instruct-2407", "</s>", true, true},
    {"CohereForAI-c4ai-command-r7b-12-2024-tool_use", "<|END_OF_TURN_TOKEN|>", true, true},
    {"deepseek-ai-DeepSeek-R1-Distill-Qwen-32B", "<｜end▁of▁sentence｜>", false, false},
    {"llama-cpp-deepseek-r1", "<｜end▁of▁sentence｜>", false, false},
    {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", "<|im_end|>", false, true},
    {"CohereForAI-c4ai-command-r-plus-tool_use", "<|END_OF_TURN_TOKEN|>", false, true},
};

class TemplateCalls : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    it_ = Templated::of(GetParam().title, GetParam().end);
    if (it_ == nullptr) GTEST_SKIP() << "no reference data";
    const Compiled compiled = compile("test.gen", kProgram);
    ASSERT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    program_ = compiled.program;
    parts_ = it_->runner->model();
    parts_.chat = declaring(parts_, tool_definitions(*program_, *program_->gen("main")));
  }

  static constexpr const char* kProgram = R"gen(
    /// Look a word up.
    tool look(word: string(1..4), deep?: bool) -> string = python "m:look"
    tool stop(code: int(0..9)) -> string = python "m:stop"
    gen main() -> json {
      user "Go."
      assistant "$[calls: (look | stop)[1..2], max=900]"
      tool "${run calls}"
      assistant "$[call: look | stop, max=900]"
      tool "${run call}"
      assistant "$[answer: line(1..6)]"
      return { calls, call, answer }
    }
  )gen";

  std::unique_ptr<Templated> it_;
  std::shared_ptr<const Program> program_;
  ModelParts parts_;
};

TEST_P(TemplateCalls, HaveTheTemplatesFormThere) {
  EXPECT_NE(parts_.calls.texts, nullptr);
  EXPECT_EQ(!parts_.calls.form.id_key.empty(), GetParam().ids);
  EXPECT_NE(parts_.chat->not_incremental(), "");
  EXPECT_TRUE(parts_.chat->supports(Role::kTool)) << parts_.chat->refusal(Role::kTool);
  Context context(parts_, it_->engine->open());
  ASSERT_TRUE(context.open(Role::kUser));
  const bool plain = it_->text(context).find("You can call these functions.") != std::string::npos;
  EXPECT_EQ(plain, !GetParam().declares) << it_->text(context);
}

// What is in the path at each turn's text is the beginning of what the template makes of the
// messages, with ids that are made here.
TEST_P(TemplateCalls, APathIsWhatTheTemplateRendersOfTheSameMessages) {
  const runtime::ToolSyntax& syntax = *parts_.chat->tool_syntax();
  int turns = 0, called = 0;
  for (unsigned seed = 0; seed < 25; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    Context context(parts_, it_->engine->open());
    Json messages = Json::array();
    std::size_t ids = 0;
    const auto new_id = [&]() -> std::string {
      if (parts_.calls.form.id_key.empty()) return "";
      std::string number = std::to_string(ids++);
      if (parts_.calls.form.id_size == 0) return number;
      return "c" + std::string(8 - number.size(), '0') + number;
    };
    const auto rendered = [&] {
      const auto text = parts_.chat->render(messages, Json(), false);
      EXPECT_TRUE(text) << text.error().message << messages.dump();
      return text ? runtime::text_of(*it_->tokenizer, *text) : "";
    };
    // What stands in the path is a beginning of the rendering, up to the open turn's text; an
    // answer may stand behind the generation prompt.
    const auto check = [&](Role role, const std::string& said) {
      if (role == Role::kSystem) return;  // may wait for the first user turn
      ++turns;
      ASSERT_TRUE(context.flush());
      const std::string path = it_->text(context);
      if (rendered().starts_with(path)) return;
      std::string prompt;
      if (role == Role::kAssistant) {
        Json before = messages;
        before.erase(before.size() - 1);
        prompt =
            runtime::text_of(*it_->tokenizer, parts_.chat->render(before, Json(), true).value()) +
            said;
      }
      EXPECT_EQ(path, prompt) << "\nrendered: " << rendered();
    };
    const auto turn = [&](Role role, const std::string& said, Json fields = Json::object()) {
      if (!parts_.chat->refusal(role, last_role(messages)).empty()) return false;
      Json message{{"role", std::string(name(role))}, {"content", said}};
      message.update(fields);
      messages.push_back(message);
      const auto opened = context.open(role);
      EXPECT_TRUE(opened) << opened.error().message;
      context.text(said);
      check(role, said);
      EXPECT_TRUE(context.close());
      return true;
    };
    if (random() % 2 == 0) turn(Role::kSystem, "Be good.");
    for (int exchange = 0; exchange < 2 && !::testing::Test::HasFailure(); ++exchange) {
      if (!turn(Role::kUser, "Question \"" + std::to_string(exchange) + "\".")) break;
      for (unsigned step = random() % 3; step > 0; --step) {
        std::vector<ToolCall> calls;
        std::vector<ToolCall> expected;
        for (std::size_t i = 0; i < 1 + random() % 2; ++i) {
          calls.push_back({"look", {{"word", "a\"" + std::to_string(random() % 9)}}, ""});
          expected.push_back(calls.back());
          expected.back().id = new_id();
        }
        messages.push_back(syntax.message(expected));
        const auto opened = context.open(Role::kAssistant);
        ASSERT_TRUE(opened) << opened.error().message;
        const auto written = context.write_calls(calls, calls.size() > 1, {});
        ASSERT_TRUE(written) << written.error().message;
        ASSERT_TRUE(context.close());
        called += static_cast<int>(calls.size());
        for (const ToolCall& call : expected) {
          Json fields{{"name", call.name}};
          if (!call.id.empty()) fields["tool_call_id"] = call.id;
          ASSERT_TRUE(turn(Role::kTool, "found " + std::to_string(random() % 9), fields));
        }
      }
      if (!turn(Role::kAssistant, "Answer " + std::to_string(random() % 9) + ".")) break;
    }
  }
  EXPECT_GT(turns, 80);
  EXPECT_GT(called, 20);
}

/// The ids that each hole gave.
class Ids final : public Observer {
 public:
  void on_token(const HoleEvent& hole, TokenId token, std::string_view, bool) override {
    const std::lock_guard lock(mutex_);
    all[std::string(hole.name)].push_back(token);
  }
  std::map<std::string, std::vector<TokenId>> all;

 private:
  std::mutex mutex_;
};

TEST_P(TemplateCalls, WhatAModelWritesReadsBack) {
  for (unsigned seed = 0; seed < 8; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Functions functions;
    for (const char* tool : {"look", "stop"})
      functions.functions[tool] = [](const Json& arguments) -> Result<Json> {
        return "found " + arguments.dump(-1, ' ', false, Json::error_handler_t::replace);
      };
    Ids ids;
    RunOptions options;
    options.tools = &functions;
    options.observer = &ids;
    options.overrides.seed = seed;
    options.overrides.temperature = seed % 2 == 0 ? 0 : 1.5;
    const auto out = it_->runner->run_now(program_, "main", Json::object(), std::move(options));
    ASSERT_TRUE(out) << out.error().rendered;
    const Json result = to_json(*out);
    for (const char* hole : {"calls", "call"}) {
      const std::string text = it_->tokenizer->decode(ids.all[hole], true);
      const auto parsed = parts_.chat->tool_syntax()->parse(text);
      ASSERT_TRUE(parsed) << text << parsed.error().message;
      const Json given = result[hole].is_array() ? result[hole] : Json::array({result[hole]});
      ASSERT_EQ(parsed->calls.size(), given.size()) << text;
      for (std::size_t i = 0; i < given.size(); ++i) {
        EXPECT_EQ(parsed->calls[i].name, given[i]["name"]);
        EXPECT_EQ(parsed->calls[i].arguments, given[i]["arguments"]);
        if (parts_.calls.form.id_size > 0) {
          EXPECT_TRUE(std::regex_match(parsed->calls[i].id, std::regex("[A-Za-z0-9]{9}"))) << text;
        }
      }
    }
  }
  EXPECT_TRUE(it_->engine->check_idle());
}

// A hole's own ids are taken where no other call has them; else a result would name two.
TEST_P(TemplateCalls, IdsThatAModelWroteAreKeptUnlessTheyAreTaken) {
  if (!GetParam().ids) GTEST_SKIP() << "this template has none";
  const auto path = [&](const std::string& first, const std::string& second) {
    Context context(parts_, it_->engine->open());
    EXPECT_TRUE(context.open(Role::kUser));
    context.text("Go.");
    EXPECT_TRUE(context.close());
    for (const std::string& id : {first, second}) {
      EXPECT_TRUE(context.open(Role::kAssistant));
      EXPECT_TRUE(context.expect_calls());
      EXPECT_TRUE(context.heal());
      context.after_hole({{"stop", {{"code", 1}}, id}});
      EXPECT_TRUE(context.close());
      EXPECT_TRUE(context.open(Role::kTool));
      context.text("result");
      EXPECT_TRUE(context.close());
    }
    EXPECT_TRUE(context.open(Role::kAssistant));
    return it_->text(context);
  };
  const bool numbers = parts_.calls.form.id_size == 0;
  const std::string kept = path("abcdef012", "abcdef013");
  const std::string twice = path("abcdef012", "abcdef012");
  // The number of the first one's id: another's that a model could write.
  const std::string made = path("c00000001", "");
  if (numbers) {  // the template counts itself
    EXPECT_EQ(kept, twice);
    EXPECT_EQ(kept, made);
    for (const char* id : {"\"tool_call_id\": \"0\"", "\"tool_call_id\": \"1\""})
      EXPECT_THAT(kept, ::testing::HasSubstr(id));
    return;
  }
  const auto count = [](const std::string& text, const std::string& piece) {
    std::size_t n = 0;
    for (std::size_t at = 0; (at = text.find(piece, at)) != std::string::npos; ++at) ++n;
    return n;
  };
  EXPECT_EQ(count(kept, "abcdef012"), 2U) << kept;
  EXPECT_EQ(count(kept, "abcdef013"), 2U) << kept;
  EXPECT_EQ(count(twice, "abcdef012"), 2U) << twice;
  EXPECT_EQ(count(twice, "c00000001"), 2U) << twice;
  EXPECT_EQ(count(made, "c00000001"), 2U) << made;
  EXPECT_EQ(count(made, "c00000002"), 2U) << made;
}

// Where the template has no place for the text beside calls, the turn is a text.
TEST_P(TemplateCalls, TextBesideCallsIsNeverLost) {
  for (const bool behind : {false, true}) {
    Context context(parts_, it_->engine->open());
    ASSERT_TRUE(context.open(Role::kUser));
    context.text("Go.");
    ASSERT_TRUE(context.close());
    ASSERT_TRUE(context.open(Role::kAssistant));
    if (!behind) context.text("Let me see. ");
    ASSERT_TRUE(context.write_calls({{"stop", {{"code", 7}}, ""}}, false, {}));
    if (behind) context.text("Let me see.");
    ASSERT_TRUE(context.close());
    ASSERT_TRUE(context.open(Role::kTool));
    context.text("result");
    ASSERT_TRUE(context.close());
    const auto opened = context.open(Role::kAssistant);
    if (std::string_view(GetParam().title).starts_with("mistralai")) {  // roles must alternate
      ASSERT_FALSE(opened);
      EXPECT_THAT(opened.error().message, ::testing::HasSubstr("text beside its calls"));
      continue;
    }
    ASSERT_TRUE(opened) << opened.error().message;
    const std::string text = it_->text(context);
    EXPECT_THAT(text, ::testing::HasSubstr("Let me see."));
    EXPECT_THAT(text, ::testing::HasSubstr("stop"));
    EXPECT_THAT(text, ::testing::HasSubstr("7"));
    EXPECT_THAT(text, ::testing::HasSubstr("result"));
  }
}

TEST_P(TemplateCalls, ForksAndRestoredPathsGoOnWithTheSameIds) {
  Context context(parts_, it_->engine->open());
  ASSERT_TRUE(context.open(Role::kUser));
  context.text("Go.");
  ASSERT_TRUE(context.close());
  const auto step = [&](Context& at) {
    EXPECT_TRUE(at.open(Role::kAssistant));
    EXPECT_TRUE(
        at.write_calls({{"stop", {{"code", 1}}, ""}, {"stop", {{"code", 2}}, ""}}, true, {}));
    EXPECT_TRUE(at.close());
    for (const char* result : {"one", "two"}) {
      EXPECT_TRUE(at.open(Role::kTool));
      at.text(result);
      EXPECT_TRUE(at.close());
    }
    EXPECT_TRUE(at.open(Role::kAssistant));
    const std::string text = it_->text(at);
    at.text("Well.");
    return text;
  };
  const auto snapshot = context.snapshot();
  ASSERT_TRUE(snapshot);
  auto forked = context.fork();
  ASSERT_TRUE(forked);
  const std::string once = step(context);
  EXPECT_EQ(step(*forked), once);
  context.restore(*snapshot);
  EXPECT_EQ(step(context), once);
}

std::string title_of(const ::testing::TestParamInfo<Case>& info) {
  std::string out = info.param.title;
  std::erase_if(out, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return out;
}
INSTANTIATE_TEST_SUITE_P(Reference, TemplateCalls, ::testing::ValuesIn(kCases), title_of);

}  // namespace
}  // namespace espalier::dsl
