// Context: which ids a path holds.
#include "dsl/context.h"

#include <gmock/gmock.h>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::Alternating;
using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using testing::tiny_model;
using testing::World;
using testing::WorldOptions;

// The tiny model's tokens: 3 control tokens, the bytes, then th the in an and " a" " the".
constexpr TokenId byte(char c) { return 3 + static_cast<unsigned char>(c); }
constexpr TokenId kThe = 260;
constexpr TokenId kAnd = 263;
constexpr TokenId kSpaceThe = 265;

class ContextTest : public ::testing::Test {
 protected:
  Context context() { return {world_.runner->model(), world_.engine->open()}; }
  /// The ids after an assistant turn's opening, with `text` before `value` and `after` behind it.
  std::vector<TokenId> ids(const std::string& text, const std::string& value,
                           const Spelling& spelling, const std::string& after = "") {
    Context one = context();
    EXPECT_TRUE(one.open(runtime::Role::kAssistant));
    const std::size_t begin = one.branch().ids().size();
    one.text(text);
    EXPECT_TRUE(one.written(value, spelling));
    one.text(after);
    EXPECT_TRUE(one.flush());
    const auto& all = one.branch().ids();
    return {all.begin() + static_cast<std::ptrdiff_t>(begin), all.end()};
  }

  World world_;
};

TEST_F(ContextTest, AValueIsFedWithTheIdsItWasWrittenWith) {
  const std::vector<TokenId> letters{byte(' '), byte('t'), byte('h'), byte('e')};
  EXPECT_THAT(ids("B:", " the", {"", letters}),
              ElementsAre(byte('B'), byte(':'), byte(' '), byte('t'), byte('h'), byte('e')));
  EXPECT_THAT(ids("B:", " the", {}), ElementsAre(byte('B'), byte(':'), kSpaceThe));
}

TEST_F(ContextTest, WhatAHoleTookBackBelongsToItsIds) {
  EXPECT_THAT(ids("B: ", "the", {" ", {kSpaceThe}}), ElementsAre(byte('B'), byte(':'), kSpaceThe));
  const Spelling split{" ", {byte(' '), byte('t'), byte('h'), byte('e')}};
  EXPECT_THAT(ids("B: ", "the", split),
              ElementsAre(byte('B'), byte(':'), byte(' '), byte('t'), byte('h'), byte('e')));
  // Where nothing was taken back, those ids cannot stand.
  EXPECT_THAT(ids("B:", "the", split), ElementsAre(byte('B'), byte(':'), kThe));
}

TEST_F(ContextTest, AnIdThatReachesBeyondTheValueIsSpelledAnew) {
  EXPECT_THAT(ids("", "xa", {"", {byte('x'), kAnd}}, "nd."),
              ElementsAre(byte('x'), kAnd, byte('.')));
  EXPECT_THAT(ids("", "a", {"", {kAnd}}, "t"), ElementsAre(byte('a'), byte('t')));
}

TEST_F(ContextTest, IdsOfAnotherTextAreNotFed) {
  EXPECT_THAT(ids("", "and", {"", {byte('t'), byte('h'), byte('e')}}), ElementsAre(kAnd));
  EXPECT_THAT(ids("", "and", {"", {2}}), ElementsAre(kAnd));
}

TEST_F(ContextTest, AClosedTurnOpensAgainOnlyAsTheLastThing) {
  World world(WorldOptions{.chat = std::make_shared<Alternating>(tiny_model()->chat_template())});
  const auto start = [&] {
    Context one(world.runner->model(), world.engine->open());
    EXPECT_TRUE(one.open(runtime::Role::kUser));
    one.text("Say th");
    EXPECT_TRUE(one.close());
    return one;
  };
  Context whole(world.runner->model(), world.engine->open());
  EXPECT_TRUE(whole.open(runtime::Role::kUser));
  whole.text("Say the end");
  EXPECT_TRUE(whole.close());

  Context one = start();
  const auto snapshot = one.snapshot();
  ASSERT_TRUE(snapshot);
  for (int attempt = 0; attempt < 2; ++attempt) {
    EXPECT_FALSE(one.reopen(runtime::Role::kAssistant));
    ASSERT_TRUE(one.reopen(runtime::Role::kUser));
    one.text("e end");
    EXPECT_TRUE(one.close());
    EXPECT_THAT(one.branch().ids(), ElementsAreArray(whole.branch().ids()));
    EXPECT_TRUE(one.open(runtime::Role::kAssistant));
    EXPECT_TRUE(one.close());
    EXPECT_FALSE(one.reopen(runtime::Role::kUser));
    one.restore(*snapshot);
  }
  // A template that takes two user turns never needs it.
  Context plain = context();
  EXPECT_TRUE(plain.open(runtime::Role::kUser));
  EXPECT_TRUE(plain.close());
  EXPECT_FALSE(plain.reopen(runtime::Role::kUser));
}

}  // namespace
}  // namespace espalier::dsl
