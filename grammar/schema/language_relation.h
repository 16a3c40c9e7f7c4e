// How the languages of two finished automata lie to each other: whether some text is in both, in
// the first alone, in the second alone. What is not found within `most` pairs of states may be.
#pragma once

#include <cstddef>

#include "grammar/schema/scalar_dfa.h"

namespace espalier::grammar {

struct LanguageRelation {
  bool both = true, first_alone = true, second_alone = true;
  [[nodiscard]] bool all() const { return both && first_alone && second_alone; }
};

/// By the pairs of states that texts lead to, nearest first: at most `most` of them, each by the
/// runs of bytes that both treat alike.
LanguageRelation language_relation(const ScalarDfa& first, const ScalarDfa& second,
                                   std::size_t most);

}  // namespace espalier::grammar
