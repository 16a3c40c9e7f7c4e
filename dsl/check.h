// Names, types and flow of a parsed program: fills the Program's tables or says what is wrong.
#pragma once

#include <vector>

#include "dsl/loader.h"
#include "dsl/program.h"

namespace espalier::dsl {

class SymbolNotes;

/// Checks `program.file` against itself and fills every table of `program`. What the parser could
/// not read (`loaded.skipped`) is taken as known, so that one syntax error gives one message.
/// `read` gives the schemas that types name. O(nodes) but for unions, whose alternatives are
/// compared in pairs.
/// Where `notes` is given, it learns what each name stands for.
void check(Program& program, const Loaded& loaded, const ReadFile& read, Diagnostics& diagnostics,
           SymbolNotes* notes = nullptr);

}  // namespace espalier::dsl
