// Several engines behind one Engine: texts are those of one engine, programs stay where they were
// placed, and what fails fails alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <latch>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "runtime/engine/prefix_router.h"
#include "runtime/engine/tree_text.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

using ::testing::HasSubstr;

std::vector<EngineBackends> toys(std::size_t count, const ToyOptions& toy = {}) {
  std::vector<EngineBackends> out(count);
  for (EngineBackends& it : out) it.backend = std::make_unique<ToyBackend>(toy);
  return out;
}

std::unique_ptr<Engine> engines(std::vector<EngineBackends> backends,
                                EngineOptions options = Given().options) {
  auto made = Engine::create(std::move(backends), options, real_system());
  EXPECT_TRUE(made.has_value()) << made.error().message;
  return std::move(*made);
}

void expect_sound(Engine& engine) {
  const Status ok = engine.check_idle();
  EXPECT_TRUE(ok.has_value()) << ok.error().message;
  const Stats stats = engine.stats();
  EXPECT_EQ(stats.reused_tokens + stats.computed_tokens, stats.prompt_tokens);
  Stats sum;
  for (const EngineStats& it : engine.stats_of_each()) sum += it.stats;
  EXPECT_EQ(sum.prompt_tokens, stats.prompt_tokens);
  EXPECT_EQ(sum.requests, stats.requests);
  EXPECT_EQ(sum.pages_total, stats.pages_total);
}

std::vector<std::uint64_t> requests_of(const Engine& engine) {
  std::vector<std::uint64_t> out;
  for (const EngineStats& it : engine.stats_of_each()) out.push_back(it.stats.requests);
  return out;
}

// A program of random turns: a head that others share, forks that speak at once or later, scores,
// what was said taken back; at temperature 0 or 0.8.
std::vector<Ids> run_program(Engine& engine, std::uint64_t seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::vector<Ids> said;
  const float temperature = random() % 2 == 0 ? 0.0F : 0.8F;
  std::mt19937 shared(static_cast<unsigned>(random() % 3));
  Branch trunk = engine.open();
  trunk.append(random_ids(shared, 20 + 40 * (random() % 4)));
  const auto speak = [&](Branch& branch) {
    const auto out = branch.generate_now(
        free_text(1 + static_cast<std::uint32_t>(random() % 20), temperature, random()));
    EXPECT_TRUE(out.has_value()) << out.error().message;
    said.push_back(out ? out->ids : Ids());
  };
  for (std::size_t turn = 0; turn < 1 + random() % 3; ++turn) {
    trunk.append(random_ids(random, random() % 30));
    if (random() % 4 > 0) speak(trunk);
    std::vector<Branch> forks;
    for (std::size_t i = 0; i < random() % 3; ++i) forks.push_back(trunk.fork());
    for (Branch& fork : forks) {
      fork.append(random_ids(random, 1 + random() % 20));
      speak(fork);
    }
    if (random() % 3 == 0) {
      const auto scored =
          trunk.score_now({{random_ids(random, 3), random_ids(random, 2), random_ids(random, 4)}});
      EXPECT_TRUE(scored.has_value());
      Ids order;
      for (const auto& list : scored->logprobs) order.push_back(list[0] < list[1] ? 1 : 0);
      said.push_back(order);
    }
    if (random() % 3 == 0) trunk.rollback(trunk.ids().size() / 2 + 1);
  }
  return said;
}

std::vector<std::vector<Ids>> run_all(Engine& engine, std::size_t programs, unsigned at_once) {
  std::vector<std::vector<Ids>> out(programs);
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < at_once; ++c) {
    clients.emplace_back([&] {
      for (std::size_t at; (at = next++) < programs;) out[at] = run_program(engine, at + 1);
    });
  }
  for (std::thread& client : clients) client.join();
  return out;
}

