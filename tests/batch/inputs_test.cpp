#include "batch/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/support/memory_system.h"

namespace espalier::batch {
namespace {

using ::espalier::testing::MemorySystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> ids(const Inputs& inputs) {
  std::vector<std::string> out;
  for (std::size_t i = 0; i < inputs.size(); ++i) out.push_back(inputs.id(i).dump());
  return out;
}

TEST(Inputs, APatternFindsFilesInAnyPartOfThePathSortedByBytes) {
  MemorySystem system;
  for (const char* path :
       {"in/b.txt", "in/a.txt", "in/.hidden.txt", "in/c.md", "in/deep/d.txt", "other/a.txt"}) {
    system.put(path, "text");
  }
  EXPECT_THAT(*glob("in/*.txt", system), ElementsAre("in/a.txt", "in/b.txt"));
  EXPECT_THAT(*glob("*/a.t?t", system), ElementsAre("in/a.txt", "other/a.txt"));
  EXPECT_THAT(*glob("in/[bc].*", system), ElementsAre("in/b.txt", "in/c.md"));
  EXPECT_THAT(*glob("in/*/d.txt", system), ElementsAre("in/deep/d.txt"));
  EXPECT_THAT(*glob("nowhere/*.txt", system), ElementsAre());
}

TEST(Inputs, RowsOfAFileThatIsCutWhileItIsReadFailAndOfOneThatGrowsDoNot) {
  const auto file = std::filesystem::path(::testing::TempDir()) / "cut.jsonl";
  std::ofstream(file) << std::string(100'000, ' ') << "\n{\"a\": 1}\n";
  const auto inputs = Inputs::open(file.string(), real_system());
  ASSERT_TRUE(inputs);
  std::ofstream(file, std::ios::app) << "{\"a\": 2}\n";
  EXPECT_TRUE(inputs->read(0, real_system()));
  std::filesystem::resize_file(file, 10);
  const auto cut = inputs->read(0, real_system());
  ASSERT_FALSE(cut);
  EXPECT_THAT(cut.error().message, HasSubstr("has 10 now"));
  std::filesystem::remove(file);
}

TEST(Inputs, AFileWhoseNameIsNotUtf8IsNamedByItsBytes) {
  MemorySystem system;
  system.put("in/caf\xE9 \xC3\xA9.txt", "text");
  const auto refused = Inputs::open("in", system);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("'in/caf\\xE9 \xC3\xA9.txt'"));
}

TEST(Inputs, TwoStarsAreAnyNumberOfFoldersAndFollowNoLinks) {
  MemorySystem system;
  for (const char* path :
       {"in/a.txt", "in/x/b.txt", "in/x/y/c.txt", "in/x/y/c.md", "in/.git/d.txt", "x/y/e.txt"}) {
    system.put(path, "text");
  }
  EXPECT_THAT(*glob("in/**/*.txt", system), ElementsAre("in/a.txt", "in/x/b.txt", "in/x/y/c.txt"));
  EXPECT_THAT(*glob("**/y/*.txt", system), ElementsAre("in/x/y/c.txt", "x/y/e.txt"));
  EXPECT_THAT(*glob("in/**/**/c.*", system), ElementsAre("in/x/y/c.md", "in/x/y/c.txt"));
  EXPECT_THAT(*glob("in/x/**", system), ElementsAre("in/x/b.txt", "in/x/y/c.md", "in/x/y/c.txt"));
  std::string deep = "deep";
  for (std::size_t i = 0; i < kMaxFolders + 2; ++i) deep += "/d";
  system.put(deep + "/f.txt", "text");
  const auto refused = glob("deep/**/*.txt", system);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kLimit);

  const auto folder = std::filesystem::temp_directory_path() / "espalier_glob_links";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "a");
  std::filesystem::create_directory_symlink(folder, folder / "a" / "up");
  std::ofstream(folder / "a" / "t.txt") << "text";
  std::filesystem::create_symlink(folder / "a" / "t.txt", folder / "linked.txt");
  EXPECT_THAT(*glob(folder.string() + "/**/*.txt", real_system()),
              ElementsAre((folder / "a" / "t.txt").string(), (folder / "linked.txt").string()));
  std::filesystem::remove_all(folder);
}

