// Grammars, spans and thoughts in running programs.
#include <gmock/gmock.h>

#include "dsl/mock_model.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::Recorder;
using testing::World;
using testing::WorldOptions;

RunOptions seeded(int seed) {
  RunOptions options;
  options.overrides.seed = seed;
  options.overrides.temperature = 1.0;
  return options;
}

TEST(Spans, StandInTheSourceWhateverTheModelWantsAndKnowWhere) {
  World world;
  const std::string doc = "ACME Ltd.  12 High Street\nTotal:\tRM12.50 (incl. \"GST\")";
  for (int seed = 0; seed < 30; ++seed) {
    const auto out = world.run(R"(
      record Item { name: span, price: cite(float)? }
      gen main(doc: string) -> { items: Item[1..3], at: { start: int, end: int }[][], one: span } {
        user "${doc}"
        assistant "$[items: Item[1..3] from doc, max=300]"
        assistant "It is $[one: span from lower(doc), max=20]."
        return { items, at: items.name.spans, one }
      })",
                               {{"doc", doc}}, seeded(seed));
    ASSERT_TRUE(out) << out.error().rendered;
    const Value& items = *out->field("items");
    for (std::uint64_t i = 0; i < items.length(); ++i) {
      const std::string name = items.item(i).field("name")->as_string();
      const Value& places = out->field("at")->as_list()[i];
      ASSERT_GE(places.length(), 1U) << name;
      const auto start = static_cast<std::size_t>(places.item(0).field("start")->as_int());
      const auto end = static_cast<std::size_t>(places.item(0).field("end")->as_int());
      std::string there;  // white space as one space
      for (const char c : doc.substr(start, end - start)) {
        const bool space = c == ' ' || c == '\n' || c == '\t';
        if (!space || there.empty() || there.back() != ' ') there += space ? ' ' : c;
      }
      EXPECT_EQ(there, name);
    }
    EXPECT_FALSE(out->field("one")->as_string().empty());
  }
  EXPECT_TRUE(world.engine->check_idle());
}

TEST(Spans, AnEmptySourceFailsAtItsHoleAndNullStaysPossible) {
  World world;
  EXPECT_THAT(world.json("gen main() -> span { assistant \"$[x: span from \"  \"]\" return x }"),
              AllOf(HasSubstr("error"), HasSubstr("there is no word to copy")));
  EXPECT_EQ(world.json(R"(gen main() -> { a: span? } {
    assistant "$[x: { a: span? } from ""]"
    return x
  })"),
            R"({"a":null})");
}

TEST(Grammars, HoldWhateverTheModelWants) {
  World world;
  for (int seed = 0; seed < 20; ++seed) {
    const auto out = world.run(R"gen(
      grammar Sum {
        start = term (/[-+*]/ term)*
        term = /[0-9]/ | "(" start ")"
      }
      record Task { sum: Sum }
      gen main() -> { plain: Sum, task: Task } {
        assistant "Sum $[plain: Sum, max=30]"
        assistant "$[task: Task, max=60]"
        return { plain, task }
      })gen",
                               {}, seeded(seed));
    ASSERT_TRUE(out) << out.error().rendered;  // the result is read again by the grammar
    EXPECT_FALSE(out->field("plain")->as_string().empty());
  }
}

TEST(Grammars, TextsFromOutsideAreRead) {
  World world;
  const std::string source = R"gen(
    grammar Pair { start = "(" start ")" | "x" }
    gen main(p: Pair) -> int { assistant "${p}" return len(p) })gen";
  EXPECT_EQ(world.json(source, {{"p", "((x))"}}), "5");
  EXPECT_THAT(world.json(source, {{"p", "((x)"}}), HasSubstr("expected Pair"));
}

constexpr const char* kThinking = R"(
  gen main() -> { why: string, n: int } {
    user "Is it?"
    assistant "$[why: think, max=12]So $[n: int(1..9)]"
    user "And?"
    assistant "$[m: int(1..9)]"
    return { why, n }
  })";

TEST(Thoughts, AreReadOnInTheirTurnAndGoneFromTheNext) {
  World world;
  Recorder recorder;
  RunOptions options = seeded(3);
  options.observer = &recorder;
  const auto out = world.run(kThinking, {}, options);
  ASSERT_TRUE(out) << out.error().rendered;
  const std::string why = out->field("why")->as_string();
  EXPECT_FALSE(why.empty());
  const std::string shown = recorder.text(0);
  EXPECT_THAT(shown, HasSubstr("<assistant><think>\n" + why + "\n</think>\n\nSo "));
  EXPECT_TRUE(world.engine->check_idle());
  // The same program that never thought has the very path of the one that did: what is left of the
  // turn is found in the tree.
  const auto before = world.engine->stats();
  const std::string n = to_json(*out->field("n")).dump();
  ASSERT_TRUE(world.run("gen main() -> int { user \"Is it?\" assistant \"So " + n +
                            "\" user \"And?\" assistant \"$[m: int(1..9)]\" return m }",
                        {}, seeded(3)));
  const auto after = world.engine->stats();
  EXPECT_LE(
      after.prompt_tokens - before.prompt_tokens - (after.reused_tokens - before.reused_tokens),
      16U);
}

TEST(Thoughts, NeedATurnOfTheAssistant) {
  World world;
  EXPECT_THAT(world.json("gen main() -> string { \"Say: $[t: think]\" return t }"),
              HasSubstr("assistant turn"));
}

TEST(Thoughts, TheAnswerIsTheSameWithAndWithoutTheCache) {
  std::vector<std::string> texts;
  for (const bool cache : {true, false}) {
    World world(WorldOptions{.cache = cache});
    std::string all;
    for (int seed = 0; seed < 5; ++seed) all += world.json(kThinking, {}, seeded(seed)) + "\n";
    texts.push_back(all);
  }
  EXPECT_EQ(texts[0], texts[1]);
  EXPECT_THAT(texts[0], Not(HasSubstr("error")));
}

TEST(Mocks, OfSpansMustStandInTheSource) {
  auto model = MockModel::create(real_system());
  ASSERT_TRUE(model);
  const auto run = [&](const std::string& mock) -> std::string {
    const Compiled compiled = compile("t.gen", R"(
      gen find(doc: string) -> { name: span, start: int } {
        user "${doc}"
        assistant "$[t: think]$[name: span from doc]"
        return { name, start: name.spans[0].start }
      }
      test "t" { mock { t: "hm", name: ")" + mock + R"(" }
        let r = find("To  Ann Smith")
        expect r.name == "Ann Smith" and r.start == 4
      })");
    EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    const auto outcome =
        (*model)->runner().run_test(compiled.program, *compiled.program->tests.back(), false, {});
    return outcome ? "" : outcome.error().error.message;
  };
  EXPECT_EQ(run("Ann Smith"), "");
  EXPECT_THAT(run("Ann Smit"), HasSubstr("does not stand in the text"));
}

}  // namespace
}  // namespace espalier::dsl
