// Values by numbers against JSON itself.
#include "grammar/schema/json_values.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "grammar/schema/formula.h"

namespace espalier::grammar {
namespace {

class Named {
 public:
  JsonValueId add(const Json& value) {
    return values.add(value, [this](std::string_view text) { return name(text); });
  }
  JsonValues::Name name(std::string_view text) {
    return names_.try_emplace(std::string(text), static_cast<JsonValues::Name>(names_.size()))
        .first->second;
  }
  JsonValues values;

 private:
  std::map<std::string, JsonValues::Name> names_;
};

Json random_value(std::mt19937_64& random, int depth) {
  switch (random() % (depth > 0 ? 7 : 5)) {
    case 0:
      return nullptr;
    case 1:
      return random() % 2 == 0;
    case 2:
      return static_cast<int>(random() % 3);
    case 3:
      return static_cast<double>(random() % 5) / 2;
    case 4:
      return std::string(random() % 3, 'a');
    case 5: {
      Json out = Json::array();
      for (std::uint64_t n = random() % 3; n > 0; --n)
        out.push_back(random_value(random, depth - 1));
      return out;
    }
    default: {
      Json out = Json::object();
      for (std::uint64_t n = random() % 3; n > 0; --n)
        out[std::string(1, static_cast<char>('a' + random() % 3))] =
            random_value(random, depth - 1);
      return out;
    }
  }
}

TEST(JsonValues, HaveTheSameNumberWhereTheyAreEqual) {
  std::mt19937_64 random(1);
  Named named;
  std::vector<Json> all;
  std::vector<JsonValueId> ids;
  for (int i = 0; i < 500; ++i) {
    all.push_back(random_value(random, 3));
    ids.push_back(named.add(all.back()));
    for (int j = 0; j <= i; ++j) {
      ASSERT_EQ(ids[static_cast<std::size_t>(j)] == ids.back(),
                same_value(all[static_cast<std::size_t>(j)], all.back()))
          << all[static_cast<std::size_t>(j)] << " " << all.back();
    }
  }
}

TEST(JsonValues, OfTheSameNumberAreOneHoweverTheyAreHeld) {
  Named named;
  EXPECT_EQ(named.add(1), named.add(1.0));
  EXPECT_EQ(named.add(-7), named.add(-7.0));
  EXPECT_EQ(named.add(0), named.add(-0.0));
  EXPECT_EQ(named.add(9223372036854775808U), named.add(9223372036854775808.0));
  EXPECT_NE(named.add(9007199254740993), named.add(9007199254740992.0));
  EXPECT_NE(named.add(1), named.add(true));
  EXPECT_NE(named.add("1"), named.add(1));
  EXPECT_NE(named.add(Json::array()), named.add(Json::object()));
  EXPECT_NE(named.add(Json::array({Json::array()})), named.add(Json::array()));
}

TEST(JsonValues, AreCutAsJsonIs) {
  std::mt19937_64 random(2);
  Named named;
  for (int i = 0; i < 2000; ++i) {
    Json value = random_value(random, 3);
    const JsonValueId id = named.add(value);
    const JsonValues::Cut first = named.values.without_first(id);
    if (value.is_array() && !value.empty()) {
      EXPECT_EQ(first.part, named.add(value[0]));
      EXPECT_EQ(first.rest, named.add(Json(Json::array_t(value.begin() + 1, value.end()))));
    } else {
      EXPECT_EQ(first.part, JsonValues::kNone);
    }
    for (const char* key : {"a", "b", "c"}) {
      const JsonValues::Cut cut = named.values.without_member(id, named.name(key));
      if (value.is_object() && value.contains(key)) {
        EXPECT_EQ(cut.part, named.add(value[key]));
        Json rest = value;
        rest.erase(key);
        EXPECT_EQ(cut.rest, named.add(rest));
      } else {
        EXPECT_EQ(cut.part, JsonValues::kNone);
      }
    }
    EXPECT_EQ(named.values.empty(id), value.is_structured() && value.empty());
  }
}

}  // namespace
}  // namespace espalier::grammar
