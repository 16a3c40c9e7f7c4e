#include "grammar/schema/schema_machine.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "grammar/hash.h"
#include "grammar/make_room.h"
#include "grammar/schema/schema_walk.h"
#include "grammar/schema/standard_stems.h"

namespace espalier::grammar {
namespace {

constexpr std::uint8_t kNoSpace = 1;
constexpr std::uint8_t kMaxSpace = 18;  // a line feed and 16 spaces

// The value that a beginning of a JSON text, without whitespace, ends with.
std::optional<Json> last_value(std::string_view text) {
  std::vector<std::size_t> open;
  std::size_t last = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      last = i++;
      while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
    } else if (c == '{' || c == '[') {
      open.push_back(i);
    } else if (c == '}' || c == ']') {
      if (open.empty()) return std::nullopt;
      last = open.back();
      open.pop_back();
    } else if (c != ',' && c != ':') {
      last = i;
      while (i + 1 < text.size() &&
             std::string_view(",:{}[]\"").find(text[i + 1]) == std::string_view::npos)
        ++i;
    }
  }
  Json value = Json::parse(text.substr(last), nullptr, false);
  if (value.is_discarded()) return std::nullopt;
  return value;
}

// Whitespace as docs/language.md has it: one space, or a line feed and up to 16 spaces.
std::optional<std::uint8_t> space_step(std::uint8_t space, unsigned char byte) {
  if (space == 0 && byte == ' ') return kNoSpace;
  if (space == 0 && byte == '\n') return std::uint8_t{2};
  if (space >= 2 && space < kMaxSpace && byte == ' ') return static_cast<std::uint8_t>(space + 1);
  return std::nullopt;
}

}  // namespace

std::size_t SchemaMachine::StateHash::operator()(const State& s) const {
  return mix(mix(mix(static_cast<std::size_t>(s.phase) * 256 + s.space, s.a), s.b), s.text);
}

SchemaMachine::SchemaMachine(std::shared_ptr<const SchemaGraph> graph, VocabularyRef vocabulary,
                             std::uint32_t max_depth)
    : graph_(std::move(graph)),
      vocabulary_(std::move(vocabulary)),
      library_(ScalarLibrary::of(vocabulary_)),
      max_depth_(max_depth),
      formulas_(graph_->formulas()) {
  standard_stems_ = StandardStems::of(vocabulary_);
  states_.resize(2);
  states_[1].phase = Phase::kDone;
  closing_sizes_.assign(2, UINT64_MAX);
  closing_sizes_[kDone] = 0;
  levels_.push_back({});
  leaves_.push_back({});
  texts_.emplace_back();
  seen_sets_.emplace_back();
  fuel_ = Fuel("steps", kSteps);
  // Standard scalars and finished automata leave out what is not spelled.
  spelled_ = vocabulary_->single_bytes() == ByteSet::all() ||
             (vocabulary_->json_bytes() == vocabulary_->single_bytes() &&
              formulas_.written_with(vocabulary_->single_bytes()));
  canonical_ = formulas_.literal({AtomKind::kPattern, formulas_.pattern({"[\\s\\S]*", false}), 0});
  any_key_ = formulas_.all({formulas_.types(JsonTypes::kString), canonical_});
  const FormulaId root = expand(graph_->root());
  const ValueFacts facts = value_facts(root);
  if (facts.verdict != Verdict::kYes || !fits(0, facts.height)) return;
  Level value;
  value.alternatives.push_back({root, 0});
  start_ = cursor({Phase::kValue, kNoSpace, level(std::move(value)), 0, 0});
  closing_size(start_);               // settles the closing before anything else asks
  const bool undecided = undecided_;  // what the whole schema rests on is found
  prepare();
  undecided_ = undecided;
}

SchemaMachine::~SchemaMachine() = default;

SchemaMachine::Cursor SchemaMachine::cursor(const State& s) {
  if (s.phase == Phase::kDead) return kDead;
  if (s.phase == Phase::kDone) return kDone;
  const std::size_t hash = StateHash()(s);
  Cursor id = cursor_ids_.find(hash, [&](Cursor c) { return states_[c] == s; });
  if (id == InternTable::kNone) {
    id = static_cast<Cursor>(states_.size());
    cursor_ids_.insert(hash, id);
    make_room(states_);
    make_room(closing_sizes_);
    states_.push_back(s);
    closing_sizes_.push_back(UINT64_MAX);
    bytes_ += 2 * sizeof(State) + 48;
  }
  return id;
}

