// Which leaf tail goes next: four classes in order, the smallest key first inside each, ties by
// node index.
//
// One indexed binary heap a class (a leaf that appears because its children went is older than what
// was queued last, so plain lists would not stay in order). A node enters and leaves in O(log
// leaves); trimming its next page while it stays first costs nothing here. Leaves whose return is
// expected are in a further heap by when, so that those that did not come back leave the class.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"
#include "radix_cache/radix_cache.h"

namespace espalier::radix_cache {

/// Nodes by key, the smallest first, with their places, so that any of them can go. Keys must not
/// change while their node is in.
class IndexedHeap {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  struct Entry {
    std::uint64_t key;
    std::uint32_t node;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] const Entry& first() const { return entries_.front(); }
  /// The node's key, or null where it is not in.
  [[nodiscard]] const std::uint64_t* key_of(std::uint32_t node) const {
    return node < at_.size() && at_[node] != kNone ? &entries_[at_[node]].key : nullptr;
  }
  void add(std::uint32_t node, std::uint64_t key) {
    if (node >= at_.size()) at_.resize(std::max<std::size_t>(node + 1, at_.size() * 2), kNone);
    ESP_DCHECK(at_[node] == kNone);
    entries_.push_back({key, node});
    up(entries_.size() - 1);
  }
  void remove(std::uint32_t node) {
    const std::size_t at = std::exchange(at_[node], kNone);
    const Entry moved = entries_.back();
    entries_.pop_back();
    if (moved.node == node) return;
    entries_[at] = moved;
    up(at);
    down(at_[moved.node]);
  }

 private:
  void put(std::size_t at, Entry entry) {
    entries_[at] = entry;
    at_[entry.node] = static_cast<std::uint32_t>(at);
  }
  void up(std::size_t at) {
    const Entry entry = entries_[at];
    for (; at > 0 && entry < entries_[(at - 1) / 2]; at = (at - 1) / 2)
      put(at, entries_[(at - 1) / 2]);
    put(at, entry);
  }
  void down(std::size_t at) {
    const Entry entry = entries_[at];
    for (std::size_t child = 2 * at + 1; child < entries_.size(); child = 2 * at + 1) {
      if (child + 1 < entries_.size() && entries_[child + 1] < entries_[child]) ++child;
      if (!(entries_[child] < entry)) break;
      put(at, entries_[child]);
      at = child;
    }
    put(at, entry);
  }

  std::vector<Entry> entries_;
  std::vector<std::uint32_t> at_;  // by node
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
    if (node >= in_.size()) in_.resize(node + 1, EvictionClass::kNone);
    in_[node] = wanted;
    if (wanted == EvictionClass::kNone) return;
    heap(wanted).add(node, key);
    if (wanted == EvictionClass::kExpected) returns_.add(node, ~key);
  }

  /// The next to go, or kNoNode.
  [[nodiscard]] std::uint32_t first() const {
    for (const IndexedHeap& entries : heaps_) {
      if (!entries.empty()) return entries.first().node;
    }
    return kNoNode;
  }
  /// A leaf that was expected by `time`, or kNoNode.
  [[nodiscard]] std::uint32_t overdue(std::uint64_t time) const {
    return !returns_.empty() && returns_.first().key <= time ? returns_.first().node : kNoNode;
  }
  [[nodiscard]] EvictionClass class_of(std::uint32_t node) const {
    return node < in_.size() ? in_[node] : EvictionClass::kNone;
  }
  [[nodiscard]] std::uint64_t key_of(std::uint32_t node) const {
    return *heaps_[static_cast<std::size_t>(in_[node])].key_of(node);
  }
  [[nodiscard]] std::size_t size() const {
    return heaps_[0].size() + heaps_[1].size() + heaps_[2].size() + heaps_[3].size();
  }

 private:
  IndexedHeap& heap(EvictionClass c) { return heaps_[static_cast<std::size_t>(c)]; }

  // kDead, kOrdinary, kExpected (by the complement of when), kRetained
  std::array<IndexedHeap, 4> heaps_;
  IndexedHeap returns_;            // of kExpected, by when
  std::vector<EvictionClass> in_;  // by node
};

}  // namespace espalier::radix_cache
