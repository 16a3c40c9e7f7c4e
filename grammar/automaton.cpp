#include "grammar/automaton.h"

#include <algorithm>

#include "grammar/hash.h"
#include "grammar/make_room.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {

Automaton::Automaton(ProgramRef program)
    : program_(std::move(program)),
      pool_(program_->pool()),
      mask_builder_(program_->vocabulary()->size()) {
  for (std::uint32_t bottom = 0; bottom < 3; ++bottom) position({kBottomExpr, bottom, bottom, 0});
  states_.resize(2);
}

Automaton::~Automaton() = default;

std::size_t Automaton::bytes() const {
  std::size_t out = bytes_;
  for (const auto& [expr, schema] : machines_) out += schema->bytes();
  return out;
}

std::unique_ptr<SchemaMachine> Automaton::take_machine(Expr schema) {
  std::unique_ptr<SchemaMachine> out = std::move(machines_[schema.id]);
  machines_.erase(schema.id);
  return out;
}

SchemaMachine& Automaton::machine(Expr schema) const {
  auto& made = machines_[schema.id];
  if (made == nullptr) made = program_->take_machine(schema);
  if (made == nullptr) {
    made = std::make_unique<SchemaMachine>(pool_.schema_of(schema), program_->vocabulary(),
                                           program_->max_depth());
  }
  return *made;
}

PositionId Automaton::position(const Position& p) {
  const std::size_t hash = mix(mix(mix(p.expr, p.progress), p.next), p.depth);
  PositionId id =
      position_ids_.find(hash, [&](PositionId known) { return positions_[known] == p; });
  if (id == InternTable::kNone) {
    id = static_cast<PositionId>(positions_.size());
    position_ids_.insert(hash, id);
    make_room(positions_);
    make_room(facts_);
    positions_.push_back(p);
    closures_.push_back({});
    facts_.emplace_back();
    bytes_ += 2 * sizeof(Position) + sizeof(StateId) + 64;
  }
  return id;
}

PositionId Automaton::follow_position(std::uint32_t read) {
  return read == program_->follow().size() ? kDone : position({kFollowExpr, read, 0, 0});
}

PositionId Automaton::start_position(std::string_view prefix) {
  const PositionId value = push(program_->root(), kValueEnd, 0);
  if (prefix.empty()) return value;
  auto it = std::find(prefixes_.begin(), prefixes_.end(), prefix);
  if (it == prefixes_.end()) it = prefixes_.insert(it, std::string(prefix));
  return position({kPrefixExpr, 0, value, static_cast<std::uint32_t>(it - prefixes_.begin())});
}

StateId Automaton::start(std::string_view prefix) {
  return intern(closure(start_position(prefix)), program_->follow_first_wins() ? 0 : kNoScan);
}

StateId Automaton::step(StateId state, std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size() && state != kDead;) {
    const std::uint32_t* row = states_[state].row.get();
    const bool known = row != nullptr && row[static_cast<unsigned char>(bytes[i])] != 0;
    if (!known && in_schema(state)) {
      state = schema_step(state, bytes, i);
    } else {
      state = step(state, static_cast<unsigned char>(bytes[i++]));
    }
  }
  return state;
}

StateId Automaton::step_token(StateId state, TokenId token) {
  const std::uint64_t key = (std::uint64_t{state} << 32) | static_cast<std::uint32_t>(token);
  if (states_[state].steps_kept) {
    if (const StateId* known = token_steps_.find(key)) return *known;
  }
  const std::string_view bytes = program_->vocabulary()->bytes(token);
  const StateId next = step(state, bytes);
  if (next == state || !in_schema(state)) return next;
  token_steps_.set(key, next);
  states_[state].steps_kept = true;
  bytes_ += 48;
  return next;
}

