#include "grammar/schema/part_automata.h"

#include <algorithm>
#include <string>
#include <utility>

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostPlaces = 4096;  // items, with where a character is
// Of the automaton while they are found: what a step in a difference leads to is searched for.
constexpr std::size_t kMostGrowth = 8 << 20;

// One byte of each kind that an automaton and the characters tell apart; the end of a string is
// none of them.
std::vector<unsigned char> kinds(const Automaton& automaton, StateId at, const Terminal& characters,
                                 Terminal::State character) {
  std::vector<ByteSet> classes{characters.bytes(character)};
  if (character == characters.boundary()) classes[0].remove('"');
  const std::span<const ByteRun> runs = characters.runs(character);
  for (std::size_t r = 0; r < runs.size(); ++r) {
    refine(classes, ByteSet::range(runs[r].first, ByteRuns::end(runs, r) - 1));
  }
  automaton.byte_classes(at, classes);
  std::vector<unsigned char> out;
  for (const ByteSet& alike : classes) {
    if (!alike.none()) out.push_back(static_cast<unsigned char>(alike.lowest()));
  }
  return out;
}

// Whether `holds` of the states that each character leads to from one between two of them, and each
// leads to some.
template <class Holds>
bool behind_each(Automaton& automaton, StateId from, const Terminal& characters, Holds&& holds) {
  std::vector<std::pair<StateId, Terminal::State>> open{{from, characters.boundary()}};
  for (std::size_t i = 0; i < open.size(); ++i) {
    const auto [at, character] = open[i];
    for (const unsigned char byte : kinds(automaton, at, characters, character)) {
      const StateId to = automaton.live_step(at, byte);
      if (to == Automaton::kDead) return false;
      const std::pair next{to, characters.next(character, byte)};
      if (next.second == characters.boundary()) {
        if (!holds(to)) return false;
      } else if (std::ranges::find(open, next) == open.end()) {
        open.push_back(next);
      }
    }
  }
  return true;
}

}  // namespace

bool keeps_its_beginning(Automaton& automaton, StateId opened, const Terminal& characters) {
  return behind_each(automaton, opened, characters, [&](StateId to) {
    return std::ranges::includes(automaton.items(to), automaton.items(opened));
  });
}

PartAutomata::Part::Reached& PartAutomata::Part::reached(const Terminal& characters) {
  const auto known = std::ranges::find(reached_, &characters, &Reached::characters);
  if (known != reached_.end()) return *known;
  Reached& made = reached_.emplace_back();
  made.characters = &characters;
  return made;
}

bool PartAutomata::Part::keeps_its_beginning(StateId opened, const Terminal& characters) {
  Reached& known = reached(characters);
  if (!known.keeps) known.keeps = grammar::keeps_its_beginning(automaton, opened, characters);
  return *known.keeps;
}

StateId PartAutomata::Part::between(StateId opened, const Terminal& characters) {
  return explored(opened, characters).between;
}

StateId PartAutomata::Part::settled(StateId opened, const Terminal& characters) {
  constexpr int kMostRounds = 8;
  Reached& known = reached(characters);
  if (known.settled) return *known.settled;
  known.settled = Automaton::kDead;
  const std::string word = automaton.closing_word(opened);
  StateId at = automaton.step(opened, std::string_view(word).substr(0, word.size() - 1));
  for (int round = 0; round < kMostRounds && at != Automaton::kDead; ++round) {
    const std::span<const PositionId> items = automaton.items(at);
    std::vector<PositionId> left(items.begin(), items.end());
    const std::size_t before = left.size();
    const bool lives = behind_each(automaton, at, characters, [&](StateId to) {
      const std::span<const PositionId> there = automaton.items(to);
      std::erase_if(left,
                    [&](PositionId item) { return !std::ranges::binary_search(there, item); });
      return !left.empty();
    });
    if (!lives) return Automaton::kDead;
    if (left.size() == before) {
      if (automaton.accepting(automaton.step(at, '"'))) known.settled = at;
      break;
    }
    at = automaton.at_items(left);
  }
  return *known.settled;
}

