// The members that an object must still have, where each changes nothing but that it has come: what
// closes such an object is these, one by one.
//
// Made in one pass over a formula and shared by the plans of its rests; immutable then.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/held_bytes.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

struct RequiredMembers {
  struct Member {
    FormulaId part = 0;        // of the conjunction: that it comes
    FormulaId value = 0;       // what it satisfies
    std::uint64_t size = 0;    // bytes, with those after it
    std::uint32_t height = 0;  // containers inside each other, there too
  };
  std::vector<Member> members;
  bool counted = false;  // how many members there are is asked for too
  [[nodiscard]] std::size_t held_bytes() const {
    return block_bytes(sizeof *this) + grammar::held_bytes(members);
  }
};

}  // namespace espalier::grammar
