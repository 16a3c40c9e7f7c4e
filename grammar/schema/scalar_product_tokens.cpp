// What a vocabulary's tokens do at a state of automata side by side: where a reset word leads on,
// by tables and by the parts that it does not reset; else by a walk.
#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "grammar/hash.h"
#include "grammar/schema/scalar_product.h"

namespace espalier::grammar {

// The parts that a reset word does not reset, read along the vocabulary alone, with where a
// character is. What it says holds of every state of the product that a string leads to.
class ScalarProduct::Carrier {
 public:
  using Place = std::uint32_t;
  static constexpr Place kOutside = 0;  // no string goes that way, or it ends
  // Whether some text completes the states at a place: all of them do, none does, or that has to be
  // asked of each.
  enum class Verdict : std::uint8_t { kUnknown, kYes, kNo, kPerhaps };

  Carrier(ScalarProduct& of, ResetWord word, const Terminal& characters,
          std::vector<std::uint32_t> opened)
      : of_(of), word_(std::move(word)), characters_(characters), reset_(std::move(opened)) {
    for (std::size_t i = 0; i < reset_.size(); ++i) {
      if (word_.carried[i]) parts_.push_back(i);
      for (std::uint32_t n = 0; !word_.carried[i] && n < word_.count; ++n) {
        reset_[i] = of_.read_part(i, reset_[i], word_.byte);
      }
    }
    facts_.emplace_back();
  }

  // Where a state of the product between two characters is.
  Place place(State q) {
    std::vector<std::uint32_t> made{characters_.boundary()};
    for (const std::size_t i : parts_) made.push_back(of_.places_[q * reset_.size() + i]);
    return number(made);
  }
  Place next(Place at, unsigned char byte) {
    Place& known = rows_[std::size_t{at} * 256 + byte];
    if (known != kUnread) return known;
    const auto character = characters_.next(static_cast<Terminal::State>(key(at)[0]), byte);
    Place to = kOutside;
    if (character != Terminal::kDead && !characters_.accepting(character)) {
      std::vector<std::uint32_t> made(key(at).begin(), key(at).end());
      made[0] = character;
      for (std::size_t i = 0; i < parts_.size(); ++i) {
        made[i + 1] = of_.read_part(parts_[i], made[i + 1], byte);
      }
      to = number(made);
    }
    return rows_[std::size_t{at} * 256 + byte] = to;
  }
  Verdict verdict(Place at) {
    if (facts_[at].verdict == Verdict::kUnknown) judge(at);
    return facts_[at].verdict;
  }
  // Whatever is read, the parts say the same as here.
  [[nodiscard]] bool fixed(Place at) const {
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const std::uint32_t state = key(at)[i + 1];
      if (state == 0) continue;
      if (state == of_.excluded_[parts_[i]]) continue;
      const ScalarDfa* dfa = of_.what_->dfa(parts_[i]);
      if (dfa == nullptr || !dfa->settled(characters_)[state]) return false;
    }
    return true;
  }
  // Of a place all of whose states some text completes: the bytes of one, at most; and what the
  // reset word leads to from where the character there has ended.
  [[nodiscard]] std::uint32_t closing(Place at) const { return facts_[at].closing; }
  [[nodiscard]] State landing(Place at) const { return facts_[at].landing; }
  [[nodiscard]] const ResetWord& word() const { return word_; }
  [[nodiscard]] bool carries() const { return !parts_.empty(); }
  // A verdict is being found.
  [[nodiscard]] bool busy() const { return busy_; }
  // More places than are kept were met: what was said of some is not true.
  [[nodiscard]] bool full() const { return full_; }

  // Which strings that is true of.
  [[nodiscard]] const Terminal& characters() const { return characters_; }
  [[nodiscard]] std::size_t held_bytes() const {
    return held_by_all(reset_, parts_, places_, numbers_, facts_, rows_) +
           grammar::held_bytes(word_.carried);
  }

