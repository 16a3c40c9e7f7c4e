#include "grammar/schema/scalar_dfa.h"

#include <algorithm>
#include <span>
#include <unordered_set>
#include <utility>

#include "grammar/program.h"
#include "grammar/strong_components.h"
#include "grammar/token_trie.h"

namespace espalier::grammar {
namespace {

constexpr unsigned kWide = 20;                // characters of ASCII from which tables are looked at
constexpr std::uint32_t kFewOthers = 24'000;  // tokens that are tried one by one beside tables

constexpr std::size_t kStepBytes = 512;  // that count as a step: states of many positions

const ByteSet kStructure = ByteSet::of(",]} \n");

// Adds the tokens that hold a character which begins with one of the bytes.
void add_holding(const ScalarDfa::Tables& tables, const ByteSet& bytes,
                 std::vector<std::uint64_t>& words) {
  for (ByteSet rest = bytes; !rest.none(); rest.remove(rest.lowest())) {
    const auto& holding = (*tables.holding)[rest.lowest()].words;
    for (std::size_t w = 0; w < holding.size(); ++w) words[w] |= holding[w];
  }
}

}  // namespace

std::shared_ptr<const ScalarDfa> ScalarDfa::create(const ProgramRef& program,
                                                   std::size_t most_steps,
                                                   const Terminal* characters) {
  auto out = std::make_shared<ScalarDfa>();
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
  const ByteSet& readable = program->vocabulary()->json_bytes();
  std::size_t steps = 0;
  bool quotes = true, bare = true;
  for (std::size_t q = 1; q < states.size(); ++q) {
    const bool costly = steps + automaton.bytes() / kStepBytes > most_steps;
    if (states.size() > kMaxStates || costly) return nullptr;
    out->rows_.resize((q + 1) * 256, kDead);
    Facts facts;
    facts.accepting = automaton.accepting(states[q]);
    std::vector<ByteSet> classes{automaton.bytes_of(states[q])};
    if (!classes[0].none()) {
      automaton.byte_classes(states[q], classes);
      for (ByteSet rest : classes) {
        rest &= readable;
        if (rest.none()) continue;
        ++steps;
        const State to =
            number(automaton.live_step(states[q], static_cast<unsigned char>(rest.lowest())));
        if (to == kDead) continue;
        facts.bytes |= rest;
        for (; !rest.none(); rest.remove(rest.lowest())) out->rows_[q * 256 + rest.lowest()] = to;
      }
    }
    if (q == 1) quotes = facts.bytes == ByteSet::of("\"") && !facts.accepting;
    quotes = quotes && !(facts.accepting && !facts.bytes.none());
    bare = bare && (facts.bytes & (kStructure | ByteSet::of("\""))).none();
    if (!quotes && !bare) return nullptr;
    out->facts_.push_back(facts);
  }
  out->quoted_ = quotes;
  out->find_closings(program->vocabulary()->single_bytes());
  if (readable != ByteSet::all() && !out->drop_endless()) return nullptr;
  out->count_completions();
  if (quotes && characters != nullptr) out->count_characters(*characters);
  return out;
}

// Breadth first from the ends backwards; of the bytes that are nearest to an end, those first that
// are tokens.
void ScalarDfa::find_closings(const ByteSet& preferred) {
  struct Edge {
    State from = kDead;
    unsigned char byte = 0;
  };
  std::vector<std::vector<Edge>> into(facts_.size());
  std::vector<State> layer, further;
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    if (facts_[q].accepting) {
      facts_[q].closing_size = 0;
      layer.push_back(static_cast<State>(q));
    }
    for (const bool spelled : {true, false}) {
      ByteSet rest = spelled ? facts_[q].bytes & preferred : facts_[q].bytes & ~preferred;
      State last = kDead;
      for (; !rest.none(); rest.remove(rest.lowest())) {
        const auto byte = static_cast<unsigned char>(rest.lowest());
        const State to = next(static_cast<State>(q), byte);
        if (to != last) into[to].push_back({static_cast<State>(q), byte});
        last = to;
      }
    }
  }
  for (std::uint32_t size = 1; !layer.empty(); ++size) {
    further.clear();
    for (const State to : layer) {
      for (const Edge& e : into[to]) {
        Facts& from = facts_[e.from];
        if (from.closing_size <= size &&
            (from.closing_size < size || preferred.has(from.closing_byte) ||
             !preferred.has(e.byte))) {
          continue;
        }
        if (from.closing_size > size) further.push_back(e.from);
        from.closing_size = size;
        from.closing_byte = e.byte;
        longest_closing_ = size;
      }
    }
    layer.swap(further);
  }
}

