// Steps for which the backend finds no memory: they are taken again with fewer rows, one by one at
// last, and what fails is what lacks memory for one row.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "runtime/engine/scheduler.h"
#include "tests/runtime/engine/support.h"

namespace espalier::runtime {
namespace {

using ::testing::HasSubstr;

struct Asked {
  Ids prompt;
  std::uint32_t tokens = 0;
};

std::vector<Asked> some_requests(std::mt19937& random, std::size_t count) {
  std::vector<Asked> out;
  for (std::size_t i = 0; i < count; ++i) {
    out.push_back({random_ids(random, 1 + random() % 60), 1 + static_cast<std::uint32_t>(i) * 3});
  }
  return out;
}

// All at once.
std::vector<Result<Generated>> ask(Engine& engine, const std::vector<Asked>& requests) {
  std::vector<Result<Generated>> out(requests.size(), Generated());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    threads.emplace_back([&, i] {
      Branch branch = engine.open();
      branch.append(requests[i].prompt);
      out[i] = branch.generate_now(free_text(requests[i].tokens));
    });
  }
  for (std::thread& thread : threads) thread.join();
  return out;
}

TEST(StepsThatLackMemory, AreTakenAgainWithFewerRowsAndSayTheSame) {
  std::mt19937 random(1);
  for (const std::size_t most : {1U, 2U, 5U, 17U}) {
    for (const bool late : {false, true}) {
      for (const bool ahead : {false, true}) {
        SCOPED_TRACE(std::to_string(most) + (late ? " late" : "") + (ahead ? " ahead" : ""));
        Given given;
        given.toy.lacks = [most](std::size_t rows) { return rows > most; };
        given.toy.lacks_late = late;
        given.toy.ahead = ahead;
        given.options.draft = !ahead;
        std::vector<std::string> notes;
        given.options.note = [&](const std::string& note) { notes.push_back(note); };
        auto engine = make_engine(given);
        const auto requests = some_requests(random, 7);
        const auto answers = ask(*engine, requests);
        for (std::size_t i = 0; i < requests.size(); ++i) {
          ASSERT_TRUE(answers[i].has_value()) << answers[i].error().message;
          EXPECT_EQ(answers[i]->ids, by_definition(requests[i].prompt, requests[i].tokens));
        }
        EXPECT_TRUE(engine->check_idle().has_value());
        ASSERT_FALSE(notes.empty());
        EXPECT_THAT(notes[0], HasSubstr("rows found no memory, so those that follow have fewer: "
                                        "toy backend: no memory"));
        EXPECT_FALSE(engine->stats_of_each()[0].failed);
      }
    }
  }
}

// Only what has the one row fails; the others go on when there is memory again.
TEST(StepsThatLackMemory, ForOneRowFailWhatHasItAlone) {
  std::mt19937 random(2);
  for (const bool late : {false, true}) {
    for (int failing = 1; failing < 4; ++failing) {
      SCOPED_TRACE(std::to_string(failing) + (late ? " late" : ""));
      int alone = 0;
      bool together = false;
      std::atomic<bool> held = true;
      Given given;
      given.toy.lacks_late = late;
      given.toy.lacks = [&, failing](std::size_t rows) {
        together = together || rows >= 4;  // prompts at first, and then a row of each
        if (!together) return false;
        return alone < failing && (rows > 1 || ++alone > 0);
      };
      given.options.draft = false;
      // Until all have come.
      given.toy.on_step = [&](const Batch&) {
        while (held) std::this_thread::yield();
      };
      auto engine = make_engine(given);
      std::vector<Asked> requests;
      for (int i = 0; i < 4; ++i) requests.push_back({random_ids(random, 3), 200});
      std::thread release([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        held = false;
      });
      const auto answers = ask(*engine, requests);
      release.join();
      int failed = 0;
      for (std::size_t i = 0; i < requests.size(); ++i) {
        if (answers[i]) {
          EXPECT_EQ(answers[i]->ids, by_definition(requests[i].prompt, 200));
          continue;
        }
        ++failed;
        EXPECT_EQ(answers[i].error().code, ErrorCode::kExhausted);
        EXPECT_THAT(answers[i].error().message, HasSubstr("no memory"));
      }
      EXPECT_EQ(failed, failing);
      EXPECT_TRUE(engine->check_idle().has_value());
      Branch next = engine->open();
      next.append(requests[0].prompt);
      EXPECT_TRUE(next.generate_now(free_text(5)).has_value());
    }
  }
}

TEST(StepsThatLackMemory, AreWholeAgainWhenThereIsMemory) {
  std::mt19937 random(3);
  std::vector<std::size_t> rows;
  bool lacked = false;
  Given given;
  given.options.draft = false;
  given.toy.lacks = [&](std::size_t count) {
    rows.push_back(count);
    return count == 64 && !std::exchange(lacked, true);
  };
  auto engine = make_engine(given);
  Branch branch = engine->open();
  branch.append(random_ids(random, 200));
  ASSERT_TRUE(branch.generate_now(free_text(2 * Scheduler::kWholeSteps)).has_value());
  ASSERT_EQ(rows[0], 64U);
  ASSERT_EQ(rows[1], 32U);
  rows.clear();
  Branch other = engine->open();
  other.append(random_ids(random, 200));
  ASSERT_TRUE(other.generate_now(free_text(1)).has_value());
  EXPECT_EQ(rows[0], 64U);
}

}  // namespace
}  // namespace espalier::runtime
