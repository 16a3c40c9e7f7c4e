#include "grammar/context_free_machine.h"

#include <algorithm>
#include <unordered_set>

#include "grammar/automaton.h"
#include "grammar/program.h"
#include "grammar/strong_components.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kSimulation = 16;  // pairs of nodes that one comparison may assume

template <class Item>
void append(std::string& key, const std::vector<Item>& items) {
  key.append(reinterpret_cast<const char*>(items.data()), items.size() * sizeof(Item));
}

template <class Items>
void sort_unique(Items& items) {
  std::sort(items.begin(), items.end());
  const auto last = std::unique(items.begin(), items.end());
  while (items.end() != last) items.pop_back();
}

// The items of one set, most of which have a handful.
class SeenItems {
 public:
  /// Whether it is new.
  bool insert(std::uint64_t item) {
    constexpr std::size_t kFew = 24;
    if (more_.empty() && few_.size() < kFew) {
      if (std::find(few_.begin(), few_.end(), item) != few_.end()) return false;
      few_.push_back(item);
      return true;
    }
    if (more_.empty()) more_.insert(few_.begin(), few_.end());
    return more_.insert(item).second;
  }
  [[nodiscard]] std::size_t size() const { return std::max(few_.size(), more_.size()); }

 private:
  SmallVector<std::uint64_t, 24> few_;
  std::unordered_set<std::uint64_t> more_;
};

}  // namespace

ContextFreeMachine::ContextFreeMachine(Automaton& products, const Program& program)
    : products_(products),
      program_(program),
      pool_(program.pool()),
      facts_(program.context_free_facts()) {
  locals_.emplace_back();  // kEnd
  local_sizes_.push_back(0);
  expansions_.push_back({true, true, false, {}, {}});
  seen_.push_back(0);
  left_.push_back(0);
  nodes_.push_back({true, 0, {}});  // kTop
  node_ids_.insert(hash_of(true, {}), kTop);
  sets_.emplace_back();  // kDead
}

ContextFreeMachine::SetId ContextFreeMachine::start(Expr root) {
  const Item first{push(root, kEnd), kTop};
  return close({&first, 1});
}

ContextFreeMachine::SetId ContextFreeMachine::step(SetId set, unsigned char byte) {
  if (set == kDead) return kDead;
  SmallVector<Item, 4> kernel;
  // By index: products make states while they read, and a copy of a large set would cost as much.
  for (std::size_t i = 0; i < sets_[set].leaves.size(); ++i) {
    const Item at = sets_[set].leaves[i];
    const LocalId next = read(at.local, byte);
    if (next != UINT32_MAX) kernel.push_back({next, at.node});
  }
  if (kernel.empty()) return kDead;
  sort_unique(kernel);
  const std::size_t hash = hash_of(false, {kernel.data(), kernel.size()});
  const std::uint32_t known =
      kernel_ids_.find(hash, [&](std::uint32_t k) { return kernels_[k].first == kernel; });
  if (known != InternTable::kNone) return kernels_[known].second;
  SetId to = close_by_return({kernel.data(), kernel.size()});
  if (to == kDead) to = close({kernel.data(), kernel.size()});
  kernel_ids_.insert(hash, static_cast<std::uint32_t>(kernels_.size()));
  kernels_.emplace_back(kernel, to);
  products_.bytes_ += sizeof kernels_[0] + kernels_.back().first.held_bytes() + 16;
  return to;
}

ContextFreeMachine::SetId ContextFreeMachine::close(std::span<const Item> kernel) {
  pending_.clear();
  std::vector<Item> leaves;
  bool accepting = false;
  if (!visit(kernel, leaves, &accepting) || !flatten_tails()) {
    overflowed_ = true;
    return kDead;
  }
  make_nodes(leaves);
  for (Item& leaf : leaves) leaf.node = resolved(leaf.node);
  return finish(accepting, std::move(leaves));
}

// The set of all that a kernel reached.
ContextFreeMachine::SetId ContextFreeMachine::finish(bool accepting, std::vector<Item> leaves) {
  sort_unique(leaves);
  reduce(leaves);
  if (leaves.size() > kMostLeaves) {
    overflowed_ = true;
    return kDead;
  }
  if (leaves.empty() && !accepting) return kDead;
  return intern_set(accepting, std::move(leaves));
}

