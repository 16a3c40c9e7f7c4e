// What may be read behind a place, listed once for all places that differ only in what stands
// around them.
//
// Before a value the list is that of the value alone: where it is complete, what stands after it
// goes on. After a member the list is that of every object with keys left that may, or may not, end
// here: where the object ends, what stands after it goes on, and so does each object where a key of
// only some begins; tokens that hold a whole key are tried one by one. All other places have a list
// of their own.
#include <algorithm>
#include <utility>

#include "grammar/program.h"
#include "grammar/schema/schema_walk.h"
#include "grammar/schema/standard_stems.h"

namespace espalier::grammar {

// The place whose list serves `place`.
SchemaWalk::Stem SchemaWalk::stem_of(const Place& place) {
  constexpr std::uint64_t kSlack = 512;  // bytes of a key's beginning and of punctuation
  Stem out;
  out.place = place.inside;
  const State& s = place.inside;
  if (s.phase == Phase::kColon || s.phase == Phase::kValue) {
    const auto [stem, next] = machine_.value_stem(s.a);
    if (stem == 0 || machine_.level_bound(s.a) + kSlack > Program::kLongestClosing) return out;
    out.place.a = stem;
    out.place.text = 0;
    out.end = next;
    out.own_bound = machine_.level_bound(next);
  } else if (s.phase == Phase::kNext || s.phase == Phase::kComma) {
    const SchemaMachine::LevelId stem = machine_.object_stem(s.a, s.phase == Phase::kComma);
    if (stem == 0) return out;
    out.own_bound = machine_.object_bound(s.a);
    out.stem_bound = machine_.object_bound(stem);
    if (std::max(out.own_bound, out.stem_bound) + kSlack > Program::kLongestClosing) return out;
    out.place.a = stem;
    out.place = machine_.without_text(out.place);
    out.object = stem;
  }
  return out;
}

std::shared_ptr<const SchemaMachine::List>& SchemaMachine::list(const ListKey& key) {
  const std::size_t hash = ListKeyHash()(key);
  std::uint32_t id = list_ids_.find(hash, [&](std::uint32_t l) { return lists_[l].key == key; });
  if (id == InternTable::kNone) {
    id = static_cast<std::uint32_t>(lists_.size());
    list_ids_.insert(hash, id);
    lists_.push_back({key, nullptr});
  }
  return lists_[id].list;  // never moves
}

// Allows what the trie has below `node`, read from `place`; `ends`: exits with nothing left too.
void SchemaWalk::listed(Tokens tokens, std::uint32_t node, const Place& place, bool ends) {
  const auto walk = [&](const Tokens& by, const Place& from) {
    if (ends && note(from)) {
      for (const std::uint32_t i : by.piece->ends) emit_one(by, static_cast<TokenId>(i));
    }
    below(by, node, from);
  };
  if (tokens.each || place.outside != 0) {
    walk(tokens, place);
    return;
  }
  const Stem stem = stem_of(place);
  const SchemaMachine::ListKey key{tokens.trie, node, stem.place, place.stands_in, ends};
  std::shared_ptr<const SchemaMachine::List>& known = machine_.list(key);
  const std::optional<State> standard = known ? std::nullopt : machine_.standard(stem.place);
  SchemaMachine::ListKey shared = key;
  if (standard) {
    shared.place = *standard;
    known = machine_.standard_stems_->list(shared);
  }
  if (known == nullptr) {
    SchemaMachine::List& list = room_->list;  // no list is made while another is
    list.clear();
    Tokens listing = tokens;
    listing.list = &list;
    listing.object = stem.object;
    constexpr std::size_t kMostKept = 8192;  // bytes of room for the next
    const std::uint64_t before = std::exchange(largest_, 0);
    noted_ = {};
    listing_ = true;
    unlistable_ = false;
    const bool missed = std::exchange(machine_.text_missed_, false);
    Place from = place;
    from.inside = stem.place;
    walk(listing, from);
    list.largest = largest_ - std::min(largest_, stem.stem_bound);
    list.known = !unlistable_ && !machine_.text_missed_;
    if (!list.known) list.clear();
    listing_ = false;
    largest_ = before;
    noted_ = {};
    machine_.text_missed_ = missed;
    for (const std::uint32_t i : list.fit) list.ids.push_back(tokens.piece->exits[i].id);
    machine_.bytes_ += list.bytes();
    known = std::make_shared<const SchemaMachine::List>(list);
    if (list.bytes() > kMostKept) list = {};
    if (standard) machine_.standard_stems_->add(shared, known);
  }
  if (!known->known) {
    walk(tokens, place);
    return;
  }
  const SchemaMachine::List& list = *known;
  largest_ = std::max(largest_, list.largest + stem.own_bound);
  if (tokens.piece == nullptr || tokens.which->all()) {
    mask_.allow(TokenListRef{known, list.ids});
  } else {
    for (const std::uint32_t i : list.fit) emit_one(tokens, static_cast<TokenId>(i));
  }
  for (const std::uint32_t i : list.unsure) {
    if (tokens.piece != nullptr) {
      try_exit(tokens, i);
    } else if (fits(static_cast<TokenId>(i))) {
      mask_.allow(static_cast<TokenId>(i));
    }
  }
  for (const std::uint32_t key_node : list.keys) list_key(tokens, key_node, place);
  if (list.ends.empty()) return;
  Place after;
  after.stands_in = place.stands_in;
  machine_.item_missed_ = machine_.item_left_out_ = false;
  const bool text_missed = machine_.text_missed_;
  after.inside = stem.end != 0 ? machine_.without_text({Phase::kNext, 0, stem.end, 0, 0})
                 : stem.object != 0
                     ? machine_.after_value(machine_.levels_[place.inside.a].ends, kLostText, true)
                     : State{Phase::kDone, 0, 0, 0, 0};
  const bool item = machine_.item_missed_;
  if (item) machine_.text_missed_ = text_missed;
  if (machine_.item_left_out_) after.stands_in |= kLeftOut;
  if (after.inside.phase == Phase::kDone) after.outside = outside_.enter(after.inside);
  if (after.outside == Automaton::kDead) return;
  for (const std::uint32_t end : list.ends) {
    if (item) {
      const std::optional<Place> exact = behind_item(tokens, end);
      if (!exact) {
        try_each(tokens, tokens.trie->tokens_below(end));
        continue;
      }
      if (exact->inside.phase == Phase::kDead) continue;
      after = *exact;
    }
    if (stem_mask_ != nullptr && ends_stem(after)) {
      way(tokens, end, true);
      continue;
    }
    if (tokens.trie->nodes()[end].token_count > 0) emit(tokens, end, after);
    if (tokens.trie->nodes()[end].next != end + 1) listed(tokens, end, after, false);
  }
}

// Goes on where a key of the place's object begins: where only some may come, each object has its
// own.
void SchemaWalk::list_key(const Tokens& tokens, std::uint32_t node, const Place& place) {
  const SchemaMachine::LeafId keys = machine_.keys_of(place.inside.a);
  const SchemaMachine::LeafId leaf = keys == 0 ? 0 : machine_.leaf_step(keys, '"');
  if (leaf == 0) return;
  const TokenTrie::Node& at = tokens.trie->nodes()[node];
  Place key;
  key.inside = machine_.without_text({Phase::kKey, 0, leaf, place.inside.a, 0});
  key.key = at.depth;
  key.stands_in = place.stands_in;
  if ((place.stands_in & kKey) != 0 && !machine_.free_of_key(key.inside)) {
    try_each(tokens, tokens.trie->tokens_below(node));
    return;
  }
  emit(tokens, node, key);
  if (at.next != node + 1) below(tokens, node, key);
}

// Inside a scalar that may be complete, and with it the value that a list is of.
bool SchemaWalk::ends_value(const Tokens& tokens, const Place& place) const {
  if (tokens.list == nullptr && stem_mask_ == nullptr) return false;
  if (place.inside.phase != Phase::kLeaf) return false;
  const auto& leaf = machine_.leaves_[place.inside.a];
  return leaf.accepting && leaf.parts[0].next == machine_.value_end_ && machine_.value_end_ != 0;
}

// Whether the list of a place before a value, or of an object, goes no further than here; notes
// where either is complete, or a key of few begins.
bool SchemaWalk::ends_list(const Tokens& tokens, std::uint32_t node, const Place& before,
                           const Place& next) {
  const std::uint8_t byte = tokens.trie->nodes()[node].byte;
  const bool object = tokens.object != 0 && before.inside.phase == Phase::kNext &&
                      before.inside.a == tokens.object && byte == '}';
  const bool value = next.inside.phase == Phase::kDone ||
                     (next.inside.phase == Phase::kNext && next.inside.a == machine_.value_end_);
  if (tokens.object != 0 && next.inside.phase == Phase::kKey && next.inside.b == tokens.object &&
      before.inside.phase != Phase::kKey && !machine_.levels_[tokens.object].any_key) {
    tokens.list->keys.push_back(node);
    return true;
  }
  if (ends_value(tokens, next)) tokens.list->ends.push_back(node);  // a number, which may go on
  if (!object && !value) return false;
  if (next.inside.phase != Phase::kDead) tokens.list->ends.push_back(node);
  return true;
}

// The exits that fit before `after`.
void SchemaWalk::exits(const Exits& which, const Place& after, bool each) {
  Tokens tokens;
  tokens.trie = which.piece->after.get();
  tokens.piece = which.piece;
  tokens.which = &which;
  tokens.path = &exit_path_;
  tokens.each = each;
  listed(tokens, TokenTrie::kRoot, after, true);
}

bool SchemaWalk::chosen(const Tokens& tokens, std::uint32_t exit) {
  const Exits& which = *tokens.which;
  const std::uint32_t begun = which.piece->exits[exit].begun;
  if (begun < which.fewest || begun > which.most) return false;
  if (which.only != nullptr && !std::binary_search(which.only->begin(), which.only->end(), exit)) {
    return false;
  }
  return !std::binary_search(which.without.begin(), which.without.end(), exit);
}

void SchemaWalk::try_exit(const Tokens& tokens, std::uint32_t exit) {
  const TokenId id = tokens.piece->exits[exit].id;
  if (chosen(tokens, exit) && fits(id)) mask_.allow(id);
}

}  // namespace espalier::grammar
