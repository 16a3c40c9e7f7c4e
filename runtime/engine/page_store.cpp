#include "runtime/engine/page_store.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "runtime/store/sha256.h"

namespace espalier::runtime {
namespace {

constexpr std::size_t kSegmentHeader = 4096;
constexpr std::size_t kRecordHeader = 512;
constexpr std::size_t kName = 64;
constexpr std::size_t kMostFingerprint = 2048;
constexpr char kSegmentMagic[8] = {'E', 'S', 'P', 'K', 'V', 'S', 'E', 'G'};
constexpr char kRecordMagic[8] = {'E', 'S', 'P', 'K', 'V', 'P', 'A', 'G'};
constexpr std::uint32_t kVersion = 1;

std::string digest(std::initializer_list<std::span<const std::byte>> parts) {
  Sha256 hash;
  for (const auto part : parts) hash.update(part);
  return hash.finish();
}
std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// Numbers are written as this machine has them; a machine of another byte order reads another
/// version.
template <class T>
void put(std::string& out, std::size_t at, const T& value) {
  std::memcpy(out.data() + at, &value, sizeof value);
}
std::string text(std::span<const std::byte> in, std::size_t at, std::size_t size) {
  return {reinterpret_cast<const char*>(in.data()) + at, size};
}

// A record's header.
constexpr std::size_t kIndexAt = 8;
constexpr std::size_t kBeforeAt = 16;
constexpr std::size_t kNameAt = kBeforeAt + kName;
constexpr std::size_t kTokensAt = kNameAt + kName;
constexpr std::size_t kPayloadAt = kTokensAt + PageStore::kTokens * sizeof(TokenId);
constexpr std::size_t kDigestAt = kRecordHeader - kName;
static_assert(kPayloadAt + kName <= kDigestAt);

bool is_record(std::span<const std::byte> header) {
  return std::memcmp(header.data(), kRecordMagic, sizeof kRecordMagic) == 0 &&
         digest({header.first(kDigestAt)}) == text(header, kDigestAt, kName);
}

}  // namespace

PageStore::PageStore(Options options, System& system, Note note)
    : options_(std::move(options)), system_(system), note_(std::move(note)) {}

std::uint64_t PageStore::record_bytes() const { return kRecordHeader + options_.page_bytes; }

PageStore::Name PageStore::root(std::uint64_t space) const {
  return digest({bytes_of(options_.fingerprint), std::as_bytes(std::span(&space, 1))});
}

PageStore::Name PageStore::next(const Name& before, Tokens tokens) {
  return digest({bytes_of(before), std::as_bytes(tokens)});
}

std::string PageStore::segment_header() const {
  std::string out(kSegmentHeader, '\0');
  put(out, 0, kSegmentMagic);
  put(out, 8, kVersion);
  put(out, 12, static_cast<std::uint32_t>(options_.fingerprint.size()));
  put(out, 16, options_.page_bytes);
  std::memcpy(out.data() + 24, options_.fingerprint.data(), options_.fingerprint.size());
  const std::string sum = digest({bytes_of(out).first(kSegmentHeader - kName)});
  std::memcpy(out.data() + kSegmentHeader - kName, sum.data(), kName);
  return out;
}

Result<std::unique_ptr<PageStore>> PageStore::open(Options options, System& system, Note note) {
  if (options.fingerprint.size() > kMostFingerprint) {
    return fail(ErrorCode::kLimit,
                "a fingerprint of " + std::to_string(options.fingerprint.size()) +
                    " bytes; at most " + std::to_string(kMostFingerprint) + " are written");
  }
  auto store =
      std::unique_ptr<PageStore>(new PageStore(std::move(options), system, std::move(note)));
  const std::string& folder = store->options_.folder;
  const auto info = system.info(folder);
  if (info && !info->is_directory)
    return fail(ErrorCode::kInvalid, "'" + folder + "' is not a folder");
  if (const Status made = system.make_directories(folder); !made)
    store->note_(made.error().message);
  const auto names = system.list(folder);
  if (!names) return store;  // empty: nothing to read yet
  for (const std::string& name : *names) {
    if (name.ends_with(".kv")) store->scan(folder + "/" + name);
  }
  return store;
}

void PageStore::scan(const std::string& path) {
  auto mapped = system_.map(path);
  if (!mapped) return note_(mapped.error().message);
  const std::shared_ptr<const Mapping> mapping = std::move(*mapped);
  const auto bytes = mapping->bytes();
  if (bytes.size() < kSegmentHeader)
    return note_("'" + path + "' has no whole header; passed over");
  const std::string expected = segment_header();
  if (text(bytes, 0, kSegmentHeader) != expected) {
    const bool ours =
        std::memcmp(bytes.data(), kSegmentMagic, sizeof kSegmentMagic) == 0 &&
        digest({bytes.first(kSegmentHeader - kName)}) == text(bytes, kSegmentHeader - kName, kName);
    return note_(
        "'" + path + "' " +
        (ours ? "belongs to another model, numerics, layout or version" : "has a damaged header") +
        "; passed over");
  }
  const auto segment = static_cast<std::uint32_t>(segments_.size());
  const std::uint64_t records = (bytes.size() - kSegmentHeader) / record_bytes();
  segments_.push_back({path, kSegmentHeader + records * record_bytes(), mapping, false});
  std::uint64_t damaged = 0;
  for (std::uint64_t r = 0; r < records; ++r) {
    const std::uint64_t at = kSegmentHeader + r * record_bytes();
    const auto header = bytes.subspan(at, kRecordHeader);
    if (!is_record(header)) {
      ++damaged;
      continue;
    }
    index_.emplace(text(header, kNameAt, kName), Place{segment, at});
  }
  if (damaged > 0)
    note_("'" + path + "': " + std::to_string(damaged) + " damaged records passed over");
}

bool PageStore::has(const Name& name) const {
  const std::lock_guard lock(mutex_);
  return index_.contains(name);
}

std::size_t PageStore::size() const {
  const std::lock_guard lock(mutex_);
  return index_.size();
}

Status PageStore::read(const Name& name, Tokens tokens, std::span<std::byte> out) {
  ESP_CHECK(out.size() == options_.page_bytes);
  std::string path;
  Place place;
  std::shared_ptr<const Mapping> mapping;
  {
    const std::lock_guard lock(mutex_);
    const auto found = index_.find(name);
    if (found == index_.end()) return fail(ErrorCode::kNotFound, "no such page");
    place = found->second;
    path = segments_[place.segment].path;
    mapping = segments_[place.segment].mapping;
  }
  const auto forget = [&](Error error) -> Status {
    note_(error.message + "; passed over");
    const std::lock_guard lock(mutex_);
    index_.erase(name);
    return fail(std::move(error));
  };
  if (mapping == nullptr || mapping->bytes().size() < place.offset + record_bytes()) {
    auto mapped = system_.map(path);
    if (!mapped) return forget(std::move(mapped).error());
    mapping = std::move(*mapped);
    const std::lock_guard lock(mutex_);
    segments_[place.segment].mapping = mapping;
  }
  const auto bytes = mapping->bytes();
  const auto damaged = [&] {
    return forget({ErrorCode::kCorrupt, "'" + path + "': the record at " +
                                            std::to_string(place.offset) + " is not what it was"});
  };
  if (bytes.size() < place.offset + record_bytes()) return damaged();
  const auto header = bytes.subspan(place.offset, kRecordHeader);
  const auto page = bytes.subspan(place.offset + kRecordHeader, options_.page_bytes);
  if (!is_record(header) || text(header, kNameAt, kName) != name ||
      std::memcmp(header.data() + kTokensAt, tokens.data(), tokens.size_bytes()) != 0) {
    return damaged();
  }
  // The digest is of the copy that is used: another process may be writing the file.
  std::memcpy(out.data(), page.data(), page.size());
  if (digest({out}) != text(header, kPayloadAt, kName)) return damaged();
  return {};
}

Status PageStore::failed(Status status) {
  if (file_ != nullptr && segments_.back().bytes == kSegmentHeader) {  // no page is in it
    (void)system_.remove(segments_.back().path);
    const std::lock_guard lock(mutex_);
    segments_.back().gone = true;
  }
  file_.reset();
  if (++failures_ == kMostFailures) {
    note_(status.error().message + "; no more pages are written to '" + options_.folder + "'");
  }
  return status;
}

void PageStore::make_room() {
  std::uint64_t total = options_.segment;
  for (const Segment& segment : segments_) total += segment.gone ? 0 : segment.bytes;
  std::vector<std::pair<std::int64_t, std::uint32_t>> oldest;
  for (std::uint32_t s = 0; s < segments_.size(); ++s) {
    if (segments_[s].gone) continue;
    const auto info = system_.info(segments_[s].path);
    oldest.emplace_back(info ? info->modified_ns : 0, s);
  }
  std::sort(oldest.begin(), oldest.end());
  for (const auto& [when, s] : oldest) {
    if (total <= options_.limit) return;
    (void)system_.remove(segments_[s].path);  // another process may have been first
    const std::lock_guard lock(mutex_);
    total -= segments_[s].bytes;
    segments_[s].gone = true;
    segments_[s].mapping.reset();
    std::erase_if(index_, [s = s](const auto& entry) { return entry.second.segment == s; });
  }
}

Status PageStore::begin_segment() {
  make_room();
  // A name that no other process takes.
  std::random_device random;
  std::string path;
  do {
    path = options_.folder + "/" + std::to_string(random()) + "-" + std::to_string(random()) + "-" +
           std::to_string(written_++) + ".kv";
  } while (system_.info(path).has_value());
  ESP_ASSIGN(auto file, system_.open(path, OpenMode::kTruncate));
  if (Status begun = file->append(bytes_of(segment_header())); !begun) {
    (void)system_.remove(path);
    return begun;
  }
  file_ = std::move(file);
  const std::lock_guard lock(mutex_);
  segments_.push_back({path, kSegmentHeader, nullptr, false});
  return {};
}

Status PageStore::append(const Name& before, const Name& name, Tokens tokens, std::uint64_t index,
                         std::span<const std::byte> page) {
  ESP_CHECK(page.size() == options_.page_bytes);
  if (!writable()) return fail(ErrorCode::kIo, "writing has ended");
  if (has(name)) return {};
  if (file_ == nullptr || segments_.back().bytes + record_bytes() > options_.segment) {
    if (file_ != nullptr) {
      if (Status synced = sync(); !synced) return synced;
    }
    if (Status begun = begin_segment(); !begun) return failed(std::move(begun));
  }
  std::string header(kRecordHeader, '\0');
  put(header, 0, kRecordMagic);
  put(header, kIndexAt, index);
  std::memcpy(header.data() + kBeforeAt, before.data(), kName);
  std::memcpy(header.data() + kNameAt, name.data(), kName);
  std::memcpy(header.data() + kTokensAt, tokens.data(), tokens.size_bytes());
  const std::string payload = digest({page});
  std::memcpy(header.data() + kPayloadAt, payload.data(), kName);
  const std::string sum = digest({bytes_of(header).first(kDigestAt)});
  std::memcpy(header.data() + kDigestAt, sum.data(), kName);
  if (Status done = file_->append(bytes_of(header)); !done) return failed(std::move(done));
  if (Status done = file_->append(page); !done) return failed(std::move(done));
  failures_ = 0;
  const std::lock_guard lock(mutex_);
  Segment& segment = segments_.back();
  index_.emplace(name, Place{static_cast<std::uint32_t>(segments_.size() - 1), segment.bytes});
  segment.bytes += record_bytes();
  return {};
}

Status PageStore::sync() {
  if (file_ == nullptr) return {};
  if (Status done = file_->sync(); !done) {
    // What the device has of this segment is unknown: its pages are not offered any more.
    {
      const std::lock_guard lock(mutex_);
      const auto last = static_cast<std::uint32_t>(segments_.size() - 1);
      std::erase_if(index_, [last](const auto& entry) { return entry.second.segment == last; });
    }
    return failed(std::move(done));
  }
  return {};
}

}  // namespace espalier::runtime
