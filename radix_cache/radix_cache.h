// Which KV pages hold which token prefix: one radix tree of every live and remembered sequence.
//
// The idea. Every sequence's tokens are a path in the tree, from the moment they are known, whether
// or not their KV is computed. A Lease is a position on a path: the only way to hold KV. Extending
// a lease walks existing edges as far as their tokens agree and grows new ones after that, so
// sharing needs no search apart from the walk, and what a sibling generated a moment ago is found
// like an old prompt. Each node knows how many of its tokens are ready (KV computed); plan() hands
// out the rows that compute the rest, each token once: two leases with a common cold prompt share
// its nodes, the first planned computes them, the other rides behind it in the same step.
//
// Storage. Pages of kPageTokens slots; position p lives in slot p % kPageTokens. Edges are
// token-granular. A split inside a page leaves both halves referring to the page. Of the branches
// that start inside a page one writes on in it (the right to append); any other gets a page of its
// own whose head slots are copied (ready ones by a PlannedCopy, those computed in this very step by
// writing them twice). Where path and page overlap, the deepest node's page wins.
//
// Ownership and threads. One thread (the engine's) owns the cache. Leases are move-only and must
// die before it. Identity is exact tokens, never a hash. Time is the caller's step counter. Page
// accounting is an equality, checked: free + held by nodes == total.
//
// Costs. extend: O(tokens/16 + new depth); fork O(1); split O(pages and leases of the node), no
// token moves; evicting a page O(1), a node O(log leaves) (leaf tails only). See
// radix_cache/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/token.h"

namespace espalier::radix_cache {

using PageId = std::uint32_t;
inline constexpr std::uint32_t kPageTokens = 16;

/// Paths in different spaces never meet (adapters, tenants' salts, or a request that must not
/// share).
using Space = std::uint64_t;

class RadixCache;

/// A position on a path. Holding it keeps the path's pages. Move-only; releasing it is its
/// destructor.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;
  ~Lease();

  [[nodiscard]] std::uint32_t length() const { return length_; }
  [[nodiscard]] bool valid() const { return cache_ != nullptr; }

 private:
  friend class RadixCache;
  RadixCache* cache_ = nullptr;
  std::uint32_t anchor_ =
      0;  // the cache's record of which node and offset this is: splits move it along
  std::uint32_t length_ = 0;  // tokens of the whole path
};

/// What extend() found.
struct Extended {
  std::uint32_t reused =
      0;  // of the new tokens: KV ready or already someone's to compute when we came
  std::uint32_t fresh = 0;  // of the new tokens: nobody had them
};

/// One row of a step: compute the KV of `token` at `position` and write it to `writes` slots.
struct PlannedRow {
  TokenId token = kNoToken;
  std::uint32_t position = 0;
  std::uint32_t first_write = 0;  // into StepPlan::writes(), valid after StepPlan::seal()
  std::uint32_t writes = 0;
};
struct PlannedWrite {
  PageId page = 0;
  std::uint32_t slot = 0;
};
struct PlannedCopy {
  PageId from = 0;
  PageId to = 0;
  std::uint32_t slots = 0;
};

/// Rows [begin, end) of a StepPlan that one lease asked for, at consecutive positions.
struct RowRange {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  [[nodiscard]] std::uint32_t size() const { return end - begin; }
};

/// The rows of one step, gathered from many leases. Make one a step; plan into it; seal it; run it;
/// then commit() or abandon() it, both of which leave its rows to be read. One plan with rows is
/// open at a time (checked). Leases may be opened, forked, extended, rolled back and released
/// meanwhile, those it planned for too: what is planned stays until the plan is closed. Copies read
/// only slots that were ready before the step, and no copy reads what the step writes, so they may
/// run in any order and before, or beside, the rows.
class StepPlan {
 public:
  [[nodiscard]] std::span<const PlannedRow> rows() const { return rows_; }
  [[nodiscard]] std::span<const PlannedWrite> writes() const { return writes_; }
  [[nodiscard]] std::span<const PlannedCopy> copies() const { return copies_; }

 private:
  friend class RadixCache;
  std::uint64_t epoch_ = 0;  // the cache's number of this plan while it is open with rows, else 0
  bool sealed_ = false;
  std::vector<PlannedRow> rows_;
  std::vector<PlannedWrite>
      writes_;  // until seal(): the one write of each row into its own node's page
  std::vector<PlannedCopy> copies_;
  std::vector<std::pair<std::uint32_t, PlannedWrite>>
      extra_;  // (row, further write) until seal() sorts them in
};

struct Usage {
  std::uint32_t total = 0;
  std::uint32_t free = 0;
  std::uint32_t held = 0;       // by nodes
  std::uint32_t evictable = 0;  // of those held: would be given back under pressure
  std::uint32_t retained = 0;   // in nodes that a user's wish keeps, shared ones counted in each
  std::uint32_t nodes = 0;
};

