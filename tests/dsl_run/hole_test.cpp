// Holes and `select`.
#include <gmock/gmock.h>

#include <thread>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::Functions;
using ::testing::HasSubstr;
using testing::Recorder;
using testing::World;
using testing::WorldOptions;

constexpr const char* kTyped = R"(
  enum Color { red, green, blue }
  record Item { name: string(1..6), count: int(1..9), color: Color, price: float(0..100)? }
  gen main() -> { items: Item[1..3], word: string, flag: bool, n: int } {
    user "Say."
    assistant "Items: $[items: Item[1..3], max=400, temperature=0.8]"
    assistant "Word $[word: string(1..8), max=40] and $[flag: bool]; n=$[n: int(-5..5)]."
    return { items, word, flag, n }
  })";

TEST(Run, ValuesHaveTheirTypesWhateverTheModelSays) {
  World world;
  for (int seed = 0; seed < 12; ++seed) {
    RunOptions options;
    options.overrides.seed = seed;
    const auto out = world.run(kTyped, {}, options);
    ASSERT_TRUE(out) << out.error().rendered;
    const Value& items = *out->field("items");
    EXPECT_GE(items.length(), 1U);
    EXPECT_LE(items.length(), 3U);
    for (const Value& item : items.as_list()) {
      EXPECT_GE(item.field("count")->as_int(), 1);
      EXPECT_LE(item.field("count")->as_int(), 9);
      EXPECT_EQ(item.field("color")->kind(), ValueKind::kVariant);
    }
    EXPECT_LE(std::abs(out->field("n")->as_int()), 5);
    EXPECT_EQ(out->field("flag")->kind(), ValueKind::kBool);
  }
  EXPECT_TRUE(world.engine->check_idle());
}

TEST(Run, TheSameSeedGivesTheSameTextAndAnotherSeedAnother) {
  World world;
  const auto text = [&](int seed) {
    RunOptions options;
    options.overrides.seed = seed;
    return world.json(kTyped, {}, options);
  };
  const std::string first = text(1);
  EXPECT_EQ(text(1), first);
  EXPECT_NE(text(2), first);
}

TEST(Run, CacheThreadsAndNeighboursNeverChangeTheText) {
  const std::string source = R"(
    gen main(n: int) -> string {
      system "A common head that is long enough to fill a few pages of the cache, so that it is shared."
      user "Number ${n}."
      let parts = fork i in 1..3 {
        assistant "Part ${i}: $[p: line(1..30), max=20, temperature=0.9]"
        yield p
      }
      assistant "$[all: line(1..30), max=24]"
      return "${join(parts, "|")}/${all}"
    })";
  std::vector<std::string> alone;
  for (int n = 0; n < 6; ++n) {
    World world(WorldOptions{.cache = false, .threads = 1});
    alone.push_back(world.json(source, {{"n", n}}));
    EXPECT_THAT(alone.back(), ::testing::Not(HasSubstr("error")));
  }
  for (const bool cache : {true, false}) {
    for (const unsigned threads : {1U, 3U}) {
      World world(WorldOptions{.cache = cache, .max_rows = cache ? 8U : 64U, .threads = threads});
      std::vector<std::string> together(6);
      std::vector<std::thread> users;
      for (int n = 0; n < 6; ++n) {
        users.emplace_back([&, n] {
          together[static_cast<std::size_t>(n)] = world.json(source, {{"n", n}});
        });
      }
      for (std::thread& user : users) user.join();
      EXPECT_EQ(together, alone);
      EXPECT_TRUE(world.engine->check_idle());
    }
  }
}

TEST(Run, ATrunkIsComputedOnceHoweverManyBranchesLeaveIt) {
  World world;
  const auto out = world.run(R"(
    gen main() -> string[] {
      system "A common head that is long enough to fill a few pages of the cache, so that it is shared by all."
      return fork 8 { assistant "$[x: line(1..9), max=10]" yield x }
    })");
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(out->length(), 8U);
  const auto stats = world.engine->stats();
  EXPECT_EQ(stats.reused_tokens + stats.computed_tokens, stats.prompt_tokens);
  EXPECT_LT(stats.computed_tokens, 400U);  // the head once, not eight times
  EXPECT_EQ(stats.recomputed_tokens, 0U);
}

TEST(Run, AHoleEndsWhereTheTextAfterItBegins) {
  World world;
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const auto out =
      world.run(R"(gen main() -> string { assistant "A: $[a: string, max=12] END. B" return a })",
                {}, options);
  ASSERT_TRUE(out) << out.error().rendered;
  EXPECT_EQ(recorder.text(), "<assistant>A: " + out->as_string() + " END. B</>");
}

TEST(Run, ABudgetBelowTheShortestValueIsRefusedWithBothFigures) {
  World world;
  EXPECT_THAT(
      world.json(
          R"(gen main() -> json { assistant "$[x: { alpha: int, beta: string }, max=3]" return x })"),
      HasSubstr("max is 3"));
}

TEST(Run, ADocumentLargerThanTheContextIsRefusedWithBothNumbers) {
  World world(WorldOptions{.context = 256});
  const std::string message = world.json(
      R"(gen main(doc: string) -> line { user "${doc}" assistant "$[x: line, max=8]" return x })",
      {{"doc", std::string(1000, 'x')}});
  EXPECT_THAT(message, HasSubstr("the prompt has 1006 tokens here; the model's context holds 256"));
}

