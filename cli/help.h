// The text of `espalier VERB --help`, wrapped to a terminal's usual width.
#pragma once

#include <CLI/App.hpp>
#include <string>

#include "cli/command.h"

namespace espalier::cli {

[[nodiscard]] std::string verb_help(const Verb& verb, const CLI::App& app);

}  // namespace espalier::cli
