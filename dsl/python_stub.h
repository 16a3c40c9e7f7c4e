// A program's types for Python's type checkers: the text of a stub file (.pyi).
//
// What the Python package gives for a value of each type is what the stub says: records are
// TypedDicts by their JSON keys, enums and unions of words Literals, calls {"name", "arguments"};
// dates, patterns and spans are str. A generator is a Protocol with the methods of
// espalier.Generator, and `Program`, a Protocol too, has them all; names that Python cannot have
// get a "_".
#pragma once

#include <string>

#include "dsl/program.h"

namespace espalier::dsl {

/// O(program).
[[nodiscard]] std::string python_stub(const Program& program);

}  // namespace espalier::dsl
