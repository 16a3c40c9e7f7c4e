// What `${Type}` prints: JSON Schema on one line, the same for ever.
#include <gmock/gmock.h>

#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using testing::Recorder;
using testing::World;

std::string printed(const std::string& declarations, const std::string& name) {
  World world;
  Recorder recorder;
  RunOptions options;
  options.observer = &recorder;
  const auto out = world.run(declarations + " gen main() { user \"${" + name + "}\" }", {},
                             std::move(options), "main");
  EXPECT_TRUE(out) << out.error().rendered;
  const std::string text = recorder.text();
  return text.substr(6, text.size() - 9);  // <user>…</>
}

TEST(SchemaText, ARecordIsAnObjectInDeclaredOrder) {
  EXPECT_EQ(printed(R"(
/// What was bought.
record Item {
  name as "the name": string(1..20) /// as it is printed
  count: int(1..99) = 1
  price: float(0..)?
  note?: line
})",
                    "Item"),
            R"({"type":"object","properties":{"the name":{"type":"string","minLength":1,)"
            R"("maxLength":20,"description":"as it is printed"},"count":{"type":"integer",)"
            R"("minimum":1,"maximum":99},"price":{"anyOf":[{"type":"number","minimum":0.0},)"
            R"({"type":"null"}]},"note":{"type":"string"}},"required":["the name","price"],)"
            R"("additionalProperties":false,"description":"What was bought."})");
}

TEST(SchemaText, AnEnumListsItsTextsAndWhatEachIs) {
  EXPECT_EQ(printed(R"(
/// What it is about.
enum Topic { card as "a card" /// plastic
  loan })",
                    "Topic"),
            R"({"enum":["a card","loan"],"description":"What it is about.\na card: plastic"})");
}

TEST(SchemaText, OfEveryOtherType) {
  const std::string all = R"gen(
grammar Sum { start = part ("+" part)* part = /[0-9]+/ | "(" start ")" }
record All {
  code: /[A-Z]{2}/
  tags: line[0..3]
  either: "a" | "b"
  mixed: int | "none"
  any: json
  by_name: map(bool, 1..4)
  copied: span
  sum: Sum
  inside: All[]
})gen";
  EXPECT_EQ(
      printed(all, "All"),
      R"gen({"type":"object","properties":{"code":{"type":"string","pattern":"^(?:[A-Z]{2})$"},)gen"
      R"gen("tags":{"type":"array","items":{"type":"string"},"minItems":0,"maxItems":3},)gen"
      R"gen("either":{"enum":["a","b"]},"mixed":{"anyOf":[{"type":"integer"},{"const":"none"}]},)gen"
      R"gen("any":{},"by_name":{"type":"object","additionalProperties":{"type":"boolean"},)gen"
      R"gen("minProperties":1,"maxProperties":4},"copied":{"type":"string",)gen"
      R"gen("description":"copied word for word from the text"},"sum":{"type":"string",)gen"
      R"gen("grammar":"start = part (\"+\" part)*\npart = /[0-9]+/ | \"(\" start \")\""},)gen"
      R"gen("inside":{"type":"array","items":{"$ref":"#/$defs/All"}}},"required":["code","tags",)gen"
      R"gen("either","mixed","any","by_name","copied","sum","inside"],)gen"
      R"gen("additionalProperties":false,"$defs":{"All":)gen" +
          [&] {
            // The definition is the record itself, once more.
            std::string whole = printed(all, "All");
            return whole.substr(0, whole.find(R"(,"$defs")")) + "}}}";
          }());
}

TEST(SchemaText, OfTextsOfAWellKnownFormIsTheirFormat) {
  EXPECT_EQ(printed("record R { d: date, t: time?, w: datetime, i: uuid, m: email, u: url }", "R"),
            R"({"type":"object","properties":{"d":{"type":"string","format":"date"},)"
            R"("t":{"anyOf":[{"type":"string","format":"time"},{"type":"null"}]},)"
            R"("w":{"type":"string","format":"date-time"},"i":{"type":"string","format":"uuid"},)"
            R"("m":{"type":"string","format":"email"},"u":{"type":"string","format":"uri"}},)"
            R"("required":["d","t","w","i","m","u"],"additionalProperties":false})");
}

}  // namespace
}  // namespace espalier::dsl
