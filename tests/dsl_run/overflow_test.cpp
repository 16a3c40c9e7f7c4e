// A chat that outgrows the context: refused, or turns dropped by rule and told.
#include <gmock/gmock.h>

#include <random>

#include "dsl/render.h"
#include "runtime/chat/load_chat_template.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::Functions;
using ::testing::HasSubstr;
using testing::Recorder;
using testing::tiny_model;
using testing::World;
using testing::WorldOptions;

class Drops final : public Observer {
 public:
  struct One {
    std::string hole;
    std::vector<std::string> roles;
    std::size_t tokens = 0, prompt = 0;
  };
  void on_drop(const HoleEvent& hole, const Drop& drop) override {
    One one{std::string(hole.path), {}, 0, drop.prompt};
    for (const DroppedTurn& turn : drop.turns) {
      one.roles.emplace_back(name(turn.role));
      one.tokens += turn.tokens;
    }
    const std::lock_guard lock(mutex_);
    all.push_back(std::move(one));
  }
  void on_token(const HoleEvent&, TokenId, std::string_view, bool) override {
    const std::lock_guard lock(mutex_);
    ++tokens;
  }
  std::vector<One> all;
  std::size_t tokens = 0;

 private:
  std::mutex mutex_;
};

constexpr const char* kChat = R"gen(
config { overflow: "drop_oldest", temperature: 0.9 }
record Turn { role: "system" | "user" | "assistant" | "tool", text: string }
gen main(history: Turn[], message: string, budget: int) -> string {
  system "You answer in one line, the shorter the better."
  for past in history { turn past.role "${past.text}" }
  user "${message}"
  assistant "So: $[reply: line(1..200), max=budget] Bye."
  return reply
}
)gen";

std::string words(std::mt19937& random, std::size_t most) {
  static const char* const kWords[] = {" the", " and", " in", " a", " thin", "x"};
  std::string out = "t";
  for (std::size_t i = random() % most; i > 0; --i) out += kWords[random() % 6];
  return out;
}

Json turn(const std::string& role, const std::string& text) {
  return {{"role", role}, {"text", text}};
}

Json random_history(std::mt19937& random) {
  Json history = Json::array();
  for (std::size_t exchange = random() % 12; exchange > 0; --exchange) {
    for (std::size_t i = 1 + random() % 2; i > 0; --i)
      history.push_back(turn("user", words(random, 20)));
    for (std::size_t step = random() % 3; step > 0; --step) {
      history.push_back(turn("assistant", words(random, 20)));
      for (std::size_t i = random() % 3; i > 0; --i)
        history.push_back(turn("tool", words(random, 12)));
    }
    if (random() % 6 == 0) history.push_back(turn("system", words(random, 6)));
  }
  return history;
}

TEST(Overflow, IsRefusedWithBothNumbersUnlessTheProgramSaysOtherwise) {
  World world(WorldOptions{.context = 64});
  std::string source = kChat;
  source.replace(source.find("drop_oldest"), 11, "refuse");
  Json history = Json::array();
  for (int i = 0; i < 20; ++i) history.push_back(turn("user", "the the the"));
  const std::string error =
      world.json(source, {{"history", history}, {"message", "and"}, {"budget", 8}});
  EXPECT_THAT(error, HasSubstr("tokens here; the model's context holds 64"));
}

std::string rendered(const World& world, const std::string& source, const Json& arguments) {
  const Compiled compiled = compile("test.gen", source);
  const auto text = render_prompt(world.runner->model(), *compiled.program, "main", arguments);
  return text ? text->text : "error: " + text.error().message;
}

