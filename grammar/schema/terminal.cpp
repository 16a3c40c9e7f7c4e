#include "grammar/schema/terminal.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "grammar/program.h"

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kFar = UINT32_MAX;

}  // namespace

std::unique_ptr<const Terminal> Terminal::create(const ProgramRef& program, bool string) {
  auto out = std::make_unique<Terminal>();
  Automaton automaton(program);
  std::vector<StateId> states{Automaton::kDead};  // by number here
  std::unordered_map<StateId, State> numbers;
  const auto number = [&](StateId s) -> State {
    if (s == Automaton::kDead || !automaton.closes(s)) return kDead;
    const auto [it, fresh] = numbers.try_emplace(s, static_cast<State>(states.size()));
    if (fresh) states.push_back(s);
    return it->second;
  };
  out->start_ = number(automaton.start({}));
  if (out->start_ == kDead) return nullptr;
  out->facts_.emplace_back();
  out->rows_.assign(256, kDead);
  ByteSet anywhere;  // bytes of numbers and words
  for (std::size_t q = 1; q < states.size(); ++q) {
    if (states.size() > kMaxStates) return nullptr;
    out->rows_.resize((q + 1) * 256, kDead);
    Facts facts;
    facts.accepting = automaton.accepting(states[q]);
    std::vector<ByteSet> classes{ByteSet::all()};
    automaton.byte_classes(states[q], classes);
    // Without bytes that no token has: every state goes on without them.
    const ByteSet live = automaton.next_bytes(states[q]) & program->vocabulary()->json_bytes();
    for (const ByteSet& one : classes) {
      ByteSet rest = one & live;
      if (rest.none()) continue;
      const State to = number(automaton.step(states[q], static_cast<unsigned char>(rest.lowest())));
      if (to == kDead) continue;
      facts.bytes |= rest;
      for (; !rest.none(); rest.remove(rest.lowest())) out->rows_[q * 256 + rest.lowest()] = to;
    }
    anywhere |= facts.bytes;
    // What ends without another byte must not go on, and what goes on ends by a byte of structure.
    if (string && facts.accepting && !facts.bytes.none()) return nullptr;
    out->facts_.push_back(facts);
  }
  if (!string && !(anywhere & ByteSet::of(",]} \n")).none()) return nullptr;
  if (string) out->boundary_ = out->next(out->start_, '"');
  out->runs_ = ByteRuns(out->rows_);
  out->find_closings(program->vocabulary()->single_bytes());
  out->root_pieces_ = std::vector<std::atomic<const Piece*>>(out->facts_.size());
  return out;
}

// Breadth first from the end backwards, over rounds: the automata are small.
void Terminal::find_closings(const ByteSet& preferred) {
  for (Facts& f : facts_) f.closing_size = f.accepting ? 0 : kFar;
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t q = 1; q < facts_.size(); ++q) {
      Facts& f = facts_[q];
      if (f.accepting) continue;
      for (const bool spelled : {true, false}) {
        ByteSet rest = spelled ? f.bytes & preferred : f.bytes & ~preferred;
        for (; !rest.none(); rest.remove(rest.lowest())) {
          const auto byte = static_cast<unsigned char>(rest.lowest());
          const std::uint32_t after = facts_[next(static_cast<State>(q), byte)].closing_size;
          if (after == kFar || after + 1 >= f.closing_size) continue;
          f.closing_size = after + 1;
          f.closing_byte = byte;
          changed = true;
        }
      }
    }
  }
  if (boundary_ == kDead) return;
  ByteSet loop;
  for (unsigned b = 0; b < 256; ++b) {
    if (next(boundary_, static_cast<unsigned char>(b)) == boundary_) loop.add(b);
  }
  const ByteSet spelled = loop & preferred;
  filler_ = static_cast<unsigned char>((spelled.none() ? loop : spelled).lowest());
  // As deep as a character has bytes.
  const auto ways = [&](auto&& self, State q) -> std::uint32_t {
    if (q == boundary_) return 1;
    Facts& f = facts_[q];
    if (f.ways > 0 || f.accepting) return f.ways;
    std::uint64_t sum = 0;
    for (ByteSet rest = f.bytes; !rest.none(); rest.remove(rest.lowest())) {
      sum += self(self, next(q, static_cast<unsigned char>(rest.lowest())));
    }
    return f.ways = static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, UINT32_MAX));
  };
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    if (q != start_) static_cast<void>(ways(ways, static_cast<State>(q)));
  }
}

const Terminal::Piece* Terminal::piece(const Vocabulary& vocabulary, State q,
                                       std::uint32_t node) const {
  if (node == TokenTrie::kRoot) {
    if (const Piece* known = root_pieces_[q].load(std::memory_order_acquire)) return known;
  }
  const std::uint64_t key = (std::uint64_t{q} << 32) | node;
  const std::lock_guard lock(mutex_);
  auto known = pieces_.find(key);
  if (known == pieces_.end()) {
    if (pieces_.size() == kMaxPieces) return nullptr;
    known = pieces_.emplace(key, make_piece(vocabulary, q, node)).first;
  }
  const Piece* piece = known->second.get();
  if (node == TokenTrie::kRoot) root_pieces_[q].store(piece, std::memory_order_release);
  return piece;
}

