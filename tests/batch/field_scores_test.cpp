#include "batch/field_scores.h"

#include <gtest/gtest.h>

namespace espalier::batch {
namespace {

TEST(FieldScores, CountLeavesByFieldAndNameWhatWasMissed) {
  FieldScores scores;
  scores.add(1, Json::parse(R"({"a": 1, "items": [{"n": "x"}, {"n": "y"}]})"),
             Json::parse(R"({"a": 1.0, "items": [{"n": "x"}, {"n": "z"}, {"n": "w"}]})"));
  scores.add(2, Json::parse(R"({"a": 2, "items": []})"), Json::parse(R"({"a": 2, "items": []})"));
  EXPECT_EQ(scores.rows().right, 1U);
  EXPECT_EQ(scores.rows().total, 2U);
  EXPECT_EQ(scores.fields().at("a").right, 2U);
  EXPECT_EQ(scores.fields().at("items[].n").right, 1U);
  EXPECT_EQ(scores.fields().at("items[].n").total, 3U);
  ASSERT_EQ(scores.misses().size(), 2U);
  EXPECT_EQ(scores.misses()[0].path, "items[1].n");
  EXPECT_EQ(scores.misses()[0].expected, "y");
  EXPECT_EQ(scores.misses()[0].actual, "z");
  EXPECT_EQ(scores.misses()[1].path, "items[2].n");
  EXPECT_TRUE(scores.misses()[1].expected.is_null());
}

TEST(FieldScores, AFailedRowIsWrongInEveryFieldAndAPlainValueIsOne) {
  FieldScores scores;
  scores.add_failure("r", Json::parse(R"({"a": 1, "b": null})"), "too long");
  scores.add("s", "card", "card");
  scores.add("t", "card", "loan");
  EXPECT_EQ(scores.fields().at("a").right, 0U);
  EXPECT_EQ(scores.fields().at("b").total, 1U);
  EXPECT_EQ(scores.fields().at("").right, 1U);
  EXPECT_EQ(scores.fields().at("").total, 2U);
  EXPECT_EQ(scores.misses()[0].why, "too long");
}

}  // namespace
}  // namespace espalier::batch
