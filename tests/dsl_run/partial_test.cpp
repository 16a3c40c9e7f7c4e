// Partial values as they grow: parts are given when they are complete, each once.
#include <gmock/gmock.h>

#include <random>

#include "dsl/completed_nodes.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::ElementsAre;
using testing::World;

std::vector<std::string> given(CompletedNodes& nodes, const Json& json, bool finish = false) {
  std::vector<std::string> out;
  const auto visit = [&](const std::string& path, const Json& node) {
    out.push_back(path + "=" + node.dump());
  };
  if (finish) {
    nodes.finish(json, visit);
  } else {
    nodes.advance(json, visit);
  }
  return out;
}

TEST(CompletedNodes, AreGivenOnceSomethingHasComeAfterThem) {
  CompletedNodes nodes;
  EXPECT_THAT(given(nodes, Json::parse(R"({"a": 1})")), ElementsAre());
  EXPECT_THAT(given(nodes, Json::parse(R"({"a": 12, "b c": [1, {"x": 5}]})")),
              ElementsAre(".a=12", "[\"b c\"][0]=1"));
  EXPECT_THAT(given(nodes, Json::parse(R"({"a": 12, "b c": [1, {"x": 55}, 7, 8]})")),
              ElementsAre("[\"b c\"][1].x=55", "[\"b c\"][1]={\"x\":55}", "[\"b c\"][2]=7"));
  EXPECT_THAT(given(nodes, Json::parse(R"({"a": 12, "b c": [1, {"x": 55}, 7, 89]})"), true),
              ElementsAre("[\"b c\"][3]=89", "[\"b c\"]=[1,{\"x\":55},7,89]"));
}

class Nodes final : public Observer {
 public:
  bool wants_partials() const override { return true; }
  void on_node(const HoleEvent&, std::string_view path, const Json& value) override {
    const std::lock_guard lock(mutex_);
    paths_.emplace_back(std::string(path), value);
  }
  void on_hole_end(const HoleEvent& hole, const Value& value) override {
    const std::lock_guard lock(mutex_);
    ends_.emplace_back(std::string(hole.path), to_json(value));
  }
  std::mutex mutex_;
  std::vector<std::pair<std::string, Json>> paths_, ends_;
};

std::size_t nodes_of(const Json& json) {
  if (!json.is_structured()) return 0;
  std::size_t out = json.size();
  for (const Json& child : json) out += nodes_of(child);
  return out;
}

TEST(Partials, EveryPartOfAValueIsStreamedOnceWhenItIsComplete) {
  World world;
  for (int seed = 0; seed < 10; ++seed) {
    Nodes nodes;
    RunOptions options;
    options.overrides.seed = seed;
    options.observer = &nodes;
    const auto out = world.run(R"(
      record Item { name: string(1..6), tags: int(0..99)[0..3], more: { x: bool }? }
      gen main() -> Item[] {
        for i in 1..2 { assistant "$[items: Item[1..3], max=200, temperature=1]" }
        assistant "$[last: Item[1..3], max=200, temperature=1]"
        return last
      })",
                               {}, options);
    ASSERT_TRUE(out) << out.error().rendered;
    ASSERT_EQ(nodes.ends_.size(), 3U);
    EXPECT_EQ(nodes.ends_[1].first, "i[1].items");
    std::size_t expected = 0;
    for (const auto& [path, value] : nodes.ends_) expected += nodes_of(value);
    EXPECT_EQ(nodes.paths_.size(), expected);
    const std::string first = nodes.ends_[0].first + "[0]";
    const auto item = std::find_if(nodes.paths_.begin(), nodes.paths_.end(),
                                   [&](const auto& one) { return one.first == first; });
    ASSERT_NE(item, nodes.paths_.end());
    EXPECT_EQ(item->second, nodes.ends_[0].second[0]);
    EXPECT_EQ(nodes.paths_.front().first, first + ".name");
  }
}

}  // namespace
}  // namespace espalier::dsl
