// Character classes while a regular expression is parsed: sets of code points with case folding and
// negation.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "grammar/expression.h"

namespace espalier::grammar {

class RegexClass {
 public:
  void add(char32_t low, char32_t high) { ranges_.emplace_back(low, high); }
  void add(const RegexClass& other);
  void add(std::span<const CodePointRange> ranges);
  /// Adds everything that equals a member when case is ignored (simple folding).
  void fold();
  void negate();
  /// Sorts and joins; the ranges are sorted and disjoint after this, and after negate().
  const std::vector<CodePointRange>& normalised();

 private:
  std::vector<CodePointRange> ranges_;
};

/// The members of \d \s \w (lower-case letter); `ecma` widens \s to Unicode's spaces.
RegexClass perl_class(char letter, bool ecma);
/// The members of [:name:], or nothing where there is no such name.
std::optional<RegexClass> posix_class(std::string_view name);

}  // namespace espalier::grammar
