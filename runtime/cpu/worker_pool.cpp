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

constexpr std::uint64_t range(std::uint32_t begin, std::uint32_t end) {
  return std::uint64_t{end} << 32 | begin;
}

}  // namespace

WorkerPool::WorkerPool(unsigned threads) : shares_(threads) {}

Result<std::unique_ptr<WorkerPool>> WorkerPool::create(unsigned threads) {
  std::unique_ptr<WorkerPool> pool(new WorkerPool(threads > 1 ? threads : 1));
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

// Runs items of one share, from its front or from its back, until none is left there; how many.
std::uint32_t WorkerPool::run_share(unsigned owner, unsigned thread) {
  std::atomic<std::uint64_t>& items = shares_[owner].items;
  std::uint32_t done = 0;
  std::uint64_t seen = items.load(std::memory_order_acquire);
  while (true) {
    const auto begin = static_cast<std::uint32_t>(seen),
               end = static_cast<std::uint32_t>(seen >> 32);
    if (begin == end) return done;
    const bool own = owner == thread;
    const std::uint64_t rest = own ? range(begin + 1, end) : range(begin, end - 1);
    // Where it succeeds the item is one of the loop that is on now, whichever was when `seen` was
    // read: what follows is read after it.
    if (!items.compare_exchange_weak(seen, rest, std::memory_order_acq_rel,
                                     std::memory_order_acquire))
      continue;
    call_(context_, own ? begin : end - 1, thread);
    ++done;
    seen = rest;
  }
}

// Runs items of the current loop until none is left that nobody has taken.
void WorkerPool::run_items(unsigned thread) {
  const auto threads = static_cast<unsigned>(shares_.size());
  for (unsigned i = 0; i < threads; ++i) {
    const std::uint32_t done = run_share((thread + i) % threads, thread);
    if (done > 0 && unfinished_.fetch_sub(done) == done && owner_sleeps_.load())
      unfinished_.notify_one();
  }
}

void WorkerPool::run(std::uint32_t count, Call call, void* context) {
  if (workers_.empty() || count <= 1) {
    for (std::uint32_t item = 0; item < count; ++item) call(context, item, 0);
    return;
  }
  call_ = call;
  context_ = context;
  unfinished_.store(count, std::memory_order_relaxed);
  const std::uint64_t threads = shares_.size();
  std::uint32_t begin = 0;
  for (std::uint64_t i = 0; i < threads; ++i) {
    const auto end = static_cast<std::uint32_t>(count * (i + 1) / threads);
    shares_[i].items.store(range(begin, end), std::memory_order_release);
    begin = end;
  }
  loops_.fetch_add(1);
  if (sleepers_.load() > 0) loops_.notify_all();
  run_items(0);
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
    run_items(thread);
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
