// What users asked to keep: levels that decay, under a budget of pages.
//
// A wish is a level on each node of a path's beginning. What is below a node needs it, so a node is
// retained where it or something below it has a level; the pages of all retained nodes are what the
// budget counts. A level falls by one after so many steps without a walk over its node. Over the
// budget, the wish that is lowest goes, and with it what it alone kept counted; nothing is evicted
// by that. Setting a level costs O(log wishes), and walks up only while what is retained changes.
#include <algorithm>
#include <limits>

#include "radix_cache/tree.h"

namespace espalier::radix_cache {

namespace {

std::uint64_t later(std::uint64_t step, std::uint64_t by) {
  return by > std::numeric_limits<std::uint64_t>::max() - step
             ? std::numeric_limits<std::uint64_t>::max()
             : step + by;
}

}  // namespace

void RadixCache::Impl::retain(std::uint32_t anchor, const Retention& wish) {
  const std::uint32_t end = std::min(wish.tokens, length(anchors[anchor]));
  if (wish.level == 0 || end == 0) return;
  std::uint32_t node = anchors[anchor].node;
  while (nodes[node].start >= end) node = nodes[node].parent;
  if (nodes[node].end() > end) node = split(node, end - nodes[node].start);
  const std::uint32_t level = std::min(wish.level, Retention::kHighest);
  const std::uint64_t steps = std::max<std::uint64_t>(1, wish.steps);
  for (; !nodes[node].is_root(); node = nodes[node].parent) {
    Node& x = nodes[node];
    if (x.level > level) continue;
    x.wished = static_cast<std::uint8_t>(level);
    x.fall_steps = steps;
    set_level(node, level, later(time, steps));
    requeue(node);
  }
  bound_retained();
}

void RadixCache::Impl::set_level(std::uint32_t node, std::uint32_t level, std::uint64_t at) {
  Node& x = nodes[node];
  if (x.level > 0) {
    falls.remove(node);
    wishes.remove(node);
  }
  x.level = static_cast<std::uint8_t>(level);
  x.falls = at;
  if (level > 0) {
    falls.add(node, at);
    wishes.add(node, retention_key(x));
  } else {
    x.wished = 0;
  }
  count_retained(node);
}

void RadixCache::Impl::renew(std::uint32_t node) {
  const Node& x = nodes[node];
  const std::uint64_t at = later(time, x.fall_steps);
  if (x.level == 0 || (x.level == x.wished && x.falls == at)) return;
  set_level(node, x.wished, at);
  requeue(node);
}

void RadixCache::Impl::decay() {
  while (!falls.empty() && falls.first().key <= time) {
    const std::uint32_t node = falls.first().node;
    const Node& x = nodes[node];
    // Where time has jumped, several at once.
    const std::uint64_t times = 1 + (time - x.falls) / x.fall_steps;
    const std::uint64_t level = x.level > times ? x.level - times : 0;
    set_level(node, static_cast<std::uint32_t>(level),
              level > 0 ? later(x.falls, times * x.fall_steps) : 0);
    requeue(node);
  }
}

void RadixCache::Impl::count_retained(std::uint32_t node) {
  for (;;) {
    Node& x = nodes[node];
    if (x.is_root()) return;
    const bool retained = x.level > 0 || x.retained_children > 0;
    const auto pages = retained ? static_cast<std::uint32_t>(x.pages.size()) : 0;
    retained_pages += pages - x.retained_pages;
    x.retained_pages = pages;
    if (retained == x.retained) return;
    x.retained = retained;
    node = x.parent;
    if (retained) {
      ++nodes[node].retained_children;
    } else {
      --nodes[node].retained_children;
    }
  }
}

void RadixCache::Impl::bound_retained() {
  while (retained_pages > max_retained) {
    const std::uint32_t node = wishes.first().node;
    set_level(node, 0, 0);
    requeue(node);
  }
}

}  // namespace espalier::radix_cache