 private:
  static constexpr Place kUnread = UINT32_MAX;
  static constexpr std::size_t kMostPlaces = 8192;
  struct Facts {
    Verdict verdict = Verdict::kUnknown;
    std::uint32_t closing = 0;
    State landing = kNone;
    [[nodiscard]] static std::size_t held_bytes() { return 0; }
  };
  [[nodiscard]] std::span<const std::uint32_t> key(Place at) const {
    const std::size_t width = parts_.size() + 1;
    return std::span(places_).subspan((at - 1U) * width, width);
  }
  Place number(const std::vector<std::uint32_t>& made) {
    std::size_t hash = 0;
    for (const std::uint32_t one : made) hash = mix(hash, one);
    const Place known =
        numbers_.find(hash, [&](Place other) { return std::ranges::equal(key(other), made); });
    if (known != InternTable::kNone) return known;
    const auto id = static_cast<Place>(facts_.size());
    if (id == kMostPlaces) {
      full_ = true;
      return kOutside;
    }
    numbers_.insert(hash, id);
    places_.insert(places_.end(), made.begin(), made.end());
    facts_.emplace_back();
    rows_.resize(facts_.size() * 256, kUnread);
    return id;
  }
  void judge(Place at) {
    facts_[at].verdict = Verdict::kPerhaps;
    std::vector<std::uint32_t> all = reset_;
    const auto read = [&](unsigned char byte) {
      for (const std::size_t i : parts_) all[i] = of_.read_part(i, all[i], byte);
    };
    auto character = static_cast<Terminal::State>(key(at)[0]);
    for (std::size_t i = 0; i < parts_.size(); ++i) all[parts_[i]] = key(at)[i + 1];
    if (!of_.what_->hopeful(all, word_.carried) || of_.excluded(all)) {
      facts_[at].verdict = Verdict::kNo;
      return;
    }
    // A character that has begun may end in another way too.
    std::uint32_t size = 0;
    for (; character != characters_.boundary(); ++size) {
      const unsigned char byte = characters_.closing_byte(character);
      character = characters_.next(character, byte);
      read(byte);
    }
    for (std::uint32_t n = 0; n < word_.count; ++n) read(word_.byte);
    of_.next_ = all;
    const State landing = of_.number();
    busy_ = true;
    const bool yes = landing != kNone && of_.live(landing);
    busy_ = false;
    if (!yes) return;
    facts_[at] = {Verdict::kYes, size + word_.count + of_.closing_size(landing), landing};
  }

  ScalarProduct& of_;
  ResetWord word_;
  const Terminal& characters_;
  std::vector<std::uint32_t> reset_;  // by part, behind the word; of those that are not carried
  std::vector<std::size_t> parts_;    // that are
  std::vector<std::uint32_t> places_;
  InternTable numbers_;
  std::vector<Facts> facts_;
  std::vector<Place> rows_;
  bool busy_ = false, full_ = false;
};

ScalarProduct::~ScalarProduct() = default;

std::size_t ScalarProduct::carrier_bytes() const {
  return carrier_ != nullptr ? carrier_->held_bytes() : 0;
}

// Where a reset word is known, by strings of any spelling or by those of one.
ScalarProduct::Carrier* ScalarProduct::carrier() {
  if (carrier_known_) return carrier_.get();
  carrier_known_ = true;
  if (tables_ == nullptr || start_ == kNone) return nullptr;
  if (std::ranges::all_of(opened_, [](std::uint32_t part) { return part == 0; })) return nullptr;
  std::optional<ResetWord> best;
  std::ptrdiff_t fewest = 0;
  const Terminal* of = nullptr;
  for (const Terminal* characters : {tables_->string, tables_->canonical}) {
    if (characters == nullptr || tables_->string == nullptr) continue;
    std::optional<ResetWord> word = reset_word(*what_, automata_, opened_, *characters);
    if (!word) continue;
    const std::ptrdiff_t carried = std::ranges::count(word->carried, true);
    if (best && carried >= fewest) continue;
    best = std::move(word);
    fewest = carried;
    of = characters;
  }
  if (!best) return nullptr;
  carrier_ = std::make_shared<Carrier>(*this, *std::move(best), *of, opened_);
  return carrier_.get();
}

