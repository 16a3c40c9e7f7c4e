// What the control groups that this process is in let it use: a container's share of the machine, a
// service's, a job's. Linux, versions 1 and 2; elsewhere nothing bounds it.
//
// A group's limit holds for those below it too, so all groups from the process's own up to the root
// of what is mounted count, and the least limit is the one. Costs a few small files a group.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

namespace espalier {

struct ControlGroupLimits {
  static constexpr std::uint64_t kNone = std::numeric_limits<std::uint64_t>::max();

  std::uint64_t memory_bytes = kNone;
  std::uint64_t processors = kNone;  // that the quota of a period keeps busy, rounded up
};

/// Files are read below `root`, which stands before /proc and /sys.
[[nodiscard]] ControlGroupLimits control_group_limits(const std::string& root = {});

}  // namespace espalier
