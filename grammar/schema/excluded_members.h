// What the members that an object must have decide of all else that is said of it: where a member
// must come and be one of some values, a condition by which it is another one holds, or fails,
// before it has come.
//
// A `oneOf` by a member that is required outside of it says of each branch that the others do not
// hold; read as it stands that multiplies the ways of what comes before the member.
#pragma once

#include <functional>

#include "grammar/schema/formula.h"

namespace espalier::grammar {

/// What an object satisfies, `f`, without that. `apart(a, b)`: no value satisfies both. As it is
/// where more than a fixed number of parts would be looked at.
FormulaId without_excluded(Formulas& formulas, FormulaId f,
                           const std::function<bool(FormulaId, FormulaId)>& apart);

}  // namespace espalier::grammar