// Leaves out the steps to states that have no way to the end without bytes that no token has. False
// where nothing is left.
bool ScalarDfa::drop_endless() {
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    for (ByteSet rest = facts_[q].bytes; !rest.none(); rest.remove(rest.lowest())) {
      State& to = rows_[q * 256 + rest.lowest()];
      if (facts_[to].closing_size != UINT32_MAX) continue;
      to = kDead;
      facts_[q].bytes.remove(rest.lowest());
    }
  }
  return facts_[start_].closing_size != UINT32_MAX;
}

// From the ends backwards over states all of whose steps are counted; what is left lies on a cycle
// or before one.
void ScalarDfa::count_completions() {
  std::vector<std::vector<State>> into(facts_.size());
  std::vector<std::uint32_t> open(facts_.size(), 0);  // steps to states not counted yet
  std::vector<std::uint64_t> sum(facts_.size(), 0);
  std::vector<State> ready;
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    sum[q] = facts_[q].accepting ? 1 : 0;
    for (ByteSet rest = facts_[q].bytes; !rest.none(); rest.remove(rest.lowest())) {
      into[next(static_cast<State>(q), static_cast<unsigned char>(rest.lowest()))].push_back(
          static_cast<State>(q));
      ++open[q];
    }
    facts_[q].completions = kMany;
    if (open[q] == 0) ready.push_back(static_cast<State>(q));
  }
  while (!ready.empty()) {
    const State q = ready.back();
    ready.pop_back();
    facts_[q].completions = static_cast<std::uint32_t>(std::min<std::uint64_t>(sum[q], kMany));
    for (const State from : into[q]) {
      sum[from] = std::min<std::uint64_t>(sum[from] + facts_[q].completions, kMany);
      if (--open[from] == 0) ready.push_back(from);
    }
  }
}

// Each state goes with one of the characters' states, else lengths are not counted. Then from the
// ends backwards: steps that begin a character cost one.
void ScalarDfa::count_characters(const Terminal& characters) {
  std::vector<Terminal::State> along(facts_.size(), Terminal::kDead);
  struct Edge {
    State from = kDead;
    std::uint8_t cost = 0;
    unsigned char byte = 0;
  };
  std::vector<std::vector<Edge>> into(facts_.size());
  along[start_] = characters.start();
  std::vector<State> open{start_};
  std::vector<State> layer, further;
  while (!open.empty()) {
    const State q = open.back();
    open.pop_back();
    const Terminal::State here = along[q];
    Facts& facts = facts_[q];
    facts.between = here == characters.boundary();
    if (facts.accepting) {
      facts.left = 0;
      layer.push_back(q);
    }
    for (ByteSet rest = facts.bytes; !rest.none(); rest.remove(rest.lowest())) {
      const auto byte = static_cast<unsigned char>(rest.lowest());
      const State to = next(q, byte);
      const Terminal::State there = characters.next(here, byte);
      if (there == Terminal::kDead) return;
      if (along[to] == Terminal::kDead) {
        along[to] = there;
        open.push_back(to);
      } else if (along[to] != there) {
        return;
      }
      const std::uint8_t cost = facts.between && byte != '"' ? 1 : 0;
      const bool known =
          !into[to].empty() && into[to].back().from == q && into[to].back().cost == cost;
      if (!known) into[to].push_back({q, cost, byte});
    }
  }
  for (std::uint32_t left = 0; !layer.empty(); ++left) {
    further.clear();
    for (std::size_t i = 0; i < layer.size(); ++i) {  // grows
      const State to = layer[i];
      if (facts_[to].left != left) continue;  // nearer by another way
      most_left_ = left;
      for (const Edge& e : into[to]) {
        if (facts_[e.from].left <= left + e.cost) continue;
        facts_[e.from].left = left + e.cost;
        facts_[e.from].fewest_byte = e.byte;
        (e.cost == 0 ? layer : further).push_back(e.from);
      }
    }
    layer.swap(further);
  }
  counts_ = true;
}

