#include "batch/csv.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace espalier::batch {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> fields(const std::string& record, char separator = ',') {
  const auto out = csv_fields(record, separator);
  return out ? *out : std::vector<std::string>{"error: " + out.error().message};
}

TEST(Csv, FieldsAreRfc4180s) {
  EXPECT_THAT(fields("a,b c,"), ElementsAre("a", "b c", ""));
  EXPECT_THAT(fields("\"a,b\",\"\",\"\"\"\""), ElementsAre("a,b", "", "\""));
  EXPECT_THAT(fields("say \"hi\",x"), ElementsAre("say \"hi\"", "x"));
  EXPECT_THAT(fields("a;\"b;\nc\"", ';'), ElementsAre("a", "b;\nc"));
  EXPECT_THAT(fields("\"a\"b"),
              ElementsAre("error: field 1: text stands behind its closing quote"));
  EXPECT_THAT(fields("a,\"b"), ElementsAre("error: field 2: its quote is never closed"));
}

TEST(Csv, RecordsEndAtLinesOutsideOfQuotesAndKnowTheirLine) {
  const auto records = csv_records("a,b\r\n\n\"x\n\ny\",1\n  \nlast", ',');
  ASSERT_EQ(records.size(), 3U);
  EXPECT_EQ(records[0].text, "a,b");
  EXPECT_EQ(records[1].text, "\"x\n\ny\",1");
  EXPECT_EQ(records[1].line, 3U);
  EXPECT_EQ(records[2].text, "last");
  EXPECT_EQ(records[2].line, 7U);
  EXPECT_EQ(csv_records("a\tb\n\t\n", '\t').size(), 2U);
}

TEST(Csv, TheHeaderShowsTheSeparator) {
  EXPECT_EQ(csv_separator("a,b;c"), ',');
  EXPECT_EQ(csv_separator("\"a,b\";c\nx,y"), ';');
  EXPECT_EQ(csv_separator("a b\tc"), '\t');
  EXPECT_EQ(csv_separator("one\nx;y"), ',');
}

// Any table that is written by the rules is read back: every field quoted or, where it may be, not.
TEST(Csv, WhatIsWrittenIsReadBack) {
  constexpr std::string_view kCharacters = "ab ,;\t\"\n\r";
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const auto below = [&](std::size_t bound) {
      return static_cast<std::size_t>(random() % bound);
    };
    const char separator = ",;\t"[below(3)];
    const std::size_t columns = 1 + below(4);
    std::vector<std::vector<std::string>> table;
    std::string text;
    for (std::size_t r = 1 + below(4); r > 0; --r) {
      auto& row = table.emplace_back();
      for (std::size_t c = 0; c < columns; ++c) {
        std::string field;
        for (std::size_t n = below(5); n > 0; --n) field += kCharacters[below(kCharacters.size())];
        const bool plain = field.find_first_of("\"\n\r") == std::string::npos &&
                           field.find(separator) == std::string::npos &&
                           field.find_first_not_of(" \t") != std::string::npos;
        if (c > 0) text += separator;
        if (plain && below(2) == 0) {
          text += field;
        } else {
          text += '"';
          for (const char one : field) text += one == '"' ? "\"\"" : std::string(1, one);
          text += '"';
        }
        row.push_back(std::move(field));
      }
      text += below(2) == 0 ? "\n" : "\r\n";
    }
    const auto records = csv_records(text, separator);
    ASSERT_EQ(records.size(), table.size()) << text;
    for (std::size_t r = 0; r < table.size(); ++r)
      EXPECT_EQ(fields(std::string(records[r].text), separator), table[r]) << text;
  }
}

}  // namespace
}  // namespace espalier::batch