SchemaMachine::LevelId SchemaMachine::level(Level&& level) {
  auto& alternatives = level.alternatives;
  if (alternatives.empty()) return 0;
  // One formula for each way on.
  if (alternatives.size() > 1) {
    std::sort(alternatives.begin(), alternatives.end(),
              [](const Alternative& a, const Alternative& b) { return a.next < b.next; });
    std::size_t kept = 0;
    std::vector<FormulaId> any;
    for (std::size_t i = 0; i < alternatives.size(); ++kept) {
      any.clear();
      const LevelId next = alternatives[i].next;
      for (; i < alternatives.size() && alternatives[i].next == next; ++i) {
        any.push_back(alternatives[i].formula);
      }
      alternatives[kept] = {formulas_.any(any), next};
    }
    alternatives.shorten(kept);
  }
  std::size_t hash = mix(mix(static_cast<std::size_t>(level.kind), level.depth), level.seen);
  for (const Alternative& a : alternatives) hash = mix(mix(hash, a.formula), a.next);
  LevelId id = level_ids_.find(hash, [&](LevelId other) {
    const Level& known = levels_[other];
    return known.kind == level.kind && known.depth == level.depth && known.seen == level.seen &&
           known.alternatives == alternatives;
  });
  if (id == InternTable::kNone) {
    id = static_cast<LevelId>(levels_.size());
    level_ids_.insert(hash, id);
    for (const Alternative& a : alternatives) {
      level.recorded =
          level.recorded || joins_list(a.next) || (a.next != 0 && levels_[a.next].recorded);
    }
    bytes_ += sizeof(Level) + 2 * alternatives.size() * sizeof(Alternative) + 96;
    levels_.push_back(std::move(level));
  }
  return id;
}

// Whether what is left to read at `from` may be read at `to` as well, seen from their formulas.
bool SchemaMachine::implies(LevelId from, LevelId to) {
  if (from == to) return true;
  if (from == 0 || to == 0) return false;
  const Level &wide = levels_[to], &narrow = levels_[from];
  if (wide.kind != narrow.kind || wide.depth != narrow.depth || wide.seen != narrow.seen) {
    return false;
  }
  return std::ranges::all_of(narrow.alternatives, [&](const Alternative& own) {
    return std::ranges::any_of(wide.alternatives, [&](const Alternative& other) {
      return own.next == other.next && formulas_.all({own.formula, other.formula}) == own.formula;
    });
  });
}

// The level that stands for any of several, which differ in their alternatives only.
SchemaMachine::LevelId SchemaMachine::merge(std::span<const LevelId> levels) {
  if (levels.size() == 1) return levels[0];
  Level out;
  out.kind = levels_[levels[0]].kind;
  out.depth = levels_[levels[0]].depth;
  out.seen = levels_[levels[0]].seen;
  for (const LevelId id : levels) {
    const auto& from = levels_[id].alternatives;
    out.alternatives.append(from.begin(), from.end());
  }
  return level(std::move(out));
}

// Whether the value that ends before this level joins the list of its array's items.
bool SchemaMachine::joins_list(LevelId after) {
  if (after == 0 || levels_[after].kind != Kind::kArray) return false;
  const auto& alternatives = levels_[after].alternatives;
  return std::any_of(alternatives.begin(), alternatives.end(),
                     [&](const Alternative& a) { return has_unique(a.formula); });
}

// Behind a value: `text` ends with it where it, or one around it, is recorded.
SchemaMachine::State SchemaMachine::after_value(std::span<const LevelId> ends, std::uint32_t text,
                                                bool container) {
  Levels levels(ends.begin(), ends.end());
  std::optional<JsonValueId> value;
  for (LevelId& end : levels) {
    if (!joins_list(end)) continue;
    if (container && text == kLostText && complete_anyway(end)) {
      item_left_out_ = true;
      continue;
    }
    if (!value && text != kLostText) {
      if (const auto last = last_value(text_of(text))) value = formulas_.value(*last);
    }
    if (!value) {  // asked for a bound, or by a walk
      item_missed_ = true;
      for (const Alternative& a : levels_[end].alternatives) {
        text_missed_ = text_missed_ || wants_repeat(a.formula);
      }
      continue;
    }
    Level next;
    next.kind = Kind::kArray;
    next.depth = levels_[end].depth;
    next.seen = levels_[end].seen;
    for (const Alternative& a : levels_[end].alternatives) {
      const FormulaId f = with_value(a.formula, *value);
      if (plan(next.kind, f, next.seen).verdict == Verdict::kYes) {
        next.alternatives.push_back({f, a.next});
      }
    }
    end = next.alternatives.empty() ? UINT32_MAX : level(std::move(next));
  }
  if (levels.size() > 1) std::sort(levels.begin(), levels.end());
  levels.shorten(
      static_cast<std::size_t>(std::unique(levels.begin(), levels.end()) - levels.begin()));
  if (!levels.empty() && levels.back() == UINT32_MAX) levels.pop_back();
  if (levels.empty()) return {};
  if (levels[0] == 0) return {Phase::kDone, 0, 0, 0, 0};
  const LevelId next = merge(levels);
  return {Phase::kNext, 0, next, 0, levels_[next].recorded ? text : 0};
}

