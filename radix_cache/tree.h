// The radix tree itself, behind RadixCache: nodes, anchors (what leases point at), and how they
// change.
//
// A node is an edge and its end: `length` tokens from position `start` on. Three counts split it,
// ready <= planned <= length: KV computed, KV that the open step computes, tokens known. Pages
// cover the planned part. `cover` is how far leases that stand in the node reach; the protected
// part is the whole node below which anything is active, else the larger of `cover` and what is
// planned. After every operation a leaf holds nothing but protected and ready tokens.
//
// update() is the one place where consequences are drawn: it trims what nobody needs, removes empty
// nodes, and keeps activity, pins and the eviction queue true, going up the path only while
// something changed. Nothing recurses.
//
// A split makes a new node for the head and keeps the index for the tail, so the children of a
// split node need no new keys. Indices need no generation: what could outlive a node (leases, an
// open plan) keeps it alive.
#pragma once

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "radix_cache/arena.h"
#include "radix_cache/child_table.h"
#include "radix_cache/eviction_queue.h"
#include "radix_cache/memory_block.h"
#include "radix_cache/page_list.h"
#include "radix_cache/page_pool.h"
#include "radix_cache/radix_cache.h"
#include "radix_cache/token_store.h"

namespace espalier::radix_cache {

inline constexpr std::uint32_t kNil = UINT32_MAX;

/// Pages that `tokens` tokens from position `start` on touch.
constexpr std::uint32_t pages_for(std::uint32_t start, std::uint32_t tokens) {
  return tokens == 0 ? 0 : (start + tokens - 1) / kPageTokens - start / kPageTokens + 1;
}

/// Two cache lines: what a walk reads, and what changes where one ends.
struct alignas(64) Node {
  std::uint32_t parent = kNil;  // kNil: a space's root
  std::uint32_t start = 0;      // position of the first token
  std::uint32_t length = 0;     // tokens; 0 for roots only
  std::uint32_t planned = 0;    // of them: ready or in the open plan; pages cover exactly these
  std::uint32_t ready = 0;      // of them: KV computed
  std::uint32_t cover = 0;      // largest offset at which a lease stands
  std::uint32_t children = 0;
  std::uint32_t active_children = 0;
  TokenBuffer* buffer = nullptr;
  std::uint32_t buffer_offset = 0;
  std::uint32_t anchors = kNil;    // list of leases that stand here
  std::uint32_t dead_from = kNil;  // tokens from this offset on: declared dead
  std::uint32_t hits = 0;          // walks of others that found it
  std::uint8_t level = 0;          // of retention, now
  bool retained = false;           // its own level, or something below
  bool live = false;
  bool active = false;       // a lease in the subtree, or planned rows here
  std::uint32_t pinned = 0;  // of `pages`, from the front: pinned by this node

  PageList pages;
  std::uint64_t last = 0;  // step of the last use
  union {
    std::uint64_t next_use = 0;  // declared by expect(); 0 or past: not known
    Space space;                 // of roots only
  };
  // Retention (retention.cpp). Whole nodes have one: a range that ends inside a node splits it.
  std::uint64_t falls = 0;           // step at which the level falls by one
  std::uint64_t fall_steps = 0;      // from one fall to the next
  std::uint32_t bonus = 0;           // what its past is worth, in steps: see touch()
  std::uint32_t retained_pages = 0;  // what of `pages` the budget counts
  std::uint32_t retained_children = 0;
  std::uint8_t wished = 0;  // what a use brings the level back to

