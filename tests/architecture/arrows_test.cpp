// The house's law: a room includes only itself and the rooms below it.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

#include "tests/support/source_folder.h"

namespace {

namespace fs = std::filesystem;

// Room -> every room it may include (the transitive closure of `needs` in README.md's list).
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"base", {"base"}},
    {"radix_cache", {"radix_cache", "base"}},
    {"grammar", {"grammar", "base"}},
    {"runtime", {"runtime", "radix_cache", "grammar", "base"}},
    {"dsl", {"dsl", "runtime", "radix_cache", "grammar", "base"}},
    {"batch", {"batch", "dsl", "runtime", "radix_cache", "grammar", "base"}},
    {"cli", {"cli", "batch", "dsl", "runtime", "radix_cache", "grammar", "base"}},
    {"python", {"python", "batch", "dsl", "runtime", "radix_cache", "grammar", "base"}},
};

bool is_source(const fs::path& path) {
  const auto extension = path.extension();
  return extension == ".h" || extension == ".cpp" || extension == ".cu" || extension == ".cuh";
}

// The project's own includes of one file: every `#include "room/…"`.
std::set<std::string> included_rooms(const fs::path& path) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*"([a-z_]+)/)re");
  std::set<std::string> rooms;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::smatch match;
    if (std::regex_search(line, match, kInclude)) rooms.insert(match[1]);
  }
  return rooms;
}

TEST(Architecture, ArrowsOnlyPointDown) {
  std::size_t files = 0;
  for (const auto& [room, allowed] : kMayInclude) {
    const fs::path folder = fs::path(espalier::testing::source_folder()) / room;
    if (!fs::exists(folder)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      ++files;
      for (const auto& target : included_rooms(entry.path())) {
        EXPECT_TRUE(allowed.contains(target))
            << entry.path() << " is in `" << room << "` and includes \"" << target << "/…\"";
      }
    }
  }
  EXPECT_GT(files, 5U) << "the test looked in the wrong place";
}

TEST(Architecture, EveryRoomHasItsContractPage) {
  for (const auto& [room, allowed] : kMayInclude) {
    const fs::path folder = fs::path(espalier::testing::source_folder()) / room;
    if (!fs::exists(folder)) continue;
    EXPECT_TRUE(fs::exists(folder / "README.md")) << room << " has no README.md";
  }
}

}  // namespace