// What is rendered is what a run asks for: the prompt of a program without the dropped turns. That
// the type is shorter than the budget gives room to both.
TEST(Overflow, RenderLeavesOutWhatARunWouldDrop) {
  World wide;
  int dropping = 0, refused = 0;
  for (unsigned seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    std::string chat = kChat;
    if (seed % 2 == 1) {
      static const char* const kTypes[] = {"bool", "line(1..4)", "\"yes\" | \"or no\"",
                                           "span from message"};
      chat.replace(chat.find("line(1..200)"), 12, kTypes[random() % 4]);
      chat.replace(chat.find("-> string"), 9, "-> json");
    }
    World world(WorldOptions{.context = static_cast<std::uint32_t>(120 + random() % 300)});
    const Json history = random_history(random);
    Json arguments{{"history", history},
                   {"message", words(random, 20)},
                   {"budget", seed % 2 == 1 ? 9 + random() % 60 : 2 + random() % 20}};
    Drops drops;
    RunOptions run;
    run.observer = &drops;
    const auto out = world.run(chat, arguments, run);
    const std::string text = rendered(world, chat, arguments);
    if (!out) {
      ++refused;
      EXPECT_EQ("error: " + out.error().error.message, text);
      continue;
    }
    std::size_t gone = drops.all.empty() ? 0 : drops.all[0].roles.size();
    if (gone > 0) ++dropping;
    const std::string note = gone == 0
                                 ? ""
                                 : "[" + std::to_string(gone) + (gone == 1 ? " turn" : " turns") +
                                       " of " + std::to_string(drops.all[0].tokens) +
                                       " tokens dropped to make room for `reply`]\n";
    Json left = Json::array();
    for (const Json& past : history) {
      if (gone > 0 && past["role"] != "system") {
        --gone;
      } else {
        left.push_back(past);
      }
    }
    arguments["history"] = left;
    EXPECT_EQ(text, note + rendered(wide, chat, arguments));
  }
  EXPECT_GT(dropping, 10);
  EXPECT_GT(refused, 0);
}

// A program that never had the dropped turns gives the same, with the same ids.
TEST(Overflow, WhatIsLeftIsWhatAProgramWithoutTheDroppedTurnsWrites) {
  World wide;
  int dropping = 0;
  for (unsigned seed = 0; seed < 120; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    WorldOptions options;
    options.context = 320 + random() % 200;
    options.cache = random() % 4 != 0;
    World world(options);
    const Json history = random_history(random);
    Json arguments{
        {"history", history}, {"message", words(random, 20)}, {"budget", 2 + random() % 20}};
    Drops drops;
    RunOptions run;
    run.observer = &drops;
    const auto out = world.run(kChat, arguments, run);
    ASSERT_TRUE(out) << out.error().rendered;
    // The value, what healing took back, and " Bye.": inside the budget, and inside the context.
    EXPECT_LE(drops.tokens, arguments["budget"].get<std::size_t>() + 8 + 6);
    EXPECT_TRUE(world.engine->check_idle());
    if (!drops.all.empty()) {
      ++dropping;
      ASSERT_EQ(drops.all.size(), 1U);
      const Drops::One& drop = drops.all[0];
      EXPECT_LE(drop.prompt + arguments["budget"].get<std::size_t>(), options.context);
      std::size_t gone = drop.roles.size();
      Json left = Json::array();
      std::vector<std::string> roles;
      for (const Json& past : history) {
        if (gone > 0 && past["role"] != "system") {
          roles.push_back(past["role"]);
          --gone;
        } else {
          left.push_back(past);
        }
      }
      EXPECT_EQ(drop.roles, roles);    // the oldest
      for (const Json& past : left) {  // no answer or result is kept without what it belongs to
        if (past["role"] == "system") continue;
        EXPECT_EQ(past["role"], "user");
        break;
      }
      arguments["history"] = left;
    }
    EXPECT_EQ(to_json(*out), to_json(*wide.run(kChat, arguments)));
  }
  EXPECT_GT(dropping, 30);
}

constexpr const char* kTalk = R"gen(
config { overflow: "drop_oldest", temperature: 1 }
gen main(n: int) -> string[] {
  system "You talk and talk, about this and that and the other thing, and then about them again."
  let all = fork { yield ["the beginning"] }
  for i in 1..n {
    user "The question of the hour ${i}"
    assistant "$[answer: line(5..40), max=30]"
  }
  assistant "$[last: line(1..9), max=9]"
  return all + [last]
}
)gen";

