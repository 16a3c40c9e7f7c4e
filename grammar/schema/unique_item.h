// Items that must differ from each other: what an array's rest asks of those still to come, and
// what stands after one, whichever it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "grammar/held_bytes.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

inline constexpr std::size_t kMostTexts = 256;  // that are told apart

struct ItemsAsked {
  std::vector<FormulaId> kinds;            // each item is of one, by where it stands
  std::vector<FormulaId> wanted, limited;  // that so many must satisfy; that no more than some may
  std::vector<JsonValueId> taken;          // that items differ from, or one must be
  bool repeats = false;                    // one must come twice
  bool bounded = false;                    // there may be a last one, or one unlike others
  std::uint64_t must_come = 0;             // items, at most
};

/// What stands after an item, whatever its text.
struct AnyItem {
  std::uint32_t level = 0;  // as far as the next item's end; 0: its text makes more difference
  // But for these, in their canonical spelling without the closing quote, sorted.
  std::vector<std::string> apart;
  [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(apart); }
};

struct ItemSoFar {
  std::string text;    // from its quote on, in its canonical spelling
  std::string escape;  // and the beginning of an escape, as it was read
};

/// Texts whose closings may be others than those of most, as may those of their beginnings.
struct ToldApart {
  std::vector<std::string> rests;  // from where one is read on, in canonical spelling, no quote
  bool repeated = false;           // closings may have the text again
  bool any_character = false;      // any that needs no escape may come, and all are read alike
  bool escape = false;             // its backslash was read: `rests` are those of canonical ones
};

}  // namespace espalier::grammar