// Over the machine's places, whose states are of no use to anyone, up to the last byte or to where
// the value may be complete.
StateId Automaton::schema_step(StateId state, std::string_view bytes, std::size_t& i) {
  const Position at = positions_[states_[state].items[0]];
  SchemaMachine& schema = machine(Expr{at.expr});
  const SchemaMachine::State from = schema.state(at.progress - 1);
  SchemaMachine::State place = from;
  do {
    place = schema.read(place, bytes, i);
    if (place.phase == SchemaMachine::Phase::kDead) return kDead;
  } while (i < bytes.size() && !schema.accepting(place));
  if (place == from) return state;  // in a string
  return state_at(position({at.expr, 1 + schema.cursor(place), at.next, at.depth}));
}

// The state of a position's closure alone, where no follow is looked for.
StateId Automaton::state_at(PositionId p) {
  if (position_states_.size() <= p) position_states_.resize(positions_.size());
  if (position_states_[p] == 0) {
    const StateId state = intern(closure(p), kNoScan);
    position_states_[p] = state;
  }
  return position_states_[p];
}

// Depth-first over what reads nothing. `work` is a stack, so alternatives are pushed last first.
void Automaton::expand(PositionId from, std::vector<Reached>& out) {
  out.clear();
  const std::uint32_t stamp = ++stamp_;
  struct Work {
    PositionId p;
    std::uint32_t events;  // newest of its chain in `log`, 1-based
  };
  struct Logged {
    CaptureEvent event;
    std::uint32_t before;
  };
  std::vector<Work> work{{from, 0}};
  std::vector<Logged> log;
  const auto give = [&](PositionId item, std::uint32_t events) {
    Reached reached{item, {}};
    for (; events != 0; events = log[events - 1].before)
      reached.events.push_back(log[events - 1].event);
    std::reverse(reached.events.begin(), reached.events.end());
    out.push_back(std::move(reached));
  };
  const auto fits = [&](Expr e, std::uint32_t depth) {
    const std::uint32_t need = program_->need(e);
    return need != Program::kNever && depth + need <= program_->max_depth();
  };
  while (!work.empty()) {
    const auto [p, events] = work.back();
    work.pop_back();
    if (facts_[p].visited == stamp) continue;
    facts_[p].visited = stamp;
    const Position at = positions_[p];
    if (at.expr >= kBottomExpr) {
      if (at.expr == kPrefixExpr && at.progress == prefixes_[at.depth].size()) {
        work.push_back({at.next, events});
      } else {
        give(p, events);
      }
      continue;
    }
    const Expr e{at.expr};
    const auto& node = pool_.node(e);
    switch (node.op) {
      case Op::kNothing:
        break;
      case Op::kEmpty:
        work.push_back({at.next, events});
        break;
      case Op::kBytes:
      case Op::kSet:
        give(p, events);
        break;
      case Op::kConcat: {
        const Expr child = pool_.children(e)[at.progress];
        if (!fits(child, at.depth)) break;
        const PositionId rest = at.progress + 1 == node.count
                                    ? at.next
                                    : position({at.expr, at.progress + 1, at.next, at.depth});
        work.push_back({push(child, rest, at.depth), events});
        break;
      }
      case Op::kChoice: {
        const auto children = pool_.children(e);
        for (std::size_t i = children.size(); i-- > 0;) {
          if (fits(children[i], at.depth))
            work.push_back({push(children[i], at.next, at.depth), events});
        }
        break;
      }
      case Op::kRepeat: {
        const Expr child = pool_.children(e)[0];
        if (facts_[p].entered == stamp) {
          // Reached again without a byte read since it was entered: the child is nullable here, so
          // it may fill any number of turns that are still owed, and reading more is what the
          // entering turn itself does.
          work.push_back({at.next, events});
          break;
        }
        const bool enough = at.progress >= node.a;  // what is pushed last comes first
        if (enough && !node.lazy) work.push_back({at.next, events});
        if (at.progress < node.b && fits(child, at.depth)) {
          const std::uint32_t cap = node.b == ExpressionPool::kUnbounded ? node.a : node.b;
          const PositionId again =
              position({at.expr, std::min(at.progress + 1, cap), at.next, at.depth});
          if (again != p) facts_[again].entered = stamp;
          work.push_back({push(child, again, at.depth), events});
        }
        if (enough && node.lazy) work.push_back({at.next, events});
        break;
      }
      case Op::kRule: {
        const std::uint32_t depth = (at.next < 3 ? 0 : positions_[at.next].depth) + 1;
        const Expr body = pool_.rule_body(node.a);
        if (fits(body, depth)) work.push_back({push(body, at.next, depth), events});
        break;
      }
      case Op::kCapture: {
        const bool begin = at.progress == 0;
        log.push_back({{at.expr, begin}, events});
        const auto logged = static_cast<std::uint32_t>(log.size());
        if (!begin) {
          work.push_back({at.next, logged});
        } else {
          const PositionId end = position({at.expr, 1, at.next, at.depth});
          work.push_back({push(pool_.children(e)[0], end, at.depth), logged});
        }
        break;
      }
      case Op::kCodePoints:
        work.push_back({push(pool_.children(e)[0], at.next, at.depth), events});
        break;
      case Op::kIntersection:
      case Op::kDifference: {
        PositionId running = p;
        if (at.progress == 0) {
          const std::uint32_t first = product_start(e);
          if (first == 0) break;
          running = position({at.expr, first, at.next, at.depth});
          if (facts_[running].visited == stamp) break;
          facts_[running].visited = stamp;
        }
        if (pairs_[positions_[running].progress - 1].accepting) work.push_back({at.next, events});
        give(running, events);
        break;
      }
      case Op::kContextFree: {
        PositionId running = p;
        if (at.progress == 0) {
          const ContextFreeMachine::SetId first = context_free().start(pool_.children(e)[0]);
          if (first == ContextFreeMachine::kDead) break;
          running = position({at.expr, first, at.next, at.depth});
          if (facts_[running].visited == stamp) break;
          facts_[running].visited = stamp;
        }
        const ContextFreeMachine::SetId set = positions_[running].progress;
        if (context_free_->accepting(set)) work.push_back({at.next, events});
        if (context_free_->reads(set)) give(running, events);
        break;
      }
      case Op::kFactor: {
        if (at.progress != 0 && pool_.source_of(e).accepting(factor_place(at))) {
          work.push_back({at.next, events});
        }
        give(p, events);
        break;
      }
      case Op::kMultiple:
        if (pool_.multiple_of(e).accepting(at.progress)) work.push_back({at.next, events});
        give(p, events);
        break;
      case Op::kSchema: {
        SchemaMachine& schema = machine(e);
        const SchemaMachine::Cursor cursor = at.progress == 0 ? schema.start() : at.progress - 1;
        if (cursor == SchemaMachine::kDead) break;
        if (schema.accepting(cursor)) work.push_back({at.next, events});
        if (cursor == SchemaMachine::kDone) break;
        const PositionId running = position({at.expr, 1 + cursor, at.next, at.depth});
        if (running != p && facts_[running].visited == stamp) break;
        facts_[running].visited = stamp;
        give(running, events);
        break;
      }
    }
  }
}

