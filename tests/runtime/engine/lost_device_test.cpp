// Of several engines one loses its device: what ran there fails, what waited there and what its
// programs still send goes to the others, with the same texts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <latch>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

using ::testing::HasSubstr;

constexpr const char* kGone = "the device is gone";
constexpr std::size_t kTexts = 4;  // that lack room together

// A device that is lost for good when its flag is up, and may be kept in a step.
struct Device {
  std::atomic<bool> lost = false;
  std::atomic<bool> held = false;
  std::atomic<std::uint64_t> steps = 0;
  std::uint64_t lost_at = 0;  // a step; 0: none
  // So many steps after texts that had no room went on, because one of them left the tree; 0: none.
  std::uint64_t lost_after_room = 0;
  std::uint32_t pages = 64;

  [[nodiscard]] ToyOptions toy() {
    ToyOptions out;
    out.pages = pages;
    out.for_good = true;
    out.lost = [this]() -> Status {
      if (lost) return fail(ErrorCode::kInternal, kGone);
      return {};
    };
    out.on_step = [this](const Batch& batch) {
      if (++steps == lost_at) lost = true;
      const std::size_t texts = batch.sequences.size();
      all = all || texts == kTexts;
      lacked = lacked || (all && texts < before);
      if (lacked && (room > 0 || texts > before) && ++room == lost_after_room) lost = true;
      before = texts;
      while (held) std::this_thread::yield();
    };
    return out;
  }

  // Of the engine's thread.
  std::size_t before = 0;  // texts in the last step
  bool all = false;        // have run in one
  bool lacked = false;
  std::uint64_t room = 0;
};

struct Engines {
  std::vector<Device> devices;
  std::mutex mutex;
  std::vector<std::string> notes;
  std::unique_ptr<Engine> engine;

  explicit Engines(const std::vector<std::uint32_t>& pages, bool cache = true)
      : devices(pages.size()) {
    std::vector<EngineBackends> backends;
    for (std::size_t i = 0; i < pages.size(); ++i) {
      devices[i].pages = pages[i];
      backends.push_back({std::make_unique<ToyBackend>(devices[i].toy()), nullptr});
    }
    EngineOptions options = Given().options;
    options.cache = cache;
    options.note = [this](const std::string& message) {
      const std::lock_guard lock(mutex);
      notes.push_back(message);
    };
    auto made = Engine::create(std::move(backends), options, real_system());
    EXPECT_TRUE(made.has_value()) << made.error().message;
    engine = std::move(*made);
  }
  ~Engines() {
    for (Device& it : devices) it.held = false;
  }

  /// A program of the engine `wanted`, whose first request has been answered.
  [[nodiscard]] Branch of(std::size_t wanted, const Ids& ids) {
    std::vector<Branch> elsewhere;  // alive, so that the next one goes to another engine
    for (;;) {
      const auto before = engine->stats_of_each()[wanted].stats.requests;
      Branch out = engine->open();
      out.append(ids);
      EXPECT_TRUE(out.generate_now(free_text(1)).has_value());
      if (engine->stats_of_each()[wanted].stats.requests > before) return out;
      elsewhere.push_back(std::move(out));
    }
  }
  void expect_sound() {
    const Status ok = engine->check_idle();
    EXPECT_TRUE(ok.has_value()) << ok.error().message;
  }
};

// Ids of `branch`, and so many that follow.
Ids behind(const Branch& branch, std::uint32_t tokens) {
  return by_definition(branch.ids(), tokens);
}