// Whether a state of a string is known to stand between two characters: one of its parts says so,
// or it reads what no character goes on with.
bool ScalarProduct::between(State q) {
  const std::size_t parts = next_.size();
  for (std::size_t i = 0; i < parts; ++i) {
    const std::uint32_t state = places_[q * parts + i];
    const ScalarDfa* dfa = what_->dfa(i);
    if (state == 0 || dfa == nullptr || !dfa->counts()) continue;
    return dfa->between(static_cast<ScalarDfa::State>(state));
  }
  static const ByteSet kInside =
      ByteSet::range(0x80, 0xFF) | ByteSet::of("\"\\/nrtuABCDEFabcdef0123456789");
  return !(expanded(q).bytes & ~kInside).none();
}

// A closing that a search did not find: to the end of a character, along the reset word, and on as
// from where it leads. False where it does not lead on.
bool ScalarProduct::close_by_reset(State from) {
  constexpr int kMostWays = 256;  // that are tried
  Carrier* const carrier = this->carrier();
  if (carrier == nullptr || carrier->busy()) return false;
  std::vector<std::pair<State, unsigned char>> way;
  State at = from;
  const auto go = [&](unsigned char byte) {
    way.emplace_back(at, byte);
    at = successor(at, byte);
    return at != kNone;
  };
  // To where a character ends, by the first way from where the word leads on.
  Carrier::Place place = Carrier::kOutside;
  int left = kMostWays;
  const auto finish = [&](auto&& self) -> bool {
    if (between(at)) {
      place = carrier->place(at);
      return place != Carrier::kOutside && carrier->verdict(place) == Carrier::Verdict::kYes;
    }
    if (way.size() == Terminal::kLongestCharacter) return false;
    const State here = at;
    const std::vector<Run> runs = expanded(here).runs;
    for (const Run& run : runs) {
      if (run.to == kNone || --left < 0) continue;
      if (go(run.first) && self(self)) return true;
      way.pop_back();
      at = here;
    }
    return false;
  };
  if (!finish(finish)) return false;
  for (std::uint32_t n = 0; n < carrier->word().count; ++n) {
    if (!go(carrier->word().byte)) return false;
  }
  for (State along = carrier->landing(place); !accepting(along);) {
    const unsigned char byte = facts_[along].closing_byte;
    along = successor(along, byte);
    if (!live(along) || !go(byte)) return false;
  }
  if (!accepting(at)) return false;
  std::uint32_t size = 0;
  for (; !way.empty(); way.pop_back()) {
    const auto [state, byte] = way.back();
    Facts& facts = facts_[state];
    if (facts.size == kUnknown || facts.size == kNever) {
      facts.size = size + 1;
      facts.closing_byte = byte;
    }
    size = facts.size;
  }
  return true;
}

std::shared_ptr<const ScalarProduct::Tokens> ScalarProduct::tokens(State q, std::uint32_t node) {
  const std::uint64_t key = std::uint64_t{node} << 32 | q;
  if (const auto known = tokens_.find(key); known != tokens_.end()) return known->second;
  auto out = std::make_shared<Tokens>();
  const bool whole = node == TokenTrie::kRoot;
  std::vector<std::uint64_t> words((tables_->vocabulary->size() + 63) / 64);
  const std::size_t before = facts_.size();
  if (!add_by_reset(q, node, words, out->longest)) {
    if (!whole) return nullptr;
    std::fill(words.begin(), words.end(), 0);
    out->longest = 0;
    add_by_walk(q, words, out->longest);
  }
  out->piece = whole ? tables_->quoted : inside_below(tables_->string, node);
  out->set_staying(std::move(words));
  add_exits(q, *out->piece, out->exits);
  shared_->states_made += facts_.size() - before;
  const std::size_t bytes = sizeof(Tokens) + out->stay.size() * sizeof(TokenId) +
                            out->many.words.size() * 8 + out->exits.size() * 4 + 128;
  if (kept_ + bytes > kMostKept) return out;
  kept_ += bytes;
  tokens_.emplace(key, out);
  return out;
}