std::shared_ptr<const ScalarDfa> ScalarDfa::without_empty(const ByteSet& preferred,
                                                          const Terminal* characters) const {
  const State open = next(start_, '"');
  if (facts_.size() >= kMaxStates) return nullptr;
  auto out = std::make_shared<ScalarDfa>();
  out->rows_ = rows_;
  out->facts_ = facts_;
  out->start_ = start_;
  out->quoted_ = true;
  // The state after the quote once more, without the one that ends it there.
  const auto own = static_cast<State>(facts_.size());
  out->facts_.push_back(facts_[open]);
  out->facts_[own].bytes.remove('"');
  if (out->facts_[own].bytes.none()) return nullptr;
  const auto from = static_cast<std::ptrdiff_t>(std::size_t{open} * 256);
  std::vector<State> row(rows_.begin() + from, rows_.begin() + from + 256);
  row['"'] = kDead;
  out->rows_.insert(out->rows_.end(), row.begin(), row.end());
  out->rows_[std::size_t{start_} * 256 + '"'] = own;
  for (Facts& facts : out->facts_) {
    Facts fresh;
    fresh.bytes = facts.bytes;
    fresh.accepting = facts.accepting;
    facts = fresh;
  }
  out->find_closings(preferred);
  out->count_completions();
  if (characters != nullptr) out->count_characters(*characters);
  return out;
}

std::string ScalarDfa::closing_word(State q) const {
  std::string out;
  while (!accepting(q)) {
    out += static_cast<char>(closing_byte(q));
    q = next(q, closing_byte(q));
  }
  return out;
}

std::shared_ptr<const ScalarDfa::Tokens> ScalarDfa::tokens(const Tables& tables, State q) const {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = tokens_.find(q); known != tokens_.end()) return known->second;
  }
  auto out = std::make_shared<Tokens>();
  std::vector<std::uint64_t> words((tables.vocabulary->size() + 63) / 64);
  const bool many = facts_.size() >= kFewStates && tables.longer != nullptr;
  bool added = quoted_ && ((!many && add_all(tables, q, words)) || add_by_table(tables, q, words));
  if (!added && many) added = add_by_like(tables, q, words);
  if (!added) {
    if (!quoted_ || !many || !add_all(tables, q, words)) add_by_walk(tables, q, words);
    if (many) remember(q, words);
  }
  const std::uint32_t count = count_bits(words);
  if (count <= kListedTokens) {
    out->stay.reserve(count);
    for_each_bit(words, [&](TokenId id) { out->stay.push_back(id); });
  } else {
    out->many = {std::move(words), count};
  }
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
  if (kept_ + bytes > kMostKept) return out;
  out->kept = true;
  kept_ += bytes;
  tokens_.emplace(q, out);
  return out;
}

