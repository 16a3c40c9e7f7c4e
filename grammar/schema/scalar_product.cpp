#include "grammar/schema/scalar_product.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "grammar/hash.h"
#include "grammar/make_room.h"
#include "grammar/program.h"

namespace espalier::grammar {

ScalarProduct::ScalarProduct(std::shared_ptr<const ScalarCombination> what, const ByteSet& readable,
                             const ByteSet& preferred, std::shared_ptr<PartAutomata> shared,
                             const ScalarDfa::Tables* tables)
    : what_(std::move(what)),
      shared_(std::move(shared)),
      shared_before_(shared_->bytes()),
      readable_(readable),
      preferred_(preferred),
      tables_(tables) {
  const std::size_t parts = what_->parts();
  automata_.resize(parts, nullptr);
  next_.resize(parts);
  places_.resize(parts);
  facts_.emplace_back();
  facts_[kNone].size = kNever;
  what_->start(next_);
  for (std::size_t i = 0; i < parts; ++i) {
    const ProgramRef& program = what_->program(i);
    if (program == nullptr) continue;
    automata_[i] = &shared_->of(program);
    Automaton& automaton = automata_[i]->automaton;
    next_[i] = part_state(i, automaton.start({}));
  }
  opened_ = next_;
  for (std::size_t i = 0; i < parts; ++i) opened_[i] = read_part(i, opened_[i], '"');
  const std::vector<ScalarCombination::Role> roles = what_->roles();
  for (std::size_t i = 0; i < parts; ++i) {
    if (!roles[i].required) continue;
    const bool bounded = what_->characters_left(i, 0) != ScalarCombination::kUnbounded;
    if (bounded && !bounded_) {
      bounded_ = i;
    } else {
      required_.push_back(i);
    }
  }
  excluded_.resize(parts, 0);
  for (std::size_t i = 0; i < parts && tables_ != nullptr; ++i) {
    if (!roles[i].excluded || automata_[i] == nullptr || opened_[i] == 0) continue;
    for (const Terminal* characters : {tables_->string, tables_->canonical}) {
      if (characters == nullptr || excluded_[i] != 0) continue;
      const StateId settled = automata_[i]->settled(opened_[i] / 2, *characters);
      if (settled != Automaton::kDead) excluded_[i] = 2 * settled;
    }
  }
  start_ = number();
}

// Whether more characters must begin at `next_` than may: what a search would find out only by
// trying them all.
bool ScalarProduct::too_long() {
  if (!bounded_ || next_[*bounded_] == 0) return false;
  const std::uint32_t left = what_->characters_left(*bounded_, next_[*bounded_]);
  return std::ranges::any_of(required_, [&](std::size_t i) {
    if (next_[i] == 0) return false;
    if (automata_[i] != nullptr) {
      const Terminal& characters = *what_->string(*bounded_);
      return automata_[i]->fewest(next_[i] / 2, opened_[i] / 2, characters) > left;
    }
    const ScalarDfa* dfa = what_->dfa(i);
    if (dfa == nullptr || !dfa->counts()) return false;
    return dfa->characters_left(static_cast<ScalarDfa::State>(next_[i])) > left;
  });
}

// As ScalarCombination has it of a program's part; all states in which it matches for good are one.
std::uint32_t ScalarProduct::part_state(std::size_t part, StateId state) const {
  if (state == Automaton::kDead) return 0;
  const Automaton& of = automata_[part]->automaton;
  const std::uint32_t out = 2 * state + (of.accepting(state) ? 1 : 0);
  if (excluded_.empty() || excluded_[part] == 0) return out;
  const bool matches = std::ranges::includes(of.items(state), of.items(excluded_[part] / 2));
  return matches ? excluded_[part] : out;
}

// The state of `next_`; kNone where no text completes it, as far as the parts alone say.
ScalarProduct::State ScalarProduct::number() {
  if (!what_->hopeful(next_) || excluded(next_) || too_long()) return kNone;
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
      return static_cast<std::uint32_t>(std::min<std::uint64_t>(
          automata_[part]->automaton.closing_length(at), Program::kLongestClosing));
    }));
  }
  places_.insert(places_.end(), next_.begin(), next_.end());
  return id;
}

