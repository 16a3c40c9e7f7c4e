// What a vocabulary's tokens do at a state of a finished automaton: by tables, by states that do
// alike, or by a walk.
#include <algorithm>
#include <span>
#include <utility>

#include "grammar/schema/scalar_dfa.h"
#include "grammar/strong_components.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {
namespace {

constexpr unsigned kWide = 20;                // characters of ASCII from which tables are looked at
constexpr std::uint32_t kFewOthers = 24'000;  // tokens that are tried one by one beside tables
constexpr unsigned kCounted = 8;  // bytes after which these are counted, which costs two more bytes

// Adds the tokens that hold a character which begins with one of the bytes.
void add_holding(const ScalarDfa::Tables& tables, const ByteSet& bytes,
                 std::vector<std::uint64_t>& words) {
  for (ByteSet rest = bytes; !rest.none(); rest.remove(rest.lowest())) {
    const auto& holding = (*tables.holding)[rest.lowest()].words;
    for (std::size_t w = 0; w < holding.size(); ++w) words[w] |= holding[w];
  }
}

}  // namespace

void ScalarDfa::Tokens::set_staying(std::vector<std::uint64_t> bits) {
  const std::uint32_t count = count_bits(bits);
  if (count > kListedTokens) {
    many = {std::move(bits)};
    return;
  }
  stay.reserve(count);
  for_each_bit(bits, [&](TokenId id) { stay.push_back(id); });
}

std::shared_ptr<const ScalarDfa::Tokens> ScalarDfa::tokens(const Tables& tables, State q) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = tokens_.find(q); known != tokens_.end()) return known->second;
  }
  auto out = std::make_shared<Tokens>();
  std::vector<std::uint64_t> words((tables.vocabulary->size() + 63) / 64);
  const bool large = quoted_ && facts_.size() >= kFewStates && tables.longer != nullptr;
  const bool like = large && add_by_like(tables, q, words);
  bool first = false;  // of those that do alike
  bool walked = false;
  if (!like && !(quoted_ && (add_all(tables, q, words) || add_by_table(tables, q, words)))) {
    if (!add_by_near(tables, q, words)) add_by_walk(tables, q, words);
    walked = true;
    first = large;
  }
  out->set_staying(std::move(words));
  // Exits are sorted by what they have inside: each text is read once.
  const Terminal::Piece& exits = quoted_ ? *tables.quoted : *tables.bare;
  std::string_view text;
  bool fit = false;
  std::size_t common = 0;
  std::vector<State> path{q};  // by bytes of `text`; ends where it dies
  for (std::uint32_t i = 0; i < exits.exits.size(); ++i) {
    const Terminal::Piece::Exit& exit = exits.exits[i];
    const std::string_view own = tables.vocabulary->bytes(exit.id).substr(0, exit.size);
    if (i == 0 || own != text) {
      common = 0;
      while (common < text.size() && common < own.size() && text[common] == own[common]) ++common;
      text = own;
      if (path.size() > common + 1) path.resize(common + 1);
      while (path.size() <= own.size() && path.back() != kDead) {
        path.push_back(next(path.back(), static_cast<unsigned char>(own[path.size() - 1])));
      }
      State to = path.size() == own.size() + 1 ? path.back() : kDead;
      if (quoted_ && to != kDead) to = next(to, '"');
      fit = to != kDead && accepting(to);
    }
    if (fit) out->exits.push_back(i);
  }
  const std::size_t bytes = out->stay.size() * sizeof(TokenId) + out->many.words.size() * 8 +
                            out->exits.size() * sizeof(std::uint32_t) + 128;
  const std::lock_guard lock(mutex_);
  if (const auto known = tokens_.find(q); known != tokens_.end()) return known->second;
  // Those that others are found by are worth more.
  if (kept_ + bytes > (like ? kMostKept / 2 : kMostKept)) return out;
  kept_ += bytes;
  tokens_.emplace(q, out);
  if (first) firsts_.emplace_back(q, out);
  if (walked && walked_.size() < kMostNear) walked_.emplace_back(q, out);
  return out;
}

// What is a step out of the scalar's inside, by state.
std::vector<std::uint8_t> ScalarDfa::ends() const {
  std::vector<std::uint8_t> out(facts_.size());
  for (std::size_t s = 0; s < facts_.size(); ++s) {
    out[s] = s == kDead || (quoted_ && facts_[s].accepting) ? 1 : 0;
  }
  return out;
}

