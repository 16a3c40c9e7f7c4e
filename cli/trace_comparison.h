// Two traces of one program, and the first thing that differs between them.
//
// Branches run at the same time, so their events are mixed differently each time: they are compared
// branch by branch, a branch being known by how it came about (the second fork of the first call,
// …), which its parent's own order gives. Values follow from tokens, so texts and tokens are what
// counts. O(events).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "grammar/json.h"

namespace espalier::cli {

/// The events of a trace (cli/trace.h), in the order in which they were written.
using TraceEvents = std::vector<Json>;

/// The events in a trace's text, a JSON object a line. kInvalid names the line that is none.
[[nodiscard]] Result<TraceEvents> read_trace(const std::string& text);

/// A text of an event; empty where there is none.
[[nodiscard]] std::string event_text(const Json& event, const char* key);

struct TraceDifference {
  bool token = false;     // else a text that the program wrote, or a try that failed
  std::string path;       // of the hole
  std::string place;      // "file:line:column" of the hole in the program
  std::size_t index = 0;  // of the token in its hole, from 0
  std::optional<std::int64_t> before_id, now_id;  // of tokens; absent where there is none
  std::string before, now;  // what the hole (or the text) was up to there, and now
};

struct TraceCounts {
  std::size_t tokens = 0;
  std::size_t holes = 0;
};
[[nodiscard]] TraceCounts count(const TraceEvents& events);

/// The first difference, in the order of `before`; nothing where all texts and tokens are the same.
[[nodiscard]] std::optional<TraceDifference> first_difference(const TraceEvents& before,
                                                              const TraceEvents& now);

}  // namespace espalier::cli
