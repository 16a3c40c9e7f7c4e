// Masks: one walk over the vocabulary's trie a state, cached in the state.
#include <algorithm>

#include "grammar/automaton.h"
#include "grammar/make_room.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/schema/schema_walk.h"
#include "grammar/token_slice.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {

MaskRef Automaton::intern_mask(MaskBuilder& builder) {
  const std::size_t hash = builder.hash();
  const std::uint32_t known =
      mask_ids_.find(hash, [&](std::uint32_t m) { return builder.same_as(*masks_[m]); });
  if (known != InternTable::kNone) return masks_[known];
  bytes_ += builder.held() + 256;
  mask_ids_.insert(hash, static_cast<std::uint32_t>(masks_.size()));
  make_room(masks_);
  masks_.push_back(builder.build());
  return masks_.back();
}

StateId Automaton::closed(StateId state) {
  if (state == kDead) return kDead;
  Items ends;
  const std::uint32_t read = follow_read(state);
  for (const PositionId p : states_[state].items) {
    if (p == kValueEnd || (is_follow(p) && positions_[p].progress == read)) ends.push_back(p);
  }
  // A kValueEnd item exists only without a follow, and a follow's own items need no scanner.
  return ends.empty() ? kDead : intern(std::move(ends), kNoScan);
}

MaskRef Automaton::mask(StateId state, std::uint32_t tokens_left) {
  walked_near_end_ = false;
  if (tokens_left == 0) {
    state = closed(state);
    tokens_left = 1;
  }
  if (!live(state) || states_[state].done) {
    mask_builder_.clear();
    return intern_mask(mask_builder_);
  }
  if (MaskRef near = near_mask(state, tokens_left - 1); near != nullptr) {
    walked_near_end_ = true;
    return near;
  }
  if (!states_[state].mask) {
    // In a key, tokens lead far beyond such a budget: what is allowed without one is of no use.
    constexpr std::uint32_t kNear = 16;
    if (tokens_left < kNever - kNear && in_schema(state) && schema_text(state) &&
        tokens_left <= distance(state) + kNear) {
      std::uint32_t largest = 0;
      return walk(state, tokens_left - 1, &largest);
    }
    std::uint32_t largest = 0;
    MaskRef mask = walk(state, kNever - 1, &largest);
    states_[state].mask = std::move(mask);
    states_[state].largest_after = largest;
  }
  if (states_[state].largest_after <= tokens_left - 1) return states_[state].mask;
  std::uint32_t largest = 0;
  return walk(state, tokens_left - 1, &largest);
}

// Whether the state reads a repeated character class and does so deterministically: some items are
// the whole class, going round the same repeat, and no other item reads a byte that a code point of
// the class starts with. (A follow that may begin here does not count: the slice leaves out tokens
// that hold its first byte.)
std::optional<Automaton::CharacterLoop> Automaton::character_loop(StateId state) {
  const Items items = states_[state].items;
  for (const PositionId item : items) {
    const Position at = positions_[item];
    if (at.expr >= kBottomExpr) continue;
    const Op op = pool_.node(Expr{at.expr}).op;
    if (op == Op::kContextFree) {
      const auto loop = context_free_->character_class(at.progress);
      if (!loop) return std::nullopt;
      const bool alone = std::all_of(items.begin(), items.end(), [&](PositionId p) {
        return p == item || (is_follow(p) && positions_[p].progress == 0) ||
               (item_bytes(p) & loop->first).none();
      });
      if (!alone) return std::nullopt;
      return CharacterLoop{loop->characters, loop->first};
    }
    if (at.next < 3) continue;
    if (op != Op::kSet && op != Op::kBytes) continue;
    const Position again = positions_[at.next];
    if (again.expr >= kBottomExpr || pool_.node(Expr{again.expr}).op != Op::kRepeat) continue;
    const Expr child = pool_.children(Expr{again.expr})[0];
    Expr characters;
    if (pool_.node(child).op == Op::kCodePoints) characters = child;
    if (pool_.node(child).op == Op::kChoice) {
      for (const Expr c : pool_.children(child)) {
        if (pool_.node(c).op == Op::kCodePoints && characters == pool_.nothing()) characters = c;
      }
    }
    if (characters == pool_.nothing()) continue;
    const auto& whole = closure(push(characters, at.next, again.depth));
    ByteSet first;
    std::size_t found = 0;
    for (const PositionId p : whole) {
      first |= item_bytes(p);
      found += std::find(items.begin(), items.end(), p) != items.end() ? 1 : 0;
    }
    if (found != whole.size()) continue;
    for (const PositionId p : items) {
      if (std::find(whole.begin(), whole.end(), p) != whole.end() ||
          (is_follow(p) && positions_[p].progress == 0)) {
        continue;
      }
      if (!(item_bytes(p) & first).none()) return std::nullopt;
    }
    return CharacterLoop{characters, first};
  }
  return std::nullopt;
}

