// Scalars and keys in the walk of a mask: the tokens that stay inside one by tables, those that
// leave it by what they have left.
#include <algorithm>
#include <array>
#include <utility>

#include "grammar/program.h"
#include "grammar/schema/schema_walk.h"

namespace espalier::grammar {

// Inside a scalar: allows what is known of its parts, and leaves the others in `leaf`. True where
// none are left.
bool SchemaWalk::leaf_pieces(std::uint32_t node, State& leaf, std::uint8_t stands_in) {
  const SchemaMachine::LeafParts& parts = machine_.leaves_[leaf.a].parts;
  SchemaMachine::LeafParts rest;
  for (const LeafPart& part : parts) {
    if (!part_piece(node, value_part(part, stands_in))) rest.push_back(part);
  }
  if (rest.size() != parts.size()) leaf.a = machine_.leaf(std::move(rest));
  return leaf.a == 0;
}

SchemaWalk::Part SchemaWalk::value_part(const LeafPart& part, std::uint8_t stands_in) {
  Part out;
  const bool item = machine_.joins_list(part.next);
  out.stands_in = stands_in;
  out.leaf = part;
  out.after = machine_.level_bound(part.next);
  if (item) out.any_item = &machine_.after_any_item(part);
  if (item && out.any_item->level == 0) out.any_item = nullptr;
  out.each = item && out.any_item == nullptr;
  return out;
}

SchemaWalk::Place SchemaWalk::after_part(const Part& part) {
  Place after;
  after.stands_in = part.stands_in;
  if (part.key) {
    after.inside = machine_.without_text({Phase::kColon, 0, part.leaf.next, 0, 0});
    after.stands_in |= kKey;
  } else if (part.any_item != nullptr) {
    after.inside = machine_.without_text({Phase::kNext, 0, part.any_item->level, 0, 0});
    after.stands_in |= kItem;
  } else {
    after.inside = machine_.after_value(std::span(&part.leaf.next, 1), kLostText);
    if (after.inside.phase == Phase::kDone) after.outside = outside_.enter(after.inside);
  }
  return after;
}

// Allows the tokens that go on from a part of a scalar or a key; what ends it is tried token by
// token where `each`. False, and nothing allowed, where that is not known this way.
bool SchemaWalk::part_piece(std::uint32_t node, const Part& part) {
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  if (run.terminal() != nullptr && terminal_piece(node, part)) return true;
  if (run.dfa() != nullptr && node == TokenTrie::kRoot && dfa_piece(part)) return true;
  if (run.product() != nullptr && product_piece(node, part)) return true;
  if (!note_part(part, part.leaf.state)) return false;
  part_below(node, part);
  return true;
}

// By a terminal's piece.
bool SchemaWalk::terminal_piece(std::uint32_t node, const Part& part) {
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  const Terminal& terminal = *run.terminal();
  const ScalarRun::Place at = run.place(part.leaf.state);
  if (!note_bound(at.owed + run.longest_taken() + part.after)) return false;
  const Piece* piece = terminal.piece(vocabulary_, at.q, node);
  if (piece == nullptr) return false;
  allow_untaken(node, part, [&](MaskBuilder& to) { allow_stay(to, *piece, at.left); });
  const bool quoted = terminal.boundary() != Terminal::kDead;
  const bool at_once =
      quoted ? at.q == terminal.boundary() && at.owed == 0 : terminal.accepting(at.q);
  leave(node, part, {piece, at.owed, at.left, nullptr, {}}, quoted, at_once);
  return true;
}

// By what a finished automaton's state does with the whole vocabulary.
bool SchemaWalk::dfa_piece(const Part& part) {
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  const ScalarDfa& dfa = *run.dfa();
  const ScalarDfa::State q = run.dfa_state(part.leaf.state);
  const std::uint32_t left = run.characters_left(part.leaf.state);
  const std::uint32_t owed = run.characters_owed(part.leaf.state);
  const bool bounded = left != ScalarRun::kUnbounded;
  if ((bounded || owed > 0) && !dfa.between(q)) return false;
  std::uint64_t closing = dfa.longest_closing();
  if (bounded)
    closing = std::max<std::uint64_t>(closing,
                                      std::uint64_t{dfa.most_left()} * Terminal::kLongestCharacter);
  closing = std::max(closing, run.longest_owing(owed));
  if (!note_bound(closing + run.longest_taken() + part.after)) return false;
  const ScalarDfa::Tables& tables = machine_.library_->tables();
  const std::shared_ptr<const ScalarDfa::Tokens> tokens = dfa.tokens(tables, q);
  allow_untaken(TokenTrie::kRoot, part, [&](MaskBuilder& to) {
    if (bounded && left < vocabulary_.longest_token() + dfa.most_left(q)) {
      allow_counted(to, part, *tokens, left);
      return;
    }
    to.allow(TokenListRef{tokens, tokens->stay});
    if (!tokens->many.words.empty()) to.allow(MaskTableRef(tokens, &tokens->many));
  });
  const bool at_once =
      owed == 0 && (dfa.quoted() ? dfa.accepting(dfa.next(q, '"')) : dfa.accepting(q));
  leave(TokenTrie::kRoot, part,
        {dfa.quoted() ? tables.quoted : tables.bare, owed, left, &tokens->exits, {}}, dfa.quoted(),
        at_once);
  return true;
}

// The same of automata that are run side by side.
bool SchemaWalk::product_piece(std::uint32_t node, const Part& part) {
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  ScalarProduct& product = *run.product();
  const ScalarProduct::State q = run.product_state(part.leaf.state);
  const std::size_t before = product.bytes();
  const std::shared_ptr<const ScalarProduct::Tokens> tokens = product.tokens(q, node);
  const ScalarProduct::State quote = product.next(q, '"');
  machine_.bytes_ += product.bytes() - before;
  if (tokens == nullptr) return false;
  if (!note_bound(tokens->longest + run.longest_taken() + part.after)) return false;
  allow_untaken(node, part, [&](MaskBuilder& to) {
    to.allow(TokenListRef{tokens, tokens->stay});
    if (!tokens->many.words.empty()) to.allow(MaskTableRef(tokens, &tokens->many));
  });
  const bool at_once = quote != ScalarProduct::kNone && product.accepting(quote);
  leave(node, part, {tokens->piece, 0, ScalarRun::kUnbounded, &tokens->exits, {}}, true, at_once);
  return true;
}

// What `allow` collects, but for tokens that only texts go on from which were taken away.
template <class Allow>
void SchemaWalk::allow_untaken(std::uint32_t node, const Part& part, Allow&& allow) {
  const ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  std::vector<TokenId> lost;
  if (!run.sparse() && run.taken_node(part.leaf.state) != 0) lost = lost_to_taken(node, part);
  if (lost.empty()) {
    allow(mask_);
    return;
  }
  MaskBuilder own(vocabulary_.size());
  allow(own);
  auto& kept = own.words();
  for (const TokenId id : lost) {
    kept[static_cast<std::size_t>(id) / 64] &= ~(std::uint64_t{1} << (id % 64));
  }
  auto& words = mask_.words();
  for (std::size_t w = 0; w < words.size(); ++w) words[w] |= kept[w];
}

// Over the trie along the texts that were taken away: where no other text is left, none is below.
std::vector<TokenId> SchemaWalk::lost_to_taken(std::uint32_t node, const Part& part) {
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  const WordTrie& taken = *run.taken();
  struct Beginning {
    std::uint32_t node, text, state;
  };
  std::vector<TokenId> out;
  std::vector<Beginning> open{{node, run.taken_node(part.leaf.state), part.leaf.state}};
  while (!open.empty()) {
    const Beginning at = open.back();
    open.pop_back();
    for (ByteSet rest = taken.bytes_of(at.text); !rest.none(); rest.remove(rest.lowest())) {
      const auto byte = static_cast<unsigned char>(rest.lowest());
      const std::uint32_t below = all_.trie->child(at.node, byte);
      const std::uint32_t text = taken.step(at.text, byte);
      if (below == TokenTrie::kNone || (byte == '"' && taken.accepting(text))) continue;
      const std::uint32_t state =
          at.state == ScalarRun::kNone ? ScalarRun::kNone : run.step(at.state, byte);
      if (state == ScalarRun::kNone) {
        const auto ids = all_.trie->tokens_at(below);
        out.insert(out.end(), ids.begin(), ids.end());
      }
      open.push_back({below, text, state});
    }
  }
  return out;
}

// Of the tokens that stay inside, those after which the string can be completed while at most
// `left` more characters begin: surely where they begin few, else by trying.
void SchemaWalk::allow_counted(MaskBuilder& to, const Part& part, const ScalarDfa::Tokens& tokens,
                               std::uint32_t left) {
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  const ScalarDfa::Tables& tables = machine_.library_->tables();
  const auto try_token = [&](TokenId id) {
    if (run.reads(part.leaf.state, vocabulary_.bytes(id))) to.allow(id);
  };
  for (const TokenId id : tokens.stay) try_token(id);
  if (tokens.many.words.empty()) return;
  // Tokens that begin at most so many characters; nullptr: none.
  const auto beginning = [&](std::uint32_t most) -> const std::vector<std::uint64_t>* {
    if (tables.inside == nullptr) return nullptr;
    const auto& lengths = tables.inside->lengths;
    const auto longer = std::upper_bound(lengths.begin(), lengths.end(), most);
    if (longer == lengths.begin()) return nullptr;
    return &tables.inside->dense[static_cast<std::size_t>(longer - lengths.begin()) - 1].words;
  };
  const std::uint32_t most = run.dfa()->most_left(run.dfa_state(part.leaf.state));
  const auto* surely = left >= most ? beginning(left - most) : nullptr;
  const auto* perhaps = beginning(left);
  if (perhaps == nullptr) return;
  const auto& stay = tokens.many.words;
  auto& words = to.words();
  std::vector<std::uint64_t> trying(words.size());
  for (std::size_t w = 0; w < words.size(); ++w) {
    const std::uint64_t sure = surely != nullptr ? stay[w] & (*surely)[w] : 0;
    words[w] |= sure;
    trying[w] = stay[w] & (*perhaps)[w] & ~sure;
  }
  for_each_bit(trying, try_token);
}

// What ends a part: exits, and the end that comes at once.
void SchemaWalk::leave(std::uint32_t node, Part part, Exits exits, bool quoted, bool at_once) {
  const bool none = exits.only != nullptr ? exits.only->empty() : exits.piece->exits.empty();
  if (none && !at_once) return;
  const ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  std::vector<std::uint32_t> taken, alone;
  if (const std::uint32_t at = run.taken_node(part.leaf.state); at != 0) {
    run.taken()->for_each_below(at, [&](std::string_view text) {
      if (quoted) text.remove_suffix(1);
      if (text.empty()) {
        at_once = false;
      } else {
        exits_of(*exits.piece, text, taken);
      }
    });
    std::sort(taken.begin(), taken.end());
  }
  bool exact = part.each;
  if (part.any_item != nullptr && !apart_exits(node, part, *exits.piece, alone, exact)) {
    part.any_item = nullptr;
    part.each = exact = true;
  }
  if (!alone.empty()) {
    Tokens tokens;
    tokens.piece = exits.piece;
    tokens.which = &exits;
    exits.without = taken;
    for (const std::uint32_t exit : alone) try_exit(tokens, exit);
    taken.insert(taken.end(), alone.begin(), alone.end());
    std::sort(taken.begin(), taken.end());
  }
  exits.without = taken;
  const bool missed = machine_.text_missed_;
  const Place after = after_part(part);
  if (after.outside == Automaton::kDead) return;
  // Which tokens may come behind the item is not known without it: all that end it are tried.
  const bool unknown =
      part.each && machine_.text_missed_ && !missed && stem_mask_ == nullptr && !listing_;
  const bool ends_here = stem_mask_ != nullptr && ends_stem(after);
  if (unknown) {
    machine_.text_missed_ = false;
    Tokens tokens;
    tokens.piece = exits.piece;
    tokens.which = &exits;
    const std::size_t count = exits.piece->exits.size();
    for (std::uint32_t exit = 0; exit < count; ++exit) try_exit(tokens, exit);
  } else if (!none && ends_here) {
    way(exits);
  } else if (!none) {
    this->exits(exits, after, part.each);
  }
  if (!at_once) return;
  Tokens tokens = all_;
  tokens.each = part.each;
  const std::uint32_t quote = quoted ? all_.trie->child(node, '"') : node;
  if (quote == TokenTrie::kNone) return;
  if (quoted) path_[all_.trie->nodes()[quote].depth] = '"';
  if (ends_here) {
    way(tokens, quote, quoted);
    return;
  }
  Place here = after;
  if (exact) {
    if (const auto found = exact_end(node, quoted)) {
      if (dead(*found)) return;
      here = *found;
      tokens.each = false;
    }
  }
  if (unknown && tokens.each) {
    try_each(all_, all_.trie->tokens_below(quote));
    return;
  }
  if (quoted) emit(tokens, quote, here);
  listed(tokens, quote, here, false);
}

// What an item that ends a part has of its text at the node; nothing where that is not known.
std::optional<ItemSoFar> SchemaWalk::item_before(std::uint32_t node, const Part& part) const {
  if (part.leaf.state == machine_.scalars_[part.leaf.scalar].run.start()) {
    return ItemSoFar{};
  }
  if (node != TokenTrie::kRoot) return std::nullopt;
  return machine_.item_so_far(from_);
}

// Of an item whose text makes a difference where it is one of few: the exits that may become one of
// these; whether it is one `here`. False where that is not known.
bool SchemaWalk::apart_exits(std::uint32_t node, const Part& part, const Piece& piece,
                             std::vector<std::uint32_t>& alone, bool& here) const {
  const auto& apart = part.any_item->apart;
  if (apart.empty()) return true;
  const auto read = item_before(node, part);
  if (!read) return false;
  auto at = std::lower_bound(apart.begin(), apart.end(), read->text);
  for (; at != apart.end() && at->starts_with(read->text); ++at) {
    const std::string_view rest = std::string_view(*at).substr(read->text.size());
    if (rest.empty()) {
      here = true;
    } else if (!read->escape.empty()) {
      return false;
    } else {
      exits_of(piece, rest, alone);
    }
  }
  alone.insert(alone.end(), piece.respelled.begin(), piece.respelled.end());
  std::sort(alone.begin(), alone.end());
  alone.erase(std::unique(alone.begin(), alone.end()), alone.end());
  return true;
}

// Whether it makes a difference where the item ends below `node` with the edge to `at`.
bool SchemaWalk::differs_at(std::uint32_t node, const Part& part, std::uint32_t at) const {
  if (part.any_item == nullptr || part.any_item->apart.empty()) return false;
  const auto read = item_before(node, part);
  if (!read || !read->escape.empty() || at == node) return true;
  const auto nodes = all_.trie->nodes();
  const std::size_t from = node == TokenTrie::kRoot ? 0 : nodes[node].depth;
  const std::string_view inside =
      vocabulary_.bytes(all_.trie->tokens_below(at)[0]).substr(from, nodes[at].depth - from - 1U);
  const auto& apart = part.any_item->apart;
  return Piece::respells(inside) ||
         std::binary_search(apart.begin(), apart.end(), read->text + std::string(inside));
}

// Where the scalar that the walk began in ends now (with a quote), all of its text being known.
std::optional<SchemaWalk::Place> SchemaWalk::exact_end(std::uint32_t node, bool quoted) {
  if (node != TokenTrie::kRoot || from_.phase != Phase::kLeaf || from_.text == kLostText) {
    return std::nullopt;
  }
  Place out;
  if (quoted) {
    out = replayed("\"");
  } else {
    out.inside = machine_.leaf_end(from_.a, from_.text);
    if (out.inside.phase == Phase::kDone) out.outside = outside_.enter(out.inside);
  }
  out.inside = machine_.without_text(out.inside);
  return out;
}

// Appends the exits that have `text` inside.
void SchemaWalk::exits_of(const Piece& piece, std::string_view text,
                          std::vector<std::uint32_t>& out) const {
  const auto inside = [&](const Piece::Exit& e) {
    return vocabulary_.bytes(e.id).substr(e.from, e.size);
  };
  auto e =
      std::lower_bound(piece.exits.begin(), piece.exits.end(), text,
                       [&](const Piece::Exit& x, std::string_view t) { return inside(x) < t; });
  for (; e != piece.exits.end() && inside(*e) == text; ++e) {
    out.push_back(static_cast<std::uint32_t>(e - piece.exits.begin()));
  }
}

bool SchemaWalk::note_bound(std::uint64_t bound) {
  constexpr std::uint64_t kSlack = 64;  // bytes of a character and the end
  if (bound + kSlack > Program::kLongestClosing) return false;
  largest_ = std::max(largest_, bound + kSlack);
  return true;
}

bool SchemaWalk::note_part(const Part& part, std::uint32_t state) {
  return note_bound(machine_.scalars_[part.leaf.scalar].run.closing_size(state) + part.after);
}

// Over the trie below the node along a scalar alone, each node behind the one above it: `visit`
// gets a node and the scalar's state there, and says whether to go on below it.
template <class Visit>
void SchemaWalk::along(std::uint32_t node, ScalarRun& run, std::uint32_t from, Visit visit) {
  const auto nodes = all_.trie->nodes();
  SmallVector<std::uint32_t, 160> states;  // by depth, from the node's on
  states.reserve(all_.trie->longest() + 1);
  std::uint32_t* const path = states.data();
  path[node == TokenTrie::kRoot ? 0 : nodes[node].depth] = from;
  const std::size_t bottom = todo_.size();
  all_.trie->children(node, run.tried_bytes(from), todo_);
  while (todo_.size() > bottom) {
    const std::uint32_t i = todo_.back();
    todo_.pop_back();
    const std::size_t depth = nodes[i].depth;
    const std::uint32_t state = run.step(path[depth - 1], nodes[i].byte);
    if (state == ScalarRun::kNone) continue;
    path[depth] = state;
    if (visit(i, state) && nodes[i].next != i + 1)
      all_.trie->children(i, run.tried_bytes(state), todo_);
  }
}

// Over the trie along the scalar alone.
void SchemaWalk::part_below(std::uint32_t node, const Part& part) {
  std::optional<Place> usual;  // made when it is needed
  const auto end = [&](std::uint32_t at, bool emits) {
    Tokens tokens = all_;
    std::optional<Place> after;
    if (part.each || differs_at(node, part, at)) {
      after = at == node ? exact_end(node, false) : behind_item(all_, at);
      tokens.each = !after;
    }
    if (!after) {
      if (!usual) usual = after_part(part);
      after = usual;
    }
    if (dead(*after)) return;
    if (stem_mask_ != nullptr && ends_stem(*after)) {
      way(tokens, at, emits);
      return;
    }
    if (emits) emit(tokens, at, *after);
    below(tokens, at, *after);
  };
  ScalarRun& run = machine_.scalars_[part.leaf.scalar].run;
  if (run.accepting(part.leaf.state)) end(node, false);
  struct Noted {
    std::uint32_t state = ScalarRun::kNone;
    bool fits = false;
  };
  std::array<Noted, 64> noted;  // states that tokens ended at of late, by their last bits
  along(node, run, part.leaf.state, [&](std::uint32_t i, std::uint32_t state) {
    const TokenTrie::Node& at = all_.trie->nodes()[i];
    const bool ends = run.accepting(state);
    const bool goes_on = !ends || run.goes_on(state);
    if (goes_on && at.token_count > 0) {
      Noted& known = noted[state % noted.size()];
      if (state != known.state) known = {state, note_part(part, state)};
      if (known.fits) {
        for (const TokenId id : all_.trie->tokens_at(i)) mask_.allow(id);
      }
    }
    if (ends) {
      path_[at.depth] = at.byte;
      end(i, !goes_on && at.token_count > 0);
    }
    return goes_on;
  });
}

// Inside a key: as leaf_pieces().
bool SchemaWalk::key_pieces(std::uint32_t node, Place& key) {
  constexpr std::uint64_t kColon = 16;
  const SchemaMachine::Level& level = machine_.levels_[key.inside.b];
  if (level.any_key) return key_piece(node, key);
  if (level.key_values.empty()) return named_keys(node, key);
  const bool each = (key.stands_in & kKey) != 0;
  const SchemaMachine::LeafParts& parts = machine_.leaves_[key.inside.a].parts;
  SchemaMachine::LeafParts rest;  // the object's own names
  for (const LeafPart& part : parts) {
    const auto value = std::find_if(level.key_values.begin(), level.key_values.end(),
                                    [&](const auto& one) { return one.first == part.scalar; });
    LeafPart whole = part;
    if (value != level.key_values.end()) whole.next = value->second;
    if (whole.next == 0 ||
        !part_piece(node, {whole, true, each, nullptr, level.after_key + kColon, key.stands_in})) {
      rest.push_back(part);
    }
  }
  if (rest.size() != parts.size()) key.inside.a = machine_.leaf(std::move(rest));
  return key.inside.a == 0;
}

// Inside a key that is one of few names: along these alone, whose places are not kept. False, and
// nothing allowed, where more than the names matters.
bool SchemaWalk::named_keys(std::uint32_t node, const Place& key) {
  const State& s = key.inside;
  const auto& parts = machine_.leaves_[s.a].parts;
  if (parts.size() != 1 || (key.stands_in & kKey) != 0) return false;
  const LeafPart part = parts[0];
  ScalarRun& run = machine_.scalars_[part.scalar].run;
  along(node, run, part.state, [&](std::uint32_t i, std::uint32_t state) {
    const TokenTrie::Node& at = all_.trie->nodes()[i];
    path_[at.depth] = at.byte;
    Place next;
    next.stands_in = key.stands_in;
    if (run.accepting(state)) {
      const auto value = machine_.value_after_spelled(s.b, key_text(all_, key, at.depth - 1U));
      if (value == 0) return false;
      next.inside = machine_.without_text({Phase::kColon, 0, value, 0, 0});
      if (at.token_count > 0) emit(all_, i, next);
      if (at.next != i + 1) below(all_, i, next);
      return false;
    }
    if (at.token_count > 0) {
      const std::uint64_t closing = machine_.key_bound(s.b, run.closing_size(state));
      if (closing <= Program::kLongestClosing) {
        largest_ = std::max(largest_, closing);
        for (const TokenId id : all_.trie->tokens_at(i)) mask_.allow(id);
      } else {
        const LeafPart reached{part.scalar, state, part.next};
        const auto leaf = machine_.leaf(SchemaMachine::LeafParts(&reached, &reached + 1));
        next.inside = {Phase::kKey, 0, leaf, s.b, s.text};
        next.key = key.key;
        emit(all_, i, next);
      }
    }
    return true;
  });
  return true;
}

// Inside a key where any other key may come: every beginning can become one.
bool SchemaWalk::key_piece(std::uint32_t node, const Place& key) {
  const SchemaMachine::LevelId object = key.inside.b;
  const SchemaMachine::Level& level = machine_.levels_[object];
  const auto& parts = machine_.leaves_[key.inside.a].parts;
  if (!level.any_key || parts.size() != 1) return false;
  const ScalarRun& run = machine_.scalars_[parts[0].scalar].run;
  const Terminal* terminal = run.terminal();
  if (terminal == nullptr || !note(key)) return false;
  const ScalarRun::Place at = run.place(parts[0].state);
  const Piece* piece = terminal->piece(vocabulary_, at.q, node);
  if (piece == nullptr) return false;
  allow_stay(mask_, *piece, UINT32_MAX);
  const std::size_t depth = node == TokenTrie::kRoot ? 0 : all_.trie->nodes()[node].depth;
  SmallVector<std::uint32_t, 16> alone;  // exits that complete one of the object's own keys
  if ((key.stands_in & kKey) != 0) {
    for (std::uint32_t i = 0; i < piece->exits.size(); ++i) alone.push_back(i);
  } else if (!piece->exits.empty()) {
    const std::string text = key_text(all_, key, depth);
    const auto inside = [&](const Piece::Exit& e) {
      return vocabulary_.bytes(e.id).substr(e.from, e.size);
    };
    const auto keys = machine_.own_keys(level);
    for (auto own = std::ranges::lower_bound(*keys, std::string_view(text));
         own != keys->end() && own->starts_with(text); ++own) {
      const std::string_view rest = own->substr(text.size());
      if (rest.empty()) continue;  // its quote is walked below
      if (!piece->may_hold(rest)) continue;
      auto e =
          std::lower_bound(piece->exits.begin(), piece->exits.end(), rest,
                           [&](const Piece::Exit& x, std::string_view r) { return inside(x) < r; });
      for (; e != piece->exits.end() && inside(*e) == rest; ++e) {
        alone.push_back(static_cast<std::uint32_t>(e - piece->exits.begin()));
      }
    }
    std::sort(alone.begin(), alone.end());
    alone.shorten(
        static_cast<std::size_t>(std::unique(alone.begin(), alone.end()) - alone.begin()));
  }
  for (const std::uint32_t i : alone) {
    if (fits(piece->exits[i].id)) mask_.allow(piece->exits[i].id);
  }
  if (alone.size() < piece->exits.size()) {
    Place after;
    after.inside = machine_.without_text({Phase::kColon, 0, machine_.other_value(object), 0, 0});
    after.stands_in = kKey;
    exits({piece, 0, UINT32_MAX, nullptr, alone}, after, false);
  }
  if (at.q != terminal->boundary()) return true;
  const std::uint32_t quote = all_.trie->child(node, '"');
  Place next;
  if (quote != TokenTrie::kNone && visit(all_, quote, key, next)) listed(all_, quote, next, false);
  return true;
}

void SchemaWalk::allow_stay(MaskBuilder& to, const Piece& piece, std::uint32_t most) {
  const auto beyond =
      std::upper_bound(piece.stay.begin(), piece.stay.end(), most,
                       [](std::uint32_t m, const Piece::Stay& stay) { return m < stay.begun; });
  const auto few = static_cast<std::size_t>(beyond - piece.stay.begin());
  if (few > 0) to.allow(TokenListRef{machine_.library_, std::span(piece.stay_ids).first(few)});
  const auto longer = std::upper_bound(piece.lengths.begin(), piece.lengths.end(), most);
  if (longer == piece.lengths.begin()) return;
  const auto which = static_cast<std::size_t>(longer - piece.lengths.begin()) - 1;
  to.allow(MaskTableRef(machine_.library_, &piece.dense[which]));
}

}  // namespace espalier::grammar
