// Reads pages of a PageStore beside the engine's steps: one thread reads and checks them into
// memory, in the order in which they were asked for; the engine thread puts them into the pool when
// it has a moment (DiskTier).
//
// What was read and not yet dropped is bounded in bytes; beyond that nothing is read, and whoever
// asked computes. Who asks for pages that are already on their way gets the same PageRead. A read
// that nobody holds any more is not begun. Owned by the engine thread, which alone calls read().
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/system.h"
#include "base/token.h"
#include "runtime/engine/page_store.h"

namespace espalier::runtime {

/// Consecutive pages of one path, on their way from the store.
struct PageRead {
  std::vector<TokenId> path;  // the tokens up to the end of the last page
  std::size_t first = 0;      // the index of the first page
  std::vector<PageStore::Name> names;
  // The reader's until `done`, then the engine thread's.
  std::vector<std::vector<std::byte>> pages;  // those that are what was asked for, from `first` on
  double seconds = 0;                         // which that took
  std::atomic<bool> done = false;
};

class PageReader {
 public:
  PageReader(PageStore& store, std::uint64_t page_bytes, System& system);
  ~PageReader();  // ends with the page in hand

  /// The pages `names` of `path`, the first of which has index `first`; fewer of them where memory
  /// is short, null where there is none. Or pages that are being read for somebody else and begin
  /// no later.
  [[nodiscard]] std::shared_ptr<PageRead> read(std::vector<TokenId> path, std::size_t first,
                                               std::vector<PageStore::Name> names);

 private:
  static constexpr std::uint64_t kMostHeld = std::uint64_t{512} << 20;  // bytes
  void run();

  PageStore& store_;
  std::uint64_t page_bytes_;
  System& system_;
  std::vector<std::weak_ptr<PageRead>> asked_;
  std::shared_ptr<std::atomic<std::uint64_t>> held_;  // bytes of all PageReads that live

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<PageRead>> queue_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace espalier::runtime
