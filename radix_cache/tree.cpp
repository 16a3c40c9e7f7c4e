#include "radix_cache/tree.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>

namespace espalier::radix_cache {

namespace {

/// Leading tokens that agree, 16 at a time.
std::uint32_t common_prefix(const TokenId* a, const TokenId* b, std::uint32_t count) {
  constexpr std::uint32_t kBlock = 16;
  std::uint32_t i = 0;
  while (i + kBlock <= count && std::memcmp(a + i, b + i, kBlock * sizeof(TokenId)) == 0)
    i += kBlock;
  while (i < count && a[i] == b[i]) ++i;
  return i;
}

}  // namespace

RadixCache::Impl::~Impl() {
  for (std::size_t n = 0; n < nodes.size(); ++n) {
    if (nodes[n].buffer != nullptr) store.drop(nodes[n].buffer);
  }
}

std::uint32_t RadixCache::Impl::new_node() {
  std::uint32_t node = static_cast<std::uint32_t>(nodes.size());
  if (free_nodes.empty()) {
    nodes.emplace_back();
  } else {
    node = free_nodes.back();
    free_nodes.pop_back();
  }
  nodes[node].live = true;
  touch(nodes[node]);
  return node;
}

std::uint32_t RadixCache::Impl::new_child(std::uint32_t parent, std::span<const TokenId> tokens) {
  const std::uint32_t child = new_node();
  Node& x = nodes[child];
  x.parent = parent;
  x.start = nodes[parent].end();
  x.length = static_cast<std::uint32_t>(tokens.size());
  x.buffer = store.create(tokens);
  x.buffer_offset = 0;
  table.set(parent, tokens[0], child);
  ++nodes[parent].children;
  return child;
}

/// A buffer has moved: the node and those above it that have pieces of it.
void RadixCache::Impl::rebase(std::uint32_t node, TokenBuffer* buffer) {
  TokenBuffer* const old = nodes[node].buffer;
  if (old == buffer) return;
  for (; !nodes[node].is_root() && nodes[node].buffer == old; node = nodes[node].parent)
    nodes[node].buffer = buffer;
}

void RadixCache::Impl::remove(std::uint32_t node) {
  Node& x = nodes[node];
  ESP_CHECK(x.children == 0 && x.anchors == kNil);
  if (x.is_root()) {
    roots.erase(x.space);
  } else {
    drop_pages(node, 0);
    if (x.level > 0) set_level(node, 0, 0);
    Node& parent = nodes[x.parent];
    if (x.active) --parent.active_children;
    --parent.children;
    table.erase(x.parent, *x.tokens());
    const bool shared = x.buffer->users > 1;
    TokenBuffer* const left = store.release(x.buffer, x.buffer_offset);
    if (shared) rebase(x.parent, left);
    queue.place(node, EvictionClass::kNone, 0);
  }
  std::destroy_at(&x);
  std::construct_at(&x);
  free_nodes.push_back(node);
}

std::uint32_t RadixCache::Impl::split(std::uint32_t node, std::uint32_t at) {
  const std::uint32_t head_index = new_node();
  Node& head = nodes[head_index];
  Node& tail = nodes[node];
  ESP_CHECK(at > 0 && at < tail.length);
  for (; tail.pinned > 0; --tail.pinned) pool.unpin(tail.pages[tail.pinned - 1]);

  head.parent = tail.parent;
  head.start = tail.start;
  head.length = at;
  head.planned = std::min(tail.planned, at);
  head.ready = std::min(tail.ready, at);
  head.children = 1;
  head.hits = tail.hits;
  head.last = tail.last;
  head.bonus = tail.bonus;
  head.fall_steps = tail.fall_steps;
  head.wished = tail.wished;
  head.retained = tail.retained;
  head.retained_children = tail.retained ? 1 : 0;
  head.buffer = tail.buffer;
  head.buffer_offset = tail.buffer_offset;
  store.share(*head.buffer);

  // A page that the cut goes through belongs to both.
  const std::uint32_t head_pages = pages_for(head.start, head.planned);
  head.pages.assign(tail.pages.all().first(head_pages));
  if (tail.planned > at) {
    const std::uint32_t first = (tail.start + at) / kPageTokens - tail.start / kPageTokens;
    if (first < head_pages) pool.share(tail.pages[first]);
    tail.pages.drop_front(first);
  } else {
    tail.pages.clear();
  }

  table.set(head.parent, *head.tokens(), head_index);
  tail.parent = head_index;
  tail.start += at;
  tail.length -= at;
  tail.planned -= head.planned;
  tail.ready -= head.ready;
  tail.buffer_offset += at;
  table.set(head_index, *tail.tokens(), node);
  if (tail.dead_from != kNil) {
    if (tail.dead_from < at) head.dead_from = tail.dead_from;
    tail.dead_from = tail.dead_from > at ? tail.dead_from - at : 0;
  }

  const bool was_active = tail.active;
  tail.cover = 0;
  for (std::uint32_t a = std::exchange(tail.anchors, kNil); a != kNil;) {
    const std::uint32_t next = anchors[a].next;
    const std::uint32_t offset = anchors[a].offset;
    link(a, offset <= at ? head_index : node, offset <= at ? offset : offset - at);
    a = next;
  }
  tail.active = tail.anchors != kNil || tail.active_children > 0 || tail.planned > tail.ready;
  head.active_children = tail.active ? 1 : 0;
  head.active = head.anchors != kNil || tail.active || head.planned > head.ready;
  ESP_CHECK(head.active == was_active);
  if (head.planned > head.ready) pending.push_back(head_index);
  if (tail.level > 0) set_level(head_index, tail.level, tail.falls);
  count_retained(node);
  count_retained(head_index);
  repin(head_index);
  repin(node);
  requeue(node);
  return head_index;
}

void RadixCache::Impl::trim(std::uint32_t node, std::uint32_t length) {
  Node& x = nodes[node];
  ESP_CHECK(x.children == 0 && length > 0 && length < x.length);
  if (x.planned > length) drop_pages(node, length);
  x.length = length;
  rebase(node, store.cut(x.buffer, x.buffer_offset + length));
  if (x.dead_from != kNil && x.dead_from >= length) x.dead_from = kNil;
}

void RadixCache::Impl::drop_pages(std::uint32_t node, std::uint32_t planned) {
  Node& x = nodes[node];
  x.planned = planned;
  x.ready = std::min(x.ready, planned);
  const std::uint32_t keep = pages_for(x.start, planned);
  while (x.pages.size() > keep) {
    const PageId page = x.pages.back();
    if (x.pinned == x.pages.size()) {
      pool.unpin(page);
      --x.pinned;
    }
    x.pages.pop_back();
    // Only a node's first page has other owners: they end where it starts.
    if (!pool.drop(page)) pool.set_fill(page, x.start % kPageTokens);
  }
  if (keep > 0) pool.set_fill(x.pages.back(), (x.start + planned - 1) % kPageTokens + 1);
}

void RadixCache::Impl::link(std::uint32_t anchor, std::uint32_t node, std::uint32_t offset) {
  Anchor& a = anchors[anchor];
  Node& x = nodes[node];
  a.node = node;
  a.offset = offset;
  a.previous = kNil;
  a.next = x.anchors;
  if (x.anchors != kNil) anchors[x.anchors].previous = anchor;
  x.anchors = anchor;
  x.cover = std::max(x.cover, offset);
}

void RadixCache::Impl::unlink(std::uint32_t anchor) {
  const Anchor& a = anchors[anchor];
  Node& x = nodes[a.node];
  if (a.previous != kNil) anchors[a.previous].next = a.next;
  if (a.next != kNil) anchors[a.next].previous = a.previous;
  if (x.anchors == anchor) x.anchors = a.next;
  if (a.offset < x.cover) return;
  const std::uint32_t old = std::exchange(x.cover, 0);
  for (std::uint32_t other = x.anchors; other != kNil && x.cover < old;
       other = anchors[other].next) {
    x.cover = std::max(x.cover, anchors[other].offset);
  }
}

void RadixCache::Impl::move(std::uint32_t anchor, std::uint32_t node, std::uint32_t offset) {
  // The new place is made active before the old one is looked at, so that nothing between them
  // goes.
  const std::uint32_t old = anchors[anchor].node;
  unlink(anchor);
  link(anchor, node, offset);
  update(node);
  if (old != node) update(old);
}

void RadixCache::Impl::touch(Node& x) {
  // Recency, and for every doubling of the uses a quarter of what a leaf lives
  // here: scale-free, so that
  // it acts alike in small and large pools. Eight doublings are the most that a past is worth.
  constexpr unsigned kMost = 8;
  const std::uint64_t uses = std::min<std::uint64_t>(std::uint64_t{x.hits} + 1, 1u << kMost);
  const unsigned doublings = static_cast<unsigned>(std::bit_width(uses)) - 1;
  // log2 by straight lines between the powers of two: the same on every machine.
  const std::uint64_t log2 =
      (std::uint64_t{doublings} << kMost) + (((uses - (1u << doublings)) << kMost) >> doublings);
  // Before anything was evicted, a leaf lives at least as long as there has been.
  const std::uint64_t lives = life > 0 ? life : std::min(time, kLongestLife) << kLifeBits;
  x.last = time;
  x.bonus = static_cast<std::uint32_t>(
      std::min<std::uint64_t>((lives / 4 * log2) >> (kMost + kLifeBits), UINT32_MAX));
}

void RadixCache::Impl::count_eviction(const Node& x) {
  switch (class_of(x)) {
    case EvictionClass::kDead:
      ++evicted.dead;
      return;
    case EvictionClass::kExpected:
      ++evicted.expected;
      return;
    case EvictionClass::kRetained:
      ++evicted.retained;
      return;
    default:
      break;
  }
  ++(x.hits > 0 ? evicted.again : evicted.once);
  const std::uint64_t age = std::min(time - x.last, kLongestLife) << kLifeBits;
  const std::uint64_t window = std::max<std::uint64_t>(16, pool.total() / 4);
  if (life == 0) {
    life = age;
  } else if (age > life) {
    life += (age - life) / window;
  } else {
    life -= (life - age) / window;
  }
}

EvictionClass RadixCache::Impl::class_of(const Node& x) const {
  if (x.is_root() || x.children > 0) return EvictionClass::kNone;
  const std::uint32_t stays = x.protected_length();
  if (stays > 0 && x.pages.size() <= pages_for(x.start, std::min(stays, x.planned)))
    return EvictionClass::kNone;
  if (x.level > 0) return EvictionClass::kRetained;
  if (x.dead_from < x.length) return EvictionClass::kDead;
  return x.next_use > time ? EvictionClass::kExpected : EvictionClass::kOrdinary;
}

void RadixCache::Impl::requeue(std::uint32_t node) {
  const EvictionClass wanted = class_of(nodes[node]);
  queue.place(node, wanted, key_of(nodes[node], wanted));
}

void RadixCache::Impl::repin(std::uint32_t node) {
  Node& x = nodes[node];
  const std::uint32_t want = pages_for(x.start, std::min(x.protected_length(), x.planned));
  for (; x.pinned > want; --x.pinned) pool.unpin(x.pages[x.pinned - 1]);
  for (; x.pinned < want; ++x.pinned) pool.pin(x.pages[x.pinned]);
}

void RadixCache::Impl::update(std::uint32_t node) {
  for (;;) {
    Node& x = nodes[node];
    if (x.is_root()) {
      if (x.children == 0 && x.anchors == kNil) remove(node);
      return;
    }
    const std::uint32_t parent = x.parent;
    if (x.children == 0) {
      const std::uint32_t keep = std::max(x.protected_length(), x.ready);
      if (keep == 0) {
        remove(node);
        node = parent;
        continue;
      }
      if (keep < x.length) trim(node, keep);
    }
    const bool active = x.anchors != kNil || x.active_children > 0 || x.planned > x.ready;
    const bool changed = active != x.active;
    if (changed) {
      x.active = active;
      if (active) {
        ++nodes[parent].active_children;
      } else {
        --nodes[parent].active_children;
        touch(x);
      }
    }
    repin(node);
    requeue(node);
    if (x.retained || x.level > 0) count_retained(node);
    if (!changed) return;
    node = parent;
  }
}

std::uint32_t RadixCache::Impl::new_anchor() {
  if (free_anchors.empty()) {
    anchors.emplace_back();
    return static_cast<std::uint32_t>(anchors.size() - 1);
  }
  const std::uint32_t anchor = free_anchors.back();
  free_anchors.pop_back();
  return anchor;
}

std::uint32_t RadixCache::Impl::open(Space space) {
  const auto found = roots.find(space);
  std::uint32_t root = found == roots.end() ? kNil : found->second;
  if (root == kNil) {
    root = new_node();
    nodes[root].space = space;
    roots.emplace(space, root);
  }
  const std::uint32_t anchor = new_anchor();
  link(anchor, root, 0);
  return anchor;
}

std::uint32_t RadixCache::Impl::fork(std::uint32_t anchor) {
  const std::uint32_t twin = new_anchor();
  link(twin, anchors[anchor].node, anchors[anchor].offset);
  return twin;
}

Extended RadixCache::Impl::extend(std::uint32_t anchor, std::span<const TokenId> tokens,
                                  std::uint32_t own) {
  const auto count = static_cast<std::uint32_t>(tokens.size());
  if (count == 0) return {};
  std::uint32_t node = anchors[anchor].node;
  std::uint32_t offset = anchors[anchor].offset;
  std::uint32_t done = 0;
  bool found = false;  // the node was entered in this call, past what is the caller's own
  while (done < count) {
    if (offset < nodes[node].length) {
      const Node& x = nodes[node];
      const std::uint32_t same = common_prefix(x.tokens() + offset, tokens.data() + done,
                                               std::min(x.length - offset, count - done));
      done += same;
      offset += same;
      if (offset < x.length && done < count) node = split(node, offset);
      Node& used = nodes[node];
      if (found && used.hits < UINT32_MAX) ++used.hits;
      touch(used);
      renew(node);
      used.next_use = 0;
      if (offset > used.dead_from) used.dead_from = kNil;
      if (done == count) break;
    }
    const std::uint32_t child = table.find(node, tokens[done]);
    if (child == ChildTable::kNone) break;
    node = child;
    offset = 0;
    found = done >= own;
  }
  const Extended out{done, count - done};
  if (done < count) {
    const auto rest = tokens.subspan(done);
    Node& x = nodes[node];
    // A leaf grows in place; one that others came back to, or a user wants kept, stays as it is, so
    // that what follows has a value of its own.
    if (!x.is_root() && x.children == 0 && x.hits == 0 && x.level == 0) {
      rebase(node, store.append(x.buffer, rest));
      x.length += static_cast<std::uint32_t>(rest.size());
      touch(x);
      x.next_use = 0;
      offset = x.length;
    } else {
      node = new_child(node, rest);
      offset = nodes[node].length;
    }
  }
  move(anchor, node, offset);
  bound_tokens();
  bound_retained();
  return out;
}

void RadixCache::Impl::rollback(std::uint32_t anchor, std::uint32_t length) {
  std::uint32_t node = anchors[anchor].node;
  while (!nodes[node].is_root() && nodes[node].start >= length) node = nodes[node].parent;
  touch(nodes[anchors[anchor].node]);
  move(anchor, node, length - nodes[node].start);
  bound_tokens();
}

void RadixCache::Impl::retract(std::uint32_t anchor, std::uint32_t length, std::uint32_t fresh) {
  std::uint32_t node = anchors[anchor].node;
  const std::uint32_t end = nodes[node].start + anchors[anchor].offset;
  rollback(anchor, length);
  // What is left of the guess are leaves' ready tails, from where it ended upwards.
  while (nodes[node].live && !nodes[node].is_root() && nodes[node].children == 0 &&
         nodes[node].end() <= end) {
    const Node& x = nodes[node];
    const std::uint32_t parent = x.parent;
    const std::uint32_t start = x.start;
    const std::uint32_t others = fresh > start ? std::min(fresh - start, x.length) : 0;
    const std::uint32_t keep = std::max(x.protected_length(), others);
    if (keep == x.length) return;
    ++changes;
    if (keep > 0) {
      trim(node, keep);
    } else {
      drop_pages(node, 0);
    }
    update(node);
    if (start <= fresh) return;
    node = parent;
  }
}

void RadixCache::Impl::release(std::uint32_t anchor) {
  const auto [node, offset, next, previous, when, dead_from] = anchors[anchor];
  unlink(anchor);
  anchors[anchor] = {};
  free_anchors.push_back(anchor);
  touch(nodes[node]);
  if (when > time && !nodes[node].is_root()) {
    // The nearest return counts; what is above inherits it when this node goes.
    const std::uint64_t known = nodes[node].next_use;
    nodes[node].next_use = known > time ? std::min(known, when) : when;
  }
  if (dead_from != kNil) declare_dead(node, offset, dead_from);
  update(node);
  bound_tokens();
}

void RadixCache::Impl::declare_dead(std::uint32_t node, std::uint32_t offset, std::uint32_t from) {
  // Ready tokens after the place belong to a memory that is not this lease's.
  if (nodes[node].children > 0 || nodes[node].is_root() || nodes[node].ready > offset) return;
  from = (from + kPageTokens - 1) / kPageTokens * kPageTokens;  // a page in part alive stays
  for (; !nodes[node].is_root() && nodes[node].children <= 1; node = nodes[node].parent) {
    Node& x = nodes[node];
    const std::uint32_t begin = std::max(x.cover, from > x.start ? from - x.start : 0);
    // Declared before, and so is what is above it; or all of it lies before `from`.
    if (x.dead_from <= begin || begin >= x.length) return;
    x.dead_from = begin;
    requeue(node);
    if (begin > 0) return;
  }
}

RadixCache::Impl::Place RadixCache::Impl::walk(Space space, std::span<const TokenId> tokens) const {
  const auto found = roots.find(space);
  if (found == roots.end()) return {};
  Place at{found->second, 0, 0};
  while (at.found < tokens.size()) {
    const std::uint32_t child = table.find(at.node, tokens[at.found]);
    if (child == ChildTable::kNone) break;
    const Node& x = nodes[child];
    const auto limit =
        static_cast<std::uint32_t>(std::min<std::size_t>(x.length, tokens.size() - at.found));
    at.node = child;
    at.offset = common_prefix(x.tokens(), tokens.data() + at.found, limit);
    at.found += at.offset;
    if (at.offset < x.length) break;
  }
  return at;
}

std::uint32_t RadixCache::Impl::match(Space space, std::span<const TokenId> tokens) const {
  const Place at = walk(space, tokens);
  return at.node == kNil ? 0 : prefix(at.node, at.offset, &Node::ready);
}

void RadixCache::Impl::forget(Space space, std::span<const TokenId> tokens,
                              std::uint32_t dead_from) {
  const Place at = walk(space, tokens);
  if (at.node == kNil || nodes[at.node].is_root()) return;
  nodes[at.node].next_use = 0;
  if (dead_from != kNil) declare_dead(at.node, at.offset, dead_from);
  requeue(at.node);
}

void RadixCache::Impl::set_time(std::uint64_t step) {
  time = std::max(time, step);
  decay();
  for (std::uint32_t node; (node = queue.overdue(time)) != EvictionQueue::kNoNode;) requeue(node);
}

void RadixCache::Impl::bound_tokens() {
  while (store.size() > max_tokens && evict()) {
  }
}

std::uint32_t RadixCache::Impl::prefix(std::uint32_t node, std::uint32_t offset,
                                       std::uint32_t Node::*count) const {
  // What is counted is a prefix of every path, so the deepest node with any has it all above it.
  while (!nodes[node].is_root()) {
    const Node& x = nodes[node];
    const std::uint32_t here = std::min(x.*count, offset);
    if (here > 0) return x.start + here;
    node = x.parent;
    offset = nodes[node].length;
  }
  return 0;
}

/// What has not been used for longest is also farthest from the processor: asks for the memory of
/// the nodes that are likely to go next, so that it comes while the first goes.
void RadixCache::Impl::fetch_victims() const {
  queue.next([this](std::uint32_t node) {
    const char* const lines = reinterpret_cast<const char*>(&nodes[node]);
    __builtin_prefetch(lines);
    __builtin_prefetch(lines + MemoryBlock::kLine);
    queue.fetch(node);
  });
}

/// The same for what the first of them leads to, whose own memory is here by now.
void RadixCache::Impl::fetch_next() const {
  const std::uint32_t node = queue.first();
  if (node == EvictionQueue::kNoNode) return;
  const Node& x = nodes[node];
  if (x.pages.empty()) return;
  __builtin_prefetch(x.buffer);
  __builtin_prefetch(x.tokens());
  pool.fetch(x.pages.back());
  __builtin_prefetch(&written[x.pages.back()]);
}

bool RadixCache::Impl::evict() {
  const std::uint32_t node = queue.first();
  if (node == EvictionQueue::kNoNode) return false;
  const Node& x = nodes[node];
  const std::uint32_t boundary = (x.end() - 1) / kPageTokens * kPageTokens;
  const std::uint32_t keep =
      std::max(x.protected_length(), boundary > x.start ? boundary - x.start : 0);
  ESP_CHECK(keep < x.length);
  table.fetch(x.parent, *x.tokens());
  fetch_victims();
  ++changes;
  count_eviction(x);
  if (keep > 0) {
    trim(node, keep);
  } else {
    Node& parent = nodes[x.parent];
    const bool known = parent.next_use > time;
    if (x.next_use > time && !parent.is_root() && !(known && parent.next_use <= x.next_use)) {
      parent.next_use = x.next_use;
    }
    drop_pages(node, 0);
  }
  update(node);
  fetch_next();
  return true;
}

void RadixCache::Impl::clear() {
  while (evict()) {
  }
  // What is left beside protected tokens shares their last page, so the queue does not list it.
  for (std::uint32_t node = 0; node < nodes.size(); ++node) {
    const Node& x = nodes[node];
    if (!x.live || x.is_root() || x.children > 0) continue;
    const std::uint32_t keep = x.protected_length();
    if (keep < x.length) trim(node, keep);
  }
}

}  // namespace espalier::radix_cache