// Along the automaton over the vocabulary's trie.
void ScalarDfa::add_by_walk(const Tables& tables, State q,
                            std::vector<std::uint64_t>& words) const {
  const TokenTrie& trie = tables.vocabulary->trie();
  const auto nodes = trie.nodes();
  std::vector<State> path(trie.longest() + 1);
  path[0] = q;
  std::vector<std::uint32_t> tops;
  trie.children(TokenTrie::kRoot, bytes(q), tops);
  for (const std::uint32_t top : tops) {
    const std::uint32_t end = nodes[top].next;
    for (std::uint32_t i = top; i < end;) {
      const TokenTrie::Node& at = nodes[i];
      const State to = next(path[at.depth - 1U], at.byte);
      if (to == kDead || (quoted_ && accepting(to))) {
        i = at.next;
        continue;
      }
      path[at.depth] = to;
      if (at.token_count > 0) {
        for (const TokenId id : trie.tokens_at(i)) {
          words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
        }
      }
      ++i;
    }
  }
}

// From the tokens of a state that does the same with short ones; false where none is remembered.
bool ScalarDfa::add_by_like(const Tables& tables, State q,
                            std::vector<std::uint64_t>& words) const {
  std::call_once(alike_once_, [&] { find_alike(); });
  {
    const std::lock_guard lock(mutex_);
    const auto known = alike_tokens_.find(alike_[q]);
    if (known == alike_tokens_.end()) return false;
    words = *known->second;
  }
  for (const TokenId id : *tables.longer) {
    const std::uint64_t bit = std::uint64_t{1} << (id % 64);
    std::uint64_t& word = words[static_cast<std::size_t>(id) / 64];
    word = stays(q, tables.vocabulary->bytes(id)) ? word | bit : word & ~bit;
  }
  return true;
}

void ScalarDfa::remember(State q, const std::vector<std::uint64_t>& words) const {
  const std::lock_guard lock(mutex_);
  if (alike_tokens_.size() == kMostAlike) return;
  alike_tokens_.try_emplace(alike_[q], std::make_shared<const std::vector<std::uint64_t>>(words));
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
void ScalarDfa::find_alike() const {
  struct Run {
    unsigned char first = 0;
    State to = kDead;
  };
  std::vector<Run> runs;
  std::vector<std::size_t> begins{0, 0};  // of state 1: 0
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const State to = next(static_cast<State>(q), static_cast<unsigned char>(byte));
      if (byte == 0 || runs.back().to != to) runs.push_back({static_cast<unsigned char>(byte), to});
    }
    begins.push_back(runs.size());
  }
  const auto stir = [](std::uint64_t h, std::uint64_t v) {
    h = (h ^ v) * 0x9E3779B97F4A7C15ULL;
    return h ^ (h >> 32);
  };
  alike_.assign(facts_.size(), {});
  for (std::size_t q = 1; q < facts_.size(); ++q) {
    alike_[q] = {facts_[q].accepting ? 3U : 1U, facts_[q].accepting ? 7U : 5U};
  }
  std::vector<Digest> further(alike_.size());
  for (std::size_t round = 0; round < kHorizon; ++round) {
    for (std::size_t q = 1; q < facts_.size(); ++q) {
      Digest made{alike_[q].a * 31, alike_[q].b * 37};
      for (std::size_t i = begins[q]; i < begins[q + 1]; ++i) {
        const Digest& to = alike_[runs[i].to];
        made.a = stir(made.a + runs[i].first, to.a);
        made.b = stir(made.b ^ (to.b * 0xBF58476D1CE4E5B9ULL), runs[i].first + 1U);
      }
      further[q] = made;
    }
    alike_.swap(further);
  }
}

