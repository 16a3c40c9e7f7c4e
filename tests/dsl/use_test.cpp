// Programs of several files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "support.h"

namespace espalier::dsl {
namespace {

using testing::codes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Files {
  std::map<std::string, std::string> texts;
  mutable std::map<std::string, int> reads;

  Compiled compile(const std::string& name) const {
    return dsl::compile(name, texts.at(name),
                        [this](const std::string& path) -> Result<std::string> {
                          ++reads[path];
                          const auto found = texts.find(path);
                          if (found == texts.end())
                            return fail(ErrorCode::kNotFound, "cannot open '" + path + "'");
                          return found->second;
                        });
  }
};

std::string messages(const Compiled& compiled) {
  return render(compiled.diagnostics, compiled.sources);
}

TEST(Use, AFileIsReadOnceAndPathsStartAtTheFileThatNamesThem) {
  const Files files{
      {{"a/main.gen",
        "use \"lib/one.gen\" { f }\nuse \"lib/two.gen\" as two\n"
        "gen main() -> int { return f() + two.g() }"},
       {"a/lib/one.gen", "use \"../lib/two.gen\" { g }\ngen f() -> int { return g() }"},
       {"a/lib/two.gen", "gen g() -> int { return 1 }"}},
      {}};
  const Compiled compiled = files.compile("a/main.gen");
  ASSERT_NE(compiled.program, nullptr) << messages(compiled);
  EXPECT_EQ(files.reads, (std::map<std::string, int>{{"a/lib/one.gen", 1}, {"a/lib/two.gen", 1}}));
  EXPECT_EQ(compiled.program->own_gens().size(), 1U);
  EXPECT_EQ(compiled.program->gen("g"), nullptr) << "what a used file declares is not run by name";
}

TEST(Use, EachFileHasNamesOfItsOwn) {
  const Files files{
      {{"main.gen",
        "use \"other.gen\" as other\nrecord Item { a: int }\n"
        "gen size(x: Item, y: other.Item) -> int { return x.a + len(y.b) }"},
       {"other.gen", "record Item { b: string }\ngen size() -> Item { return { b: \"\" } }"}},
      {}};
  const Compiled compiled = files.compile("main.gen");
  ASSERT_NE(compiled.program, nullptr) << messages(compiled);
  EXPECT_NE(compiled.program->type("Item"), nullptr);
  EXPECT_NE(compiled.program->type("other.Item"), nullptr);
}

TEST(Use, WhatAFileTakesFromAnotherIsNotItsOwnToGive) {
  const Files files{{{"main.gen", "use \"b.gen\" { f }"},
                     {"b.gen", "use \"c.gen\" { f }"},
                     {"c.gen", "gen f() { }"}},
                    {}};
  const Compiled compiled = files.compile("main.gen");
  EXPECT_THAT(codes(compiled.diagnostics), ElementsAre("E0101")) << messages(compiled);
}

TEST(Use, ACircleIsNamedAndEndsAtOnce) {
  Files files{{{"a.gen", "use \"b.gen\" { g }\ngen f() { }"},
               {"b.gen", "use \"c.gen\" { h }\ngen g() { }"},
               {"c.gen", "use \"a.gen\" { f }\ngen h() { }"}},
              {}};
  const Compiled compiled = files.compile("a.gen");
  EXPECT_THAT(codes(compiled.diagnostics), ElementsAre("E0118"));
  EXPECT_THAT(messages(compiled), HasSubstr("a.gen -> b.gen -> c.gen -> a.gen"));
  files.texts["self.gen"] = "use \"self.gen\" as me";
  EXPECT_THAT(codes(files.compile("self.gen").diagnostics), ElementsAre("E0118"));
}

TEST(Use, FilesAndTheirBytesAreBounded) {
  Files files;
  for (int i = 0; i < 200; ++i)
    files.texts["f" + std::to_string(i) + ".gen"] =
        "use \"f" + std::to_string(i + 1) + ".gen\" as next";
  files.texts["f200.gen"] = "";
  EXPECT_THAT(messages(files.compile("f0.gen")), HasSubstr("more than 100 files"));
  files.texts["big.gen"] = "/*" + std::string(kMaxSource - 10, 'x') + "*/";
  files.texts["main.gen"] = "use \"big.gen\" as big // and some more";
  EXPECT_THAT(messages(files.compile("main.gen")), HasSubstr("bytes together"));
}

TEST(Use, ErrorsOfAllFilesAreReportedWithTheirFiles) {
  const Files files{{{"main.gen", "use \"b.gen\" { f }\ngen g() -> int { return x }"},
                     {"b.gen", "gen f() -> int { return y }\ngen ( {"}},
                    {}};
  const Compiled compiled = files.compile("main.gen");
  EXPECT_EQ(compiled.program, nullptr);
  EXPECT_THAT(messages(compiled), ::testing::AllOf(HasSubstr("main.gen:2:25"),
                                                   HasSubstr("b.gen:1:25"), HasSubstr("b.gen:2:")));
}

TEST(Use, WithoutFilesAtHandItIsRefused) {
  const Compiled compiled = compile("a.gen", "use \"b.gen\" { f }\ngen g() { splice f() }");
  EXPECT_THAT(codes(compiled.diagnostics), ElementsAre("E0117")) << messages(compiled);
}

}  // namespace
}  // namespace espalier::dsl
