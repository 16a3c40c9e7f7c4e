#include "dsl/symbols.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "dsl/completion.h"
#include "dsl/lexemes.h"
#include "dsl/parser.h"
#include "dsl/rename.h"
#include "support.h"

namespace espalier::dsl {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kReview = R"(enum Verdict { good, bad /// not good
}
record Item { name: line, price: float(0..) }
/// Look a price up.
tool price(name: line) -> float = python "shop:price"
gen judge(review: string, items: Item[]) -> { verdict: Verdict, total: float } {
  user "${review}"
  assistant "Why: $[why: line, max=60]\nVerdict: $[verdict: select Verdict]"
  let total = sum(items.price)
  if verdict == Verdict.good { user "${why}" }
  return { verdict, total }
}
test "t" {
  mock { verdict: "good", why: "x" }
  let r = judge("a", [])
  expect r.verdict == Verdict.good
}
)";

/// `text` without its `^`, and where that stood.
std::pair<std::string, std::uint32_t> marked(std::string text) {
  const auto at = text.find('^');
  text.erase(at, 1);
  return {text, static_cast<std::uint32_t>(at)};
}

std::uint32_t place(const std::string& text, const std::string& what, std::size_t nth = 0) {
  std::size_t at = text.find(what);
  for (; nth > 0; --nth) at = text.find(what, at + 1);
  return static_cast<std::uint32_t>(at);
}

/// The texts' places of a name's group, by line.
std::vector<std::uint32_t> lines(const Analysis& analysis, std::uint32_t offset) {
  std::vector<std::uint32_t> out;
  const Occurrence* here = analysis.symbols.at(0, offset);
  if (here == nullptr) return out;
  for (const Occurrence* one : analysis.symbols.places(here->symbol))
    out.push_back(analysis.program->sources[one->span.file].position(one->span.begin).line);
  return out;
}

std::vector<std::string> names(const Completion& completion) {
  std::vector<std::string> out;
  for (const Candidate& one : completion.candidates) out.push_back(one.text);
  return out;
}
std::vector<std::string> completed(const std::string& program) {
  const auto [text, offset] = marked(program);
  return names(complete(analyze("a.gen", text), offset));
}

std::string renamed(const std::string& text, std::uint32_t offset, const std::string& name) {
  const auto changes = rename(analyze("a.gen", text), 0, offset, name, nullptr);
  return changes ? with_changes(text, 0, *changes) : "refused: " + changes.error().message;
}

TEST(Symbols, EveryUseLeadsToItsDefinition) {
  const std::string text = kReview;
  const Analysis analysis = analyze("a.gen", text);
  ASSERT_FALSE(analysis.diagnostics.has_errors())
      << render(analysis.diagnostics, analysis.program->sources);
  EXPECT_THAT(lines(analysis, place(text, "Verdict {")), ElementsAre(1, 6, 8, 10, 16));
  EXPECT_THAT(lines(analysis, place(text, "review:")), ElementsAre(6, 7));
  EXPECT_THAT(lines(analysis, place(text, "why: line")), ElementsAre(8, 10, 14));
  EXPECT_THAT(lines(analysis, place(text, "price: float(0")), ElementsAre(3, 9));
  EXPECT_THAT(lines(analysis, place(text, "good, bad")), ElementsAre(1, 10, 16));
  EXPECT_THAT(lines(analysis, place(text, "judge(")), ElementsAre(6, 15));
  EXPECT_THAT(lines(analysis, place(text, "total: float")), ElementsAre(6, 11));
}

TEST(Symbols, ABareKeyIsTheVariableFirst) {
  const std::string text = kReview;
  const Analysis analysis = analyze("a.gen", text);
  const Occurrence* here = analysis.symbols.at(0, place(text, "verdict, total }"));
  ASSERT_NE(here, nullptr);
  EXPECT_EQ(analysis.symbols.symbols[here->symbol].kind, SymbolKind::kHole);
  EXPECT_TRUE(here->key_alone);
}

