// Calls in the form of the model's template: declarations, masks, results.
#include <gmock/gmock.h>

#include <condition_variable>

#include "dsl/render.h"
#include "dsl/tool_calls.h"
#include "runtime/chat/tool_syntax.h"
#include "tests/dsl_run/call_templates.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::Functions;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Recorder;
using ::testing::StartsWith;
using testing::World;

constexpr const char* kTools = R"(
  /// Look a word up.
  tool look as "words.look"(word: string(1..4), deep?: bool) -> string = python "m:look"
  tool stop(code: int(0..9))
  /// Never called here.
  tool other(x: int) -> int = python "m:other"
)";

TEST(CallSyntax, TheToolsThatHolesCanCallAreDeclaredWhereTheTemplateHasThem) {
  World world({.chat = testing::tagged_template()});
  const Compiled compiled =
      compile("test.gen",
              std::string(kTools) + R"(gen main() { user "Go." assistant "$[c: look | stop]" })");
  ASSERT_NE(compiled.program, nullptr);
  const auto prompt = render_prompt(world.runner->model(), *compiled.program, "main", Json());
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_THAT(prompt->text,
              HasSubstr("<|im_start|>system\nBe good.\nTools:\n{\"type\": \"function\", "
                        "\"function\": {\"name\": \"words.look\", \"description\": "
                        "\"Look a word up.\""));
  EXPECT_THAT(prompt->text, HasSubstr("\"name\": \"stop\""));
  EXPECT_THAT(prompt->text, Not(HasSubstr("other")));
}

TEST(CallSyntax, AProgramMayAskForThePlainForm) {
  World world({.chat = testing::tagged_template()});
  const std::string source = "config { calls: \"plain\", max: 200 }" + std::string(kTools) +
                             R"(gen main() -> json {
        system "S."
        user "Go."
        assistant "$[c: (look | stop)[2..3]]"
        tool "ok"
        assistant "$[d: stop]"
        return [c, d] })";
  const Compiled compiled = compile("test.gen", source);
  ASSERT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  const auto prompt = render_prompt(world.runner->model(), *compiled.program, "main", Json());
  ASSERT_TRUE(prompt) << prompt.error().message;
  EXPECT_THAT(prompt->text, HasSubstr("You can call these functions. A call is a JSON object"));
  EXPECT_THAT(prompt->text, Not(HasSubstr("Tools:")));
  for (int seed = 0; seed < 8; ++seed) {
    Recorder recorder;
    RunOptions options;
    options.observer = &recorder;
    options.overrides.seed = seed;
    options.overrides.temperature = 1.0;
    const auto out = world.run(source, {}, std::move(options));
    ASSERT_TRUE(out) << out.error().rendered;
    const Json calls = to_json(*out)[0];
    EXPECT_GE(calls.size(), 2U);
    EXPECT_THAT(recorder.text(), Not(HasSubstr("<tool_call>")));
    EXPECT_THAT(recorder.text(), HasSubstr("\"arguments\""));
  }
}

TEST(CallSyntax, AModelWithoutAFormIsToldThePlainOne) {
  World world;
  const auto prompt_of = [&](const std::string& body) {
    const Compiled compiled = compile("test.gen", std::string(kTools) + body);
    EXPECT_NE(compiled.program, nullptr);
    const auto prompt = render_prompt(world.runner->model(), *compiled.program, "main", Json());
    EXPECT_TRUE(prompt) << prompt.error().message;
    return prompt ? prompt->text : "";
  };
  const std::string list =
      "You can call these functions. A call is a JSON object with the function's name and its "
      "arguments: {\"name\": \"…\", \"arguments\": {…}}\n{\"name\":\"stop\"";
  EXPECT_THAT(prompt_of(R"(gen main() { system "S." user "U." assistant "$[c: stop]" })"),
              HasSubstr("S.\n\n" + list));
  EXPECT_THAT(prompt_of(R"(gen main() { user "U." assistant "$[c: stop]" })"),
              HasSubstr("user\n" + list));
  // A generator that calls nothing declares nothing, whatever it calls by name.
  EXPECT_THAT(prompt_of(R"(
      gen main() { user "U." let x = inner() assistant "$[n: int(0..9)]${x}" }
      gen inner() -> json { user "V." assistant "$[c: stop]" return c })"),
              Not(HasSubstr("You can call")));
  // What is spliced stands in the same context.
  EXPECT_THAT(prompt_of(R"(
      gen main() { user "U." splice inner() }
      gen inner() { assistant "$[c: stop]" })"),
              HasSubstr("You can call"));
}

