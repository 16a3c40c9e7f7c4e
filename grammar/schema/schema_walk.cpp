#include "grammar/schema/schema_walk.h"

#include <algorithm>
#include <utility>

#include "grammar/program.h"

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kFewNodes = 24;  // below which no piece is looked for

const ByteSet kSpace = ByteSet::of(" \n");
const ByteSet kContainers = ByteSet::of("{[");

}  // namespace

SchemaWalk::SchemaWalk(SchemaMachine& machine, const Vocabulary& vocabulary, Outside& outside,
                       MaskBuilder& mask)
    : machine_(machine),
      vocabulary_(vocabulary),
      outside_(outside),
      mask_(mask),
      room_(machine.walk_room()),
      path_(room_->path),
      exit_path_(room_->exit_path),
      open_(room_->open),
      todo_(room_->todo) {
  all_.trie = &vocabulary.trie();
  all_.path = &path_;
}

SchemaWalk::~SchemaWalk() { machine_.walk_rooms_.push_back(std::move(room_)); }

std::unique_ptr<SchemaMachine::WalkRoom> SchemaMachine::walk_room() {
  if (!walk_rooms_.empty()) {
    std::unique_ptr<WalkRoom> room = std::move(walk_rooms_.back());
    walk_rooms_.pop_back();
    room->open.clear();
    room->todo.clear();
    return room;
  }
  auto room = std::make_unique<WalkRoom>();
  room->path.resize(vocabulary_->trie().longest() + 1);
  room->exit_path.resize(vocabulary_->trie().longest() + 1);
  room->open.reserve(16);
  room->todo.reserve(64);
  return room;
}

void SchemaWalk::run(const State& from) {
  from_ = from;
  machine_.text_missed_ = false;
  if (stem_mask_ == nullptr && by_stem(from)) return;
  Place place;
  place.inside = machine_.without_text(from);
  const bool covered =
      (from.phase == Phase::kLeaf && leaf_pieces(TokenTrie::kRoot, place.inside, 0)) ||
      (from.phase == Phase::kKey && key_pieces(TokenTrie::kRoot, place));
  if (!covered) below(all_, TokenTrie::kRoot, place);
  if (!machine_.text_missed_) return;
  // Some item must come twice, and the walk did not know which came before.
  for (std::size_t id = 0; id < vocabulary_.size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (!vocabulary_.bytes(token).empty() && fits(token)) mask_.allow(token);
  }
}

// Depth first over what can be read below `node`.
void SchemaWalk::below(const Tokens& tokens, std::uint32_t node, const Place& place) {
  const auto open = [&](std::uint32_t at, const Place& p) {
    const ByteSet bytes = bytes_of(tokens, at, p);  // may walk itself
    open_.push_back({todo_.size(), p});
    tokens.trie->children(at, bytes, todo_);
  };
  const std::size_t bottom = open_.size();
  open(node, place);
  while (open_.size() > bottom) {
    const Open& top = open_.back();
    if (todo_.size() == top.first) {
      open_.pop_back();
      continue;
    }
    const std::uint32_t child = todo_.back();
    todo_.pop_back();
    Place next;
    if (visit(tokens, child, Place(top.place), next)) open(child, next);
  }
}

