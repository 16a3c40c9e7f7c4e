// A System in memory, for tests of what survives a crash: it knows what was synced and what was
// not.
//
// die_at(n): the n-th file operation from now on happens only in part (an append writes a prefix of
// its bytes) and it and every later one fails, as for a process that is killed there. crash(): the
// machine loses power: directory entries go back to the last rename (which syncs the directory) and
// file content past the last sync is cut at a chosen place or left. The clock moves only by
// advance() and sleep(). Safe from any thread.
#pragma once

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/system.h"

namespace espalier::testing {

class MemorySystem final : public System {
 public:
  /// How many operations that touch files happened since die_at().
  std::uint64_t operations() {
    const std::lock_guard lock(mutex_);
    return operations_;
  }
  void die_at(std::uint64_t n) {
    const std::lock_guard lock(mutex_);
    operations_ = 0;
    die_at_ = n;
    dead_ = false;
  }
  [[nodiscard]] bool dead() {
    const std::lock_guard lock(mutex_);
    return dead_;
  }
  /// The machine comes back after a loss of power; `keep` in [0, 1] of each file's unsynced tail
  /// got to the disk.
  void crash(double keep) {
    const std::lock_guard lock(mutex_);
    names_ = durable_names_;
    for (auto& [path, node] : names_) {
      const std::size_t tail = node->content.size() - node->synced;
      node->content.resize(node->synced +
                           static_cast<std::size_t>(static_cast<double>(tail) * keep));
      node->synced = node->content.size();
    }
    revive();
  }
  /// The process is started again; the machine never stopped.
  void restart() {
    const std::lock_guard lock(mutex_);
    revive();
  }
  /// Puts a file there, durably.
  void put(const std::string& path, std::string content) {
    const std::lock_guard lock(mutex_);
    auto node = std::make_shared<Node>();
    node->content = std::move(content);
    node->synced = node->content.size();
    names_[path] = durable_names_[path] = node;
  }
  void set_environment(const std::string& variable, std::string value) {
    const std::lock_guard lock(mutex_);
    environment_[variable] = std::move(value);
  }
  /// A file's content, or "<absent>".
  std::string get(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto found = names_.find(path);
    return found == names_.end() ? "<absent>" : found->second->content;
  }
  std::vector<std::string> paths() {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const auto& [path, node] : names_) out.push_back(path);
    return out;
  }
  void advance(Clock::duration duration) {
    const std::lock_guard lock(mutex_);
    now_ += duration;
  }
  /// Appends past this many bytes in total fail as a full disk does, after writing what fits.
  void limit_disk(std::uint64_t bytes) {
    const std::lock_guard lock(mutex_);
    disk_left_ = bytes;
  }