// Into a container: what of the value's alternatives may be one.
SchemaMachine::State SchemaMachine::enter(LevelId value, Kind kind, std::uint32_t text) {
  const auto open = [&](LevelId id) {
    if (id == 0) return State{};
    return State{Phase::kOpen, 0, id, 0, punctuated(id, text, kind == Kind::kObject ? '{' : '[')};
  };
  const std::size_t which = kind == Kind::kObject ? 0 : 1;
  if (const auto known = levels_[value].inside[which]) return open(*known);
  Level opened;
  opened.kind = kind;
  opened.depth = levels_[value].depth + 1;
  const Alternatives& from = levels_[value].alternatives;
  for (const Alternative& a : from) {
    const FormulaId f = inside(a.formula, kind);
    if (f == Formulas::kFalse) continue;
    const Plan& closing = plan(kind, f, 0);
    if (closing.verdict != Verdict::kYes || !fits(opened.depth, closing.height)) continue;
    opened.alternatives.push_back({f, a.next});
  }
  drop_implied(opened.alternatives, [&](const Alternative& narrow, const Alternative& wide) {
    return implies(narrow.next, wide.next) &&
           formulas_.all({narrow.formula, wide.formula}) == narrow.formula;
  });
  const LevelId id = level(std::move(opened));
  levels_[value].inside[which] = id;
  return open(id);
}

// The value that a member or an item (no name) holds: its alternatives, each with what stands
// after.
SchemaMachine::LevelId SchemaMachine::value_of(const Level& container,
                                               std::optional<std::uint32_t> name,
                                               std::uint32_t seen) {
  const Kind kind = container.kind;
  const std::uint32_t depth = container.depth;
  const Alternatives& from = container.alternatives;
  std::vector<std::pair<FormulaId, Alternatives>> values;
  NumberMap<std::uint32_t> at;  // by formula: 1 + its place in `values`, from where they are many
  std::vector<Pair> pairs;
  for (const Alternative& a : from) {
    // What must come still can then: this container can be completed.
    const bool steady = name && key_facts(a.formula).steady;
    pairs.clear();
    const bool whole =
        name ? split_member(a.formula, *name, pairs) : split(after_item(a.formula), pairs);
    if (!whole) undecided_ = true;
    for (const Pair& pair : pairs) {
      FormulaId value = expand(pair.value);
      if (value == Formulas::kFalse || pair.rest == Formulas::kFalse) continue;
      if (has_unique(pair.rest)) value = without_dead_ends(value, pair.rest);
      const ValueFacts facts = value_facts(value);
      if (facts.verdict != Verdict::kYes || !fits(depth, facts.height)) continue;
      if (!steady) {
        const Plan& closing = plan(kind, after_witness(pair.rest, value), seen);
        if (closing.verdict != Verdict::kYes || !fits(depth, closing.height)) continue;
      }
      std::uint32_t& place = at.at(value);
      if (place == 0) {
        values.emplace_back(value, Alternatives{});
        place = static_cast<std::uint32_t>(values.size());
      }
      values[place - 1].second.push_back({pair.rest, a.next});
    }
  }
  if (values.size() > kMaxAlternatives) {
    undecided_ = true;
    values.resize(kMaxAlternatives);
  }
  Level value;
  value.kind = Kind::kValue;
  value.depth = depth;
  for (auto& [formula, rests] : values) {
    Level rest;
    rest.kind = kind;
    rest.depth = depth;
    rest.seen = seen;
    rest.alternatives = std::move(rests);
    value.alternatives.push_back({formula, level(std::move(rest))});
  }
  return level(std::move(value));
}