const Automaton::Items& Automaton::closure(PositionId from) {
  Items& items = closures_[from];  // never moves
  if (!items.empty()) return items;
  const Position at = positions_[from];
  if (at.expr < kBottomExpr && at.progress != 0 && pool_.node(Expr{at.expr}).op == Op::kSchema) {
    const SchemaMachine::Cursor cursor = at.progress - 1;
    if (cursor != SchemaMachine::kDead && !machine(Expr{at.expr}).accepting(cursor)) {
      items.push_back(from);
      bytes_ += 32 + sizeof(PositionId);
      return items;
    }
  }
  std::vector<Reached> reached;
  expand(from, reached);
  items.reserve(reached.size());
  for (const Reached& r : reached) items.push_back(r.item);
  bytes_ += 32 + items.size() * sizeof(PositionId);
  return items;
}

std::optional<PositionId> Automaton::read(PositionId item, unsigned char byte) {
  const Position at = positions_[item];
  if (at.expr == kBottomExpr) return std::nullopt;
  if (at.expr == kFollowExpr) {
    if (static_cast<unsigned char>(program_->follow()[at.progress]) != byte) return std::nullopt;
    return follow_position(at.progress + 1);
  }
  if (at.expr == kPrefixExpr) {
    if (static_cast<unsigned char>(prefixes_[at.depth][at.progress]) != byte) return std::nullopt;
    return position({kPrefixExpr, at.progress + 1, at.next, at.depth});
  }
  const Expr e{at.expr};
  switch (pool_.node(e).op) {
    case Op::kBytes: {
      const std::string& text = pool_.bytes_of(e);
      if (static_cast<unsigned char>(text[at.progress]) != byte) return std::nullopt;
      if (at.progress + 1 == text.size()) return at.next;
      return position({at.expr, at.progress + 1, at.next, at.depth});
    }
    case Op::kSet:
      if (!pool_.set_of(e).has(byte)) return std::nullopt;
      return at.next;
    case Op::kIntersection:
    case Op::kDifference: {
      const std::uint32_t next = product_step(at.progress - 1, byte);
      if (next == 0) return std::nullopt;
      return position({at.expr, next, at.next, at.depth});
    }
    case Op::kContextFree: {
      const ContextFreeMachine::SetId next = context_free_->step(at.progress, byte);
      if (next == ContextFreeMachine::kDead) return std::nullopt;
      return position({at.expr, next, at.next, at.depth});
    }
    case Op::kFactor: {
      const auto next = pool_.source_of(e).step(factor_place(at), byte);
      if (!next) return std::nullopt;
      return position({at.expr, factor_progress(*next), at.next, at.depth});
    }
    case Op::kSchema: {
      const SchemaMachine::Cursor next = machine(e).step(at.progress - 1, byte);
      if (next == SchemaMachine::kDead) return std::nullopt;
      return position({at.expr, 1 + next, at.next, at.depth});
    }
    case Op::kMultiple: {
      const auto next = pool_.multiple_of(e).step(at.progress, byte);
      if (!next) return std::nullopt;
      return position({at.expr, *next, at.next, at.depth});
    }
    default:
      return std::nullopt;
  }
}

