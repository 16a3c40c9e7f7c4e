// The characters that a pattern's texts begin with, each by the class it is of: what tells patterns
// apart by reading them, without their automata.
//
// Of an anchored pattern what stands in a row: characters, classes and repeats of one of them;
// reading ends at the first thing that may be left out or chosen. Owns its classes. Cost: parsing
// the pattern, kMost classes at most; comparing is linear in their ranges.
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "grammar/expression.h"

namespace espalier::grammar {

class PatternBeginning {
 public:
  static constexpr std::size_t kMost = 32;

  /// Of ECMA-262's syntax, searched for; nothing is known of a pattern that is not anchored or
  /// cannot be read.
  explicit PatternBeginning(std::string_view pattern);

  /// Whether no text can match both: they differ in a character that both have.
  [[nodiscard]] static bool apart(const PatternBeginning& a, const PatternBeginning& b);

 private:
  std::vector<std::vector<CodePointRange>> classes_;  // sorted, disjoint
};

}  // namespace espalier::grammar
