#include "grammar/schema/scalar_product.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "grammar/hash.h"
#include "grammar/make_room.h"
#include "grammar/program.h"

namespace espalier::grammar {

ScalarProduct::ScalarProduct(std::shared_ptr<const ScalarCombination> what, const ByteSet& readable,
                             const ByteSet& preferred, Opened opened)
    : what_(std::move(what)),
      of_all_(std::move(opened)),
      readable_(readable),
      preferred_(preferred) {
  const std::size_t parts = what_->parts();
  automata_.resize(parts);
  next_.resize(parts);
  places_.resize(parts);
  facts_.emplace_back();
  facts_[kNone].size = kNever;
  what_->start(next_);
  for (std::size_t i = 0; i < parts; ++i) {
    const ProgramRef& program = what_->program(i);
    if (program == nullptr) continue;
    automata_[i] = std::make_unique<Automaton>(program);
    next_[i] = part_state(*automata_[i], automata_[i]->start({}));
  }
  start_ = number();
}

// As ScalarCombination has it of a program's part.
std::uint32_t ScalarProduct::part_state(const Automaton& of, StateId state) {
  if (state == Automaton::kDead) return 0;
  return 2 * state + (of.accepting(state) ? 1 : 0);
}

// The state of `next_`; kNone where no text completes it, as far as the parts alone say.
ScalarProduct::State ScalarProduct::number() {
  if (!what_->hopeful(next_)) return kNone;
  const std::size_t parts = next_.size();
  std::size_t hash = 0;
  for (const std::uint32_t part : next_) hash = mix(hash, part);
  State id = numbers_.find(hash, [&](State other) {
    return std::equal(next_.begin(), next_.end(),
                      places_.begin() + static_cast<std::ptrdiff_t>(other * parts));
  });
  if (id != InternTable::kNone) return id;
  id = static_cast<State>(facts_.size());
  numbers_.insert(hash, id);
  make_room(facts_);
  Facts& facts = facts_.emplace_back();
  if (what_->accepting(next_)) {
    facts.size = 0;
  } else {
    facts.least = std::max(1U, what_->least(next_, [&](std::size_t part) {
      const StateId at = next_[part] / 2;
      return static_cast<std::uint32_t>(
          std::min<std::uint64_t>(automata_[part]->closing_length(at), Program::kLongestClosing));
    }));
  }
  places_.insert(places_.end(), next_.begin(), next_.end());
  return id;
}

ScalarProduct::State ScalarProduct::successor(State q, unsigned char byte) {
  const std::vector<Run>& runs = expanded(q).runs;
  const auto behind =
      std::upper_bound(runs.begin(), runs.end(), byte,
                       [](unsigned char b, const Run& run) { return b < run.first; });
  return std::prev(behind)->to;
}

// All steps from a state: a run of bytes that all parts treat alike at a time.
void ScalarProduct::expand(State q) {
  const std::size_t parts = next_.size();
  const std::vector<std::uint32_t> here(
      places_.begin() + static_cast<std::ptrdiff_t>(q * parts),
      places_.begin() + static_cast<std::ptrdiff_t>((q + 1) * parts));
  std::array<bool, 257> begins{};                           // a run
  std::vector<std::array<std::uint32_t, 256>> rows(parts);  // of programs
  for (std::size_t i = 0; i < parts; ++i) {
    if (automata_[i] == nullptr) {
      if (here[i] == 0) continue;
      for (const ByteRun& run : what_->runs(i, here[i])) begins[run.first] = true;
      continue;
    }
    rows[i].fill(0);
    if (here[i] == 0) continue;
    Automaton& automaton = *automata_[i];
    const StateId at = here[i] / 2;
    std::vector<ByteSet> classes{automaton.bytes_of(at)};
    if (classes[0].none()) continue;
    automaton.byte_classes(at, classes);
    for (ByteSet rest : classes) {
      rest &= readable_;
      if (rest.none()) continue;
      const auto byte = static_cast<unsigned char>(rest.lowest());
      const std::uint32_t to = part_state(automaton, automaton.live_step(at, byte));
      for (; !rest.none(); rest.remove(rest.lowest())) rows[i][rest.lowest()] = to;
    }
    for (unsigned b = 1; b < 256; ++b) begins[b] = begins[b] || rows[i][b] != rows[i][b - 1];
  }
  auto made = std::make_unique<Expanded>();
  made->runs.push_back({0, kNone});
  for (unsigned b = 0; b < 256;) {
    unsigned end = b + 1;
    while (end < 256 && !begins[end]) ++end;
    const auto byte = static_cast<unsigned char>(b);
    bool dead = true;
    for (std::size_t i = 0; i < parts; ++i) {
      next_[i] = 0;
      if (here[i] != 0) {
        next_[i] = automata_[i] != nullptr ? rows[i][b] : what_->read(i, here[i], byte);
      }
      dead = dead && next_[i] == 0;
    }
    const State to = dead ? kNone : number();
    if (to != made->runs.back().to) {
      if (b == 0) made->runs.clear();
      made->runs.push_back({byte, to});
    }
    if (to != kNone) made->bytes |= ByteSet::range(b, end - 1);
    b = end;
  }
  made->runs.shrink_to_fit();
  runs_ += made->runs.size();
  facts_[q].expanded = std::move(made);
}

void ScalarProduct::byte_classes(State q, std::vector<ByteSet>& classes) {
  const std::vector<Run>& runs = expanded(q).runs;
  std::unordered_map<State, ByteSet> alike;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const unsigned end = i + 1 < runs.size() ? runs[i + 1].first : 256;
    alike[runs[i].to] |= ByteSet::range(runs[i].first, end - 1);
  }
  for (const auto& [to, bytes] : alike) refine(classes, bytes);
}