StateId Automaton::compute_step(StateId state, unsigned char byte) {
  const std::uint32_t scan = states_[state].scan;
  std::uint32_t next_scan = scan;
  bool follow_matched = false;
  if (scan != kNoScan && !states_[state].in_prefix) {
    next_scan = program_->follow_step(scan, byte);
    follow_matched = next_scan == program_->follow().size();
  }
  Items items;
  // By index: reading may make new states (of products' operands) and move states_.
  for (std::size_t i = 0; i < states_[state].items.size(); ++i) {
    const PositionId item = states_[state].items[i];
    const std::optional<PositionId> next = read(item, byte);
    if (!next) continue;
    const auto& reached = closure(*next);
    for (const PositionId p : reached) {
      if (follow_matched && p != kDone && !is_follow(p)) continue;
      items.push_back(p);
    }
  }
  const StateId next = intern(std::move(items), next_scan);
  State& from = states_[state];
  if (!from.row) {
    from.row = std::make_unique<std::uint32_t[]>(256);
    bytes_ += 256 * sizeof(std::uint32_t);
  }
  from.row[byte] = next;
  return next;
}

StateId Automaton::intern(Items items, std::uint32_t scan) {
  const bool follows = !program_->follow().empty();
  if (follows) {
    bool ends = false;
    for (PositionId& p : items) {
      if (p != kValueEnd) continue;
      ends = scan == kNoScan || program_->follow_may_start(scan);
      p = PositionId{UINT32_MAX};
    }
    items.shorten(static_cast<std::size_t>(
        std::remove(items.begin(), items.end(), PositionId{UINT32_MAX}) - items.begin()));
    if (ends) items.push_back(follow_position(0));
  }
  if (items.size() > 1) {
    std::sort(items.begin(), items.end());
    items.shorten(
        static_cast<std::size_t>(std::unique(items.begin(), items.end()) - items.begin()));
  }
  if (items.empty()) return kDead;
  // The follow is read: the hole is over, whatever else could have gone on.
  if (std::find(items.begin(), items.end(), kDone) != items.end()) {
    items.clear();
    items.push_back(kDone);
  }
  std::size_t hash = scan;
  for (const PositionId p : items) hash = mix(hash, p);
  const StateId same = state_ids_.find(hash, [&](StateId known) {
    return states_[known].scan == scan && states_[known].items == items;
  });
  if (same != InternTable::kNone) return same;
  State s;
  s.scan = scan;
  for (const PositionId p : items) {
    s.done |= p == kDone;
    s.may_end |= p == kValueEnd;
    s.accepting |= p == kDone || p == kValueEnd ||
                   (is_follow(p) && program_->follow_spells(positions_[p].progress));
    s.in_prefix |= is_prefix(p);
    s.operand_end |= p == kOperandEnd;
  }
  bytes_ += sizeof(State) + items.size() * sizeof(PositionId) + 64;
  s.items = std::move(items);
  const auto id = static_cast<StateId>(states_.size());
  make_room(states_);
  states_.push_back(std::move(s));
  state_ids_.insert(hash, id);
  return id;
}

