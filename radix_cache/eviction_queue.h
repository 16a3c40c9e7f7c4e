// Which leaf tail goes next: three classes, least recently used first inside each, ties by node
// index.
//
// One indexed binary heap a class (a leaf that appears because its children went is older than what
// was queued last, so plain lists would not stay in order). A node enters and leaves in O(log
// leaves); trimming its next page while it stays first costs nothing here.
#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"

namespace espalier::radix_cache {

enum class EvictionClass : std::uint8_t {
  kDead,       // declared so: nobody comes back
  kProbation,  // used once
  kProtected,  // came back at least twice
  kNone,       // not evictable
};

class EvictionQueue {
 public:
  static constexpr std::uint32_t kNoNode = UINT32_MAX;

  /// Puts the node where it belongs: in `wanted` with recency `last`, or out (kNone).
  void place(std::uint32_t node, EvictionClass wanted, std::uint64_t last) {
    if (node >= where_.size()) where_.resize(node + 1);
    const Where now = where_[node];
    if (now.in == wanted && (wanted == EvictionClass::kNone || heap(wanted)[now.at].last == last))
      return;
    if (now.in != EvictionClass::kNone) remove(node);
    if (wanted == EvictionClass::kNone) return;
    auto& entries = heap(wanted);
    where_[node].in = wanted;
    entries.push_back({last, node});
    up(wanted, entries.size() - 1);
  }

  /// The next to go, or kNoNode.
  [[nodiscard]] std::uint32_t first() const {
    for (const auto& entries : heaps_) {
      if (!entries.empty()) return entries.front().node;
    }
    return kNoNode;
  }
  [[nodiscard]] EvictionClass class_of(std::uint32_t node) const {
    return node < where_.size() ? where_[node].in : EvictionClass::kNone;
  }
  [[nodiscard]] std::uint64_t last_of(std::uint32_t node) const {
    return heaps_[static_cast<std::size_t>(where_[node].in)][where_[node].at].last;
  }
  [[nodiscard]] std::size_t size() const {
    return heaps_[0].size() + heaps_[1].size() + heaps_[2].size();
  }

 private:
  struct Entry {
    std::uint64_t last;
    std::uint32_t node;
    friend auto operator<=>(const Entry&, const Entry&) = default;
  };
  struct Where {
    EvictionClass in = EvictionClass::kNone;
    std::uint32_t at = 0;
  };

  std::vector<Entry>& heap(EvictionClass c) { return heaps_[static_cast<std::size_t>(c)]; }

  void put(EvictionClass c, std::size_t at, Entry entry) {
    heap(c)[at] = entry;
    where_[entry.node].at = static_cast<std::uint32_t>(at);
  }
  void up(EvictionClass c, std::size_t at) {
    auto& entries = heap(c);
    const Entry entry = entries[at];
    while (at > 0 && entry < entries[(at - 1) / 2]) {
      put(c, at, entries[(at - 1) / 2]);
      at = (at - 1) / 2;
    }
    put(c, at, entry);
  }
  void down(EvictionClass c, std::size_t at) {
    auto& entries = heap(c);
    const Entry entry = entries[at];
    for (std::size_t child = 2 * at + 1; child < entries.size(); child = 2 * at + 1) {
      if (child + 1 < entries.size() && entries[child + 1] < entries[child]) ++child;
      if (!(entries[child] < entry)) break;
      put(c, at, entries[child]);
      at = child;
    }
    put(c, at, entry);
  }
  void remove(std::uint32_t node) {
    const auto [c, at] = where_[node];
    auto& entries = heap(c);
    ESP_DCHECK(entries[at].node == node);
    const Entry moved = entries.back();
    entries.pop_back();
    where_[node].in = EvictionClass::kNone;
    if (moved.node == node) return;
    put(c, at, moved);
    up(c, at);
    down(c, where_[moved.node].at);
  }

  std::array<std::vector<Entry>, 3> heaps_;
  std::vector<Where> where_;  // by node
};

}  // namespace espalier::radix_cache
