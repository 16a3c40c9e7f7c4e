// How many requests a pool takes in at once: what they share counts once, and those that
// outgrow it are not taken in again and again.
#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/fault_system.h"
#include "runtime/engine/scheduler.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

constexpr TokenId kEnd = 63;

class Admission : public ::testing::Test {
 protected:
  /// `pages`, and texts that end at so many tokens of their path: `ends(first token)`.
  void open(std::uint32_t pages, std::size_t (*ends)(TokenId first)) {
    ToyOptions toy;
    toy.pages = pages;
    toy.wants = [ends](std::span<const TokenId> tokens, std::size_t id) {
      if (id != static_cast<std::size_t>(kEnd)) return 0.0F;
      return tokens.size() >= ends(tokens[0]) ? 1000.0F : -1000.0F;
    };
    backend = std::make_unique<ToyBackend>(toy);
    EngineOptions options;
    options.max_rows = 256;
    options.draft = false;
    options.poison = options.check = true;
    scheduler = std::make_unique<Scheduler>(
        *backend, options, clock, [this](const std::shared_ptr<BranchState>& state) {
          const auto& answer = std::get<Result<Generated>>(state->answer);
          EXPECT_TRUE(answer.has_value()) << answer.error().message;
          ++done;
        });
  }
  void send(Ids prompt, std::uint32_t tokens) {
    auto state = std::make_shared<BranchState>();
    state->ids = std::move(prompt);
    GenerateRequest request;
    request.max_tokens = tokens;
    request.end_tokens = {kEnd};
    state->request = std::move(request);
    scheduler->add(std::move(state));
  }
  /// Until all have ended.
  void finish() {
    for (int step = 0; !scheduler->idle() && step < 20'000; ++step) scheduler->step();
    EXPECT_TRUE(scheduler->idle());
    const Status ok = scheduler->check();
    EXPECT_TRUE(ok.has_value()) << ok.error().message;
  }
  static Ids prompt_of(TokenId first, TokenId own, std::size_t count) {
    Ids out(count, 7);
    out[0] = first;
    out.back() = own;
    return out;
  }

  FaultSystem clock{real_system()};
  std::unique_ptr<ToyBackend> backend;
  std::unique_ptr<Scheduler> scheduler;
  std::size_t done = 0;
};

TEST_F(Admission, AColdHeadThatRequestsShareIsReckonedOnce) {
  open(32, [](TokenId) { return std::size_t{170}; });
  // Ten pages of head, of which the pool holds three times as many; a page and a half for each.
  for (TokenId own = 0; own < 6; ++own) send(prompt_of(1, own, 165), 8);
  scheduler->step();
  EXPECT_EQ(scheduler->stats().requests, 6u) << "all are in the tree from the first step on";
  finish();
  EXPECT_EQ(done, 6u);
  EXPECT_EQ(scheduler->stats().preemptions, 0u);
  EXPECT_EQ(scheduler->stats().recomputed_tokens, 0u);
}

TEST_F(Admission, WhereAllGrowLongerThanEverEachGoesBackOnceAtMost) {
  open(64, [](TokenId first) { return std::size_t{first == 1 ? 24u : 150u}; });
  for (int i = 0; i < 40; ++i) send(prompt_of(1, static_cast<TokenId>(i % 60), 16), 400);
  finish();
  const Stats before = scheduler->stats();
  for (int i = 0; i < 30; ++i) send(prompt_of(2, static_cast<TokenId>(i), 16), 400);
  finish();
  EXPECT_EQ(done, 70u);
  const Stats after = scheduler->stats();
  // More were let in than can grow; each of them goes back once at most.
  EXPECT_LE(after.preemptions - before.preemptions, 30u);
}

}  // namespace
}  // namespace espalier::runtime
