// Keys of an object that is being read: what a formula says of them, and the classes that those
// make which no formula names.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "grammar/held_bytes.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

struct KeyFacts {
  // Where the formula says nothing but what members satisfy and which must come: whether a key may
  // stand depends on its value alone then, and what the rest satisfies is the same after any other
  // key.
  bool steady = false;
  // … and that by names alone, in one place.
  bool plain = false;
  // Where it says nothing but what all members satisfy, which of them come and how many.
  bool keys_alone = false;
  std::optional<std::uint32_t> members;
  FormulaId other = 0;                                // plain: what any other key's value satisfies
  const std::vector<std::uint32_t>* names = nullptr;  // that the formula speaks of; rising
  std::vector<FormulaId> patterns;
  // Which members bring an object closer to its end: those that must come, or be wrong, somewhere
  // in the formula; any other where something asks for more members, for a difference, or for a
  // wrong one of those. Without any other what is left to satisfy holds as well.
  std::vector<std::uint32_t> wanted;
  bool any_wanted = false;
  // Of those, the one that most of the formula speaks of: what tells alternatives apart is.
  std::optional<std::uint32_t> most_wanted;
  [[nodiscard]] std::size_t held_bytes() const { return held_by_all(patterns, wanted); }
};

/// Keys by the patterns that they match: of `patterns`, just those in `matched`. What others say
/// follows from these.
struct KeyClass {
  std::vector<FormulaId> patterns, matched;
  [[nodiscard]] std::size_t held_bytes() const { return held_by_all(patterns, matched); }
};

/// Keys of an object that formulas name or that stand already, as they are spelled, without quotes,
/// sorted. The machine owns the texts.
using OwnKeys = std::vector<std::string_view>;
struct KeptOwnKeys {
  const std::vector<std::uint32_t>* names = nullptr;
  std::uint32_t seen = 0;
  std::shared_ptr<const OwnKeys> keys;
  [[nodiscard]] std::size_t held_bytes() const { return keys ? grammar::held_bytes(*keys) : 0; }
};

/// Of a class, beside the names that formulas speak of.
struct FoundKeys {
  std::vector<std::uint32_t> names;  // those of the class
  std::vector<std::string> keys;     // that are none, in the order in which they are taken
  bool whole = false;                // there are no others
  /// Their languages by ranges of lengths, where none of them stands.
  std::optional<std::vector<FormulaId>> languages;
  [[nodiscard]] std::size_t held_bytes() const {
    return held_by_all(names, keys) + (languages ? grammar::held_bytes(*languages) : 0);
  }
};

}  // namespace espalier::grammar