/// Why a leaf's tail may go, in the order in which classes go.
enum class EvictionClass : std::uint8_t {
  kDead,      // declared so: nobody comes back
  kOrdinary,  // by value: recency and how often it was found
  kExpected,  // declared so: the farthest return first
  kRetained,  // a user asked for it: the lowest level first, then what falls soonest
  kNone,      // protected, or not a leaf
};

/// Pages that eviction gave back, by what they were.
struct Evicted {
  std::uint64_t dead = 0;
  std::uint64_t once = 0;      // never found again
  std::uint64_t again = 0;     // found again at least once
  std::uint64_t expected = 0;  // a return was declared
  std::uint64_t retained = 0;  // though a user had asked for it: nothing else was left
};

/// A user's wish that the beginning of a path stays longer than what nobody asked for. Never a pin:
/// it goes after everything else, but it goes; it decays; and all wishes together stand under a
/// budget of pages (Options::retained_pages).
struct Retention {
  static constexpr std::uint32_t kHighest = 10;

  std::uint32_t level = 0;            // 1 to kHighest, the higher the longer; 0: no wish
  std::uint32_t tokens = UINT32_MAX;  // leading tokens of the path: what stands before a token is
                                      // needed for it, so every range begins at the path's start
  std::uint64_t steps = 1024;         // the level falls by one after as many without a use
};

/// A node as view() shows it.
struct NodeView {
  static constexpr std::uint32_t kRoot = UINT32_MAX;
  std::uint32_t node = 0;        // its index, which breaks ties
  std::uint32_t parent = kRoot;  // place in the view; kRoot: it hangs on its space's root
  Space space = 0;
  std::uint32_t start = 0;  // position of the first token
  std::vector<TokenId> tokens;
  std::uint32_t ready = 0;      // of them, KV computed
  std::uint32_t dead_from = 0;  // of them, those from here on were declared dead
  std::vector<PageId> pages;
  std::uint32_t leases = 0;  // that stand here
  bool active = false;       // a lease stands here or below, or rows of it are planned
  std::uint32_t hits = 0;    // walks of others that found it
  std::uint64_t last = 0;    // step of the last use
  std::uint64_t value = 0;   // what kOrdinary is ordered by
  std::uint64_t next_use = 0;
  std::uint32_t level = 0;   // of its retention now; 0: there is none
  std::uint64_t falls = 0;   // step at which that falls by one
  bool keeps_below = false;  // something below it is retained, and so it is
  EvictionClass eviction = EvictionClass::kNone;
};

class RadixCache {
 public:
  struct Options {
    std::uint32_t pages = 0;
    std::uint32_t max_tokens =
        64u << 20;  // token ids in all nodes; beyond it what no lease holds goes at once
    // Pages in nodes that users' wishes keep; what is beyond loses its wish, the lowest level
    // first. None: a quarter of `pages`.
    std::optional<std::uint32_t> retained_pages = std::nullopt;
    std::uint64_t hash_mask =
        ~std::uint64_t{0};  // of the child table; 0 (tests) makes every key collide
    bool timed = false;     // counts the time inside: two readings of the clock a call
  };
  explicit RadixCache(Options options);
  ~RadixCache();

  /// The empty path of a space.
  [[nodiscard]] Lease open(Space space);
  /// A second lease at the same place.
  [[nodiscard]] Lease fork(const Lease& lease);
  /// Appends tokens to the path. Takes no pages: plan() does. Ready tokens found count as reused.
  /// The first `own` of `tokens` are where the caller has been before (a branch that comes back to
  /// its own path): finding them again is a use, but no hit.
  Extended extend(Lease& lease, std::span<const TokenId> tokens, std::size_t own = 0);
  /// Shortens the path to `length` <= lease.length(). The tokens given up stay in the tree,
  /// evictable, if their KV is ready; otherwise they go.
  void rollback(Lease& lease, std::uint32_t length);
  /// The same for tokens that were a guess: those from position `fresh` on, which the guess itself
  /// added (extend() says how many), go at once where nobody else holds them or goes on from them,
  /// and leave no trace.
  void retract(Lease& lease, std::uint32_t length, std::uint32_t fresh);
  /// What another path says behind this one, at most `most` tokens: those of the node in which the
  /// lease stands. Empty where the path ends there or several go on. Valid until the cache changes.
  /// O(1).
  [[nodiscard]] std::span<const TokenId> following(const Lease& lease, std::size_t most) const;

  /// Leading tokens of a path whose KV is ready, without entering the tree or counting as a use.
  [[nodiscard]] std::uint32_t match(Space space, std::span<const TokenId> tokens) const;
  /// Grows whenever match() may have another answer than before.
  [[nodiscard]] std::uint64_t changes() const;
  /// Leading tokens of the path whose KV is ready (computed and committed).
  [[nodiscard]] std::uint32_t ready(const Lease& lease) const;
  /// As ready(), and counting what is planned in `plan`: a row of this lease at this position may
  /// run in this step.
  [[nodiscard]] std::uint32_t planned(const Lease& lease, const StepPlan& plan) const;
  /// Pages that computing the path up to `length` would still take.
  [[nodiscard]] std::uint32_t pages_needed(const Lease& lease, std::uint32_t length) const;

