// A workload for `espalier bench sharing`: programs, each a tree of requests to one model.
//
// A line of a .jsonl file is a program:
//   {"id": "chat-3", "requests": [
//     {"text": "…", "max_tokens": 32},
//     {"after": 0, "text": "…", "max_tokens": 16, "schema": {…}}]}
// A request's prompt is the path of the request that it comes `after` (an earlier one of its
// program, by its index: prompt and answer) and its own text; without `after` it is the text alone.
// Requests after the same one begin when that one has ended, together. An answer has max_tokens
// tokens exactly, or is a value of `schema` within them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/system.h"
#include "grammar/json.h"

namespace espalier::cli {

struct WorkloadRequest {
  std::optional<std::size_t> after;
  std::string text;  // may be empty where it comes after another
  std::uint32_t max_tokens = 0;
  Json schema;  // null: free text
};

struct WorkloadProgram {
  std::string id;
  std::vector<WorkloadRequest> requests;  // at least one
};

struct Workload {
  static constexpr std::size_t kMaxRequests = 1'000'000;  // of all programs together

  std::vector<WorkloadProgram> programs;
  std::size_t requests = 0;
};

/// Errors name the file and the program: kNotFound, kInvalid (the first thing that is wrong),
/// kLimit.
[[nodiscard]] Result<Workload> read_workload(const std::string& path, System& system);

}  // namespace espalier::cli
