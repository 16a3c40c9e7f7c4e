#include "runtime/engine/host_tier.h"

#include <algorithm>
#include <string>

#include "runtime/engine/branch_state.h"
#include "runtime/engine/page_import.h"

namespace espalier::runtime {

void HostTier::failed(const Error& error) {
  ++failures_;
  if (note_) {
    note_("pages in host memory: " + error.message +
          (rests() ? "; none are kept there from now on" : ""));
  }
}

void HostTier::save(const radix_cache::RadixCache& cache, const radix_cache::Lease& lease,
                    std::uint64_t space, std::uint32_t most) {
  if (space >= kOwnSpaces || rests()) return;
  const std::uint32_t ready = std::min(cache.ready(lease), most) / kPageTokens * kPageTokens;
  if (ready == 0) return;
  const std::vector<TokenId> tokens = cache.tokens(lease);
  const std::span<const TokenId> path = std::span(tokens).first(ready);
  index_.find(space, path, slots_);
  const std::size_t end = ready / kPageTokens;
  if (slots_.size() == end) return;
  std::vector<radix_cache::PageId> pages;
  cache.page_table(lease, ready, pages);
  for (std::size_t p = slots_.size(); p < end; ++p) {
    const PageIndex::Slot slot =
        index_.add(space, p == 0 ? PageIndex::kNone : slots_[p - 1],
                   PageIndex::Tokens(path.data() + p * kPageTokens, kPageTokens));
    if (slot == PageIndex::kNone) {
      counts_.dropped += end - p;
      return;
    }
    if (slot == reserved_) {  // slots come in rising order
      if (Status room = host_.reserve(slot + 1); !room) {
        counts_.dropped += end - p;
        index_.withdraw(slot);
        if (note_) {
          note_("pages in host memory: " + room.error().message + "; there is room for " +
                std::to_string(index_.capacity()));
        }
        return;
      }
      ++reserved_;
    }
    if (Status begun = host_.save({slot, pages[p]}); !begun) {
      counts_.dropped += end - p;
      index_.remove(slot);
      failed(begun.error());
      return;
    }
    failures_ = 0;
    ++counts_.saved;
    slots_.push_back(slot);
  }
}

HostTier::Loaded HostTier::load(radix_cache::RadixCache& cache, std::uint64_t space,
                                std::span<const TokenId> path) {
  if (space >= kOwnSpaces || rests()) return {};
  if (const HostPages::Took took = host_.loads_took(); took.pages > 0) {
    counts_.load_seconds += took.seconds;
    cost_.bringing_took(took.pages, took.seconds);
  }
  const std::size_t first = cache.match(space, path) / kPageTokens;
  index_.find(space, path, slots_);
  if (slots_.size() <= first || !cost_.pays()) return {};
  const std::size_t last = std::min(slots_.size(), first + kImportPages);
  const auto done = import_pages(cache, space, path, first, last,
                                 [&](std::span<const radix_cache::PageId> pages) {
                                   copies_.clear();
                                   for (std::size_t i = 0; i < pages.size(); ++i) {
                                     copies_.push_back({slots_[first + i], pages[i]});
                                   }
                                   return host_.load(copies_);
                                 });
  if (!done) {
    failed(done.error());
    return {};
  }
  if (*done > 0) failures_ = 0;
  counts_.loaded += *done;
  return {*done, *done == last - first && last < slots_.size()};
}

HostTier::Counts HostTier::counts() const {
  Counts out = counts_;
  out.total = index_.capacity();
  out.held = index_.size();
  return out;
}

}  // namespace espalier::runtime
