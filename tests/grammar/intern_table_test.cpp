#include "grammar/intern_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace espalier::grammar {
namespace {

// Against a map: things of a few kinds, whose hashes are few, alike in their lower or upper bits,
// or spread.
TEST(InternTable, FindsWhatWasAddedAndNothingElseWhateverTheHashes) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::uint64_t kinds = 1 + random() % 400;
    const auto hash = [&](std::uint64_t thing) -> std::size_t {
      switch (seed % 4) {
        case 0:
          return 7;
        case 1:
          return thing % 3;
        case 2:
          return thing << 32;
        default:
          return thing * 0x9E3779B97F4A7C15U;
      }
    };
    InternTable table;
    std::vector<std::uint64_t> things;
    std::map<std::uint64_t, std::uint32_t> model;
    for (int step = 0; step < 600; ++step) {
      const std::uint64_t thing = random() % kinds;
      const std::uint32_t found =
          table.find(hash(thing), [&](std::uint32_t id) { return things[id] == thing; });
      const auto known = model.find(thing);
      ASSERT_EQ(found, known == model.end() ? InternTable::kNone : known->second) << step;
      if (known != model.end()) continue;
      const auto id = static_cast<std::uint32_t>(things.size());
      table.insert(hash(thing), id);
      things.push_back(thing);
      model.emplace(thing, id);
    }
  }
}

}  // namespace
}  // namespace espalier::grammar