  [[nodiscard]] bool is_root() const { return parent == kNil; }
  [[nodiscard]] std::uint32_t end() const { return start + length; }
  [[nodiscard]] const TokenId* tokens() const { return buffer->ids() + buffer_offset; }
  /// EvictionClass::kOrdinary's order.
  [[nodiscard]] std::uint64_t value() const { return last + bonus; }
  /// Tokens that must stay.
  [[nodiscard]] std::uint32_t protected_length() const {
    if (active_children > 0) return length;
    return planned > ready && planned > cover ? planned : cover;
  }
};
static_assert(sizeof(Node) == 128);

/// Where a lease stands: `offset` tokens into `node` (0 at a root only).
struct Anchor {
  std::uint32_t node = kNil;  // kNil: a free record
  std::uint32_t offset = 0;
  std::uint32_t next = kNil;
  std::uint32_t previous = kNil;
  std::uint64_t when = 0;          // expect()
  std::uint32_t dead_from = kNil;  // mark_dead(): the position that it begins at
};

class RadixCache::Impl {
 public:
  explicit Impl(const Options& options)
      : table(options.hash_mask, options.pages),
        pool(options.pages),
        max_tokens(options.max_tokens),
        max_retained(options.retained_pages.value_or(options.pages / 4)),
        timed(options.timed),
        written(options.pages) {}
  ~Impl();

  // tree.cpp: leases
  std::uint32_t open(Space space);
  std::uint32_t fork(std::uint32_t anchor);
  Extended extend(std::uint32_t anchor, std::span<const TokenId> tokens, std::uint32_t own);
  void rollback(std::uint32_t anchor, std::uint32_t length);
  void retract(std::uint32_t anchor, std::uint32_t length, std::uint32_t fresh);
  void release(std::uint32_t anchor);
  [[nodiscard]] std::uint32_t length(const Anchor& a) const {
    return nodes[a.node].start + a.offset;
  }
  /// Leading tokens of the path that `count` (Node::ready or Node::planned) covers.
  [[nodiscard]] std::uint32_t prefix(std::uint32_t node, std::uint32_t offset,
                                     std::uint32_t Node::*count) const;
  bool evict();  // one page's worth of tokens, or false where nothing can go
  /// Where tokens end that are walked without changing anything; node is kNil in an unknown space.
  struct Place {
    std::uint32_t node = kNil;
    std::uint32_t offset = 0;
    std::uint32_t found = 0;
  };
  [[nodiscard]] Place walk(Space space, std::span<const TokenId> tokens) const;
  [[nodiscard]] std::uint32_t match(Space space, std::span<const TokenId> tokens) const;
  /// `dead_from`: where what is dead begins; kNil: nothing is.
  void forget(Space space, std::span<const TokenId> tokens, std::uint32_t dead_from);
  void set_time(std::uint64_t step);
  void clear();

  // retention.cpp
  void retain(std::uint32_t anchor, const Retention& wish);

  // plan.cpp
  RowRange plan(const Anchor& anchor, StepPlan& plan, std::uint32_t max_rows);
  [[nodiscard]] std::optional<PlannedWrite> reserve(std::uint32_t anchor);
  RowRange plan_reserved(const Anchor& anchor, StepPlan& plan, const PlannedWrite& reserved);
  void give_back(const PlannedWrite& reserved);
  void close(bool computed);
  struct Unplanned {  // tokens of a node up to `extent` that are to be planned
    std::uint32_t node = 0;
    std::uint32_t extent = 0;
    friend auto operator<=>(const Unplanned&, const Unplanned&) = default;
  };
  /// Those of a path up to `length`.
  void add_unplanned(const Anchor& anchor, std::uint32_t length, std::vector<Unplanned>& out) const;
  /// Pages that planning all of these takes.
  [[nodiscard]] std::uint32_t pages_needed(std::vector<Unplanned>& unplanned) const;
  std::uint32_t compact(std::uint32_t node);

  // check.cpp
  [[nodiscard]] Status check() const;
  // view.cpp
  [[nodiscard]] std::vector<NodeView> view() const;

