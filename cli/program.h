// The `espalier` program as a function, so that tests can call it.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace espalier::cli {

/// Runs one command line (without the program's own name) and gives its exit
/// code. Never throws.
[[nodiscard]] int run_program(std::vector<std::string> arguments, Context& context);

}  // namespace espalier::cli