TEST(CallSyntax, AHoleOfCallsIsWrittenInTheTemplatesFormAndReadBackTyped) {
  World world({.chat = testing::tagged_template()});
  Functions functions;
  functions.functions["look"] = [](const Json& arguments) -> Result<Json> {
    EXPECT_TRUE(arguments.at("word").is_string());
    return "found " + arguments.at("word").get<std::string>();
  };
  const auto* syntax = testing::tagged_template()->tool_syntax();
  for (int seed = 0; seed < 12; ++seed) {
    Recorder recorder;
    RunOptions options;
    options.tools = &functions;
    options.observer = &recorder;
    options.overrides.seed = seed;
    options.overrides.temperature = seed % 3 == 0 ? 0 : 1.5;
    const auto out = world.run(std::string(kTools) + R"(gen main() -> json {
        user "Go."
        assistant "$[c: look | stop, max=120]"
        return c
      })",
                               {}, options);
    ASSERT_TRUE(out) << out.error().rendered;
    const std::string text = recorder.text();
    const std::string turn = text.substr(text.find("<assistant>") + 11);
    EXPECT_THAT(turn, StartsWith("<tool_call>\n{"));
    const auto parsed = syntax->parse(turn.substr(0, turn.rfind("</>")));
    ASSERT_TRUE(parsed) << turn;
    ASSERT_EQ(parsed->calls.size(), 1U);
    const Json value = to_json(*out);
    EXPECT_EQ(parsed->calls[0].name == "words.look" ? "look" : "stop", value["name"]);
    EXPECT_EQ(Json::parse(parsed->calls[0].arguments.dump()), value["arguments"]);
  }
}

TEST(CallSyntax, SeveralCallsRunTogetherAndEachResultHasItsTurn) {
  World world({.chat = testing::tagged_template()});
  Functions functions;
  // No call returns before all three have begun.
  std::mutex mutex;
  std::condition_variable all;
  int begun = 0;
  functions.functions["look"] = [&](const Json& arguments) -> Result<Json> {
    std::unique_lock lock(mutex);
    ++begun;
    all.notify_all();
    if (!all.wait_for(lock, std::chrono::seconds(60), [&] { return begun >= 3; }))
      return fail(ErrorCode::kTool, "alone");
    if (arguments.at("word") == "bad") return fail(ErrorCode::kTool, "no such word");
    return "found " + arguments.at("word").get<std::string>();
  };
  Recorder recorder;
  RunOptions options;
  options.tools = &functions;
  options.observer = &recorder;
  const auto out = world.run(std::string(kTools) + R"(gen main() -> int {
      user "Go."
      let calls = [look("a"), look("bad"), look("c", deep: true)]
      assistant "${calls}"
      tool "${run calls}"
      return 1
    })",
                             {}, options);
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(
      recorder.text(),
      "<user>Go.</><assistant>"
      "<tool_call>\n{\"name\": \"words.look\", \"arguments\": {\"word\":\"a\"}}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"words.look\", \"arguments\": {\"word\":\"bad\"}}\n</tool_call>\n"
      "<tool_call>\n{\"name\": \"words.look\", \"arguments\": {\"word\":\"c\",\"deep\":true}}\n"
      "</tool_call></><tool>found a</><tool>error: tool `look`: no such word</>"
      "<tool>found c</>");
}

