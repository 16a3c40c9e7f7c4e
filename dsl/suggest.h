// "Did you mean": the known name nearest to a misspelt one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace espalier::dsl {

/// The candidate within a third of the word's length in edits (swapped neighbours count as one), or
/// empty. Ties go to the first. Looks at 2,000 candidates and names of 64 bytes at most.
[[nodiscard]] std::string suggest(std::string_view word,
                                  const std::vector<std::string>& candidates);

}  // namespace espalier::dsl