TEST(DataParallel, TextsAreThoseOfOneEngine) {
  auto one = make_engine();
  const auto expected = run_all(*one, 60, 1);
  for (const std::size_t count : {1U, 2U, 3U, 5U}) {
    for (const std::uint32_t pages : {64U, 24U}) {
      for (const bool cache : {true, false}) {
        SCOPED_TRACE(std::to_string(count) + " engines of " + std::to_string(pages) + " pages");
        EngineOptions options = Given().options;
        options.cache = cache;
        auto engine = engines(toys(count, {.pages = pages}), options);
        const auto said = run_all(*engine, expected.size(), 8);
        for (std::size_t i = 0; i < said.size(); ++i) ASSERT_EQ(said[i], expected[i]) << i;
        expect_sound(*engine);
        for (const EngineStats& it : engine->stats_of_each()) {
          EXPECT_GT(it.stats.requests, 0U);
          EXPECT_EQ(it.programs, 0U);
        }
      }
    }
  }
}

TEST(DataParallel, AProgramStaysWithItsForks) {
  std::mt19937 random(1);
  auto engine = engines(toys(3));
  Branch trunk = engine->open();
  trunk.append(random_ids(random, 100));
  // Of forks that speak first and together, too.
  std::vector<Branch> forks;
  for (int i = 0; i < 6; ++i) forks.push_back(trunk.fork());
  std::latch start(6);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < forks.size(); ++i) {
    threads.emplace_back([&, i] {
      forks[i].append(Ids{static_cast<TokenId>(i)});
      start.arrive_and_wait();
      EXPECT_TRUE(forks[i].generate_now(free_text(3)).has_value());
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(trunk.generate_now(free_text(5)).has_value());
  ASSERT_TRUE(trunk.fork().generate_now(free_text(2)).has_value());
  std::vector<std::uint64_t> requests = requests_of(*engine);
  std::sort(requests.begin(), requests.end());
  EXPECT_EQ(requests, (std::vector<std::uint64_t>{0, 0, 8}));
  std::uint64_t programs = 0;
  for (const EngineStats& it : engine->stats_of_each()) programs += it.programs;
  EXPECT_EQ(programs, 1U);
  forks.clear();
  trunk = {};
  expect_sound(*engine);
  for (const EngineStats& it : engine->stats_of_each()) EXPECT_EQ(it.programs, 0U);
}

// One after the other: whoever holds the head computes it once, what an earlier program said too.
TEST(DataParallel, AHeadIsComputedWhereItIsHeld) {
  std::mt19937 random(2);
  auto engine = engines(toys(4, {.pages = 256}));
  const Ids head = random_ids(random, 320);
  Ids path;
  for (int i = 0; i < 6; ++i) {
    Branch branch = engine->open();
    branch.append(path.empty() ? head : path);
    branch.append(random_ids(random, 20));
    ASSERT_TRUE(branch.generate_now(free_text(40)).has_value());
    // The next one goes on from here, as conversations do.
    path = branch.ids();
  }
  std::vector<std::uint64_t> requests = requests_of(*engine);
  std::sort(requests.begin(), requests.end());
  EXPECT_EQ(requests, (std::vector<std::uint64_t>{0, 0, 0, 6}));
  // Of each program its own 20 tokens, and the answer's last one, which nobody had computed.
  EXPECT_EQ(engine->stats().computed_tokens, 320U + 6 * 20 + 5);
}

// Programs that live together spread as the rule says, and the head is computed once by each.
TEST(DataParallel, ManyProgramsOfOneHeadSpreadOverTheEngines) {
  std::mt19937 random(3);
  auto engine = engines(toys(2, {.pages = 512}));
  const Ids head = random_ids(random, 640);
  std::vector<Branch> live;
  for (int i = 0; i < 24; ++i) {
    live.push_back(engine->open());
    live.back().append(head);
    live.back().append(Ids{static_cast<TokenId>(i), 1, 2, 3, 4});
    ASSERT_TRUE(live.back().generate_now(free_text(2)).has_value());
    const auto each = engine->stats_of_each();
    const auto [least, most] = std::minmax(each[0].programs, each[1].programs);
    ASSERT_LE(most, least + 640 / PrefixRouter::kProgramTokens + 1);
  }
  EXPECT_EQ(engine->stats().computed_tokens, 2 * 640U + 24 * 5U);
  expect_sound(*engine);
}

// What an engine had to evict is a wrong guess: it costs time and no text.
TEST(DataParallel, AWrongGuessChangesNoText) {
  std::mt19937 random(4);
  auto engine = engines(toys(2, {.pages = 24}));
  std::vector<Ids> heads;
  for (int i = 0; i < 8; ++i) heads.push_back(random_ids(random, 150));
  for (int round = 0; round < 40; ++round) {
    const Ids& head = heads[random() % heads.size()];
    Branch branch = engine->open();
    branch.append(head);
    const auto out = branch.generate_now(free_text(10));
    ASSERT_TRUE(out.has_value());
    EXPECT_EQ(out->ids, by_definition(head, 10));
  }
  expect_sound(*engine);
}

// ---- an engine that fails

struct Lossy {
  std::vector<std::shared_ptr<std::atomic<bool>>> lost;
  std::mutex mutex;
  std::vector<std::string> notes;
  std::unique_ptr<Engine> engine;

  explicit Lossy(std::size_t count, ErrorCode code = ErrorCode::kInternal) {
    std::vector<EngineBackends> backends;
    for (std::size_t i = 0; i < count; ++i) {
      lost.push_back(std::make_shared<std::atomic<bool>>(false));
      ToyOptions toy;
      toy.lost = [flag = lost.back(), code]() -> Status {
        if (*flag) return fail(code, "the device is gone");
        return {};
      };
      backends.push_back({std::make_unique<ToyBackend>(toy), nullptr});
    }
    EngineOptions options = Given().options;
    options.note = [this](const std::string& message) {
      const std::lock_guard lock(mutex);
      notes.push_back(message);
    };
    engine = engines(std::move(backends), options);
  }

  /// The engine that has had a request more than `before`.
  [[nodiscard]] std::size_t place(const std::vector<std::uint64_t>& before) const {
    const auto now = requests_of(*engine);
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] > before[i]) return i;
    }
    return now.size();
  }
};

