// What an automaton reads and where it ends, before anything is known of its texts: what
// ScalarDfa::create() finishes.
#pragma once

#include <cstdint>
#include <vector>

#include "grammar/schema/byte_runs.h"

namespace espalier::grammar {

struct DfaSteps {
  ByteRuns runs;                        // by state; 0 is dead, 1 is before the first byte
  std::vector<std::uint8_t> accepting;  // by state; not 0 where a text may end
};

}  // namespace espalier::grammar
