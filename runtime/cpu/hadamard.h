// The Hadamard transform of blocks of 32: spreads what stands out in a few dimensions over a block,
// before it is rounded to few bits. Sums of products of two transformed blocks are 32 times those
// of the blocks themselves.
#pragma once

#include <cstddef>

namespace espalier::runtime::cpu {

/// In place, over `blocks` blocks: for h = 1, 2, 4, 8, 16 every pair (a, b) of places i and i + h
/// becomes (a + b, a - b).
void hadamard(float* x, std::size_t blocks);

}  // namespace espalier::runtime::cpu