// Along the automaton over the vocabulary's trie, some nanoseconds a node.
void ScalarDfa::add_by_walk(const Tables& tables, State q,
                            std::vector<std::uint64_t>& words) const {
  const TokenTrie& trie = tables.vocabulary->trie();
  const auto nodes = trie.nodes();
  const std::vector<std::uint8_t> stops = ends();
  std::vector<State> path(trie.longest() + 1);
  path[0] = q;
  std::vector<std::uint32_t> tops;
  trie.children(TokenTrie::kRoot, bytes(q), tops);
  for (const std::uint32_t top : tops) {
    const std::uint32_t end = nodes[top].next;
    for (std::uint32_t i = top; i < end;) {
      const TokenTrie::Node& at = nodes[i];
      const State to = next(path[at.depth - 1U], at.byte);
      if (stops[to] != 0) {
        i = at.next;
        continue;
      }
      path[at.depth] = to;
      trie.add_tokens_at(i, words);
      ++i;
    }
  }
}

// From the tokens of a state that most tokens lead on from as from `q`: over the trie only where
// the two have not met again. False where none is known.
bool ScalarDfa::add_by_near(const Tables& tables, State q,
                            std::vector<std::uint64_t>& words) const {
  std::vector<std::pair<State, std::shared_ptr<const Tokens>>> known;
  {
    const std::lock_guard lock(mutex_);
    known = walked_;
  }
  if (known.empty()) return false;
  const TokenTrie& trie = tables.vocabulary->trie();
  const auto nodes = trie.nodes();
  std::vector<std::size_t> apart(known.size(), 0);  // nodes, at most
  std::size_t all = 0;
  std::vector<std::uint32_t> tops;
  trie.children(TokenTrie::kRoot, ByteSet::all(), tops);
  for (const std::uint32_t top : tops) {
    const std::size_t below = nodes[top].next - top;
    const State to = next(q, nodes[top].byte);
    if (to != kDead) all += below;
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (next(known[i].first, nodes[top].byte) != to) apart[i] += below;
    }
  }
  const auto least = std::min_element(apart.begin(), apart.end());
  if (*least > all / 4) return false;  // a node costs three times what it costs in a walk alone
  const auto& [near, near_tokens] = known[static_cast<std::size_t>(least - apart.begin())];
  if (!near_tokens->many.words.empty()) words = near_tokens->many.words;
  const auto set = [&](TokenId id, bool stay) {
    const std::uint64_t bit = std::uint64_t{1} << (id % 64);
    std::uint64_t& word = words[static_cast<std::size_t>(id) / 64];
    word = stay ? word | bit : word & ~bit;
  };
  for (const TokenId id : near_tokens->stay) set(id, true);
  const std::vector<std::uint8_t> stops = ends();
  const auto read = [&](State from, unsigned char byte) {
    const State to = next(from, byte);
    return stops[to] != 0 ? kDead : to;
  };
  std::vector<std::pair<State, State>> path(trie.longest() + 1);
  path[0] = {q, near};
  for (const std::uint32_t top : tops) {
    const std::uint32_t end = nodes[top].next;
    for (std::uint32_t i = top; i < end;) {
      const TokenTrie::Node& at = nodes[i];
      const auto [own, other] = path[at.depth - 1U];
      const std::pair<State, State> to{read(own, at.byte), read(other, at.byte)};
      if (to.first == to.second) {
        i = at.next;
        continue;
      }
      if (to.first == kDead) {
        for (const TokenId id : trie.tokens_below(i)) set(id, false);
        i = at.next;
        continue;
      }
      path[at.depth] = to;
      if (to.second == kDead) {
        for (const TokenId id : trie.tokens_at(i)) set(id, true);
      }
      ++i;
    }
  }
  return true;
}

// From the tokens of a state that does the same with short ones; false where none is remembered.
bool ScalarDfa::add_by_like(const Tables& tables, State q,
                            std::vector<std::uint64_t>& words) const {
  {
    const std::lock_guard lock(mutex_);
    if (alike_.empty() && firsts_.size() < kFirsts) return false;
    if (alike_.empty()) alike_ = find_alike();
    for (const auto& [state, tokens] : firsts_) alike_tokens_.try_emplace(alike_[state], tokens);
    firsts_.clear();
    const auto known = alike_tokens_.find(alike_[q]);
    if (known == alike_tokens_.end()) return false;
    if (!known->second->many.words.empty()) words = known->second->many.words;
    for (const TokenId id : known->second->stay) {
      words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
    }
  }
  for (const TokenId id : *tables.longer) {
    const std::uint64_t bit = std::uint64_t{1} << (id % 64);
    std::uint64_t& word = words[static_cast<std::size_t>(id) / 64];
    word = stays(q, tables.vocabulary->bytes(id)) ? word | bit : word & ~bit;
  }
  return true;
}

