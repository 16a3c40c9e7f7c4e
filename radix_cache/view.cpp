// The live tree as plain values, to be shown and to be checked against.
#include <algorithm>
#include <utility>

#include "radix_cache/tree.h"

namespace espalier::radix_cache {

std::vector<NodeView> RadixCache::Impl::view() const {
  std::vector<std::vector<std::uint32_t>> below(nodes.size());
  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    if (nodes[n].live && !nodes[n].is_root()) below[nodes[n].parent].push_back(n);
  }
  std::vector<NodeView> out;
  out.reserve(table.size());
  std::vector<std::pair<std::uint32_t, std::uint32_t>> left;  // (node, its parent in `out`)
  for (const auto& [space, root] : roots) {
    left.emplace_back(root, NodeView::kRoot);
    while (!left.empty()) {
      const auto [n, parent] = left.back();
      left.pop_back();
      const Node& x = nodes[n];
      std::uint32_t own = NodeView::kRoot;
      if (!x.is_root()) {
        own = static_cast<std::uint32_t>(out.size());
        NodeView v;
        v.node = n;
        v.parent = parent;
        v.space = space;
        v.start = x.start;
        v.tokens.assign(x.tokens(), x.tokens() + x.length);
        v.ready = x.ready;
        v.dead_from = std::min(x.dead_from, x.length);
        v.pages.assign(x.pages.all().begin(), x.pages.all().end());
        for (std::uint32_t a = x.anchors; a != kNil; a = anchors[a].next) ++v.leases;
        v.active = x.active;
        v.hits = x.hits;
        v.last = x.last;
        v.value = x.value();
        v.next_use = x.next_use > time ? x.next_use : 0;
        v.level = x.level;
        v.falls = x.level > 0 ? x.falls : 0;
        v.keeps_below = x.retained_children > 0;
        v.eviction = class_of(x);
        out.push_back(std::move(v));
      }
      for (const std::uint32_t child : below[n]) left.emplace_back(child, own);
    }
  }
  return out;
}

}  // namespace espalier::radix_cache