TEST(Symbols, AnArmsNameAndTheToolsParameterAreOneName) {
  const std::string text =
      "tool answer(text: string)\ngen f() -> string? {\n  user \"x\"\n  assistant \"$[c: "
      "answer]\"\n"
      "  match c {\n    answer(text) => return text\n  }\n}\n";
  const Analysis analysis = analyze("a.gen", text);
  EXPECT_THAT(lines(analysis, place(text, "text) =>")), ElementsAre(1, 6, 6));
  EXPECT_THAT(renamed(text, place(text, "text: string"), "reply"),
              HasSubstr("answer(reply) => return reply"));
}

TEST(Symbols, AProgramWithErrorsHasAnIndexToo) {
  const std::string text =
      "gen f(a: string) -> line {\n  user \"${a}\n  let b = a\n  return c\n}\n";
  const Analysis analysis = analyze("a.gen", text);
  EXPECT_TRUE(analysis.diagnostics.has_errors());
  EXPECT_THAT(lines(analysis, place(text, "a: string")), Contains(3));
}

TEST(Symbols, ThoseOfAUsedFileAreFoundThere) {
  const ReadFile read = [](const std::string& path) -> Result<std::string> {
    if (path == "house.gen") return std::string("type Turn = line\ngen rules() { \"Be kind.\" }\n");
    return fail(ErrorCode::kNotFound, path);
  };
  const std::string text =
      "use \"house.gen\" as house\ngen f(t: house.Turn) {\n  system { splice house.rules() }\n  "
      "user "
      "\"${t}\"\n}\n";
  const Analysis analysis = analyze("a.gen", text, read);
  ASSERT_FALSE(analysis.diagnostics.has_errors())
      << render(analysis.diagnostics, analysis.program->sources);
  const Occurrence* rules = analysis.symbols.at(0, place(text, "rules()"));
  ASSERT_NE(rules, nullptr);
  EXPECT_EQ(analysis.symbols.symbols[rules->symbol].span.file, 1U);
  EXPECT_THAT(lines(analysis, place(text, "house\n")), ElementsAre(1, 2, 3));
  const auto changes = rename(analysis, 0, place(text, "Turn)"), "Move", read);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 2U);
  EXPECT_EQ((*changes)[0].span.file, 0U);
  EXPECT_EQ((*changes)[1].span.file, 1U);
  const auto [half, cursor] =
      marked("use \"house.gen\" as house\ngen f() { system { splice house.^ } }\n");
  EXPECT_THAT(names(complete(analyze("a.gen", half, read), cursor)),
              AllOf(Contains("rules"), Contains("Turn")));
}

TEST(Rename, KeepsTheFieldsOfRecordsThatNameAVariable) {
  const std::string text = kReview;
  const std::string after = renamed(text, place(text, "verdict: select"), "choice");
  EXPECT_THAT(after, HasSubstr("$[choice: select Verdict]"));
  EXPECT_THAT(after, HasSubstr("return { verdict: choice, total }"));
  EXPECT_THAT(after, HasSubstr("mock { choice: \"good\""));
  EXPECT_THAT(after, HasSubstr("if choice == Verdict.good"));
  const std::string field = renamed(text, place(text, "verdict: Verdict"), "choice");
  EXPECT_THAT(field, HasSubstr("return { choice: verdict, total }"));
  EXPECT_THAT(field, HasSubstr("expect r.choice == Verdict.good"));
}

TEST(Rename, RefusesWhatWouldMeanSomethingElse) {
  const std::string text = kReview;
  EXPECT_THAT(renamed(text, place(text, "why: line"), "review"),
              HasSubstr("refused: it cannot be"));
  EXPECT_THAT(renamed(text, place(text, "Item {"), "Verdict"), HasSubstr("refused"));
  EXPECT_THAT(renamed(text, place(text, "Item {"), "string"), HasSubstr("refused"));
  EXPECT_THAT(renamed(text, place(text, "why: line"), "fork"), HasSubstr("word of the language"));
  EXPECT_THAT(renamed(text, place(text, "why: line"), "2x"), HasSubstr("is no name"));
  EXPECT_THAT(renamed(text, place(text, "\"Why"), "x"), HasSubstr("no name to change"));
}