TEST(DataParallel, AnEngineThatFailsFailsItsProgramsAlone) {
  std::mt19937 random(5);
  Lossy it(2);
  const Ids head = random_ids(random, 200);
  Branch mine = it.engine->open();
  mine.append(head);
  ASSERT_TRUE(mine.generate_now(free_text(3)).has_value());
  const std::size_t home = it.place({0, 0});
  Branch other = it.engine->open();
  other.append(random_ids(random, 50));
  auto before = requests_of(*it.engine);
  ASSERT_TRUE(other.generate_now(free_text(3)).has_value());
  EXPECT_EQ(it.place(before), 1 - home);

  *it.lost[home] = true;
  for (int i = 0; i < 2; ++i) {
    const auto out = mine.generate_now(free_text(3));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kInternal);
    EXPECT_THAT(out.error().message, HasSubstr("the device is gone"));
  }
  EXPECT_TRUE(it.engine->stats_of_each()[home].failed);
  ASSERT_EQ(it.notes.size(), 1U);
  EXPECT_EQ(it.notes[0], "engine " + std::to_string(home + 1) +
                             " of 2: a step failed, so it gets no new programs while others work: "
                             "the device is gone");
  // The other's programs go on, and new ones go there, whatever the failed one holds.
  ASSERT_TRUE(other.generate_now(free_text(3)).has_value());
  for (int i = 0; i < 5; ++i) {
    Branch fresh = it.engine->open();
    fresh.append(head);
    const auto out = fresh.generate_now(free_text(3));
    ASSERT_TRUE(out.has_value()) << out.error().message;
    EXPECT_EQ(out->ids, by_definition(head, 3));
  }
  // One that works again is one again.
  *it.lost[home] = false;
  ASSERT_TRUE(mine.generate_now(free_text(3)).has_value());
  EXPECT_FALSE(it.engine->stats_of_each()[home].failed);
  expect_sound(*it.engine);
}

