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

SchemaWalk::SchemaWalk(SchemaMachine& machine, const Vocabulary& vocabulary, Outside outside,
                       MaskBuilder& mask)
    : machine_(machine),
      vocabulary_(vocabulary),
      outside_(std::move(outside)),
      mask_(mask),
      path_(vocabulary.trie().longest() + 1),
      exit_path_(vocabulary.trie().longest() + 1) {
  all_.trie = &vocabulary.trie();
  all_.path = &path_;
}

void SchemaWalk::run(const State& from) {
  from_ = from;
  machine_.text_missed_ = false;
  Place place;
  place.inside = from;
  const bool covered =
      (from.phase == Phase::kLeaf && leaf_pieces(TokenTrie::kRoot, place.inside)) ||
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
  struct Frame {
    std::size_t first = 0;  // of its children in todo_, the last being next
    Place place;
  };
  const auto open = [&](std::uint32_t at, const Place& p) {
    Frame out{todo_.size(), p};
    tokens.trie->children(at, bytes_of(tokens, at, p), todo_);
    return out;
  };
  std::vector<Frame> stack;
  stack.push_back(open(node, place));
  while (!stack.empty()) {
    const Frame& top = stack.back();
    if (todo_.size() == top.first) {
      stack.pop_back();
      continue;
    }
    const std::uint32_t child = todo_.back();
    todo_.pop_back();
    Place next;
    if (visit(tokens, child, Place(top.place), next)) stack.push_back(open(child, next));
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
    const std::optional<Place> after = advance(tokens, before, at.byte, at.depth);
    if (!after) {
      for (const TokenId id : tokens.trie->tokens_below(node)) {
        if (tokens.list != nullptr) {
          tokens.list->unsure.push_back(static_cast<std::uint32_t>(id));
          continue;
        }
        const TokenId token =
            tokens.piece == nullptr ? id : tokens.piece->exits[static_cast<std::size_t>(id)].id;
        if (fits(token)) mask_.allow(token);
      }
      return false;
    }
    next = *after;
    if (next.inside.phase == Phase::kDead) return false;
    if (machine_.accepting(next.inside)) {
      went_outside_ = true;
      next.outside = outside_.enter(next.inside);
      if (next.outside == Automaton::kDead) return false;
    }
  }
  if (at.token_count > 0) emit(tokens, node, next);
  if (at.next == node + 1) return false;
  if (next.outside != 0 || tokens.piece != nullptr || tokens.each || at.next - node < kFewNodes) {
    return true;
  }
  if (next.inside.phase == Phase::kLeaf) return !leaf_pieces(node, next.inside);
  if (next.inside.phase == Phase::kKey) return !key_pieces(node, next);
  return true;
}

// One byte on; nothing where the tokens below have to be tried one by one: two keys in a token, the
// first of which stands for another.
std::optional<SchemaWalk::Place> SchemaWalk::advance(const Tokens& tokens, const Place& before,
                                                     unsigned char byte, std::size_t depth) {
  Place next;
  next.stands_in = before.stands_in;
  if (before.inside.phase != Phase::kKey) {
    next.inside = machine_.advance(before.inside, byte);
    if (next.inside.phase == Phase::kKey) next.key = static_cast<std::uint16_t>(depth);
    return next;
  }
  const State& s = before.inside;
  if (machine_.levels_[s.b]->recorded) {  // the text of what is around it goes on
    next.inside = machine_.advance(s, byte);
    if (next.inside.phase == Phase::kKey) next.key = before.key;
    return next;
  }
  const auto leaf = machine_.leaf_step(s.a, byte);
  if (leaf == 0) return next;
  if (!machine_.leaves_[leaf].accepting) {
    next.inside = {Phase::kKey, 0, leaf, s.b, s.text};
    next.key = before.key;
    return next;
  }
  if (before.stands_in) return std::nullopt;
  const std::string text = key_text(tokens, before, depth - 1);
  const SchemaMachine::Level& object = *machine_.levels_[s.b];
  SchemaMachine::LevelId value = object.after_other_key;
  if (value != 0 && !machine_.own_key(object, text)) {
    next.stands_in = true;
  } else {
    const Json key = Json::parse("\"" + text + "\"", nullptr, false);
    if (!key.is_string()) return next;
    value = machine_.value_after_key(s.b, key.get_ref<const std::string&>());
  }
  if (value != 0) next.inside = {Phase::kColon, 0, value, 0, 0};
  return next;
}