bool ScalarDfa::stays(State q, std::string_view text) const {
  for (const char c : text) {
    q = next(q, static_cast<unsigned char>(c));
    if (q == kDead || (quoted_ && accepting(q))) return false;
  }
  return true;
}

// kHorizon rounds: what a state does with texts of n + 1 bytes is what the states that it leads to
// do with texts of n. Bytes that lead alike are mostly neighbours.
std::vector<ScalarDfa::Digest> ScalarDfa::find_alike() const {
  const auto stir = [](std::uint64_t h, std::uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15ULL;
    return h ^ (h >> 32);
  };
  std::vector<Digest> alike(facts_.size());
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    alike[q] = {facts_[q].accepting ? 3U : 1U, facts_[q].accepting ? 7U : 5U};
  }
  std::vector<Digest> further(alike.size());
  for (std::size_t round = 0; round < kHorizon; ++round) {
    for (std::size_t q = 1; q < facts_.size(); ++q) {
      Digest made{alike[q].a * 31, alike[q].b * 37};
      for (const ByteRun& run : runs_.of(q)) {
        const Digest& to = alike[run.to];
        made.a = stir(made.a + run.first, to.a);
        made.b = stir(made.b ^ (to.b * 0xBF58476D1CE4E5B9ULL), run.first + 1U);
      }
      further[q] = made;
    }
    alike.swap(further);
  }
  return alike;
}

void ScalarDfa::prepare(const Tables& tables) const {
  if (!quoted_ || facts_.size() < kFewStates) return;
  static_cast<void>(ahead(start_));
  for (const Terminal* characters : {tables.string, tables.canonical}) {
    if (characters != nullptr) static_cast<void>(along(*characters));
  }
  const std::lock_guard lock(mutex_);
  if (alike_.empty()) alike_ = find_alike();
}

// Where any string may follow, or any that is not long.
bool ScalarDfa::add_all(const Tables& tables, State q, std::vector<std::uint64_t>& words) const {
  constexpr std::uint8_t kSomeBytes = 4;  // of fewer nearly all tokens would be tried
  if (!between(q)) return false;
  const auto add = [&](const Terminal* characters, const Terminal::Piece* inside) {
    if (characters == nullptr) return false;
    const Along& known = along(*characters);
    if (known.dies[q] < kSomeBytes) return false;
    inside->add_to(words);
    if (known.dies[q] != kNever) take_dying(tables, q, known, words);
    return true;
  };
  return add(tables.string, tables.inside) || add(tables.canonical, tables.canonical_inside);
}

// Takes away the tokens that are not read any more: over the trie, but for what is below a node and
// not long enough.
void ScalarDfa::take_dying(const Tables& tables, State q, const Along& along,
                           std::vector<std::uint64_t>& words) const {
  const TokenTrie& trie = tables.vocabulary->trie();
  const auto nodes = trie.nodes();
  const auto heights = trie.heights();
  std::vector<State> path(trie.longest() + 1, kDead);
  path[0] = q;
  for (std::uint32_t i = 0; i < nodes.size();) {
    const TokenTrie::Node& at = nodes[i];
    const State to = next(path[at.depth - 1U], at.byte);
    path[at.depth] = to;
    if (to == kDead) {
      for (const TokenId id : trie.tokens_below(i)) {
        words[static_cast<std::size_t>(id) / 64] &= ~(std::uint64_t{1} << (id % 64));
      }
    }
    i = to == kDead || accepting(to) || heights[i] < along.dies[to] ? at.next : i + 1;
  }
}

const ScalarDfa::Ahead& ScalarDfa::ahead(State q) const {
  std::call_once(ahead_once_, [&] {
    const auto each_target = [&](std::uint32_t from, auto&& f) {
      for (const ByteRun& run : runs_.of(from)) {
        if (run.to != kDead) f(std::uint32_t{run.to});
      }
    };
    const auto components = strong_components(facts_.size(), each_target);
    ahead_.resize(facts_.size());
    for (const auto& component : components) {  // those that one leads to stand before it
      Ahead all;
      for (const std::uint32_t from : component) {
        all.alphabet |= facts_[from].bytes;
        if (!facts_[from].accepting) all.most_left = std::max(all.most_left, facts_[from].left);
        each_target(from, [&](std::uint32_t to) {
          all.alphabet |= ahead_[to].alphabet;
          all.most_left = std::max(all.most_left, ahead_[to].most_left);
        });
      }
      for (const std::uint32_t from : component) ahead_[from] = all;
    }
  });
  return ahead_[q];
}

