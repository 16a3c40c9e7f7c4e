#include "grammar/schema/part_automata.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostItems = 4096;  // with where a character is

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

// The state at all places between two characters that strings lead to from those of `opened`, each
// followed by itself.
StateId places_between(Automaton& automaton, StateId opened, const Terminal& characters) {
  std::vector<std::pair<PositionId, Terminal::State>> open;
  std::unordered_set<std::uint64_t> known;
  const auto add = [&](StateId state, Terminal::State character) {
    if (state == Automaton::kDead) return;
    for (const PositionId item : automaton.items(state)) {
      const bool fresh = known.insert(std::uint64_t{item} << 16 | character).second;
      if (fresh) open.emplace_back(item, character);
    }
  };
  add(opened, characters.boundary());
  for (std::size_t i = 0; i < open.size(); ++i) {
    if (open.size() > kMostItems) return Automaton::kDead;
    const auto [item, character] = open[i];
    const StateId at = automaton.at_items({&item, 1});
    for (const unsigned char byte : kinds(automaton, at, characters, character)) {
      add(automaton.step(at, byte), characters.next(character, byte));
    }
  }
  std::vector<PositionId> out;
  for (const auto& [item, character] : open) {
    if (character == characters.boundary()) out.push_back(item);
  }
  return automaton.at_items(out);
}

}  // namespace

bool keeps_its_beginning(Automaton& automaton, StateId opened, const Terminal& characters) {
  std::vector<std::pair<StateId, Terminal::State>> open{{opened, characters.boundary()}};
  for (std::size_t i = 0; i < open.size(); ++i) {
    const auto [at, character] = open[i];
    for (const unsigned char byte : kinds(automaton, at, characters, character)) {
      const StateId to = automaton.live_step(at, byte);
      if (to == Automaton::kDead) return false;
      const std::pair next{to, characters.next(character, byte)};
      if (next.second != characters.boundary()) {
        if (std::ranges::find(open, next) == open.end()) open.push_back(next);
      } else if (!std::ranges::includes(automaton.items(to), automaton.items(opened))) {
        return false;
      }
    }
  }
  return true;
}

PartAutomata::Part::Reached& PartAutomata::Part::reached(const Terminal& characters) {
  const auto known = std::ranges::find(reached_, &characters, &Reached::characters);
  if (known != reached_.end()) return *known;
  return reached_.emplace_back(Reached{&characters, {}, {}});
}

bool PartAutomata::Part::keeps_its_beginning(StateId opened, const Terminal& characters) {
  Reached& known = reached(characters);
  if (!known.keeps) known.keeps = grammar::keeps_its_beginning(automaton, opened, characters);
  return *known.keeps;
}

StateId PartAutomata::Part::between(StateId opened, const Terminal& characters) {
  Reached& known = reached(characters);
  if (!known.between) known.between = places_between(automaton, opened, characters);
  return *known.between;
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