std::uint32_t Automaton::follow_read(StateId state) const {
  if (states_[state].done) return static_cast<std::uint32_t>(program_->follow().size());
  std::uint32_t most = 0;
  for (const PositionId p : states_[state].items) {
    if (is_follow(p) && program_->follow_spells(positions_[p].progress))
      most = std::max(most, positions_[p].progress);
  }
  return most;
}

ByteSet Automaton::item_bytes(PositionId item) const {
  ByteSet out;
  const Position& at = positions_[item];
  if (at.expr == kBottomExpr) return out;
  if (at.expr == kFollowExpr) {
    out.add(static_cast<unsigned char>(program_->follow()[at.progress]));
    return out;
  }
  if (at.expr == kPrefixExpr) {
    out.add(static_cast<unsigned char>(prefixes_[at.depth][at.progress]));
    return out;
  }
  const Expr e{at.expr};
  switch (pool_.node(e).op) {
    case Op::kBytes:
      out.add(static_cast<unsigned char>(pool_.bytes_of(e)[at.progress]));
      return out;
    case Op::kSet:
      return pool_.set_of(e);
    case Op::kContextFree:
      return context_free_->bytes(at.progress);
    case Op::kSchema:
      return machine(e).next_bytes(at.progress - 1);
    case Op::kFactor:
      return pool_.source_of(e).next_bytes(factor_place(at));
    case Op::kMultiple:
      return pool_.multiple_of(e).bytes(at.progress);
    default:
      return pair_bytes(e, at.progress);
  }
}

// What both operands read, or the first alone; operands nest as products do in the pool.
ByteSet Automaton::pair_bytes(Expr product, std::uint32_t progress) const {
  const Pair& pair = pairs_[progress - 1];
  ByteSet out = next_bytes(pair.a);
  if (pool_.node(product).op == Op::kIntersection) out &= next_bytes(pair.b);
  return out;
}

std::uint32_t Automaton::factor_progress(const SourceWords::Place& place) {
  const std::uint32_t parts[] = {place.first, place.last, place.depth};
  std::string key(reinterpret_cast<const char*>(parts), sizeof parts);
  const auto [it, fresh] = factor_ids_.try_emplace(
      std::move(key), static_cast<std::uint32_t>(factor_places_.size() + 1));
  if (fresh) {
    factor_places_.push_back(place);
    bytes_ += sizeof(SourceWords::Place) + 96;
  }
  return it->second;
}

ContextFreeMachine& Automaton::context_free() {
  if (context_free_ == nullptr) {
    context_free_ = std::make_unique<ContextFreeMachine>(*this, *program_);
  }
  return *context_free_;
}

ByteSet Automaton::next_bytes(StateId state) const {
  ByteSet out;
  for (const PositionId p : states_[state].items) out |= item_bytes(p);
  return out;
}

}  // namespace espalier::grammar