// Whether what can be read from `q` on, up to the closing quote, are the strings of `characters`.
bool ScalarDfa::reads_all(const Terminal& characters, State q) const {
  using Pair = std::pair<State, Terminal::State>;
  std::vector<Pair> open{{q, characters.boundary()}};
  std::unordered_set<std::uint32_t> known;
  while (!open.empty()) {
    const auto [at, there] = open.back();
    open.pop_back();
    ByteSet rest = characters.bytes(there), own = bytes(at);
    if (there == characters.boundary()) {
      rest.remove('"');
      own.remove('"');
    }
    if (own != rest) return false;
    Pair last;  // neighbours lead alike
    for (; !rest.none(); rest.remove(rest.lowest())) {
      const auto byte = static_cast<unsigned char>(rest.lowest());
      const Pair to{next(at, byte), characters.next(there, byte)};
      if (to == last) continue;
      last = to;
      if (known.insert((std::uint32_t{to.first} << 16) | to.second).second) open.push_back(to);
    }
  }
  return true;
}

// Where any string may follow.
bool ScalarDfa::add_all(const Tables& tables, State q, std::vector<std::uint64_t>& words) const {
  const auto add = [&](const Terminal* characters, const Terminal::Piece* inside) {
    if (characters == nullptr || !reads_all(*characters, q)) return false;
    for (const Terminal::Piece::Stay& stay : inside->stay) {
      words[static_cast<std::size_t>(stay.id) / 64] |= std::uint64_t{1} << (stay.id % 64);
    }
    if (!inside->dense.empty()) words = inside->dense.back().words;
    return true;
  };
  return add(tables.string, tables.inside) || add(tables.canonical, tables.canonical_inside);
}

const ByteSet& ScalarDfa::alphabet(State q) const {
  std::call_once(alphabets_once_, [&] {
    const auto each_target = [&](std::uint32_t from, auto&& f) {
      const State* row = &rows_[std::size_t{from} * 256];
      for (unsigned b = 0; b < 256; ++b) {
        if (row[b] != kDead && (b == 0 || row[b] != row[b - 1])) f(std::uint32_t{row[b]});
      }
    };
    const auto components = strong_components(facts_.size(), each_target);
    alphabets_.resize(facts_.size());
    for (const auto& component : components) {  // those that one leads to stand before it
      ByteSet all;
      for (const std::uint32_t from : component) {
        all |= facts_[from].bytes;
        each_target(from, [&](std::uint32_t to) { all |= alphabets_[to]; });
      }
      for (const std::uint32_t from : component) alphabets_[from] = all;
    }
  });
  return alphabets_[q];
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
  const Chain chain = this->chain(q, tables.vocabulary->longest_token());
  if (chain.bytes.count() < kWide) return false;
  const ByteSet& read = alphabet(q);
  const Words foreign_words = foreign(tables, read);
  const auto& foreign = *foreign_words;
  std::vector<std::uint64_t> others(words.size());
  add_holding(tables, read & ~chain.bytes, others);
  for (std::size_t w = 0; w < words.size(); ++w) others[w] &= ~foreign[w];
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
    out.bytes = leading(at, most->first, out.bytes);
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

// Of `first`, the bytes all of whose characters lead from `from` to `to`.
ByteSet ScalarDfa::leading(State from, State to, const ByteSet& first) const {
  struct Range {
    unsigned low, high;
  };
  // As deep as a character has bytes.
  const auto leads = [&](auto&& self, State at, std::span<const Range> ranges) -> bool {
    if (ranges.empty()) return at == to;
    State last = kDead;  // neighbours lead alike
    for (unsigned b = ranges[0].low; b <= ranges[0].high; ++b) {
      const State on = next(at, static_cast<unsigned char>(b));
      if (on == kDead) return false;
      if (on != last && !self(self, on, ranges.subspan(1))) return false;
      last = on;
    }
    return true;
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
    State last = kDead;
    bool fits = false;
    for (unsigned b = shape.first.low; b <= shape.first.high; ++b) {
      const State on = first.has(b) ? next(from, static_cast<unsigned char>(b)) : kDead;
      if (on == kDead) continue;
      if (on != last) fits = leads(leads, on, std::span(shape.rest).first(shape.size));
      last = on;
      if (fits) out.add(b);
    }
  }
  return out;
}

}  // namespace espalier::grammar