TEST(Overflow, TheHeadKeepsItsPagesAndTheRestIsCountedAsComputedAgain) {
  WorldOptions options;
  options.context = 640;
  World world(options);
  Drops drops;
  RunOptions run;
  run.observer = &drops;
  const auto out = world.run(kTalk, {{"n", 40}}, run);
  ASSERT_TRUE(out) << out.error().rendered;
  ASSERT_GT(drops.all.size(), 3U);
  const runtime::Stats stats = world.engine->stats();
  EXPECT_EQ(stats.prompt_tokens, stats.reused_tokens + stats.computed_tokens);
  // The system turn alone has more than five pages: what is computed again is what stands behind.
  std::size_t behind = 0;
  for (const Drops::One& drop : drops.all) behind += drop.prompt - 5 * std::size_t{16};
  EXPECT_GT(stats.recomputed_tokens, 0U);
  EXPECT_LE(stats.recomputed_tokens, behind);
  EXPECT_TRUE(world.engine->check_idle());
  // A quarter goes at a time: forty exchanges drop far less often than every time.
  EXPECT_LT(drops.all.size(), 20U);
  for (const Drops::One& drop : drops.all) EXPECT_GE(drop.tokens, options.context / 4);
}

TEST(Overflow, TheTextIsTheSameWithoutTheCacheAndOnAnyThreads) {
  std::set<std::string> texts;
  for (const bool cache : {true, false}) {
    for (const unsigned threads : {1U, 4U}) {
      WorldOptions options;
      options.context = 200;
      options.cache = cache;
      options.threads = threads;
      World world(options);
      Recorder recorder;
      RunOptions run;
      run.observer = &recorder;
      ASSERT_TRUE(world.run(kTalk, {{"n", 12}}, run));
      texts.insert(recorder.text());
    }
  }
  EXPECT_EQ(texts.size(), 1U);
}

TEST(Overflow, AnAgentForgetsItsOldestStepsAndNeverTheQuestionOrTheLastResult) {
  WorldOptions options;
  options.context = 640;
  World world(options);
  Functions tools;
  int calls = 0;
  tools.functions["look"] = [&](const Json&) -> Result<Json> {
    return "result " + std::to_string(++calls) + " and the and the and the in the";
  };
  Drops drops;
  RunOptions run;
  run.tools = &tools;
  run.observer = &drops;
  const auto out = world.run(R"gen(
    config { overflow: "drop_oldest" }
    tool look(what: line(1..8)) -> string = python "m:look"
    gen main() -> int {
      user "An old question." assistant "An old answer."
      user "What is the thing? ${str(1)}"
      for i in 1..12 {
        assistant "$[call: look, max=40]"
        tool "${run call}"
      }
      return 1
    })gen",
                             {}, run);
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(calls, 12);
  ASSERT_FALSE(drops.all.empty());
  for (const Drops::One& drop : drops.all) {
    // Calls with their results; the constant exchange at the beginning is the head.
    ASSERT_EQ(drop.roles.size() % 2, 0U);
    for (std::size_t i = 0; i < drop.roles.size(); i += 2) {
      EXPECT_EQ(drop.roles[i], "assistant");
      EXPECT_EQ(drop.roles[i + 1], "tool");
    }
  }
  EXPECT_TRUE(world.engine->check_idle());
}

TEST(Overflow, IsRefusedWithAllNumbersWhereNothingMoreMayGo) {
  WorldOptions options;
  options.context = 100;
  World world(options);
  const std::string long_text(300, 'x');
  Json arguments{{"history", Json::array({turn("user", "the"), turn("assistant", "and")})},
                 {"message", long_text},
                 {"budget", 8}};
  EXPECT_THAT(world.json(kChat, arguments),
              ::testing::MatchesRegex(".*the prompt has [0-9]+ tokens, [0-9]+ without the turns "
                                      "that may be dropped, and [0-9]+ more may follow; the "
                                      "model's context holds 100"));
  arguments["history"] = Json::array();
  EXPECT_THAT(world.json(kChat, arguments), HasSubstr("no turn of it may be dropped, and"));
  EXPECT_THAT(world.json("config { overflow: \"drop_oldest\" }\n"
                         "gen main(t: string) -> line { \"${t}\" \"$[x: line, max=8]\" return x }",
                         {{"t", long_text}}),
              HasSubstr("no turn of it may be dropped, and"));
  EXPECT_TRUE(world.engine->check_idle());
}

