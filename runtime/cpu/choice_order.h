// How the probabilities of a row are cut for adding up (numerics contract 10): by ids of tokens
// alone, so that a GPU's thread blocks can share a row and tokens that are not allowed cost a CPU
// nothing. Constants, for kernels of every kind.
#pragma once

#include <stddef.h>

namespace espalier::runtime {

inline constexpr size_t kChoiceSegment = 2048;  // tokens that have a maximum of their own
inline constexpr size_t kChoiceLanes = 128;     // of a segment's sum
inline constexpr size_t kChoiceRun = 16;        // tokens whose weights a draw adds up in one chain
inline constexpr size_t kChoicePart = 256;      // tokens whose runs it adds up in one chain

}  // namespace espalier::runtime
