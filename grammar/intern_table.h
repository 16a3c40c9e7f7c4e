// A hash-consing table: the numbers of things that a caller keeps in order, found by their hashes.
//
// Open addressing over one block, linear probing, at most three quarters full; of a hash 32 bits
// are kept, so most that differ are told apart without a look at the thing. Nothing is removed.
// Owns 8 bytes a slot, none before the first insert.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "grammar/held_bytes.h"

namespace espalier::grammar {

class InternTable {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;

  /// The number under `hash` for which `equal(number)` holds, else kNone.
  template <class Equal>
  [[nodiscard]] std::uint32_t find(std::size_t hash, Equal&& equal) const {
    if (slots_.empty()) return kNone;
    const auto kept = static_cast<std::uint32_t>(hash);
    for (std::size_t i = kept & (slots_.size() - 1);; i = (i + 1) & (slots_.size() - 1)) {
      const Slot& slot = slots_[i];
      if (slot.id == kNone) return kNone;
      if (slot.hash == kept && equal(slot.id)) return slot.id;
    }
  }
  /// Adds a number, not kNone, that find() does not know.
  void insert(std::size_t hash, std::uint32_t id) {
    constexpr std::size_t kFirst = 16, kSmall = 256;
    if (slots_.empty()) slots_.resize(kFirst);
    if (4 * (size_ + 1) > 3 * slots_.size()) {
      std::vector<Slot> old((slots_.size() < kSmall ? 4 : 2) * slots_.size());
      old.swap(slots_);
      for (const Slot& slot : old) {
        if (slot.id != kNone) place(slot);
      }
    }
    place({static_cast<std::uint32_t>(hash), id});
    ++size_;
  }
  [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(slots_); }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    std::uint32_t id = kNone;
  };
  void place(const Slot& slot) {
    std::size_t i = slot.hash & (slots_.size() - 1);
    while (slots_[i].id != kNone) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = slot;
  }

  std::vector<Slot> slots_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace espalier::grammar