void Terminal::make_root_pieces(const Vocabulary& vocabulary) const {
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    static_cast<void>(piece(vocabulary, static_cast<State>(q), TokenTrie::kRoot));
  }
}

// From the list to the tables.
void Terminal::make_dense(std::size_t vocabulary, Piece& piece) {
  std::uint32_t most = 0;
  for (const Piece::Stay& stay : piece.stay) most = std::max(most, stay.begun);
  std::vector<std::uint32_t> counts(std::size_t{most} + 1);
  for (const Piece::Stay& stay : piece.stay) ++counts[stay.begun];
  std::vector<std::size_t> table(counts.size());
  for (std::uint32_t begun = 0; begun <= most; ++begun) {
    if (counts[begun] == 0) continue;
    table[begun] = piece.dense.size();
    piece.lengths.push_back(begun);
    piece.dense.push_back({std::vector<std::uint64_t>((vocabulary + 63) / 64)});
  }
  for (const Piece::Stay& stay : piece.stay) {
    const auto id = static_cast<std::size_t>(stay.id);
    piece.dense[table[stay.begun]].words[id / 64] |= std::uint64_t{1} << (id % 64);
  }
  for (std::size_t i = 1; i < piece.dense.size(); ++i) {
    auto& words = piece.dense[i].words;
    for (std::size_t w = 0; w < words.size(); ++w) words[w] |= piece.dense[i - 1].words[w];
  }
  piece.stay = {};
}

std::unique_ptr<const Terminal::Piece> Terminal::make_piece(const Vocabulary& vocabulary, State q,
                                                            std::uint32_t node) const {
  auto out = std::make_unique<Piece>();
  const TokenTrie& trie = vocabulary.trie();
  const auto nodes = trie.nodes();
  const bool root = node == TokenTrie::kRoot;
  const std::size_t base = root ? 0 : nodes[node].depth;
  const std::uint32_t first = root ? 0 : node + 1;
  const std::uint32_t end = root ? static_cast<std::uint32_t>(nodes.size()) : nodes[node].next;
  struct Place {
    State q = kDead;
    std::uint32_t begun = 0;
    std::uint32_t node = 0;
  };
  std::vector<Place> path(trie.longest() + 1);
  path[base] = {q, 0, node};
  std::vector<FoundExit> found;
  for (std::uint32_t i = first; i < end;) {
    const TokenTrie::Node& at = nodes[i];
    const Place& before = path[at.depth - 1U];
    const State to = next(before.q, at.byte);
    const std::size_t inside = at.depth - 1U;
    if (to == kDead || (boundary_ != kDead && accepting(to))) {
      const bool leaves = to != kDead || accepting(before.q);
      if (leaves && inside > base) {
        for (const TokenId id : trie.tokens_below(i)) {
          found.push_back({before.node,
                           {id, before.begun, static_cast<std::uint16_t>(base),
                            static_cast<std::uint16_t>(inside - base)}});
        }
      }
      i = at.next;
      continue;
    }
    path[at.depth] = {to, before.begun + (before.q == boundary_ ? 1U : 0U), i};
    for (const TokenId id : trie.tokens_at(i)) out->stay.push_back({id, path[at.depth].begun});
    ++i;
  }
  if (out->stay.size() > kListedTokens) {
    make_dense(vocabulary.size(), *out);
  } else {
    std::stable_sort(out->stay.begin(), out->stay.end(),
                     [](const auto& a, const auto& b) { return a.begun < b.begun; });
    for (const Piece::Stay& stay : out->stay) out->stay_ids.push_back(stay.id);
  }
  set_exits(vocabulary, boundary_ != kDead ? 1 : 0, std::move(found), *out);
  return out;
}

void Terminal::set_exits(const Vocabulary& vocabulary, std::size_t closing,
                         std::vector<FoundExit> exits, Piece& piece) {
  // The trie's nodes stand in the order of their texts.
  std::stable_sort(exits.begin(), exits.end(),
                   [](const auto& a, const auto& b) { return a.inside < b.inside; });
  piece.exits.reserve(exits.size());
  for (const FoundExit& found : exits) piece.exits.push_back(found.exit);
  std::vector<std::string_view> left;
  std::vector<TokenId> ids;
  constexpr std::size_t kExits = 16;  // a word of shapes
  piece.shapes.resize(std::bit_ceil(piece.exits.size() / kExits + 1));
  for (std::size_t i = 0; i < piece.exits.size(); ++i) {
    const Piece::Exit& e = piece.exits[i];
    const std::string_view token = vocabulary.bytes(e.id);
    if (e.size > 0) {
      const std::size_t bit =
          Piece::shape(token.substr(e.from, e.size)) & (piece.shapes.size() * 64 - 1);
      piece.shapes[bit / 64] |= std::uint64_t{1} << (bit % 64);
    }
    if (Piece::respells(token.substr(e.from, e.size))) {
      piece.respelled.push_back(static_cast<std::uint32_t>(i));
    }
    left.push_back(token.substr(std::size_t{e.from} + e.size + closing));
    if (left.back().empty()) {
      piece.ends.push_back(static_cast<std::uint32_t>(i));
    } else {
      ids.push_back(static_cast<TokenId>(i));
    }
  }
  piece.after = std::make_unique<const TokenTrie>(left, ids);
}

}  // namespace espalier::grammar