// Reads the edge to `node`. Whether there is more to be walked below it.
bool SchemaWalk::visit(const Tokens& tokens, std::uint32_t node, const Place& before, Place& next) {
  const TokenTrie::Node& at = tokens.trie->nodes()[node];
  (*tokens.path)[at.depth] = at.byte;
  if (before.outside != 0) {
    next.outside = outside_.step(before.outside, at.byte);
    if (next.outside == Automaton::kDead) return false;
  } else {
    machine_.item_missed_ = machine_.item_left_out_ = false;
    const bool text_missed = machine_.text_missed_;
    std::optional<Place> after = advance(tokens, before, at.byte, at.depth);
    if (machine_.item_missed_ && !tokens.each) {
      machine_.text_missed_ = text_missed;
      after = behind_item(tokens, node);
    }
    if (!after) {
      if (tokens.object != 0 && before.inside.phase == Phase::kKey) {
        // A key ends here: nothing but a colon follows.
        try_each(tokens, tokens.trie->tokens_at(node));
        const std::uint32_t colon = tokens.trie->child(node, ':');
        if (colon != TokenTrie::kNone) try_each(tokens, tokens.trie->tokens_below(colon));
      } else {
        try_each(tokens, tokens.trie->tokens_below(node));
      }
      return false;
    }
    next = *after;
    if (machine_.item_left_out_) next.stands_in |= kLeftOut;
    if (tokens.list != nullptr && ends_list(tokens, node, before, next)) return false;
    if (tokens.list == nullptr && stem_mask_ != nullptr) {
      if (next.inside.phase == Phase::kKey && next.inside.b == stem_object_) {
        way(tokens, node, true);
        stem_mask_->ways.back().key = next.inside.a;
        return false;
      }
      if (ends_stem(next)) {
        way(tokens, node, true);
        if (next.inside.phase == Phase::kNext) return false;
      }
    }
    if (next.inside.phase == Phase::kDead) return false;
    if (machine_.accepting(next.inside)) {
      unlistable_ = true;
      next.outside = outside_.enter(next.inside);
      if (next.outside == Automaton::kDead) return false;
    }
  }
  if (at.token_count > 0) emit(tokens, node, next);
  if (at.next == node + 1) return false;
  if (next.outside != 0 || tokens.piece != nullptr || tokens.each || tokens.list != nullptr ||
      at.next - node < kFewNodes) {
    return true;
  }
  return descend(node, next);
}

// Allows what pieces know below a node; whether there is more.
bool SchemaWalk::descend(std::uint32_t node, Place& place) {
  if (place.inside.phase == Phase::kLeaf) {
    return depends(place) || !leaf_pieces(node, place.inside, place.stands_in);
  }
  return place.inside.phase != Phase::kKey || !key_pieces(node, place);
}

// Tokens that depend on the text before.
void SchemaWalk::try_each(const Tokens& tokens, std::span<const TokenId> ids) {
  for (const TokenId id : ids) {
    if (tokens.list != nullptr) {
      tokens.list->unsure.push_back(static_cast<std::uint32_t>(id));
    } else if (tokens.piece == nullptr) {
      if (fits(id)) mask_.allow(id);
    } else {
      try_exit(tokens, static_cast<std::uint32_t>(id));
    }
  }
}

