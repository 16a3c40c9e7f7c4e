#include "base/system.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

#include "base/control_group.h"

namespace espalier {
namespace {

Error io_error(int number, const std::string& action, const std::string& path) {
  ErrorCode code = ErrorCode::kIo;
  if (number == ENOENT || number == ENOTDIR) code = ErrorCode::kNotFound;
  if (number == ENOSPC || number == EDQUOT || number == ENOMEM || number == EMFILE ||
      number == EFBIG)
    code = ErrorCode::kExhausted;
  std::string message =
      "cannot " + action + " '" + path + "': " + std::generic_category().message(number);
  rlimit most{};
  if (number == EFBIG && ::getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY)
    message +=
        " (a file of this process may have " + std::to_string(most.rlim_cur) + " bytes: ulimit -f)";
  return {code, std::move(message)};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

int open_retrying(const std::string& path, int flags, mode_t mode = 0) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

constexpr std::size_t kReadBytes = std::size_t{1} << 16;
constexpr int kMostLinks = 40;    // after each other, as the kernel follows
constexpr int kPipeSliceMs = 20;  // how long a raised flag may go unnoticed

// A pipe with a name, as mkfifo makes it, not one that a shell made for a process.
bool is_named_pipe(int fd, const struct stat& st) {
  struct statfs system {};
  return S_ISFIFO(st.st_mode) && ::fstatfs(fd, &system) == 0 && system.f_type != PIPEFS_MAGIC;
}

class PosixMapping final : public Mapping {
 public:
  PosixMapping(void* address, std::size_t size) : address_(address), size_(size) {}
  ~PosixMapping() override {
    if (size_ > 0) ::munmap(address_, size_);
  }
  [[nodiscard]] std::span<const std::byte> bytes() const override {
    return {static_cast<const std::byte*>(address_), size_};
  }
  void discard(std::span<const std::byte> part) const override {
    // Whole pages inside the part only. The mapping is never written, so nothing can be lost.
    const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto begin = (reinterpret_cast<std::uintptr_t>(part.data()) + page - 1) / page * page;
    const auto end = (reinterpret_cast<std::uintptr_t>(part.data()) + part.size()) / page * page;
    if (begin < end) {
      (void)::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
    }
  }

 private:
  void* address_;
  std::size_t size_;
};

class PosixOutputFile final : public OutputFile {
 public:
  PosixOutputFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Status append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail(io_error(errno, "write", path_));
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
    return {};
  }
  Status sync() override {
    if (::fsync(fd_.get()) != 0) return fail(io_error(errno, "sync", path_));
    return {};
  }
  Status truncate(std::uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0)
      return fail(io_error(errno, "truncate", path_));
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixFileLock final : public FileLock {
 public:
  PosixFileLock(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  // Removed before it is unlocked: whoever opened it meanwhile finds, once it has the lock, another
  // file or none at the path, and begins again.
  ~PosixFileLock() override { ::unlink(path_.c_str()); }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixSystem final : public System {
 public:
  Result<std::unique_ptr<Mapping>> map(const std::string& path) override {
    // To open a pipe would wait for its writer.
    const Descriptor fd(open_retrying(path, O_RDONLY | O_NONBLOCK));
    if (fd.get() < 0) return fail(io_error(errno, "open", path));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail(io_error(errno, "read", path));
    if (!S_ISREG(st.st_mode))
      return fail(ErrorCode::kInvalid, "'" + path + "' is not a regular file");
    const auto size = static_cast<std::size_t>(st.st_size);
    if (size == 0) return std::make_unique<PosixMapping>(nullptr, 0);
    void* address = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
    if (address == MAP_FAILED) return fail(io_error(errno, "map", path));
    return std::make_unique<PosixMapping>(address, size);
  }

  Result<std::unique_ptr<OutputFile>> open(const std::string& path, OpenMode mode) override {
    const int flags = O_WRONLY | O_CREAT | (mode == OpenMode::kTruncate ? O_TRUNC : O_APPEND);
    // To open a pipe would wait for its reader.
    Descriptor fd(open_retrying(path, flags | O_NONBLOCK, 0644));
    if (fd.get() < 0 && errno == ENXIO)
      return fail(ErrorCode::kIo, "cannot write '" + path + "': no process reads it");
    if (fd.get() < 0) return fail(io_error(errno, "write", path));
    // A reader that is slow is waited for.
    if (::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK) != 0)
      return fail(io_error(errno, "write", path));
    return std::make_unique<PosixOutputFile>(fd.release(), path);
  }

  Result<std::string> read(const std::string& path, std::uint64_t limit) override {
    return read(path, limit, false, nullptr);
  }
  Result<std::string> read_named(const std::string& path, std::uint64_t limit,
                                 const std::atomic<bool>* stop) override {
    return read(path, limit, true, stop);
  }

  Result<FileInfo> info(const std::string& path) override {
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) return fail(io_error(errno, "read", path));
    const bool is_link = S_ISLNK(st.st_mode);
    if (is_link && ::stat(path.c_str(), &st) != 0) return fail(io_error(errno, "read", path));
    return FileInfo{static_cast<std::uint64_t>(st.st_size), S_ISDIR(st.st_mode),
                    S_ISREG(st.st_mode),
                    std::int64_t{st.st_mtim.tv_sec} * 1'000'000'000 + st.st_mtim.tv_nsec, is_link};
  }

  Result<std::string> real_path(const std::string& path) override {
    std::filesystem::path at = path;
    std::error_code error;
    for (int links = 0; links < kMostLinks; ++links) {
      const auto real = std::filesystem::canonical(at, error);
      if (!error) return real.string();
      if (error.value() != ENOENT) break;
      // What the last link names is not there yet, or there is no link.
      const auto target = std::filesystem::read_symlink(at, error);
      if (error) return at.string();
      at = at.parent_path() / target;
    }
    return fail(io_error(error ? error.value() : ELOOP, "follow the link", path));
  }

  Status rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return fail(io_error(errno, "rename '" + from + "' to", to));
    const auto folder = std::filesystem::path(to).parent_path();
    const Descriptor fd(
        open_retrying(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY));
    // A file system that cannot sync a directory (EINVAL) has nothing more to offer.
    if (fd.get() >= 0 && ::fsync(fd.get()) != 0 && errno != EINVAL)
      return fail(io_error(errno, "sync", to));
    return {};
  }

  Status remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return fail(io_error(errno, "remove", path));
    return {};
  }

  Status touch(const std::string& path) override {
    if (::utimensat(AT_FDCWD, path.c_str(), nullptr, 0) != 0)
      return fail(io_error(errno, "touch", path));
    return {};
  }

  Status make_directories(const std::string& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) return fail(io_error(error.value(), "create the folder", path));
    return {};
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    DIR* folder = ::opendir(path.c_str());
    if (folder == nullptr) return fail(io_error(errno, "list", path));
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(folder)) {
      const std::string entry_name = entry->d_name;
      if (entry_name != "." && entry_name != "..") names.push_back(entry_name);
    }
    ::closedir(folder);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::unique_ptr<FileLock>> try_lock(const std::string& path) override {
    for (;;) {
      Descriptor fd(open_retrying(path, O_RDWR | O_CREAT, 0644));
      if (fd.get() < 0) return fail(io_error(errno, "lock", path));
      if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR) continue;
        if (errno == EWOULDBLOCK) return nullptr;
        if (errno != ENOLCK && errno != EOPNOTSUPP && errno != ENOSYS)
          return fail(io_error(errno, "lock", path));
      }
      struct stat held {};
      struct stat named {};
      if (::fstat(fd.get(), &held) != 0) return fail(io_error(errno, "lock", path));
      const bool same = ::stat(path.c_str(), &named) == 0 && named.st_ino == held.st_ino &&
                        named.st_dev == held.st_dev;
      if (same) return std::make_unique<PosixFileLock>(fd.release(), path);
    }
  }

  Clock::time_point now() override { return Clock::now(); }
  void sleep(Clock::duration duration) override { std::this_thread::sleep_for(duration); }

  std::optional<std::string> environment(const std::string& variable) override {
    const char* value = std::getenv(variable.c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  }

  std::uint64_t memory_bytes() override {
    std::uint64_t bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                          static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
    rlimit space{};  // `ulimit -v`, which batch systems set
    if (::getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
      bytes = std::min<std::uint64_t>(bytes, space.rlim_cur);
    return std::min(bytes, control_group_limits().memory_bytes);
  }

  unsigned processors() override {
    cpu_set_t set;
    CPU_ZERO(&set);
    const unsigned may = ::sched_getaffinity(0, sizeof set, &set) == 0
                             ? static_cast<unsigned>(CPU_COUNT(&set))
                             : std::thread::hardware_concurrency();
    const std::uint64_t shares = control_group_limits().processors;
    return std::max(1U, static_cast<unsigned>(std::min<std::uint64_t>(may, shares)));
  }

  std::uint64_t peak_rss_bytes() override {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  }

 private:
  // Opened so that neither a pipe's writer nor its bytes are waited for other than in slices.
  static Result<std::string> read(const std::string& path, std::uint64_t limit, bool any,
                                  const std::atomic<bool>* stop) {
    const Descriptor fd(open_retrying(path, O_RDONLY | O_NONBLOCK));
    if (fd.get() < 0) return fail(io_error(errno, "open", path));
    struct stat st {};
    if (::fstat(fd.get(), &st) != 0) return fail(io_error(errno, "read", path));
    if (S_ISDIR(st.st_mode)) return fail(ErrorCode::kInvalid, "'" + path + "' is a directory");
    if (!any && !S_ISREG(st.st_mode))
      return fail(ErrorCode::kInvalid, "'" + path + "' is not a regular file");
    const auto too_large = [&](std::uint64_t size) {
      return fail(ErrorCode::kLimit, "'" + path + "' has " + std::to_string(size) +
                                         " bytes; at most " + std::to_string(limit) + " are read");
    };
    if (S_ISREG(st.st_mode) && static_cast<std::uint64_t>(st.st_size) > limit) {
      return too_large(static_cast<std::uint64_t>(st.st_size));
    }
    // A named pipe without a writer reads as one that is over: only poll() knows whether one came.
    bool begun = !is_named_pipe(fd.get(), st);
    // Read to the end rather than to st_size: pipes have none, and a file can grow meanwhile.
    std::string out;
    const auto piece = std::make_unique_for_overwrite<char[]>(kReadBytes);
    for (;;) {
      if (stop != nullptr && *stop) return fail(ErrorCode::kCancelled, "stopped");
      const ssize_t n = ::read(fd.get(), piece.get(), kReadBytes);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno != EAGAIN) return fail(io_error(errno, "read", path));
      if (n == 0 && begun) return out;
      if (n <= 0) {
        pollfd ready{fd.get(), POLLIN, 0};
        if (::poll(&ready, 1, kPipeSliceMs) > 0) begun = true;
        continue;
      }
      out.append(piece.get(), static_cast<std::size_t>(n));
      if (out.size() > limit) return too_large(out.size());
    }
  }
};

}  // namespace

System& real_system() {
  static PosixSystem system;
  return system;
}

Result<std::string> file_to_replace(const std::string& path, System& system) {
  const auto there = system.info(path);
  if (!there && there.error().code == ErrorCode::kNotFound) return system.real_path(path);
  if (!there) return fail(there.error());
  if (there->is_directory)
    return fail(ErrorCode::kInvalid, "'" + path + "' is a folder; name a file");
  if (!there->is_regular) return fail(ErrorCode::kInvalid, "'" + path + "' is not a regular file");
  return there->is_link ? system.real_path(path) : path;
}

}  // namespace espalier
