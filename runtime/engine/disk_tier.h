// The tree's tier on disk: pages of finished requests go to a PageStore, and come back where a
// later path wants them.
//
// Writing is behind: a finished request's whole pages that the store lacks are copied out of the
// pool at once and appended by a thread of the tier's own, whose queue is bounded (what does not
// fit is not written). Reading is before admission and beside the steps: fetch() has the pages that
// follow what the tree has read and checked by another thread (PageReader); import() puts them into
// the pool, a few at a time, through a plan of the tree, whose rows count as computed. It happens
// only where it is measured to be cheaper than computing (TierCost).
//
// Spaces that are nobody else's (the cache turned off) are neither written nor read. Engine thread
// only.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <unordered_set>
#include <vector>

#include "base/system.h"
#include "radix_cache/radix_cache.h"
#include "runtime/backend.h"
#include "runtime/engine/page_reader.h"
#include "runtime/engine/page_store.h"
#include "runtime/engine/tier_cost.h"

namespace espalier::runtime {

class DiskTier {
 public:
  struct Counts {
    std::uint64_t read_pages = 0;
    std::uint64_t written_pages = 0;  // handed to the writer
    std::uint64_t dropped_pages = 0;  // not written: the queue was full
    double read_seconds = 0;
  };

  DiskTier(std::unique_ptr<PageStore> store, Backend& backend, System& system);
  ~DiskTier();  // writes what is queued, and syncs

  /// Begins to read what is stored of `path` after the `matched` tokens that the tree has, where
  /// that pays; null where there is nothing to wait for.
  [[nodiscard]] std::shared_ptr<PageRead> fetch(std::uint64_t space, std::span<const TokenId> path,
                                                std::uint32_t matched);
  /// Makes up to kImportPages more of `path` ready in the tree from a read that is done. True while
  /// some are left.
  [[nodiscard]] bool import(radix_cache::RadixCache& cache, std::uint64_t space,
                            std::span<const TokenId> path, PageRead& read);
  /// Queues the whole ready pages of the lease's path that the store lacks.
  void save(const radix_cache::RadixCache& cache, const radix_cache::Lease& lease,
            std::uint64_t space);
  /// A measurement: `rows` rows of prefill took so long.
  void prefill_took(std::uint32_t rows, double seconds) { cost_.computing_took(rows, seconds); }
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  // Copied into the pool at once: other requests wait for as long.
  static constexpr std::size_t kImportPages = 32;
  static constexpr std::uint64_t kMostQueued = std::uint64_t{256} << 20;  // bytes
  struct Page {
    PageStore::Name before;
    PageStore::Name name;
    std::vector<TokenId> tokens;
    std::uint64_t index = 0;
    std::vector<std::byte> bytes;
  };
  void write();

  std::unique_ptr<PageStore> store_;
  Backend& backend_;
  PageReader reader_;
  Counts counts_;
  TierCost cost_;
  std::unordered_set<PageStore::Name> sent_;  // queued or written by us

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Page> queue_;
  std::uint64_t queued_bytes_ = 0;  // the page in hand included
  bool stop_ = false;
  std::thread writer_;
};

}  // namespace espalier::runtime
