// (parent node, first token) -> child node: the edges of the whole tree in one flat open-addressing
// table.
//
// Linear probing with backward-shift deletion, so there are no tombstones and a table that churns
// for days stays as quick as a new one. Load at most 1/2. The key is exact (node and token are
// compared); the hash only says where to look, and tests run with a constant one.
//
// It is made as large as the pool lets the tree grow, in memory that costs nothing until it is
// touched, so that it is hardly ever copied: only where edges are so short that there are more of
// them than pages.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"
#include "base/token.h"
#include "radix_cache/memory_block.h"

namespace espalier::radix_cache {

class ChildTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  ChildTable(std::uint64_t hash_mask, std::size_t edges)
      : hash_mask_(hash_mask), slots_(std::bit_ceil(std::max<std::size_t>(edges, 32) * 2)) {}

  [[nodiscard]] std::uint32_t find(std::uint32_t parent, TokenId first) const {
    return slots_[locate(parent, first)].child();
  }

  void fetch(std::uint32_t parent, TokenId first) const {
    __builtin_prefetch(&slots_[home_of(parent, first)]);
  }

  /// Adds the edge or points it at another child.
  void set(std::uint32_t parent, TokenId first, std::uint32_t child) {
    std::size_t at = locate(parent, first);
    if (slots_[at].empty()) {
      if ((size_ + 1) * 2 > slots_.size()) {
        grow();
        at = locate(parent, first);
      }
      ++size_;
    }
    slots_[at] = {parent, first, child + 1};
  }

  void erase(std::uint32_t parent, TokenId first) {
    std::size_t hole = locate(parent, first);
    ESP_CHECK(!slots_[hole].empty());
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = (hole + 1) & mask; !slots_[at].empty(); at = (at + 1) & mask) {
      // An entry may fill the hole unless its home lies (cyclically) after the hole.
      const std::size_t home = home_of(slots_[at].parent, slots_[at].first);
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        slots_[hole] = slots_[at];
        hole = at;
      }
    }
    slots_[hole] = {};
    --size_;
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  // All zero where it is empty. Of a size that lies in one cache line.
  struct alignas(16) Slot {
    std::uint32_t parent = 0;
    TokenId first = 0;
    std::uint32_t child_and_one = 0;
    [[nodiscard]] bool empty() const { return child_and_one == 0; }
    [[nodiscard]] std::uint32_t child() const {
      return child_and_one - 1;
    }  // of an empty one kNone
  };

  [[nodiscard]] std::size_t home_of(std::uint32_t parent, TokenId first) const {
    // The finaliser of SplitMix64: parent indices and token ids are both small and dense.
    std::uint64_t x = (std::uint64_t{parent} << 32) | static_cast<std::uint32_t>(first);
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
    x ^= x >> 31;
    return static_cast<std::size_t>(x & hash_mask_) & (slots_.size() - 1);
  }

  /// The slot of the key, or the empty one where it belongs.
  [[nodiscard]] std::size_t locate(std::uint32_t parent, TokenId first) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = home_of(parent, first);
    while (!slots_[at].empty() && (slots_[at].parent != parent || slots_[at].first != first)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  void grow() {
    const ZeroedArray<Slot> old = std::exchange(slots_, ZeroedArray<Slot>(slots_.size() * 2));
    for (std::size_t i = 0; i < old.size(); ++i) {
      if (!old[i].empty()) slots_[locate(old[i].parent, old[i].first)] = old[i];
    }
  }

  std::uint64_t hash_mask_;
  ZeroedArray<Slot> slots_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace espalier::radix_cache
