// A naive model of the radix cache and a simulated KV, run beside the real one: what every test of
// it shares.
//
// What is done to both is a list of operations (radix_operations.h), which shrink() makes shorter.
//
// The simulated KV. Each slot holds the hash of the whole prefix that its key and value would
// depend on. A step runs the plan's copies and writes (in the order given or backwards, rows before
// copies or after: none may matter), a freed page is poisoned, and after every operation every
// lease's page table must read back exactly its own prefix. Any mistake in sharing shows there.
//
// The naive tree is a set of prefix hashes: computed, planned in the open step, or on a live
// lease's path. Until something was evicted, ready(), planned() and what extend() found must equal
// it; afterwards they are bounded by it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "radix_cache/radix_cache.h"
#include "tests/support/radix_operations.h"

namespace espalier::radix_cache::model {

struct Setting {
  std::uint32_t pages = 64;
  std::uint32_t max_tokens = 1u << 20;
  std::uint64_t hash_mask = ~std::uint64_t{0};
  std::uint32_t alphabet = 3;
  std::uint32_t longest = 200;  // tokens of a path
  std::size_t leases = 12;
  std::uint32_t retained = 1u << 20;  // pages that wishes may keep; so many: none is dropped
};

/// Runs operations on a real cache and the model. The first broken promise ends it.
class Model {
 public:
  explicit Model(const Setting& setting)
      : setting_(setting),
        cache_({.pages = setting.pages,
                .max_tokens = setting.max_tokens,
                .retained_pages = setting.retained,
                .hash_mask = setting.hash_mask}),
        kv_(std::size_t{setting.pages} * kPageTokens) {
    // A bound that drops ids without freeing pages shows in nothing we are told of.
    lossy_ = setting.max_tokens < 1u << 20;
    cache_.on_free(
        [](void* self, PageId page) {
          auto& model = *static_cast<Model*>(self);
          ++model.freed_;
          std::fill_n(model.kv_.begin() + page * kPageTokens, kPageTokens, kPoison);
        },
        this);
  }
  ~Model() { cache_.abandon(plan_); }

  /// What broke, or nothing.
  std::optional<std::string> run(const std::vector<Operation>& operations) {
    for (std::size_t i = 0; i < operations.size(); ++i) {
      apply(operations[i]);
      if (broken_.empty()) verify();
      if (!broken_.empty()) return "operation " + std::to_string(i) + ": " + broken_;
    }
    leases_.clear();
    cache_.abandon(plan_);
    verify();
    if (broken_.empty() && cache_.usage().evictable != cache_.usage().held)
      breaks("a page is held by nobody");
    cache_.clear();
    const Usage end = cache_.usage();
    if (broken_.empty() && (end.nodes != 0 || end.held != 0 || end.free != end.total))
      breaks("something stayed");
    if (broken_.empty()) return std::nullopt;
    return "at the end: " + broken_;
  }

  [[nodiscard]] std::uint64_t rows() const { return all_rows_; }
  [[nodiscard]] std::uint64_t copies() const { return all_copies_; }
  [[nodiscard]] std::uint64_t extra_writes() const { return all_extra_; }
  [[nodiscard]] std::uint64_t evicted() const { return evicted_; }
  [[nodiscard]] std::uint64_t ahead() const { return ahead_; }

 private:
  static constexpr std::uint64_t kPoison = 0;

  struct Path {
    Lease lease;
    Space space = 0;
    std::vector<TokenId> tokens;
    std::vector<std::uint64_t> prefix;  // prefix[i]: hash of the space and tokens [0, i]
    std::uint32_t ready = 0;            // when last looked at
  };

  static std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
    hash ^= value + 0x9E3779B97F4A7C15ULL + (hash << 6) + (hash >> 2);
    hash = (hash ^ (hash >> 30)) * 0xBF58476D1CE4E5B9ULL;
    return (hash ^ (hash >> 27)) | 1;  // never the poison
  }
  static std::uint64_t next(const Path& path, TokenId token) {
    return mix(path.prefix.empty() ? mix(77, path.space) : path.prefix.back(),
               static_cast<std::uint64_t>(token) + 1);
  }

  void breaks(std::string what) {
    if (broken_.empty()) broken_ = std::move(what);
  }

  template <class Set>
  static std::uint32_t leading(const std::vector<std::uint64_t>& prefix, const Set& contains) {
    std::uint32_t n = 0;
    while (n < prefix.size() && contains(prefix[n])) ++n;
    return n;
  }