// What a tool says of itself may be any bytes; it becomes text of a prompt.
TEST(CallSyntax, AFailureOfBrokenBytesIsTextAllTheSame) {
  World world;
  Functions functions;
  functions.functions["look"] = [](const Json&) -> Result<Json> {
    return fail(ErrorCode::kTool, "bad \xFF\xFE bytes \xC3");
  };
  const auto run = [&](const std::string& body) {
    RunOptions options;
    options.tools = &functions;
    return world.json(std::string(kTools) + "gen main() -> string { user \"Go.\" " + body + " }",
                      {}, std::move(options));
  };
  EXPECT_EQ(run("retry 2 { let a = run look(\"a\") user \"${a}\" } else { return \"failed\" } "
                "return \"ok\""),
            "\"failed\"");
  EXPECT_EQ(run("retry 2 as why { if why != null { return why } let a = run look(\"a\") "
                "user \"${a}\" } return \"ok\""),
            "\"tool `look`: bad \uFFFD\uFFFD bytes \uFFFD\"");
  EXPECT_THAT(run("let c = look(\"a\") assistant \"${c}\" tool \"${run c}\" assistant "
                  "\"$[b: bool]\" return \"ok\""),
              "\"ok\"");
}

TEST(CallSyntax, AListOfCallsKeepsItsBoundsAndMayBeEmpty) {
  World world({.chat = testing::tagged_template()});
  for (int seed = 0; seed < 12; ++seed) {
    RunOptions options;
    options.overrides.seed = seed;
    options.overrides.temperature = 1.5;
    const auto out = world.run(std::string(kTools) + R"(gen main() -> json {
        user "Go."
        assistant "$[c: (look | stop)[0..2], max=300]"
        return c
      })",
                               {}, options);
    ASSERT_TRUE(out) << out.error().rendered;
    EXPECT_LE(to_json(*out).size(), 2U);
  }
  const grammar::GrammarRef grammar = [&] {
    const Compiled compiled = compile("test.gen", std::string(kTools) + R"(gen main() {
        user "Go."
        assistant "$[c: (look | stop)[0..2]]"
      })");
    EXPECT_NE(compiled.program, nullptr);
    const auto made = world.runner->grammar(compiled.program->holes[0].type, "");
    EXPECT_TRUE(made) << made.error().message;
    return *made;
  }();
  EXPECT_TRUE(grammar->start().accepting());
  // After each call the turn may end, or another call begin; the white space between them does not
  // say which.
  const auto& tokenizer = *testing::tiny_model()->tokenizer();
  const std::string call =
      "<tool_call>\n{\"name\": \"stop\", \"arguments\": {\"code\": 1}}\n</tool_call>";
  for (const std::string& text :
       {call, call + "\n", call + "\n" + call, call + "\n" + call + "\n"}) {
    const auto ids = tokenizer.encode(text, runtime::TextStart::kContinuation);
    ASSERT_TRUE(ids);
    grammar::Matcher matcher = grammar->start();
    for (const TokenId id : *ids) ASSERT_TRUE(matcher.advance(id)) << text;
    EXPECT_TRUE(matcher.accepting());
    EXPECT_EQ(matcher.distance(), 0U);
    EXPECT_TRUE(matcher.mask(100)->allows(tokenizer.vocabulary()->end_of_turn()));
    EXPECT_EQ(matcher.value().size(), text.size() > 2 * call.size() ? 2U : 1U) << text;
    if (text.ends_with('\n')) {
      EXPECT_FALSE(matcher.advance(static_cast<unsigned char>('\n')));
    }
  }
}

TEST(CallSyntax, TheFormIsTheTemplatesOrThePlainOne) {
  const auto& tokenizer = *testing::tiny_model()->tokenizer();
  const CallSyntax syntax = call_syntax(tokenizer, *testing::tagged_template());
  EXPECT_EQ(syntax.form.prefix, "<tool_call>\n");
  EXPECT_EQ(syntax.vocabulary, nullptr);
  const CallSyntax plain = call_syntax(tokenizer, *testing::tiny_model()->chat_template());
  EXPECT_EQ(plain.form.prefix, "");
  EXPECT_EQ(plain.form.name_key, "name");
}

}  // namespace
}  // namespace espalier::dsl