  Result<std::unique_ptr<Mapping>> map(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(path));
    ESP_ASSIGN(auto node, find(path));
    return std::make_unique<CopyMapping>(node->content);
  }
  Result<std::unique_ptr<OutputFile>> open(const std::string& path, OpenMode mode) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(path));
    auto& node = names_[path];
    if (node == nullptr) node = std::make_shared<Node>();
    if (mode == OpenMode::kTruncate) {
      node->content.clear();
      node->synced = 0;
    }
    return std::make_unique<File>(*this, node, path);
  }
  Result<std::string> read(const std::string& path, std::uint64_t limit) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(path));
    ESP_ASSIGN(auto node, find(path));
    if (node->content.size() > limit) return fail(ErrorCode::kLimit, "'" + path + "' is too large");
    return node->content;
  }
  Result<std::string> read_named(const std::string& path, std::uint64_t limit,
                                 const std::atomic<bool>* /*stop*/) override {
    return read(path, limit);
  }
  Result<std::string> real_path(const std::string& path) override { return path; }
  Result<FileInfo> info(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(path));
    if (is_folder(path)) return FileInfo{0, true, false, 0};
    ESP_ASSIGN(auto node, find(path));
    return FileInfo{node->content.size(), false, true, node->modified};
  }
  Status rename(const std::string& from, const std::string& to) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(from));
    ESP_ASSIGN(auto node, find(from));
    names_.erase(from);
    names_[to] = node;
    durable_names_ = names_;
    return {};
  }
  Status remove(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(path));
    if (names_.erase(path) == 0) return absent(path);
    return {};
  }
  Status touch(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(path));
    ESP_ASSIGN(auto node, find(path));
    node->modified = ++changes_;
    return {};
  }
  Status make_directories(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    return step(path);
  }
  Result<std::vector<std::string>> list(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(path));
    const std::string prefix = path == "." ? "" : path == "/" ? "/" : path + "/";
    if (!prefix.empty() && !is_folder(path)) return absent(path);
    std::set<std::string> found;
    for (const auto& [name, node] : names_) {
      if (name.starts_with(prefix))
        found.insert(name.substr(prefix.size(), name.find('/', prefix.size()) - prefix.size()));
    }
    return std::vector<std::string>(found.begin(), found.end());
  }
  Result<std::unique_ptr<FileLock>> try_lock(const std::string& path) override {
    const std::lock_guard lock(mutex_);
    ESP_TRY(step(path));
    if (!locks_->insert(path).second) return nullptr;
    return std::make_unique<Lock>(locks_, path);
  }
  Clock::time_point now() override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void sleep(Clock::duration duration) override { advance(duration); }
  std::optional<std::string> environment(const std::string& variable) override {
    const std::lock_guard lock(mutex_);
    const auto found = environment_.find(variable);
    return found == environment_.end() ? std::nullopt : std::optional(found->second);
  }
  std::uint64_t memory_bytes() override { return std::uint64_t{8} << 30; }
  unsigned processors() override { return 2; }
  std::uint64_t peak_rss_bytes() override { return 0; }

 private:
  std::map<std::string, std::string> environment_;

  struct Node {
    std::string content;
    std::size_t synced = 0;
    std::int64_t modified = 0;  // counts changes of all files
  };
  using Names = std::map<std::string, std::shared_ptr<Node>>;

  class CopyMapping final : public Mapping {
   public:
    explicit CopyMapping(std::string content) : content_(std::move(content)) {}
    [[nodiscard]] std::span<const std::byte> bytes() const override {
      return std::as_bytes(std::span(content_.data(), content_.size()));
    }

   private:
    std::string content_;
  };

  class File final : public OutputFile {
   public:
    File(MemorySystem& system, std::shared_ptr<Node> node, std::string path)
        : system_(system), node_(std::move(node)), path_(std::move(path)) {}
    Status append(std::span<const std::byte> bytes) override {
      const std::lock_guard lock(system_.mutex_);
      const auto write = [&](std::size_t size) {
        const std::size_t old = node_->content.size();
        node_->content.resize(old + size);
        if (size > 0) std::memcpy(node_->content.data() + old, bytes.data(), size);
        node_->modified = ++system_.changes_;
      };
      const bool was_dead = system_.dead_;
      if (auto status = system_.step(path_); !status) {
        if (!was_dead) write(bytes.size() / 2);  // killed in the middle of the write
        return status;
      }
      if (bytes.size() > system_.disk_left_) {
        write(system_.disk_left_);
        system_.disk_left_ = 0;
        return fail(ErrorCode::kExhausted, "cannot write '" + path_ + "': No space left on device");
      }
      system_.disk_left_ -= bytes.size();
      write(bytes.size());
      return {};
    }
    Status sync() override {
      const std::lock_guard lock(system_.mutex_);
      ESP_TRY(system_.step(path_));
      node_->synced = node_->content.size();
      return {};
    }
    Status truncate(std::uint64_t size) override {
      const std::lock_guard lock(system_.mutex_);
      ESP_TRY(system_.step(path_));
      node_->content.resize(size);
      node_->synced = std::min(node_->synced, node_->content.size());
      return {};
    }

   private:
    MemorySystem& system_;
    std::shared_ptr<Node> node_;
    std::string path_;
  };

  // Shared with the locks, which may outlive a restart and then hold nothing.
  using Locks = std::set<std::string>;
  class Lock final : public FileLock {
   public:
    Lock(std::shared_ptr<Locks> locks, std::string path)
        : locks_(std::move(locks)), path_(std::move(path)) {}
    ~Lock() override { locks_->erase(path_); }

   private:
    std::shared_ptr<Locks> locks_;
    std::string path_;
  };

  Status step(const std::string& path) {
    if (++operations_ == die_at_) dead_ = true;
    if (dead_) return fail(ErrorCode::kIo, "cannot use '" + path + "': killed");
    return {};
  }
  void revive() {
    locks_ = std::make_shared<Locks>();  // a process that died holds none
    dead_ = false;
    die_at_ = 0;
    operations_ = 0;
  }
  [[nodiscard]] bool is_folder(const std::string& path) const {
    return std::any_of(names_.begin(), names_.end(),
                       [&](const auto& entry) { return entry.first.starts_with(path + "/"); });
  }
  static tl::unexpected<Error> absent(const std::string& path) {
    return fail(ErrorCode::kNotFound, "cannot open '" + path + "': No such file or directory");
  }
  Result<std::shared_ptr<Node>> find(const std::string& path) {
    const auto found = names_.find(path);
    if (found == names_.end()) return absent(path);
    return found->second;
  }

  std::mutex mutex_;
  Names names_;
  Names durable_names_;
  std::shared_ptr<Locks> locks_ = std::make_shared<Locks>();
  Clock::time_point now_;
  std::uint64_t operations_ = 0;
  std::int64_t changes_ = 0;
  std::uint64_t die_at_ = 0;
  bool dead_ = false;
  std::uint64_t disk_left_ = UINT64_MAX;
};

}  // namespace espalier::testing
