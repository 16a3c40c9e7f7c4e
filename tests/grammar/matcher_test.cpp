#include "grammar/matcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "testing.h"

namespace espalier::grammar {
namespace {

using namespace testing_support;

Json value_of(const TypeRef& type, std::string_view text, std::string_view follow = {}) {
  const auto grammar = compile(byte_vocabulary(), type, follow);
  if (!grammar) return Json("error: " + grammar.error().message);
  Matcher m = (*grammar)->start();
  for (const char c : std::string(text) + std::string(follow)) {
    if (!m.advance(static_cast<unsigned char>(c))) return Json("refused at " + m.text());
  }
  if (!follow.empty() && !m.done()) return Json("not done");
  if (follow.empty() && !m.accepting()) return Json("not accepting");
  if (m.text() != text) return Json("text is " + m.text());
  return m.value();
}

TEST(Matcher, GivesTypedValues) {
  EXPECT_EQ(value_of(string_type(), "hello", "\n"), "hello");
  EXPECT_EQ(value_of(int_type(), "-12"), -12);
  EXPECT_EQ(value_of(int_type(), "9223372036854775807"), INT64_MAX);
  EXPECT_EQ(value_of(int_type(), "9223372036854775808"), "refused at 922337203685477580");
  EXPECT_EQ(value_of(float_type(), "1.5e-3"), 1.5e-3);
  EXPECT_EQ(value_of(simple(TypeKind::kBool), "true"), true);
  EXPECT_EQ(value_of(simple(TypeKind::kNull), "null"), nullptr);
  EXPECT_EQ(value_of(enum_type({"yes", "no"}), "no"), "no");
  EXPECT_EQ(value_of(list_type(int_type()), "[1, 2,3]"), Json::array({1, 2, 3}));
  EXPECT_EQ(
      value_of(record_type({{"a", int_type()},
                            {"b", string_type(), true},
                            {"c", list_type(simple(TypeKind::kJson))}}),
               "{\"a\": 1, \"c\": [{\"x\": [], \"y\": \"\\u00e9\\ud83d\\ude00\\n\"}, null, 1.25]}"),
      Json::parse("{\"a\": 1, \"c\": [{\"x\": [], \"y\": \"é😀\\n\"}, null, 1.25]}"));
  EXPECT_EQ(value_of(record_type({{"get", record_type({{"q", string_type()}})}}, TypeKind::kCall),
                     R"({"name": "get", "arguments": {"q": "x"}})"),
            Json::parse(R"({"name": "get", "arguments": {"q": "x"}})"));
}

}  // namespace
}  // namespace espalier::grammar