ScalarDfa::Words ScalarDfa::foreign(const Tables& tables, const ByteSet& alphabet) const {
  constexpr std::size_t kMostAlphabets = 8;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [known, words] : foreign_) {
      if (known == alphabet) return words;
    }
  }
  std::vector<std::uint64_t> out((tables.vocabulary->size() + 63) / 64);
  add_holding(tables, ~alphabet, out);
  auto made = std::make_shared<const std::vector<std::uint64_t>>(std::move(out));
  const std::lock_guard lock(mutex_);
  if (foreign_.size() < kMostAlphabets) foreign_.emplace_back(alphabet, made);
  return made;
}

// Where most characters lead along a chain. False where tables would not help.
bool ScalarDfa::add_by_table(const Tables& tables, State q,
                             std::vector<std::uint64_t>& words) const {
  if (tables.inside == nullptr) return false;
  const std::size_t longest = tables.vocabulary->longest_token();
  return add_along(tables, q, chain(q, longest), words) ||
         add_along(tables, q, closed(q, longest), words);
}

bool ScalarDfa::add_along(const Tables& tables, State q, const Chain& chain,
                          std::vector<std::uint64_t>& words) const {
  if (chain.bytes.count() < kWide) return false;
  const ByteSet& read = ahead(q).alphabet;
  const Words foreign_words = foreign(tables, read);
  const auto& foreign = *foreign_words;
  std::vector<std::uint64_t> others(words.size());
  unsigned added = 0;
  for (ByteSet rest = read & ~chain.bytes; !rest.none(); rest.remove(rest.lowest())) {
    const auto& holding = (*tables.holding)[rest.lowest()].words;
    for (std::size_t w = 0; w < holding.size(); ++w) others[w] |= holding[w] & ~foreign[w];
    if (++added % kCounted == 0 && count_bits(others) > kFewOthers) return false;
  }
  if (count_bits(others) > kFewOthers) return false;
  const auto apart = [&](std::size_t w) { return others[w] | foreign[w]; };
  const Terminal::Piece& inside = *tables.inside;
  for (const Terminal::Piece::Stay& stay : inside.stay) {
    const auto id = static_cast<std::size_t>(stay.id);
    if (stay.begun > chain.steps || ((apart(id / 64) >> (id % 64)) & 1) != 0) continue;
    words[id / 64] |= std::uint64_t{1} << (id % 64);
  }
  const auto longer = std::upper_bound(inside.lengths.begin(), inside.lengths.end(), chain.steps);
  if (longer != inside.lengths.begin()) {
    const auto& most =
        inside.dense[static_cast<std::size_t>(longer - inside.lengths.begin()) - 1].words;
    for (std::size_t w = 0; w < words.size(); ++w) words[w] |= most[w] & ~apart(w);
  }
  for_each_bit(others, [&](TokenId id) {
    State at = q;
    for (const char c : tables.vocabulary->bytes(id)) {
      at = next(at, static_cast<unsigned char>(c));
      if (at == kDead || accepting(at)) return;
    }
    words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
  });
  return true;
}