TEST(Rename, EveryNameOfEveryExampleCanBeRenamedAndBack) {
  std::size_t tried = 0;
  for (const auto& path : testing::files(testing::folder() / "programs", ".gen")) {
    const std::string text = testing::read_file(path);
    const ReadFile read = testing::files_of("programs");
    const std::string name = path.filename().string();
    const Analysis analysis = analyze(name, text, read);
    if (analysis.diagnostics.has_errors()) continue;
    for (std::uint32_t i = 0; i < analysis.symbols.symbols.size(); ++i) {
      const Symbol& symbol = analysis.symbols.symbols[i];
      if (symbol.span.file != 0 || symbol.name == "start") continue;
      const auto changes = rename(analysis, 0, symbol.span.begin, "zz_" + symbol.name, read);
      ASSERT_TRUE(changes) << path << " " << symbol.name << ": " << changes.error().message;
      const std::string after = with_changes(text, 0, *changes);
      const Analysis then = analyze(name, after, read);
      const Occurrence* there = then.symbols.at(0, place(after, "zz_" + symbol.name));
      ASSERT_NE(there, nullptr) << path << " " << symbol.name << "\n" << after;
      EXPECT_EQ(then.symbols.places(there->symbol).size(), analysis.symbols.places(i).size());
      ++tried;
    }
  }
  EXPECT_GT(tried, 20U);
}

TEST(Completion, AfterADotAreTheMembersOfTheType) {
  const std::string head =
      "enum E { one, two }\nrecord R { a: line, more: { deep: int }[] }\n"
      "gen f(r: R, e: E) -> line {\n  user \"x\"\n"
      "  assistant \"$[h: select E]\"\n";
  EXPECT_THAT(completed(head + "  user \"${r.^}\"\n}\n"), ElementsAre("a", "more"));
  EXPECT_THAT(completed(head + "  let x = r.more[0].^\n}\n"), ElementsAre("deep"));
  EXPECT_THAT(completed(head + "  let x = r.more.de^\n}\n"), ElementsAre("deep"));
  EXPECT_THAT(completed(head + "  let x = E.^\n}\n"), ElementsAre("one", "two"));
  EXPECT_THAT(completed(head + "  let x = h.^\n}\n"), ElementsAre("doc", "truncated", "p", "dist"));
  EXPECT_THAT(completed(head + "  let x = h.dist.^\n}\n"), ElementsAre("one", "two"));
  EXPECT_THAT(completed(head + "  let x = nobody.^\n}\n"), IsEmpty());
}

TEST(Completion, WhereAnArmBeginsAreTheCasesOfTheValue) {
  const std::string head =
      "enum E { one, two }\nrecord R { kind: \"r\", a: line }\nrecord S { kind: \"s\", b: line }\n"
      "/// Look it up.\ntool look(what: line, page: int)\n"
      "gen f(e: E, u: R | S, xs: (R | S | null)[]) -> line {\n"
      "  assistant \"$[call: look]\"\n";
  EXPECT_THAT(completed(head + "  match e { ^ }\n}\n"), ElementsAre("one", "two", "other"));
  EXPECT_THAT(completed(head + "  match e {\n    one => return \"a\"\n    tw^\n  }\n}\n"),
              ElementsAre("one", "two", "other"));
  EXPECT_THAT(completed(head + "  match e { one => { } ^ }\n}\n"),
              ElementsAre("one", "two", "other"));
  EXPECT_THAT(completed(head + "  match u {\n    ^\n  }\n}\n"),
              ElementsAre("r: R", "s: S", "other"));
  EXPECT_THAT(completed(head + "  match xs[0] {\n    ^\n  }\n}\n"),
              ElementsAre("r: R", "s: S", "null", "other"));
  EXPECT_THAT(completed(head + "  match u.kind {\n    ^\n  }\n}\n"),
              ElementsAre("\"r\"", "\"s\"", "other"));
  EXPECT_THAT(completed(head + "  match call {\n    ^\n  }\n}\n"),
              ElementsAre("look(what, page)", "other"));
  EXPECT_THAT(completed(head + "  match e { one => ^ }\n}\n"), Contains("return"));
  EXPECT_THAT(completed(head + "  match e { one => return ^ }\n}\n"), Contains("u"));
  // Behind a dot in an arm that cannot be read yet.
  EXPECT_THAT(completed(head + "  match u {\n    it: S => return it.^\n  }\n}\n"),
              ElementsAre("kind", "b"));
  EXPECT_THAT(completed(head + "  let ys = ^\n}\n"), AllOf(Contains("for"), Contains("fork")));
  EXPECT_THAT(completed(head + "  let ys: R[] = ^\n}\n"), Contains("for"));
  EXPECT_THAT(completed(head + "  require 1 == ^\n}\n"), Not(Contains("for")));
}

