// The one style: what it decides, what it leaves, and that it never changes what a program means.
#include "dsl/format.h"

#include <gtest/gtest.h>

#include <random>

#include "support.h"
#include "tests/support/source_folder.h"

namespace espalier::dsl {
namespace {

std::string formatted(const std::string& text) {
  Diagnostics diagnostics;
  const Source source("test.gen", text);
  const auto out = format(source, diagnostics);
  EXPECT_TRUE(out) << out.error().message << render(diagnostics, std::vector<Source>{source});
  return out ? *out : "";
}

TEST(Format, LinesStayAndTheRestIsDecided) {
  EXPECT_EQ(formatted(R"(


// About it.
record   Item{ name :string,qty: int( 1 .. 9 )   /// how many
   price : float }
tool calc(a:int,
b: int)->float
= python "x:y"


gen f(items : Item[ ])->string{

    user """
    Two
      lines.

    """
  if len( items )>0 {
  for i in items { "${i.name}" }
      }
        else {
return "none"   // nothing
}
    require 1 == 1,
 "never"
  return max(items, by: .price).name
}
)"),
            R"(// About it.
record Item { name: string, qty: int(1..9)  /// how many
  price: float }
tool calc(a: int,
  b: int) -> float
  = python "x:y"

gen f(items: Item[]) -> string {
  user """
    Two
      lines.

    """
  if len(items) > 0 {
    for i in items { "${i.name}" }
  }
  else {
    return "none"  // nothing
  }
  require 1 == 1,
    "never"
  return max(items, by: .price).name
}
)");
}

std::vector<std::string> programs() {
  std::vector<std::string> out;
  const std::filesystem::path root(espalier::testing::source_folder());
  for (const auto& folder : {root / "examples", root / "tests" / "dsl"})
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      if (entry.path().extension() == ".gen") out.push_back(testing::read_file(entry.path()));
  const std::string reference = testing::read_file(root / "docs" / "language.md");
  for (std::size_t at = 0; (at = reference.find("```gen\n", at)) != std::string::npos;) {
    at += 7;
    out.push_back(reference.substr(at, reference.find("```", at) - at));
  }
  return out;
}

TEST(Format, ItNeverChangesTheMeaningAndIsDoneAfterOnce) {
  std::size_t whole = 0;
  for (const std::string& program : programs()) {
    Diagnostics diagnostics;
    const Source source("x.gen", program);
    const auto once = format(source, diagnostics);
    if (!once) {
      EXPECT_EQ(once.error().code, ErrorCode::kInvalid) << once.error().message << program;
      EXPECT_TRUE(diagnostics.has_errors());
      continue;
    }
    ++whole;
    EXPECT_EQ(formatted(*once), *once);
    EXPECT_EQ(testing::codes(compile("x.gen", *once).diagnostics),
              testing::codes(compile("x.gen", program).diagnostics))
        << *once;
  }
  EXPECT_GE(whole, 10U);
}

TEST(Format, HoweverALineIsSpacedItComesOutTheSame) {
  std::mt19937 random(7);
  for (const std::string& program : programs()) {
    Diagnostics diagnostics;
    const auto once = format(Source("x.gen", program), diagnostics);
    if (!once || once->find("\"\"\"") != std::string::npos || once->find("/*") != std::string::npos)
      continue;
    // Indentation and empty lines are the formatter's, whatever they were.
    std::string spoilt;
    bool start = true;
    for (const char c : *once) {
      if (start && c == ' ') continue;
      if (start && c != '\n') spoilt += std::string(random() % 9, ' ');
      start = c == '\n';
      if (start) spoilt += std::string(random() % 3, ' ');
      spoilt += c;
    }
    EXPECT_EQ(formatted(spoilt), *once);
  }
}

TEST(Format, AnEditionIsWrittenOnceWhereverTheConfigStands) {
  const std::pair<std::string, std::string> cases[] = {
      {"", "config { edition: 1 }\n"},
      {"enum A { a, b }\n", "config { edition: 1 }\n\nenum A { a, b }\n"},
      {"config {}\n", "config { edition: 1 }\n"},
      {"config { seed: 7 }\n", "config { edition: 1, seed: 7 }\n"},
      {"enum A { a, b }\nconfig /* { */ {\n  seed: 7\n  max: 3\n}\n",
       "enum A { a, b }\nconfig  /* { */ {\n  edition: 1\n  seed: 7\n  max: 3\n}\n"},
      {"config { // why\n  seed: 7 }\n", "config { edition: 1,  // why\n  seed: 7 }\n"},
      {"config { seed: 7, edition: 1 }\n", "config { seed: 7, edition: 1 }\n"},
  };
  for (const auto& [before, after] : cases) {
    for (const std::string& text : {before, after}) {
      Diagnostics diagnostics;
      const auto out = format(Source("test.gen", text), diagnostics, 1);
      ASSERT_TRUE(out) << text << out.error().message;
      EXPECT_EQ(*out, after);
    }
    EXPECT_FALSE(compile("test.gen", after).diagnostics.has_errors()) << after;
  }
}

}  // namespace
}  // namespace espalier::dsl
