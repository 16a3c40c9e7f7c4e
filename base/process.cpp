#include "base/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

namespace espalier {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kDrainBytes = std::size_t{1} << 16;
constexpr int kSliceMs = 5;  // how long a cancellation or an exit may go unnoticed

Error system_error(int number, const std::string& what) {
  ErrorCode code = ErrorCode::kIo;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::kNotFound;
  if (number == ENOMEM || number == EMFILE || number == ENFILE || number == EAGAIN)
    code = ErrorCode::kExhausted;
  return {code, what + ": " + std::generic_category().message(number)};
}

void close_fd(int& fd) {
  if (fd >= 0) ::close(std::exchange(fd, -1));
}

struct Pipes {
  std::array<int, 6> fd{-1, -1, -1,
                        -1, -1, -1};  // stdin read, write; stdout read, write; stderr read, write
  ~Pipes() {
    for (int& one : fd) close_fd(one);
  }
  bool open() {
    for (std::size_t i = 0; i < 3; ++i) {
      if (::pipe2(&fd[2 * i], O_CLOEXEC) != 0) return false;
      // A pipe end that landed on 0, 1 or 2 (one of ours was closed) would be overwritten in the
      // child.
      for (std::size_t end = 2 * i; end < 2 * i + 2; ++end) {
        if (fd[end] > 2) continue;
        const int moved = ::fcntl(fd[end], F_DUPFD_CLOEXEC, 3);
        if (moved < 0) return false;
        ::close(std::exchange(fd[end], moved));
      }
    }
    return true;
  }
};

// A write to a pipe whose reader is gone raises SIGPIPE, which would end us: it is held back for
// this thread, and one that our write raised is taken out of the queue again.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &old_);
  }
  ~NoSigpipe() {
    if (!was_pending_) {
      const timespec now{0, 0};
      while (sigtimedwait(&pipe_, nullptr, &now) < 0 && errno == EINTR) {
      }
    }
    pthread_sigmask(SIG_SETMASK, &old_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t old_{};
  bool was_pending_ = false;
};

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> out;
  out.reserve(strings.size() + 1);
  for (const std::string& one : strings) out.push_back(const_cast<char*>(one.c_str()));
  out.push_back(nullptr);
  return out;
}

// Reads what is there; false once the other end is closed.
bool drain(int fd, std::string& out, std::size_t limit) {
  const auto piece = std::make_unique_for_overwrite<char[]>(kDrainBytes);  // stacks may be small
  while (out.size() <= limit) {
    const ssize_t n = ::read(fd, piece.get(), kDrainBytes);
    if (n > 0) {
      out.append(piece.get(), static_cast<std::size_t>(n));
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
  }
  return true;
}

}  // namespace

std::vector<std::string> inherited_environment() {
  static constexpr std::array kNames = {"PATH",       "HOME",       "USER",
                                        "LANG",       "LC_ALL",     "LC_CTYPE",
                                        "TZ",         "TMPDIR",     "LD_LIBRARY_PATH",
                                        "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"};
  std::vector<std::string> out;
  for (const char* variable : kNames) {
    if (const char* value = std::getenv(variable); value != nullptr)
      out.push_back(std::string(variable) + "=" + value);
  }
  return out;
}

Process::Process(std::string name, pid_t pid, int in, int out, int error)
    : name_(std::move(name)), pid_(pid), in_(in), out_(out), error_(error) {}

Process::~Process() {
  kill();
  close_pipes();
}

Result<std::unique_ptr<Process>> Process::start(const ProcessSpec& spec) {
  if (spec.argv.empty() || spec.argv[0].empty())
    return fail(ErrorCode::kInvalid, "no program to start");
  const std::string& program = spec.argv[0];
  for (const std::string& argument : spec.argv) {
    if (argument.find('\0') != std::string::npos)
      return fail(ErrorCode::kInvalid, "an argument holds a zero byte");
  }
  Pipes pipes;
  if (!pipes.open()) return fail(system_error(errno, "cannot start '" + program + "'"));

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, pipes.fd[0], 0);
  posix_spawn_file_actions_adddup2(&actions, pipes.fd[3], 1);
  posix_spawn_file_actions_adddup2(&actions, pipes.fd[5], 2);
  posix_spawn_file_actions_addclosefrom_np(&actions,
                                           3);  // whatever others of us opened without O_CLOEXEC
  if (!spec.directory.empty())
    posix_spawn_file_actions_addchdir_np(&actions, spec.directory.c_str());
  sigset_t all;
  sigset_t none;
  sigfillset(&all);
  sigemptyset(&none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(
      &attributes,
      static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK));
  const auto argv = pointers(spec.argv);
  const auto environment = pointers(spec.environment);
  pid_t pid = -1;
  const int error =
      ::posix_spawnp(&pid, program.c_str(), &actions, &attributes, argv.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail(system_error(error, "cannot start '" + program + "'"));

  for (const std::size_t ours : {1U, 2U, 4U}) {
    ::fcntl(pipes.fd[ours], F_SETFL, ::fcntl(pipes.fd[ours], F_GETFL) | O_NONBLOCK);
  }
  return std::unique_ptr<Process>(new Process(program, pid, std::exchange(pipes.fd[1], -1),
                                              std::exchange(pipes.fd[2], -1),
                                              std::exchange(pipes.fd[4], -1)));
}

bool Process::has_exited() const {
  siginfo_t info{};
  // WNOWAIT: the child stays a zombie, so that its group's number cannot be given away before the
  // group is killed.
  return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid_;
}