// Where the state reads characters of a class: allows the tokens that are nothing else, by their
// length, and returns the slice whose other tokens are still to be walked. nullptr where the whole
// vocabulary must be.
const TokenSlice* Automaton::allow_slice(StateId state, std::uint32_t most_after,
                                         std::vector<std::uint64_t>& words,
                                         std::uint32_t* largest_after) {
  const std::uint32_t scan = states_[state].scan;
  if (scan != kNoScan && scan != 0) return nullptr;  // a token might complete the follow
  const std::optional<CharacterLoop> loop = character_loop(state);
  if (!loop) return nullptr;
  std::optional<unsigned char> excluded;
  if (!program_->follow().empty()) excluded = static_cast<unsigned char>(program_->follow()[0]);
  const auto& ranges = pool_.ranges_of(loop->characters);
  unsigned sample =
      0x80;  // any ASCII character of the class: all characters lead to the same states
  for (unsigned b = 0; b < 0x80 && sample == 0x80; ++b) {
    const bool inside = std::any_of(ranges.begin(), ranges.end(), [&](const CodePointRange& r) {
      return r.first <= b && b <= r.second;
    });
    if (inside && b != excluded) sample = b;
  }
  if (sample == 0x80) return nullptr;
  const TokenSlice* slice = program_->vocabulary()->slice(ranges, excluded);
  if (slice == nullptr) return nullptr;
  // By length: which lengths are allowed. Decided before `words` is touched.
  std::vector<bool> allowed(slice->longest() + 1, false);
  std::uint32_t largest = 0;
  StateId at = state;
  for (std::size_t n = 1; n <= slice->longest(); ++n) {
    if (const auto here = character_loop(at); !here || here->characters != loop->characters) {
      ByteSet rest = next_bytes(at) & loop->first;
      if (excluded) rest.remove(*excluded);
      if (!rest.none()) return nullptr;
      break;  // no more characters: longer tokens are not allowed
    }
    const StateId next = step(at, static_cast<unsigned char>(sample));
    const std::uint32_t after = distance(next);
    allowed[n] = after <= most_after;
    if (allowed[n]) largest = std::max(largest, after);
    if (next == at) {  // and so on for all lengths
      std::fill(allowed.begin() + static_cast<std::ptrdiff_t>(n), allowed.end(), allowed[n]);
      break;
    }
    at = next;
  }
  *largest_after = std::max(*largest_after, largest);
  slice->allow(allowed, words);
  return slice;
}

MaskRef Automaton::plain_mask(StateId state) {
  const Vocabulary& vocabulary = *program_->vocabulary();
  MaskBuilder mask(vocabulary.size());
  if (live(state) && !states_[state].done) {
    walk_trie(state, {vocabulary.trie()}, kNever - 1, mask.words());
  }
  return intern_mask(mask);
}

// Whether the state closes in tokens where it closes in bytes: by the vocabulary, or because it is
// one place inside a schema's value, whose closings are spelled.
bool Automaton::spelled(StateId state) {
  if (states_[state].scan != kNoScan) return false;
  if (program_->spells_all_bytes()) return true;
  if (states_[state].items.size() != 1) return false;
  const Position at = positions_[states_[state].items[0]];
  return at.expr < kBottomExpr && pool_.node(Expr{at.expr}).op == Op::kSchema &&
         machine(Expr{at.expr}).spelled() && tail(at.next).costs[0] != kNever;
}

// The state is one place inside a schema's value, which does not end here.
bool Automaton::in_schema(StateId state) {
  if (states_[state].schema_place == 0) {
    bool yes = states_[state].items.size() == 1 && !states_[state].may_end;
    if (yes) {
      const Position at = positions_[states_[state].items[0]];
      yes = at.expr < kBottomExpr && pool_.node(Expr{at.expr}).op == Op::kSchema &&
            !machine(Expr{at.expr}).accepting(at.progress - 1);
    }
    states_[state].schema_place = yes ? 2 : 1;
  }
  return states_[state].schema_place == 2 && spelled(state);
}

