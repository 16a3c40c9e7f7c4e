// The steps of the numbers of a condition, made directly: digit by digit against the bounds, as few
// states as there can be.
//
// All bounds of a sign are looked at together. The digits so far stand at some of them, or between
// two; how many stand before the point, or an exponent, decides which of them count. So a number's
// text ends among the bounds, and what the condition says of that place, once for each way of
// writing it, was found before. States are made from the ends backwards and those that read alike
// are one: some hundred for a range, where determinising an expression takes ten times as many.
#pragma once

#include <cstddef>
#include <optional>

#include "grammar/byte_set.h"
#include "grammar/schema/dfa_steps.h"
#include "grammar/schema/number_condition.h"

namespace espalier::grammar {

/// Of which every state has a way to its end, and no two say the same. `readable`: bytes that texts
/// may hold. Nothing where there are more than kMostNumberBounds bounds or `most_states` states;
/// one state, the dead one, where no number is one of these.
std::optional<DfaSteps> number_steps(const NumberCondition& condition, const ByteSet& readable,
                                     std::size_t most_states);

}  // namespace espalier::grammar
