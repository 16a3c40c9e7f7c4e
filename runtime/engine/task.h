// Coroutines for programs: Task<T>, and the executor they run on (CONTRACTS 3).
//
// A program is a tree of Tasks. A Task is lazy: it starts when awaited, and resumes its awaiter
// when it ends, by symmetric transfer, so that deep awaits use no stack. Waiting for the engine or
// a tool suspends the Task; whoever completes the wait hands the handle to an Executor, never
// resumes it in place: the engine thread runs no program.
//
// A Task that is destroyed while suspended destroys its frame (and what it awaits). Do not destroy
// one that an operation in flight will resume: cancel it and wait for its end.
//
// g++ 12 miscompiles some temporaries in co_await expressions: bind arguments to named locals
// before awaiting.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.h"

namespace espalier::runtime {

template <class T>
class [[nodiscard]] Task {
 public:
  struct promise_type {
    std::optional<T> value;
    std::coroutine_handle<> continuation;

    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct Final {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        const auto next = self.promise().continuation;
        return next ? next : std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    Final final_suspend() noexcept { return {}; }
    template <class U>
    void return_value(U&& result) {
      value.emplace(std::forward<U>(result));
    }
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };

  Task() = default;
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) noexcept {
    handle_.promise().continuation = awaiter;
    return handle_;
  }
  T await_resume() { return std::move(*handle_.promise().value); }

 private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

/// Threads that resume coroutines, in the order posted. post() never blocks for long and never
/// fails.
class Executor {
 public:
  static constexpr const char* kThreadName = "programs";  // as the system shows them, where it can

  /// Fewer threads where the system refuses that many; std::system_error where it refuses one.
  explicit Executor(unsigned threads);
  ~Executor();  // returns once the queue is empty and the threads have ended
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void post(std::coroutine_handle<> handle);
  /// Runs `task` on the executor and blocks until it ends. Not to be called from one of its own
  /// threads.
  template <class T>
  T run(Task<T> task);

 private:
  void work();
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::coroutine_handle<>> queue_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

/// A coroutine that nobody awaits: post its handle to start it; it frees its own frame when it
/// ends.
struct Detached {
  struct promise_type {
    Detached get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

template <class T>
T Executor::run(Task<T> task) {
  std::optional<T> result;
  std::mutex mutex;
  std::condition_variable done;
  // The root's frame frees itself; nothing of it is touched after `done` is signalled under the
  // mutex.
  const auto root = [](Task<T> inner, std::optional<T>& out, std::mutex& m,
                       std::condition_variable& cv) -> Detached {
    T value = co_await inner;
    const std::lock_guard lock(m);
    out.emplace(std::move(value));
    cv.notify_all();
  }(std::move(task), result, mutex, done);
  post(root.handle);
  std::unique_lock lock(mutex);
  done.wait(lock, [&] { return result.has_value(); });
  return std::move(*result);
}

}  // namespace espalier::runtime
