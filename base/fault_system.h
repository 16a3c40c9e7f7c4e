// A System for tests: forwards to another one, makes chosen calls fail, and has a clock that only a
// test moves.
//
// The exhaustive pattern: run the work with fail_nth(1), fail_nth(2), … until a run ends without
// reaching n; each run must end in a clean error or the right answer. Not thread-safe beyond what
// the wrapped System gives, except that the call counter is atomic.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/system.h"

namespace espalier {

class FaultSystem : public System {
 public:
  explicit FaultSystem(System& inner) : inner_(inner), now_(inner.now()) {}

  /// The n-th fallible call from now on (1-based) fails with `code`; 0 turns faults off. Resets the
  /// counter.
  void fail_nth(std::uint64_t n, ErrorCode code = ErrorCode::kIo) {
    calls_ = 0;
    nth_ = n;
    code_ = code;
  }
  /// Appends past this many bytes in total fail as a full disk does.
  void limit_disk(std::uint64_t bytes) { disk_left_ = bytes; }
  [[nodiscard]] bool reached() const { return nth_ != 0 && calls_ >= nth_; }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  void advance(Clock::duration duration) { now_ += duration; }

  Result<std::unique_ptr<Mapping>> map(const std::string& path) override;
  Result<std::unique_ptr<OutputFile>> open(const std::string& path, OpenMode mode) override;
  Result<std::string> read(const std::string& path, std::uint64_t limit) override;
  Result<std::string> read_named(const std::string& path, std::uint64_t limit,
                                 const std::atomic<bool>* stop) override;
  Result<FileInfo> info(const std::string& path) override;
  Result<std::string> real_path(const std::string& path) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& path) override;
  Status touch(const std::string& path) override;
  Status make_directories(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> try_lock(const std::string& path) override;
  Clock::time_point now() override { return now_; }
  void sleep(Clock::duration duration) override { now_ += duration; }
  std::optional<std::string> environment(const std::string& v) override {
    return inner_.environment(v);
  }
  std::uint64_t memory_bytes() override { return inner_.memory_bytes(); }
  unsigned processors() override { return inner_.processors(); }
  std::uint64_t peak_rss_bytes() override { return inner_.peak_rss_bytes(); }

  /// Counts one fallible call; the failure if it is the chosen one.
  [[nodiscard]] Status step(const std::string& action, const std::string& path);
  /// Takes `bytes` of disk; the failure once limit_disk()'s are gone.
  [[nodiscard]] Status take_disk(std::uint64_t bytes, const std::string& path);

 private:
  System& inner_;
  Clock::time_point now_;
  std::atomic<std::uint64_t> calls_ = 0;
  std::uint64_t nth_ = 0;
  ErrorCode code_ = ErrorCode::kIo;
  std::uint64_t disk_left_ = UINT64_MAX;
};

}  // namespace espalier
