// A segment file of KV pages, damaged: cut, overwritten in places, its digests made right again or
// not. What comes back is the page that was written, or nothing; where a digest was forged, the
// page may be another's, and nothing else may happen.
//
// Input: pieces of four bytes (what, where, where, with which byte).
#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "runtime/engine/page_store.h"
#include "runtime/store/sha256.h"
#include "tests/support/memory_system.h"

namespace {

using namespace espalier;
using namespace espalier::runtime;

constexpr std::uint64_t kPage = 64;
constexpr std::size_t kPages = 4;
constexpr std::size_t kSegmentHeader = 4096;  // the layout: see page_store.h
constexpr std::size_t kRecordHeader = 512;
constexpr std::size_t kDigest = 64;

std::array<TokenId, PageStore::kTokens> tokens_of(std::size_t page) {
  std::array<TokenId, PageStore::kTokens> out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<TokenId>(page * 100 + i);
  return out;
}
std::vector<std::byte> content_of(std::size_t page) {
  std::vector<std::byte> out(kPage);
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::byte>(page * 31 + i);
  return out;
}
std::unique_ptr<PageStore> open(testing::MemorySystem& system) {
  auto store = PageStore::open({"kv", "fuzz", kPage}, system, [](const std::string&) {});
  ESP_CHECK(store.has_value());
  return std::move(*store);
}
std::vector<PageStore::Name> names_of(const PageStore& store) {
  std::vector<PageStore::Name> names{store.root(0)};
  for (std::size_t p = 0; p < kPages; ++p)
    names.push_back(PageStore::next(names.back(), tokens_of(p)));
  return names;
}

const std::pair<std::string, std::string>& whole_segment() {
  static const auto made = [] {
    testing::MemorySystem system;
    const auto store = open(system);
    const auto names = names_of(*store);
    for (std::size_t p = 0; p < kPages; ++p)
      ESP_CHECK(store->append(names[p], names[p + 1], tokens_of(p), p, content_of(p)).has_value());
    ESP_CHECK(store->sync().has_value());
    for (const std::string& path : system.paths())
      if (path.ends_with(".kv")) return std::pair(path, system.get(path));
    ESP_CHECK(false);
    return std::pair<std::string, std::string>();
  }();
  return made;
}

void seal(std::string& bytes, std::size_t begin, std::size_t size) {
  if (begin + size > bytes.size()) return;
  Sha256 hash;
  hash.update(std::as_bytes(std::span(bytes)).subspan(begin, size - kDigest));
  bytes.replace(begin + size - kDigest, kDigest, hash.finish());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto& [path, whole] = whole_segment();
  std::string bytes = whole;
  bool forged = false;
  for (std::size_t i = 0; i + 4 <= size; i += 4) {
    const std::size_t at = data[i + 1] + std::size_t{256} * data[i + 2];
    switch (data[i] % 5) {
      case 0:
        bytes.resize(std::min(bytes.size(), at));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(data[i + 3]);
        break;
      case 2:
        bytes.append(data[i + 3], static_cast<char>(data[i + 1]));
        break;
      case 3:
        seal(bytes, 0, kSegmentHeader);
        break;
      default:
        forged = true;
        seal(bytes, kSegmentHeader + at % kPages * (kRecordHeader + kPage), kRecordHeader);
    }
  }
  testing::MemorySystem system;
  system.put(path, bytes);
  const auto store = open(system);
  const auto names = names_of(*store);
  std::vector<std::byte> page(kPage);
  for (std::size_t p = 0; p < kPages; ++p) {
    const bool known = store->has(names[p + 1]);
    const auto read = store->read(names[p + 1], tokens_of(p), page);
    ESP_CHECK(known || !read);
    ESP_CHECK(forged || !read || page == content_of(p));
    ESP_CHECK(read || !store->has(names[p + 1]));
  }
  // What was damaged can be written again.
  for (std::size_t p = 0; p < kPages; ++p) {
    if (store->has(names[p + 1])) continue;
    ESP_CHECK(store->append(names[p], names[p + 1], tokens_of(p), p, content_of(p)).has_value());
    ESP_CHECK(store->read(names[p + 1], tokens_of(p), page).has_value());
    ESP_CHECK(page == content_of(p));
  }
  return 0;
}
