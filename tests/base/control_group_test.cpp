// The limits of control groups, over trees of files as Linux shows them.
#include "base/control_group.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "base/system.h"

namespace espalier {
namespace {

constexpr std::uint64_t kNone = ControlGroupLimits::kNone;

class ControlGroup : public ::testing::Test {
 public:
  ~ControlGroup() override { std::filesystem::remove_all(root_); }

 protected:
  ControlGroup() {
    std::string name = (std::filesystem::temp_directory_path() / "espalier-groups-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  void in(const std::string& groups) const { put("/proc/self/cgroup", groups); }
  void put(const std::string& path, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << content;
  }
  ControlGroupLimits limits() const { return control_group_limits(root_); }

  std::string root_;
};

TEST_F(ControlGroup, WithoutFilesNothingIsBounded) {
  EXPECT_EQ(limits().memory_bytes, kNone);
  EXPECT_EQ(limits().processors, kNone);
  in("0::/\n");
  put("/sys/fs/cgroup/memory.max", "max\n");
  put("/sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(limits().memory_bytes, kNone);
  EXPECT_EQ(limits().processors, kNone);
}

TEST_F(ControlGroup, AContainersRootIsItsOwnGroup) {
  in("0::/\n");
  put("/sys/fs/cgroup/memory.max", "1073741824\n");
  put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
  EXPECT_EQ(limits().memory_bytes, 1073741824U);
  EXPECT_EQ(limits().processors, 2U) << "one and a half";
  // The name outside, which is not mounted inside; and a group beside the root of a namespace.
  for (const char* group : {"0::/docker/abc\n", "0::/../abc\n"}) {
    in(group);
    EXPECT_EQ(limits().processors, 2U) << group;
  }
}

TEST_F(ControlGroup, TheLeastOfItsOwnAndThoseAboveHolds) {
  in("0::/user.slice/run.scope\n");
  put("/sys/fs/cgroup/user.slice/run.scope/cpu.max", "300000 100000\n");
  put("/sys/fs/cgroup/user.slice/run.scope/memory.max", "5000\n");
  put("/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/user.slice/memory.max", "9000\n");
  put("/sys/fs/cgroup/other.slice/cpu.max", "1000 100000\n");
  EXPECT_EQ(limits().processors, 3U);
  EXPECT_EQ(limits().memory_bytes, 5000U);
  put("/sys/fs/cgroup/user.slice/cpu.max", "50000 100000\n");
  put("/sys/fs/cgroup/user.slice/memory.max", "4000\n");
  EXPECT_EQ(limits().processors, 1U);
  EXPECT_EQ(limits().memory_bytes, 4000U);
}

TEST_F(ControlGroup, VersionOneHasAGroupForEachController) {
  in("12:cpuset:/a\n5:cpu,cpuacct:/a/b\n3:memory:/c\n1:name=systemd:/x\n0::/\n");
  put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_quota_us", "-1\n");
  put("/sys/fs/cgroup/cpu/a/b/cpu.cfs_period_us", "100000\n");
  put("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "7000\n");
  EXPECT_EQ(limits().processors, kNone);
  EXPECT_EQ(limits().memory_bytes, 7000U);
  put("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "200000\n");
  put("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(limits().processors, 2U);
}

TEST_F(ControlGroup, WhatCannotBeReadBoundsNothing) {
  in("nonsense\n:\n0:\n0::\n0::relative\n5:cpu:\n");
  put("/sys/fs/cgroup/cpu.max", "0 0\n");
  put("/sys/fs/cgroup/memory.max", "-5 x\n");
  put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "\n");
  EXPECT_EQ(limits().memory_bytes, kNone);
  EXPECT_EQ(limits().processors, kNone);
}

TEST(Memory, IsNoMoreThanTheAddressSpaceMayBe) {
  const std::uint64_t before = real_system().memory_bytes();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &limit), 0);
  rlimit less = limit;
  less.rlim_cur = before / 2;
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &less), 0);
  const std::uint64_t within = real_system().memory_bytes();
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &limit), 0);
  EXPECT_EQ(within, before / 2);
}

}  // namespace
}  // namespace espalier