TEST(Run, SelectGivesADistributionAndItsGreatest) {
  World world;
  for (const std::string by : {"", " by mean", " by prior"}) {
    const auto out = world.run(R"(
      enum Size { small, large as "very large", huge }
      gen main() -> { size: Size, p: float, dist: json, follow: string } {
        user "How large?"
        assistant "It is $[s: select Size)" +
                               by + R"(], I think."
        return { size: s, p: s.p, dist: s.dist, follow: "${s}" }
      })");
    ASSERT_TRUE(out) << out.error().rendered;
    const Value& dist = *out->field("dist");
    double sum = 0;
    double top = 0;
    for (const auto& entry : dist.as_record()) {
      sum += entry.value.as_double();
      top = std::max(top, entry.value.as_double());
    }
    EXPECT_NEAR(sum, 1.0, 1e-9);
    EXPECT_EQ(out->field("p")->as_double(), top);
    EXPECT_NE(dist.field("large"), nullptr);
  }
  EXPECT_GT(world.engine->stats().select_tokens, 0U);
  EXPECT_TRUE(world.engine->check_idle());
}

TEST(Run, SelectWithATemperatureDrawsFromItsDistribution) {
  World world;
  std::set<std::string> seen;
  for (int seed = 0; seed < 40; ++seed) {
    RunOptions options;
    options.overrides.seed = seed;
    seen.insert(world.json(
        R"(gen main() -> string { assistant "$[x: select "a" | "b" | "c", temperature=5.0]" return x })",
        {}, options));
  }
  EXPECT_EQ(seen.size(), 3U);
}

TEST(Run, MapsHaveAnyKeysAndAreReadByThem) {
  World world;
  for (int seed = 0; seed < 8; ++seed) {
    RunOptions options;
    options.overrides.seed = seed;
    const auto out = world.run(R"(
      gen main() -> { made: map(int(0..9), 1..3), total: int, known: bool } {
        user "Say."
        assistant "$[made: map(int(0..9), 1..3), max=120, temperature=1]"
        let first = keys(made)[0]
        return { made, total: len(made), known: first in made and made[first] >= 0 }
      })",
                               {}, options);
    ASSERT_TRUE(out) << out.error().rendered;
    EXPECT_GE(out->field("total")->as_int(), 1);
    EXPECT_LE(out->field("total")->as_int(), 3);
    EXPECT_TRUE(out->field("known")->as_bool());
  }
  const std::string source =
      R"(gen main(m: map(int)) -> int { return m["a"] + len(m) + len(keys(m)) })";
  EXPECT_EQ(world.json(source, {{"m", {{"b", 1}, {"a", 5}}}}), "9");
  EXPECT_THAT(world.json(source, {{"m", {{"b", 1}}}}), HasSubstr("no field \"a\""));
  EXPECT_THAT(world.json(source, {{"m", {{"b", "x"}}}}), HasSubstr("expected int, got \"x\""));
}

TEST(Run, ASchemaFileIsTheMaskOfItsHole) {
  World world;
  world.files["letter.json"] =
      R"({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9},
          "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2}},
          "required": ["n", "tags"], "additionalProperties": false})";
  for (int seed = 0; seed < 8; ++seed) {
    RunOptions options;
    options.overrides.seed = seed;
    const auto out = world.run(R"(
      type Letter = schema("letter.json")
      gen main() -> Letter {
        user "${Letter}"
        assistant "$[found: Letter, max=100, temperature=1]"
        return found
      })",
                               {}, options);
    ASSERT_TRUE(out) << out.error().rendered;
    const Json value = to_json(*out);
    EXPECT_GE(value["n"], 1);
    EXPECT_LE(value["n"], 9);
    EXPECT_LE(value["tags"].size(), 2U);
  }
}

TEST(Run, DatesOfAHoleAreOfTheCalendar) {
  World world;
  for (int seed = 0; seed < 8; ++seed) {
    RunOptions options;
    options.overrides.seed = seed;
    const auto out = world.run(R"(
      record Day { on: date, at: time }
      gen main() -> { day: Day, moment: datetime, late: bool } {
        user "When?"
        assistant "$[day: Day, max=80, temperature=1] $[moment: datetime, max=60, temperature=1]"
        return { day, moment, late: day.on > "2000-01-01" }
      })",
                               {}, options);
    ASSERT_TRUE(out) << out.error().rendered;  // the result is checked against its types again
  }
}

TEST(Run, FilesThatAProgramUsesRunWithItsTypesAndTools) {
  World world;
  world.files["house.gen"] = R"(
    enum Mood { calm, tense }
    record Item { price: int }
    tool price(name: string) -> Item = python "x:y"
    gen rules(mood: Mood) { "Be ${mood}." }
    gen twice(n: int) -> int { return 2 * n })";
  Functions functions;
  functions.functions["price"] = [](const Json&) -> Result<Json> { return Json{{"price", 4}}; };
  Recorder recorder;
  RunOptions options;
  options.tools = &functions;
  options.observer = &recorder;
  EXPECT_EQ(world.json(R"(
    use "house.gen" { rules, price }
    use "house.gen" as house
    record Item { name: string }
    gen main() -> int {
      system { splice rules(house.Mood.tense) }
      user { for m in house.Mood { "${m} " } }
      let found = run price("lamp")
      match price("x") { price(name) => user "${name}" }
      return house.twice(found.price)
    })",
                       {}, options),
            "8");
  EXPECT_EQ(recorder.text(), "<system>Be tense.</><user>calm tense </><user>x</>");
}

}  // namespace
}  // namespace espalier::dsl
