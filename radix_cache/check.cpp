// Every invariant, by walking the whole tree and counting anew. Names as in README.md.
#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include "radix_cache/tree.h"

namespace espalier::radix_cache {

namespace {

/// "I2 pages: <what> (node 7)".
tl::unexpected<Error> broken(const char* what, std::uint32_t node) {
  return fail(ErrorCode::kInternal, std::string(what) + " (at " + std::to_string(node) + ")");
}

#define ESP_INVARIANT(condition, what, node)     \
  do {                                           \
    if (!(condition)) return broken(what, node); \
  } while (false)

struct PageCount {
  std::uint32_t refs = 0;
  std::uint32_t pins = 0;
  std::uint32_t end = 0;  // position after the deepest owner's last slot
  std::uint32_t chains = 0;
  bool free = false;
};

}  // namespace

Status RadixCache::Impl::check() const {
  std::vector<std::uint32_t> children(nodes.size());
  std::vector<std::uint32_t> active_children(nodes.size());
  std::vector<std::uint32_t> retained_children(nodes.size());
  std::vector<PageCount> pages(pool.total());
  std::unordered_map<const TokenBuffer*, std::uint32_t> users;
  std::size_t edges = 0, tokens = 0, root_count = 0, leases = 0, queued = 0;
  std::size_t wished = 0, retained = 0;

  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    const Node& x = nodes[n];
    if (!x.live) continue;
    std::uint32_t cover = 0;
    for (std::uint32_t a = x.anchors, previous = kNil; a != kNil;
         previous = a, a = anchors[a].next) {
      ESP_INVARIANT(++leases <= anchors.size(), "I4 leases: a list has a loop", n);
      ESP_INVARIANT(anchors[a].node == n && anchors[a].previous == previous,
                    "I4 leases: a list is broken", n);
      ESP_INVARIANT(anchors[a].offset <= x.length, "I4 leases: a place past the node's end", n);
      ESP_INVARIANT(x.is_root() == (anchors[a].offset == 0), "I4 leases: a place at a node's start",
                    n);
      cover = std::max(cover, anchors[a].offset);
    }
    ESP_INVARIANT(cover == x.cover, "I4 leases: cover", n);
    if (x.is_root()) {
      ++root_count;
      const auto found = roots.find(x.space);
      ESP_INVARIANT(found != roots.end() && found->second == n,
                    "I3 tree: a root is not in its space", n);
      ESP_INVARIANT(x.length == 0 && x.start == 0 && x.pages.empty(), "I3 tree: a root with tokens",
                    n);
      ESP_INVARIANT(x.children > 0 || x.anchors != kNil, "I3 tree: an unused root", n);
      continue;
    }
    ++edges;
    tokens += x.length;
    const Node& parent = nodes[x.parent];
    ESP_INVARIANT(parent.live && x.length > 0, "I3 tree: an empty edge or a dead parent", n);
    ESP_INVARIANT(x.start == parent.end(), "I3 tree: start position", n);
    ESP_INVARIANT(table.find(x.parent, *x.tokens()) == n, "I3 tree: an edge is not in the table",
                  n);
    ++children[x.parent];
    if (x.active) ++active_children[x.parent];
    const bool active = x.anchors != kNil || x.active_children > 0 || x.planned > x.ready;
    ESP_INVARIANT(active == x.active, "I4 leases: active", n);

    ESP_INVARIANT(x.ready <= x.planned && x.planned <= x.length,
                  "I5 counts: ready <= planned <= length", n);
    ESP_INVARIANT(x.planned == 0 || parent.planned == parent.length,
                  "I5 counts: planned after a gap", n);
    ESP_INVARIANT(x.ready == 0 || parent.ready == parent.length, "I5 counts: ready after a gap", n);
    if (x.planned > x.ready) {
      ESP_INVARIANT(open_epoch != 0, "I5 counts: planned without an open plan", n);
      ESP_INVARIANT(std::find(pending.begin(), pending.end(), n) != pending.end(),
                    "I5 counts: not pending", n);
    }
    if (x.children == 0) {
      ESP_INVARIANT(x.length <= std::max(x.protected_length(), x.ready),
                    "I6 leaves: tokens nobody needs", n);
      ESP_INVARIANT(x.buffer->size == x.buffer_offset + x.length,
                    "I10 tokens: a leaf is not at the end", n);
    }
    ++users[x.buffer];

    ESP_INVARIANT(x.pages.size() == pages_for(x.start, x.planned), "I2 pages: count", n);
    ESP_INVARIANT(x.pinned == pages_for(x.start, std::min(x.protected_length(), x.planned)),
                  "I2 pages: pins", n);
    for (std::uint32_t i = 0; i < x.pages.size(); ++i) {
      PageCount& page = pages[x.pages[i]];
      ++page.refs;
      if (i < x.pinned) ++page.pins;
      const std::uint32_t page_end = (x.start / kPageTokens + i + 1) * kPageTokens;
      page.end = std::max(page.end, std::min(x.start + x.planned, page_end));
      // Its owners are a chain on one path: this node begins one, or goes on with its parent's last
      // page.
      const bool goes_on =
          i == 0 && x.start % kPageTokens != 0 && parent.pages.back() == x.pages[i];
      if (!goes_on) ESP_INVARIANT(++page.chains == 1, "I2 pages: owners on two paths", n);
    }

    ESP_INVARIANT(x.retained == (x.level > 0 || x.retained_children > 0),
                  "I11 retention: a node's state", n);
    ESP_INVARIANT(x.retained_pages == (x.retained ? x.pages.size() : 0), "I11 retention: pages", n);
    retained += x.retained_pages;
    if (x.retained) ++retained_children[x.parent];
    if (x.level > 0) {
      ++wished;
      ESP_INVARIANT(x.level <= x.wished && x.wished <= Retention::kHighest && x.falls > time,
                    "I11 retention: level", n);
      const std::uint64_t* falls_at = falls.key_of(n);
      const std::uint64_t* order = wishes.key_of(n);
      ESP_INVARIANT(falls_at != nullptr && *falls_at == x.falls && order != nullptr &&
                        *order == retention_key(x),
                    "I11 retention: order", n);
    }

    const EvictionClass wanted = class_of(x);
    ESP_INVARIANT(queue.class_of(n) == wanted, "I6 leaves: eviction class", n);
    if (wanted != EvictionClass::kNone) {
      ++queued;
      ESP_INVARIANT(queue.key_of(n) == key_of(x, wanted), "I6 leaves: order", n);
    }
  }

