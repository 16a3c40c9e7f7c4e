#include "runtime/cuda/rank_threads.h"

#include <new>
#include <system_error>

namespace espalier::runtime::cuda {
namespace {

Status attempt(const RankThreads::Work& work, std::uint32_t rank,
               const std::function<void()>& failed) {
  Status out;
  try {
    out = work(rank);
  } catch (const std::bad_alloc&) {
    out = fail(ErrorCode::kExhausted,
               "device " + std::to_string(rank) + " of the group: out of memory");
  }
  if (!out) failed();
  return out;
}

}  // namespace

Result<std::unique_ptr<RankThreads>> RankThreads::create(std::uint32_t ranks) {
  std::unique_ptr<RankThreads> out(new RankThreads());
  out->results_.resize(ranks);
  if (ranks == 1) return out;
  try {
    out->threads_.reserve(ranks);
    for (std::uint32_t r = 0; r < ranks; ++r) {
      out->threads_.emplace_back([it = out.get(), r] { it->run(r); });
    }
  } catch (const std::system_error&) {
    return fail(ErrorCode::kExhausted, "threads for " + std::to_string(ranks) + " devices");
  }
  return out;
}

RankThreads::~RankThreads() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  for (std::thread& thread : threads_) thread.join();
}

void RankThreads::run(std::uint32_t rank) {
  std::unique_lock lock(mutex_);
  for (std::uint64_t done = 0;; ++done) {
    changed_.wait(lock, [&] { return stop_ || round_ > done; });
    if (stop_) return;
    lock.unlock();
    Status result = attempt(*work_, rank, *failed_);
    lock.lock();
    results_[rank] = std::move(result);
    if (--running_ == 0) changed_.notify_all();
  }
}

Status RankThreads::each(const Work& work, const std::function<void()>& failed) {
  if (threads_.empty()) {
    results_[0] = attempt(work, 0, failed);
  } else {
    std::unique_lock lock(mutex_);
    work_ = &work;
    failed_ = &failed;
    running_ = static_cast<std::uint32_t>(threads_.size());
    ++round_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return running_ == 0; });
  }
  const Status* worst = nullptr;
  for (const Status& result : results_) {
    if (result) continue;
    const bool by_itself = result.error().code != ErrorCode::kCancelled;
    if (worst == nullptr || (by_itself && worst->error().code == ErrorCode::kCancelled)) {
      worst = &result;
    }
  }
  return worst == nullptr ? Status() : *worst;
}

}  // namespace espalier::runtime::cuda
