// Where the project lies: tests read data that stands beside them, and pages of the documentation.
// One object alone knows, so that every other is the same in each clone, and a compiler's cache of
// one serves the next.
#pragma once

#include <string>

namespace espalier::testing {

/// The project's root: absolute, without a slash at its end.
std::string source_folder();

}  // namespace espalier::testing
