// Distances and closings: of positions and of states under the follow scanner.
#include <algorithm>
#include <queue>

#include "grammar/automaton.h"
#include "grammar/closing_search.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kTokenSearch = 64;  // states from which whole tokens are tried

}  // namespace

std::uint64_t Automaton::closing_size(PositionId start) {
  SmallVector<PositionId, 8> chain;
  for (PositionId p = start; facts_[p].closing_size == UINT64_MAX; p = positions_[p].next) {
    chain.push_back(p);
    if (p < 3 || is_follow(p)) break;
  }
  while (!chain.empty()) {
    const PositionId p = chain.back();
    chain.pop_back();
    const Position at = positions_[p];  // by value: products that a grammar runs make positions
    std::uint64_t size = 0;
    if (p < 3 || is_follow(p)) {
      facts_[p].closing_size = 0;
      continue;
    }
    if (at.expr == kPrefixExpr) {
      size = prefixes_[at.depth].size() - at.progress;
    } else {
      const Expr e{at.expr};
      const auto& node = pool_.node(e);
      switch (node.op) {
        case Op::kBytes:
          size = std::min<std::uint64_t>(pool_.bytes_of(e).size() - at.progress, kTooLong);
          break;
        case Op::kConcat:
          for (std::uint32_t i = at.progress; i < node.count; ++i) {
            size = closing_sum(size, program_->closing_size(pool_.children(e)[i]));
          }
          break;
        case Op::kRepeat:
          if (at.progress < node.a) {
            const std::uint64_t owed = std::min<std::uint64_t>(node.a - at.progress, kTooLong);
            size = std::min(owed * program_->closing_size(pool_.children(e)[0]), kTooLong);
          }
          break;
        case Op::kCapture:
          size = at.progress == 0 ? program_->closing_size(e) : 0;
          break;
        case Op::kIntersection:
        case Op::kDifference:
          size = at.progress == 0 ? program_->closing_size(e) : pair_closing_size(at.progress);
          break;
        case Op::kContextFree:
          if (at.progress == 0) {
            size = program_->closing_size(e);
          } else if (context_free_->closes(at.progress, Program::kLongestClosing)) {
            size = context_free_->closing_size(at.progress);
          } else {
            size = kTooLong;
          }
          break;
        case Op::kFactor:
          size = pool_.source_of(e).closing_size(factor_place(at));
          break;
        case Op::kMultiple:
          size = pool_.multiple_of(e).closing(at.progress).size();
          break;
        case Op::kSchema: {
          SchemaMachine& schema = machine(e);
          size = schema.closing_size(at.progress == 0 ? schema.start() : at.progress - 1);
          break;
        }
        default:
          size = program_->closing_size(e);
      }
    }
    facts_[p].closing_size = closing_sum(size, facts_[at.next].closing_size);
  }
  return facts_[start].closing_size;
}

// Takes the first piece off a position's closing: writes it to `word` and returns the position
// whose closing is the rest. The pieces are the same whichever way a position was reached, so that
// distances agree.
PositionId Automaton::front(PositionId p, std::string& word) {
  const Position at = positions_[p];
  if (at.expr == kPrefixExpr) {
    word = prefixes_[at.depth].substr(at.progress);
    return at.next;
  }
  const Expr e{at.expr};
  const auto& node = pool_.node(e);
  switch (node.op) {
    case Op::kBytes:
      word = pool_.bytes_of(e).substr(at.progress);
      return at.next;
    case Op::kConcat:
      program_->append_closing(pool_.children(e)[at.progress], word);
      if (at.progress + 1 == node.count) return at.next;
      return position({at.expr, at.progress + 1, at.next, at.depth});
    case Op::kRepeat:
      if (at.progress >= node.a) return at.next;
      program_->append_closing(pool_.children(e)[0], word);
      if (word.empty()) return at.next;
      return position({at.expr, at.progress + 1, at.next, at.depth});
    case Op::kCapture:
      if (at.progress == 0) program_->append_closing(e, word);
      return at.next;
    case Op::kIntersection:
    case Op::kDifference:
      if (at.progress == 0) {
        program_->append_closing(e, word);
      } else {
        append_product_closing(at.progress - 1, word);
      }
      return at.next;
    case Op::kContextFree: {
      if (at.progress == 0) {
        program_->append_closing(e, word);
        return at.next;
      }
      if (context_free_->accepting(at.progress)) return at.next;
      // A byte a piece: the sets on the way are mostly known, long closings are never written out.
      const unsigned char byte = context_free_->closing_byte(at.progress);
      word = static_cast<char>(byte);
      return position({at.expr, context_free_->step(at.progress, byte), at.next, at.depth});
    }
    case Op::kFactor:
      word = pool_.source_of(e).closing(factor_place(at));
      return at.next;
    case Op::kSchema: {
      SchemaMachine& schema = machine(e);
      const SchemaMachine::Cursor next =
          schema.front(at.progress == 0 ? schema.start() : at.progress - 1, word);
      if (next == SchemaMachine::kDone) return at.next;
      return position({at.expr, 1 + next, at.next, at.depth});
    }
    case Op::kMultiple:
      word += pool_.multiple_of(e).closing(at.progress);
      return at.next;
    default:
      program_->append_closing(e, word);
      return at.next;
  }
}