// close() of a kernel that calls nothing and ends one call at most: what it reads, beside what is
// read after that call, which many kernels share (each blank of a white space, each digit of a
// number). kDead where it is not of that kind.
ContextFreeMachine::SetId ContextFreeMachine::close_by_return(std::span<const Item> kernel) {
  constexpr NodeId kNone = UINT32_MAX;
  NodeId ended = kNone;
  std::vector<Item> leaves;
  for (const Item& at : kernel) {
    const Expansion& reached = expansion(at.local);
    if (reached.beyond || !reached.calls.empty()) return kDead;
    for (const LocalId leaf : reached.leaves) leaves.push_back({leaf, at.node});
    if (!reached.ends) continue;
    if (ended != kNone && ended != at.node) return kDead;
    ended = at.node;
  }
  if (ended == kNone) return finish(false, std::move(leaves));
  if (ended >= returns_.size()) returns_.resize(nodes_.size(), kDead);
  if (returns_[ended] == kDead) {
    const Item end{kEnd, ended};
    const SetId after = close({&end, 1});
    if (after == kDead) return kDead;
    returns_[ended] = after;
  }
  const Set& after = sets_[returns_[ended]];
  leaves.insert(leaves.end(), after.leaves.begin(), after.leaves.end());
  return finish(after.accepting, std::move(leaves));
}

// The node of the calls of a rule in the set that is being made, and its body to work on where it
// is new.
std::uint32_t ContextFreeMachine::pending_of(std::uint32_t rule, std::vector<Item>& work) {
  if (rule >= pending_by_rule_.size()) pending_by_rule_.resize(rule + 1, 0);
  const std::uint32_t known = pending_by_rule_[rule];
  if (known < pending_.size() && pending_[known].rule == rule) return known;
  const auto fresh = static_cast<std::uint32_t>(pending_.size());
  pending_by_rule_[rule] = fresh;
  pending_.emplace_back();
  pending_.back().rule = rule;
  work.push_back({push(pool_.rule_body(rule), kEnd), kPending + fresh});
  return fresh;
}

// Everything that the kernel reaches without reading: leaves, calls (pending nodes), returns.
bool ContextFreeMachine::visit(std::span<const Item> kernel, std::vector<Item>& leaves,
                               bool* accepting) {
  SeenItems visited;
  std::vector<Item> work(kernel.begin(), kernel.end());
  while (!work.empty()) {
    const Item at = work.back();
    work.pop_back();
    if (!visited.insert(std::uint64_t{at.local} << 32 | at.node)) continue;
    if (visited.size() > kMostVisits) return false;
    if (at.local == kEnd) {
      // A call that ends where it began read nothing, and its callers went on already.
      if (at.node >= kPending) continue;
      *accepting |= nodes_[at.node].accepts;
      for (const Item& caller : nodes_[at.node].callers) work.push_back(caller);
      continue;
    }
    const Expansion& reached = expansion(at.local);
    if (reached.beyond) return false;
    for (const LocalId leaf : reached.leaves) leaves.push_back({leaf, at.node});
    if (reached.ends) work.push_back({kEnd, at.node});
    for (std::size_t i = 0; i < expansions_[at.local].calls.size(); ++i) {
      const Call call = expansions_[at.local].calls[i];
      Pending& callee = pending_[pending_of(call.rule, work)];
      if (call.after == kEnd) {
        callee.tails.push_back(at.node);
      } else {
        callee.callers.push_back({call.after, at.node});
      }
    }
  }
  return true;
}

