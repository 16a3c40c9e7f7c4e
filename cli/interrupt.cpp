#include "cli/interrupt.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <limits>
#include <utility>

namespace espalier::cli {
namespace {

// Signals that come so soon after the first are the same wish: `timeout` sends one to the process
// and one to its group, a terminal and a shell may each send theirs.
constexpr std::int64_t kSameWishNs = 300'000'000;

// What the handler may touch.
std::atomic<int> g_signals = 0;
std::atomic<std::int64_t> g_first_ns = std::numeric_limits<std::int64_t>::max();
int g_pipe_write = -1;
int g_pipe_read = -1;

extern "C" void handle_signal(int signal) {
  const int saved = errno;
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  const std::int64_t now = std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  if (g_signals.fetch_add(1) > 0) {
    if (now - g_first_ns > kSameWishNs) ::_exit(128 + signal);
    errno = saved;
    return;
  }
  g_first_ns = now;
  const auto byte = static_cast<unsigned char>(signal);
  (void)!::write(g_pipe_write, &byte, 1);
  errno = saved;
}

}  // namespace

void Interrupt::trigger(int signal) {
  const std::lock_guard lock(mutex_);
  signal_ = signal;
  flag_ = true;
  for (auto& [key, action] : actions_) action();
}

Interrupt::Action::Action(Interrupt& interrupt, std::function<void()> action)
    : interrupt_(interrupt) {
  const std::lock_guard lock(interrupt_.mutex_);
  key_ = interrupt_.next_key_++;
  if (interrupt_.flag_) action();
  interrupt_.actions_.emplace(key_, std::move(action));
}

Interrupt::Action::~Action() {
  const std::lock_guard lock(interrupt_.mutex_);
  interrupt_.actions_.erase(key_);
}

SignalWatcher::SignalWatcher(Interrupt& interrupt) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return;  // without it Ctrl-C ends the process as by default
  g_pipe_read = ends[0];
  g_pipe_write = ends[1];
  thread_ = std::thread([&interrupt] {
    unsigned char signal = 0;
    ssize_t n = 0;
    while ((n = ::read(g_pipe_read, &signal, 1)) != 0) {
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 || signal == 0) return;
      interrupt.trigger(signal);
    }
  });
  struct sigaction action {};
  action.sa_handler = handle_signal;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

SignalWatcher::~SignalWatcher() {
  if (!thread_.joinable()) return;
  // After one, the second of the same wish may still be on its way: the handler stays for it.
  if (g_signals == 0) {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
  }
  const unsigned char over = 0;
  (void)!::write(g_pipe_write, &over, 1);
  thread_.join();
  ::close(g_pipe_read);
  ::close(g_pipe_write);
}

}  // namespace espalier::cli