Automaton::Tail Automaton::prepend(std::string_view word, const Tail& rest) const {
  Tail out;
  program_->spelling_costs(word, rest.bytes, rest.costs, out.costs);
  out.bytes = word;
  out.bytes += rest.bytes;
  out.costs.insert(out.costs.end(), rest.costs.begin() + 1, rest.costs.end());
  if (out.bytes.size() >= Program::kLongestPiece) {  // no piece reaches further
    out.bytes.resize(Program::kLongestPiece - 1);
    out.costs.resize(Program::kLongestPiece);
  }
  return out;
}

const Automaton::Tail& Automaton::tail(PositionId start) {
  struct Pending {
    PositionId p;
    PositionId rest;
    std::string word;
  };
  std::vector<Pending> pending;
  PositionId p = start;
  while (!facts_[p].tail) {
    if (p < 3 || is_follow(p)) {
      const bool spells = !is_follow(p) || program_->follow_spells(positions_[p].progress);
      facts_[p].tail = std::make_unique<Tail>(Tail{"", {spells ? 0 : kNever}});
      break;
    }
    Pending next{p, 0, {}};
    next.rest = front(p, next.word);
    p = next.rest;
    pending.push_back(std::move(next));
  }
  while (!pending.empty()) {
    const Pending& top = pending.back();
    facts_[top.p].tail = std::make_unique<Tail>(prepend(top.word, *facts_[top.rest].tail));
    bytes_ += sizeof(Tail) + facts_[top.p].tail->costs.size() * 5;
    pending.pop_back();
  }
  return *facts_[start].tail;
}

std::uint32_t Automaton::distance(StateId state) {
  if (state == kDead) return kNever;
  if (states_[state].distance == kUnknown) {
    std::uint32_t least = closing_distance(state);
    if (least == kNever && !program_->spells_all_bytes()) {
      least = searched_distance(state);
    } else {
      states_[state].distance = least;
    }
    return least;
  }
  return states_[state].distance;
}

// By the closing that the state has anyway.
std::uint32_t Automaton::closing_distance(StateId state) {
  if (states_[state].distance != kUnknown) return states_[state].distance;
  if (states_[state].accepting) return 0;
  if (states_[state].scan != kNoScan) return scanned_distance(state);
  std::uint32_t best = kNever;
  for (std::size_t i = 0; i < states_[state].items.size(); ++i) {
    const PositionId item = states_[state].items[i];
    if (closing_size(item) <= Program::kLongestClosing) best = std::min(best, tail(item).costs[0]);
  }
  return best;
}

