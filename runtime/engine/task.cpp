#include "runtime/engine/task.h"

#include <algorithm>
#include <system_error>

#ifdef __linux__
#include <pthread.h>
#endif

#include "base/threads.h"

namespace espalier::runtime {

Executor::Executor(unsigned threads) {
  start_threads(threads_, std::max(1U, threads), [this] { work(); });
  if (threads_.empty())
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
}

Executor::~Executor() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  ready_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Executor::post(std::coroutine_handle<> handle) {
  // Notified under the lock: what is posted may end the program that owns this executor.
  const std::lock_guard lock(mutex_);
  queue_.push_back(handle);
  ready_.notify_one();
}

void Executor::work() {
#ifdef __linux__
  pthread_setname_np(pthread_self(), kThreadName);  // what programs themselves cost, in `top -H`
#endif
  for (;;) {
    std::coroutine_handle<> next;
    {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      next = queue_.front();
      queue_.pop_front();
    }
    next.resume();
  }
}

}  // namespace espalier::runtime
