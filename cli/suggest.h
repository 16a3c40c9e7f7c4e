// "Did you mean" for what is typed on a command line: verbs, flags, models,
// programs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace espalier::cli {

/// "; did you mean 'X'?" for the known word nearest to `word`, or the first
/// that begins with it; else "".
[[nodiscard]] std::string did_you_mean(std::string_view word,
                                       const std::vector<std::string>& known);

}  // namespace espalier::cli