TEST(ALostDevice, FailsWhatRunsThereAndNothingElse) {
  std::mt19937 random(1);
  for (const bool cache : {true, false}) {
    Engines it({64, 64}, cache);
    Branch trunk = it.of(0, random_ids(random, 40));
    // One runs, the others come while its step does not end.
    std::vector<Branch> forks;
    for (int i = 0; i < 5; ++i) {
      forks.push_back(trunk.fork());
      forks.back().append(random_ids(random, 10));
    }
    std::vector<Ids> expected;
    for (const Branch& fork : forks) expected.push_back(behind(fork, 6));
    std::vector<std::optional<Result<Generated>>> answers(forks.size());
    std::vector<std::thread> threads;
    const auto ask = [&](std::size_t i) {
      threads.emplace_back([&, i] { answers[i] = forks[i].generate_now(free_text(6)); });
    };
    it.devices[0].held = true;
    const std::uint64_t steps = it.devices[0].steps;
    ask(0);
    while (it.devices[0].steps == steps) std::this_thread::yield();
    for (std::size_t i = 1; i < forks.size(); ++i) ask(i);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    it.devices[0].lost = true;
    it.devices[0].held = false;
    for (std::thread& thread : threads) thread.join();

    ASSERT_FALSE(answers[0]->has_value());
    EXPECT_EQ(answers[0]->error().code, ErrorCode::kInternal);
    EXPECT_THAT(answers[0]->error().message, HasSubstr(kGone));
    for (std::size_t i = 1; i < forks.size(); ++i) {
      ASSERT_TRUE(answers[i]->has_value()) << i << ": " << answers[i]->error().message;
      EXPECT_EQ((*answers[i])->ids, expected[i]) << i;
    }
    // What failed can be asked again, and so can all that the program still says.
    const auto again = forks[0].generate_now(free_text(6));
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->ids, expected[0]);
    const Ids more = behind(trunk, 3);
    const auto out = trunk.generate_now(free_text(3));
    ASSERT_TRUE(out.has_value()) << out.error().message;
    EXPECT_EQ(out->ids, more);
    const auto each = it.engine->stats_of_each();
    EXPECT_TRUE(each[0].lost);
    EXPECT_FALSE(each[1].lost);
    EXPECT_EQ(each[0].programs, 0U);
    ASSERT_EQ(it.notes.size(), 1U);
    EXPECT_EQ(it.notes[0],
              "engine 1 of 2: its device is lost, so others get its programs while they work: "
              "the device is gone");
    it.expect_sound();
  }
}

