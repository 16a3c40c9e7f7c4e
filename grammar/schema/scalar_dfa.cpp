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

constexpr std::size_t kStepBytes = 512;  // that count as a step: states of many positions

const ByteSet kStructure = ByteSet::of(",]} \n");

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

}  // namespace espalier::grammar
