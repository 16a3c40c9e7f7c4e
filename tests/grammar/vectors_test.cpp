#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "grammar/number_map.h"
#include "grammar/small_vector.h"
#include "grammar/stable_vector.h"

namespace espalier::grammar {
namespace {

using Small = SmallVector<std::uint32_t, 3>;

std::vector<std::uint32_t> all_of(const Small& v) { return {v.begin(), v.end()}; }

// Two of each, so that copies and moves meet every pair of sizes, inside and outside.
TEST(SmallVector, IsAVectorWhereverItsValuesLie) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    Small made[2];
    std::vector<std::uint32_t> model[2];
    for (int step = 0; step < 300; ++step) {
      const std::size_t i = random() % 2, other = 1 - i;
      const auto value = static_cast<std::uint32_t>(random() % 5);
      switch (random() % 9) {
        case 0:
          made[i] = made[other];
          model[i] = model[other];
          break;
        case 1:
          made[i] = std::move(made[other]);
          model[i] = std::exchange(model[other], {});
          break;
        case 2: {
          Small copy(made[i]);
          made[i] = Small(std::move(copy));
          break;
        }
        case 3:
          made[i].append(model[other].begin(), model[other].end());
          model[i].insert(model[i].end(), model[other].begin(), model[other].end());
          break;
        case 4:
          made[i].shorten(value);
          if (model[i].size() > value) model[i].resize(value);
          break;
        case 5:
          if (model[i].empty()) break;
          made[i].push_back(made[i][0]);
          model[i].push_back(std::uint32_t{model[i][0]});
          break;
        case 6:
          if (model[i].empty()) break;
          made[i].pop_back();
          model[i].pop_back();
          break;
        default:
          made[i].push_back(value);
          model[i].push_back(value);
      }
      ASSERT_EQ(all_of(made[i]), model[i]) << step;
      ASSERT_EQ(all_of(made[other]), model[other]) << step;
      ASSERT_EQ(made[0] == made[1], model[0] == model[1]) << step;
      if (model[i].size() > 40) {
        made[i].clear();
        model[i].clear();
      }
    }
  }
}

TEST(NumberMap, IsAMapOfNumbersWhateverTheyAre) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const std::uint64_t kinds = 1 + random() % 300;
    NumberMap<std::uint32_t> made;
    std::map<std::uint64_t, std::uint32_t> model;
    for (int step = 0; step < 500; ++step) {
      const std::uint64_t key = (random() % kinds) * (seed % 3 == 0 ? 1 : UINT64_MAX / kinds);
      const std::uint32_t* found = made.find(key);
      const auto known = model.find(key);
      ASSERT_EQ(found != nullptr, known != model.end()) << step;
      if (found != nullptr) {
        ASSERT_EQ(*found, known->second) << step;
      }
      const auto value = static_cast<std::uint32_t>(random());
      if (random() % 2 == 0) {
        made.set(key, value);
        model[key] = value;
      } else {
        made.at(key) += value;
        model[key] += value;
      }
      ASSERT_EQ(made.size(), model.size()) << step;
    }
  }
}

TEST(StableVector, KeepsItsElementsWhereTheyAre) {
  const auto counted = std::make_shared<int>(0);
  {
    StableVector<std::shared_ptr<int>, 4> made;
    std::vector<const std::shared_ptr<int>*> places;
    for (std::size_t i = 0; i < 1000; ++i) {
      places.push_back(&made.push_back(std::shared_ptr<int>(counted)));
      ASSERT_EQ(made.size(), i + 1);
    }
    for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(&made[i], places[i]) << i;
    EXPECT_EQ(counted.use_count(), 1001);
  }
  EXPECT_EQ(counted.use_count(), 1);
}

}  // namespace
}  // namespace espalier::grammar
