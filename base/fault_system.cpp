#include "base/fault_system.h"

#include <utility>

namespace espalier {
namespace {

class FaultFile final : public OutputFile {
 public:
  FaultFile(FaultSystem& system, std::unique_ptr<OutputFile> inner, std::string path)
      : system_(system), inner_(std::move(inner)), path_(std::move(path)) {}

  Status append(std::span<const std::byte> bytes) override {
    ESP_TRY(system_.step("write", path_));
    ESP_TRY(system_.take_disk(bytes.size(), path_));
    return inner_->append(bytes);
  }
  Status sync() override {
    ESP_TRY(system_.step("sync", path_));
    return inner_->sync();
  }
  Status truncate(std::uint64_t size) override {
    ESP_TRY(system_.step("truncate", path_));
    return inner_->truncate(size);
  }

 private:
  FaultSystem& system_;
  std::unique_ptr<OutputFile> inner_;
  std::string path_;
};

}  // namespace

Status FaultSystem::step(const std::string& action, const std::string& path) {
  if (++calls_ == nth_) return fail(code_, "cannot " + action + " '" + path + "': injected fault");
  return {};
}

Status FaultSystem::take_disk(std::uint64_t bytes, const std::string& path) {
  if (bytes > disk_left_)
    return fail(ErrorCode::kExhausted, "cannot write '" + path + "': No space left on device");
  disk_left_ -= bytes;
  return {};
}

Result<std::unique_ptr<Mapping>> FaultSystem::map(const std::string& path) {
  ESP_TRY(step("map", path));
  return inner_.map(path);
}
Result<std::unique_ptr<OutputFile>> FaultSystem::open(const std::string& path, OpenMode mode) {
  ESP_TRY(step("open", path));
  ESP_ASSIGN(auto file, inner_.open(path, mode));
  return std::make_unique<FaultFile>(*this, std::move(file), path);
}
Result<std::string> FaultSystem::read(const std::string& path, std::uint64_t limit) {
  ESP_TRY(step("read", path));
  return inner_.read(path, limit);
}
Result<std::string> FaultSystem::read_named(const std::string& path, std::uint64_t limit,
                                            const std::atomic<bool>* stop) {
  ESP_TRY(step("read", path));
  return inner_.read_named(path, limit, stop);
}
Result<FileInfo> FaultSystem::info(const std::string& path) {
  ESP_TRY(step("read", path));
  return inner_.info(path);
}
Result<std::string> FaultSystem::real_path(const std::string& path) {
  ESP_TRY(step("follow", path));
  return inner_.real_path(path);
}
Status FaultSystem::rename(const std::string& from, const std::string& to) {
  ESP_TRY(step("rename", to));
  return inner_.rename(from, to);
}
Status FaultSystem::remove(const std::string& path) {
  ESP_TRY(step("remove", path));
  return inner_.remove(path);
}
Status FaultSystem::touch(const std::string& path) {
  ESP_TRY(step("touch", path));
  return inner_.touch(path);
}
Status FaultSystem::make_directories(const std::string& path) {
  ESP_TRY(step("create the folder", path));
  return inner_.make_directories(path);
}
Result<std::vector<std::string>> FaultSystem::list(const std::string& path) {
  ESP_TRY(step("list", path));
  return inner_.list(path);
}
Result<std::unique_ptr<FileLock>> FaultSystem::try_lock(const std::string& path) {
  ESP_TRY(step("lock", path));
  return inner_.try_lock(path);
}

}  // namespace espalier
