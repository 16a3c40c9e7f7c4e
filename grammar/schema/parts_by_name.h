// Which parts of a long disjunction (or conjunction) speak of a member, by its name. Of hundreds of
// objects beside each other few have a certain member, and what the others become after it is the
// same for all names that they do not speak of, so it is found once: without that, to try each name
// is quadratic.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/held_bytes.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

struct PartsByName {
  static constexpr std::size_t kFewest = 32;  // parts that are worth it

  /// Whether it is made: that is worth it for the second member that comes.
  bool known = false;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> named;  // the parts' places, sorted
  std::vector<std::uint32_t> any_name;  // places of parts in which every name counts
  /// Of the parts that name no member by which all are asked, by place: what they become after a
  /// member that they do not name. None of which the whole says nothing.
  std::vector<std::pair<std::uint32_t, FormulaId>> others;
  [[nodiscard]] std::size_t held_bytes() const { return held_by_all(named, any_name, others); }
};

}  // namespace espalier::grammar