// The vocabulary cannot spell the state's own closing: looks, breadth first over whole tokens, for
// a state whose closing it can spell. The way there is remembered, so distances fall along it;
// where there is none, all that was seen is dead.
std::uint32_t Automaton::searched_distance(StateId start) {
  struct Seen {
    StateId state;
    std::size_t from;
  };
  std::vector<Seen> seen{{start, 0}};
  std::unordered_map<StateId, std::size_t> at{{start, 0}};
  const TokenTrie& trie = program_->vocabulary()->trie();
  std::vector<StateId> path(trie.longest() + 1, kDead);
  for (std::size_t level_begin = 0; level_begin < seen.size();) {
    const std::size_t level_end = seen.size();
    std::uint32_t best = kNever;
    std::size_t best_from = 0;
    for (std::size_t s = level_begin; s < level_end; ++s) {
      if (s >= kTokenSearch) {  // gives up: not allowed, though it might have closed
        states_[start].distance = kNever;
        return kNever;
      }
      path[0] = seen[s].state;
      for (std::uint32_t i = 0; i < trie.nodes().size();) {
        const TokenTrie::Node& node = trie.nodes()[i];
        const StateId next = step(path[node.depth - 1], node.byte);
        if (next == kDead) {
          i = node.next;
          continue;
        }
        path[node.depth] = next;
        ++i;
        if (node.token_count == 0) continue;
        const std::uint32_t after = closing_distance(next);
        if (after != kNever) {
          if (after < best) best = after, best_from = s;
        } else if (at.try_emplace(next, seen.size()).second) {
          seen.push_back({next, s});
        }
      }
    }
    if (best != kNever) {
      for (std::size_t s = best_from;; s = seen[s].from) {
        states_[seen[s].state].distance = ++best;
        if (s == 0) return best;
      }
    }
    level_begin = level_end;
  }
  for (const Seen& s : seen) states_[s.state].distance = kNever;
  return kNever;
}

// One place inside a schema's value whose closing has a small bound: it need not be found for that.
std::optional<std::uint64_t> Automaton::sure_bound(StateId state) {
  if (states_[state].items.size() != 1) return std::nullopt;
  const Position at = positions_[states_[state].items[0]];
  if (at.expr >= kBottomExpr || pool_.node(Expr{at.expr}).op != Op::kSchema || at.progress == 0) {
    return std::nullopt;
  }
  const std::optional<std::uint64_t> bound = machine(Expr{at.expr}).sure_bound(at.progress - 1);
  if (!bound) return std::nullopt;
  return *bound + closing_size(at.next);
}

bool Automaton::surely_closes(StateId state) {
  const std::optional<std::uint64_t> bound = sure_bound(state);
  return bound && *bound <= Program::kLongestClosing;
}

std::uint64_t Automaton::closing_estimate(StateId state) {
  std::uint64_t best = kTooLong;
  for (std::size_t i = 0; i < states_[state].items.size(); ++i) {
    best = std::min(best, closing_size(states_[state].items[i]));
  }
  return best;
}

void Automaton::byte_classes(StateId state, std::vector<ByteSet>& classes) const {
  SmallVector<std::uint32_t, 16> sets;  // that have cut: places of a counted repeat read the same
  for (const PositionId p : states_[state].items) {
    const Position& at = positions_[p];
    ByteSet one;
    if (at.expr == kBottomExpr) continue;
    if (at.expr == kFollowExpr || at.expr == kPrefixExpr) {
      const std::string& text = at.expr == kFollowExpr ? program_->follow() : prefixes_[at.depth];
      one.add(static_cast<unsigned char>(text[at.progress]));
      refine(classes, one);
      continue;
    }
    const Expr e{at.expr};
    switch (pool_.node(e).op) {
      case Op::kBytes:
        one.add(static_cast<unsigned char>(pool_.bytes_of(e)[at.progress]));
        refine(classes, one);
        break;
      case Op::kSet:
        if (std::find(sets.begin(), sets.end(), at.expr) != sets.end()) break;
        sets.push_back(at.expr);
        refine(classes, pool_.set_of(e));
        break;
      case Op::kContextFree:
        context_free_->byte_classes(at.progress, classes);
        break;
      case Op::kSchema:
        machine(e).byte_classes(at.progress - 1, classes);
        break;
      case Op::kFactor: {  // each byte leads elsewhere
        const ByteSet bytes = pool_.source_of(e).next_bytes(factor_place(at));
        for (unsigned b = 0; b < 256; ++b) {
          if (!bytes.has(b)) continue;
          ByteSet alone;
          alone.add(b);
          refine(classes, alone);
        }
        break;
      }
      case Op::kMultiple:
        for (const char c : std::string_view("0123456789.")) {
          ByteSet digit;
          digit.add(static_cast<unsigned char>(c));
          refine(classes, digit);
        }
        break;
      default:
        pair_classes(at.progress, classes);
    }
  }
}

