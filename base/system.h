// The one seam to the operating system: files, clock, memory, environment.
//
// Everything that can fail for reasons outside the program goes through a System, so that a test
// can make the n-th call fail, fill the disk or stop the clock. Production code takes a `System&`;
// `real_system()` is the POSIX one. Errors are ErrorCode::kIo (kNotFound for a missing file,
// kExhausted for a full disk) and name the path. All members are safe to call from any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace espalier {

/// A read-only view of a whole file; unmapped when destroyed. The file must not shrink while it is
/// mapped.
class Mapping {
 public:
  virtual ~Mapping() = default;
  [[nodiscard]] virtual std::span<const std::byte> bytes() const = 0;
  /// `part` (of bytes()) is not needed soon: its memory may go; the file is read again when it is.
  virtual void discard(std::span<const std::byte> part) const { (void)part; }

 protected:
  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
};

/// A file open for appending. Closed (without a sync) when destroyed.
class OutputFile {
 public:
  virtual ~OutputFile() = default;
  /// Appends all of `bytes`, or fails; after a failure the file's tail is undefined.
  [[nodiscard]] virtual Status append(std::span<const std::byte> bytes) = 0;
  /// Returns once what was appended is on the device. After a failure the file must not be trusted
  /// again.
  [[nodiscard]] virtual Status sync() = 0;
  [[nodiscard]] virtual Status truncate(std::uint64_t size) = 0;

 protected:
  OutputFile() = default;
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
};

/// An exclusive hold on a path, let go (and its file removed) when destroyed, and by the system
/// when the process dies.
class FileLock {
 public:
  virtual ~FileLock() = default;

 protected:
  FileLock() = default;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;
};

struct FileInfo {
  std::uint64_t size = 0;
  bool is_directory = false;
  bool is_regular = true;        // neither a directory nor a device, pipe or socket
  std::int64_t modified_ns = 0;  // since the epoch
  bool is_link = false;          // the name is a link; the rest is of what it leads to
};

enum class OpenMode : std::uint8_t {
  kTruncate,  // create or empty
  kAppend,    // create or go on at the end
};

class System {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~System() = default;

  // Files. Paths are UTF-8; relative ones start at the working directory.
  [[nodiscard]] virtual Result<std::unique_ptr<Mapping>> map(const std::string& path) = 0;
  /// Never waits for a pipe's reader: one that nobody has opened to read is an error.
  [[nodiscard]] virtual Result<std::unique_ptr<OutputFile>> open(const std::string& path,
                                                                 OpenMode mode) = 0;
  /// Reads a whole regular file of at most `limit` bytes (kLimit beyond it, with both sizes).
  /// kInvalid for a pipe or a device, which may never end: see read_named().
  [[nodiscard]] virtual Result<std::string> read(const std::string& path, std::uint64_t limit) = 0;
  /// The same of what a person names, who may well mean a pipe or a terminal: read to its end, once
  /// its writer comes. kCancelled soon after `stop` is raised.
  [[nodiscard]] virtual Result<std::string> read_named(const std::string& path, std::uint64_t limit,
                                                       const std::atomic<bool>* stop) = 0;
  [[nodiscard]] virtual Result<FileInfo> info(const std::string& path) = 0;
  /// Where the links that `path` goes through lead; the last name need not be there.
  [[nodiscard]] virtual Result<std::string> real_path(const std::string& path) = 0;
  /// Atomically replaces `to` by `from` (same file system) and syncs the directory.
  [[nodiscard]] virtual Status rename(const std::string& from, const std::string& to) = 0;
  [[nodiscard]] virtual Status remove(const std::string& path) = 0;
  /// The file was modified now: so it is among those that were used last.
  [[nodiscard]] virtual Status touch(const std::string& path) = 0;
  [[nodiscard]] virtual Status make_directories(const std::string& path) = 0;
  /// Names (not paths) in a directory, sorted by bytes, without "." and "..".
  [[nodiscard]] virtual Result<std::vector<std::string>> list(const std::string& path) = 0;

  /// Takes the lock that the file `path` stands for, and makes that file. Never waits: where
  /// another process, or another holder in this one, has it, the answer is null. On a file system
  /// without locks everyone gets it.
  [[nodiscard]] virtual Result<std::unique_ptr<FileLock>> try_lock(const std::string& path) = 0;

  // Time. Monotonic; only differences mean anything.
  [[nodiscard]] virtual Clock::time_point now() = 0;
  virtual void sleep(Clock::duration duration) = 0;

  // The machine.
  [[nodiscard]] virtual std::optional<std::string> environment(const std::string& variable) = 0;
  [[nodiscard]] virtual std::uint64_t
  memory_bytes() = 0;  // physical memory, or a limit (control groups, ulimit -v) if lower
  [[nodiscard]] virtual unsigned processors() = 0;  // processors this process may run on, or as
                                                    // many as its control group lets, at least 1
  [[nodiscard]] virtual std::uint64_t peak_rss_bytes() = 0;

 protected:
  System() = default;
  System(const System&) = delete;
  System& operator=(const System&) = delete;
};

/// The POSIX system; lives for the whole process.
System& real_system();

/// Where a file goes that is put in the place of `path` by rename(): what a link there leads to, so
/// that the link stays. kInvalid where something is that is no file: /dev/stdout would be replaced.
[[nodiscard]] Result<std::string> file_to_replace(const std::string& path, System& system);

}  // namespace espalier
