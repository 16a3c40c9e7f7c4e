// Number ranges against arithmetic: every short word, and words near the bounds.
#include "grammar/number_expression.h"

#include <gtest/gtest.h>

#include <charconv>
#include <random>
#include <regex>
#include <set>

#include "grammar/compiled_grammar.h"
#include "testing.h"

namespace espalier::grammar {
namespace {

using namespace testing_support;

class Recogniser {
 public:
  explicit Recogniser(const std::function<Expr(ExpressionPool&)>& build)
      : fuel_("steps", 5'000'000) {
    auto pool = std::make_shared<ExpressionPool>(fuel_);
    const Expr root = build(*pool);
    auto program = Program::create(pool, root, byte_vocabulary(), "", {}, fuel_);
    EXPECT_TRUE(program.has_value());
    program_ = *program;
    automaton_ = std::make_unique<Automaton>(program_);
  }
  bool accepts(std::string_view word) {
    const StateId end =
        program_->empty() ? Automaton::kDead : automaton_->step(automaton_->start({}), word);
    return end != Automaton::kDead && automaton_->accepting(end);
  }
  [[nodiscard]] bool empty() const { return program_->empty(); }
  // Every state on the way must have a word ahead: a prefix that lives and cannot end is a dead
  // end.
  void expect_no_dead_end(std::string_view word) {
    if (program_->empty()) return;
    StateId at = automaton_->start({});
    for (const char c : word) {
      at = automaton_->step(at, static_cast<unsigned char>(c));
      if (at == Automaton::kDead) return;
      EXPECT_TRUE(automaton_->live(at)) << word;
    }
  }