TEST(Completion, KnowsWhatMayStandWhere) {
  const std::string head =
      "type Name = line\ngen g(b: string) -> string { user \"${b}\"  return b }\n"
      "gen f(a: string) -> line {\n";
  EXPECT_THAT(completed(head + "  assistant \"$[x: ^]\"\n}\n"),
              AllOf(Contains("Name"), Contains("string"), Contains("select"), Not(Contains("a"))));
  EXPECT_THAT(completed(head + "  assistant \"$[x: line, ^]\"\n}\n"),
              AllOf(Contains("max"), Contains("temperature"), Not(Contains("Name"))));
  EXPECT_THAT(completed(head + "  assistant \"$[x: span from ^]\"\n}\n"), Contains("a"));
  EXPECT_THAT(completed(head + "  assistant \"$[x: select Name by ^]\"\n}\n"),
              ElementsAre("total", "mean", "prior"));
  EXPECT_THAT(completed(head + "  user \"${^}\"\n}\n"),
              AllOf(Contains("a"), Contains("g"), Contains("len"), Not(Contains("b"))));
  EXPECT_THAT(completed(head + "  us^\n}\n"), AllOf(Contains("user"), Contains("for")));
  EXPECT_THAT(completed(head + "  user \"he^llo\"\n}\n"), IsEmpty());
  EXPECT_THAT(completed(head + "  // a^\n}\n"), IsEmpty());
  EXPECT_THAT(completed(head + "}\n^"), AllOf(Contains("gen"), Not(Contains("a"))));
}

/// Lexemes stand in order, apart, inside the text, and hold all that is not white space.
void expect_whole(const std::string& text) {
  std::size_t at = 0;
  for (const Lexeme& one : lexemes(text).all) {
    ASSERT_GE(one.begin, at) << text;
    ASSERT_GT(one.end, one.begin) << text;
    ASSERT_LE(one.end, text.size()) << text;
    EXPECT_EQ(text.substr(at, one.begin - at).find_first_not_of(" \t\r\n"), std::string::npos)
        << text.substr(at, one.begin - at);
    at = one.end;
  }
  EXPECT_EQ(text.substr(at).find_first_not_of(" \t\r\n"), std::string::npos);
}

TEST(Lexemes, CoverEveryTextWhateverIsInIt) {
  for (const auto& path : testing::files(testing::folder() / "programs", ".gen"))
    expect_whole(testing::read_file(path));
  std::mt19937 random(7);
  const std::string_view parts[] = {"\"", "\"\"\"", "${", "$[", "}",  "]",   "{",  "[",
                                    "/",  "//",     "\n", "a",  " ",  "\\",  "$$", "7",
                                    ".",  "|",      ":",  "/*", "*/", "\xff"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 24; ++i) text += parts[random() % std::size(parts)];
    expect_whole(text);
    // What completes there ends, whatever stands before it.
    const Analysis analysis = analyze("a.gen", text);
    static_cast<void>(complete(analysis, static_cast<std::uint32_t>(random() % (text.size() + 1))));
  }
}

TEST(Completion, ConfigTakesSettingsAndNothingElse) {
  EXPECT_EQ(completed("config { se^ }"), completed("config { seed: 7, ^ }"));
  EXPECT_THAT(completed("config {\n  seed: 7\n  ^\n}"),
              ::testing::AllOf(::testing::Contains("overflow"), ::testing::Contains("edition"),
                               ::testing::Not(::testing::Contains("len"))));
  EXPECT_THAT(completed("config { seed: ^ }"), ::testing::IsEmpty());
}

}  // namespace
}  // namespace espalier::dsl