// As walk(), over the schema's places while the value goes on; where it may end, over states.
void Automaton::walk_schema(StateId state, MaskBuilder& mask, std::uint32_t* largest_after) {
  const Position at = positions_[states_[state].items[0]];
  SchemaMachine& schema = machine(Expr{at.expr});
  schema.refuel();
  struct States final : SchemaWalk::Outside {
    States(Automaton& automaton, SchemaMachine& machine, const Position& position)
        : own(automaton), places(machine), from(position) {}
    StateId enter(const SchemaMachine::State& s) override {
      return own.state_at(own.position({from.expr, 1 + places.cursor(s), from.next, from.depth}));
    }
    StateId step(StateId s, unsigned char byte) override { return own.step(s, byte); }
    std::uint32_t distance(StateId s) override { return own.distance(s); }
    Automaton& own;
    SchemaMachine& places;
    const Position& from;
  } outside(*this, schema, at);
  SchemaWalk walk(schema, *program_->vocabulary(), outside, mask);
  walk.run(schema.state(at.progress - 1));
  const std::uint64_t rest = closing_size(at.next);  // of what stands after the value
  *largest_after =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(kNever - 1, walk.largest() + rest));
}

// The state is one place inside a span, which does not end here.
bool Automaton::in_factor(StateId state) {
  const State& s = states_[state];
  if (s.items.size() != 1 || s.scan != kNoScan || s.may_end) return false;
  const Position at = positions_[s.items[0]];
  if (at.expr >= kBottomExpr || pool_.node(Expr{at.expr}).op != Op::kFactor) return false;
  return program_->spells(pool_.source_of(Expr{at.expr}).alphabet()) &&
         tail(at.next).costs[0] != kNever;
}

// As walk(), over the words of the source while the span goes on, whose places get no states: there
// are about as many as beginnings of words, times the bytes of a token. Where the span may end,
// over states.
void Automaton::walk_factor(StateId state, MaskBuilder& mask, std::uint32_t* largest_after) {
  const Position at = positions_[states_[state].items[0]];
  const SourceWords& source = pool_.source_of(Expr{at.expr});
  ByteSet ending;  // what may come after the span
  for (const PositionId p : closure(at.next)) ending |= item_bytes(p);
  const bool may_end = std::any_of(closure(at.next).begin(), closure(at.next).end(),
                                   [](PositionId p) { return p < 3; });
  struct Place {
    SourceWords::Place inside;
    StateId outside = 0;  // where the span may have ended; 0: it has not
    std::uint32_t closing = SourceWords::kNever;
  };
  const TokenTrie& trie = program_->vocabulary()->trie();
  std::vector<Place> path(trie.longest() + 1);
  path[0].inside = factor_place(at);
  path[0].closing = SourceWords::kNever;  // the state does not end here
  std::uint64_t largest = 0;
  const auto nodes = trie.nodes();
  for (std::uint32_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& node = nodes[i];
    const Place& before = path[node.depth - 1];
    Place next;
    if (before.outside != 0) {
      next.outside = step(before.outside, node.byte);
    } else if (before.closing == 0 && (may_end || ending.has(node.byte))) {
      const PositionId p = position({at.expr, factor_progress(before.inside), at.next, at.depth});
      next.outside = step(intern(closure(p), kNoScan), node.byte);
    } else if (const auto inside = source.step(before.inside, node.byte)) {
      next.inside = *inside;
      next.closing = source.closing_size(*inside);
    } else {
      next.outside = kDead;
    }
    if (next.outside == kDead) {
      i = node.next;
      continue;
    }
    path[node.depth] = next;
    if (node.token_count > 0) {
      const std::uint32_t after = next.outside != 0 ? distance(next.outside) : next.closing;
      if (after != kNever) {
        largest = std::max<std::uint64_t>(largest, after);
        for (const TokenId id : trie.tokens_at(i)) mask.allow(id);
      }
    }
    ++i;
  }
  const std::uint64_t rest = closing_estimate(state);  // with what stands after the span
  *largest_after = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(kNever - 1, largest + (rest > Program::kLongestClosing ? 0 : rest)));
}