std::uint32_t ScalarProduct::read_part(std::size_t part, std::uint32_t state, unsigned char byte) {
  if (state == 0) return 0;
  if (automata_[part] == nullptr) return what_->read(part, state, byte);
  Automaton& automaton = automata_[part]->automaton;
  return part_state(part, automaton.live_step(state / 2, byte));
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
    Automaton& automaton = automata_[i]->automaton;
    const StateId at = here[i] / 2;
    std::vector<ByteSet> classes{automaton.bytes_of(at)};
    if (classes[0].none()) continue;
    automaton.byte_classes(at, classes);
    for (ByteSet rest : classes) {
      rest &= readable_;
      if (rest.none()) continue;
      const auto byte = static_cast<unsigned char>(rest.lowest());
      const std::uint32_t to = part_state(i, automaton.live_step(at, byte));
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

// The closing of a part where it is one of the whole: none is shorter than what one part needs.
// Kept for all states on the way.
bool ScalarProduct::close_by_part(State from) {
  const std::size_t parts = next_.size();
  std::vector<State> way;
  for (std::size_t i = 0; i < parts; ++i) {
    const std::uint32_t here = places_[from * parts + i];
    if (here == 0) continue;
    std::string word;
    if (automata_[i] != nullptr) {
      Automaton& automaton = automata_[i]->automaton;
      if (automaton.closing_length(here / 2) != facts_[from].least) continue;
      word = automaton.closing_word(here / 2);
    } else {
      word = what_->closing_word(i, here);
      if (word.size() != facts_[from].least) continue;
    }
    way.assign(1, from);
    for (const char c : word) {
      for (std::size_t p = 0; p < parts; ++p) {
        next_[p] = read_part(p, places_[way.back() * parts + p], static_cast<unsigned char>(c));
      }
      const State to = number();
      if (to == kNone) break;
      way.push_back(to);
    }
    if (way.size() <= word.size() || !accepting(way.back())) continue;
    for (std::size_t at = word.size(); at-- > 0;) {
      Facts& facts = facts_[way[at]];
      if (facts.size <= word.size() - at) continue;
      facts.size = static_cast<std::uint32_t>(word.size() - at);
      facts.closing_byte = static_cast<unsigned char>(word[at]);
    }
    return true;
  }
  return false;
}

// Nearest first, to a state that is accepting or whose closing is known. What is learnt on the way
// stays: a state that was opened lies at least as far from the end as the one found says.
void ScalarProduct::find_closing(State from) {
  if (what_->alone() && automata_[0] != nullptr) {
    // Its own closings are as short.
    const StateId at = places_[from] / 2;
    Facts& facts = facts_[from];
    Automaton& automaton = automata_[0]->automaton;
    if (automaton.closing_length(at) > Program::kLongestClosing) {
      facts.size = kNever;
      return;
    }
    const std::string word = automaton.closing_word(at);
    facts.size = static_cast<std::uint32_t>(word.size());
    facts.closing_byte = static_cast<unsigned char>(word.front());
    return;
  }
  if (close_by_part(from)) return;
  const bool many = in_vain_ >= kMostInVain || shared_->states_made >= kMostOfAll;
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
  shared_->states_made += opened.size();
  if (end == kNone) {
    in_vain_ += opened.size();
    const bool all = open_.empty() && !cut;
    if (!all && close_by_reset(from)) return;
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

std::size_t ScalarProduct::bytes() const {
  return kept_ + carrier_bytes() + facts_.size() * (sizeof(Facts) + sizeof(Expanded) / 2 + 32) +
         places_.size() * sizeof(std::uint32_t) + runs_ * sizeof(Run) + shared_->bytes() -
         shared_before_;
}

std::size_t ScalarProduct::held_bytes() const {
  return held_by_all(places_, numbers_, facts_, next_, open_, automata_, tokens_) +
         carrier_bytes() + kept_;
}

}  // namespace espalier::grammar
