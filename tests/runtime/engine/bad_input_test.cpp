// What nobody should ask of an engine, on a real model: pools of a few pages, ten thousand requests
// at once, cancellation at every step, a clock that jumps. Texts stay what they are when nothing is
// wrong, and afterwards every page is free or remembered by nobody's leave.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <latch>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/fault_system.h"
#include "runtime/engine/engine.h"
#include "tests/runtime/engine/real_engine.h"

namespace espalier::runtime {
namespace {

using testing::engine_of;
using testing::expect_nothing_is_held;
using testing::free_text;
using testing::Ids;
using testing::prompt;

/// A program of three turns, the last of them twice: what it said, or why it ended. `branches` are
/// the ones that could be cancelled now.
struct Program {
  explicit Program(Engine& e) : engine(e) {}
  Result<std::vector<Ids>> run(std::uint32_t number) {
    std::vector<Ids> said;
    const auto turn = [&](Branch& branch, const Ids& text, float temperature) -> Status {
      branch.append(text);
      ESP_ASSIGN(Generated generated, branch.generate_now(free_text(5, temperature)));
      said.push_back(std::move(generated.ids));
      return {};
    };
    trunk = engine.open();
    ESP_TRY(turn(trunk, prompt(20, number), 0));
    ESP_TRY(turn(trunk, prompt(3, 2), 0.8F));
    left = trunk.fork();
    right = trunk.fork();
    ESP_TRY(turn(left, prompt(2, 3), 0));
    ESP_TRY(turn(right, prompt(2, 4), 0.8F));
    return said;
  }
  void cancel() {
    for (Branch* branch : {&trunk, &left, &right}) {
      if (branch->valid()) branch->cancel();
    }
  }
  Engine& engine;
  Branch trunk, left, right;
};

// Sanitizers reserve more address space than any limit leaves.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
// In a process of its own, which may have room for some stacks more and no 64.
TEST(BadInput, ProgramsRunOnAsManyThreadsAsThereIsRoomFor) {
  const auto run = [] {
    std::uint64_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const std::uint64_t room =
        pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) + (40U << 20);
    const rlimit limit{room, room};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) ::_exit(2);
    Executor executor(64);
    const int seven = executor.run([]() -> Task<int> { co_return 7; }());
    ::_exit(seven == 7 ? 0 : 3);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "");
}
#endif

TEST(BadInput, APoolOfEightPagesThrashesAndSaysTheSame) {
  constexpr std::uint32_t kPrograms = 12;
  std::vector<std::vector<Ids>> expected;
  {
    const auto roomy = engine_of(512);
    for (std::uint32_t i = 0; i < kPrograms; ++i) {
      auto said = Program(*roomy).run(i);
      ASSERT_TRUE(said.has_value()) << said.error().message;
      expected.push_back(std::move(*said));
    }
  }
  const auto engine = engine_of(8);
  std::vector<Result<std::vector<Ids>>> got(kPrograms, fail(ErrorCode::kInternal, "not run"));
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < kPrograms; ++i)
    threads.emplace_back([&, i] { got[i] = Program(*engine).run(i); });
  for (std::thread& thread : threads) thread.join();
  for (std::uint32_t i = 0; i < kPrograms; ++i) {
    ASSERT_TRUE(got[i].has_value()) << got[i].error().message;
    EXPECT_EQ(*got[i], expected[i]) << "program " << i;
  }
  const radix_cache::Evicted evicted = engine->stats().evicted_pages;
  EXPECT_GT(evicted.dead + evicted.once + evicted.again + evicted.expected, 8u);
  expect_nothing_is_held(*engine);
}

TEST(BadInput, ARequestLargerThanThePoolIsRefusedAndTheNextRuns) {
  const auto engine = engine_of(8);
  Branch large = engine->open();
  large.append(prompt(120, 1));
  const auto refused = large.generate_now(free_text(20));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
  EXPECT_NE(refused.error().message.find("8"), std::string::npos) << refused.error().message;
  EXPECT_TRUE(Program(*engine).run(1).has_value());
  expect_nothing_is_held(*engine);
}