  for (std::uint32_t n = 0; n < nodes.size(); ++n) {
    if (!nodes[n].live) continue;
    ESP_INVARIANT(children[n] == nodes[n].children, "I3 tree: number of children", n);
    ESP_INVARIANT(active_children[n] == nodes[n].active_children, "I4 leases: active children", n);
    ESP_INVARIANT(retained_children[n] == nodes[n].retained_children, "I11 retention: children", n);
  }
  ESP_INVARIANT(wished == falls.size() && wished == wishes.size(),
                "I11 retention: a wish of nobody", 0);
  ESP_INVARIANT(retained == retained_pages, "I11 retention: pages in all", retained_pages);
  ESP_INVARIANT(retained <= max_retained, "I11 retention: over the budget", retained_pages);
  ESP_INVARIANT(root_count == roots.size(), "I3 tree: roots", 0);
  ESP_INVARIANT(edges == table.size(), "I3 tree: edges in the table", 0);
  ESP_INVARIANT(queued == queue.size(), "I6 leaves: the queue holds others", 0);
  ESP_INVARIANT(leases + free_anchors.size() == anchors.size(), "I4 leases: a lease in no list", 0);
  ESP_INVARIANT(tokens == store.size(), "I10 tokens: stored and not in a node", 0);
  for (const auto& [buffer, pieces] : users)
    ESP_INVARIANT(pieces == buffer->users, "I10 tokens: users of a buffer", pieces);

  for (const PageId page : reserved) {
    ESP_INVARIANT(++pages[page].refs == 1, "I2 pages: reserved and a node's", page);
    ++pages[page].pins;
  }

  std::uint32_t held = 0, pinned = 0;
  for (const PageId page : pool.free_list()) {
    ESP_INVARIANT(!pages[page].free, "I1 pages: free twice", page);
    pages[page].free = true;
  }
  for (PageId page = 0; page < pool.total(); ++page) {
    const PageCount& p = pages[page];
    ESP_INVARIANT(p.free == (p.refs == 0), "I1 pages: neither free nor held, or both", page);
    ESP_INVARIANT(p.refs == pool.refs(page), "I2 pages: owners", page);
    if (p.free) continue;
    ++held;
    if (p.pins > 0) ++pinned;
    ESP_INVARIANT(p.pins == pool.pins(page), "I2 pages: pins", page);
    const std::uint32_t fill = p.end == 0 ? 0 : (p.end - 1) % kPageTokens + 1;
    ESP_INVARIANT(pool.fill(page) == fill, "I2 pages: fill", page);
  }
  ESP_INVARIANT(held == pool.held() && held + pool.free() == pool.total(),
                "I1 pages: free + held == total", held);
  ESP_INVARIANT(pinned == pool.pinned(), "I1 pages: pinned", pinned);
  return {};
}

#undef ESP_INVARIANT

}  // namespace espalier::radix_cache