// One byte on; nothing where the tokens below have to be tried one by one: two keys in a token (or
// the beginning of a second one, where only some keys may come), or two items that must differ, the
// first of which stands for another.
std::optional<SchemaWalk::Place> SchemaWalk::advance(const Tokens& tokens, const Place& before,
                                                     unsigned char byte, std::size_t depth) {
  Place next;
  next.stands_in = before.stands_in;
  if ((before.stands_in & kLeftOut) != 0 && !tokens.each && before.inside.phase == Phase::kNext &&
      byte == ',' && machine_.joins_list(before.inside.a)) {
    machine_.item_missed_ = true;  // which items may come depends on the one that is left out
    return next;
  }
  if (before.inside.phase != Phase::kKey) {
    next.inside = machine_.without_text(machine_.advance(before.inside, byte));
    if (depends(before)) {
      // Which item went by makes no difference while this one can become many. Where it ends, or
      // where one text alone is left of it, it may be the one that stands for it.
      const bool spaces = next.inside.phase == Phase::kValue;
      const bool inside =
          next.inside.phase == Phase::kOpen ||
          (next.inside.phase == Phase::kLeaf && machine_.free_of_item(next.inside.a));
      const bool ends = before.inside.phase == Phase::kLeaf && byte == '"';
      const bool taken =
          before.inside.phase == Phase::kLeaf && machine_.leaves_[before.inside.a].bytes.has(byte);
      const bool dead = next.inside.phase == Phase::kDead && !ends && !taken;
      if (!dead && !spaces && !inside) return std::nullopt;
    }
    if (next.inside.phase == Phase::kKey) {
      if ((before.stands_in & kKey) != 0 && !machine_.free_of_key(next.inside)) return std::nullopt;
      next.key = static_cast<std::uint16_t>(depth);
    }
    return next;
  }
  const State& s = before.inside;
  const auto leaf = machine_.leaf_step(s.a, byte);
  if (leaf == 0) return next;
  if (!machine_.leaves_[leaf].accepting) {
    next.inside = {Phase::kKey, 0, leaf, s.b, s.text};
    next.key = before.key;
    if ((before.stands_in & kKey) != 0 && !machine_.free_of_key(next.inside)) return std::nullopt;
    return next;
  }
  if ((before.stands_in & kKey) != 0) return std::nullopt;
  if (tokens.object != 0 && s.b == tokens.object) return std::nullopt;  // which value it has
  const std::string text = key_text(tokens, before, depth - 1);
  const SchemaMachine::Level& object = machine_.levels_[s.b];
  SchemaMachine::LevelId value = 0;
  if (object.any_key && !machine_.own_key(object, text)) {
    value = machine_.other_value(s.b);
    next.stands_in |= kKey;
  } else {
    value = machine_.value_after_spelled(s.b, text);
  }
  if (value != 0) next.inside = machine_.without_text({Phase::kColon, 0, value, 0, 0});
  return next;
}

// Where the bytes up to `node` lead behind an item that must differ from others, all of whose text
// counts; nothing where the tokens from there on have to be tried one by one.
std::optional<SchemaWalk::Place> SchemaWalk::behind_item(const Tokens& tokens, std::uint32_t node) {
  if (tokens.list != nullptr || tokens.piece != nullptr || from_.text == kLostText) {
    return std::nullopt;
  }
  const TokenId some = tokens.trie->tokens_below(node)[0];
  Place out = replayed(vocabulary_.bytes(some).substr(0, tokens.trie->nodes()[node].depth));
  out.inside = machine_.without_text(out.inside);
  return out;
}

// In an item whose end depends on one that went by in this token.
bool SchemaWalk::depends(const Place& place) const {
  if ((place.stands_in & kItem) == 0) return false;
  const State& s = place.inside;
  if (s.phase == Phase::kValue) return machine_.levels_[s.a].recorded;
  return s.phase == Phase::kLeaf && machine_.leaves_[s.a].recorded;
}

std::string SchemaWalk::key_text(const Tokens& tokens, const Place& place,
                                 std::size_t depth) const {
  std::string out;
  if (place.key == 0) out = machine_.key_so_far(from_.b, from_.text);
  for (std::size_t d = place.key + 1U; d <= depth; ++d) {
    out += static_cast<char>((*tokens.path)[d]);
  }
  return out;
}

// The bytes to walk from a place, what pieces cover being allowed already.
ByteSet SchemaWalk::bytes_of(const Tokens& tokens, std::uint32_t node, const Place& place) {
  if (place.outside != 0) return ByteSet::all();
  const State& s = place.inside;
  switch (s.phase) {
    case Phase::kDead:
    case Phase::kDone:
      return {};
    case Phase::kValue:
      return kSpace | begin_value(tokens, node, place);
    case Phase::kLeaf: {
      const auto& leaf = machine_.leaves_[s.a];
      if (depends(place)) return leaf.bytes | ByteSet::of("\",]} \n");
      if (ends_value(tokens, place)) return leaf.bytes;
      return leaf.accepting ? leaf.bytes | ByteSet::of(",]} \n") : leaf.bytes;
    }
    case Phase::kOpen:
      if (machine_.levels_[s.a].kind == Kind::kObject) return kSpace | ByteSet::of("\"}");
      if (const auto item = machine_.next_item(s.a)) {
        Place value = place;
        value.inside = {Phase::kValue, 0, item, 0, 0};
        return kSpace | ByteSet::of("]") | begin_value(tokens, node, value);
      }
      return kSpace | ByteSet::of("]");
    case Phase::kComma:
      return kSpace | ByteSet::of("\"");
    case Phase::kKey:
      return machine_.leaves_[s.a].bytes;
    case Phase::kColon:
      return ByteSet::of(":");
    case Phase::kNext:
      return kSpace | ByteSet::of(",]}");
  }
  return {};
}

