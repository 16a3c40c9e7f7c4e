// Names, types and flow of a parsed program: fills the Program's tables or says what is wrong.
#pragma once

#include <vector>

#include "dsl/program.h"

namespace espalier::dsl {

/// Checks `program.file` against itself and fills every table of `program`. `skipped` is what the
/// parser could not read: names in it are taken as known, so that one syntax error gives one
/// message. O(nodes) but for unions, whose alternatives are compared in pairs.
void check(Program& program, const std::vector<Span>& skipped, Diagnostics& diagnostics);

}  // namespace espalier::dsl
