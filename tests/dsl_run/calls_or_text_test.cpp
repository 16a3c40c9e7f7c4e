// A turn that is calls or a text: which of them it is shows in how it begins, in the model's own
// form of calls, and the value is matched by type.
#include <gmock/gmock.h>

#include "dsl/static_types.h"
#include "runtime/chat/load_chat_template.h"
#include "runtime/chat/tool_syntax.h"
#include "tests/dsl_run/call_templates.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::HasSubstr;
using testing::Recorder;
using testing::tagged_template;
using testing::tiny_model;
using testing::World;
using testing::WorldOptions;

constexpr const char* kTools = R"(
  tool look as "words.look"(word: string(1..4), deep?: bool)
  tool stop(code: int(0..9))
)";

grammar::GrammarRef grammar_of(World& world, const std::string& type,
                               const std::string& follow = "") {
  const Compiled compiled = compile(
      "test.gen",
      kTools + ("gen main() { user \"Go.\" assistant \"$[t: " + type + "]" + follow + "\" }"));
  EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  if (compiled.program == nullptr) return nullptr;
  auto made = world.runner->grammar(compiled.program->holes[0].type, follow);
  EXPECT_TRUE(made) << made.error().message;
  return made ? *made : nullptr;
}

// Whether the whole text is a value of the hole that ends its turn.
bool takes(const grammar::Grammar& grammar, const std::string& text) {
  const auto ids = tiny_model()->tokenizer()->encode(text, runtime::TextStart::kContinuation);
  EXPECT_TRUE(ids);
  grammar::Matcher matcher = grammar.start();
  for (const TokenId id : *ids)
    if (!matcher.advance(id)) return false;
  return matcher.accepting();
}

TEST(CallsOrText, ATextIsOneInWhichNoCallBeginsAsTheTemplateHasIt) {
  const std::string stop = R"({"name": "stop", "arguments": {"code": 1}})";
  {
    World world({.chat = tagged_template()});
    const auto grammar = grammar_of(world, "(look | stop)[1..2] | string");
    ASSERT_NE(grammar, nullptr);
    const std::string call = "<tool_call>\n" + stop + "\n</tool_call>";
    EXPECT_TRUE(takes(*grammar, call));
    EXPECT_TRUE(takes(*grammar, call + "\n" + call));
    EXPECT_FALSE(takes(*grammar, call + "\n" + call + "\n" + call));
    EXPECT_FALSE(takes(*grammar, call + "and"));
    for (const char* text : {"No.", "<", "<tool", "<tool_cal", "a <tool_cal> b", "{\"name\"", "\n"})
      EXPECT_TRUE(takes(*grammar, text)) << text;
    for (const char* text : {"", "<tool_call>", "I'll look.\n<tool_call>", "<<tool_call>x"})
      EXPECT_FALSE(takes(*grammar, text)) << text;
    EXPECT_FALSE(takes(*grammar, "First:\n" + call));
  }
  World world;  // the plain form: bare JSON, a call where the turn begins with it
  const auto one = grammar_of(world, "look | stop | string");
  const auto several = grammar_of(world, "(look | stop)[1..2] | line");
  ASSERT_NE(one, nullptr);
  ASSERT_NE(several, nullptr);
  EXPECT_TRUE(takes(*one, stop));
  EXPECT_TRUE(takes(*several, "[" + stop + "]"));
  for (const char* text : {"No.", "a {", "\"{\""}) {
    EXPECT_TRUE(takes(*one, text)) << text;
    EXPECT_TRUE(takes(*several, text)) << text;
  }
  EXPECT_TRUE(takes(*one, "[1]"));
  EXPECT_FALSE(takes(*several, "[1]"));
  for (const char* text : {"{", "{}", " {", "\n {\"name\": 1}"}) {
    EXPECT_FALSE(takes(*one, text)) << text;
    EXPECT_FALSE(takes(*several, text)) << text;
  }
  EXPECT_FALSE(takes(*several, "a\nb"));
}

// Along random paths, in both forms, with and without a follow, near the budget's end and far.
TEST(CallsOrText, MasksAreThoseOfTryingEveryToken) {
  for (const bool plain : {false, true}) {
    WorldOptions options;
    if (!plain) options.chat = tagged_template();
    World world(options);
    const auto& vocabulary = *tiny_model()->tokenizer()->vocabulary();
    for (const char* type : {"look | stop | string", "(look | stop)[1..3] | line(1..40)"}) {
      const auto grammar = grammar_of(world, type, plain ? "." : "");
      ASSERT_NE(grammar, nullptr);
      for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        std::uint64_t state = seed * 0x9E3779B97F4A7C15U;
        grammar::Matcher matcher = grammar->start();
        for (int step = 0; step < 40 && !matcher.done(); ++step) {
          const auto mask = matcher.mask(1000);
          const auto slow = matcher.plain_mask();
          std::vector<TokenId> allowed;
          for (TokenId id = 0; id < static_cast<TokenId>(vocabulary.size()); ++id) {
            ASSERT_EQ(mask->allows(id), slow->allows(id)) << type << " " << id;
            if (mask->allows(id)) allowed.push_back(id);
          }
          ASSERT_FALSE(allowed.empty());
          state = state * 6364136223846793005U + 1442695040888963407U;
          const TokenId chosen = allowed[(state >> 33) % allowed.size()];
          if (vocabulary.is_end(chosen)) break;
          ASSERT_TRUE(matcher.advance(chosen));
        }
      }
    }
  }
}

