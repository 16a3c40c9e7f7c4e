// All ways to part a text into two known texts, for each text of a set at once.
//
// Sorting puts every text behind its own prefixes, and sorting by the reversed texts behind its own
// suffixes, so a stack of them replaces a look-up for each place: O(total bytes + n log n) for n
// texts, and no choice of texts makes it slower.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace espalier::runtime {

struct PieceSplit {
  std::uint32_t whole = 0, left = 0, right = 0;  // indices of texts
};

/// Every (whole, left, right) with texts[left] + texts[right] == texts[whole]. Texts are not empty
/// and differ.
[[nodiscard]] std::vector<PieceSplit> piece_splits(const std::vector<std::string>& texts);

}  // namespace espalier::runtime