bool ScalarProduct::Open::operator<(const Open& other) const {
  return std::tuple(estimate, other.length, order) >
         std::tuple(other.estimate, length, other.order);
}

// Nearest first, to a state that is accepting or whose closing is known. What is learnt on the way
// stays: a state that was opened lies at least as far from the end as the one found says.
void ScalarProduct::find_closing(State from) {
  const bool many = in_vain_ >= kMostInVain || *of_all_ >= kMostOfAll;
  const std::size_t most = many ? kFewOpened : kMostOpened;
  ++searches_;
  open_.clear();
  std::uint32_t order = 0;
  bool cut = false;  // a text may be longer than closings are
  const auto reach = [&](State to, std::uint32_t length, State before, unsigned char byte) {
    Facts& facts = facts_[to];
    if (facts.size == kNever) return;
    const std::uint32_t estimate = length + (facts.size != kUnknown ? facts.size : facts.least);
    if (facts.search == searches_ && facts.length <= length) return;
    if (estimate > Program::kLongestClosing) {
      cut = true;
      return;
    }
    facts.search = searches_;
    facts.length = length;
    facts.before = before;
    facts.byte = byte;
    open_.push_back({estimate, length, order++, to});
    std::push_heap(open_.begin(), open_.end());
  };
  reach(from, 0, kNone, 0);
  std::vector<State> opened;
  State end = kNone;
  while (!open_.empty() && opened.size() < most) {
    std::pop_heap(open_.begin(), open_.end());
    const Open at = open_.back();
    open_.pop_back();
    if (facts_[at.state].length != at.length) continue;  // reached by a shorter way
    if (facts_[at.state].size != kUnknown) {
      end = at.state;
      break;
    }
    opened.push_back(at.state);
    const std::vector<Run>& runs = expanded(at.state).runs;
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (runs[i].to == kNone) continue;
      const ByteSet own =
          ByteSet::range(runs[i].first, i + 1 < runs.size() ? runs[i + 1].first - 1U : 255U);
      const ByteSet tokens = own & preferred_;
      const unsigned byte = tokens.none() ? runs[i].first : tokens.lowest();
      reach(runs[i].to, at.length + 1, at.state, static_cast<unsigned char>(byte));
    }
  }
  *of_all_ += opened.size();
  if (end == kNone) {
    in_vain_ += opened.size();
    const bool all = open_.empty() && !cut;
    undecided_ = undecided_ || !open_.empty();
    facts_[from].size = kNever;
    if (all) {
      for (const State q : opened) facts_[q].size = kNever;
    }
    return;
  }
  const std::uint32_t total = facts_[end].length + facts_[end].size;
  for (const State q : opened) {
    facts_[q].least = std::max(facts_[q].least, total - std::min(total, facts_[q].length));
  }
  for (State q = end; q != from;) {
    const unsigned char byte = facts_[q].byte;
    q = facts_[q].before;
    facts_[q].size = total - facts_[q].length;
    facts_[q].closing_byte = byte;
  }
}

