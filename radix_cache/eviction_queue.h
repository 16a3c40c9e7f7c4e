// Which leaf tail goes next: four classes in order, the smallest key first inside each, ties by
// node index.
//
// One indexed heap a class (a leaf that appears because its children went is older than what was
// queued last, so plain lists would not stay in order), each node with four below it, which lie in
// one cache line. A node enters and leaves in O(log leaves); trimming its next page while it stays
// first costs nothing here. Leaves whose return is expected are in a further heap by when, so that
// those that did not come back leave the class.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "radix_cache/arena.h"
#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {

/// Where nodes stand in heaps of which each is in one at most, and which one that is.
struct HeapPlace {
  static constexpr std::uint32_t kOut = UINT32_MAX;
  std::uint32_t at = kOut;
  EvictionClass in = EvictionClass::kNone;
};

/// Nodes by key, the smallest first, with their places, so that any of them can go. Keys must not
/// change while their node is in.
class IndexedHeap {
 public:
  struct Entry {
    std::uint64_t key = 0;
    std::uint32_t node = 0;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };

  /// `places` outlives it. Several heaps may share them, where no node is in two.
  explicit IndexedHeap(Arena<HeapPlace>& places) : places_(places) { entries_.grow(kRoot); }

  [[nodiscard]] bool empty() const { return entries_.size() == kRoot; }
  [[nodiscard]] std::size_t size() const { return entries_.size() - kRoot; }
  [[nodiscard]] const Entry& first() const { return entries_[kRoot]; }
  /// The node's key, or null where it is in no heap of these places.
  [[nodiscard]] const std::uint64_t* key_of(std::uint32_t node) const {
    const bool in = node < places_.size() && places_[node].at != HeapPlace::kOut;
    return in ? &entries_[places_[node].at].key : nullptr;
  }
  void add(std::uint32_t node, std::uint64_t key) {
    places_.grow(std::size_t{node} + 1);
    ESP_DCHECK(places_[node].at == HeapPlace::kOut);
    ESP_CHECK(entries_.size() < HeapPlace::kOut);
    entries_.emplace_back();
    up(entries_.size() - 1, {key, node});
  }
  void remove(std::uint32_t node) {
    const std::size_t at = places_[node].at;
    places_[node].at = HeapPlace::kOut;
    const Entry moved = entries_[entries_.size() - 1];
    entries_.pop_back();
    if (moved.node == node) return;
    if (at > kRoot && moved < entries_[above(at)]) {
      up(at, moved);
    } else {
      down(at, moved);
    }
  }

  /// Calls `each(node)` for those that may be first once the first is gone.
  template <class Each>
  void next(const Each& each) const {
    for (std::size_t i = below(kRoot); i < below(kRoot) + kBelow && i < entries_.size(); ++i)
      each(entries_[i].node);
  }

 private:
  // The first entry stands at 3, so that the four below any entry begin at a multiple of four.
  static constexpr std::size_t kRoot = 3;
  static constexpr std::size_t kBelow = 4;
  static std::size_t above(std::size_t at) { return at / kBelow + 2; }
  static std::size_t below(std::size_t at) { return kBelow * at - 8; }

  void put(std::size_t at, Entry entry) {
    entries_[at] = entry;
    places_[entry.node].at = static_cast<std::uint32_t>(at);
  }
  void up(std::size_t at, Entry entry) {
    for (; at > kRoot && entry < entries_[above(at)]; at = above(at)) put(at, entries_[above(at)]);
    put(at, entry);
  }
  void down(std::size_t at, Entry entry) {
    const std::size_t end = entries_.size();
    for (std::size_t first = below(at); first < end; first = below(at)) {
      // The four lines below these four, of which one is read next: in a large heap each is far.
      for (std::size_t i = first; i < first + kBelow && below(i) < end; ++i)
        __builtin_prefetch(&entries_[below(i)]);
      const Entry* least = &entries_[first];
      std::size_t least_at = first;
      for (std::size_t i = first + 1; i < first + kBelow && i < end; ++i) {
        if (!(entries_[i] < *least)) continue;
        least = &entries_[i];
        least_at = i;
      }
      if (!(*least < entry)) break;
      put(at, *least);
      at = least_at;
    }
    put(at, entry);
  }

  Arena<HeapPlace>& places_;
  Arena<Entry> entries_;
};

class EvictionQueue {
 public:
  static constexpr std::uint32_t kNoNode = UINT32_MAX;

  /// Puts the node where it belongs: in `wanted` under `key`, or out (kNone).
  void place(std::uint32_t node, EvictionClass wanted, std::uint64_t key) {
    const EvictionClass now = class_of(node);
    if (now == wanted && (wanted == EvictionClass::kNone || *heap(wanted).key_of(node) == key))
      return;
    if (now != EvictionClass::kNone) heap(now).remove(node);
    if (now == EvictionClass::kExpected) returns_.remove(node);
    if (wanted != EvictionClass::kNone) heap(wanted).add(node, key);
    places_[node].in = wanted;
    if (wanted == EvictionClass::kExpected) returns_.add(node, ~key);
  }

  /// The next to go, or kNoNode.
  [[nodiscard]] std::uint32_t first() const {
    for (const IndexedHeap& entries : heaps_) {
      if (!entries.empty()) return entries.first().node;
    }
    return kNoNode;
  }
  /// Calls `each(node)` for those that may be next once the first is gone, if the class goes on.
  template <class Each>
  void next(const Each& each) const {
    for (const IndexedHeap& entries : heaps_) {
      if (!entries.empty()) return entries.next(each);
    }
  }
  void fetch(std::uint32_t node) const { __builtin_prefetch(&places_[node]); }
  /// A leaf that was expected by `time`, or kNoNode.
  [[nodiscard]] std::uint32_t overdue(std::uint64_t time) const {
    return !returns_.empty() && returns_.first().key <= time ? returns_.first().node : kNoNode;
  }
  [[nodiscard]] EvictionClass class_of(std::uint32_t node) const {
    return node < places_.size() ? places_[node].in : EvictionClass::kNone;
  }
  [[nodiscard]] std::uint64_t key_of(std::uint32_t node) const {
    return *heaps_[static_cast<std::size_t>(class_of(node))].key_of(node);
  }
  [[nodiscard]] std::size_t size() const {
    return heaps_[0].size() + heaps_[1].size() + heaps_[2].size() + heaps_[3].size();
  }

 private:
  IndexedHeap& heap(EvictionClass c) { return heaps_[static_cast<std::size_t>(c)]; }

  Arena<HeapPlace> places_;
  // kDead, kOrdinary, kExpected (by the complement of when), kRetained
  std::array<IndexedHeap, 4> heaps_{IndexedHeap(places_), IndexedHeap(places_),
                                    IndexedHeap(places_), IndexedHeap(places_)};
  Arena<HeapPlace> return_places_;
  IndexedHeap returns_{return_places_};  // of kExpected, by when
};

}  // namespace espalier::radix_cache