  void apply(const Operation& op) {
    const auto kind = static_cast<Operation::Kind>(op.kind % Operation::kKinds);
    if (kind == Operation::kOpen) {
      if (leases_.size() >= setting_.leases) return;
      Path path;
      path.space = op.seed % 8 == 0 ? 1 : 0;
      path.lease = cache_.open(path.space);
      leases_.push_back(std::move(path));
    } else if (kind == Operation::kCommit) {
      execute(op);
    } else if (kind == Operation::kAbandon) {
      abandon();
    } else if (kind == Operation::kClear) {
      clear();
    } else if (kind == Operation::kTick) {
      cache_.set_time(time_ += op.count % 3);
    } else if (!leases_.empty()) {
      Path& path = leases_[op.lease % leases_.size()];
      if (kind == Operation::kFork) {
        fork(path);
      } else if (kind == Operation::kExtend) {
        std::vector<TokenId> tokens(op.count % 24 + 1u);
        std::minstd_rand random(op.seed + 1u);
        for (TokenId& token : tokens) token = static_cast<TokenId>(random() % setting_.alphabet);
        extend(path, tokens);
      } else if (kind == Operation::kExtendLikeAnother) {
        if (history_.empty()) return;
        const auto& old = history_[op.seed % history_.size()];
        const std::size_t from = std::min(path.tokens.size(), old.size());
        const std::size_t count = std::min<std::size_t>(old.size() - from, op.count);
        if (count == 0) return;
        extend(path, std::vector<TokenId>(old.begin() + static_cast<std::ptrdiff_t>(from),
                                          old.begin() + static_cast<std::ptrdiff_t>(from + count)));
      } else if (kind == Operation::kRollback) {
        const auto length = static_cast<std::uint32_t>(op.count % (path.tokens.size() + 1));
        guarded([&] { cache_.rollback(path.lease, length); });
        path.tokens.resize(length);
        path.prefix.resize(length);
        path.ready = std::min(path.ready, length);
      } else if (kind == Operation::kRelease) {
        const auto at = leases_.begin() + op.lease % static_cast<std::ptrdiff_t>(leases_.size());
        guarded([&] { leases_.erase(at); });
      } else if (kind == Operation::kPlan) {
        plan(path, op.count % 40 + 1u);
      } else if (kind == Operation::kPlanAll) {
        plan_all();
      } else if (kind == Operation::kAhead) {
        ahead(op);
      } else if (kind == Operation::kMarkDead) {
        cache_.mark_dead(path.lease);
      } else if (kind == Operation::kExpect) {
        cache_.expect(path.lease, time_ + op.count % 16);
      } else if (kind == Operation::kForget) {
        // Another's path, or one that was never there to its end.
        auto tokens = path.tokens;
        tokens.resize(op.count % (tokens.size() + 4), 1);
        const std::uint32_t before = cache_.usage().nodes;
        cache_.forget(path.space, tokens, op.seed % 2 == 0);
        if (cache_.usage().nodes != before) breaks("forget() changed the tree");
      } else if (kind == Operation::kRetain) {
        retain(path, op);
      } else if (kind == Operation::kGuess) {
        if (row_hash_.empty()) guess(path, op);
      } else if (kind == Operation::kCompact) {
        if (row_hash_.empty()) compact(path, op.seed % 2 == 0);
      } else {
        std::swap(path, leases_[op.seed % leases_.size()]);  // leases move
      }
    }
  }

  /// Pages that go while `work` runs were evicted.
  template <class Work>
  void guarded(const Work& work) {
    const std::uint64_t before = freed_;
    work();
    if (freed_ == before) return;
    evicted_ += freed_ - before;
    lossy_ = true;
  }

  // Wishes by token: a level that falls by one every kFallSteps since the token was last walked
  // over. The tree keeps them by node, and a walk into a node is one over all of it, so it may keep
  // a level longer, but never above the highest that was asked for.
  struct Wish {
    std::uint32_t highest = 0;  // ever
    std::uint32_t wished = 0;   // what a walk brings it back to
    std::uint32_t level = 0;
    std::uint64_t since = 0;
  };
  static constexpr std::uint64_t kFallSteps = 4;
  [[nodiscard]] std::uint64_t level_now(const Wish& wish) const {
    const std::uint64_t fallen = (time_ - wish.since) / kFallSteps;
    return wish.level > fallen ? wish.level - fallen : 0;
  }

