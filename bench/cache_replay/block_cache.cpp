#include "bench/cache_replay/block_cache.h"

#include <algorithm>
#include <array>
#include <utility>

namespace espalier::replay {

std::optional<Policy> policy_named(std::string_view name) {
  static constexpr std::array<std::pair<std::string_view, Policy>, 5> kNames = {{
      {"lru", Policy::kLru},
      {"slru", Policy::kSlru},
      {"lfu", Policy::kLfu},
      {"gdsf", Policy::kGdsf},
      {"belady", Policy::kBelady},
  }};
  for (const auto& [known, policy] : kNames) {
    if (known == name) return policy;
  }
  return std::nullopt;
}

BlockCache::BlockCache(const Trace& trace, Policy policy, std::uint64_t capacity)
    : trace_(trace), policy_(policy), capacity_(capacity), blocks_(trace.blocks()) {
  if (policy != Policy::kBelady) return;
  std::vector<std::uint64_t> next(trace.blocks(), UINT64_MAX);
  next_.resize(trace.requests.size());
  for (std::size_t r = trace.requests.size(); r-- > 0;) {
    for (const std::uint32_t block : trace.requests[r]) {
      next_[r].push_back(std::exchange(next[block], r));
    }
  }
}

BlockCache::Rank BlockCache::rank_of(std::uint32_t block) const {
  const Block& b = blocks_[block];
  const std::int64_t deepest_first = -std::int64_t{trace_.depth[block]};
  const auto last = static_cast<double>(b.last);
  switch (policy_) {
    case Policy::kLru:
      return {0, last, deepest_first, block};
    case Policy::kSlru:
      return {b.again ? 1 : 0, last, deepest_first, block};
    case Policy::kLfu:
      return {b.uses, last, deepest_first, block};
    case Policy::kGdsf:
      return {0, b.value, deepest_first, block};
    case Policy::kBelady:
      return {UINT64_MAX - b.next, 0, deepest_first, block};
  }
  return {};
}

void BlockCache::offer(std::uint32_t block) {
  Block& b = blocks_[block];
  if (!b.here || b.held || b.below > 0) return;
  b.rank = rank_of(block);
  candidates_.insert(b.rank);
}

bool BlockCache::evict() {
  if (candidates_.empty()) return false;
  const std::uint32_t block = std::get<3>(*candidates_.begin());
  candidates_.erase(candidates_.begin());
  Block& b = blocks_[block];
  inflation_ = std::max(inflation_, b.value);
  if (b.again) --protected_;
  b = {};
  --used_;
  const std::uint32_t before = trace_.parent[block];
  if (before != Trace::kNone && --blocks_[before].below == 0) offer(before);
  return true;
}

void BlockCache::demote() {
  // The least recent of the protected segment begin again as newcomers.
  while (protected_ * 5 > capacity_ * 4) {
    const auto first = candidates_.lower_bound(Rank{1, 0, INT64_MIN, 0});
    if (first == candidates_.end()) return;
    const std::uint32_t block = std::get<3>(*first);
    candidates_.erase(first);
    --protected_;
    blocks_[block].again = false;
    blocks_[block].uses = 1;
    blocks_[block].last = at_;
    offer(block);
  }
}

std::uint64_t BlockCache::serve() {
  const auto& request = trace_.requests[at_];
  const std::size_t kept = std::min<std::size_t>(request.size(), capacity_);
  std::uint64_t found = 0;
  while (found < request.size() && blocks_[request[found]].here) ++found;
  for (std::size_t i = 0; i < kept; ++i) {
    Block& b = blocks_[request[i]];
    if (b.here && b.below == 0) candidates_.erase(b.rank);
    b.held = true;
  }
  for (std::size_t i = 0; i < kept; ++i) {
    Block& b = blocks_[request[i]];
    if (!b.here) {
      while (used_ >= capacity_ && evict()) {
      }
      b.here = true;
      ++used_;
      const std::uint32_t before = trace_.parent[request[i]];
      if (before != Trace::kNone) ++blocks_[before].below;
    }
    ++b.uses;
    b.last = at_ + 1;
    b.value = inflation_ + static_cast<double>(b.uses);
    if (policy_ == Policy::kBelady) b.next = next_[at_][i];
    if (policy_ == Policy::kSlru && b.uses >= 2 && !b.again) {
      b.again = true;
      ++protected_;
    }
  }
  ++at_;
  for (std::size_t i = 0; i < kept; ++i) blocks_[request[i]].held = false;
  for (std::size_t i = 0; i < kept; ++i) offer(request[i]);
  if (policy_ == Policy::kSlru) demote();
  return found;
}

}  // namespace espalier::replay
