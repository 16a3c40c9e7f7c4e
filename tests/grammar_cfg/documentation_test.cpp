// docs/grammar.md: every row of the tables of GBNF and Lark is run.
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "grammar/gbnf.h"
#include "grammar/lark.h"
#include "testing.h"
#include "tests/support/source_folder.h"

namespace espalier::grammar {
namespace {

std::string replaced(std::string text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size()) {
    text.replace(at, what.size(), by);
  }
  return text;
}

// The cells of a table's row, `\|` being a bar inside one, without their backticks.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out{""};
  for (std::size_t i = 1; i < line.size(); ++i) {
    if (line[i] == '\\' && i + 1 < line.size() && line[i + 1] == '|') {
      out.back() += line[++i];
    } else if (line[i] == '|') {
      out.emplace_back();
    } else {
      out.back() += line[i];
    }
  }
  out.pop_back();
  for (std::string& cell : out) {
    const std::size_t first = cell.find('`');
    const std::size_t last = cell.rfind('`');
    if (first != std::string::npos && last > first) cell = cell.substr(first + 1, last - first - 1);
    cell = replaced(cell, "⏎", "\n");
  }
  return out;
}

TEST(Documentation, EveryRowOfTheTablesHolds) {
  std::ifstream file(espalier::testing::source_folder() + "/docs/grammar.md");
  ASSERT_TRUE(file);
  std::string line;
  std::string section;
  int rows = 0;
  const VocabularyRef vocabulary = testing::bytes_and();
  while (std::getline(file, line)) {
    if (line.starts_with("## ")) section = line.substr(3);
    if ((section != "GBNF" && section != "Lark") || !line.starts_with("| ") ||
        line.starts_with("| construct")) {
      continue;
    }
    SCOPED_TRACE(line);
    const auto row = cells(line);
    ASSERT_EQ(row.size(), 4U);
    const auto compiled =
        section == "GBNF" ? compile_gbnf(vocabulary, row[1]) : compile_lark(vocabulary, row[1]);
    ASSERT_TRUE(compiled) << compiled.error().message;
    EXPECT_EQ(testing::verdict(compiled->grammar, row[2]), "yes");
    EXPECT_NE(testing::verdict(compiled->grammar, row[3]), "yes");
    ++rows;
  }
  EXPECT_GE(rows, 35);
}

}  // namespace
}  // namespace espalier::grammar