SchemaMachine::LevelId SchemaMachine::value_after_key(LevelId object, const std::string& text) {
  const std::uint32_t name = formulas_.name(text);
  if (const LevelId* known = levels_[object].by_key.find(name)) return *known;
  const std::uint32_t seen = levels_[object].seen;
  LevelId value = 0;
  if (!has_seen(seen, name)) {
    value = value_of(levels_[object], name, seen_with(seen, text));
  }
  bytes_ += text.size() + 64;
  levels_[object].by_key.set(name, value);
  return value;
}

SchemaMachine::LevelId SchemaMachine::next_item(LevelId array) {
  if (!levels_[array].item) {
    const LevelId item = value_of(levels_[array], std::nullopt, 0);
    levels_[array].item = item;
  }
  return *levels_[array].item;
}

bool SchemaMachine::may_end(LevelId container) {
  Level& at = levels_[container];
  if (!at.end_known) {
    at.end_known = true;
    for (const Alternative& a : at.alternatives) {
      if (at_end(a.formula)) at.ends.push_back(a.next);
    }
    at.may_end = !at.ends.empty();
  }
  return at.may_end;
}

// ---- bytes ----

SchemaMachine::Cursor SchemaMachine::step(Cursor at, unsigned char byte) {
  return cursor(read(State(states_[at]), byte));
}

SchemaMachine::State SchemaMachine::advance(State s, unsigned char byte) {
  constexpr State kDeadState{};
  for (;;) {
    switch (s.phase) {
      case Phase::kDead:
      case Phase::kDone:
        return kDeadState;
      case Phase::kValue: {
        if (const auto space = space_step(s.space, byte)) {
          s.space = *space;
          return s;
        }
        if (byte == '{') return enter(s.a, Kind::kObject, s.text);
        if (byte == '[') return enter(s.a, Kind::kArray, s.text);
        const LeafId scalars = scalars_of(s.a);
        const LeafId next = scalars == 0 ? 0 : leaf_step(scalars, byte);
        if (next == 0) return kDeadState;
        const std::uint32_t text = recorded(next, s.text, byte);
        return leaves_[next].goes_on ? State{Phase::kLeaf, 0, next, 0, text} : leaf_end(next, text);
      }
      case Phase::kLeaf: {
        const LeafId next = leaf_step(s.a, byte);
        if (next != 0) {
          const std::uint32_t text = recorded(next, s.text, byte);
          return leaves_[next].goes_on ? State{Phase::kLeaf, 0, next, 0, text}
                                       : leaf_end(next, text);
        }
        if (!leaves_[s.a].accepting) return kDeadState;
        s = leaf_end(s.a, s.text);
        continue;  // a number that this byte ends
      }
      case Phase::kOpen: {
        if (const auto space = space_step(s.space, byte)) {
          s.space = *space;
          return s;
        }
        const bool object = levels_[s.a].kind == Kind::kObject;
        const unsigned char close = object ? '}' : ']';
        if (byte == close) {
          return may_end(s.a) ? after_value(levels_[s.a].ends, punctuated(s.a, s.text, byte), true)
                              : kDeadState;
        }
        if (!object) {
          const LevelId item = next_item(s.a);
          if (item == 0) return kDeadState;
          s = State{Phase::kValue, kNoSpace, item, 0, s.text};
          continue;
        }
        [[fallthrough]];
      }
      case Phase::kComma: {
        if (s.phase == Phase::kComma) {
          if (const auto space = space_step(s.space, byte)) {
            s.space = *space;
            return s;
          }
        }
        const LeafId keys = byte == '"' ? keys_of(s.a) : 0;
        const LeafId next = keys == 0 ? 0 : leaf_step(keys, byte);
        if (next == 0) return kDeadState;
        return {Phase::kKey, 0, next, s.a, punctuated(s.a, s.text, byte)};
      }
      case Phase::kKey: {
        const LeafId next = leaf_step(s.a, byte);
        if (next == 0) return kDeadState;
        if (!leaves_[next].accepting) {
          return State{Phase::kKey, 0, next, s.b, extend(s.text, byte)};
        }
        const LevelId value = value_after_spelled(s.b, key_so_far(s.b, s.text));
        if (value == 0) return kDeadState;
        return {Phase::kColon, 0, value, 0, punctuated(s.b, s.text, byte)};
      }
      case Phase::kColon:
        if (byte != ':') return kDeadState;
        return {Phase::kValue, 0, s.a, 0, punctuated(s.a, s.text, byte)};
      case Phase::kNext: {
        const bool object = levels_[s.a].kind == Kind::kObject;
        const unsigned char close = object ? '}' : ']';
        if (byte == close) {
          return may_end(s.a) ? after_value(levels_[s.a].ends, punctuated(s.a, s.text, byte), true)
                              : kDeadState;
        }
        if (const auto space = space_step(s.space, byte)) {
          if (!may_end(s.a)) return kDeadState;
          s.space = *space;
          return s;
        }
        if (byte != ',' || s.space != 0) return kDeadState;
        const std::uint32_t text = punctuated(s.a, s.text, byte);
        if (object) return keys_of(s.a) == 0 ? kDeadState : State{Phase::kComma, 0, s.a, 0, text};
        const LevelId item = next_item(s.a);
        return item == 0 ? kDeadState : State{Phase::kValue, 0, item, 0, text};
      }
    }
  }
}