// Callers with nothing left to do give way to their own callers.
bool ContextFreeMachine::flatten_tails() {
  if (pending_.empty()) return true;
  const auto components = strong_components(pending_.size(), [&](std::uint32_t i, auto&& edge) {
    for (const NodeId tail : pending_[i].tails) {
      if (tail >= kPending) edge(tail - kPending);
    }
  });
  std::size_t total = 0;
  for (const std::vector<std::uint32_t>& component : components) {  // what they lead to comes first
    bool accepts = false;
    std::vector<Item> all;
    for (const std::uint32_t i : component) {
      all.insert(all.end(), pending_[i].callers.begin(), pending_[i].callers.end());
      for (const NodeId tail : pending_[i].tails) {
        // Those of the component itself are in `all` anyway, or will be.
        accepts |= this->accepts(tail);
        const std::vector<Item>& more = callers(tail);
        if (more.size() + all.size() > 8 * kMostVisits) return false;
        all.insert(all.end(), more.begin(), more.end());
      }
    }
    sort_unique(all);
    total += all.size() * component.size();
    if (total > 8 * kMostVisits) return false;
    for (const std::uint32_t i : component) {
      pending_[i].accepts = accepts;
      pending_[i].callers = all;
    }
  }
  return true;
}

// `more` has every way on that `less` has. Found by assuming it of pairs (coinduction); a guess
// that fails counts as no.
bool ContextFreeMachine::simulated(NodeId less, NodeId more) const {
  std::vector<std::pair<NodeId, NodeId>> assumed{{less, more}};
  for (std::size_t i = 0; i < assumed.size(); ++i) {
    const auto [a, b] = assumed[i];
    if (a == b) continue;
    if (assumed.size() > kSimulation || (accepts(a) && !accepts(b))) return false;
    const std::vector<Item>& there = callers(b);
    for (const Item& caller : callers(a)) {
      auto it = std::lower_bound(there.begin(), there.end(), caller);
      if (it == there.end() || *it != caller) {
        // The newest node that goes on in the same way: nodes made later hold more.
        it = std::upper_bound(there.begin(), there.end(), Item{caller.local, UINT32_MAX});
        if (it == there.begin() || (--it)->local != caller.local) return false;
      }
      const std::pair next{caller.node, it->node};
      if (std::find(assumed.begin(), assumed.end(), next) == assumed.end()) {
        assumed.push_back(next);
      }
    }
  }
  return true;
}

// Drops items that an equal one with a node of more ways on makes superfluous. Of two that stand
// for each other the newer stays. `items` is sorted.
void ContextFreeMachine::reduce(std::vector<Item>& items) const {
  std::vector<Item> kept;
  for (std::size_t from = 0; from < items.size();) {
    std::size_t to = from + 1;
    while (to < items.size() && items[to].local == items[from].local) ++to;
    // From the newest on: whatever is simulated by one that stays goes.
    const std::size_t first = kept.size();
    for (std::size_t i = to; i-- > from;) {
      const std::size_t compared =
          std::min(kept.size() - first, std::size_t{to - from > 32 ? 1U : 4U});
      const bool superfluous =
          std::any_of(kept.end() - static_cast<std::ptrdiff_t>(compared), kept.end(),
                      [&](const Item& other) { return simulated(items[i].node, other.node); });
      if (superfluous) continue;
      // And it may in turn make kept ones superfluous that do not stand for it.
      const Item mine = items[i];
      const auto last =
          std::remove_if(kept.end() - static_cast<std::ptrdiff_t>(compared), kept.end(),
                         [&](const Item& other) { return simulated(other.node, mine.node); });
      kept.erase(last, kept.end());
      kept.push_back(mine);
    }
    std::reverse(kept.begin() + static_cast<std::ptrdiff_t>(first), kept.end());
    from = to;
  }
  std::sort(kept.begin(), kept.end());
  items = std::move(kept);
}

void ContextFreeMachine::make_nodes(const std::vector<Item>& leaves) {
  if (pending_.empty()) return;
  std::vector<std::vector<Item>> reduced(pending_.size());
  for (std::size_t i = 0; i < pending_.size(); ++i) {
    reduced[i] = pending_[i].callers;
    reduce(reduced[i]);
  }
  for (std::size_t i = 0; i < pending_.size(); ++i) pending_[i].callers = std::move(reduced[i]);
  std::vector<std::uint32_t> roots;
  for (const Item& leaf : leaves) {
    if (leaf.node >= kPending) roots.push_back(leaf.node - kPending);
  }
  sort_unique(roots);
  const auto components =
      strong_components_from(roots, pending_.size(), [&](std::uint32_t i, auto&& edge) {
        for (const Item& caller : pending_[i].callers) {
          if (caller.node >= kPending) edge(caller.node - kPending);
        }
      });
  for (const std::vector<std::uint32_t>& component : components) make_group(component);
}