// A text that was begun, and left the tree for want of room, goes on where it stood: each token is
// said once.
TEST(ALostDevice, LetsTextsThatWereBegunGoOnElsewhere) {
  std::mt19937 random(2);
  bool went_on = false;
  // Again where the texts did not come together, on a machine that does much else.
  constexpr std::uint64_t kSteps[] = {1, 2, 5};
  for (int attempt = 0; attempt < 3 || (attempt < 100 && !went_on); ++attempt) {
    SCOPED_TRACE(attempt);
    Engines it({16, 64});
    it.devices[0].lost_after_room = kSteps[attempt % 3];
    std::vector<Branch> branches;
    Branch trunk = it.of(0, random_ids(random, 20));
    for (std::size_t i = 0; i < kTexts; ++i) {
      branches.push_back(trunk.fork());
      branches.back().append(random_ids(random, 8));
    }
    std::vector<Ids> expected;
    for (const Branch& branch : branches) expected.push_back(behind(branch, 90));
    // A text that something might end is let in as if it were short, so room is lacking later.
    TokenId never = 0;
    const auto says = [&](const Ids& ids) { return std::count(ids.begin(), ids.end(), never) > 0; };
    while (std::any_of(expected.begin(), expected.end(), says)) ++never;
    std::vector<Ids> said(branches.size());
    std::vector<int> answered(branches.size());
    std::vector<std::size_t> said_there(branches.size());
    it.devices[0].held = true;
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < branches.size(); ++i) {
      threads.emplace_back([&, i] {
        GenerateRequest request = free_text(90);
        request.end_tokens = {never};
        request.on_token = [&, i](const Progress& token) {
          said[i].push_back(token.token);
          if (!it.devices[0].lost) said_there[i] = said[i].size();
        };
        const auto out = branches[i].generate_now(std::move(request));
        answered[i] = out ? 1 : 0;
        if (out) {
          EXPECT_EQ(out->ids, expected[i]);
        } else {
          EXPECT_THAT(out.error().message, HasSubstr(kGone));
        }
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    it.devices[0].held = false;
    for (std::thread& thread : threads) thread.join();
    for (std::size_t i = 0; i < branches.size(); ++i) {
      ASSERT_LE(said[i].size(), expected[i].size());
      EXPECT_TRUE(std::equal(said[i].begin(), said[i].end(), expected[i].begin()));
      went_on = went_on || (answered[i] == 1 && said_there[i] > 0 && said_there[i] < 90);
    }
    it.expect_sound();
  }
  EXPECT_TRUE(went_on) << "no text was between two engines";
}

// Many programs at once, whenever the device goes: a text is right or its request says why there is
// none, and what is asked once more is right.
TEST(ALostDevice, LeavesEveryTextRightWheneverItGoes) {
  for (std::uint64_t lost_at = 1; lost_at < 60; lost_at += 4) {
    SCOPED_TRACE(lost_at);
    Engines it({24, 24, 24});
    it.devices[1].lost_at = lost_at;
    std::atomic<int> failed = 0;
    std::vector<std::thread> clients;
    for (unsigned c = 0; c < 8; ++c) {
      clients.emplace_back([&, c] {
        std::mt19937 random(c);
        Branch branch = it.engine->open();
        branch.append(random_ids(random, 10 + c));
        for (int turn = 0; turn < 4; ++turn) {
          const Ids expected = behind(branch, 8);
          Branch fork = branch.fork();
          for (int attempt = 0;; ++attempt) {
            const auto out = branch.generate_now(free_text(8));
            if (out) {
              EXPECT_EQ(out->ids, expected);
              break;
            }
            ++failed;
            EXPECT_THAT(out.error().message, HasSubstr(kGone));
            ASSERT_LT(attempt, 1) << "it went to the lost device again";
          }
          fork.append(random_ids(random, 3));
          const auto scored = fork.score_now({{Ids{1}, Ids{2, 3}}});
          if (!scored) ++failed;
        }
      });
    }
    for (std::thread& client : clients) client.join();
    EXPECT_LE(failed, 8) << "more than what was in flight";
    it.expect_sound();
    for (const EngineStats& each : it.engine->stats_of_each()) EXPECT_EQ(each.programs, 0U);
  }
}

TEST(ALostDevice, WhoseWaitingRequestsFitNoOtherPoolFailsThemByName) {
  std::mt19937 random(3);
  Engines it({64, 8});
  Branch trunk = it.of(0, random_ids(random, 16));
  Branch running = trunk.fork();
  Branch waiting = trunk.fork();
  running.append(random_ids(random, 4));
  waiting.append(random_ids(random, 150));
  it.devices[0].held = true;
  const std::uint64_t steps = it.devices[0].steps;
  std::thread first([&] { EXPECT_FALSE(running.generate_now(free_text(4)).has_value()); });
  while (it.devices[0].steps == steps) std::this_thread::yield();
  std::thread second([&] {
    const auto out = waiting.generate_now(free_text(20));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kExhausted);
    EXPECT_EQ(out.error().message, "the prompt and its budget need 13 KV pages; the pool has 8");
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  it.devices[0].lost = true;
  it.devices[0].held = false;
  first.join();
  second.join();
  it.expect_sound();
}

TEST(ALostDevice, WhereNoneIsLeftEndsEveryRequestWithTheError) {
  std::mt19937 random(4);
  Engines it({64, 64});
  std::vector<Branch> branches;
  for (std::size_t i = 0; i < 2; ++i) branches.push_back(it.of(i, random_ids(random, 20 + i)));
  for (Device& device : it.devices) device.lost = true;
  for (int round = 0; round < 3; ++round) {
    for (Branch& branch : branches) {
      const auto out = branch.generate_now(free_text(3));
      ASSERT_FALSE(out.has_value());
      EXPECT_THAT(out.error().message, HasSubstr(kGone));
    }
  }
  for (const EngineStats& each : it.engine->stats_of_each()) EXPECT_TRUE(each.lost);
  it.expect_sound();
}

}  // namespace
}  // namespace espalier::runtime
