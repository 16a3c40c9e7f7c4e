#include "runtime/cpu/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace espalier::runtime::cpu {
namespace {

TEST(WorkerPool, RunsEveryItemOnceForAnyNumberOfThreadsAndItems) {
  for (const unsigned threads : {1U, 2U, 5U}) {
    auto pool = WorkerPool::create(threads);
    ASSERT_TRUE(pool);
    EXPECT_EQ((*pool)->threads(), threads);
    for (std::uint32_t round = 0; round < 300; ++round) {
      const std::uint32_t count = round % 40;
      std::vector<std::atomic<int>> seen(count);
      (*pool)->for_each(count, [&](std::uint32_t item, unsigned thread) {
        ASSERT_LT(thread, threads);
        seen[item].fetch_add(1);
      });
      for (const auto& times : seen) ASSERT_EQ(times.load(), 1);
      // Now and then long enough for the workers to fall asleep.
      if (round % 100 == 50) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
}

TEST(WorkerPool, SlowItemsAreWaitedFor) {
  auto pool = WorkerPool::create(3);
  ASSERT_TRUE(pool);
  std::atomic<int> done = 0;
  (*pool)->for_each(6, [&](std::uint32_t item, unsigned) {
    if (item % 2 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    done.fetch_add(1);
  });
  EXPECT_EQ(done.load(), 6);
}

// Whichever item it is: the first of a thread's own, or one that it took from another.
TEST(WorkerPool, AThreadThatIsHeldUpDelaysOnlyTheItemItHolds) {
  for (const unsigned threads : {2U, 3U}) {
    auto pool = WorkerPool::create(threads);
    ASSERT_TRUE(pool);
    constexpr std::uint32_t kCount = 24;
    for (std::uint32_t held = 0; held < kCount; ++held) {
      std::atomic<std::uint32_t> done = 0;
      (*pool)->for_each(kCount, [&](std::uint32_t item, unsigned) {
        while (item == held && done.load() < kCount - 1) std::this_thread::yield();
        done.fetch_add(1);
      });
      ASSERT_EQ(done.load(), kCount);
    }
  }
}

}  // namespace
}  // namespace espalier::runtime::cpu
