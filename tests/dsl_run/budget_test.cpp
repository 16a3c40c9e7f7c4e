// A hole closes inside its budget and its value has its type: random types, budgets, temperatures,
// follows, and models that want nothing but trouble.
#include <gmock/gmock.h>

#include <cstdlib>
#include <numeric>
#include <random>

#include "dsl/convert.h"
#include "tests/dsl_run/support.h"

namespace espalier::dsl {
namespace {

using ::testing::HasSubstr;
using testing::Recorder;
using testing::tiny_model;
using testing::World;
using testing::WorldOptions;

constexpr const char* kDeclarations = R"gen(
enum Colour { red, deep_red as "deep red", blue }
grammar Sum { start = part (/[-+]/ part)* part = /[0-9]{1,3}/ | "(" start ")" }
record Tree { name: line(1..8), inside: Tree[0..2] }
type Shape = { kind: "dot" } | { kind: "ring", r: float(0..9) } | { kind: "list", of: string[0..2] }
type Mixed = int | "none" | null | Shape
record Spare { a: int(0..9) = 3, b?: line, c: Colour = Colour.blue }
tool look(topic: string(1..8), deep?: bool) -> string = python "m:f"
tool stop(why: line)
)gen";

constexpr std::uint32_t kNarrow = 24;  // a context that few holes fit

/// A type as a program writes it; `json`: inside a record, list or map.
std::string random_type(std::mt19937& random, bool json, int depth) {
  const auto pick = [&](unsigned n) { return random() % n; };
  const auto inner = [&] { return random_type(random, true, depth + 1); };
  const auto bound = [&] { return std::to_string(pick(3)) + ".." + std::to_string(3 + pick(20)); };
  switch (pick(depth >= 3 ? 22 : json ? 30 : 28)) {
    case 0:
      return "string(1.." + std::to_string(1 + pick(30)) + ")";
    case 1:
      return "line";
    case 2:
      return "int(" + std::to_string(-static_cast<int>(pick(500))) + ".." +
             std::to_string(pick(100000)) + ")";
    case 3:
      return "int";
    case 4:
      return "float(0.." + std::to_string(1 + pick(100)) + ")";
    case 5:
      return "bool";
    case 6:
      return "Colour";
    case 7:
      return R"("a" | "ab" | "b c")";
    case 8:
      return "/[a-c]{1,4}(-[0-9]+)?/";
    case 9:
      return "date";
    case 10:
      return "Sum";
    case 11:
      return "span";
    case 12:
      return "string";
    case 13:
      return "uuid";
    case 14:
      return "time";
    case 15:
      return "datetime";
    case 16:
      return "email";
    case 17:
      return "url";
    case 18:
      return "float";
    case 19:
      return "int(" + std::to_string(static_cast<int>(pick(2000)) - 1000) + "..)";
    case 20:
      return "/(?<code>[A-Z]{2})-(?<rest>[0-9a-f]+)/";
    case 21:
      return "(1 | 2.5 | \"x y\")";
    case 22: {
      std::string out = "{ ";
      for (unsigned i = 0; i <= pick(4); ++i)
        out += "f" + std::to_string(i) + (pick(4) == 0 ? "?: " : ": ") + inner() + ", ";
      return out + "}";
    }
    case 23:
      return "(" + inner() + ")[" + bound() + "]";
    case 24:
      return "map(" + inner() + ", 1.." + std::to_string(1 + pick(3)) + ")";
    case 25:
      return pick(2) == 0 ? "Tree" : "Spare";
    case 26:
      return "Mixed";
    case 27:
      return json ? "json" : depth == 0 ? "(look | stop)[1..2]" : "Shape";
    case 28:
      return "(" + inner() + ")?";
    default:
      return "cite(" + inner() + ")";
  }
}

/// What a hole has beyond its least budget: in the long form every budget from that one up.
std::vector<std::uint32_t> budgets() {
  if (std::getenv("ESPALIER_LONG") == nullptr) return {0, 1, 3, 40};
  std::vector<std::uint32_t> all(17);
  std::iota(all.begin(), all.end(), 0U);
  all.push_back(40);
  return all;
}

/// The room that a hole asked for where there was none; nothing where it ran.
std::optional<std::size_t> room_of(const RunOutcome& out) {
  if (out) return std::nullopt;
  const std::string& message = out.error().error.message;
  const std::size_t end = message.find(" more may follow");
  if (end == std::string::npos) return std::nullopt;
  return std::stoul(message.substr(message.rfind(' ', end - 1) + 1));
}

void check_seed(unsigned seed, World& world, World& narrow, int* ran) {
  std::mt19937 random(seed);
  const std::string type = random_type(random, false, 0);
  static const char* const kFollows[] = {"", ".", " and\n", "a", "\"", "0"};
  const std::string follow = kFollows[random() % 6];
  const auto source = [&](std::uint32_t max, double temperature) {
    std::string quoted = Json(follow).dump();
    return kDeclarations +
           std::string("gen main(doc: string) -> json {\n  assistant \"Well: $[x: ") + type +
           (type.find("span") != std::string::npos || type.find("cite") != std::string::npos
                ? " from doc"
                : "") +
           ", max=" + std::to_string(max) + ", temperature=" + Json(temperature).dump() + "]" +
           quoted.substr(1, quoted.size() - 2) + "\"\n  return { x, truncated: x.truncated }\n}\n";
  };
  const Compiled compiled = compile("test.gen", source(1, 0));
  // What cannot be told apart or may be left empty is refused before.
  if (compiled.program == nullptr) return;
  SCOPED_TRACE(type + " before \"" + follow + "\"");
  const std::string doc = "Total 12.50 EUR, \"paid\" on 3 May.";
  auto text = world.runner->source(doc);
  ASSERT_TRUE(text);
  const auto grammar =
      world.runner->grammar(compiled.program->holes[0].type, follow,
                            compiled.program->holes[0].copies ? *text : grammar::SpanSourceRef());
  if (!grammar) return;
  const std::uint32_t least = (*grammar)->least_tokens();
  if (least > 400) return;
  if (least > 1) {
    const auto refused = world.run(source(least - 1, 1.0), {{"doc", doc}});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().error.message, HasSubstr("needs at least"));
  }
  const auto follow_ids =
      tiny_model()->tokenizer()->encode(follow, runtime::TextStart::kContinuation);
  ASSERT_TRUE(follow_ids);
  for (const std::uint32_t more : budgets()) {
    for (const double temperature : {0.0, 0.7, 1.5}) {
      Recorder recorder;
      RunOptions options;
      options.overrides.seed = static_cast<std::int64_t>(seed);
      options.observer = &recorder;
      const auto out =
          world.run(source(least + more, temperature), {{"doc", doc}}, std::move(options));
      ASSERT_TRUE(out) << out.error().rendered;
      ++*ran;
      // The value's own tokens, what healing took back, and the follow or the end of turn.
      EXPECT_LE(recorder.tokens(), least + more + 8 + std::max<std::size_t>(1, follow_ids->size()));
      RunOptions same;
      same.overrides.seed = static_cast<std::int64_t>(seed);
      const auto squeezed =
          narrow.run(source(least + more, temperature), {{"doc", doc}}, std::move(same));
      const auto room = room_of(squeezed);
      if (room) {
        EXPECT_LE(recorder.tokens(), *room);
      } else if (squeezed) {
        EXPECT_EQ(to_json(*squeezed), to_json(*out));
      } else {  // the hole fitted, what closes its turn did not
        EXPECT_THAT(squeezed.error().error.message, HasSubstr("tokens here"));
      }
    }
  }
}