// What a model writes that wants the marks of calls, brackets and white space above all is, by the
// template's own parser, what the value says; at every budget from the least one.
TEST(CallsOrText, TheTemplatesParserReadsWhatTheValueSays) {
  int calls = 0, texts = 0;
  const std::string mark = "<tool_call>";
  for (const std::string wanted : {"", "<tool_ca>", "{[\"", " \n", "a call"}) {
    WorldOptions options{.chat = tagged_template()};
    if (wanted == "a call") {
      options.wants = [&](std::span<const TokenId> path, std::size_t token) {
        const auto& words = tiny_model()->tokenizer()->vocabulary();
        const auto bytes = words->bytes(static_cast<TokenId>(token));
        const std::string header = "assistant\n";  // of the template
        std::string turn;
        for (const TokenId id : path.last(std::min<std::size_t>(path.size(), 40))) {
          turn += words->bytes(id);
        }
        const std::size_t begin = turn.rfind(header);
        if (begin == std::string::npos) return 0.0F;  // the mark is behind
        turn = turn.substr(begin + header.size());
        const bool begins = turn.size() < mark.size() && mark.starts_with(turn);
        return begins && !bytes.empty() && mark.substr(turn.size()).starts_with(bytes) ? 40.0F
                                                                                       : 0.0F;
      };
    } else if (!wanted.empty()) {
      options.wants = [&wanted](auto, std::size_t token) {
        const auto bytes =
            tiny_model()->tokenizer()->vocabulary()->bytes(static_cast<TokenId>(token));
        return !bytes.empty() && bytes.find_first_not_of(wanted) == std::string_view::npos ? 8.0F
                                                                                           : 0.0F;
      };
    }
    World world(options);
    const auto grammar = grammar_of(world, "(look | stop)[1..2] | string");
    ASSERT_NE(grammar, nullptr);
    for (int seed = 0; seed < 24; ++seed) {
      Recorder recorder;
      RunOptions run;
      run.observer = &recorder;
      run.overrides.seed = seed;
      run.overrides.temperature = seed % 3 * 0.75;
      const std::uint32_t max = grammar->least_tokens() + static_cast<std::uint32_t>(seed) * 5;
      const auto out =
          world.run(kTools + ("gen main() -> json { user \"Go.\" assistant \"$[t: (look | "
                              "stop)[1..2] | string, max=" +
                              std::to_string(max) + "]\" return { t } }"),
                    {}, run);
      ASSERT_TRUE(out) << out.error().rendered;
      const std::string text = recorder.text();
      const std::string turn = text.substr(text.find("<assistant>") + 11,
                                           text.rfind("</>") - text.find("<assistant>") - 11);
      const auto parsed = tagged_template()->tool_syntax()->parse(turn);
      ASSERT_TRUE(parsed) << turn;
      const Json value = to_json(*out)["t"];
      if (value.is_string()) {
        ++texts;
        EXPECT_EQ(value, turn);
        EXPECT_TRUE(parsed->calls.empty()) << turn;
      } else {
        ++calls;
        EXPECT_EQ(parsed->calls.size(), value.size()) << turn;
      }
    }
    EXPECT_TRUE(world.engine->check_idle());
  }
  EXPECT_GT(calls, 0);
  EXPECT_GT(texts, 0);
}

TEST(CallsOrText, AMatchTellsThemApart) {
  World world({.chat = tagged_template()});
  const auto expect = [&](const std::string& type, const std::string& arms, const std::string& mock,
                          const std::string& said) {
    const std::string source =
        kTools +
        ("gen main() -> string { user \"Go.\" assistant \"$[t: " + type + "]\" match t { " + arms +
         " } }\ntest \"it\" { mock { t: " + mock + " } expect main() == \"" + said + "\" }");
    const Compiled compiled = compile("test.gen", source);
    ASSERT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    const auto ran =
        world.runner->run_test(compiled.program, *compiled.program->tests[0], false, {});
    EXPECT_TRUE(ran) << ran.error().rendered;
  };
  const std::string call = R"({ name: "stop", arguments: { code: 3 } })";
  const std::string one =
      R"(stop(code) => return "${code}" look(word) => return word text => return "says ${text}")";
  expect("look | stop | string", one, call, "3");
  expect("look | stop | string", one, R"("no")", "says no");
  for (
      const char* arms :
      {R"(text: string => return "says ${text}" calls => return "${len(calls)} calls")",
       R"(calls: (look | stop)[] => return "${len(calls)} calls" text => return "says ${text}")"}) {
    const std::string type = "(look | stop)[1..4] | string";
    expect(type, arms, "[" + call + ", " + call + "]", "2 calls");
    expect(type, arms, R"("no")", "says no");
  }
}

}  // namespace
}  // namespace espalier::dsl
