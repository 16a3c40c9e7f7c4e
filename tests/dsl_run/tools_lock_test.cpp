// `tools.lock`: the whole object of a pinned tool counts, and a damaged file is refused.
#include <gmock/gmock.h>

#include "dsl/mcp/lock.h"

namespace espalier::dsl::mcp {
namespace {

using ::testing::HasSubstr;

TEST(ToolsLock, EveryByteOfAPinnedToolCounts) {
  const Json tool = Json::parse(
      R"({"name": "t", "title": "T", "description": "d", "inputSchema": {"type": "object",
      "properties": {"a": {"type": "string", "description": "x"}}}, "annotations": {"readOnlyHint":
      true}, "_meta": {"v": 1}, "outputSchema": {"type": "object"}})");
  Lock lock;
  lock.pin("s", "t", tool);
  EXPECT_TRUE(check_pinned(lock, "s", "t", tool));
  // The order of members is no change.
  EXPECT_TRUE(check_pinned(lock, "s", "t", Json::parse(nlohmann::json::parse(tool.dump()).dump())));
  const Json flat = tool.flatten();
  ASSERT_GE(flat.size(), 8U);
  for (const auto& [pointer, value] : flat.items()) {
    Json changed = tool;
    auto& at = changed[Json::json_pointer(pointer)];
    at = at.is_string() ? Json(at.get<std::string>() + " ") : Json("other");
    const auto refused = check_pinned(lock, "s", "t", changed);
    ASSERT_FALSE(refused) << pointer;
    EXPECT_THAT(refused.error().message, HasSubstr(pointer));
  }
  // Another spelling of the same number is a change that can be named.
  lock.pin("s", "n", Json::parse(R"({"maximum": 1})"));
  const auto spelled = check_pinned(lock, "s", "n", Json::parse(R"({"maximum": 1.0})"));
  ASSERT_FALSE(spelled);
  EXPECT_THAT(spelled.error().message, HasSubstr("/maximum"));
}

TEST(ToolsLock, ALockFileReadsBackAndADamagedOneIsRefused) {
  Lock lock;
  lock.pin("a", "x", {{"name", "x"}, {"description", "ä"}});
  lock.pin("b", "y", {{"name", "y"}});
  const std::string text = lock.text();
  const auto back = Lock::read(text);
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->text(), text);
  for (std::size_t length = 0; length + 1 < text.size(); ++length)
    EXPECT_FALSE(Lock::read(text.substr(0, length))) << length;
  std::size_t accepted = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string flipped = text;
    flipped[at] ^= 1;
    const auto read = Lock::read(flipped);
    // A server's or tool's own key may change: then the tool that the program names is not there.
    if (read && read->find("a", "x") != nullptr && read->find("b", "y") != nullptr &&
        read->text() != text)
      ++accepted;
  }
  EXPECT_EQ(accepted, 0U);
}

}  // namespace
}  // namespace espalier::dsl::mcp