TEST(Inputs, ATableGivesARowARecordWithTextsByColumn) {
  MemorySystem system;
  system.put("t.csv",
             "\xEF\xBB\xBFid,letter,\r\nx1,\"one, \"\"two\"\"\nthree\",\r\n\r\nx2,plain,z\r\n");
  const auto inputs = Inputs::open("t.csv", system);
  ASSERT_TRUE(inputs) << inputs.error().message;
  EXPECT_FALSE(inputs->documents());
  EXPECT_THAT(ids(*inputs), ElementsAre("\"x1\"", "\"x2\""));
  const auto row = inputs->read(0, system);
  ASSERT_TRUE(row);
  EXPECT_TRUE(row->of_table);
  EXPECT_EQ(row->fields, Json({{"id", "x1"}, {"letter", "one, \"two\"\nthree"}, {"column 3", ""}}));
  EXPECT_TRUE(inputs->reads("./t.csv"));
}

TEST(Inputs, ATablesTroubleIsNamed) {
  MemorySystem system;
  system.put("t.tsv", "a\tb\n1\n\"x\" y\t2\n3\t\xFF\n\"open\t4\n");
  const auto inputs = Inputs::open("t.tsv", system);
  ASSERT_TRUE(inputs) << inputs.error().message;
  EXPECT_THAT(ids(*inputs), ElementsAre("2", "3", "4", "5"));
  EXPECT_EQ(inputs->read(0, system).error().message, "the row has 1 field, the header 2");
  EXPECT_EQ(inputs->read(1, system).error().message,
            "field 1: text stands behind its closing quote");
  EXPECT_EQ(inputs->read(2, system).error().message, "not UTF-8: its byte 2 is malformed");
  EXPECT_EQ(inputs->read(3, system).error().message, "field 1: its quote is never closed");
  const auto message = [&](const std::string& text) {
    system.put("u.csv", text);
    const auto opened = Inputs::open("u.csv", system);
    return opened ? "opens" : opened.error().message;
  };
  EXPECT_EQ(message("a,b,a\n1,2,3\n"), "'u.csv' has two columns \"a\"");
  EXPECT_EQ(message("a,b\n"), "'u.csv' has no rows");
  EXPECT_EQ(message("a,\"b\nc\n1,2\n"), "'u.csv' has no rows");
  EXPECT_EQ(message("id;x\n7;1\n8;2\n7;3\n"),
            "u.csv:4: the id \"7\" stands on line 2 already; each row needs its own");
}

TEST(Inputs, AFolderGivesItsFiles) {
  MemorySystem system;
  system.put("in/b.txt", "B");
  system.put("in/a.txt", "A");
  system.put("in/deep/c.txt", "C");
  const auto inputs = Inputs::open("in", system);
  ASSERT_TRUE(inputs) << inputs.error().message;
  EXPECT_THAT(ids(*inputs), ElementsAre("\"in/a.txt\"", "\"in/b.txt\""));
  EXPECT_TRUE(inputs->documents());
  EXPECT_EQ(inputs->read(1, system)->document, "B");
  EXPECT_TRUE(inputs->reads("in/./a.txt"));
  EXPECT_FALSE(inputs->reads("out.jsonl"));
}

TEST(Inputs, NothingToDoIsAnErrorThatNamesThePattern) {
  MemorySystem system;
  system.put("in/deep/c.txt", "C");
  system.put("empty.jsonl", "\n  \n");
  for (const char* pattern : {"in", "in/*.txt", "missing", "missing.jsonl", "empty.jsonl"}) {
    const auto inputs = Inputs::open(pattern, system);
    ASSERT_FALSE(inputs) << pattern;
    EXPECT_EQ(inputs.error().code, ErrorCode::kNotFound);
    EXPECT_THAT(inputs.error().message, HasSubstr(pattern));
  }
  EXPECT_FALSE(Inputs::open("", system));
}