  // The parts.
  Arena<Node> nodes;
  std::vector<std::uint32_t> free_nodes;
  std::vector<Anchor> anchors;
  std::vector<std::uint32_t> free_anchors;
  std::unordered_map<Space, std::uint32_t> roots;
  ChildTable table;
  TokenStore store;
  PagePool pool;
  EvictionQueue queue;
  std::uint32_t max_tokens;
  std::uint32_t max_retained;
  std::uint32_t retained_pages = 0;  // the sum over all nodes
  Arena<HeapPlace> fall_places, wish_places;
  IndexedHeap falls{fall_places};   // nodes with a level, by when it falls
  IndexedHeap wishes{wish_places};  // the same by retention_key(), for the budget
  std::uint64_t time = 0;
  Evicted evicted;
  std::uint64_t changes = 0;  // of what match() may find
  bool timed;
  mutable std::chrono::steady_clock::duration spent{};  // in calls, if timed

  // The open plan.
  struct Written {  // which row writes a slot, and where a page's head is copied from; true while
                    // `epoch` is open
    std::uint64_t epoch = 0;
    PageId origin = 0;
    std::uint32_t copied = 0;  // slots [0, copied) come from `origin`
    std::uint32_t row[kPageTokens] = {};
  };
  std::uint64_t epochs = 0;            // plans so far
  std::uint64_t open_epoch = 0;        // 0: none is open
  std::vector<std::uint32_t> pending;  // every node with planned > ready (and perhaps some without)
  std::vector<std::uint32_t> planning;  // plan()'s own
  ZeroedArray<Written> written;         // by page
  std::vector<PageId> reserved;         // pages of no node, for slots that were reserved: pinned

 private:
  std::uint32_t new_node();
  std::uint32_t new_child(std::uint32_t parent, std::span<const TokenId> tokens);
  std::uint32_t new_anchor();
  void rebase(std::uint32_t node, TokenBuffer* buffer);
  void remove(std::uint32_t node);  // a leaf that keeps nothing, or an unused root
  std::uint32_t split(std::uint32_t node, std::uint32_t at);  // the new head
  void trim(std::uint32_t node, std::uint32_t length);        // a leaf
  void drop_pages(std::uint32_t node, std::uint32_t planned);
  void link(std::uint32_t anchor, std::uint32_t node, std::uint32_t offset);
  void unlink(std::uint32_t anchor);
  void move(std::uint32_t anchor, std::uint32_t node, std::uint32_t offset);
  void update(std::uint32_t node);
  void repin(std::uint32_t node);
  void requeue(std::uint32_t node);
  void declare_dead(std::uint32_t node, std::uint32_t offset, std::uint32_t from);
  void bound_tokens();
  void set_level(std::uint32_t node, std::uint32_t level, std::uint64_t falls);
  void renew(std::uint32_t node);
  void decay();
  void count_retained(std::uint32_t node);
  void bound_retained();
  /// The lowest level first, then what falls soonest.
  [[nodiscard]] static std::uint64_t retention_key(const Node& node) {
    constexpr unsigned kStepBits = 56;
    return std::uint64_t{node.level} << kStepBits |
           std::min(node.falls, (std::uint64_t{1} << kStepBits) - 1);
  }
  void touch(Node& node);
  void count_eviction(const Node& node);
  [[nodiscard]] EvictionClass class_of(const Node& node) const;
  [[nodiscard]] static std::uint64_t key_of(const Node& node, EvictionClass c) {
    if (c == EvictionClass::kRetained) return retention_key(node);
    return c == EvictionClass::kExpected ? ~node.next_use : node.value();
  }
  // How long a leaf stays that nobody comes back to, in steps, times 2^kLifeBits: a running mean of
  // the ages at which pages were evicted.
  static constexpr unsigned kLifeBits = 8;
  static constexpr std::uint64_t kLongestLife = 1ULL << 40;
  std::uint64_t life = 0;

  void add_rows(Node& node, std::uint32_t count, StepPlan& plan);
  void fetch_victims() const;
  void fetch_next() const;
  [[nodiscard]] bool ensure_page(std::uint32_t node, StepPlan& plan);
  void forget_reserved(PageId page);
  [[nodiscard]] bool may_append(const Node& parent, std::uint32_t start) const;
  void copy_head(const Node& node, PageId page, StepPlan& plan);
};

}  // namespace espalier::radix_cache
