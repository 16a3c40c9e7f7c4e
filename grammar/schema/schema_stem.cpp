// Stems: places without what stands around them, which those share that differ in nothing else (see
// schema_walk_lists.cpp).
#include <algorithm>

#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {

// Whether the place lies inside an item that must differ from others.
bool SchemaMachine::recorded(const State& at) const {
  switch (at.phase) {
    case Phase::kDead:
    case Phase::kDone:
      return false;
    case Phase::kLeaf:
      return leaves_[at.a].recorded;
    case Phase::kKey:
      return levels_[at.b].recorded;
    default:
      return levels_[at.a].recorded;
  }
}

// The place without the text of such an item.
SchemaMachine::State SchemaMachine::without_text(State at) const {
  if (recorded(at)) {
    at.text = kLostText;
  } else if (at.phase != Phase::kKey) {
    at.text = 0;
  }
  return at;
}

// What stands after the values of value_stem(): no place of any text.
SchemaMachine::LevelId SchemaMachine::value_end() {
  if (value_end_ == 0) {
    Level end;
    end.kind = Kind::kObject;  // others have a depth
    end.alternatives.push_back({Formulas::kTrue, 0});
    value_end_ = level(std::move(end));
    levels_[value_end_].closing_bound = 1;
  }
  return value_end_;
}

// The same value before value_end(), and what stands after it here; 0 where there is more than one
// way on, or its text makes a difference.
std::pair<SchemaMachine::LevelId, SchemaMachine::LevelId> SchemaMachine::value_stem(LevelId value) {
  if (!levels_[value].stem_known) {
    levels_[value].stem_known = true;
    const Level& at = levels_[value];
    if (at.kind == Kind::kValue && at.alternatives.size() == 1 && at.alternatives[0].next != 0 &&
        !joins_list(at.alternatives[0].next)) {
      // A token opens no more containers than it has bytes: where those surely fit, and where there
      // are none, the depth makes no difference.
      const FormulaId f = at.alternatives[0].formula;
      const bool types = f == Formulas::kTrue || (formulas_.op(f) == Formulas::Op::kLiteral &&
                                                  formulas_.atom(f).kind == AtomKind::kType);
      const bool free = formulas_.restrict(f, JsonTypes::kObject) == Formulas::kFalse &&
                        formulas_.restrict(f, JsonTypes::kArray) == Formulas::kFalse;
      const bool roomy = types && fits(at.depth + 2, vocabulary_->longest_token());
      Level stem;
      stem.depth = free || roomy ? 0 : at.depth;
      stem.alternatives.push_back({f, value_end()});
      const LevelId made = level(std::move(stem));
      if (types && spelled_ && (free || roomy)) {
        levels_[made].standard = f == Formulas::kTrue
                                     ? std::uint8_t{JsonTypes::kAll}
                                     : static_cast<std::uint8_t>(formulas_.atom(f).a);
      }
      levels_[value].stem = made;
    }
  }
  return {levels_[value].stem, levels_[value].alternatives[0].next};
}

std::optional<SchemaMachine::State> SchemaMachine::standard(State place) const {
  if (place.phase != Phase::kColon && place.phase != Phase::kValue) return std::nullopt;
  if (levels_[place.a].standard == 0) return std::nullopt;
  place.a = levels_[place.a].standard;
  return place;
}

// The first object that may, or may not, end as this one and has keys left as this one: the same
// ones, or (not `keys_alike`) any, where those are names. 0 where the text makes a difference.
SchemaMachine::LevelId SchemaMachine::object_stem(LevelId object, bool keys_alike) {
  const auto find = [&](bool& known, LevelId& stem, auto& stems) {
    if (known) return stem;
    known = true;
    if (levels_[object].kind != Kind::kObject) return stem;
    const std::uint64_t leaf = keys_of(object);
    const bool any = levels_[object].any_key;
    const std::uint64_t keys = keys_alike || any ? leaf : (leaf != 0 ? 1 : 0);
    const std::uint64_t like = keys * 4 + (may_end(object) ? 2 : 0) + (any ? 1 : 0);
    LevelId& first = stems.at(like);
    if (first == 0) first = object;
    return stem = first;
  };
  Level& at = levels_[object];
  return keys_alike ? find(at.stem_known, at.stem, object_stems_)
                    : find(at.next_stem_known, at.next_stem, next_stems_);
}

// For the closings of what stands before the next key of an object, and before its value.
std::uint64_t SchemaMachine::object_bound(LevelId object) {
  const std::uint64_t key = longest_key(object);  // first: it finds what may come after keys
  return std::max(level_bound(object), levels_[object].after_key) + key;
}

// Of the closings of keys that may come, one a kind.
std::uint64_t SchemaMachine::longest_key(LevelId object) {
  std::uint64_t key = 0;
  if (const LeafId keys = keys_of(object)) {
    for (const LeafPart& part : leaves_[keys].parts) {
      key = std::max(key, scalars_[part.scalar].run.closing_size(part.state));
    }
  }
  return key;
}

}  // namespace espalier::grammar
