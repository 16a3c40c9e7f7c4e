// Request traces as prefix-block hashes, in Mooncake's format: one JSON object a line,
//   {"timestamp": 0, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1, 2, …]}
// where an id names a block of tokens together with all that is before it. Only hash_ids is needed.
//
// The file may be compressed by xz. It is read in pieces, a line at most 16 MiB long; an error
// names file and line. In a Trace, blocks are numbered from 0 in order of appearance, by (what is
// before them, id), so that two different prefixes never share one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace espalier::replay {

struct Trace {
  static constexpr std::uint32_t kNone = UINT32_MAX;
  std::vector<std::vector<std::uint32_t>> requests;  // the blocks of each, from the first on
  std::vector<std::uint32_t> parent;                 // of each block; kNone: it is a first one
  std::vector<std::uint32_t> depth;                  // of each block, from 0
  std::uint64_t accesses = 0;                        // blocks of all requests

  [[nodiscard]] std::uint32_t blocks() const { return static_cast<std::uint32_t>(parent.size()); }
};

/// kNotFound, kIo; kInvalid with the line where it is not a trace; kLimit for a line that is too
/// long.
[[nodiscard]] Result<Trace> read_trace(const std::string& path);

/// Requests [begin, end) of a trace, blocks numbered anew.
[[nodiscard]] Trace part_of(const Trace& trace, std::size_t begin, std::size_t end);

}  // namespace espalier::replay
