// Number ranges against arithmetic: every short word, and words near the bounds.
#include "grammar/number_expression.h"

#include <gtest/gtest.h>

#include <charconv>
#include <cmath>
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
    Recogniser r([&](ExpressionPool& pool) {
      return integer_range(pool, {low, high, false, false});
    });
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

// Digit strings of 1 to 40 digits by hand: shorter is less, of equal length the order of
// characters.
TEST(IntegerRange, HoldsExactlyTheWordsWithinBoundsOfManyDigits) {
  std::mt19937 random(3);
  const auto digits = [&] {
    std::string out(1 + random() % 40, '0');
    const bool plain = random() % 3 != 0;  // else nines and zeros, where a neighbour carries over
    for (char& c : out) c = plain ? static_cast<char>('0' + random() % 10) : "09"[random() % 2];
    if (out[0] == '0' && out.size() > 1) out[0] = '1';
    return out;
  };
  const auto order = [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? static_cast<int>(a.size()) - static_cast<int>(b.size())
                                : a.compare(b);
  };
  for (int round = 0; round < 100; ++round) {
    std::string low = digits();
    std::string high = digits();
    if (order(low, high) > 0) std::swap(low, high);
    const bool low_open = random() % 2 == 0;
    const bool high_open = random() % 2 == 0;
    const std::string behind = random() % 2 == 0 ? ".5" : "";  // between this integer and the next
    const DecimalRange range{Decimal::read(low + behind), Decimal::read(high), low_open, high_open};
    const DecimalRange mirrored{Decimal::read("-" + high), Decimal::read("-" + low + behind),
                                high_open, low_open};
    Recogniser above([&](ExpressionPool& pool) { return integer_range(pool, range); });
    Recogniser below([&](ExpressionPool& pool) { return integer_range(pool, mirrored); });
    const auto check = [&](const std::string& word) {
      if (word.empty() || (word[0] == '0' && word.size() > 1)) return;
      const int from = order(word, low);
      const int to = order(word, high);
      const bool inside = (from > 0 || (from == 0 && !low_open && behind.empty())) &&
                          (to < 0 || (to == 0 && !high_open));
      ASSERT_EQ(above.accepts(word), inside) << word << " in " << low << behind << ".." << high;
      ASSERT_EQ(below.accepts("-" + word), inside) << "-" << word;
    };
    for (const std::string& bound : {low, high}) {
      for (std::size_t i = 0; i < bound.size(); ++i) {  // each digit changed, left out, put in
        for (const char c : std::string_view("0123456789")) {
          std::string word = bound;
          word[i] = c;
          check(word);
          check(bound.substr(0, i) + c + bound.substr(i));
        }
        check(bound.substr(0, i) + bound.substr(i + 1));
      }
      check(bound);
      above.expect_no_dead_end(bound);
    }
  }
}

TEST(IntegerRange, ReachesTheEndsOfInt64) {
  Recogniser r([](ExpressionPool& pool) {
    return integer_range(pool, {INT64_MIN, INT64_MAX, false, false});
  });
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
    std::optional<double> low;
    std::optional<double> high;
    if (random() % 5 != 0) low = kBounds[random() % std::size(kBounds)];
    if (random() % 5 != 0) high = kBounds[random() % std::size(kBounds)];
    if (!low && !high) continue;
    const DecimalRange range{low, high, random() % 3 == 0, random() % 3 == 0};
    SCOPED_TRACE("round " + std::to_string(round) + (low ? " low " + std::to_string(*low) : "") +
                 (range.low_open ? " open" : "") + (high ? " high " + std::to_string(*high) : "") +
                 (range.high_open ? " open" : ""));
    Recogniser r([&](ExpressionPool& pool) { return decimal_range(pool, range); });
    const auto inside = [&](double v) {
      return (!low || (range.low_open ? v > *low : v >= *low)) &&
             (!high || (range.high_open ? v < *high : v <= *high));
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

// As programs write them: digits alone from 1e-7 to 1e17, with an exponent beyond.
// Beyond what two digits of an exponent can say, on either side, is nothing but 0.
TEST(DecimalRange, BoundedBeyondEveryExponentIsEmptyOrEndsAtZero) {
  const auto number = [](const char* text) { return *Decimal::read(text); };
  const auto range = [&](const char* low, const char* high) {
    DecimalRange out;
    if (*low != '\0') out.low = number(low);
    if (*high != '\0') out.high = number(high);
    return Recogniser([&](ExpressionPool& pool) { return decimal_range(pool, out); });
  };
  for (const char* bound : {"1e99", "9.5e99", "1e100", "2.5e100", "1e101"}) {
    const bool beyond = number(bound) >= number("1e100");
    EXPECT_EQ(range(bound, "").empty(), beyond) << bound;
    EXPECT_EQ(range("", ("-" + std::string(bound)).c_str()).empty(), beyond) << bound;
  }
  for (const char* bound : {"1e-99", "1e-100", "9e-100", "1e-101"}) {
    const bool beyond = number(bound) < number("1e-99");
    Recogniser most = range("", bound);
    Recogniser least = range(("-" + std::string(bound)).c_str(), "");
    EXPECT_TRUE(most.accepts("0") && most.accepts("-1e99") && !most.accepts("2e-99")) << bound;
    EXPECT_TRUE(least.accepts("0") && least.accepts("1e99") && !least.accepts("-2e-99")) << bound;
    EXPECT_EQ(most.accepts("1e-99"), !beyond) << bound;
    EXPECT_EQ(least.accepts("-1e-99"), !beyond) << bound;
  }
}

TEST(DecimalRange, HasTheShortestTextOfEveryDouble) {
  Recogniser r([](ExpressionPool& pool) { return decimal_range(pool, {}); });
  std::mt19937_64 random(7);
  std::uniform_real_distribution<double> mantissa(1, 10);
  for (int i = 0; i < 20'000; ++i) {
    const int exponent = static_cast<int>(random() % 180) - 90;
    const double value = mantissa(random) * std::pow(10.0, i % 2 == 0 ? exponent : exponent / 4);
    const bool plain = value >= 1e-7 && value < 1e17;
    char text[64];
    const auto end =
        std::to_chars(text, text + sizeof text, value,
                      plain ? std::chars_format::fixed : std::chars_format::scientific);
    ASSERT_TRUE(r.accepts(std::string_view(text, end.ptr))) << std::string_view(text, end.ptr);
  }
  EXPECT_TRUE(r.accepts("0.0000006000000000000001"));
  EXPECT_FALSE(r.accepts("0.000000060000000000000001"));
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
    for (const std::string& text : texts) {
      const bool long_one = std::count_if(text.begin(), text.end(), ::isdigit) > 17;
      EXPECT_EQ(all.accepts(text), !long_one) << value << ": " << text;
      EXPECT_EQ(Decimal::read(text), Decimal(value)) << text;
    }
    Recogniser others(
        [&](ExpressionPool& pool) { return pool.difference(among(pool), pool.words(texts)); });
    EXPECT_TRUE(others.empty()) << value;
  }
}

}  // namespace
}  // namespace espalier::grammar
