#include "grammar/schema/reset_word.h"

#include <algorithm>
#include <functional>
#include <tuple>
#include <utility>

namespace espalier::grammar {
namespace {

constexpr std::size_t kCandidates = 6;     // characters that are tried
constexpr std::uint32_t kMostCount = 256;  // of one
constexpr std::uint32_t kNever = UINT32_MAX;

// One character of each kind that the parts tell apart at a string's beginning, of the largest
// kinds first.
std::vector<unsigned char> candidates(const ScalarCombination& what,
                                      std::span<PartAutomata::Part* const> automata,
                                      std::span<const std::uint32_t> opened,
                                      const Terminal& characters) {
  ByteSet plain = ByteSet::range(0x20, 0x7E) & characters.bytes(characters.boundary());
  plain.remove('"');
  plain.remove('\\');
  std::vector<ByteSet> kinds{plain};
  for (std::size_t i = 0; i < opened.size(); ++i) {
    if (opened[i] == 0) continue;
    if (automata[i] != nullptr) {
      automata[i]->automaton.byte_classes(opened[i] / 2, kinds);
      continue;
    }
    const std::span<const ByteRun> runs = what.runs(i, opened[i]);
    for (std::size_t r = 0; r < runs.size(); ++r) {
      ByteSet alike;
      for (std::size_t other = 0; other < runs.size(); ++other) {
        if (runs[other].to != runs[r].to) continue;
        alike |= ByteSet::range(runs[other].first, ByteRuns::end(runs, other) - 1);
      }
      refine(kinds, alike);
    }
  }
  std::ranges::stable_sort(kinds, std::greater{}, [](const ByteSet& kind) { return kind.count(); });
  std::vector<unsigned char> out;
  for (const ByteSet& kind : kinds) {
    if (out.size() == kCandidates || kind.none()) break;
    out.push_back(static_cast<unsigned char>(kind.lowest()));
  }
  return out;
}

// How many of a character lead a finished automaton from wherever strings bring it to one state,
// or, of one that is only wanted, to that or one that admits every string.
std::uint32_t resets(const ScalarDfa& dfa, ScalarDfa::State opened, unsigned char byte,
                     bool only_wanted, const Terminal& characters) {
  std::vector<ScalarDfa::State> reached;
  std::vector<bool> known(dfa.size(), false);
  for (std::size_t q = 1; q < dfa.size(); ++q) {
    const auto state = static_cast<ScalarDfa::State>(q);
    if (dfa.between(state) && !dfa.accepting(state)) reached.push_back(state);
  }
  const std::vector<bool>* all = only_wanted ? &dfa.settled(characters) : nullptr;
  ScalarDfa::State own = opened;
  for (std::uint32_t count = 0; count <= kMostCount; ++count) {
    const bool reset = std::ranges::all_of(
        reached, [&](ScalarDfa::State q) { return q == own || (all != nullptr && (*all)[q]); });
    if (reset) return count;
    own = dfa.next(own, byte);
    const std::size_t before = reached.size();
    std::fill(known.begin(), known.end(), false);
    std::vector<ScalarDfa::State> further;
    for (const ScalarDfa::State q : reached) {
      const ScalarDfa::State to = dfa.next(q, byte);
      if (known[to]) continue;
      known[to] = true;
      further.push_back(to);
    }
    reached.swap(further);
    // As many as before are the same, and stay so: each image is inside the one before it.
    if (reached.size() == before) break;
  }
  return kNever;
}

// The same of one that is not finished: until of all places those are left that the character leads
// to from the beginning.
std::uint32_t resets(PartAutomata::Part& part, StateId opened, unsigned char byte,
                     const Terminal& characters) {
  Automaton& automaton = part.automaton;
  StateId reached = part.between(opened, characters), own = opened;
  for (std::uint32_t count = 0; count <= kMostCount && reached != Automaton::kDead; ++count) {
    if (reached == own) return count;
    const StateId before = reached;
    reached = automaton.step(reached, byte);
    own = automaton.step(own, byte);
    if (reached == before) break;
  }
  return kNever;
}

}  // namespace

std::optional<ResetWord> reset_word(const ScalarCombination& what,
                                    std::span<PartAutomata::Part* const> automata,
                                    std::span<const std::uint32_t> opened,
                                    const Terminal& characters) {
  const std::size_t parts = what.parts();
  const std::vector<ScalarCombination::Role> roles = what.roles();
  std::vector<std::uint32_t> known(parts, kNever);  // where the character makes no difference
  std::vector<bool> asked(parts, false);            // where it does
  for (std::size_t i = 0; i < parts; ++i) {
    if (opened[i] == 0) {
      known[i] = 0;
    } else if (automata[i] != nullptr) {
      const bool keeps = automata[i]->keeps_its_beginning(opened[i] / 2, characters);
      if (keeps && roles[i].only_wanted) known[i] = 0;
      asked[i] = keeps && !roles[i].only_wanted;
    } else if (const ScalarDfa* dfa = what.dfa(i); dfa != nullptr) {
      asked[i] = dfa->counts() && dfa->same(static_cast<ScalarDfa::State>(opened[i]), characters);
    } else if (const auto low = what.endless_from(i);
               low && *low <= kMostCount && what.string(i) == &characters) {
      known[i] = *low;
    }
  }
  std::optional<ResetWord> best;
  std::tuple<std::size_t, std::uint32_t> least{parts, 0};
  for (const unsigned char byte : candidates(what, automata, opened, characters)) {
    ResetWord word{byte, 0, std::vector<bool>(parts, false)};
    std::size_t carried = 0;
    for (std::size_t i = 0; i < parts; ++i) {
      std::uint32_t count = known[i];
      if (asked[i] && automata[i] != nullptr) {
        count = resets(*automata[i], opened[i] / 2, byte, characters);
      } else if (asked[i]) {
        count = resets(*what.dfa(i), static_cast<ScalarDfa::State>(opened[i]), byte,
                       roles[i].only_wanted, characters);
      }
      if (count == kNever) {
        word.carried[i] = true;
        ++carried;
      } else {
        word.count = std::max(word.count, count);
      }
    }
    if (std::tuple(carried, word.count) >= least) continue;
    least = {carried, word.count};
    best = std::move(word);
    if (carried == 0) break;  // of another character it would hardly be shorter
  }
  return best;
}

}  // namespace espalier::grammar