TEST(Inputs, RowsAreNamedByTheirIdOrTheirLine) {
  MemorySystem system;
  system.put("rows.jsonl",
             "\xEF\xBB\xBF{\"id\": \"a\", \"text\": \"x\"}\n\n{\"text\": \"y\"}\r\nnot "
             "json\n{\"id\": 77}");
  const auto inputs = Inputs::open("rows.jsonl", system);
  ASSERT_TRUE(inputs) << inputs.error().message;
  EXPECT_THAT(ids(*inputs), ElementsAre("\"a\"", "3", "4", "77"));
  EXPECT_FALSE(inputs->documents());
  EXPECT_EQ(inputs->read(0, system)->fields["text"], "x");
  EXPECT_EQ(inputs->read(1, system)->fields["text"], "y");
  EXPECT_FALSE(inputs->read(2, system));
  EXPECT_TRUE(inputs->read(3, system));
}

TEST(Inputs, TwoRowsWithOneIdAreRefusedWithBothLines) {
  MemorySystem system;
  system.put("rows.jsonl", "{\"id\": 2}\n{\"x\": 1}\n");
  const auto inputs = Inputs::open("rows.jsonl", system);
  ASSERT_FALSE(inputs);
  EXPECT_THAT(inputs.error().message, HasSubstr("rows.jsonl:2: the id 2 stands on line 1 already"));
  system.put("rows.jsonl", "{\"id\": [1]}\n");
  EXPECT_THAT(Inputs::open("rows.jsonl", system).error().message,
              HasSubstr("must be a string or an integer"));
}

TEST(Inputs, ABadRowIsThatRowsOwnError) {
  MemorySystem system;
  system.put("rows.jsonl", "[1]\n{\"x\": \"\xFF\"}\n" + std::string(100'000, '[') +
                               "\n{\"x\": 1e999}\n{\"x\": 1}\n");
  const auto inputs = Inputs::open("rows.jsonl", system);
  ASSERT_TRUE(inputs) << inputs.error().message;
  ASSERT_EQ(inputs->size(), 5U);
  EXPECT_THAT(inputs->read(0, system).error().message, HasSubstr("not an object but array"));
  EXPECT_EQ(inputs->read(1, system).error().code, ErrorCode::kInvalid);
  EXPECT_EQ(inputs->read(2, system).error().code, ErrorCode::kLimit);
  EXPECT_EQ(inputs->read(3, system).error().code, ErrorCode::kInvalid);
  EXPECT_TRUE(inputs->read(4, system));
}

TEST(Inputs, ADocumentThatIsNotUtf8NamesTheByte) {
  MemorySystem system;
  system.put("in/a.txt", "ab\xC3");
  const auto inputs = Inputs::open("in/*.txt", system);
  ASSERT_TRUE(inputs);
  EXPECT_THAT(inputs->read(0, system).error().message,
              HasSubstr("'in/a.txt' is not UTF-8: byte 2"));
}

TEST(Inputs, LinksThatLeadNowhereAndPipesAreRowsThatFail) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / "inputs_that_are_no_files";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder / "folder.txt");
  std::ofstream(folder / "a.txt") << "A";
  std::filesystem::create_symlink("nowhere", folder / "link.txt");
  ASSERT_EQ(::mkfifo((folder / "pipe.txt").c_str(), 0600), 0);
  System& system = real_system();
  for (const std::string& where : {folder.string(), (folder / "*.txt").string()}) {
    const auto inputs = Inputs::open(where, system);
    ASSERT_TRUE(inputs) << inputs.error().message;
    ASSERT_EQ(inputs->size(), 3U);
    EXPECT_EQ(inputs->read(0, system)->document, "A");
    EXPECT_EQ(inputs->read(1, system).error().code, ErrorCode::kNotFound);
    EXPECT_THAT(inputs->read(2, system).error().message, HasSubstr("pipe.txt' is a pipe"));
  }
  std::filesystem::remove_all(folder);
}

TEST(Inputs, RowsAmongDocumentsAreRefused) {
  MemorySystem system;
  system.put("in/a.txt", "A");
  system.put("in/rows.jsonl", "{}\n");
  const auto inputs = Inputs::open("in/*", system);
  ASSERT_FALSE(inputs);
  EXPECT_THAT(inputs.error().message, HasSubstr("in/rows.jsonl"));
}

}  // namespace
}  // namespace espalier::batch
