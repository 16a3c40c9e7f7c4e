#include "dsl/check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>
#include <sstream>

#include "support.h"
#include "tests/support/source_folder.h"

namespace espalier::dsl {
namespace {

using testing::codes;
using ::testing::ElementsAre;

std::string messages(const Compiled& compiled) {
  return render(compiled.diagnostics, compiled.sources);
}

/// Each golden/NAME.gen has its messages in golden/NAME.expected; ESPALIER_UPDATE_GOLDEN=1 writes
/// them anew.
TEST(Messages, AreThoseOfTheGoldenFiles) {
  const bool update = std::getenv("ESPALIER_UPDATE_GOLDEN") != nullptr;
  const auto programs = testing::files(testing::folder() / "golden", ".gen");
  ASSERT_FALSE(programs.empty());
  for (const auto& path : programs) {
    const auto compiled =
        compile(path.filename().string(), testing::read_file(path), testing::files_of("golden"));
    auto expected = path;
    expected.replace_extension(".expected");
    if (update) std::ofstream(expected, std::ios::binary) << messages(compiled);
    EXPECT_EQ(messages(compiled), testing::read_file(expected)) << path;
  }
}

TEST(Messages, EveryDocumentedCodeIsSaidSomewhere) {
  std::set<std::string> said;
  for (const auto& path : testing::files(testing::folder() / "golden", ".gen"))
    for (const std::string& code :
         codes(compile("x.gen", testing::read_file(path), testing::files_of("golden")).diagnostics))
      said.insert(code);
  // Limits and broken bytes are too large or not text: said by the tests of hostile input.
  // E0305 needs a model: tests/dsl_run.
  said.insert({"E0113", "E0114", "E0305", "E0306"});
  const std::string reference = testing::read_file(
      std::filesystem::path(espalier::testing::source_folder()) / "docs" / "language.md");
  std::set<std::string> documented;
  for (std::size_t at = reference.find("\n| `"); at != std::string::npos;
       at = reference.find("\n| `", at + 1)) {
    const std::string code = reference.substr(at + 4, 5);
    if (code[0] == 'E' || code[0] == 'W') documented.insert(code);
  }
  EXPECT_FALSE(documented.empty());
  EXPECT_EQ(said, documented);
}

TEST(Checker, TheProgramsOfTheReferenceCheck) {
  for (const auto& path : testing::files(testing::folder() / "programs", ".gen")) {
    const auto compiled =
        compile(path.filename().string(), testing::read_file(path), testing::files_of("programs"));
    if (path.stem() == "everything") continue;  // shows syntax, not sense
    for (const std::string& code : codes(compiled.diagnostics))
      EXPECT_EQ(code[0], 'W') << path << messages(compiled);
    EXPECT_EQ(compiled.program != nullptr, !compiled.diagnostics.has_errors()) << path;
  }
}

TEST(Checker, ErrorsInFivePlacesAreAllReported) {
  const auto compiled = compile("five.gen", R"(record Item { name: strin }
tool look(q: string) -> string = python "shop"
gen g(x: int) -> string {
  user "${y}"
  assistant "$[n int]"
  return x
}
)");
  EXPECT_THAT(codes(compiled.diagnostics), ElementsAre("E0101", "E0501", "E0101", "E0110", "E0201"))
      << messages(compiled);
  EXPECT_EQ(compiled.program, nullptr);
}

TEST(Checker, AProgramCarriesWhatRunningNeeds) {
  const auto compiled = compile("t.gen", R"(
enum Topic { card as "a card" /// plastic
  loan }
record Shot { text: string, topic: Topic = Topic.loan }
/// Look something up.
tool look as "look.up"(query as "q": string(1..80), limit?: int) -> string = python "shop:look"
tool answer(text: string)
config { temperature: 0, seed: 7 }
gen pick(shots: Shot[], width: int = 2) -> { topic: Topic, p: float } {
  for s in shots { user "${s.text}" assistant "${s.topic}" }
  assistant "$[best: select Topic by prior]"
  assistant "$[call: look | answer]"
  match call {
    answer(text) => user "${text}"
    other => tool "${run other}"
  }
  return { topic: best, p: best.p }
}
)");
  ASSERT_NE(compiled.program, nullptr) << messages(compiled);
  const Program& program = *compiled.program;
  EXPECT_EQ(program.config.temperature, 0.0);
  EXPECT_EQ(program.config.seed, 7);
  const ToolInfo& look = *program.tool_by_real_name("look.up");
  EXPECT_EQ(look.doc, "Look something up.");
  EXPECT_EQ(look.transport, Transport::kPython);
  EXPECT_EQ(look.parameters.at(0).key, "q");
  EXPECT_TRUE(look.parameters.at(1).omittable);
  EXPECT_EQ(look.arguments->fields.at(0).key, "q");
  EXPECT_EQ(program.tool("answer")->transport, Transport::kNone);
  const TypeInfo& shot = *program.type("Shot");
  EXPECT_EQ(shot.defaults.at("topic"), Json("loan"));
  EXPECT_TRUE(shot.type->fields.at(1).omittable);
  const GenInfo& pick = *program.gen("pick");
  EXPECT_TRUE(pick.turns);
  EXPECT_EQ(pick.parameters.at(1).fallback, Json(2));
  ASSERT_EQ(program.holes.size(), 2u);
  EXPECT_EQ(program.holes.at(0).by, SelectBy::kPrior);
  EXPECT_EQ(program.holes.at(0).type->kind, grammar::TypeKind::kEnum);
  EXPECT_EQ(program.holes.at(1).type->kind, grammar::TypeKind::kCall);
  EXPECT_EQ(program.holes.at(1).type->fields.at(0).key, "look.up");
  EXPECT_EQ(program.patterns.at(0).test, PatternTest::kTool);
  EXPECT_EQ(program.patterns.at(1).test, PatternTest::kAny);
}

/// Pieces that must check without a message.
TEST(Checker, AcceptsWhatIsRight) {
  for (const char* source : {
           "gen g(x: string?) -> int { if x == null { return 0 } return len(x) }",
           "gen g(x: string?) -> int { return if x != null { len(x) } else { 0 } }",
           "gen g(x: string?) -> bool { return x != null and len(x) > 3 }",
           "record R { a: R?, b: R[] } gen g(r: R) -> R? { return r.a }",
           "gen g(xs: int[]) -> float { return sum(xs) / len(xs) }",
           "gen g() -> \"a\" | \"b\" { return if 1 < 2 { \"a\" } else { \"b\" } }",
           "gen g() -> line { assistant \"$[x: line]\" return x }",
           "gen g(n: int) -> int[] { let xs = fork n { assistant \"$[x: int]\" yield x } return xs "
           "}",
           "gen g(h: { role: \"user\" | \"assistant\", text: string }[]) { for t in h { turn "
           "t.role \"${t.text}\" } }",
           "gen title(doc: string) -> line { user \"${doc}\" assistant \"$[title: line]\" return "
           "title }",
           "gen g() { \"Q: $[q: line]\\nA: $[a: string]\" }",
           "gen g() -> string { retry 2 as why { user \"go ${why}\" assistant \"$[x: line]\" "
           "require x != \"no\" } return x }",
           "gen g() -> string? { retry 2 { assistant \"$[x: line]\" require x != \"no\" } else { "
           "return null } return x }",
           "gen g(a: bool) -> int { match a { true => return 1 false => return 2 } }",
           "gen g(x: \"a\" | int) -> int { match x { \"a\" => return 0 n => return n } }",
           "gen g(t: /(?<n>[0-9]+) (?<u>day|month)s?/) -> { n: int, u: \"day\" | \"month\" } { "
           "return { n: int(t.n), u: t.u } }",
           "tool a(x: int) -> int = exec \"a\" tool b() gen g() { assistant \"$[cs: (a | "
           "b)[1..3]]\" }",
           "gen g(j: json) -> string { return \"${j}\" }",
           "gen g() -> bool { assistant \"$[x: int, max=5]\" return x.truncated }",
           "gen g() -> float { assistant \"$[x: select \"yes\" | \"no\"]\" return x.dist.yes }",
       }) {
    const auto compiled = compile("ok.gen", source);
    EXPECT_EQ(messages(compiled), "") << source;
    EXPECT_NE(compiled.program, nullptr);
  }
}

TEST(Reference, EveryExampleOfTheLanguageReferenceChecks) {
  const std::string reference = testing::read_file(
      std::filesystem::path(espalier::testing::source_folder()) / "docs" / "language.md");
  std::size_t examples = 0;
  for (std::size_t at = reference.find("```gen\n"); at != std::string::npos;
       at = reference.find("```gen\n", at + 1)) {
    const std::size_t begin = at + 7;
    const std::string source = reference.substr(begin, reference.find("```", begin) - begin);
    const auto compiled = compile("language.md", source);
    EXPECT_EQ(messages(compiled), "");
    ++examples;
  }
  EXPECT_GE(examples, 4u);
}

}  // namespace
}  // namespace espalier::dsl
