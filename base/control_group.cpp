#include "base/control_group.h"

#include <algorithm>
#include <fstream>
#include <istream>

namespace espalier {
namespace {

constexpr std::uint64_t kNone = ControlGroupLimits::kNone;

// "max" and -1 stand for no limit.
std::uint64_t limit_in(std::istream& file) {
  std::int64_t value = 0;
  return file >> value && value > 0 ? static_cast<std::uint64_t>(value) : kNone;
}

std::uint64_t limit_in(const std::string& path) {
  std::ifstream file(path);
  return limit_in(file);
}

void take_memory(std::uint64_t bytes, ControlGroupLimits& limits) {
  limits.memory_bytes = std::min(limits.memory_bytes, bytes);
}

void take_quota(std::uint64_t quota, std::uint64_t period, ControlGroupLimits& limits) {
  if (quota == kNone || period == kNone) return;
  limits.processors = std::min(limits.processors, (quota - 1) / period + 1);
}

// The folders of a group and of those above it. A container may see the name that its group has
// outside, of which nothing is mounted inside; the mounted root is its own group then.
template <class Take>
void each_group(const std::string& mount, std::string group, const Take& take) {
  if (!group.starts_with('/') || group.find("..") != std::string::npos) group.clear();
  for (;; group.resize(group.find_last_of('/'))) {
    take(mount + group);
    if (group.empty()) return;
  }
}

}  // namespace

ControlGroupLimits control_group_limits(const std::string& root) {
  ControlGroupLimits limits;
  const std::string mounts = root + "/sys/fs/cgroup";
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {  // number:controllers:group
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") {  // version 2
      each_group(mounts, group, [&](const std::string& folder) {
        take_memory(limit_in(folder + "/memory.max"), limits);
        std::ifstream file(folder + "/cpu.max");
        const std::uint64_t quota = limit_in(file);
        take_quota(quota, limit_in(file), limits);
      });
    }
    if (controllers.find(",cpu,") != std::string::npos) {
      each_group(mounts + "/cpu", group, [&](const std::string& folder) {
        take_quota(limit_in(folder + "/cpu.cfs_quota_us"), limit_in(folder + "/cpu.cfs_period_us"),
                   limits);
      });
    }
    if (controllers.find(",memory,") != std::string::npos) {
      each_group(mounts + "/memory", group, [&](const std::string& folder) {
        take_memory(limit_in(folder + "/memory.limit_in_bytes"), limits);
      });
    }
  }
  return limits;
}

}  // namespace espalier