// What tokens below a node do between two characters of strings; nullptr where that is not known.
const Terminal::Piece* ScalarProduct::inside_below(const Terminal* characters,
                                                   std::uint32_t node) const {
  if (characters == nullptr) return nullptr;
  return characters->piece(*tables_->vocabulary, characters->boundary(), node);
}

// The state behind a token that stays inside; kNone where there is none. As next() has it, but that
// what other bytes lead to is not found out.
ScalarProduct::State ScalarProduct::after_token(State q, std::string_view text) {
  const std::size_t parts = next_.size();
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (facts_[q].expanded != nullptr) {
      q = next(q, byte);
    } else {
      bool some = false;
      for (std::size_t i = 0; i < parts; ++i) {
        next_[i] = read_part(i, places_[q * parts + i], byte);
        some = some || next_[i] != 0;
      }
      q = some ? number() : kNone;
      if (!live(q)) q = kNone;
    }
    if (q == kNone || accepting(q)) return kNone;
  }
  return q;
}

// All tokens below a node that stay inside a string, but for those behind which the parts that are
// carried leave no text. False, and nothing meant by `words`, where that is not known this way.
bool ScalarProduct::add_by_reset(State q, std::uint32_t node, std::vector<std::uint64_t>& words,
                                 std::uint32_t& longest) {
  using Verdict = Carrier::Verdict;
  constexpr std::size_t kMostTried = 4096;  // tokens
  Carrier* const carrier = this->carrier();
  if (carrier == nullptr || carrier->full() || !between(q)) return false;
  const Carrier::Place from = carrier->place(q);
  const Terminal::Piece* const inside = inside_below(&carrier->characters(), node);
  const Terminal::Piece* const any = inside_below(tables_->string, node);
  if (from == Carrier::kOutside || inside == nullptr || any == nullptr) return false;
  const Vocabulary& vocabulary = *tables_->vocabulary;
  const TokenTrie& trie = vocabulary.trie();
  const auto nodes = trie.nodes();
  const bool whole = node == TokenTrie::kRoot;
  const std::uint32_t depth = whole ? 0 : nodes[node].depth;
  std::size_t tried = 0;
  const auto set = [&](TokenId id, bool stays) {
    const std::uint64_t bit = std::uint64_t{1} << (id % 64);
    std::uint64_t& word = words[static_cast<std::size_t>(id) / 64];
    word = stays ? word | bit : word & ~bit;
  };
  const auto attempt = [&](TokenId id) {
    const State to = after_token(q, vocabulary.bytes(id).substr(depth));
    set(id, to != kNone);
    if (to != kNone) longest = std::max(longest, closing_size(to));
    return ++tried <= kMostTried;
  };
  inside->add_to(words);
  // Those that would stay in another spelling have not been spoken of.
  std::vector<TokenId> others;
  if (any != inside) {
    std::vector<std::uint64_t> more(words.size());
    any->add_to(more);
    for (std::size_t w = 0; w < words.size(); ++w) more[w] &= ~words[w];
    for_each_bit(more, [&](TokenId id) { others.push_back(id); });
  }
  if (!carrier->carries()) {
    if (carrier->verdict(from) != Verdict::kYes) return false;
    longest = carrier->closing(from) + Terminal::kLongestCharacter;
    return std::ranges::all_of(others, attempt);
  }
  struct On {
    Carrier::Place place = Carrier::kOutside;
    bool sure = true;  // some text completes it and all on the way
  };
  std::vector<On> path(trie.longest() + 1);
  path[depth].place = from;
  const std::size_t end = whole ? nodes.size() : nodes[node].next;
  for (std::uint32_t i = whole ? 0 : node + 1; i < end;) {
    const TokenTrie::Node& at = nodes[i];
    const Carrier::Place to = carrier->next(path[at.depth - 1U].place, at.byte);
    if (to == Carrier::kOutside) {  // none of those below is set
      i = at.next;
      continue;
    }
    const Verdict verdict = carrier->verdict(to);
    const bool sure = path[at.depth - 1U].sure && verdict == Verdict::kYes;
    path[at.depth] = {to, sure};
    if (verdict == Verdict::kNo) {
      for (const TokenId id : trie.tokens_below(i)) set(id, false);
      i = at.next;
      continue;
    }
    if (sure) {
      longest = std::max(longest, carrier->closing(to) + Terminal::kLongestCharacter);
      i = carrier->fixed(to) ? at.next : i + 1;
      continue;
    }
    if (at.token_count > 0 && !std::ranges::all_of(trie.tokens_at(i), attempt)) return false;
    ++i;
  }
  return !carrier->full() && std::ranges::all_of(others, attempt);
}

