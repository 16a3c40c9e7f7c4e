// Look-around out of groups: a group that stands once in an outermost sequence is a choice of
// sequences, and what a look-ahead in one of them looks at is the rest of the text then
// (`^P(?:\d+W|(?=\d|T\d)(\d+D)?(T(?=\d)…)?)$`).
#pragma once

#include "grammar/regex_parser.h"

namespace espalier::grammar {

/// Sequences that the groups of a pattern may make, and parts of them all.
constexpr std::size_t kMostLiftedSequences = 32;
constexpr std::size_t kMostLiftedParts = 4096;

/// Puts each group, choice and repeat of few turns that has look-around in it into the sequences
/// around it; and of `((?!X).)*$`, characters at none of which X begins, makes `(?!.*X).*$`. Leaves
/// all as it is where the sequences would be more than that.
void lift_looks(Regex& regex);

}  // namespace espalier::grammar