TEST(Overflow, ForksSelectsThoughtsAndRetriesDropForThemselves) {
  WorldOptions options;
  options.context = 300;
  World world(options);
  Json history = Json::array();
  for (int i = 0; i < 12; ++i) {
    history.push_back("the question number " + std::to_string(i) + " and the in the and the");
  }
  Drops drops;
  RunOptions run;
  run.observer = &drops;
  const auto out = world.run(R"gen(
    config { overflow: "drop_oldest", temperature: 1 }
    gen main(history: string[]) -> string {
      system "Be good."
      for past in history { user "${past}" assistant "Well, ${past}" }
      user "And now?"
      let ideas = fork 3 {
        assistant "$[why: think, max=20]Say: $[move: line(1..20), max=20]"
        user "Good?"
        assistant "$[v: select "yes" | "no" | "not the and the in any way"]."
        yield { move, p: v.p }
      }
      retry 3 {
        assistant "I choose $[chosen: /[a-c]/, max=3]"
        require chosen == "a", "no, not ${chosen}"
      } else {
        return "none"
      }
      return chosen
    })gen",
                             {{"history", history}}, run);
  ASSERT_TRUE(out) << out.error().rendered;
  std::set<std::string> holes;
  for (const Drops::One& drop : drops.all) holes.insert(drop.hole);
  EXPECT_THAT(holes, ::testing::IsSupersetOf({"fork[0].why", "fork[1].why", "fork[2].why"}));
  // Every branch of the fork has dropped the same.
  EXPECT_EQ(drops.all[0].roles, drops.all[1].roles);
  EXPECT_TRUE(world.engine->check_idle());
  const Runner::Dropped counted = world.runner->dropped();
  std::size_t turns = 0;
  for (const Drops::One& drop : drops.all) turns += drop.roles.size();
  EXPECT_EQ(counted.turns, turns);
  EXPECT_EQ(counted.holes, drops.all.size());
}

// Alternating turns, trimmed, the system text in the first user turn; and one that shortens what
// assistants said before.
constexpr const char* kTemplates[] = {
    "{%- if messages[0].role == 'system' -%}{%- set system = messages[0].content + '\\n\\n' -%}"
    "{%- set messages = messages[1:] -%}{%- else -%}{%- set system = '' -%}{%- endif -%}"
    "{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\\n' + (system if loop.first else '') "
    "+ m.content | trim + '<|im_end|>\\n' }}{%- endfor -%}",
    "{%- for m in messages -%}{{ m.role + ': ' + m.content + '\\n' }}{%- endfor -%}",
    ("{%- for m in messages -%}{{ '<|im_start|>' + m.role + '\\n' + ('(old)' if not loop.last and "
     "m.role == 'assistant' else '') + m.content + '<|im_end|>\\n' }}{%- endfor -%}")};

TEST(Overflow, TheTemplateWritesWhatIsLeft) {
  for (const char* source : kTemplates) {
    SCOPED_TRACE(source);
    const auto chat = runtime::make_chat_template(source, tiny_model()->tokenizer());
    ASSERT_TRUE(chat) << chat.error().message;
    int dropping = 0;
    for (unsigned seed = 0; seed < 30; ++seed) {
      SCOPED_TRACE("seed " + std::to_string(seed));
      std::mt19937 random(seed);
      Json history = Json::array();
      for (std::size_t i = random() % 12; i > 0; --i) {
        history.push_back(turn("user", words(random, 20)));
        history.push_back(turn("assistant", words(random, 20)));
      }
      WorldOptions options;
      options.chat = *chat;
      World wide(options);
      options.context = 200 + random() % 100;
      World world(options);
      Json arguments{{"history", history}, {"message", words(random, 20)}, {"budget", 20}};
      Drops drops;
      RunOptions run;
      run.observer = &drops;
      const auto out = world.run(kChat, arguments, run);
      ASSERT_TRUE(out) << out.error().rendered;
      if (!drops.all.empty()) {
        ++dropping;
        const auto gone = static_cast<std::ptrdiff_t>(drops.all[0].roles.size());
        arguments["history"] = Json(Json::array_t(history.begin() + gone, history.end()));
      }
      EXPECT_EQ(to_json(*out), to_json(*wide.run(kChat, arguments)));
      EXPECT_TRUE(world.engine->check_idle());
    }
    EXPECT_GT(dropping, 5);
  }
}

}  // namespace
}  // namespace espalier::dsl
