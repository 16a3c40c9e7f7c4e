// Masks that are kept without what stands around their place: before a value, and after a comma of
// an object.
//
// Such a mask is made by a walk of its own over the stem (see schema_walk_lists.cpp). Where the
// value is complete, or a key begins, it notes the way on, and each mask goes that way from where
// it stands.
#include <algorithm>
#include <utility>

#include "grammar/schema/schema_walk.h"
#include "grammar/schema/standard_stems.h"

namespace espalier::grammar {

std::size_t SchemaMachine::StemMask::bytes() const {
  std::size_t out = sizeof *this + mask.held();
  for (const Way& way : ways) {
    out += sizeof way + (way.without.size() + (way.only ? way.only->size() : 0)) * 4;
  }
  return out;
}

// Allows the tokens that may come at `from` by its stem's mask; false where it has none.
bool SchemaWalk::by_stem(const State& from) {
  if (from.phase != Phase::kValue && from.phase != Phase::kComma) return false;
  Place place;
  place.inside = machine_.without_text(from);
  const Stem stem = stem_of(place);
  if (stem.end == 0 && stem.object == 0) return false;
  const SchemaMachine::StemMask& known = stem_mask(stem);
  if (!known.known) return false;
  mask_.allow(known.mask);
  largest_ = std::max(largest_, known.largest + stem.own_bound);
  Place after;
  after.inside = machine_.without_text({Phase::kNext, 0, stem.end, 0, 0});
  for (const auto& way : known.ways) go(way, after, from.a);
  return true;
}

const SchemaMachine::StemMask& SchemaWalk::stem_mask(const Stem& stem) {
  std::shared_ptr<const SchemaMachine::StemMask>& known = machine_.stem_masks_[stem.place];
  if (known != nullptr) return *known;
  const std::optional<State> standard = machine_.standard(stem.place);
  if (standard) known = machine_.standard_stems_->mask(*standard);
  if (known != nullptr) return *known;
  constexpr std::size_t kUsual = 8;
  SchemaMachine::StemMask out{true, MaskBuilder(vocabulary_.size()), {}, 0};
  out.ways.reserve(kUsual);
  struct NoneOutside final : Outside {
    bool entered = false;
    StateId enter(const State&) override {
      entered = true;
      return Automaton::kDead;
    }
    StateId step(StateId, unsigned char) override { return Automaton::kDead; }
    std::uint32_t distance(StateId) override { return Automaton::kNever; }
  } outside;
  SchemaWalk walk(machine_, vocabulary_, outside, out.mask);
  walk.stem_mask_ = &out;
  walk.stem_object_ = stem.object;
  walk.run(stem.place);
  out.known = out.known && !outside.entered && !out.mask.dense() && !machine_.text_missed_;
  if (!out.known) out = {false, MaskBuilder(0), {}, 0};
  out.largest = walk.largest_ - std::min(walk.largest_, stem.stem_bound);
  machine_.text_missed_ = false;
  machine_.bytes_ += out.bytes();
  known = std::make_shared<const SchemaMachine::StemMask>(std::move(out));
  if (standard) machine_.standard_stems_->add(*standard, known);
  return *known;
}

// Behind the value that a stem's mask is of; a number may go on.
bool SchemaWalk::ends_stem(const Place& place) const {
  if (machine_.value_end_ == 0) return false;
  if (place.inside.phase == Phase::kNext) return place.inside.a == machine_.value_end_;
  if (place.inside.phase != Phase::kLeaf) return false;
  const auto& leaf = machine_.leaves_[place.inside.a];
  return leaf.accepting && leaf.parts[0].next == machine_.value_end_;
}

void SchemaWalk::way(const Tokens& tokens, std::uint32_t node, bool emit) {
  if (tokens.piece != nullptr) {
    way(*tokens.which);
    stem_mask_->ways.back().exits = false;
  } else {
    stem_mask_->ways.emplace_back();
  }
  stem_mask_->ways.back().node = node;
  stem_mask_->ways.back().emit = emit;
}

void SchemaWalk::way(const Exits& which) {
  SchemaMachine::StemMask::Way out;
  out.piece = which.piece;
  out.fewest = which.fewest;
  out.most = which.most;
  if (which.only != nullptr) out.only = *which.only;
  out.without.assign(which.without.begin(), which.without.end());
  out.node = TokenTrie::kRoot;
  out.exits = true;
  stem_mask_->ways.push_back(std::move(out));
}

// Goes on from the place after the value, or with a key of the object.
void SchemaWalk::go(const SchemaMachine::StemMask::Way& way, const Place& after,
                    SchemaMachine::LevelId object) {
  Tokens tokens = all_;
  Exits which;
  if (way.piece != nullptr) {
    which = {way.piece, way.fewest, way.most, way.only ? &*way.only : nullptr, way.without};
    tokens.trie = way.piece->after.get();
    tokens.piece = way.piece;
    tokens.which = &which;
    tokens.path = &exit_path_;
  }
  const bool root = way.node == TokenTrie::kRoot;
  const bool deeper = root || tokens.trie->nodes()[way.node].next != way.node + 1;
  if (!way.key) {
    if (way.emit) emit(tokens, way.node, after);
    if (deeper) listed(tokens, way.node, after, way.exits);
    return;
  }
  Place key;
  key.inside = machine_.without_text({Phase::kKey, 0, *way.key, object, 0});
  key.key = tokens.trie->nodes()[way.node].depth;
  emit(tokens, way.node, key);
  if (deeper && descend(way.node, key)) below(tokens, way.node, key);
}

}  // namespace espalier::grammar