std::string SchemaWalk::key_text(const Tokens& tokens, const Place& place,
                                 std::size_t depth) const {
  std::string out = place.key == 0 ? machine_.text_of(from_.text) : std::string();
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
      return kSpace | begin_value(tokens, node, s.a);
    case Phase::kLeaf: {
      const auto& leaf = machine_.leaves_[s.a];
      return leaf.accepting ? leaf.bytes | ByteSet::of(",]} \n") : leaf.bytes;
    }
    case Phase::kOpen:
      if (machine_.levels_[s.a]->kind == Kind::kObject) return kSpace | ByteSet::of("\"}");
      if (const auto item = machine_.next_item(s.a)) {
        return kSpace | ByteSet::of("]") | begin_value(tokens, node, item);
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
ByteSet SchemaWalk::begin_value(const Tokens& tokens, std::uint32_t node, std::uint32_t value) {
  const auto scalars = machine_.scalars_of(value);
  if (scalars == 0) return kContainers;
  const bool alone = tokens.piece != nullptr || tokens.each;
  const bool recorded = machine_.leaves_[scalars].recorded;
  ByteSet out = kContainers;
  for (const LeafPart part : std::vector<LeafPart>(machine_.leaves_[scalars].parts)) {
    if (!alone && part_piece(node, part, recorded)) continue;
    out |= machine_.scalars_[part.scalar].run.next_bytes(part.state);
  }
  return out;
}

void SchemaWalk::emit(const Tokens& tokens, std::uint32_t node, const Place& place) {
  if (!note(place)) return;
  for (const TokenId id : tokens.trie->tokens_at(node)) emit_one(tokens, id);
}

void SchemaWalk::emit_one(const Tokens& tokens, TokenId id) {
  if (tokens.piece == nullptr) {
    if (!tokens.each || fits(id)) mask_.allow(id);
    return;
  }
  const auto index = static_cast<std::uint32_t>(id);
  if (tokens.list != nullptr) {
    tokens.list->fit.push_back(index);
    return;
  }
  const Piece::Exit& exit = tokens.piece->exits[index];
  if (exit.begun < tokens.fewest || exit.begun > tokens.most) return;
  if (std::binary_search(tokens.without.begin(), tokens.without.end(), index)) return;
  if (!tokens.each || fits(exit.id)) mask_.allow(exit.id);
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
  if (size > Program::kLongestClosing) size = machine_.closing_size(machine_.cursor(s));
  noted_ = s;
  noted_fits_ = size <= Program::kLongestClosing;
  if (noted_fits_) largest_ = std::max(largest_, size);
  return noted_fits_;
}

// Inside a scalar: allows what the pieces of its standard parts have, and leaves the others in
// `leaf`. True where none are left.
bool SchemaWalk::leaf_pieces(std::uint32_t node, State& leaf) {
  const bool recorded = machine_.leaves_[leaf.a].recorded;
  const std::vector<LeafPart> parts = machine_.leaves_[leaf.a].parts;
  std::vector<LeafPart> rest;
  for (const LeafPart& part : parts) {
    if (!part_piece(node, part, recorded)) rest.push_back(part);
  }
  if (rest.size() != parts.size()) leaf.a = machine_.leaf(std::move(rest));
  return leaf.a == 0;
}

SchemaWalk::Place SchemaWalk::after_value(std::uint32_t level) {
  Place after;
  after.inside = machine_.after_value({level}, 0);
  if (after.inside.phase == Phase::kDone) after.outside = outside_.enter(after.inside);
  return after;
}

// Allows the tokens that go on from a part of a scalar; what ends it is tried token by token where
// `each`. False, and nothing allowed, where that is not known this way.
bool SchemaWalk::part_piece(std::uint32_t node, const LeafPart& part, bool each) {
  constexpr std::uint64_t kSlack = 64;  // bytes of a character and the end
  const ScalarRun& run = machine_.scalars_[part.scalar].run;
  const Terminal* terminal = run.terminal();
  if (terminal == nullptr) {
    return part_walk(node, {part, false, each, machine_.level_bound(part.next)});
  }
  const ScalarRun::Place at = run.place(part.state);
  const std::uint64_t bound = std::uint64_t{at.owed} + kSlack + machine_.level_bound(part.next);
  if (bound > Program::kLongestClosing) return false;
  const Piece* piece = terminal->piece(vocabulary_, at.q, node);
  if (piece == nullptr) return false;
  largest_ = std::max(largest_, bound);
  allow_stay(*piece, at.left);
  const bool at_once = terminal->boundary() == Terminal::kDead
                           ? terminal->accepting(at.q)
                           : at.q == terminal->boundary() && at.owed == 0;
  if (!at_once && piece->exits.empty()) return true;
  const Place after = after_value(part.next);
  if (after.outside == Automaton::kDead) return true;
  if (!piece->exits.empty()) exits(*piece, after, at.owed, at.left, {}, each);
  if (!at_once) return true;
  Tokens tokens = all_;
  tokens.each = each;
  if (terminal->boundary() == Terminal::kDead) {
    below(tokens, node, after);
    return true;
  }
  const std::uint32_t quote = all_.trie->child(node, '"');
  if (quote == TokenTrie::kNone) return true;
  path_[all_.trie->nodes()[quote].depth] = '"';
  emit(tokens, quote, after);
  below(tokens, quote, after);
  return true;
}

// The same for a part that words or an automaton read.
bool SchemaWalk::part_walk(std::uint32_t node, const Part& part) {
  constexpr unsigned kMostStay = 60;  // of 95 printable characters
  if (!note_part(part, part.leaf.state)) return false;
  const bool automaton = machine_.scalars_[part.leaf.scalar].run.automaton() != nullptr;
  if (automaton && node == TokenTrie::kRoot && machine_.library_->string() != nullptr) {
    const SchemaMachine::Loops& loops = machine_.loops(part.leaf.scalar, part.leaf.state);
    if (loops.bytes.count() > kMostStay && note_part(part, loops.into)) {
      part_table(part);
      return true;
    }
  }
  part_below(node, part);
  return true;
}

bool SchemaWalk::note_part(const Part& part, std::uint32_t state) {
  const std::uint64_t bound =
      machine_.scalars_[part.leaf.scalar].run.closing_size(state) + part.after;
  if (bound > Program::kLongestClosing) return false;
  largest_ = std::max(largest_, bound + 8);
  return true;
}

SchemaWalk::Place SchemaWalk::after_part(const Part& part) {
  if (!part.key) return after_value(part.leaf.next);
  Place after;
  after.inside = {Phase::kColon, 0, part.leaf.next, 0, 0};
  after.stands_in = true;
  return after;
}

// In a string where most characters change nothing: tokens made of those come from tables, the
// others that stay inside or leave are tried on the automaton alone.
void SchemaWalk::part_table(const Part& part) {
  const SchemaMachine::Loops loops = machine_.loops(part.leaf.scalar, part.leaf.state);
  const Terminal& string = *machine_.library_->string();
  const Piece& piece = *string.piece(vocabulary_, string.boundary(), TokenTrie::kRoot);
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  std::vector<std::uint64_t> inside((vocabulary_.size() + 63) / 64);
  if (!piece.dense.empty()) inside = piece.dense.back().words;
  for (const Piece::Stay& stay : piece.stay) {
    inside[static_cast<std::size_t>(stay.id) / 64] |= std::uint64_t{1} << (stay.id % 64);
  }
  std::vector<std::uint64_t> others(inside.size());
  for (unsigned b = 0; b <= 0x80; ++b) {
    if (b < 0x80 ? loops.bytes.has(b) : loops.beyond) continue;
    const auto& holding = machine_.library_->holding(b).words;
    for (std::size_t w = 0; w < holding.size(); ++w) others[w] |= holding[w];
  }
  auto& words = mask_.words();
  for (std::size_t w = 0; w < words.size(); ++w) words[w] |= inside[w] & ~others[w];
  const auto reads = [&](std::string_view text) {
    std::uint32_t at = part.leaf.state;
    for (std::size_t i = 0; i < text.size() && at != ScalarRun::kNone; ++i) {
      at = run.step(at, static_cast<unsigned char>(text[i]));
    }
    return at;
  };
  for_each_bit(others, [&](TokenId id) {
    const std::uint32_t to = reads(vocabulary_.bytes(id));
    if (to != ScalarRun::kNone && note_part(part, to)) mask_.allow(id);
  });
  const Place after = after_part(part);
  if (after.outside == Automaton::kDead) return;
  const auto ends = [&](std::uint32_t at) {
    at = at == ScalarRun::kNone ? at : run.step(at, '"');
    return at != ScalarRun::kNone && run.accepting(at);
  };
  std::vector<std::uint32_t> without;
  std::string_view text;  // exits are sorted by what they have inside
  bool fit = false;
  for (std::uint32_t i = 0; i < piece.exits.size(); ++i) {
    const Piece::Exit& exit = piece.exits[i];
    const std::string_view own = vocabulary_.bytes(exit.id).substr(exit.from, exit.size);
    if (i == 0 || own != text) {
      text = own;
      fit = ends(reads(own));
    }
    if (!fit) without.push_back(i);
  }
  if (without.size() < piece.exits.size()) exits(piece, after, 0, UINT32_MAX, without, part.each);
  const std::uint32_t quote = all_.trie->child(TokenTrie::kRoot, '"');
  if (quote == TokenTrie::kNone || !ends(part.leaf.state)) return;
  Tokens tokens = all_;
  tokens.each = part.each;
  path_[1] = '"';
  emit(tokens, quote, after);
  below(tokens, quote, after);
}

// Over the trie along the scalar alone, in the order of its nodes.
void SchemaWalk::part_below(std::uint32_t node, const Part& part) {
  Tokens tokens = all_;
  tokens.each = part.each;
  std::optional<Place> after;  // made when it is needed
  const auto live_after = [&] {
    if (!after) after = after_part(part);
    return after->outside != Automaton::kDead;
  };
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  Automaton* const automaton = run.automaton();
  if (run.accepting(part.leaf.state) && live_after()) below(tokens, node, *after);
  const auto nodes = all_.trie->nodes();
  const std::size_t base = node == TokenTrie::kRoot ? 0 : nodes[node].depth;
  std::vector<std::uint32_t> path(all_.trie->longest() + 1);
  path[base] = part.leaf.state;
  std::uint32_t noted = part.leaf.state;
  bool noted_fits = true;
  std::vector<std::uint32_t> first;
  all_.trie->children(node, run.next_bytes(part.leaf.state), first);
  for (const std::uint32_t top : first) {
    for (std::uint32_t i = top; i < nodes[top].next;) {
      const TokenTrie::Node& at = nodes[i];
      const std::uint32_t before = path[at.depth - 1U];
      std::uint32_t state = ScalarRun::kNone;
      if (automaton != nullptr) {
        const StateId next = automaton->live_step(before, at.byte);
        if (next != Automaton::kDead) state = next;
      } else {
        state = run.step(before, at.byte);
      }
      if (state == ScalarRun::kNone) {
        i = at.next;
        continue;
      }
      path[at.depth] = state;
      const bool ends = run.accepting(state);
      const bool goes_on = !ends || !run.next_bytes(state).none();
      if (goes_on && at.token_count > 0) {
        if (state != noted) noted_fits = note_part(part, state);
        noted = state;
        if (noted_fits) {
          for (const TokenId id : all_.trie->tokens_at(i)) mask_.allow(id);
        }
      }
      if (ends && live_after()) {
        path_[at.depth] = at.byte;
        if (!goes_on && at.token_count > 0) emit(tokens, i, *after);
        below(tokens, i, *after);
      }
      i = goes_on ? i + 1 : at.next;
    }
  }
}

// Inside a key: as leaf_pieces().
bool SchemaWalk::key_pieces(std::uint32_t node, Place& key) {
  constexpr std::uint64_t kColon = 16;
  const SchemaMachine::Level& level = *machine_.levels_[key.inside.b];
  if (level.after_other_key != 0) return key_piece(node, key);
  if (level.key_values.empty()) return false;
  const bool each = key.stands_in || level.recorded;
  const std::vector<LeafPart> parts = machine_.leaves_[key.inside.a].parts;
  std::vector<LeafPart> rest;  // the object's own names
  for (const LeafPart& part : parts) {
    const auto value = std::find_if(level.key_values.begin(), level.key_values.end(),
                                    [&](const auto& one) { return one.first == part.scalar; });
    LeafPart whole = part;
    if (value != level.key_values.end()) whole.next = value->second;
    if (whole.next == 0 || !part_walk(node, {whole, true, each, level.after_key + kColon})) {
      rest.push_back(part);
    }
  }
  if (rest.size() != parts.size()) key.inside.a = machine_.leaf(std::move(rest));
  return key.inside.a == 0;
}

// Inside a key where any other key may come: every beginning can become one.
bool SchemaWalk::key_piece(std::uint32_t node, const Place& key) {
  const SchemaMachine::LevelId object = key.inside.b;
  const SchemaMachine::Level& level = *machine_.levels_[object];
  const auto& parts = machine_.leaves_[key.inside.a].parts;
  if (level.after_other_key == 0 || parts.size() != 1) return false;
  const ScalarRun& run = machine_.scalars_[parts[0].scalar].run;
  const Terminal* terminal = run.terminal();
  if (terminal == nullptr || !note(key)) return false;
  const ScalarRun::Place at = run.place(parts[0].state);
  const Piece* piece = terminal->piece(vocabulary_, at.q, node);
  if (piece == nullptr) return false;
  allow_stay(*piece, UINT32_MAX);
  const std::size_t depth = node == TokenTrie::kRoot ? 0 : all_.trie->nodes()[node].depth;
  std::vector<std::uint32_t> alone;  // exits that complete one of the object's own keys
  if (key.stands_in || level.recorded) {
    for (std::uint32_t i = 0; i < piece->exits.size(); ++i) alone.push_back(i);
  } else if (!piece->exits.empty()) {
    const std::string text = key_text(all_, key, depth);
    const auto inside = [&](const Piece::Exit& e) {
      return vocabulary_.bytes(e.id).substr(e.from, e.size);
    };
    for (auto own = std::lower_bound(level.own_keys->begin(), level.own_keys->end(), text);
         own != level.own_keys->end() && own->starts_with(text); ++own) {
      const std::string_view rest = std::string_view(*own).substr(text.size());
      if (rest.empty()) continue;  // its quote is walked below
      auto e =
          std::lower_bound(piece->exits.begin(), piece->exits.end(), rest,
                           [&](const Piece::Exit& x, std::string_view r) { return inside(x) < r; });
      for (; e != piece->exits.end() && inside(*e) == rest; ++e) {
        alone.push_back(static_cast<std::uint32_t>(e - piece->exits.begin()));
      }
    }
    std::sort(alone.begin(), alone.end());
    alone.erase(std::unique(alone.begin(), alone.end()), alone.end());
  }
  for (const std::uint32_t i : alone) {
    if (fits(piece->exits[i].id)) mask_.allow(piece->exits[i].id);
  }
  if (alone.size() < piece->exits.size()) {
    Place after;
    after.inside = {Phase::kColon, 0, level.after_other_key, 0, 0};
    after.stands_in = true;
    exits(*piece, after, 0, UINT32_MAX, alone, false);
  }
  if (at.q != terminal->boundary()) return true;
  const std::uint32_t quote = all_.trie->child(node, '"');
  Place next;
  if (quote != TokenTrie::kNone && visit(all_, quote, key, next)) below(all_, quote, next);
  return true;
}

void SchemaWalk::allow_stay(const Piece& piece, std::uint32_t most) {
  for (const Piece::Stay& stay : piece.stay) {
    if (stay.begun > most) break;
    mask_.allow(stay.id);
  }
  const auto longer = std::upper_bound(piece.lengths.begin(), piece.lengths.end(), most);
  if (longer == piece.lengths.begin()) return;
  mask_.allow(piece.dense[static_cast<std::size_t>(longer - piece.lengths.begin()) - 1]);
}

// The exits that fit before `after`. Which they are depends on nothing but that place, so it is
// listed once, unless the walk left the value.
void SchemaWalk::exits(const Piece& piece, const Place& after, std::uint32_t fewest,
                       std::uint32_t most, std::span<const std::uint32_t> without, bool each) {
  Tokens tokens;
  tokens.trie = piece.after.get();
  tokens.piece = &piece;
  tokens.path = &exit_path_;
  tokens.each = each;
  const auto walk = [&] {
    if (note(after)) {
      for (const std::uint32_t i : piece.ends) emit_one(tokens, static_cast<TokenId>(i));
    }
    below(tokens, TokenTrie::kRoot, after);
  };
  const auto filter = [&] {
    tokens.fewest = fewest;
    tokens.most = most;
    tokens.without = without;
  };
  if (each || after.outside != 0) {
    filter();
    walk();
    return;
  }
  const SchemaMachine::ExitKey key{&piece, after.inside, after.stands_in};
  auto known = machine_.exit_lists_.find(key);
  if (known == machine_.exit_lists_.end()) {
    SchemaMachine::ExitList list;
    const std::uint64_t before = std::exchange(largest_, 0);
    noted_ = {};
    went_outside_ = false;
    tokens.list = &list;
    walk();
    tokens.list = nullptr;
    list.largest = largest_;
    largest_ = std::max(before, largest_);
    if (went_outside_) {  // the same again, for what stands around the value here
      filter();
      walk();
      return;
    }
    machine_.bytes_ += (list.fit.size() + list.unsure.size()) * sizeof(std::uint32_t) + 128;
    known = machine_.exit_lists_.emplace(key, std::move(list)).first;
  }
  largest_ = std::max(largest_, known->second.largest);
  filter();
  for (const std::uint32_t i : known->second.fit) emit_one(tokens, static_cast<TokenId>(i));
  const std::vector<std::uint32_t> unsure = known->second.unsure;
  for (const std::uint32_t i : unsure) {
    const bool alone = std::binary_search(without.begin(), without.end(), i);
    if (!alone && fits(piece.exits[i].id)) emit_one(tokens, static_cast<TokenId>(i));
  }
}

// One token, byte by byte from the walk's beginning.
bool SchemaWalk::fits(TokenId token) {
  Place at;
  at.inside = from_;
  for (const char c : vocabulary_.bytes(token)) {
    const auto byte = static_cast<unsigned char>(c);
    if (at.outside != 0) {
      at.outside = outside_.step(at.outside, byte);
    } else {
      at.inside = machine_.advance(at.inside, byte);
      if (at.inside.phase == Phase::kDead) return false;
      if (machine_.accepting(at.inside)) at.outside = outside_.enter(at.inside);
    }
    if (at.outside == Automaton::kDead) return false;
  }
  return note(at);
}

}  // namespace espalier::grammar
