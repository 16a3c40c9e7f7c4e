// Freeing of automata beside the calls that are through with them: one of 64 MB holds hundreds of
// thousands of blocks, and freeing those takes some 30 ms, which no mask should wait for.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "grammar/automaton.h"

namespace espalier::grammar {

/// Frees automata that hold so many bytes together: in a thread that ends with that, one at a time
/// in a process, which waits for it at its end. Few bytes, a further one meanwhile, and where there
/// is no room for a thread: before it returns. In a child that a process forked too. Thread-safe.
void dispose(std::vector<std::unique_ptr<Automaton>> automata, std::size_t bytes);

}  // namespace espalier::grammar
