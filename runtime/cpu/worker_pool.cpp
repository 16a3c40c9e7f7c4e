#include "runtime/cpu/worker_pool.h"

#include <cfenv>
#include <string>
#include <system_error>

namespace espalier::runtime::cpu {
namespace {

constexpr int kSpins = 2000;  // some 20-60 us of pauses: longer than a stage's serial part

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

Result<std::unique_ptr<WorkerPool>> WorkerPool::create(unsigned threads) {
  std::unique_ptr<WorkerPool> pool(new WorkerPool);
  try {
    pool->workers_.reserve(threads);
    for (unsigned i = 1; i < threads; ++i) {
      pool->workers_.emplace_back([self = pool.get(), i] { self->work(i); });
    }
  } catch (const std::system_error& error) {
    return fail(ErrorCode::kExhausted,
                "starting " + std::to_string(threads) + " threads: " + std::string(error.what()));
  }
  return pool;
}

WorkerPool::~WorkerPool() {
  stop_.store(true);
  loops_.fetch_add(1);
  loops_.notify_all();
  for (auto& worker : workers_) worker.join();
}

// Takes one item of the current loop and runs it; false where none is left.
bool WorkerPool::take_and_run(unsigned thread) {
  std::uint64_t ticket = ticket_.load(std::memory_order_acquire);
  do {
    if ((ticket & 0xFFFFFFFFU) == 0) return false;
  } while (!ticket_.compare_exchange_weak(ticket, ticket - 1, std::memory_order_acq_rel,
                                          std::memory_order_acquire));
  const auto left = static_cast<std::uint32_t>(ticket);
  call_(context_, count_ - left, thread);
  if (unfinished_.fetch_sub(1) == 1 && owner_sleeps_.load()) unfinished_.notify_one();
  return true;
}

void WorkerPool::run(std::uint32_t count, Call call, void* context) {
  if (workers_.empty() || count <= 1) {
    for (std::uint32_t item = 0; item < count; ++item) call(context, item, 0);
    return;
  }
  call_ = call;
  context_ = context;
  count_ = count;
  unfinished_.store(count, std::memory_order_relaxed);
  const std::uint64_t loop = (ticket_.load(std::memory_order_relaxed) >> 32) + 1;
  ticket_.store(loop << 32 | count, std::memory_order_release);
  loops_.fetch_add(1);
  if (sleepers_.load() > 0) loops_.notify_all();
  while (take_and_run(0)) {
  }
  for (int spin = 0; unfinished_.load(std::memory_order_acquire) != 0; ++spin) {
    if (spin < kSpins) {
      pause();
      continue;
    }
    owner_sleeps_.store(true);
    const std::uint32_t left = unfinished_.load();
    if (left != 0) unfinished_.wait(left);
    owner_sleeps_.store(false);
  }
}

void WorkerPool::work(unsigned thread) {
  std::fesetenv(FE_DFL_ENV);  // to nearest, no flushing of subnormals, whatever the owner's mode
  std::uint32_t seen = 0;
  while (true) {
    while (take_and_run(thread)) {
    }
    if (stop_.load(std::memory_order_relaxed)) return;
    int spin = 0;
    while (loops_.load(std::memory_order_acquire) == seen && spin < kSpins) {
      pause();
      ++spin;
    }
    if (loops_.load() == seen) {
      sleepers_.fetch_add(1);
      loops_.wait(seen);
      sleepers_.fetch_sub(1);
    }
    seen = loops_.load();
  }
}

}  // namespace espalier::runtime::cpu
