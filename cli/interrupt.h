// Stopping cleanly: what Ctrl-C sets in motion.
//
// An Interrupt is a flag and the actions that end what is running (cancel a
// branch, stop a job). trigger() sets the flag and calls the actions, from an
// ordinary thread; a signal handler only writes a byte to a pipe that such a
// thread reads (SignalWatcher). A second signal, if it is not of the same
// moment, ends the process at once.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <thread>

namespace espalier::cli {

class Interrupt {
 public:
  [[nodiscard]] bool requested() const { return flag_; }
  [[nodiscard]] const std::atomic<bool>& flag() const { return flag_; }
  /// 128 plus the signal's number, as shells report it.
  [[nodiscard]] int exit_code() const { return 128 + signal_; }
  void trigger(int signal);

  /// Calls `action` on trigger(), or at once if that came before; not after
  /// this object is gone.
  class Action {
   public:
    Action(Interrupt& interrupt, std::function<void()> action);
    ~Action();
    Action(const Action&) = delete;
    Action& operator=(const Action&) = delete;

   private:
    Interrupt& interrupt_;
    std::size_t key_ = 0;
  };

 private:
  std::atomic<bool> flag_ = false;
  std::atomic<int> signal_ = 2;
  std::mutex mutex_;
  std::map<std::size_t, std::function<void()>> actions_;
  std::size_t next_key_ = 0;
};

/// Turns SIGINT and SIGTERM into trigger(). One a process; the handlers stay
/// for its life.
class SignalWatcher {
 public:
  explicit SignalWatcher(Interrupt& interrupt);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  std::thread thread_;
};

}  // namespace espalier::cli