// A closing of a state whose value must end at the follow's first occurrence: what items close with
// alone may run into the follow, so it is searched for, over the states themselves, and remembered
// along the whole way.
bool Automaton::find_scanned_closing(StateId start) {
  std::priority_queue<ClosingCandidate> open;
  std::unordered_map<std::uint32_t, ClosingStep> reached{{start, {0, 0}}};
  std::uint64_t order = 0;
  open.push({closing_estimate(start), order++, start, 0});
  ByteSet follow_bytes;
  for (const char c : program_->follow()) follow_bytes.add(static_cast<unsigned char>(c));
  for (std::uint64_t work = 0; !open.empty() && work < kClosingSearch; ++work) {
    const ClosingCandidate at = open.top();
    open.pop();
    if (states_[at.node].accepting || states_[at.node].closing_next != 0) {
      for (StateId s = at.node; s != start;) {
        const ClosingStep step = reached.at(s);
        states_[step.from].closing_next = s;
        states_[step.from].closing_byte = step.byte;
        s = step.from;
      }
      return true;
    }
    if (states_[at.node].distance == kNever || at.length > Program::kLongestClosing) continue;
    std::vector<ByteSet> classes{next_bytes(at.node) & ~follow_bytes};
    for (unsigned b = 0; b < 256; ++b) {
      ByteSet one;
      one.add(b);
      if (follow_bytes.has(b)) classes.push_back(one);
    }
    byte_classes(at.node, classes);
    for (const ByteSet& c : classes) {
      if (c.none()) continue;
      const unsigned char byte = program_->closing_byte(c);
      const StateId next = step(at.node, byte);
      if (next == kDead || !reached.try_emplace(next, ClosingStep{at.node, byte}).second) continue;
      open.push({at.length + 1 + closing_estimate(next), order++, next, at.length + 1});
    }
  }
  return false;
}

std::uint32_t Automaton::scanned_distance(StateId start) {
  std::vector<StateId> chain;
  for (StateId s = start; !states_[s].closing;) {
    if (states_[s].accepting) {
      states_[s].closing = std::make_unique<Tail>(Tail{"", {0}});
      break;
    }
    if (states_[s].closing_next == 0 && !find_scanned_closing(s)) return kNever;
    chain.push_back(s);
    s = states_[s].closing_next;
  }
  while (!chain.empty()) {
    State& s = states_[chain.back()];
    chain.pop_back();
    const char byte = static_cast<char>(s.closing_byte);
    s.closing = std::make_unique<Tail>(
        prepend(std::string_view(&byte, 1), *states_[s.closing_next].closing));
    bytes_ += sizeof(Tail) + s.closing->costs.size() * 5;
  }
  return states_[start].closing->costs[0];
}

std::string Automaton::closing_word(StateId state) {
  PositionId best = 0;
  std::uint64_t least = kTooLong;
  for (std::size_t i = 0; i < states_[state].items.size(); ++i) {
    const PositionId item = states_[state].items[i];
    const std::uint64_t size = closing_size(item);
    if (size < least) least = size, best = item;
  }
  std::string out;
  for (PositionId p = best; p >= 3 && !is_follow(p);) {
    std::string piece;
    p = front(p, piece);
    out += piece;
  }
  return out;
}

Automaton::SchemaClosing Automaton::schema_closing(Expr schema) {
  SchemaMachine& made = machine(schema);
  SchemaClosing out;
  out.undecided = made.undecided();
  const SchemaMachine::Cursor start = made.start();
  if (start == SchemaMachine::kDead) return out;
  if (made.closing_size(start) > Program::kLongestClosing) {
    out.undecided = true;
    return out;
  }
  std::string word;
  for (SchemaMachine::Cursor at = start; at != SchemaMachine::kDone;) at = made.front(at, word);
  out.word = std::move(word);
  return out;
}

std::optional<std::string> Automaton::find_context_free_closing(Expr e, bool* overflowed) {
  ContextFreeMachine& machine = context_free();
  ContextFreeMachine::SetId set = machine.start(pool_.children(e)[0]);
  const bool closes = machine.closes(set, Program::kLongestClosing);
  *overflowed = machine.overflowed();
  if (!closes) return std::nullopt;
  std::string word;
  for (; !machine.accepting(set); set = machine.step(set, machine.closing_byte(set))) {
    word += static_cast<char>(machine.closing_byte(set));
  }
  return word;
}

}  // namespace espalier::grammar
