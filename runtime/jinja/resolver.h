// Names to slots, by Jinja's own rules of scope.
//
// A scope is the template, a loop's body, test or else part, a macro, a call, set, filter or with
// block; an `if` has none. Within a scope a name is one slot. It starts with a parameter's value,
// with the render call's variable, with a copy of the outer scope's slot (where the scope assigns a
// name that an outer one has), or with nothing: which of them follows from whether the name is read
// or assigned first, in the order of the source, and on which branches.
#pragma once

#include "base/result.h"
#include "runtime/jinja/parser.h"

namespace espalier::runtime::jinja {

/// Fills the slots of every NameExpr and the layouts of all scopes. O(names * nesting of blocks).
[[nodiscard]] Status resolve(ParsedTemplate& parsed, Arena& arena);

}  // namespace espalier::runtime::jinja
