// Texts after which it matters little what stood before them.
//
// A string under patterns that are searched (`a.{9}$`, `foo.*bar`) can nearly always become one
// that fits, whatever was read of it; then a mask inside of it needs no walk, and its automaton
// need not be finished. What is proved here, of automata that run side by side: one character,
// repeated, leads every part from wherever a string may have brought it to where it leads it from
// the string's beginning (a reset word of a synchronizing automaton), or, where more texts of the
// part are more of the whole, to a place from where it admits at least the texts of that one. Parts
// of which neither is proved are carried: they have to be read along.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "grammar/schema/part_automata.h"
#include "grammar/schema/scalar_combination.h"
#include "grammar/schema/terminal.h"

namespace espalier::grammar {

struct ResetWord {
  unsigned char byte = 0;  // a character
  std::uint32_t count = 0;
  std::vector<bool> carried;  // by part
};

/// `opened`: the parts' places behind the opening quote, of those that are not finished in
/// `automata`; `characters`: which strings there may be. Nothing where all parts are carried.
/// Takes time by the states of the finished parts and the places in the others.
std::optional<ResetWord> reset_word(const ScalarCombination& what,
                                    std::span<PartAutomata::Part* const> automata,
                                    std::span<const std::uint32_t> opened,
                                    const Terminal& characters);

}  // namespace espalier::grammar
