#include "runtime/engine/disk_tier.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "runtime/engine/branch_state.h"
#include "runtime/engine/page_import.h"

namespace espalier::runtime {
namespace {

PageStore::Tokens page_of(std::span<const TokenId> path, std::size_t index) {
  return PageStore::Tokens(path.data() + index * kPageTokens, kPageTokens);
}

}  // namespace

static_assert(PageStore::kTokens == kPageTokens);

DiskTier::DiskTier(std::unique_ptr<PageStore> store, Backend& backend, System& system)
    : store_(std::move(store)),
      backend_(backend),
      reader_(*store_, backend.info().page_bytes, system),
      writer_([this] { write(); }) {}

DiskTier::~DiskTier() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  writer_.join();
}

void DiskTier::write() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (queue_.empty()) return;
    Page page = std::move(queue_.front());
    queue_.pop_front();
    const bool last = queue_.empty();
    lock.unlock();
    // Both fail softly, and say so by a note where writing ends.
    (void)store_->append(page.before, page.name, PageStore::Tokens(page.tokens.data(), kPageTokens),
                         page.index, page.bytes);
    if (last) (void)store_->sync();
    lock.lock();
    queued_bytes_ -= page.bytes.size();
  }
}

std::shared_ptr<PageRead> DiskTier::fetch(std::uint64_t space, std::span<const TokenId> path,
                                          std::uint32_t matched) {
  if (space >= kOwnSpaces || store_->size() == 0) return nullptr;
  const std::size_t first = matched / kPageTokens;
  std::vector<PageStore::Name> names;
  PageStore::Name name = store_->root(space);
  for (std::size_t p = 0; p < path.size() / kPageTokens; ++p) {
    name = PageStore::next(name, page_of(path, p));
    if (p < first) continue;
    if (!store_->has(name)) break;
    names.push_back(name);
  }
  if (names.empty() || !cost_.pays()) return nullptr;
  return reader_.read({path.begin(), path.end()}, first, std::move(names));
}

bool DiskTier::import(radix_cache::RadixCache& cache, std::uint64_t space,
                      std::span<const TokenId> path, PageRead& read) {
  if (read.seconds > 0 && !read.pages.empty()) {  // the first time
    counts_.read_seconds += read.seconds;
    cost_.bringing_took(read.pages.size(), read.seconds);
  }
  read.seconds = 0;
  const std::size_t first = cache.match(space, path) / kPageTokens;
  const auto same = std::mismatch(path.begin(), path.end(), read.path.begin(), read.path.end());
  const std::size_t end =
      std::min(read.first + read.pages.size(),
               static_cast<std::size_t>(same.first - path.begin()) / kPageTokens);
  // What the tree lost meanwhile is computed.
  if (first < read.first || first >= end) return false;
  const std::size_t last = std::min(end, first + kImportPages);
  const auto done = import_pages(
      cache, space, path, first, last, [&](std::span<const radix_cache::PageId> pages) -> Status {
        for (std::size_t i = 0; i < pages.size(); ++i) {
          backend_.import_page(pages[i], read.pages[first + i - read.first]);
        }
        return {};
      });
  counts_.read_pages += *done;
  return *done == last - first && last < end;
}

void DiskTier::save(const radix_cache::RadixCache& cache, const radix_cache::Lease& lease,
                    std::uint64_t space) {
  if (space >= kOwnSpaces || !store_->writable()) return;
  const std::uint32_t ready = cache.ready(lease) / kPageTokens * kPageTokens;
  if (ready == 0) return;
  const std::vector<TokenId> path = cache.tokens(lease);
  std::vector<radix_cache::PageId> pages;
  cache.page_table(lease, ready, pages);
  PageStore::Name before = store_->root(space);
  for (std::size_t p = 0; p < ready / kPageTokens; ++p) {
    PageStore::Name name = PageStore::next(before, page_of(path, p));
    if (!sent_.contains(name) && !store_->has(name)) {
      std::vector<std::byte> bytes(backend_.info().page_bytes);
      const std::lock_guard lock(mutex_);
      if (queued_bytes_ + bytes.size() > kMostQueued) {
        counts_.dropped_pages += ready / kPageTokens - p;
        return;  // what comes after would hang on nothing
      }
      backend_.export_page(pages[p], bytes);
      queued_bytes_ += bytes.size();
      const auto tokens = page_of(path, p);
      queue_.push_back({before, name, {tokens.begin(), tokens.end()}, p, std::move(bytes)});
      sent_.insert(name);
      ++counts_.written_pages;
      changed_.notify_all();
    }
    before = std::move(name);
  }
}

}  // namespace espalier::runtime
