// The automata of scalars that are not finished, which all combinations of a machine run, with what
// strings lead them to.
//
// Not thread-safe; grows with use. Parts never move.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/schema/terminal.h"

namespace espalier::grammar {

class PartAutomata {
 public:
  class Part {
   public:
    explicit Part(const ProgramRef& program) : automaton(program) {}
    /// As the function below; `opened`: the state behind the opening quote, the same each time.
    bool keeps_its_beginning(StateId opened, const Terminal& characters);
    /// The state at all places between two characters that strings of `characters` lead to from
    /// there; kDead where they are too many. Takes some steps a place, once.
    StateId between(StateId opened, const Terminal& characters);
    /// The fewest characters that must still begin at a state that such a string leads to, at
    /// least; 0 where there are too many places. Takes as long, once.
    std::uint32_t fewest(StateId state, StateId opened, const Terminal& characters);

    /// A state that admits every string, that a match which is found leads to: at places that every
    /// character leads back to. kDead where none is known. Takes some hundred steps, once.
    StateId settled(StateId opened, const Terminal& characters);

    Automaton automaton;
    [[nodiscard]] std::size_t held_bytes() const {
      return automaton.held_bytes() + grammar::held_bytes(reached_);
    }

   private:
    struct Reached {  // by the strings of some characters
      const Terminal* characters = nullptr;
      std::optional<bool> keeps;
      std::optional<StateId> settled;
      bool explored = false;
      StateId between = Automaton::kDead;
      std::unordered_map<PositionId, std::uint32_t> fewest;  // by item
      [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(fewest); }
    };
    Reached& reached(const Terminal& characters);
    const Reached& explored(StateId opened, const Terminal& characters);

    std::vector<Reached> reached_;
  };

  Part& of(const ProgramRef& program);
  /// How many states searches opened and masks made, of all combinations together.
  std::size_t states_made = 0;
  [[nodiscard]] std::size_t bytes() const;
  [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(parts_); }

 private:
  std::unordered_map<ProgramRef, std::unique_ptr<Part>> parts_;
};

/// Whether every string of `characters` leads from `opened` to places among which are those of
/// `opened`, and none to no place: what completes the empty string completes each. Takes some
/// hundred steps.
bool keeps_its_beginning(Automaton& automaton, StateId opened, const Terminal& characters);

}  // namespace espalier::grammar
