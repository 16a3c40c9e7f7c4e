#include "dsl/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "base/random.h"
#include "dsl/convert.h"
#include "tests/support/small_stack.h"

namespace espalier::dsl {
namespace {

using grammar::Type;
using grammar::TypeKind;
using grammar::TypeRef;

TypeRef make(Type type) { return std::make_shared<const Type>(std::move(type)); }
Type of(TypeKind kind, std::string name = {}) {
  Type type;
  type.kind = kind;
  type.name = std::move(name);
  return type;
}
TypeRef simple(TypeKind kind) { return make(of(kind)); }
TypeRef list_of(TypeRef item) {
  Type type = of(TypeKind::kList);
  type.items = {std::move(item)};
  return make(std::move(type));
}
TypeRef color() {
  Type type = of(TypeKind::kEnum, "Color");
  type.cases = {{"red", "deep red", "like blood"}, {"blue", "blue", ""}};
  return make(std::move(type));
}
TypeRef item() {
  Type type = of(TypeKind::kRecord, "Item");
  Type small = of(TypeKind::kInt);
  small.int_low = 1;
  small.int_high = 9;
  type.fields = {{"label", "item-label", simple(TypeKind::kString), false, ""},
                 {"count", "count", make(std::move(small)), false, ""},
                 {"note", "note", simple(TypeKind::kString), true, ""}};
  return make(std::move(type));
}

std::string message(const Json& json, const TypeRef& type) {
  const Program program;
  const auto value = from_json(program, json, type, "x");
  return value ? "fits" : value.error().message;
}

TEST(Value, FloatsPrintTheShortestDecimalThatReadsBack) {
  EXPECT_EQ(print(0.1), "0.1");
  EXPECT_EQ(print(3.0), "3.0");
  EXPECT_EQ(print(-0.0), "-0.0");
  EXPECT_EQ(print(1e300), "1e+300");
  const RandomKey key(7);
  for (std::uint64_t i = 0; i < 5000; ++i) {
    const auto bits = key.bits(i);
    const auto word = (std::uint64_t{bits[1]} << 32) | bits[0];
    double value = 0;
    static_assert(sizeof value == sizeof word);
    std::memcpy(&value, &word, sizeof value);
    if (!std::isfinite(value)) continue;
    ASSERT_EQ(std::strtod(print(value).c_str(), nullptr), value) << print(value);
  }
}

TEST(Value, InsertsAreExact) {
  EXPECT_EQ(print(Value::string("a \"quoted\" text\n")), "a \"quoted\" text\n");
  EXPECT_EQ(print(Value::variant(color(), 0)), "deep red");
  EXPECT_EQ(print(Value()), "null");
  EXPECT_EQ(print(Value::boolean(true)), "true");
  EXPECT_EQ(print(Value::integer(std::numeric_limits<std::int64_t>::min())),
            "-9223372036854775808");
  EXPECT_EQ(print(Value::range(1, 3)), "[1,2,3]");
  const auto record =
      Value::record({{"label", Value::string("x")}, {"count", Value::integer(2)}}, item());
  EXPECT_EQ(print(*record), R"({"item-label":"x","count":2})");
  EXPECT_EQ(print(*Value::call("add", *record)),
            R"({"name":"add","arguments":{"item-label":"x","count":2}})");
}

TEST(Value, IntsAndFloatsCompareExactly) {
  const auto big = std::numeric_limits<std::int64_t>::max();
  EXPECT_TRUE(equal(Value::integer(2), Value::number(2.0)));
  EXPECT_FALSE(
      equal(Value::integer(big), Value::number(static_cast<double>(big))));  // the float is 2^63
  EXPECT_EQ(compare(Value::integer(big), Value::number(static_cast<double>(big))), -1);
  EXPECT_EQ(compare(Value::string("a"), Value::integer(1)), std::nullopt);
  EXPECT_TRUE(equal(Value::variant(color(), 0), Value::string("deep red")));
  EXPECT_FALSE(equal(Value::variant(color(), 0), Value::variant(color(), 1)));
}

TEST(Value, DoublingALittleListOverAndOverIsRefused) {
  Value value = Value::string(std::string(1000, 'x'));
  Result<Value> next = value;
  int doublings = 0;
  while (next && doublings < 100) {
    ++doublings;
    next = Value::list({*next, *next});
  }
  ASSERT_FALSE(next);
  EXPECT_EQ(next.error().code, ErrorCode::kLimit);
  EXPECT_LT(doublings, 20);
}

TEST(Value, NestingIsBounded) {
  Result<Value> value = Value();
  for (std::uint32_t i = 1; i < Value::kMaxDepth; ++i) {
    value = Value::list({*value});
    ASSERT_TRUE(value);
  }
  EXPECT_FALSE(Value::list({*value}));
}

TEST(Convert, TypedJsonReadsBack) {
  const Program program;
  const Json json =
      Json::parse(R"([{"item-label":"a","count":3},{"item-label":"","count":9,"note":"n"}])");
  const auto value = from_json(program, json, list_of(item()), "x");
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(to_json(*value), json);
  EXPECT_EQ(value->as_list()[0].field("label")->as_string(), "a");
  EXPECT_EQ(value->as_list()[0].field("note"), nullptr);
}

TEST(Convert, WhatDoesNotFitIsNamedByItsPath) {
  EXPECT_EQ(message(3, simple(TypeKind::kString)), "x: expected string, got 3");
  EXPECT_EQ(message(Json::parse(R"([{"item-label":"a","count":30}])"), list_of(item())),
            "x[0].count: expected int(1..9), got 30");
  EXPECT_EQ(message(Json::parse(R"([{"item-label":"a"}])"), list_of(item())),
            "x[0]: the field `count` is missing");
  EXPECT_EQ(message(Json::parse(R"({"item-label":"a","count":1,"size":1})"), item()),
            "x: unknown field `size`");
  EXPECT_EQ(message("green", color()), "x: expected one of \"deep red\", \"blue\", got \"green\"");
  EXPECT_EQ(message(1.5, simple(TypeKind::kInt)), "x: expected int, got 1.5");
  EXPECT_EQ(message(std::uint64_t{1} << 63, simple(TypeKind::kInt)),
            "x: expected int, got 9223372036854775808");
  EXPECT_EQ(message("a\nb", simple(TypeKind::kLine)), "x: a line has no line break");
  EXPECT_NE(message("\xff", simple(TypeKind::kString)).find("UTF-8"), std::string::npos);
}

TEST(Convert, WhatOneAlternativeAloneCouldHoldIsSaidOfIt) {
  Type either = of(TypeKind::kUnion);
  either.items = {simple(TypeKind::kInt), item(), list_of(color())};
  const TypeRef type = make(std::move(either));
  EXPECT_EQ(message(Json::parse(R"({"item-label":"a"})"), type), "x: the field `count` is missing");
  EXPECT_EQ(message(Json::parse(R"(["blue","green"])"), type),
            "x[1]: expected one of \"deep red\", \"blue\", got \"green\"");
  EXPECT_EQ(message("green", type), "x: expected int | Item | Color[], got \"green\"");
  Type two = of(TypeKind::kUnion);
  two.items = {item(), type};
  EXPECT_EQ(message(Json::parse(R"({"item-label":"a"})"), make(std::move(two))),
            "x: expected Item | int | Item | Color[], got an object");
}

TEST(Convert, ACallIsSaidByItsFormAndItsTools) {
  Type none = of(TypeKind::kRecord);
  Type call = of(TypeKind::kCall);
  call.fields = {{"add", "add", item(), false, ""}, {"stop", "stop", make(none), false, ""}};
  const TypeRef type = make(std::move(call));
  EXPECT_EQ(message(Json::parse(R"({"name":"stop"})"), type), "fits");
  EXPECT_EQ(
      message(Json::parse(R"({"tool":"stop"})"), type),
      R"(x: expected a call of add | stop, {"name": ..., "arguments": {...}}, got an object)");
  EXPECT_EQ(message(Json::parse(R"({"name":"halt"})"), type),
            "x: `halt` is no tool of this hole, which holds a call of add | stop");
  EXPECT_EQ(message(Json::parse(R"({"name":"add","arguments":{"item-label":"a"}})"), type),
            "x.add: the field `count` is missing");
}

TEST(Convert, DeepJsonIsRefusedNotFollowed) {
  Json json = 1;
  for (int i = 0; i < 1000; ++i) json = Json::array({json});
  EXPECT_NE(message(json, simple(TypeKind::kJson)).find("deeper than 256"), std::string::npos);
}

// Values of every kind that nests, as deep as they may be: read, printed and compared.
TEST(Convert, DeepValuesFitASmallStack) {
  auto tree = std::make_shared<Type>(of(TypeKind::kRecord, "Tree"));
  const std::weak_ptr<const Type> self = tree;
  const auto reference = [&] {
    Type type = of(TypeKind::kReference, "Tree");
    type.target = self;
    return make(std::move(type));
  };
  const auto around = [&](TypeKind kind, TypeRef inner) {
    Type type = of(kind);
    type.items = {std::move(inner)};
    return make(std::move(type));
  };
  tree->fields.push_back({"list", "list", around(TypeKind::kList, reference()), true, {}});
  tree->fields.push_back({"map", "map", around(TypeKind::kMap, reference()), true, {}});
  tree->fields.push_back({"self", "self", around(TypeKind::kOptional, reference()), true, {}});
  const TypeRef root = tree;
  const Program program;
  for (const char* way : {"list", "map", "self", "json"}) {
    std::size_t deepest = 0;
    bool refused = false;
    for (std::size_t levels = 1; levels < 600; levels += 13) {
      Json json = Json::object();
      for (std::size_t i = 0; i < levels; ++i) {
        Json inside = std::move(json);
        json = Json::object();
        if (std::string_view(way) == "list") {
          json["list"].push_back(std::move(inside));
        } else if (std::string_view(way) == "map") {
          json["map"]["key"] = std::move(inside);
        } else {
          json["self"] = std::move(inside);
        }
      }
      espalier::testing::on_a_small_stack([&] {
        const TypeRef type = std::string_view(way) == "json" ? simple(TypeKind::kJson) : root;
        const auto value = from_json(program, json, type, "x");
        if (!value) {
          refused = true;
          EXPECT_EQ(value.error().code, ErrorCode::kLimit);
          return;
        }
        EXPECT_FALSE(refused) << way << levels;
        deepest = std::max(deepest, levels);
        EXPECT_EQ(to_json(*value), json);
        EXPECT_FALSE(print(*value).empty());
        EXPECT_TRUE(equal(*value, *value));
      });
    }
    EXPECT_TRUE(refused) << way;
    EXPECT_GT(deepest, 60U) << way;
  }
}

TEST(Convert, NamedGroupsOfAPatternBecomeARecord) {
  Type type = of(TypeKind::kRegex);
  type.pattern = "(?<n>[0-9]+) (?<unit>day|month)s?";
  const auto pattern = make(std::move(type));
  const Program program;
  const auto value = from_json(program, "30 days", pattern, "x");
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(value->field("n")->as_string(), "30");
  EXPECT_EQ(value->field("unit")->as_string(), "day");
  EXPECT_FALSE(from_json(program, "30 years", pattern, "x"));
}

TEST(Convert, GroupsAreWrittenAsTheTextTheyWereFoundIn) {
  Type type = of(TypeKind::kRegex);
  type.pattern = "(?<n>[0-9]+?)(?<zeros>0*)(?: (?<unit>day|month)s?)?";
  const auto pattern = make(std::move(type));
  const Program program;
  const auto values = from_json(program, {"300 days", "7"}, list_of(pattern), "x");
  ASSERT_TRUE(values) << values.error().message;
  const Json objects = {{{"n", "3"}, {"zeros", "00"}, {"unit", "day"}},
                        {{"n", "7"}, {"zeros", ""}, {"unit", nullptr}}};
  EXPECT_EQ(to_json(*values), objects);
  EXPECT_EQ(print(*values), R"(["300 days","7"])");
  EXPECT_EQ(print(values->item(0)), "300 days");
  // Given back as they came out, they have no text any more.
  const auto again = from_json(program, objects, list_of(pattern), "x");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_TRUE(equal(*again, *values));
  for (const Json& wrong :
       {Json{{"n", "3"}}, Json{{"n", nullptr}, {"zeros", ""}, {"unit", nullptr}},
        Json{{"n", "3"}, {"zeros", ""}, {"unit", "year"}}, Json(3), Json("x")}) {
    EXPECT_FALSE(from_json(program, wrong, pattern, "x")) << wrong;
  }
}

TEST(Convert, PatternsMayRepeatMoreThanRE2Takes) {
  Type type = of(TypeKind::kRegex);
  type.pattern = "(?<head>[a-c]{1,2000}?)(?<tail>c{0,1500})";
  const auto pattern = make(std::move(type));
  const Program program;
  const auto value = from_json(program, std::string(1500, 'a') + "ccc", pattern, "x");
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(value->field("head")->as_string(), std::string(1500, 'a'));
  EXPECT_EQ(value->field("tail")->as_string(), "ccc");
  EXPECT_FALSE(from_json(program, std::string(3501, 'c'), pattern, "x"));
}

TEST(Convert, TextOnACommandLineIsReadByItsType) {
  EXPECT_EQ(argument_from_text(simple(TypeKind::kString), "12"), Json("12"));
  EXPECT_EQ(argument_from_text(simple(TypeKind::kInt), "12"), Json(12));
  EXPECT_EQ(argument_from_text(list_of(simple(TypeKind::kInt)), "[1,2]"), Json::array({1, 2}));
  EXPECT_EQ(argument_from_text(simple(TypeKind::kInt), "twelve"), Json("twelve"));
  EXPECT_EQ(argument_from_text(color(), "blue"), Json("blue"));
}

}  // namespace
}  // namespace espalier::dsl
