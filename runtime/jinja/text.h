// Text that knows, for every byte, where it comes from: the template's own source or a piece of the
// conversation.
//
// Control tokens are recognised in the template's own bytes alone (CONTRACTS 15), so the origin
// follows each byte through every filter, slice and concatenation of a rendering.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::runtime::jinja {

/// 0: the template itself, or something it computed; else a number that the caller gave to a piece
/// of its input.
using Origin = std::uint32_t;
inline constexpr Origin kTemplate = 0;

/// The bytes from the end of the run before up to `end` come from `origin`.
struct Run {
  std::uint32_t end = 0;
  Origin origin = kTemplate;
  bool operator==(const Run&) const = default;
};

/// Owns its bytes. Runs cover them without gaps; neighbours differ in origin; none is empty.
struct Text {
  std::string bytes;
  std::vector<Run> runs;

  void append(std::string_view more, Origin origin) {
    if (more.empty()) return;
    bytes += more;
    const auto end = static_cast<std::uint32_t>(bytes.size());
    if (!runs.empty() && runs.back().origin == origin)
      runs.back().end = end;
    else
      runs.push_back({end, origin});
  }
  void clear() {
    bytes.clear();
    runs.clear();
  }
  bool operator==(const Text&) const = default;
};

}  // namespace espalier::runtime::jinja
