// Child processes: argv without a shell, three pipes, a process group of its own, and no way to
// leave one behind.
//
// A Process is started in its own group and killed with its whole group (SIGKILL) when it is
// destroyed, when an exchange passes its deadline or output limit, or when the caller's flag is
// raised; it is reaped in every case. No descriptor of ours but the three pipes reaches the child,
// which starts with default signal handlers and only the environment it is given. Not thread-safe:
// one thread at a time. Errors name the program.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace espalier {

struct ProcessSpec {
  std::vector<std::string> argv;         // argv[0] is looked up in PATH unless it holds a '/'
  std::string directory;                 // working directory; empty: ours
  std::vector<std::string> environment;  // "NAME=value"; see inherited_environment()
};

/// The variables that a child needs to find programs and modules and to know its place (PATH, HOME,
/// LANG, TMPDIR, …), as they stand in our environment. Nothing else is passed on: no keys, no
/// tokens.
[[nodiscard]] std::vector<std::string> inherited_environment();

/// What bounds one exchange with a child.
struct ProcessLimits {
  std::chrono::milliseconds timeout{30'000};
  std::size_t output_bytes = 16u << 20;          // of stdout
  const std::atomic<bool>* cancelled = nullptr;  // looked at every few milliseconds
};

struct ProcessOutput {
  std::string out;
  std::string error_tail;  // the last kErrorTail bytes of stderr
  int exit_code = 0;       // of a child that exited
  int signal = 0;          // != 0: what killed it
};

class Process {
 public:
  static constexpr std::size_t kErrorTail = 4096;

  /// kNotFound where the program does not exist, kExhausted where the machine has no room, kIo
  /// else.
  [[nodiscard]] static Result<std::unique_ptr<Process>> start(const ProcessSpec& spec);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Writes `input`, closes stdin, and reads until the child has exited; its group is killed and
  /// reaped after that. kTimeout, kLimit (output), kCancelled, kIo. The process is over afterwards
  /// in every case.
  [[nodiscard]] Result<ProcessOutput> communicate(std::string_view input,
                                                  const ProcessLimits& limits);

  /// Writes `line` and a newline. What the child writes meanwhile is kept for receive(). A child
  /// that reads no more is no error here. kTimeout, kLimit, kCancelled, kIo.
  [[nodiscard]] Status send(std::string_view line, const ProcessLimits& limits);
  /// The next line. kTimeout and kCancelled leave the child as it is; kLimit (what is not yet
  /// received), kIo: it is dead.
  [[nodiscard]] Result<std::string> receive(const ProcessLimits& limits);

  /// Writes `line` and a newline, and reads one line. For children that serve many requests; after
  /// any failure the child is dead. kIo where it died, with what it said on stderr.
  [[nodiscard]] Result<std::string> exchange(std::string_view line, const ProcessLimits& limits);

  [[nodiscard]] bool running() const { return pid_ > 0; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Kills the group and reaps the child.
  void kill();

 private:
  enum class Until { kExit, kWritten, kLine };
  Process(std::string name, pid_t pid, int in, int out, int error);
  Status pump(std::string_view input, Until until, const ProcessLimits& limits);
  bool has_exited() const;
  void close_pipes();
  [[nodiscard]] bool has_line();
  std::string take_line();
  Error died() const;

  std::string name_;
  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  int error_ = -1;
  std::string output_;
  std::size_t taken_ = 0;    // of output_, by receive()
  std::size_t scanned_ = 0;  // of output_: no line ends between taken_ and here
  std::string error_tail_;
  int status_ = 0;
};

}  // namespace espalier
