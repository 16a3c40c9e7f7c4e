// Names, types and flow of a parsed program: fills the Program's tables or says what is wrong.
#pragma once

#include <vector>

#include "dsl/loader.h"
#include "dsl/program.h"

namespace espalier::dsl {

class AutomatonFindings;
class SymbolNotes;

/// Checks `program.file` against itself and fills every table of `program`. What the parser could
/// not read (`loaded.skipped`) is taken as known, so that one syntax error gives one message.
/// `read` gives the schemas that types name. O(nodes) but for unions, whose alternatives are
/// compared in pairs.
/// Where `notes` is given, it learns what each name stands for; where `findings` are, what they
/// know of automata is not found out again.
void check(Program& program, const Loaded& loaded, const ReadFile& read, Diagnostics& diagnostics,
           SymbolNotes* notes = nullptr, AutomatonFindings* findings = nullptr);

/// W0603 of an insert with so much constant `text` behind it.
[[nodiscard]] Diagnostic unshared(const Span& insert, const std::string& text);

}  // namespace espalier::dsl
