// Arms by type over unions of records: the checker lets only those pass that a run tells apart.
#include <gmock/gmock.h>

#include <algorithm>

#include "base/random.h"
#include "dsl/convert.h"
#include "dsl/static_types.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::World;

constexpr std::string_view kShapes = R"gen(
  record Circle { kind: "circle", size: float }
  record Square { kind: "square", size: float, turned?: bool }
  record Empty { }
  type Shape = Circle | Square
  gen name_of(shape: Shape) -> string {
    match shape {
      c: Circle => return "circle of ${c.size}"
      s: Square => return "square of ${s.size}"
    }
  }
  gen by_field(shape: Shape) -> string {
    if shape.kind == "circle" { return "circle" }
    if shape.turned == true { return "turned" }
    return shape.kind
  }
  gen by_match(shape: Shape) -> string {
    match shape.kind {
      "square" => return "square ${shape.turned}"
      other => return "circle"
    }
  }
)gen";

TEST(MatchRecords, ByAFieldThatHasOtherValuesInEach) {
  World world;
  const auto gives = [&](const std::string& body) {
    return world.json(std::string(kShapes) + "gen main() -> json { " + body + " }");
  };
  EXPECT_EQ(gives(R"(return name_of({ kind: "circle", size: 1 }))"), R"("circle of 1.0")");
  EXPECT_EQ(gives(R"(return name_of({ kind: "square", size: 2 }))"), R"("square of 2.0")");
  EXPECT_EQ(gives(R"(return name_of({ kind: "square", size: 2, turned: true }))"),
            R"("square of 2.0")");
  EXPECT_EQ(gives(R"(return by_field({ kind: "circle", size: 2 }))"), R"("circle")");
  EXPECT_EQ(gives(R"(return by_field({ kind: "square", size: 2, turned: true }))"), R"("turned")");
  EXPECT_EQ(gives(R"(return by_field({ kind: "square", size: 2 }))"), R"("square")");
  EXPECT_EQ(gives(R"(return by_match({ kind: "square", size: 2, turned: true }))"),
            R"("square true")");
  EXPECT_EQ(gives(R"(return by_match({ kind: "circle", size: 2 }))"), R"("circle")");
  // Values that no hole and no parameter has made one of a declared type.
  EXPECT_EQ(gives(R"(
    let shapes = [{ kind: "circle", size: 1.0 }, { kind: "square", size: 2.0 }]
    let names = for s in shapes { yield name_of(s) }
    return names)"),
            R"(["circle of 1.0","square of 2.0"])");
}

TEST(MatchRecords, ARecordOfAUnionIsTheOneWhoseValuesItHas) {
  World world;
  // Both have the same keys in the program, but other keys in JSON.
  EXPECT_EQ(world.json(R"gen(
    record A { kind: "a", size as "Size": int }
    record B { kind: "b", size as "length": int }
    gen main() -> json {
      let one: A | B = { kind: "b", size: 3 }
      return one
    })gen"),
            R"({"kind":"b","length":3})");
}

// A random record type over few keys, as text, and a random value of it.
struct Written {
  std::string type;
  std::vector<std::pair<std::string, bool>> fields;  // type and whether it may be left out, by key
};

constexpr std::array<std::string_view, 12> kTypes = {
    "int",   "string", "bool",    "\"x\"", "\"y\"",      "\"x\" | \"y\"",
    "1 | 2", "E",      "string?", "int[]", "{ a: int }", "null | \"x\""};

struct Dice {
  RandomKey key;
  std::uint64_t counter = 0;
  std::uint32_t operator()(std::uint32_t sides) { return key.bits(counter++)[0] % sides; }
};

Written random_record(Dice& dice) {
  Written out;
  out.type = "{ ";
  for (const char* name : {"a", "b", "c"}) {
    if (dice(4) == 0) {
      out.fields.emplace_back("", true);
      continue;
    }
    const std::string type(kTypes[dice(kTypes.size())]);
    const bool omittable = dice(4) == 0;
    out.fields.emplace_back(type, omittable);
    out.type += std::string(name) + (omittable ? "?: " : ": ") + type + ", ";
  }
  out.type += "}";
  return out;
}

Json random_value(const std::string& type, Dice& dice) {
  if (type == "int") return dice(5);
  if (type == "string") return std::array{"x", "y", "z"}[dice(3)];
  if (type == "bool") return dice(2) == 0;
  if (type == "\"x\"") return "x";
  if (type == "\"y\"") return "y";
  if (type == "\"x\" | \"y\"") return dice(2) == 0 ? "x" : "y";
  if (type == "1 | 2") return 1 + dice(2);
  if (type == "E") return dice(2) == 0 ? "x" : "Q";
  if (type == "string?") return dice(2) == 0 ? Json() : Json("x");
  if (type == "int[]") return Json::array({1});
  if (type == "{ a: int }") return Json{{"a", 1}};
  return dice(2) == 0 ? Json() : Json("x");
}

Json random_value(const Written& record, Dice& dice) {
  Json out = Json::object();
  for (std::size_t i = 0; i < 3; ++i) {
    const auto& [type, omittable] = record.fields[i];
    if (type.empty() || (omittable && dice(2) == 0)) continue;
    out[std::string(1, static_cast<char>('a' + i))] = random_value(type, dice);
  }
  return out;
}

TEST(MatchRecords, WhatTheCheckerTellsApartTheRunDoesToo) {
  World world;
  std::size_t apart = 0, alike = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    Dice dice{RandomKey(seed)};
    const Written a = random_record(dice), b = random_record(dice);
    const std::string source =
        "enum E { x, q as \"Q\" }\nrecord A " + a.type + "\nrecord B " + b.type +
        "\n"
        "gen main(it: A | B) -> string {\n  match it {\n    one: A => return "
        "\"A\"\n    other: B => return \"B\"\n  }\n}\n";
    const Compiled compiled = compile("t.gen", source);
    if (compiled.program == nullptr) {
      ++alike;
      continue;
    }
    ++apart;
    for (int i = 0; i < 8; ++i) {
      const bool first = dice(2) == 0;
      const Json value = random_value(first ? a : b, dice);
      const auto out = world.runner->run_now(compiled.program, "", {{"it", value}}, {});
      ASSERT_TRUE(out) << "seed " << seed << "\n" << source << value << out.error().error.message;
      EXPECT_EQ(to_json(*out), first ? "A" : "B") << "seed " << seed << "\n" << source << value;
    }
  }
  EXPECT_GT(apart, 100U);
  EXPECT_GT(alike, 20U);
}

}  // namespace
}  // namespace espalier::dsl