  void retain(const Path& path, const Operation& op) {
    const std::uint32_t level = op.seed % (Retention::kHighest + 2);
    const std::uint32_t count = op.count % 2 == 0 ? UINT32_MAX : op.count;
    cache_.retain(path.lease, {.level = level, .tokens = count, .steps = kFallSteps});
    const std::size_t end = std::min<std::size_t>(count, path.tokens.size());
    for (std::size_t i = 0; i < end && level > 0; ++i) {
      Wish& wish = wishes_[path.prefix[i]];
      const std::uint32_t asked = std::min(level, Retention::kHighest);
      wish.highest = std::max(wish.highest, asked);
      if (level_now(wish) <= asked) {
        wish.level = wish.wished = asked;
        wish.since = time_;
      }
    }
  }

  void check_retention() {
    const std::vector<NodeView> nodes = cache_.view();
    std::vector<std::uint64_t> ends(nodes.size());  // hash of the path to each node's end
    std::uint32_t pages = 0;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const NodeView& x = nodes[i];
      std::uint64_t hash = x.parent == NodeView::kRoot ? mix(77, x.space) : ends[x.parent];
      if (x.level > 0 || x.keeps_below) pages += static_cast<std::uint32_t>(x.pages.size());
      for (std::size_t t = 0; t < x.tokens.size(); ++t) {
        hash = mix(hash, static_cast<std::uint64_t>(x.tokens[t]) + 1);
        const auto found = wishes_.find(hash);
        const Wish wish = found == wishes_.end() ? Wish{} : found->second;
        if (x.level > wish.highest) breaks("a level that nobody asked for");
        // What was taken back or went may have come again without its wish.
        const bool certain = !lossy_ && t < x.ready && setting_.retained == 1u << 20;
        if (certain && x.level < level_now(wish)) breaks("a wish was dropped");
      }
      ends[i] = hash;
    }
    if (pages != cache_.usage().retained) breaks("usage: retained pages");
    if (pages > setting_.retained) breaks("wishes keep more than their budget");
  }

  // Tokens that are computed and then taken back: what was new of them leaves no trace.
  void guess(Path& path, const Operation& op) {
    const auto length = static_cast<std::uint32_t>(path.tokens.size());
    if (length + 7 > setting_.longest || cache_.ready(path.lease) < length) return;
    const Usage before = cache_.usage();
    const std::uint64_t evicted = evicted_;
    std::vector<TokenId> tokens(op.count % 7 + 1u);
    std::minstd_rand random(op.seed + 1u);
    for (TokenId& token : tokens) token = static_cast<TokenId>(random() % setting_.alphabet);
    Extended found;
    guarded([&] { found = cache_.extend(path.lease, tokens, tokens.size()); });
    for (const TokenId token : tokens) {
      path.prefix.push_back(next(path, token));
      path.tokens.push_back(token);
    }
    plan(path, 40);
    execute(op);
    read_back(path, cache_.ready(path.lease));
    const std::uint32_t fresh = length + found.reused;
    for (std::size_t i = fresh; i < path.prefix.size(); ++i) {
      const bool others = std::any_of(leases_.begin(), leases_.end(), [&](const Path& other) {
        return &other != &path && other.prefix.size() > i && other.prefix[i] == path.prefix[i];
      });
      if (!others) {
        computed_.erase(path.prefix[i]);
        wishes_.erase(path.prefix[i]);
      }
    }
    path.tokens.resize(length);
    path.prefix.resize(length);
    path.ready = std::min(path.ready, length);
    cache_.retract(path.lease, length, fresh);
    const Usage after = cache_.usage();
    // A mismatch inside a node splits it, and that stays.
    if (found.reused == 0 && evicted_ == evicted &&
        (after.held != before.held || after.nodes > before.nodes + 1))
      breaks("a guess that was taken back left something");
  }

  void compact(Path& path, bool alone) {
    if (alone && leases_.size() == 1) clear();
    const Usage before = cache_.usage();
    const std::uint64_t freed = freed_;
    const std::uint32_t pages = cache_.compact(path.lease);
    const Usage after = cache_.usage();
    if (pages != freed_ - freed || pages != before.held - after.held ||
        after.free != before.free + pages)
      breaks("compact: pages that were freed");
    if (before.nodes != after.nodes) breaks("compact changed the tree");
    if (cache_.compact(path.lease) != 0) breaks("compact left something");
    const std::uint32_t full = (cache_.ready(path.lease) + kPageTokens - 1) / kPageTokens;
    if (alone && leases_.size() == 1 && after.held != full)
      breaks("a path alone holds more pages than it fills");
  }

  void fork(const Path& from) {
    if (leases_.size() >= setting_.leases) return;
    Path path;
    path.lease = cache_.fork(from.lease);
    path.space = from.space;
    path.tokens = from.tokens;
    path.prefix = from.prefix;
    path.ready = from.ready;
    leases_.push_back(std::move(path));
  }

  void extend(Path& path, std::vector<TokenId> tokens) {
    const std::size_t old = path.tokens.size();
    if (old + tokens.size() > setting_.longest) return;
    std::unordered_set<std::uint64_t> leased;
    for (const Path& other : leases_) leased.insert(other.prefix.begin(), other.prefix.end());
    Extended found;
    // What is called the caller's own changes no answer.
    guarded([&] { found = cache_.extend(path.lease, tokens, old % (tokens.size() + 1)); });
    for (const TokenId token : tokens) {
      path.prefix.push_back(next(path, token));
      path.tokens.push_back(token);
    }
    const auto certain = leading(path.prefix, [&](std::uint64_t h) { return leased.count(h) > 0; });
    const auto possible = leading(path.prefix, [&](std::uint64_t h) {
      return leased.count(h) + computed_.count(h) + planned_.count(h) > 0;
    });
    const std::size_t at = old + found.reused;
    for (std::size_t i = old; i < path.prefix.size(); ++i) {
      const auto wish = wishes_.find(path.prefix[i]);
      if (wish == wishes_.end()) continue;
      if (i >= at) {
        wishes_.erase(wish);  // it had gone, and its wish with it
      } else if (level_now(wish->second) > 0) {
        wish->second.level = wish->second.wished;
        wish->second.since = time_;
      }
    }
    if (found.reused + found.fresh != tokens.size()) breaks("extend: reused + fresh");
    if (at < std::max<std::size_t>(certain, old)) breaks("extend missed what another lease holds");
    if (at > possible) breaks("extend found what nobody had");
    if (!lossy_ && at != possible) breaks("extend missed what was computed");
    if (history_.size() < 64) history_.push_back(path.tokens);
  }

  void plan(Path& path, std::uint32_t rows) {
    const std::uint32_t from = cache_.planned(path.lease, plan_);
    const auto want =
        std::min<std::uint32_t>(rows, static_cast<std::uint32_t>(path.tokens.size()) - from);
    const std::uint32_t need = cache_.pages_needed(path.lease, from + want);
    const Usage before = cache_.usage();
    const std::uint64_t freed = freed_;
    RowRange range;
    guarded([&] { range = cache_.plan(path.lease, plan_, rows); });
    const Usage after = cache_.usage();
    const auto gone = static_cast<std::uint32_t>(freed_ - freed);
    const std::uint32_t taken = after.held + gone - before.held;
    if (need <= before.free + before.evictable && range.size() != want)
      breaks("plan: fewer rows than pages allow");
    if (range.size() > want) breaks("plan: more rows than asked for");
    // An evicted branch may leave its right to append in a shared page to this path, without
    // freeing a page itself.
    const bool evicted = gone > 0 || after.nodes < before.nodes;
    if (evicted) lossy_ = true;
    if (range.size() == want && (taken > need || (!evicted && taken != need)))
      breaks("pages_needed is not exact");
    if (range.size() < want) {
      if (after.free + after.evictable > 0) breaks("plan stopped while there were pages");
      if (cache_.pages_needed(path.lease, from + range.size() + 1) != 1)
        breaks("plan stopped without need");
    }
    if (range.size() == 0) return;
    if (range.end != plan_.rows().size() || range.begin != row_hash_.size())
      breaks("plan: row range");
    for (std::uint32_t i = 0; i < range.size(); ++i) {
      const PlannedRow& row = plan_.rows()[range.begin + i];
      const std::uint32_t position = from + i;
      if (row.position != position || row.token != path.tokens[position])
        breaks("plan: a row that is not the path's");
      const std::uint64_t hash = path.prefix[position];
      if (!planned_.insert(hash).second) breaks("a token is planned twice in a step");
      if (!lossy_ && computed_.count(hash) > 0) breaks("a token is computed twice");
      row_hash_.push_back(hash);
    }
    if (cache_.planned(path.lease, plan_) != from + range.size()) breaks("planned() after plan()");
  }

  void plan_all() {
    std::vector<RadixCache::Wanted> wanted;
    for (const Path& path : leases_) wanted.push_back({&path.lease, path.lease.length()});
    const std::uint32_t need = cache_.pages_needed(wanted);
    const Usage before = cache_.usage();
    const std::uint64_t evicted = evicted_;
    bool whole = true;
    for (Path& path : leases_) {
      plan(path, UINT32_MAX);
      whole = whole && cache_.planned(path.lease, plan_) == path.tokens.size();
    }
    const Usage after = cache_.usage();
    if (need <= before.free && !whole) breaks("pages_needed of all: too few");
    const bool undisturbed = evicted_ == evicted && after.nodes == before.nodes;
    if (whole && undisturbed && after.held - before.held != need)
      breaks("pages_needed of all is not exact");
  }

  // Places behind some of the paths before their tokens are known; then the tokens are, or the
  // place is given back.
  void ahead(const Operation& op) {
    std::vector<std::pair<Path*, PlannedWrite>> all;
    std::minstd_rand random(op.seed + 1u);
    const auto go_on = [&](Path& path) { extend(path, {static_cast<TokenId>(random() % 4)}); };
    const std::uint32_t nodes = cache_.usage().nodes;
    for (std::size_t i = 0; i < leases_.size(); ++i) {
      if (leases_[i].tokens.size() >= setting_.longest || (op.count >> i % 8 & 1) == 0) continue;
      std::optional<PlannedWrite> place;
      guarded([&] { place = cache_.reserve(leases_[i].lease); });
      if (place) all.emplace_back(&leases_[i], *place);
    }
    if (cache_.usage().nodes < nodes) lossy_ = true;
    if (const Status ok = cache_.check(); !ok) breaks(ok.error().message);
    const bool at_once = op.seed % 3 == 0;
    for (auto& [path, place] : all) {
      if (at_once) go_on(*path);
    }
    for (auto& [path, place] : all) {
      const bool back = random() % 4 == 0;
      if (!back && !at_once) go_on(*path);
      const std::uint32_t held = cache_.usage().held;
      if (back) cache_.give_back(place);
      const RowRange range = back ? RowRange() : cache_.plan(path->lease, plan_, place);
      if (cache_.usage().held != held - (back && place.slot == 0 ? 1 : 0))
        breaks("a reserved place took or left a page");
      if (back) continue;
      const auto last = path->tokens.size() - 1;
      const PlannedRow& row = plan_.rows()[range.begin];
      const PlannedWrite& write = plan_.writes()[range.begin];
      if (range.size() != 1 || row.position != last || row.token != path->tokens[last] ||
          write.page != place.page || write.slot != place.slot)
        breaks("a reserved row is not the path's, or not at its place");
      if (!planned_.insert(path->prefix[last]).second) breaks("a reserved token is planned twice");
      row_hash_.push_back(path->prefix[last]);
      ++ahead_;
    }
  }

  void execute(const Operation& op) {
    cache_.seal(plan_);
    const auto copy = [&] {
      std::vector<PlannedCopy> copies(plan_.copies().begin(), plan_.copies().end());
      if (op.seed & 1) std::reverse(copies.begin(), copies.end());
      for (const PlannedCopy& c : copies) {
        std::copy_n(kv_.begin() + c.from * kPageTokens, c.slots, kv_.begin() + c.to * kPageTokens);
      }
    };
    if (!row_hash_.empty()) {
      if (op.seed & 2) copy();
      for (std::size_t r = 0; r < row_hash_.size(); ++r) {
        const PlannedRow& row = plan_.rows()[r];
        if (row.writes == 0) breaks("a row that writes nothing");
        for (std::uint32_t w = row.first_write; w < row.first_write + row.writes; ++w) {
          const PlannedWrite write = plan_.writes()[w];
          if (write.slot != row.position % kPageTokens)
            breaks("a write into another position's slot");
          kv_[write.page * kPageTokens + write.slot] = row_hash_[r];
        }
        all_extra_ += row.writes - 1;
      }
      if (!(op.seed & 2)) copy();
      all_rows_ += row_hash_.size();
      all_copies_ += plan_.copies().size();
      // What attention of these rows would read.
      for (const Path& path : leases_) read_back(path, cache_.planned(path.lease, plan_));
      computed_.insert(planned_.begin(), planned_.end());
    }
    cache_.commit(plan_);
    reset_plan();
  }

  void abandon() {
    if (!row_hash_.empty()) {
      for (const PlannedCopy& c : plan_.copies())
        std::fill_n(kv_.begin() + c.to * kPageTokens, c.slots, kPoison);
      cache_.seal(plan_);
      for (const PlannedWrite& w : plan_.writes()) kv_[w.page * kPageTokens + w.slot] = kPoison;
    }
    cache_.abandon(plan_);
    reset_plan();
  }

  void reset_plan() {
    planned_.clear();
    row_hash_.clear();
  }

  void clear() {
    const Usage before = cache_.usage();
    cache_.clear();
    const Usage after = cache_.usage();
    if (after.held != before.held - before.evictable)
      breaks("evictable is not what clear() gives back");
    if (after.evictable != 0) breaks("something evictable after clear()");
    std::unordered_set<std::uint64_t> kept;
    for (const Path& path : leases_) {
      const std::uint32_t ready = cache_.ready(path.lease);
      kept.insert(path.prefix.begin(), path.prefix.begin() + ready);
    }
    // What the open step builds on stays too, though its lease may be gone; the model does not
    // follow that.
    if (row_hash_.empty()) {
      computed_ = std::move(kept);
    } else {
      lossy_ = true;
    }
  }

  void read_back(const Path& path, std::uint32_t length) {
    cache_.page_table(path.lease, length, pages_);
    if (pages_.size() != (length + kPageTokens - 1) / kPageTokens)
      return breaks("page table: size");
    for (std::uint32_t p = 0; p < length; ++p) {
      const PageId page = pages_[p / kPageTokens];
      if (page >= setting_.pages) return breaks("page table: no such page");
      if (kv_[page * kPageTokens + p % kPageTokens] != path.prefix[p]) {
        return breaks("position " + std::to_string(p) + " of a path reads another prefix's KV");
      }
    }
  }

  void verify() {
    const Status ok = cache_.check();
    if (!ok) return breaks(ok.error().message);
    const Usage usage = cache_.usage();
    if (usage.free + usage.held != usage.total || usage.evictable > usage.held) breaks("usage");
    const auto is_computed = [&](std::uint64_t h) { return computed_.count(h) > 0; };
    const auto is_planned = [&](std::uint64_t h) {
      return computed_.count(h) + planned_.count(h) > 0;
    };
    for (Path& path : leases_) {
      if (path.lease.length() != path.tokens.size()) breaks("length");
      if (cache_.tokens(path.lease) != path.tokens) breaks("tokens");
      const std::uint32_t ready = cache_.ready(path.lease);
      if (ready < path.ready) breaks("a lease lost what was ready");
      if (ready > leading(path.prefix, is_computed)) breaks("ready and never computed");
      if (!lossy_ && ready != leading(path.prefix, is_computed)) breaks("computed and not ready");
      const std::uint32_t planned = cache_.planned(path.lease, plan_);
      if (planned < ready || planned > leading(path.prefix, is_planned)) breaks("planned()");
      if (!lossy_ && planned != leading(path.prefix, is_planned))
        breaks("planned() misses rows of the step");
      path.ready = ready;
      read_back(path, ready);
      if (!broken_.empty()) return;
    }
    check_retention();
    // Leases on one path agree on how much of it is computed.
    for (const Path& a : leases_) {
      for (const Path& b : leases_) {
        const auto same = static_cast<std::uint32_t>(
            std::mismatch(a.prefix.begin(), a.prefix.end(), b.prefix.begin(), b.prefix.end())
                .first -
            a.prefix.begin());
        if (std::min(a.ready, same) != std::min(b.ready, same))
          breaks("two leases disagree about a common prefix");
      }
    }
  }

  Setting setting_;
  RadixCache cache_;
  std::vector<std::uint64_t> kv_;
  std::vector<Path> leases_;
  std::vector<std::vector<TokenId>> history_;
  std::vector<PageId> pages_;

  StepPlan plan_;
  std::vector<std::uint64_t> row_hash_;  // of the open plan's rows
  std::unordered_set<std::uint64_t> planned_;
  std::unordered_set<std::uint64_t> computed_;
  std::unordered_map<std::uint64_t, Wish> wishes_;

  std::uint64_t time_ = 0;
  std::uint64_t freed_ = 0;
  bool lossy_ = false;  // something may be gone that was computed
  std::string broken_;
  std::uint64_t all_rows_ = 0;
  std::uint64_t all_copies_ = 0;
  std::uint64_t all_extra_ = 0;
  std::uint64_t evicted_ = 0, ahead_ = 0;
};

}  // namespace espalier::radix_cache::model