TEST(BadInput, TenThousandRequestsAtOnceAllEndAndSayTheSame) {
  constexpr std::uint32_t kRequests = 10'000;
  constexpr std::uint32_t kKinds = 50;  // so that each text is known
  std::vector<Ids> expected(kKinds);
  {
    const auto engine = engine_of(512);
    for (std::uint32_t kind = 0; kind < kKinds; ++kind) {
      Branch branch = engine->open();
      branch.append(prompt(30, kind));
      expected[kind] = branch.generate_now(free_text(2)).value().ids;
    }
  }
  EngineOptions options;  // without the check of the whole tree after each step
  options.poison = true;
  const auto engine = engine_of(64, {}, real_system(), options);
  Executor executor(2);
  std::latch left(kRequests);
  std::atomic<std::uint32_t> wrong = 0;
  const auto one = [&](std::uint32_t number) -> Detached {
    Branch branch = engine->open();
    branch.append(prompt(30, number % kKinds));
    auto operation = branch.generate(executor, free_text(2));
    const Result<Generated> generated = co_await operation;
    if (!generated || generated->ids != expected[number % kKinds]) ++wrong;
    branch = Branch();
    left.count_down();
  };
  for (std::uint32_t i = 0; i < kRequests; ++i) executor.post(one(i).handle);
  left.wait();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(engine->stats().requests, kRequests);
  expect_nothing_is_held(*engine);
}

TEST(BadInput, CancellationAtEveryStepOfAProgramLeavesNothingBehind) {
  std::vector<Ids> expected;
  std::uint64_t steps = 0;
  {
    const auto engine = engine_of(64, [&](std::uint64_t step) { steps = step; });
    auto said = Program(*engine).run(9);
    ASSERT_TRUE(said.has_value()) << said.error().message;
    expected = std::move(*said);
  }
  ASSERT_GT(steps, 15u);
  std::size_t cancelled = 0;
  for (std::uint64_t at = 1; at <= steps; ++at) {
    // The step itself cancels, so what it computes is that of a request which has just ended.
    Program* victim = nullptr;
    const auto engine = engine_of(64, [&](std::uint64_t step) {
      if (step == at && victim != nullptr) victim->cancel();
    });
    {
      Program program(*engine);
      victim = &program;
      const auto said = program.run(9);
      if (!said) {
        EXPECT_EQ(said.error().code, ErrorCode::kCancelled) << said.error().message;
        ++cancelled;
      } else {
        EXPECT_EQ(*said, expected);  // it was cancelled in its last step
      }
      expect_nothing_is_held(*engine);
    }
    // Once more in the same engine, from what the cancelled one left.
    Program again(*engine);
    const auto said = again.run(9);
    ASSERT_TRUE(said.has_value()) << said.error().message;
    EXPECT_EQ(*said, expected) << "cancelled at step " << at;
    expect_nothing_is_held(*engine);
  }
  EXPECT_GT(cancelled, steps / 2);
}

TEST(BadInput, AClockThatJumpsEndsWhatIsDueAndNothingElse) {
  using namespace std::chrono_literals;
  std::vector<Ids> expected;
  {
    const auto engine = engine_of(64);
    expected = Program(*engine).run(5).value();
  }
  for (const std::uint64_t at : {1u, 3u, 8u}) {
    FaultSystem clock(real_system());
    const System::Clock::time_point began = clock.now();
    std::atomic<bool> runs = false;  // the request that is due
    std::uint64_t since = 0;         // steps since then
    const auto engine = engine_of(
        64,
        [&](std::uint64_t) {
          if (!runs) return;
          // A day ahead, back by two, and to and fro from then on.
          if (++since == at) clock.advance(24h);
          if (since == at + 1) clock.advance(-48h);
          if (since > at + 1) clock.advance(since % 2 == 0 ? 5h : -7h);
        },
        clock);
    Terms due;
    due.deadline = began + 1h;
    Branch late = engine->open();
    late.set_terms(due);
    late.append(prompt(40, 1));
    Result<Generated> ended = fail(ErrorCode::kInternal, "not run");
    std::thread waits([&] {
      GenerateRequest request = free_text(400);
      request.on_token = [&](const Progress&) { runs = true; };
      ended = late.generate_now(std::move(request));
    });
    const auto said = Program(*engine).run(5);
    waits.join();
    ASSERT_TRUE(said.has_value()) << said.error().message;
    EXPECT_EQ(*said, expected);
    ASSERT_FALSE(ended.has_value());
    EXPECT_EQ(ended.error().code, ErrorCode::kTimeout) << ended.error().message;
    const Stats stats = engine->stats();
    for (const double seconds : {stats.prefill_seconds, stats.decode_seconds, stats.mask_seconds,
                                 stats.queue_seconds, stats.draft_seconds})
      EXPECT_GE(seconds, 0);
    expect_nothing_is_held(*engine);
  }
}

}  // namespace
}  // namespace espalier::runtime