  /// The same for several paths, each up to its length: what they share is reckoned once.
  /// O(nodes not yet planned, and the logarithm of these).
  struct Wanted {
    const Lease* lease = nullptr;
    std::uint32_t length = 0;
  };
  [[nodiscard]] std::uint32_t pages_needed(std::span<const Wanted> paths) const;

  /// Adds to `plan` the rows that compute the path's next up to `max_rows` tokens that nobody has
  /// computed or planned, taking pages (evicting where it must). Rows are consecutive and start at
  /// planned(lease, plan). Fewer rows than asked for, or none, where the pool ran dry; never fails
  /// otherwise.
  RowRange plan(Lease& lease, StepPlan& plan, std::uint32_t max_rows);
  /// Where the KV of the token behind the path will go, whichever it is: for a row that is begun
  /// before its token is known. The slot that plan() gives the token once the path goes on with it.
  /// Takes a page where the path ends with one, evicting where it must. None where the pool ran
  /// dry, where the path does not end at a leaf all of whose tokens are ready or planned, and where
  /// another lease ends there too. Each is handed to plan() or given back; until then no other rows
  /// are planned, no lease comes to the path's end, and nothing is compacted. O(leases of the
  /// node).
  [[nodiscard]] std::optional<PlannedWrite> reserve(const Lease& lease);
  /// plan() of the one row that a slot is reserved for, whose token the path goes on with now.
  RowRange plan(Lease& lease, StepPlan& plan, const PlannedWrite& reserved);
  /// Nothing comes into the slot.
  void give_back(const PlannedWrite& reserved);
  /// Sorts the extra writes into place; no plan() after it.
  void seal(StepPlan& plan);
  /// The step ran: its rows are ready.
  void commit(StepPlan& plan);
  /// The step failed: its rows stay to be computed.
  void abandon(StepPlan& plan);

  /// Gives back pages of the path that another of its pages repeats: where a branch began inside a
  /// page and copied its head, and nothing else was written on in the old page, the nodes above
  /// take the copy. Not while rows are planned. The number of pages that became free. After it a
  /// path alone holds no more pages than its tokens fill. O(depth).
  std::uint32_t compact(const Lease& lease);

  /// The pages of positions [0, length) of the path, all of which must be ready or planned.
  void page_table(const Lease& lease, std::uint32_t length, std::vector<PageId>& out) const;
  /// The path's token ids.
  [[nodiscard]] std::vector<TokenId> tokens(const Lease& lease) const;

  /// A hint: nobody will come back to the tokens that only this lease holds; when it goes they are
  /// evicted first. "Only this lease": the path's end up to the last place where another lease
  /// stands or another path branches off, and not the first `from` of them.
  void mark_dead(const Lease& lease, std::uint32_t from = 0);
  /// A hint: somebody will come back to this path about step `when` (a program that waits for a
  /// tool). When the lease goes, the path's end stays longer than what nobody is known to want,
  /// until it is walked again or `when` has passed; of such ends the farthest goes first.
  void expect(const Lease& lease, std::uint64_t when);
  /// The same without a lease, for whoever gave his up: nobody comes back to the path after all.
  /// Takes back expect(); with `dead`, also does what mark_dead() does. Adds nothing to the tree.
  void forget(Space space, std::span<const TokenId> tokens, bool dead, std::uint32_t from = 0);
  /// The path's first `wish.tokens` (at most those of the lease) stay longer than what nobody asked
  /// for. A place keeps the highest wish. Walking over a node starts its decay anew; a wish beats
  /// mark_dead(). O(depth), and O(pages) where the range ends inside a node, which it splits.
  void retain(const Lease& lease, const Retention& wish);
  /// The step counter that recency is measured in. Never goes back.
  void set_time(std::uint64_t step);
  /// Drops whatever no lease holds.
  void clear();

  [[nodiscard]] Usage usage() const;
  [[nodiscard]] Evicted evicted() const;
  /// Time spent in calls of this cache and of its leases, but for view() and check(); 0 where it is
  /// not `timed`.
  [[nodiscard]] double seconds() const;
  /// Every node, parents before children, siblings in no particular order. O(tree).
  [[nodiscard]] std::vector<NodeView> view() const;
  /// Calls `freed` with each page as it becomes free (to poison it in tests). At most one; null
  /// turns it off.
  void on_free(void (*freed)(void* context, PageId page), void* context);
  /// Checks every invariant by walking the whole tree. O(tree). The first broken one, by name, or
  /// success.
  [[nodiscard]] Status check() const;

 private:
  friend class Lease;
  class Impl;
  class Stopwatch;
  void release(std::uint32_t anchor);
  std::unique_ptr<Impl> impl_;
};

}  // namespace espalier::radix_cache