// Of `first`, the bytes all of whose characters lead from `from` to states that are `wanted`.
template <class Wanted>
ByteSet ScalarDfa::leading(State from, const ByteSet& first, Wanted&& wanted) const {
  struct Range {
    unsigned low, high;
  };
  // visit(first, last, to) for the bytes of a range, as many as lead alike at a time, until it says
  // false.
  const auto each = [&](State at, Range range, auto&& visit) {
    const std::span<const ByteRun> runs = runs_.of(at);
    std::size_t r = 0;
    while (ByteRuns::end(runs, r) <= range.low) ++r;
    for (; r < runs.size() && runs[r].first <= range.high; ++r) {
      const unsigned low = std::max<unsigned>(runs[r].first, range.low);
      const unsigned high = std::min(ByteRuns::end(runs, r) - 1, range.high);
      if (!visit(low, high, static_cast<State>(runs[r].to))) return false;
    }
    return true;
  };
  // As deep as a character has bytes.
  const auto leads = [&](auto&& self, State at, std::span<const Range> ranges) -> bool {
    if (ranges.empty()) return wanted(at);
    return each(at, ranges[0], [&](unsigned, unsigned, State on) {
      return on != kDead && self(self, on, ranges.subspan(1));
    });
  };
  static constexpr Range kLast{0x80, 0xBF};
  struct Shape {
    Range first;
    Range rest[3];
    std::size_t size;
  };
  static constexpr Shape kShapes[] = {{{0x00, 0x7F}, {}, 0},
                                      {{0xC2, 0xDF}, {kLast}, 1},
                                      {{0xE0, 0xE0}, {{0xA0, 0xBF}, kLast}, 2},
                                      {{0xE1, 0xEC}, {kLast, kLast}, 2},
                                      {{0xED, 0xED}, {{0x80, 0x9F}, kLast}, 2},
                                      {{0xEE, 0xEF}, {kLast, kLast}, 2},
                                      {{0xF0, 0xF0}, {{0x90, 0xBF}, kLast, kLast}, 3},
                                      {{0xF1, 0xF3}, {kLast, kLast, kLast}, 3},
                                      {{0xF4, 0xF4}, {{0x80, 0x8F}, kLast, kLast}, 3}};
  ByteSet out;
  for (const Shape& shape : kShapes) {
    each(from, shape.first, [&](unsigned low, unsigned high, State on) {
      if (on == kDead) return true;
      const ByteSet some = first & ByteSet::range(low, high);
      const auto rest = std::span(shape.rest).first(shape.size);
      if (!some.none() && leads(leads, on, rest)) out |= some;
      return true;
    });
  }
  return out;
}

ScalarDfa::Chain ScalarDfa::chain(State q, std::size_t longest) const {
  // Between characters of a string, that is: not before its quote, nor inside a character.
  if (!(this->bytes(q) & ByteSet::range(0x80, 0xBF)).none()) return {};
  Chain out;
  out.bytes = ByteSet::range(0x20, 0xFF);
  out.bytes.remove('"');
  out.bytes.remove('\\');
  State at = q;
  while (out.steps < longest) {
    // To the state that most of ASCII leads to.
    std::vector<std::pair<State, unsigned>> counts;
    ByteSet rest = out.bytes & this->bytes(at) & ByteSet::range(0, 0x7F);
    for (; !rest.none(); rest.remove(rest.lowest())) {
      const State to = next(at, static_cast<unsigned char>(rest.lowest()));
      const auto known =
          std::find_if(counts.begin(), counts.end(), [&](const auto& c) { return c.first == to; });
      if (known == counts.end()) {
        counts.emplace_back(to, 1U);
      } else {
        ++known->second;
      }
    }
    const auto most =
        std::max_element(counts.begin(), counts.end(),
                         [](const auto& a, const auto& b) { return a.second < b.second; });
    if (most == counts.end()) break;  // no character follows: longer tokens are not inside
    out.bytes = leading(at, out.bytes, [&](State to) { return to == most->first; });
    if ((out.bytes & ByteSet::range(0, 0x7F)).count() < kWide) return {};
    ++out.steps;
    if (most->first == at) {
      out.steps = static_cast<std::uint32_t>(longest);
      return out;
    }
    at = most->first;
  }
  const bool ends = (this->bytes(at) & out.bytes).none();
  return out.steps > 0 && (ends || out.steps == longest) ? out : Chain{};
}

// Characters after any of which, any number of times, the string can go on and none of them is
// missing.
ScalarDfa::Chain ScalarDfa::closed(State q, std::size_t longest) const {
  constexpr std::size_t kMost = 256;  // states
  if (!this->bytes(q).has(' ') && (this->bytes(q) & ByteSet::range(0x21, 0x7E)).count() < kWide) {
    return {};
  }
  if (!(this->bytes(q) & ByteSet::range(0x80, 0xBF)).none()) return {};
  Chain out;
  out.bytes = ByteSet::range(0x20, 0xFF);
  out.bytes.remove('"');
  out.bytes.remove('\\');
  out.steps = static_cast<std::uint32_t>(longest);
  std::vector<State> reached{q};
  std::vector<bool> known(facts_.size(), false);
  known[q] = true;
  for (std::size_t i = 0; i < reached.size(); ++i) {
    out.bytes = leading(reached[i], out.bytes, [&](State to) {
      if (!known[to]) reached.push_back(to);
      return known[to] = true;
    });
    if (reached.size() > kMost || (out.bytes & ByteSet::range(0, 0x7F)).count() < kWide) return {};
  }
  return out;
}

}  // namespace espalier::grammar
