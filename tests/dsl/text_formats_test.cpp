// The types of well-known text forms.
#include "dsl/text_formats.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <array>
#include <cstdio>

namespace espalier::dsl {
namespace {

class Form {
 public:
  explicit Form(const char* name) : pattern_(text_format(name)) { EXPECT_TRUE(pattern_.ok()); }
  bool holds(const std::string& text) const { return RE2::FullMatch(text, pattern_); }

 private:
  RE2 pattern_;
};

std::string date(int year, int month, int day) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02d", year, month, day);
  return text.data();
}

TEST(TextFormats, DatesAreThoseOfTheCalendar) {
  const Form form("date");
  const auto days = [](int year, int month) {
    static constexpr std::array<int, 13> kDays = {0,  31, 28, 31, 30, 31, 30,
                                                  31, 31, 30, 31, 30, 31};
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month < 1 || month > 12
               ? 0
               : kDays[static_cast<std::size_t>(month)] + (month == 2 && leap ? 1 : 0);
  };
  for (int year = 0; year <= 9999; ++year) {
    for (const int day : {28, 29, 30})
      EXPECT_EQ(form.holds(date(year, 2, day)), day <= days(year, 2)) << date(year, 2, day);
  }
  for (const int year : {1900, 2000, 2023, 2024}) {
    for (int month = 0; month < 100; ++month)
      for (int day = 0; day < 100; ++day)
        EXPECT_EQ(form.holds(date(year, month, day)), day >= 1 && day <= days(year, month))
            << date(year, month, day);
  }
  for (const char* text : {"", "2024-2-01", "24-02-01", "2024-02-01 ", "2024/02/01", "02024-02-01"})
    EXPECT_FALSE(form.holds(text)) << text;
}

TEST(TextFormats, TimesGoToTheLastNanosecondOfADay) {
  const Form time("time");
  for (const char* text : {"00:00:00", "23:59:59", "12:30:00.5", "12:30:00.123456789", "12:30:00Z",
                           "12:30:00+05:30", "12:30:00.25-11:00"})
    EXPECT_TRUE(time.holds(text)) << text;
  for (const char* text : {"24:00:00", "12:60:00", "12:00:60", "12:00", "12:00:00.",
                           "12:00:00+24:00", "1:00:00", "12:00:00z"})
    EXPECT_FALSE(time.holds(text)) << text;
  const Form moment("datetime");
  EXPECT_TRUE(moment.holds("2024-02-29T23:59:59.999Z"));
  for (const char* text : {"2023-02-29T00:00:00Z", "2024-02-29T00:00:00", "2024-02-29 00:00:00Z"})
    EXPECT_FALSE(moment.holds(text)) << text;
}

TEST(TextFormats, NamesOfNoFormHaveNone) {
  for (const char* name : {"string", "dates", ""}) EXPECT_EQ(text_format(name), "");
  for (const char* name : {"uuid", "email", "url"}) EXPECT_TRUE(RE2(text_format(name)).ok());
}

}  // namespace
}  // namespace espalier::dsl