void SchemaMachine::byte_classes(Cursor at, std::vector<ByteSet>& classes) {
  const State s = states_[at];
  const auto leaf_classes = [&](LeafId id) {
    for (const LeafPart& part : leaves_[id].parts) {
      scalars_[part.scalar].run.byte_classes(part.state, classes);
    }
  };
  if (s.phase == Phase::kKey || s.phase == Phase::kLeaf) leaf_classes(s.a);
  LevelId value = s.phase == Phase::kValue ? s.a : 0;
  if (s.phase == Phase::kOpen && levels_[s.a].kind == Kind::kArray) value = next_item(s.a);
  if (value != 0) {
    if (const LeafId scalars = scalars_of(value)) leaf_classes(scalars);
  }
  for (const char c : std::string_view("{}[],:\" \n")) {
    ByteSet one;
    one.add(static_cast<unsigned char>(c));
    refine(classes, one);
  }
}

bool SchemaMachine::accepting(const State& s) {
  if (s.phase == Phase::kDone) return true;
  return s.phase == Phase::kLeaf && leaves_[s.a].finishes;
}

ByteSet SchemaMachine::next_bytes(Cursor at) {
  fuel_ = Fuel("steps", kSteps);
  const State s = states_[at];
  ByteSet out;
  const auto space = [&](std::uint8_t state) {
    if (state == 0) out.add(' '), out.add('\n');
    if (state >= 2 && state < kMaxSpace) out.add(' ');
  };
  const auto leaf_bytes = [&](LeafId id) {
    for (const LeafPart& part : leaves_[id].parts) {
      out |= scalars_[part.scalar].run.next_bytes(part.state);
    }
  };
  const auto value_bytes = [&](LevelId value) {
    if (value == 0) return;
    if (const LeafId id = scalars_of(value)) leaf_bytes(id);
    if (enter(value, Kind::kObject).phase != Phase::kDead) out.add('{');
    if (enter(value, Kind::kArray).phase != Phase::kDead) out.add('[');
  };
  const auto next = [&](const State& n) {
    const bool object = levels_[n.a].kind == Kind::kObject;
    if (may_end(n.a)) {
      space(n.space);
      out.add(object ? '}' : ']');
    }
    if (n.space == 0 && (object ? keys_of(n.a) : next_item(n.a)) != 0) out.add(',');
  };
  switch (s.phase) {
    case Phase::kDead:
    case Phase::kDone:
      break;
    case Phase::kValue:
      space(s.space);
      value_bytes(s.a);
      break;
    case Phase::kLeaf: {
      leaf_bytes(s.a);
      if (leaves_[s.a].accepting) {
        const State after = leaf_end(s.a, s.text);
        if (after.phase == Phase::kNext) next(after);
      }
      break;
    }
    case Phase::kOpen:
      space(s.space);
      if (may_end(s.a)) out.add(levels_[s.a].kind == Kind::kObject ? '}' : ']');
      if (levels_[s.a].kind == Kind::kArray) {
        value_bytes(next_item(s.a));
      } else if (keys_of(s.a) != 0) {
        out.add('"');
      }
      break;
    case Phase::kComma:
      space(s.space);
      out.add('"');
      break;
    case Phase::kKey:
      leaf_bytes(s.a);
      break;
    case Phase::kColon:
      out.add(':');
      break;
    case Phase::kNext:
      next(s);
      break;
  }
  return out;
}

}  // namespace espalier::grammar