 private:
  Fuel fuel_;
  ProgramRef program_;
  std::unique_ptr<Automaton> automaton_;
};

TEST(IntegerRange, HoldsExactlyTheWordsWhoseValueLiesWithin) {
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    std::optional<std::int64_t> low;
    std::optional<std::int64_t> high;
    if (random() % 5 != 0) low = static_cast<std::int64_t>(random() % 2400) - 1200;
    if (random() % 5 != 0) high = static_cast<std::int64_t>(random() % 2400) - 1200;
    SCOPED_TRACE("round " + std::to_string(round) + (low ? " low " + std::to_string(*low) : "") +
                 (high ? " high " + std::to_string(*high) : ""));
    Recogniser r([&](ExpressionPool& pool) { return integer_range(pool, low, high); });
    const auto inside = [&](std::int64_t v) {
      return (!low || v >= *low) && (!high || v <= *high);
    };
    for (std::int64_t v = -13000; v <= 13000; v += v > -1300 && v < 1300 ? 1 : 97) {
      ASSERT_EQ(r.accepts(std::to_string(v)), inside(v)) << v;
    }
    ASSERT_EQ(r.accepts("-0"), inside(0));
    for (const char* bad : {"", "-", "00", "01", "-01", "+1", "1.0", "1e1", " 1"})
      ASSERT_FALSE(r.accepts(bad)) << bad;
  }
}

TEST(IntegerRange, ReachesTheEndsOfInt64) {
  Recogniser r([](ExpressionPool& pool) { return integer_range(pool, INT64_MIN, INT64_MAX); });
  EXPECT_TRUE(r.accepts("9223372036854775807"));
  EXPECT_FALSE(r.accepts("9223372036854775808"));
  EXPECT_TRUE(r.accepts("-9223372036854775808"));
  EXPECT_FALSE(r.accepts("-9223372036854775809"));
  EXPECT_FALSE(r.accepts("99999999999999999999"));
}

// Random well-formed numbers: digits few enough that doubles compare them exactly as decimals do.
std::string random_number(std::mt19937& random) {
  std::string out = random() % 3 == 0 ? "-" : "";
  out += random() % 3 == 0 ? "0" : std::to_string(1 + random() % (random() % 2 ? 9 : 2000));
  if (random() % 2) {
    out += ".";
    for (unsigned n = 1 + random() % 4; n > 0; --n) out += static_cast<char>('0' + random() % 10);
  }
  return out;
}

TEST(DecimalRange, HoldsExactlyTheWordsWhoseValueLiesWithin) {
  static const double kBounds[] = {0,      0.5, -0.5, 1,     -1,       0.1,  12.25,
                                   -12.25, 100, 1000, 0.001, 1999.999, 5e-3, 42};
  std::mt19937 random(2);
  for (int round = 0; round < 80; ++round) {
    DecimalRange range;
    if (random() % 5 != 0) range.low = kBounds[random() % std::size(kBounds)];
    if (random() % 5 != 0) range.high = kBounds[random() % std::size(kBounds)];
    if (!range.low && !range.high) continue;
    range.low_open = random() % 3 == 0;
    range.high_open = random() % 3 == 0;
    SCOPED_TRACE("round " + std::to_string(round) +
                 (range.low ? " low " + std::to_string(*range.low) : "") +
                 (range.low_open ? " open" : "") +
                 (range.high ? " high " + std::to_string(*range.high) : "") +
                 (range.high_open ? " open" : ""));
    Recogniser r([&](ExpressionPool& pool) { return decimal_range(pool, range); });
    const auto inside = [&](double v) {
      return (!range.low || (range.low_open ? v > *range.low : v >= *range.low)) &&
             (!range.high || (range.high_open ? v < *range.high : v <= *range.high));
    };
    const auto value = [](const std::string& text) { return std::strtod(text.c_str(), nullptr); };
    for (int i = 0; i < 400; ++i) {
      const std::string word = random_number(random);
      ASSERT_EQ(r.accepts(word), inside(value(word))) << word;
      if (i % 20 == 0) r.expect_no_dead_end(word);
    }
    for (const double bound : kBounds) {  // the bounds themselves, spelled in several ways
      char text[64];
      const auto end = std::to_chars(text, text + sizeof text, bound, std::chars_format::fixed).ptr;
      const std::string word(text, end);
      ASSERT_EQ(r.accepts(word), inside(bound)) << word;
      const std::string longer = word + (word.find('.') == std::string::npos ? ".000" : "00");
      ASSERT_EQ(r.accepts(longer), inside(bound)) << longer;
    }
    for (int i = 0; i < 200; ++i) {  // exponents: one non-zero digit before the point
      std::string word = random() % 3 == 0 ? "-" : "";
      word += static_cast<char>('1' + random() % 9);
      if (random() % 2) word += "." + std::to_string(random() % 1000);
      word += random() % 2 ? "e" : "E";
      word += std::to_string(static_cast<int>(random() % 9) - 4);
      ASSERT_EQ(r.accepts(word), inside(value(word))) << word;
    }
  }
}

TEST(DecimalRange, WithoutBoundsIsTheJsonNumberOfBoundedSize) {
  Recogniser r([](ExpressionPool& pool) { return decimal_range(pool, {}); });
  for (const char* good :
       {"0", "-0", "1.5", "12345678901234567", "0.1234567890123456", "1e5", "1E-05", "10.5e+99"}) {
    EXPECT_TRUE(r.accepts(good)) << good;
  }
  for (const char* bad : {"", "-", "01", ".5", "1.", "1e", "1e100", "123456789012345678",
                          "0.12345678901234567890", "+1", "1.5.", "NaN", "Infinity"}) {
    EXPECT_FALSE(r.accepts(bad)) << bad;
  }
}

TEST(DecimalSpellings, AreAllTextsOfTheirValueAmongDistinctDecimals) {
  for (const double value : {0.0, 1.0, -1.0, 0.5, 12.0, 100.0, 1e-7, 2.5e20, 123456789012345.0,
                             1234567890123456.0, 0.1, -3.75, 1e99, 0.30000000000000004}) {
    const std::vector<std::string> texts = decimal_spellings(value);
    const auto among = [&](ExpressionPool& pool) {
      return pool.intersection(decimal_range(pool, {value, value, false, false}),
                               distinct_decimals(pool));
    };
    Recogniser all(among);
    for (const std::string& text : texts) EXPECT_TRUE(all.accepts(text)) << value << ": " << text;
    Recogniser others(
        [&](ExpressionPool& pool) { return pool.difference(among(pool), pool.words(texts)); });
    EXPECT_TRUE(others.empty()) << value;
  }
}

}  // namespace
}  // namespace espalier::grammar