// Before a value: allows the tokens that begin a standard scalar, and returns what else there is.
ByteSet SchemaWalk::begin_value(const Tokens& tokens, std::uint32_t node, const Place& place) {
  const auto scalars = machine_.scalars_of(place.inside.a);
  if (scalars == 0) return kContainers;
  const bool alone =
      tokens.piece != nullptr || tokens.each || tokens.list != nullptr || depends(place);
  ByteSet out = kContainers;
  for (const LeafPart& part : machine_.leaves_[scalars].parts) {
    if (!alone && part_piece(node, value_part(part, place.stands_in))) continue;
    out |= machine_.scalars_[part.scalar].run.next_bytes(part.state);
  }
  return out;
}

void SchemaWalk::emit(const Tokens& tokens, std::uint32_t node, const Place& place) {
  if (!note(place)) return;
  for (const TokenId id : tokens.trie->tokens_at(node)) emit_one(tokens, id);
}

void SchemaWalk::emit_one(const Tokens& tokens, TokenId id) {
  const auto index = static_cast<std::uint32_t>(id);
  if (tokens.list != nullptr) {
    if (tokens.piece != nullptr) {
      tokens.list->fit.push_back(index);
    } else {
      tokens.list->ids.push_back(id);
    }
  } else if (tokens.piece == nullptr) {
    if (!tokens.each || fits(id)) mask_.allow(id);
  } else if (tokens.each) {
    try_exit(tokens, index);
  } else if (chosen(tokens, index)) {
    mask_.allow(tokens.piece->exits[index].id);
  }
}

// Whether the place can be completed; takes the bound of its closing.
bool SchemaWalk::note(const Place& place) {
  if (place.outside != 0) {
    const std::uint32_t after = outside_.distance(place.outside);
    if (after == Automaton::kNever) return false;
    largest_ = std::max<std::uint64_t>(largest_, after);
    return true;
  }
  const State& s = place.inside;
  if (s.phase == noted_.phase && s.a == noted_.a && s.b == noted_.b) return noted_fits_;
  std::uint64_t size = machine_.closing_bound(s);
  unlistable_ = unlistable_ || size > Program::kLongestClosing;
  if (size > Program::kLongestClosing && !listing_) {
    size = machine_.closing_size(machine_.cursor(s));
  }
  noted_ = s;
  noted_fits_ = size <= Program::kLongestClosing;
  if (noted_fits_) largest_ = std::max(largest_, size);
  return noted_fits_;
}

// One token, byte by byte from the walk's beginning.
bool SchemaWalk::fits(TokenId token) {
  if (stem_mask_ != nullptr) stem_mask_->known = false;
  const Place at = replayed(vocabulary_.bytes(token));
  return at.inside.phase != Phase::kDead && note(at);
}

// Where bytes lead from the walk's beginning; Phase::kDead: nowhere.
SchemaWalk::Place SchemaWalk::replayed(std::string_view bytes) {
  Place at;
  at.inside = from_;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (at.outside != 0) {
      at.outside = outside_.step(at.outside, byte);
    } else {
      at.inside = machine_.advance(at.inside, byte);
      if (at.inside.phase == Phase::kDead) return {};
      if (machine_.accepting(at.inside)) at.outside = outside_.enter(at.inside);
    }
    if (at.outside == Automaton::kDead) return {};
  }
  return at;
}

}  // namespace espalier::grammar