TEST(DataParallel, WhereAllFailEveryProgramEndsWithTheError) {
  std::mt19937 random(6);
  Lossy it(3);
  for (auto& flag : it.lost) *flag = true;
  for (int i = 0; i < 9; ++i) {
    Branch branch = it.engine->open();
    branch.append(random_ids(random, 30));
    const auto out = branch.generate_now(free_text(3));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kInternal);
  }
  EXPECT_EQ(it.notes.size(), 3U);
  expect_sound(*it.engine);
}

TEST(DataParallel, LackingMemoryIsNoFailureOfTheEngine) {
  std::mt19937 random(7);
  Lossy it(2, ErrorCode::kExhausted);
  *it.lost[0] = *it.lost[1] = true;
  Branch branch = it.engine->open();
  branch.append(random_ids(random, 30));
  ASSERT_FALSE(branch.generate_now(free_text(3)).has_value());
  for (const EngineStats& each : it.engine->stats_of_each()) EXPECT_FALSE(each.failed);
  *it.lost[0] = *it.lost[1] = false;
  EXPECT_TRUE(branch.generate_now(free_text(3)).has_value());
  ASSERT_EQ(it.notes.size(), 1U);
  EXPECT_THAT(it.notes[0], HasSubstr("a step of 30 rows found no memory"));
}

// ---- what holds of a queue holds of each

TEST(DataParallel, RequestsEndAtTheirDeadlineAndWhenTheyAreCancelled) {
  std::mt19937 random(8);
  auto engine = engines(toys(2));
  std::vector<Branch> branches;
  for (int i = 0; i < 4; ++i) {
    branches.push_back(engine->open());
    branches.back().append(random_ids(random, 40));
    branches.back().set_terms(
        {.deadline = std::chrono::steady_clock::now() - std::chrono::seconds(1)});
    const auto late = branches.back().generate_now(free_text(10));
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(late.error().code, ErrorCode::kTimeout);
  }
  for (Branch& branch : branches) {
    branch.set_terms({});
    std::thread canceller;
    GenerateRequest request = free_text(500);
    std::atomic<bool> cancelled = false;
    request.on_token = [&](const Progress&) {
      if (!cancelled.exchange(true)) branch.cancel();
    };
    const auto out = branch.generate_now(std::move(request));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kCancelled);
  }
  branches.clear();
  expect_sound(*engine);
}

