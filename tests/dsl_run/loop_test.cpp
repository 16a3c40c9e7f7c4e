// Loops that `let` binds: a list of what their turns yield.
#include <gmock/gmock.h>

#include <set>

#include "dsl/render.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::Recorder;
using testing::World;

TEST(BoundLoop, IsTheListOfWhatItsTurnsYield) {
  World world;
  const auto gives = [&](const std::string& body) {
    return world.json("gen main() -> json { " + body + " }");
  };
  EXPECT_EQ(gives("let xs = for i in 1..3 { yield i * i } return xs"), "[1,4,9]");
  EXPECT_EQ(gives("let xs = for i in 1..6 { if i % 2 == 0 { yield i } } return xs"), "[2,4,6]");
  EXPECT_EQ(gives("let xs = for i in 1..6 { if i == 3 { break } yield i } return xs"), "[1,2]");
  EXPECT_EQ(gives("let xs = for i in 1..0 { yield i } return xs"), "[]");
  EXPECT_EQ(gives("let xs: float[] = for i in 1..2 { yield i } return xs"), "[1.0,2.0]");
  // A plain loop inside is left with its turn; one that is bound has yields of its own.
  EXPECT_EQ(
      gives("let xs = for i in 1..3 { for j in 1..9 { if i + j == 5 { yield j } } } return xs"),
      "[4,3,2]");
  EXPECT_EQ(gives("let xs = for i in 1..3 { let ys = for j in 1..i { yield j } yield ys } "
                  "return xs"),
            "[[1],[1,2],[1,2,3]]");
  EXPECT_EQ(gives("let xs = for i in 1..3 { let y = fork { yield 2 * i } yield y } return xs"),
            "[2,4,6]");
  EXPECT_EQ(gives("let ys = fork n in [1, 2] { let xs = for i in 1..n { yield i } yield sum(xs) } "
                  "return ys"),
            "[1,3]");
  EXPECT_EQ(gives("let xs = for i in 1..3 { if i == 2 { return \"left\" } yield i } return xs"),
            R"("left")");
  EXPECT_EQ(
      gives("let xs = for i in 1..3 { retry 2 { require i != 2 yield i } else { } } return xs"),
      "[1,3]");
}

TEST(BoundLoop, ItsTextStaysAndItsTurnsAreClosed) {
  World world;
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const std::string out = world.json(R"gen(
    gen main() -> json {
      let seen = for i in 1..3 {
        user "Say ${i}."
        assistant {
          "$[digit: int(0..9)]"
          yield digit
        }
      }
      user "${json(seen)}"
      assistant "$[last: int(0..9)]"
      return seen
    })gen",
                                     Json::object(), options);
  const Json seen = Json::parse(out);
  ASSERT_EQ(seen.size(), 3U);
  std::string expected;
  for (int i = 0; i < 3; ++i)
    expected += "<user>Say " + std::to_string(i + 1) + ".</><assistant>" + seen[i].dump() + "</>";
  EXPECT_THAT(recorder.text(), HasSubstr(expected + "<user>" + out + "</>"));
}

TEST(BoundLoop, EachTurnDrawsItsOwn) {
  World world;
  const std::string source = R"gen(
    config { temperature: 1.5, seed: 4 }
    gen main() -> json {
      let xs = for i in 1..8 {
        let x = fork { user "a" assistant "$[n: int(0..999)]" yield n }
        yield x
      }
      return xs
    })gen";
  const Json drawn = Json::parse(world.json(source));
  EXPECT_GT(std::set<Json>(drawn.begin(), drawn.end()).size(), 1U);
  EXPECT_EQ(Json::parse(world.json(source)), drawn);
}

TEST(BoundLoop, RendersWhereItsValuesAreKnown) {
  World world;
  const auto shown = [&](const std::string& turn) {
    const Compiled compiled =
        compile("t.gen", "gen main() -> json {\n  user \"a\"\n  let xs = for i in 1..3 { " + turn +
                             " }\n  user \"all: ${json(xs)}\"\n  return xs\n}\n");
    EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
    auto out = render_prompt(world.runner->model(), *compiled.program, "", Json::object());
    EXPECT_TRUE(out) << out.error().message;
    return out ? out->text : std::string();
  };
  EXPECT_THAT(shown("yield 2 * i"), HasSubstr("all: [2,4,6]"));
  EXPECT_THAT(shown("assistant \"$[n: int(0..9)]\" if i > 1 { yield n } yield i"),
              AllOf(HasSubstr("$[n: int(0..9)]"), HasSubstr("all: ${json(xs)}")));
}

}  // namespace
}  // namespace espalier::dsl