void check_world(World& world, unsigned seeds, unsigned first,
                 const decltype(WorldOptions::wants)& wants = {}) {
  int ran = 0;
  WorldOptions small;
  small.context = kNarrow;
  small.wants = wants;
  World narrow(small);
  for (unsigned seed = first; seed < first + seeds && !::testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    check_seed(seed, world, narrow, &ran);
  }
  EXPECT_GT(ran, static_cast<int>(seeds));
  EXPECT_TRUE(world.engine->check_idle());
}

const unsigned kSeeds = std::getenv("ESPALIER_LONG") != nullptr ? 600 : 60;

TEST(Budget, HolesCloseInsideItWhateverTheTypeAndTheTemperature) {
  World world;
  check_world(world, kSeeds, 0);
}

TEST(Budget, HolesCloseInsideItWhenTheModelWantsWhiteSpaceQuotesDigitsBracketsOrLetters) {
  for (const std::string wanted :
       {" \n\t", "\"\\", "0123456789.eE-+", "{}[],:", "abcdefghijklmnopqrstuvwxyz"}) {
    WorldOptions options;
    options.wants = [&wanted](std::span<const TokenId>, std::size_t token) {
      const auto bytes =
          tiny_model()->tokenizer()->vocabulary()->bytes(static_cast<TokenId>(token));
      return !bytes.empty() && bytes.find_first_not_of(wanted) == std::string_view::npos ? 50.0F
                                                                                         : 0.0F;
    };
    World world(options);
    check_world(world, kSeeds / 2, 100'000, options.wants);
  }
}

// One that has begun to say something says it for ever.
TEST(Budget, HolesCloseInsideItWhenTheModelRepeatsItself) {
  WorldOptions options;
  options.wants = [](std::span<const TokenId> path, std::size_t token) {
    return !path.empty() && static_cast<std::size_t>(path.back()) == token ? 50.0F : 0.0F;
  };
  World world(options);
  check_world(world, kSeeds / 2, 200'000, options.wants);
}

TEST(Budget, TruncatedTellsWhetherItClosedTheHole) {
  World world;
  const auto truncated = [&](const std::string& max) {
    return world.json("gen main() -> bool { assistant \"List: $[x: string, max=" + max +
                      ", temperature=1]\" return x.truncated }");
  };
  EXPECT_EQ(truncated("2"), "true");
  EXPECT_EQ(
      world.json("gen main() -> bool { assistant \"$[x: bool, max=50]\" return x.truncated }"),
      "false");
}

}  // namespace
}  // namespace espalier::dsl
