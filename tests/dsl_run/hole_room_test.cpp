// The room that a hole needs in the context: what its type can take, not its whole budget.
#include "dsl/hole_room.h"

#include <gmock/gmock.h>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using testing::tiny_model;
using testing::World;
using testing::WorldOptions;

TEST(HoleRoom, IsTheSmallerOfBudgetAndLongestTextWithWhatStandsAroundIt) {
  const auto room = [](HoleBounds bounds) {
    const HoleRoom found = hole_room(bounds, nullptr);
    EXPECT_EQ(found.all(), found.value + found.behind);
    return std::pair(found.value, found.behind);
  };
  using Pair = std::pair<std::uint64_t, std::uint64_t>;
  EXPECT_EQ(room({.budget = 256}), Pair(256, 1));
  EXPECT_EQ(room({.budget = 256, .longest = 5}), Pair(5, 1));
  EXPECT_EQ(room({.budget = 3, .longest = 5}), Pair(3, 1));
  EXPECT_EQ(room({.budget = 256, .longest = 5, .follow = ".\n"}), Pair(5, 2));
  // What healing took back is counted in tokens by a budget, in bytes by a text.
  EXPECT_EQ(room({.budget = 3, .longest = 9, .healed_tokens = 1, .healed_bytes = 4}), Pair(4, 1));
  EXPECT_EQ(room({.budget = 9, .longest = 3, .healed_tokens = 1, .healed_bytes = 4}), Pair(7, 1));
  EXPECT_EQ(room({.budget = 9,
                  .longest = std::numeric_limits<std::uint64_t>::max(),
                  .healed_tokens = 1,
                  .healed_bytes = 4}),
            Pair(10, 1));
}

TEST(HoleRoom, AFollowTakesItsTokensWhereTheModelIsKnownAndABytePerTokenWhereNot) {
  const std::string follow = " and that is the end of the thing and of the tale and of it all.";
  const auto ids =
      tiny_model()->tokenizer()->encode(follow, runtime::TextStart::kContinuation).value();
  EXPECT_EQ(hole_room({.follow = follow}, nullptr).behind, follow.size());
  const auto known = hole_room({.follow = follow}, tiny_model()->tokenizer().get()).behind;
  EXPECT_GE(known, ids.size());
  EXPECT_LE(known, std::min(ids.size() + 8, follow.size()));
}

// The budget of 256 tokens alone would not fit.
TEST(HoleRoom, ShortTypesFitASmallContext) {
  World world(WorldOptions{.context = 64});
  for (const char* type : {"bool", "int(1..9)", "\"yes\" | \"no\"", "line(1..3)", "date",
                           "/[a-z]{1,8}/", "Colour", "span from \"the end\"", "Code"}) {
    const std::string source = std::string(R"gen(
      enum Colour { red, deep_red as "deep red" }
      grammar Code { start = /[A-Z]{2}/ "-" /[0-9]{1,3}/ }
      gen main() -> json { assistant "$[x: )gen") +
                               type + "]\" return x }";
    EXPECT_THAT(world.json(source), Not(HasSubstr("error"))) << type;
  }
  for (const char* type : {"string", "line", "json", "int[]", "line(1..200)"}) {
    const std::string source =
        std::string("gen main() -> json { assistant \"$[x: ") + type + "]\" return x }";
    EXPECT_THAT(world.json(source), HasSubstr("more may follow; the model's context holds 64"))
        << type;
  }
}

// Every context from the one that a hole's room just fits: it runs there, and one token less is
// refused with the same figure.
TEST(HoleRoom, OneTokenLessThanItIsRefused) {
  const std::string source = "gen main() -> json { assistant \"$[x: bool] it is.\" return x }";
  std::optional<std::uint32_t> fits;
  for (std::uint32_t context = 8; context < 64; ++context) {
    World world(WorldOptions{.context = context});
    const std::string out = world.json(source);
    if (out.starts_with("error")) {
      EXPECT_FALSE(fits.has_value()) << context << out;
      EXPECT_THAT(out, HasSubstr("the model's context holds " + std::to_string(context)));
    } else if (!fits) {
      fits = context;
    }
  }
  ASSERT_TRUE(fits.has_value());
}

TEST(HoleRoom, TheSameTextComesOutWhateverTheBudgetBeyondTheType) {
  World world;
  const auto with = [&](const std::string& max) {
    return world.json(
        "gen main() -> json { assistant \"Well: $[x: line(1..6), temperature=1, max=" + max +
        "] so.\" return { x, t: x.truncated } }");
  };
  const std::string once = with("24");
  EXPECT_THAT(once, StartsWith("{"));
  EXPECT_EQ(with("100"), once);
  EXPECT_EQ(with("4000"), once);
}

// At the budget's end a follow is written as it is cut alone, without asking the model.
TEST(HoleRoom, AtTheBudgetsEndTheFollowIsFed) {
  World world;
  testing::Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const std::string follow = " and that is the end of it.";
  const auto out = world.run(
      "gen main() -> bool { assistant \"Well, $[x: string, max=3, "
      "temperature=1.5]" +
          follow + "\" return x.truncated }",
      Json::object(), std::move(options));
  ASSERT_TRUE(out) << out.error().rendered;
  const auto ids =
      tiny_model()->tokenizer()->encode(follow, runtime::TextStart::kContinuation).value();
  EXPECT_EQ(to_json(*out), true);
  EXPECT_LE(recorder.tokens(), 3 + 8 + ids.size());
}

}  // namespace
}  // namespace espalier::dsl
