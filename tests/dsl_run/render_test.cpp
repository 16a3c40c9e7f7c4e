// What a prompt takes before anything runs: tokens by turn, and what every run begins with.
#include "dsl/render.h"

#include <gmock/gmock.h>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::tiny_model;
using testing::World;

RenderedPrompt rendered(World& world, const std::string& source, const Json& arguments) {
  const auto compiled = compile("test.gen", source);
  EXPECT_NE(compiled.program, nullptr) << render(compiled.diagnostics, compiled.sources);
  if (compiled.program == nullptr) return {};
  auto out = render_prompt(world.runner->model(), *compiled.program, "", arguments);
  EXPECT_TRUE(out) << out.error().message;
  return out ? std::move(*out) : RenderedPrompt();
}

std::vector<TokenId> ids_of(const std::string& prompt) {
  const auto ids = tiny_model()->tokenizer()->encode_special(prompt.substr(0, prompt.find("$[")));
  EXPECT_TRUE(ids);
  return ids.value_or(std::vector<TokenId>());
}

TEST(RenderedTokens, AreThoseOfThePromptUpToItsFirstHole) {
  World world;
  const auto out = rendered(world, R"(
    gen main(name: string) -> int {
      system "The end of the thing."
      user "Hello ${name}."
      assistant "Age: $[n: int(0..120)]."
      user "And then?"
      assistant "$[why: line, max=7]"
      return n
    })",
                            {{"name", "Ann"}});
  EXPECT_EQ(out.tokens, ids_of(out.text).size());
  EXPECT_EQ(out.until, "n");
  ASSERT_EQ(out.turns.size(), 5U);
  EXPECT_EQ(out.turns[0].role, "system");
  EXPECT_EQ(out.turns[2].holes.size(), 1U);
  EXPECT_EQ(out.turns[2].holes[0].name, "n");
  EXPECT_EQ(out.turns[2].holes[0].type, "int(0..120)");
  EXPECT_EQ(out.turns[2].holes[0].most, "3");
  EXPECT_EQ(out.turns[4].holes[0].most, "7");
  // The turn that the hole stands in goes on behind it.
  EXPECT_LT(out.turns[0].tokens + out.turns[1].tokens, out.tokens);
  EXPECT_LT(out.tokens, out.turns[0].tokens + out.turns[1].tokens + out.turns[2].tokens);
}

TEST(RenderedTokens, OfItsTurnsAddUpWhereNoHoleStandsBetweenThem) {
  World world;
  const auto out = rendered(world, R"(
    gen main(xs: string[]) {
      system "A thing."
      for x in xs { user "${x}" assistant "the ${x}" }
    })",
                            {{"xs", {"a", " the end", "\n\n"}}});
  std::size_t all = 0;
  for (const RenderedTurn& turn : out.turns) all += turn.tokens;
  EXPECT_EQ(out.turns.size(), 7U);
  EXPECT_EQ(out.tokens, all);
  EXPECT_EQ(out.until, "");
}

// Whatever stands in the place of the argument, the tokens before it stay what they were.
TEST(RenderedTokens, OfTheHeadAreThoseThatEveryRunBeginsWith) {
  World world;
  const std::string source = R"(
    gen main(name: string, polite: bool = false) -> line {
      system "The thin end of the"
      user "and the ${name} and"
      if polite { user "please" }
      assistant "$[x: line]"
      return x
    })";
  std::vector<std::vector<TokenId>> prompts;
  std::vector<std::size_t> shared;
  for (const char* name : {"", "n", " the", "  ", "end of the thing", "\n", "\xC3\xA9"}) {
    for (const bool polite : {false, true}) {
      const auto out = rendered(world, source, {{"name", name}, {"polite", polite}});
      prompts.push_back(ids_of(out.text));
      shared.push_back(out.shared);
      EXPECT_EQ(out.tokens, prompts.back().size());
      EXPECT_LT(out.shared, out.tokens);
      EXPECT_GT(out.shared, 4U);
    }
  }
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    ASSERT_GE(prompts[i].size(), shared[0]);
    EXPECT_TRUE(std::equal(prompts[0].begin(),
                           prompts[0].begin() + static_cast<std::ptrdiff_t>(shared[0]),
                           prompts[i].begin()));
    EXPECT_EQ(shared[i], shared[0]);
  }
}

TEST(RenderedTokens, AreAllSharedWhereNoArgumentMatters) {
  World world;
  const auto out = rendered(world, R"(
    gen rules(n: int) { "One. ${n}" }
    gen main(name: string) -> line {
      system { splice rules(3) }
      for i in 1..2 { user "a ${i}" }
      if 1 < 2 { user "b" }
      assistant "$[x: line]"
      user "${name}"
      return x
    })",
                            {{"name", "Ann"}});
  EXPECT_EQ(out.shared, out.tokens);
  const auto decided = rendered(world, R"(
    gen main(polite: bool) -> line {
      system "A."
      if polite { user "please" } else { user "plainly" }
      assistant "$[x: line]"
      return x
    })",
                                {{"polite", true}});
  EXPECT_LT(decided.shared, decided.tokens);
  EXPECT_EQ(decided.shared, decided.turns[0].tokens);
}

TEST(RenderedTokens, OfAForkAreThoseOfOneBranch) {
  World world;
  const auto out = rendered(world, R"(
    gen main(n: int, xs: string[]) -> line {
      user "Go."
      let a = fork n {
        assistant "$[x: line, max=5]"
        let inner = fork x2 in xs { user "${x2}" assistant "$[z: bool]" yield z }
        yield { x, inner }
      }
      user "${a[0].x}"
      assistant "$[y: line]"
      return y
    })",
                            {{"n", 3}, {"xs", {"one", "two"}}});
  EXPECT_THAT(out.text, AllOf(HasSubstr("\n[fork 3, each branch:\n<|im_start|>assistant\n$[x: "),
                              HasSubstr("\n[fork 2, each branch:\n<|im_start|>user\none"),
                              HasSubstr("<|im_start|>user\n${a[0].x}<|im_end|>")));
  ASSERT_EQ(out.turns.size(), 6U);
  EXPECT_EQ(out.turns[0].branch, "");
  EXPECT_EQ(out.turns[1].branch, "fork 3");
  EXPECT_EQ(out.turns[2].branch, "fork 3, fork 2");
  EXPECT_EQ(out.turns[4].branch, "");
  EXPECT_FALSE(out.turns[4].whole);
  EXPECT_EQ(out.until, "a[0].x");
  // The branches' texts are none of the trunk's.
  EXPECT_EQ(out.tokens, ids_of("<|im_start|>user\nGo.<|im_end|>\n<|im_start|>user\n$[").size());
}

TEST(RenderedTokens, OfAPromptThatDoesNotFitAreCountedAllTheSame) {
  World world({.context = 64});
  const auto out = rendered(world, R"(gen main(s: string) -> line {
      user "${s}" assistant "$[x: line]" return x })",
                            {{"s", std::string(500, 'x')}});
  EXPECT_GT(out.tokens, 64U);
}

}  // namespace
}  // namespace espalier::dsl