// Each engine's first step waits until all have come; then those of higher priority go first.
TEST(DataParallel, HigherPriorityIsAdmittedSoonerOnEachEngine) {
  std::mt19937 random(9);
  std::atomic<bool> open = false;
  ToyOptions toy;
  toy.pages = 8;  // room for one of them
  toy.on_step = [&](const Batch&) {
    while (!open) std::this_thread::yield();
  };
  auto engine = engines(toys(2, toy), {.max_rows = 64});
  const auto programs = [&] {
    std::uint64_t out = 0;
    for (const EngineStats& it : engine->stats_of_each()) out += it.programs;
    return out;
  };
  std::mutex mutex;
  std::vector<int> spoke;  // priorities, in the order of their first tokens
  std::vector<Branch> branches;
  std::vector<std::thread> threads;
  for (int i = 0; i < 10; ++i) {
    branches.push_back(engine->open());
    branches.back().append(random_ids(random, 90));
    branches.back().set_terms({.priority = i / 2});  // two of each, one an engine
  }
  for (int i = 0; i < 10; ++i) {
    threads.emplace_back([&, i] {
      GenerateRequest request = free_text(4);
      request.on_token = [&, i, first = true](const Progress&) mutable {
        if (!std::exchange(first, false)) return;
        const std::lock_guard lock(mutex);
        spoke.push_back(i / 2);
      };
      EXPECT_TRUE(branches[static_cast<std::size_t>(i)].generate_now(std::move(request)));
    });
    while (programs() < static_cast<std::uint64_t>(i) + 1) std::this_thread::yield();
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // what is placed is sent at once
  open = true;
  for (std::thread& thread : threads) thread.join();
  for (const EngineStats& it : engine->stats_of_each()) EXPECT_EQ(it.stats.requests, 5U);
  const auto first = [&](int priority) {
    return std::find(spoke.begin(), spoke.end(), priority) - spoke.begin();
  };
  EXPECT_LT(first(4), first(1));
  EXPECT_LT(first(3), first(1));
}

// ---- refusals, and what is shown

TEST(DataParallel, EnginesThatAreNotAlikeAreRefused) {
  const auto refused = [](std::vector<EngineBackends> backends) {
    const auto made = Engine::create(std::move(backends), {}, real_system());
    return made ? Error{ErrorCode::kInternal, "made"} : made.error();
  };
  EXPECT_EQ(refused({}).message, "0 engines: there may be 1 to 64");
  EXPECT_EQ(refused(toys(65)).message, "65 engines: there may be 1 to 64");
  auto other = toys(2);
  other[1].backend = std::make_unique<ToyBackend>(ToyOptions{.vocabulary = 65});
  const Error error = refused(std::move(other));
  EXPECT_EQ(error.code, ErrorCode::kInvalid);
  EXPECT_EQ(error.message,
            "engine 2 of 2: it does not run the same model in the same way as engine 1");
  auto small = toys(3);
  small[2].backend = std::make_unique<ToyBackend>(ToyOptions{.pages = 1});
  EXPECT_THAT(refused(std::move(small)).message, HasSubstr("engine 3 of 3: the KV pool has 1"));
}

TEST(DataParallel, BranchesThatOutliveTheirEnginesFail) {
  auto engine = engines(toys(2));
  std::vector<Branch> branches;
  for (int i = 0; i < 4; ++i) {
    branches.push_back(engine->open());
    branches.back().append(Ids{1, 2, 3});
    if (i >= 2) continue;
    ASSERT_TRUE(branches.back().generate_now(free_text(2)).has_value());
  }
  engine.reset();
  for (Branch& branch : branches) {
    const auto out = branch.generate_now(free_text(2));
    ASSERT_FALSE(out.has_value());
    EXPECT_EQ(out.error().code, ErrorCode::kCancelled);
    EXPECT_FALSE(branch.fork().generate_now(free_text(2)).has_value());
  }
}

TEST(DataParallel, EveryTreeIsShown) {
  std::mt19937 random(10);
  auto engine = engines(toys(2));
  std::vector<Branch> branches;
  for (int i = 0; i < 4; ++i) {
    branches.push_back(engine->open());
    branches.back().append(random_ids(random, 40));
    ASSERT_TRUE(branches.back().generate_now(free_text(2)).has_value());
    ASSERT_TRUE(branches.back().fork().generate_now(free_text(9, 0.8F, 5)).has_value());
  }
  const auto trees = engine->trees();
  ASSERT_EQ(trees.size(), 2U);
  const auto json = nlohmann::json::parse(tree_json(trees));
  ASSERT_EQ(json.size(), trees[0].size() + trees[1].size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    EXPECT_EQ(json[i]["engine"], i < trees[0].size() ? 1 : 2);
    if (json[i]["parent"].is_null()) continue;
    const auto& parent = json[json[i]["parent"].get<std::size_t>()];
    EXPECT_EQ(parent["engine"], json[i]["engine"]);
    EXPECT_EQ(parent["start"].get<std::size_t>() + parent["tokens"].size(),
              json[i]["start"].get<std::size_t>());
  }
}

}  // namespace
}  // namespace espalier::runtime
