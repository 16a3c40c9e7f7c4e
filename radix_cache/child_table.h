// (parent node, first token) -> child node: the edges of the whole tree in one flat open-addressing
// table.
//
// Linear probing with backward-shift deletion, so there are no tombstones and a table that churns
// for days stays as quick as a new one. Load at most 1/2. The key is exact (node and token are
// compared); the hash only says where to look, and tests run with a constant one.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/token.h"

namespace espalier::radix_cache {

class ChildTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  explicit ChildTable(std::uint64_t hash_mask) : hash_mask_(hash_mask), slots_(64) {}

  [[nodiscard]] std::uint32_t find(std::uint32_t parent, TokenId first) const {
    return slots_[locate(parent, first)].child;
  }

  /// Adds the edge or points it at another child.
  void set(std::uint32_t parent, TokenId first, std::uint32_t child) {
    std::size_t at = locate(parent, first);
    if (slots_[at].child == kNone) {
      if ((size_ + 1) * 2 > slots_.size()) {
        grow();
        at = locate(parent, first);
      }
      ++size_;
    }
    slots_[at] = {parent, first, child};
  }

  void erase(std::uint32_t parent, TokenId first) {
    std::size_t hole = locate(parent, first);
    ESP_CHECK(slots_[hole].child != kNone);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t at = (hole + 1) & mask; slots_[at].child != kNone; at = (at + 1) & mask) {
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
  struct Slot {
    std::uint32_t parent = 0;
    TokenId first = 0;
    std::uint32_t child = kNone;
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
    while (slots_[at].child != kNone &&
           (slots_[at].parent != parent || slots_[at].first != first)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  void grow() {
    const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(slots_.size() * 2));
    for (const Slot& slot : old) {
      if (slot.child != kNone) slots_[locate(slot.parent, slot.first)] = slot;
    }
  }

  std::uint64_t hash_mask_;
  std::vector<Slot> slots_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace espalier::radix_cache
