// Many conditions on an object's members as one: of a conjunction, those parts that say of some
// members what they satisfy and nothing of all others (`allOf` of hundreds of `properties`). Member
// after member each part would be derived on its own.
#pragma once

#include "grammar/schema/formula.h"

namespace espalier::grammar {

/// An equal formula; `f` itself where it has few such parts. Linear, but for names that several
/// parts speak of, whose values are joined.
FormulaId with_joined_members(Formulas& formulas, FormulaId f);

}  // namespace espalier::grammar
