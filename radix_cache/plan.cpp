// Handing out rows: which positions a step computes, into which pages, with which copies.
#include <algorithm>

#include "radix_cache/tree.h"

namespace espalier::radix_cache {

bool RadixCache::Impl::may_append(const Node& parent, std::uint32_t start) const {
  // Nobody has claimed the slots after the parent's end. While the parent itself is not planned to
  // its end, nobody can.
  return parent.planned < parent.length || pool.fill(parent.pages.back()) == start % kPageTokens;
}

bool RadixCache::Impl::ensure_page(std::uint32_t node, StepPlan& plan) {
  const std::uint32_t start = nodes[node].start;
  if (nodes[node].pages.size() > (start + nodes[node].planned) / kPageTokens - start / kPageTokens)
    return true;
  const bool inside = nodes[node].planned == 0 && start % kPageTokens != 0;
  for (;;) {
    if (inside && may_append(nodes[nodes[node].parent], start)) {
      const PageId page = nodes[nodes[node].parent].pages.back();
      pool.share(page);
      nodes[node].pages.push_back(page);
      return true;
    }
    if (!pool.empty()) break;
    if (!evict())
      return false;  // what goes may be the very branch that held the right to append: look again
  }
  const PageId page = pool.take();
  written[page].epoch = open_epoch;
  written[page].copied = 0;
  if (inside) copy_head(nodes[node], page, plan);
  nodes[node].pages.push_back(page);
  return true;
}

void RadixCache::Impl::copy_head(const Node& x, PageId page, StepPlan& plan) {
  const Node& parent = nodes[x.parent];
  const std::uint32_t head = x.start % kPageTokens;
  const std::uint32_t base = x.start - head;
  const std::uint32_t ready = prefix(x.parent, parent.length, &Node::ready);
  const std::uint32_t copied = ready > base ? std::min(ready - base, head) : 0;
  const Written& source = written[parent.pages.back()];
  if (copied > 0) {
    // A source that is itself copied in this step is passed over for where its own head comes from.
    const bool fresh = source.epoch == open_epoch && source.copied > 0;
    ESP_CHECK(!fresh || source.copied >= copied);
    const PageId origin = fresh ? source.origin : parent.pages.back();
    plan.copies_.push_back({origin, page, copied});
    written[page].origin = origin;
    written[page].copied = copied;
  }
  ESP_CHECK(copied == head || source.epoch == open_epoch);
  for (std::uint32_t slot = copied; slot < head; ++slot) {
    plan.extra_.emplace_back(source.row[slot], PlannedWrite{page, slot});
    written[page].row[slot] = source.row[slot];
  }
}

/// The node's next `count` tokens, all of them in its last page.
void RadixCache::Impl::add_rows(Node& x, std::uint32_t count, StepPlan& plan) {
  const PageId page = x.pages.back();
  Written& w = written[page];
  if (w.epoch != open_epoch) {
    w.epoch = open_epoch;
    w.copied = 0;
  }
  const auto first = static_cast<std::uint32_t>(plan.rows_.size());
  const std::uint32_t position = x.start + x.planned;
  const std::uint32_t slot = position % kPageTokens;
  const TokenId* const tokens = x.tokens() + x.planned;
  plan.rows_.resize(std::size_t{first} + count);
  plan.writes_.resize(std::size_t{first} + count);
  for (std::uint32_t i = 0; i < count; ++i) {
    w.row[slot + i] = first + i;
    plan.rows_[first + i] = {tokens[i], position + i, 0, 0};
    plan.writes_[first + i] = {page, slot + i};
  }
  x.planned += count;
  pool.set_fill(page, slot + count);
}

RowRange RadixCache::Impl::plan(const Anchor& anchor, StepPlan& plan, std::uint32_t max_rows) {
  ESP_CHECK(!plan.sealed_ || plan.epoch_ == 0);
  const bool opening = plan.epoch_ == 0;
  if (opening) {
    ESP_CHECK(open_epoch == 0);  // one plan at a time
    plan = StepPlan{};
    plan.epoch_ = open_epoch = ++epochs;
  }
  ESP_CHECK(plan.epoch_ == open_epoch);
  const auto begin = static_cast<std::uint32_t>(plan.rows_.size());

  std::vector<std::uint32_t>& path = planning;  // deepest first, up to where something is planned
  path.clear();
  for (std::uint32_t n = anchor.node; !nodes[n].is_root(); n = nodes[n].parent) {
    path.push_back(n);
    if (nodes[n].planned > 0) break;
  }
  bool dry = false;
  std::uint32_t left = max_rows;
  for (; !path.empty() && left > 0 && !dry; path.pop_back()) {
    const std::uint32_t node = path.back();
    Node& x = nodes[node];
    const std::uint32_t extent = node == anchor.node ? anchor.offset : x.length;
    const std::uint32_t before = x.planned;
    const bool listed = before > x.ready;
    while (x.planned < extent && left > 0) {
      if (!ensure_page(node, plan)) {
        dry = true;
        break;
      }
      const std::uint32_t slot = (x.start + x.planned) % kPageTokens;
      const std::uint32_t rows = std::min({kPageTokens - slot, extent - x.planned, left});
      add_rows(x, rows, plan);
      left -= rows;
    }
    if (x.planned > before) {
      if (!listed) pending.push_back(node);
      update(node);
    }
  }
  bound_retained();
  if (opening && plan.rows_.empty()) plan.epoch_ = open_epoch = 0;
  return {begin, static_cast<std::uint32_t>(plan.rows_.size())};
}

std::optional<PlannedWrite> RadixCache::Impl::reserve(std::uint32_t anchor) {
  const auto& [node, offset, next, previous, when, dead_from] = anchors[anchor];
  const Node& x = nodes[node];
  if (x.is_root() || x.children > 0 || offset < x.length || x.planned < x.length)
    return std::nullopt;
  for (std::uint32_t a = x.anchors; a != kNil; a = anchors[a].next) {
    if (a != anchor && anchors[a].offset == offset) return std::nullopt;
  }
  // A leaf that is planned to its end has the right to append.
  const std::uint32_t slot = x.end() % kPageTokens;
  if (slot > 0) return PlannedWrite{x.pages.back(), slot};
  while (pool.empty()) {
    if (!evict()) return std::nullopt;
  }
  const PageId page = pool.take();
  pool.pin(page);
  reserved.push_back(page);
  return PlannedWrite{page, 0};
}

void RadixCache::Impl::forget_reserved(PageId page) {
  const auto at = std::find(reserved.begin(), reserved.end(), page);
  ESP_CHECK(at != reserved.end());
  reserved.erase(at);
  pool.unpin(page);
}

RowRange RadixCache::Impl::plan_reserved(const Anchor& anchor, StepPlan& plan,
                                         const PlannedWrite& at) {
  // The page is the one that ensure_page() takes next.
  if (at.slot == 0) {
    forget_reserved(at.page);
    pool.put_first(at.page);
  }
  const RowRange rows = this->plan(anchor, plan, 1);
  ESP_CHECK(rows.size() == 1 && plan.writes_.back().page == at.page &&
            plan.writes_.back().slot == at.slot);
  return rows;
}

void RadixCache::Impl::give_back(const PlannedWrite& at) {
  if (at.slot > 0) return;
  forget_reserved(at.page);
  pool.drop(at.page);
}

void RadixCache::Impl::close(bool computed) {
  std::vector<std::uint32_t> touched = std::exchange(pending, {});
  open_epoch = 0;
  if (computed && !touched.empty()) ++changes;
  // Deepest first: where pages are given back, the last owner to come is the first to go.
  std::sort(touched.begin(), touched.end(), [&](std::uint32_t a, std::uint32_t b) {
    return nodes[a].start != nodes[b].start ? nodes[a].start > nodes[b].start : a < b;
  });
  for (const std::uint32_t node : touched) {
    Node& x = nodes[node];
    if (x.planned == x.ready) continue;
    if (computed) {
      x.ready = x.planned;
    } else {
      drop_pages(node, x.ready);
    }
  }
  for (const std::uint32_t node : touched) {
    if (nodes[node].live) update(node);
  }
}

void RadixCache::Impl::add_unplanned(const Anchor& anchor, std::uint32_t length,
                                     std::vector<Unplanned>& out) const {
  for (std::uint32_t n = anchor.node; !nodes[n].is_root(); n = nodes[n].parent) {
    const Node& x = nodes[n];
    const std::uint32_t on_path = n == anchor.node ? anchor.offset : x.length;
    const std::uint32_t extent = length > x.start ? std::min(on_path, length - x.start) : 0;
    if (extent > x.planned) out.push_back({n, extent});
    if (x.planned > 0) break;
  }
}

std::uint32_t RadixCache::Impl::pages_needed(std::vector<Unplanned>& unplanned) const {
  // Of a node in several paths the farthest extent counts, which sorting puts last.
  std::sort(unplanned.begin(), unplanned.end());
  std::uint32_t need = 0;
  std::vector<std::uint32_t> appended;  // nodes in whose last page a child writes on
  for (std::size_t i = 0; i < unplanned.size(); ++i) {
    if (i + 1 < unplanned.size() && unplanned[i + 1].node == unplanned[i].node) continue;
    const Node& x = nodes[unplanned[i].node];
    need += pages_for(x.start, unplanned[i].extent) - x.pages.size();
    const bool inside = x.planned == 0 && x.start % kPageTokens != 0;
    if (inside && may_append(nodes[x.parent], x.start)) appended.push_back(x.parent);
  }
  // One child each may.
  std::sort(appended.begin(), appended.end());
  const auto end = std::unique(appended.begin(), appended.end());
  return need - static_cast<std::uint32_t>(end - appended.begin());
}

std::uint32_t RadixCache::Impl::compact(std::uint32_t node) {
  std::uint32_t freed = 0;
  for (; !nodes[node].is_root(); node = nodes[node].parent) {
    const Node& x = nodes[node];
    if (nodes[x.parent].is_root() || x.start % kPageTokens == 0 || x.ready == 0) continue;
    const PageId old = nodes[x.parent].pages.back();
    const PageId copy = x.pages.front();
    if (old == copy || pool.fill(old) != x.start % kPageTokens) continue;
    // The old page's owners are a chain that ends at the parent: all of them move to the copy.
    for (std::uint32_t n = x.parent;; n = nodes[n].parent) {
      Node& owner = nodes[n];
      const bool pinned = owner.pinned == owner.pages.size();
      const bool first = owner.pages.size() == 1 && owner.start % kPageTokens != 0;
      if (pinned) pool.unpin(old);
      owner.pages.set_back(copy);
      pool.share(copy);
      if (pinned) pool.pin(copy);
      freed += pool.drop(old) ? 1 : 0;
      if (!first || nodes[owner.parent].is_root() || nodes[owner.parent].pages.back() != old) break;
    }
  }
  return freed;
}

}  // namespace espalier::radix_cache