void Process::kill() {
  if (pid_ <= 0) return;
  ::kill(-pid_, SIGKILL);
  while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void Process::close_pipes() {
  close_fd(in_);
  close_fd(out_);
  close_fd(error_);
}

Error Process::died() const {
  std::string message = "'" + name_ + "' ";
  if (WIFSIGNALED(status_)) {
    message += "was killed by signal " + std::to_string(WTERMSIG(status_));
  } else {
    message += "exited with code " + std::to_string(WEXITSTATUS(status_));
  }
  if (!error_tail_.empty()) message += ": " + error_tail_;
  return {ErrorCode::kIo, std::move(message)};
}

Status Process::pump(std::string_view input, Until until, const ProcessLimits& limits) {
  const auto deadline = Clock::now() + limits.timeout;
  bool exited = false;
  for (;;) {
    if (limits.cancelled != nullptr && limits.cancelled->load(std::memory_order_relaxed)) {
      return fail(ErrorCode::kCancelled, "'" + name_ + "' was stopped");
    }
    if (Clock::now() >= deadline) {
      return fail(ErrorCode::kTimeout, "'" + name_ + "' did not answer within " +
                                           std::to_string(limits.timeout.count()) + " ms");
    }
    exited = exited || has_exited();  // before reading: what an exited child wrote is all there

    std::array<pollfd, 3> fds{};
    nfds_t count = 0;
    const auto watch = [&](int fd, short events) {
      if (fd >= 0) fds[count++] = {fd, events, 0};
    };
    watch(out_, POLLIN);
    watch(error_, POLLIN);
    if (!input.empty()) watch(in_, POLLOUT);
    if (::poll(fds.data(), count, exited ? 0 : kSliceMs) < 0 && errno != EINTR) {
      return fail(system_error(errno, "cannot wait for '" + name_ + "'"));
    }

    if (!input.empty() && in_ >= 0) {
      const NoSigpipe guard;
      const ssize_t n = ::write(in_, input.data(), input.size());
      if (n > 0) input.remove_prefix(static_cast<std::size_t>(n));
      // A child that closes its stdin early may still answer.
      if (n < 0 && errno != EAGAIN && errno != EINTR) input = {};
    }
    if (input.empty() && until == Until::kExit) close_fd(in_);
    if (out_ >= 0 && !drain(out_, output_, taken_ + limits.output_bytes)) close_fd(out_);
    if (error_ >= 0) {
      const bool open = drain(error_, error_tail_, 1u << 20);
      if (error_tail_.size() > kErrorTail) error_tail_.erase(0, error_tail_.size() - kErrorTail);
      if (!open) close_fd(error_);
    }
    if (output_.size() - taken_ > limits.output_bytes) {
      return fail(ErrorCode::kLimit, "'" + name_ + "' wrote more than " +
                                         std::to_string(limits.output_bytes) + " bytes to stdout");
    }
    if (until == Until::kWritten) {
      if (input.empty() || exited) return {};
    } else if (until == Until::kLine) {
      if (input.empty() && has_line()) return {};
      if (exited || out_ < 0) {
        kill();
        return fail(died());
      }
    } else if (exited) {
      return {};
    }
  }
}

Result<ProcessOutput> Process::communicate(std::string_view input, const ProcessLimits& limits) {
  if (!running()) return fail(ErrorCode::kIo, "'" + name_ + "' is not running");
  const Status status = pump(input, Until::kExit, limits);
  kill();
  close_pipes();
  ESP_TRY(status);
  ProcessOutput result;
  result.out = std::move(output_);
  result.error_tail = std::move(error_tail_);
  if (WIFSIGNALED(status_)) result.signal = WTERMSIG(status_);
  if (WIFEXITED(status_)) result.exit_code = WEXITSTATUS(status_);
  return result;
}

Result<std::string> Process::exchange(std::string_view line, const ProcessLimits& limits) {
  if (!running()) return fail(ErrorCode::kIo, "'" + name_ + "' is not running");
  error_tail_.clear();
  const std::string input = std::string(line) + "\n";
  if (const Status status = pump(input, Until::kLine, limits); !status) {
    kill();
    close_pipes();
    return fail(status.error());
  }
  return take_line();
}

Status Process::send(std::string_view line, const ProcessLimits& limits) {
  if (!running()) return fail(ErrorCode::kIo, "'" + name_ + "' is not running");
  const std::string input = std::string(line) + "\n";
  Status status = pump(input, Until::kWritten, limits);
  if (!status) {
    // Half a line may have been written: nothing can follow it.
    kill();
    close_pipes();
  }
  return status;
}

Result<std::string> Process::receive(const ProcessLimits& limits) {
  if (has_line()) return take_line();
  if (!running()) return fail(ErrorCode::kIo, "'" + name_ + "' is not running");
  if (const Status status = pump({}, Until::kLine, limits); !status) {
    if (status.error().code != ErrorCode::kTimeout &&
        status.error().code != ErrorCode::kCancelled) {
      kill();
      close_pipes();
    }
    return fail(status.error());
  }
  return take_line();
}

bool Process::has_line() {
  scanned_ = std::max(scanned_, taken_);
  const std::size_t end = output_.find('\n', scanned_);
  scanned_ = end == std::string::npos ? output_.size() : end;
  return end != std::string::npos;
}

// has_line() has found its end.
std::string Process::take_line() {
  std::string line = output_.substr(taken_, scanned_ - taken_);
  taken_ = scanned_ + 1;
  // What was taken goes from time to time: each byte is moved a bounded number of times.
  if (taken_ > output_.size() / 2) {
    output_.erase(0, taken_);
    taken_ = 0;
  }
  scanned_ = taken_;
  return line;
}

}  // namespace espalier
