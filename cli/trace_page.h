// A trace as one page to look at: the tree of prompts with its holes, tokens, tool calls and tries.
//
// The page is whole in itself: no script, style, font or picture comes from anywhere else, and
// nothing in the trace can leave the place where the page keeps its data. O(events).
#pragma once

#include <string>

#include "cli/trace_comparison.h"

namespace espalier::cli {

[[nodiscard]] std::string trace_page(const TraceEvents& events);

}  // namespace espalier::cli
