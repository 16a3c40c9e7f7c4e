// Waiting for other than the engine: for several tasks at once, for a thread, for one's turn.
//
// Each of these resumes the waiter through its Executor, never in place (runtime/engine/task.h).
#pragma once

#include <atomic>
#include <coroutine>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "dsl/tools.h"
#include "runtime/engine/task.h"
#include "runtime/engine/together.h"

namespace espalier::dsl {

/// Goes to the end of the executor's queue: lets others run, and unwinds the stack of a long chain
/// of awaits that never really waited.
struct Reschedule {
  runtime::Executor& executor;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) const { executor.post(handle); }
  void await_resume() const noexcept {}
};

/// Runs `work` on a tool thread; gives what it returns.
template <class T>
class OnThread {
 public:
  OnThread(ToolThreads& threads, runtime::Executor& executor, std::function<T()> work)
      : threads_(threads), executor_(executor), work_(std::move(work)) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    threads_.post([this, handle] {
      result_.emplace(work_());
      executor_.post(handle);  // `this` may be gone from here on
    });
  }
  T await_resume() { return std::move(*result_); }

 private:
  ToolThreads& threads_;
  runtime::Executor& executor_;
  std::function<T()> work_;
  std::optional<T> result_;
};

namespace internal {

template <class T>
class JoinAll {
 public:
  JoinAll(runtime::Executor& executor, std::vector<runtime::Task<T>>& tasks,
          std::vector<std::optional<T>>& results)
      : executor_(executor), tasks_(tasks), results_(results), left_(tasks.size()) {}
  bool await_ready() const noexcept { return tasks_.empty(); }
  void await_suspend(std::coroutine_handle<> handle) {
    waiter_ = handle;
    // The last child may end, and this object go, while the loop still runs: it reads only locals.
    runtime::Executor& executor = executor_;
    std::vector<std::coroutine_handle<>> children;
    children.reserve(tasks_.size());
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      children.push_back(child(std::move(tasks_[i]), results_[i], *this).handle);
    }
    executor.post(start(std::move(children)).handle);
  }
  void await_resume() const noexcept {}

 private:
  // One after the other, each up to its first wait: what they ask of the engine arrives together.
  static runtime::Detached start(std::vector<std::coroutine_handle<>> children) {
    const runtime::Together together;
    for (const auto one : children) one.resume();
    co_return;
  }
  static runtime::Detached child(runtime::Task<T> task, std::optional<T>& result, JoinAll& join) {
    T value = co_await task;
    result.emplace(std::move(value));
    task = runtime::Task<T>();  // its frame goes before the waiter can
    if (join.left_.fetch_sub(1, std::memory_order_acq_rel) == 1) join.executor_.post(join.waiter_);
  }

  runtime::Executor& executor_;
  std::vector<runtime::Task<T>>& tasks_;
  std::vector<std::optional<T>>& results_;
  std::atomic<std::size_t> left_;
  std::coroutine_handle<> waiter_;
};

}  // namespace internal

/// Runs all of `tasks` together; their results in the order of the tasks.
template <class T>
runtime::Task<std::vector<T>> join_all(runtime::Executor& executor,
                                       std::vector<runtime::Task<T>> tasks) {
  std::vector<std::optional<T>> results(tasks.size());
  internal::JoinAll<T> join(executor, tasks, results);
  co_await join;
  std::vector<T> out;
  out.reserve(results.size());
  for (auto& result : results) out.push_back(std::move(*result));
  co_return out;
}

}  // namespace espalier::dsl