// Nodes that lead to each other, or one alone, whose other callers are made already.
void ContextFreeMachine::make_group(std::vector<std::uint32_t> members) {
  std::sort(members.begin(), members.end(),
            [&](std::uint32_t a, std::uint32_t b) { return pending_[a].rule < pending_[b].rule; });
  bool cyclic = false;
  for (std::uint32_t m = 0; m < members.size(); ++m) pending_[members[m]].made = kPending + m;
  std::string key;
  for (const std::uint32_t member : members) {
    Pending& p = pending_[member];
    for (Item& caller : p.callers) {
      caller.node = resolved(caller.node);  // kPending + index: inside the group
      cyclic |= caller.node >= kPending;
    }
    sort_unique(p.callers);
    key += p.accepts ? '\1' : '\0';
    key += std::to_string(p.callers.size()) + ':';
    append(key, p.callers);
  }
  if (!cyclic) {
    Pending& p = pending_[members[0]];
    p.made = intern_node(p.accepts, p.callers);
    return;
  }
  if (const auto it = group_ids_.find(key); it != group_ids_.end()) {
    for (std::uint32_t m = 0; m < members.size(); ++m) pending_[members[m]].made = it->second + m;
    return;
  }
  const auto base = static_cast<NodeId>(nodes_.size());
  products_.bytes_ += key.size() + 80;
  group_ids_.emplace(std::move(key), base);
  for (std::uint32_t m = 0; m < members.size(); ++m) {
    Pending& p = pending_[members[m]];
    for (Item& caller : p.callers) {
      if (caller.node >= kPending) caller.node = base + (caller.node - kPending);
    }
    std::sort(p.callers.begin(), p.callers.end());
    p.made = base + m;
    products_.bytes_ += sizeof(Node) + p.callers.size() * sizeof(Item) + 80;
    const std::size_t hash = hash_of(p.accepts, p.callers);
    if (find_node(hash, p.accepts, p.callers) == kPending) node_ids_.insert(hash, p.made);
    nodes_.push_back({p.accepts, ContextFreeFacts::kNever, p.callers});
  }
  // Sizes: every node has a way out (calls are only made of productive rules), so this settles.
  for (bool changed = true; changed;) {
    changed = false;
    for (NodeId id = base; id < nodes_.size(); ++id) {
      std::uint32_t size = nodes_[id].accepts ? 0 : ContextFreeFacts::kNever;
      for (const Item& caller : nodes_[id].callers) {
        size = std::min(
            size, ContextFreeFacts::sum(local_sizes_[caller.local], nodes_[caller.node].size));
      }
      changed |= size != nodes_[id].size;
      nodes_[id].size = size;
    }
  }
}

std::size_t ContextFreeMachine::hash_of(bool accepting, std::span<const Item> items) {
  std::size_t h = accepting ? 1 : 0;
  for (const Item& item : items) {
    h = (h ^ (std::uint64_t{item.local} << 32 | item.node)) * 0x9E3779B97F4A7C15ULL;
    h ^= h >> 29;
  }
  return h;
}

ContextFreeMachine::NodeId ContextFreeMachine::find_node(std::size_t hash, bool accepts,
                                                         const std::vector<Item>& callers) const {
  const NodeId known = node_ids_.find(hash, [&](NodeId id) {
    return nodes_[id].accepts == accepts && nodes_[id].callers == callers;
  });
  return known == InternTable::kNone ? kPending : known;
}

ContextFreeMachine::NodeId ContextFreeMachine::intern_node(bool accepts,
                                                           std::vector<Item> callers) {
  const std::size_t hash = hash_of(accepts, callers);
  if (const NodeId known = find_node(hash, accepts, callers); known != kPending) return known;
  std::uint32_t size = accepts ? 0 : ContextFreeFacts::kNever;
  for (const Item& caller : callers) {
    size =
        std::min(size, ContextFreeFacts::sum(local_sizes_[caller.local], nodes_[caller.node].size));
  }
  const auto id = static_cast<NodeId>(nodes_.size());
  products_.bytes_ += sizeof(Node) + callers.size() * sizeof(Item) + 80;
  node_ids_.insert(hash, id);
  nodes_.push_back({accepts, size, std::move(callers)});
  return id;
}