std::uint32_t PartAutomata::Part::fewest(StateId state, StateId opened,
                                         const Terminal& characters) {
  const Reached& known = explored(opened, characters);
  std::uint32_t out = UINT32_MAX;
  for (const PositionId item : automaton.items(state)) {
    const auto of = known.fewest.find(item);
    if (of == known.fewest.end()) return 0;
    out = std::min(out, of->second);
  }
  return out;
}

// Forwards over all places that strings lead to, each followed by itself; then from those that the
// closing quote ends backwards, by how many characters begin.
const PartAutomata::Part::Reached& PartAutomata::Part::explored(StateId opened,
                                                                const Terminal& characters) {
  Reached& out = reached(characters);
  if (std::exchange(out.explored, true)) return out;
  struct Place {
    PositionId item = 0;
    Terminal::State character = Terminal::kDead;
  };
  struct Step {
    std::uint32_t to = 0, from = 0;
    bool begins = false;  // a character
  };
  std::vector<Place> places;
  std::vector<Step> steps;
  std::unordered_map<std::uint64_t, std::uint32_t> numbers;
  const auto number = [&](PositionId item, Terminal::State character) {
    const auto [known, fresh] = numbers.try_emplace(std::uint64_t{item} << 16 | character,
                                                    static_cast<std::uint32_t>(places.size()));
    if (fresh) places.push_back({item, character});
    return known->second;
  };
  for (const PositionId item : automaton.items(opened)) number(item, characters.boundary());
  std::vector<std::uint32_t> layer, further;
  const std::size_t before = automaton.bytes();
  for (std::uint32_t i = 0; i < places.size(); ++i) {
    if (places.size() > kMostPlaces || automaton.bytes() > before + kMostGrowth) return out;
    const auto [item, character] = places[i];
    const StateId at = automaton.at_items({&item, 1});
    const bool begins = character == characters.boundary();
    if (begins && automaton.accepting(automaton.step(at, '"'))) layer.push_back(i);
    for (const unsigned char byte : kinds(automaton, at, characters, character)) {
      const StateId to = automaton.step(at, byte);
      if (to == Automaton::kDead) continue;
      // Numbering takes no step, so the items stay where they are.
      for (const PositionId next : automaton.items(to)) {
        steps.push_back({number(next, characters.next(character, byte)), i, begins});
      }
    }
  }
  std::vector<PositionId> between;
  for (const Place& place : places) {
    if (place.character == characters.boundary()) between.push_back(place.item);
  }
  out.between = automaton.at_items(between);
  std::vector<std::uint32_t> first(places.size() + 1, 0), into(steps.size());
  for (const Step& step : steps) ++first[step.to + 1];
  for (std::size_t i = 0; i < places.size(); ++i) first[i + 1] += first[i];
  std::vector<std::uint32_t> next(first);
  for (std::uint32_t i = 0; i < steps.size(); ++i) into[next[steps[i].to]++] = i;
  std::vector<std::uint32_t> fewest(places.size(), UINT32_MAX);
  for (std::uint32_t count = 0; !layer.empty(); ++count) {
    further.clear();
    for (std::size_t i = 0; i < layer.size(); ++i) {  // grows
      const std::uint32_t to = layer[i];
      if (fewest[to] != UINT32_MAX) continue;
      fewest[to] = count;
      for (std::uint32_t s = first[to]; s < first[to + 1]; ++s) {
        const Step& step = steps[into[s]];
        if (fewest[step.from] == UINT32_MAX) (step.begins ? further : layer).push_back(step.from);
      }
    }
    layer.swap(further);
  }
  for (std::uint32_t i = 0; i < places.size(); ++i) {
    const auto [of, fresh] = out.fewest.try_emplace(places[i].item, fewest[i]);
    of->second = std::min(of->second, fewest[i]);
  }
  return out;
}

PartAutomata::Part& PartAutomata::of(const ProgramRef& program) {
  std::unique_ptr<Part>& part = parts_[program];
  if (part == nullptr) part = std::make_unique<Part>(program);
  return *part;
}

std::size_t PartAutomata::bytes() const {
  std::size_t out = 0;
  for (const auto& [program, part] : parts_) out += part->automaton.bytes() + sizeof(Part) + 64;
  return out;
}

}  // namespace espalier::grammar