// By how many ways lead on, a byte at a time: each of them is the beginning of some text.
bool ScalarProduct::exceeds(State q, std::uint64_t count) {
  if (facts_[q].texts > count || facts_[q].counted) return facts_[q].texts > count;
  std::vector<std::pair<State, std::uint64_t>> layer{{q, 1}}, further;
  std::unordered_map<State, std::size_t> at;
  std::uint64_t ended = 0;
  while (!layer.empty()) {
    further.clear();
    at.clear();
    std::uint64_t sum = ended;
    for (const auto& [from, ways] : layer) {
      if (accepting(from)) {
        ended += ways;
        sum += ways;
        continue;
      }
      const std::vector<Run>& runs = expanded(from).runs;
      for (std::size_t i = 0; i < runs.size(); ++i) {
        if (!live(runs[i].to)) continue;
        const unsigned width = (i + 1 < runs.size() ? runs[i + 1].first : 256U) - runs[i].first;
        const auto [known, fresh] = at.try_emplace(runs[i].to, further.size());
        if (fresh) further.emplace_back(runs[i].to, 0);
        further[known->second].second += ways * width;
        sum += ways * width;
        if (sum > count) {
          facts_[q].texts = std::max(facts_[q].texts, sum);
          return true;
        }
      }
    }
    layer.swap(further);
  }
  facts_[q].texts = ended;
  facts_[q].counted = true;
  return ended > count;
}

// By a walk along the vocabulary's trie; a closing quote leaves.
std::shared_ptr<const ScalarProduct::Tokens> ScalarProduct::tokens(const ScalarDfa::Tables& tables,
                                                                   State q) {
  if (const auto known = tokens_.find(q); known != tokens_.end()) return known->second;
  auto out = std::make_shared<Tokens>();
  const Vocabulary& vocabulary = *tables.vocabulary;
  const TokenTrie& trie = vocabulary.trie();
  const auto nodes = trie.nodes();
  const auto tokens = trie.tokens();
  std::vector<std::uint64_t> words((vocabulary.size() + 63) / 64);
  const std::size_t before = facts_.size();
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
    State& to = rows[(row_of[from] - 1U) * std::size_t{256} + byte];
    if (to == kUnread) to = read();
    return to;
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
    const auto first = static_cast<std::size_t>(tokens[at.tokens]);  // one below it, at least
    words[first / 64] |= std::uint64_t{at.token_count != 0} << (first % 64);
    if (at.token_count > 1) {
      for (const TokenId id : trie.tokens_at(i)) {
        words[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1} << (id % 64);
      }
    }
    if (at.token_count > 0 && to != noted) {
      noted = to;
      out->longest = std::max(out->longest, closing_size(to));
    }
    ++i;
  }
  const std::uint32_t count = count_bits(words);
  if (count <= kListedTokens) {
    out->stay.reserve(count);
    for_each_bit(words, [&](TokenId id) { out->stay.push_back(id); });
  } else {
    out->many = {std::move(words)};
  }
  const auto& exits = tables.quoted->exits;
  for (std::uint32_t i = 0; i < exits.size(); ++i) {
    const std::string_view text = vocabulary.bytes(exits[i].id);
    State to = q;
    for (std::size_t b = 0; b < exits[i].size && to != kNone; ++b) {
      to = inside(to, static_cast<unsigned char>(text[b]));
    }
    if (to != kNone) to = next(to, static_cast<unsigned char>(text[exits[i].size]));
    if (to != kNone && accepting(to)) out->exits.push_back(i);
  }
  *of_all_ += facts_.size() - before;
  const std::size_t bytes = sizeof(Tokens) + out->stay.size() * sizeof(TokenId) +
                            out->many.words.size() * 8 + out->exits.size() * 4 + 128;
  if (kept_ + bytes > kMostKept) return out;
  kept_ += bytes;
  tokens_.emplace(q, out);
  return out;
}

std::size_t ScalarProduct::bytes() const {
  std::size_t out = kept_ + facts_.size() * (sizeof(Facts) + sizeof(Expanded) / 2 + 32) +
                    places_.size() * sizeof(std::uint32_t) + runs_ * sizeof(Run);
  for (const auto& automaton : automata_) {
    if (automaton != nullptr) out += automaton->bytes();
  }
  return out;
}

std::size_t ScalarProduct::held_bytes() const {
  return held_by_all(places_, numbers_, facts_, next_, open_, automata_, tokens_) + kept_;
}

}  // namespace espalier::grammar