// Along the vocabulary's trie; a closing quote leaves.
void ScalarProduct::add_by_walk(State q, std::vector<std::uint64_t>& words,
                                std::uint32_t& longest) {
  const TokenTrie& trie = tables_->vocabulary->trie();
  const auto nodes = trie.nodes();
  // Most of a walk is in a few states: what bytes do there is written out as it is asked for.
  constexpr std::size_t kRows = 128;
  constexpr State kUnread = UINT32_MAX;
  std::vector<std::uint32_t> row_of;  // by state, from 1 on
  std::vector<State> rows;
  const auto inside = [&](State from, unsigned char byte) -> State {  // kNone where it ends, too
    const auto read = [&] {
      const State to = next(from, byte);
      return to != kNone && accepting(to) ? kNone : to;
    };
    if (from >= row_of.size()) row_of.resize(facts_.size(), 0);
    if (row_of[from] == 0) {
      if (rows.size() == kRows * 256) return read();
      rows.resize(rows.size() + 256, kUnread);
      row_of[from] = static_cast<std::uint32_t>(rows.size() / 256);
    }
    const std::size_t at = (row_of[from] - 1U) * std::size_t{256} + byte;
    if (rows[at] == kUnread) rows[at] = read();
    return rows[at];
  };
  std::vector<State> path(trie.longest() + 1, kNone);
  path[0] = q;
  State noted = kNone;
  for (std::uint32_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& at = nodes[i];
    const State to = inside(path[at.depth - 1U], at.byte);
    if (to == kNone) {
      i = at.next;
      continue;
    }
    path[at.depth] = to;
    trie.add_tokens_at(i, words);
    if (at.token_count > 0 && to != noted) {
      noted = to;
      longest = std::max(longest, closing_size(to));
    }
    ++i;
  }
}

// Of the tokens that leave with a closing quote those behind whose text it may come: sorted by what
// they have inside, so each text is read once, by its parts alone.
void ScalarProduct::add_exits(State q, const Terminal::Piece& piece,
                              std::vector<std::uint32_t>& exits) {
  const auto& all = piece.exits;
  const std::size_t parts = next_.size();
  std::string_view text;
  bool fits = false;
  std::vector<std::vector<std::uint32_t>> path(1);  // of the parts, by bytes of `text`
  const auto from = places_.begin() + static_cast<std::ptrdiff_t>(q * parts);
  path[0].assign(from, from + static_cast<std::ptrdiff_t>(parts));
  const auto read = [&](const std::vector<std::uint32_t>& here, unsigned char byte) {
    std::vector<std::uint32_t> to(parts);
    for (std::size_t i = 0; i < parts; ++i) to[i] = read_part(i, here[i], byte);
    return to;
  };
  for (std::uint32_t i = 0; i < all.size(); ++i) {
    const std::string_view own =
        tables_->vocabulary->bytes(all[i].id).substr(all[i].from, all[i].size);
    if (i == 0 || own != text) {
      const auto common = std::ranges::mismatch(text, own).in1 - text.begin();
      text = own;
      path.resize(static_cast<std::size_t>(common) + 1);
      while (path.size() <= own.size()) {
        path.push_back(read(path.back(), static_cast<unsigned char>(own[path.size() - 1])));
      }
      fits = what_->accepting(read(path.back(), '"'));
    }
    if (fits) exits.push_back(i);
  }
}

}  // namespace espalier::grammar