// The tokens after which at most `most_after` more are needed.
MaskRef Automaton::walk(StateId state, std::uint32_t most_after, std::uint32_t* largest_after) {
  const Vocabulary& vocabulary = *program_->vocabulary();
  MaskBuilder& mask = mask_builder_;
  mask.clear();
  if (most_after == kNever - 1 && in_schema(state)) {
    walk_schema(state, mask, largest_after);
    if (spelled(state)) return intern_mask(mask);
    mask.clear();  // the walk came by what may not be spelled
  }
  if (most_after == kNever - 1 && in_factor(state)) {
    walk_factor(state, mask, largest_after);
    return intern_mask(mask);
  }
  if (in_schema(state)) {
    walked_near_end_ = true;
    return walk_near_end(state, most_after, mask);
  }
  std::vector<std::uint64_t>& words = mask.words();
  const TokenSlice* slice = allow_slice(state, most_after, words, largest_after);
  Tried tried{vocabulary.trie(), &vocabulary.trie()};
  if (slice != nullptr) tried.only = slice->beside();
  const std::uint32_t largest = slice != nullptr && slice->others() != nullptr
                                    ? walk_trie(state, {*slice->others()}, most_after, words)
                                    : walk_trie(state, tried, most_after, words);
  *largest_after = std::max(*largest_after, largest);
  return intern_mask(mask);
}

// Tries every token of the walk; the largest distance that an allowed one leads to. Places that
// read few bytes go on by the edges.
std::uint32_t Automaton::walk_trie(StateId state, const Tried& tried, std::uint32_t most_after,
                                   std::vector<std::uint64_t>& words) {
  constexpr std::uint32_t kManyNodes = 32;
  constexpr unsigned kFewBytes = 24;
  const Vocabulary& vocabulary = *program_->vocabulary();
  const auto allow = [&](TokenId id) {
    words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1}
                                                << (static_cast<std::size_t>(id) % 64);
  };
  std::uint32_t largest = 0;
  // Bytes that nothing reads need no step, which would be computed and kept; but a schema's places
  // are tried by each, for its own walk is tested against this one.
  struct Place {
    StateId state = kDead;
    const ByteSet* bytes = nullptr;
  };
  const bool by_bytes = !in_schema(state);
  const TokenWalk& trie = tried.trie;
  const TokenTrie* edges = tried.edges;
  std::vector<Place> path(trie.longest() + 1);
  path[0].state = state;
  const auto nodes = trie.nodes();
  const auto is_tried = [&only = tried.only](std::uint32_t i) {
    return only.empty() || (only[i / 64] >> (i % 64) & 1U) != 0;
  };
  struct Nodes {  // still to be tried: siblings and what is below them
    std::uint32_t from, end;
    Place before;
  };
  std::vector<Nodes> open;
  std::vector<std::uint32_t> children;
  // Whether what is below a node is open now, along the edges alone.
  const auto by_edges = [&](std::uint32_t node, Place& at) {
    if (edges == nullptr || !by_bytes) return false;
    if (at.bytes == nullptr) at.bytes = &bytes_of(at.state);
    if (at.bytes->count() > kFewBytes) return false;
    children.clear();
    edges->children(node, *at.bytes, children);
    for (const std::uint32_t child : children) open.push_back({child, nodes[child].next, at});
    return true;
  };
  if (!by_edges(TokenTrie::kRoot, path[0])) {
    open.push_back({0, static_cast<std::uint32_t>(nodes.size()), path[0]});
  }
  while (!open.empty()) {
    const Nodes some = open.back();
    open.pop_back();
    if (some.from == some.end) continue;
    path[nodes[some.from].depth - 1U] = some.before;
    for (std::uint32_t i = some.from; i < some.end;) {
      const TokenWalk::Node& node = nodes[i];
      Place& before = path[node.depth - 1U];
      if (by_bytes && before.bytes == nullptr) before.bytes = &bytes_of(before.state);
      const bool read = is_tried(i) && (!by_bytes || before.bytes->has(node.byte));
      const StateId next = read ? step(before.state, node.byte) : kDead;
      if (next == kDead) {
        i = node.next;
        continue;
      }
      path[node.depth] = {next, nullptr};
      if (node.token_count > 0) {
        const std::uint32_t after = distance(next);
        if (after <= most_after) {
          largest = std::max(largest, after);
          for (const TokenId id : trie.tokens_at(i)) allow(id);
        }
      }
      i = node.next - i > kManyNodes && by_edges(i, path[node.depth]) ? node.next : i + 1;
    }
  }
  if (states_[state].may_end) {
    if (vocabulary.end_of_turn() != kNoToken) allow(vocabulary.end_of_turn());
    for (const TokenId id : vocabulary.also_end()) allow(id);
  }
  return largest;
}

}  // namespace espalier::grammar