ContextFreeMachine::SetId ContextFreeMachine::intern_set(bool accepting, std::vector<Item> leaves) {
  const std::size_t hash = hash_of(accepting, leaves);
  const SetId known = set_ids_.find(hash, [&](SetId id) {
    return sets_[id].accepting == accepting && sets_[id].leaves == leaves;
  });
  if (known != InternTable::kNone) return known;
  Set set;
  set.accepting = accepting;
  set.size = accepting ? 0 : ContextFreeFacts::kNever;
  for (std::size_t i = 0; i < leaves.size() && !accepting; ++i) {
    if (complete_product(leaves[i].local)) continue;
    const std::uint32_t size =
        ContextFreeFacts::sum(local_sizes_[leaves[i].local], nodes_[leaves[i].node].size);
    if (size > set.size) continue;
    const unsigned char byte = leaf_closing_byte(leaves[i].local);
    set.closing_byte = size < set.size ? byte : std::min(set.closing_byte, byte);
    set.size = size;
  }
  const auto id = static_cast<SetId>(sets_.size());
  products_.bytes_ += sizeof(Set) + leaves.size() * sizeof(Item) + 80;
  set.leaves = std::move(leaves);
  sets_.push_back(std::move(set));
  set_ids_.insert(hash, id);
  return id;
}

bool ContextFreeMachine::closes(SetId set, std::uint64_t longest) {
  if (set == kDead || sets_[set].size > longest) return false;
  std::vector<SetId> way;
  SetId at = set;
  while (at != kDead && sets_[at].closes == 0 && !sets_[at].accepting) {
    way.push_back(at);
    at = step(at, sets_[at].closing_byte);
  }
  const std::uint8_t verdict = at == kDead ? 2 : sets_[at].accepting ? 1 : sets_[at].closes;
  for (const SetId on_way : way) sets_[on_way].closes = verdict;
  return verdict == 1;
}

ByteSet ContextFreeMachine::bytes(SetId set) const {
  ByteSet out;
  for (const Item& leaf : sets_[set].leaves) out |= leaf_bytes(leaf.local);
  return out;
}

void ContextFreeMachine::byte_classes(SetId set, std::vector<ByteSet>& classes) const {
  Automaton::CutBy cut;
  for (const Item& leaf : sets_[set].leaves) {
    const Local& at = locals_[leaf.local];
    const Op op = pool_.node(Expr{at.expr}).op;
    if (op == Op::kIntersection || op == Op::kDifference) {
      products_.pair_classes(at.progress, classes, cut);
    } else {
      refine(classes, leaf_bytes(leaf.local));
    }
  }
}

std::optional<ContextFreeMachine::CharacterClass> ContextFreeMachine::character_class(SetId set) {
  const std::vector<Item> leaves = sets_[set].leaves;  // making locals does not change it
  for (const Item& leaf : leaves) {
    const auto origin = origins_.find(leaf.local);
    if (origin == origins_.end()) continue;
    const Expr characters = origin->second.first;
    const LocalId whole = push(pool_.children(characters)[0], origin->second.second);
    ByteSet first;
    std::size_t found = 0;
    const std::vector<LocalId> parts = expansion(whole).leaves;
    for (const LocalId part : parts) {
      first |= leaf_bytes(part);
      found += std::binary_search(leaves.begin(), leaves.end(), Item{part, leaf.node}) ? 1 : 0;
    }
    if (found != parts.size()) continue;
    const bool alone = std::all_of(leaves.begin(), leaves.end(), [&](const Item& other) {
      const bool mine = other.node == leaf.node &&
                        std::find(parts.begin(), parts.end(), other.local) != parts.end();
      return mine || (leaf_bytes(other.local) & first).none();
    });
    if (alone) return CharacterClass{characters, first};
  }
  return std::nullopt;
}

}  // namespace espalier::grammar
