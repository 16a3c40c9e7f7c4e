// Rows of bits that masks are written out to, one for all masks of the process that hold the same
// tokens: of the masks that a thousand schemas write out, one in eighteen is new.
//
// A row lives as long as someone holds it; the table that finds it owns none. Thread-safe. Costs a
// hash and a comparison of the row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace espalier::grammar {

using MaskRow = std::shared_ptr<const std::vector<std::uint64_t>>;

/// The row with these words.
[[nodiscard]] MaskRow shared_row(std::vector<std::uint64_t> words);
/// Of a row's words; four chains at once, for speed.
[[nodiscard]] std::size_t hash_of_row(const std::vector<std::uint64_t>& words);

}  // namespace espalier::grammar
