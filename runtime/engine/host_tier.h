// The tree's tier in host memory, where the pool is a device's: pages of paths that leave the tree
// are copied beside the steps, and come back where a later path wants them after the pool had to
// let them go.
//
// Saving is ahead of eviction: when a request ends or is preempted, the whole ready pages of its
// path that the host lacks are on their way at once, while later steps run. So evicting stays what
// it was, takes no time, and the tree need not know which memory has what; the host has what the
// pool has of ended requests, and what it had before. Loading is before admission: pages that
// follow what the tree has are planned, begun to be copied and committed; the next step waits for
// them layer by layer. It happens only where it is measured to be cheaper than computing
// (TierCost). At most kImportPages come between two steps.
//
// Failures never fail a request: a page that cannot be saved is not there, one that cannot be
// loaded is computed. Where host memory ends before the bytes asked for, the tier is as large as it
// got. After kMostFailures in a row it rests for good. Copies that fail after they were begun are a
// device that is lost, which every step says.
//
// Spaces that are nobody else's (the cache turned off) are neither saved nor loaded. Engine thread
// only.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "radix_cache/radix_cache.h"
#include "runtime/backend.h"
#include "runtime/engine/page_index.h"
#include "runtime/engine/tier_cost.h"

namespace espalier::runtime {

class HostTier {
 public:
  struct Counts {
    std::uint32_t total = 0;  // pages that there is room for
    std::uint32_t held = 0;
    std::uint64_t saved = 0;
    std::uint64_t loaded = 0;
    std::uint64_t dropped = 0;  // not saved: a path longer than the room, or a failure
    double load_seconds = 0;    // of those loads whose end was seen
  };
  using Note = std::function<void(const std::string& message)>;

  /// `pages` of room in `host`, which outlives this; `note` is told what goes wrong.
  HostTier(HostPages& host, std::uint32_t pages, Note note)
      : host_(host), index_(pages), note_(std::move(note)) {}

  /// Saves the whole ready pages among the first `most` tokens of the lease's path.
  void save(const radix_cache::RadixCache& cache, const radix_cache::Lease& lease,
            std::uint64_t space, std::uint32_t most = UINT32_MAX);
  struct Loaded {
    std::size_t pages = 0;
    bool more = false;  // are there to be loaded
  };
  /// Makes up to kImportPages more of `path` ready in the tree.
  [[nodiscard]] Loaded load(radix_cache::RadixCache& cache, std::uint64_t space,
                            std::span<const TokenId> path);
  /// A measurement: `rows` rows of prefill took so long.
  void prefill_took(std::uint32_t rows, double seconds) { cost_.computing_took(rows, seconds); }
  [[nodiscard]] Counts counts() const;

 private:
  // A step waits for as many.
  static constexpr std::size_t kImportPages = 32;
  static constexpr int kMostFailures = 3;
  void failed(const Error& error);
  [[nodiscard]] bool rests() const { return failures_ == kMostFailures; }

  HostPages& host_;
  PageIndex index_;
  Note note_;
  TierCost cost_;
  Counts counts_;
  PageIndex::Slot reserved_ = 0;  // slots that there is memory for
  int failures_ = 0;              // in a row
  std::vector<PageIndex::Slot> slots_;
  std::vector<HostCopy> copies_;
};

}  // namespace espalier::runtime
