#include "grammar/number_expression.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace espalier::grammar {
namespace {

Expr digit(ExpressionPool& pool) { return pool.byte_range('0', '9'); }
Expr digits(ExpressionPool& pool, std::size_t n) {
  return pool.repeat(digit(pool), static_cast<std::uint32_t>(n), static_cast<std::uint32_t>(n));
}

enum class Side { kAtLeast, kAtMost };

// Words of s.size() - from digits that compare with s[from..]: equal ones go on with `equal`, those
// already decided for `side` with `decided`. Built from the last digit forwards.
Expr compared(ExpressionPool& pool, std::string_view s, std::size_t from, Side side, Expr equal,
              Expr decided) {
  Expr rest = equal;
  for (std::size_t i = s.size(); i-- > from;) {
    const auto d = static_cast<unsigned char>(s[i]);
    Expr better = pool.nothing();
    if (side == Side::kAtLeast && d < '9')
      better = pool.byte_range(static_cast<unsigned char>(d + 1), '9');
    if (side == Side::kAtMost && d > '0')
      better = pool.byte_range('0', static_cast<unsigned char>(d - 1));
    rest = pool.choice({pool.concat({pool.bytes(s.substr(i, 1)), rest}),
                        pool.concat({better, digits(pool, s.size() - i - 1), decided})});
  }
  return rest;
}

// Integers without sign and leading zeros, low <= value <= high, as digit strings; an empty `high`
// is no bound.
Expr magnitude(ExpressionPool& pool, const std::string& low, const std::string& high) {
  const Expr none = pool.empty();
  const auto shorter_or_equal = [&](std::size_t min,
                                    std::uint32_t max) {  // any magnitude of min..max digits
    if (min > max) return pool.nothing();
    const Expr one = min <= 1 ? digit(pool) : pool.nothing();
    const auto rest_low = static_cast<std::uint32_t>(min <= 1 ? 1 : min - 1);
    const std::uint32_t rest_high = max == ExpressionPool::kUnbounded ? max : max - 1;
    return pool.choice({one, pool.concat({pool.byte_range('1', '9'),
                                          pool.repeat(digit(pool), rest_low, rest_high)})});
  };
  if (high.empty()) {
    return pool.choice({compared(pool, low, 0, Side::kAtLeast, none, none),
                        shorter_or_equal(low.size() + 1, ExpressionPool::kUnbounded)});
  }
  if (low.size() > high.size() || (low.size() == high.size() && low > high)) return pool.nothing();
  if (low.size() < high.size()) {
    // A bound of n > 1 digits starts with a non-zero digit; "at most" must not let the first digit
    // fall to 0.
    const auto first = static_cast<unsigned char>(high[0]);
    const Expr smaller =
        first > '1' ? pool.concat({pool.byte_range('1', static_cast<unsigned char>(first - 1)),
                                   digits(pool, high.size() - 1)})
                    : pool.nothing();
    const Expr same = pool.concat(
        {pool.bytes(high.substr(0, 1)), compared(pool, high, 1, Side::kAtMost, none, none)});
    return pool.choice(
        {compared(pool, low, 0, Side::kAtLeast, none, none),
         shorter_or_equal(low.size() + 1, static_cast<std::uint32_t>(high.size() - 1)), smaller,
         same});
  }
  std::size_t i = 0;
  while (i < low.size() && low[i] == high[i]) ++i;
  if (i == low.size()) return pool.bytes(low);
  const auto from = static_cast<unsigned char>(low[i]);
  const auto to = static_cast<unsigned char>(high[i]);
  const Expr between = to - from > 1 ? pool.byte_range(static_cast<unsigned char>(from + 1),
                                                       static_cast<unsigned char>(to - 1))
                                     : pool.nothing();
  const Expr differing =
      pool.choice({pool.concat({pool.bytes(low.substr(i, 1)),
                                compared(pool, low, i + 1, Side::kAtLeast, none, none)}),
                   pool.concat({between, digits(pool, low.size() - i - 1)}),
                   pool.concat({pool.bytes(high.substr(i, 1)),
                                compared(pool, high, i + 1, Side::kAtMost, none, none)})});
  return pool.concat({pool.bytes(low.substr(0, i)), differing});
}

// The integer next to a digit string's, which is not 0 where it is the one below.
std::string one_above(std::string digits) {
  std::size_t i = digits.size();
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i == 0) return "1" + digits;
  ++digits[i - 1];
  return digits;
}
std::string one_below(std::string digits) {
  std::size_t i = digits.size();
  while (digits[i - 1] == '0') digits[--i] = '9';
  --digits[i - 1];
  if (digits.size() > 1 && digits[0] == '0') digits.erase(0, 1);
  return digits;
}

struct Bound {  // of magnitudes: its value's sign is not looked at
  Decimal value;
  bool open = false;
};

// Magnitudes of integers within two bounds.
Expr whole_magnitude(ExpressionPool& pool, const std::optional<Bound>& low,
                     const std::optional<Bound>& high) {
  std::string from = "0";
  if (low) {
    from = low->value.whole_part();
    if (low->open || !low->value.whole()) from = one_above(std::move(from));
  }
  std::string to;
  if (high) {
    to = high->value.whole_part();
    if (high->open && high->value.whole()) {
      if (to == "0") return pool.nothing();
      to = one_below(std::move(to));
    }
  }
  return magnitude(pool, from, to);
}

// What lies within the range, by the magnitudes of those with a sign and of those without.
template <class Magnitudes>
Expr by_sign(ExpressionPool& pool, const DecimalRange& range, Magnitudes&& magnitudes) {
  if (range.low && range.high && *range.low > *range.high) return pool.nothing();
  const Decimal zero;
  std::vector<Expr> out;
  if (!range.high || *range.high >= zero) {
    std::optional<Bound> low;
    std::optional<Bound> high;
    if (range.low && *range.low >= zero) low = {*range.low, range.low_open};
    if (range.high) high = {*range.high, range.high_open};
    out.push_back(magnitudes(low, high));
  }
  if (!range.low || *range.low <= zero) {  // magnitudes run the other way
    std::optional<Bound> low;
    std::optional<Bound> high;
    if (range.high && *range.high <= zero) low = {*range.high, range.high_open};
    if (range.low) high = {*range.low, range.low_open};
    out.push_back(pool.concat({pool.bytes("-"), magnitudes(low, high)}));
  }
  return pool.choice(out);
}

class DecimalBuilder {
 public:
  explicit DecimalBuilder(ExpressionPool& pool)
      : pool_(pool),
        any_fraction_(pool.optional(pool.concat({pool.bytes("."), pool.repeat(digit(pool), 1)}))),
        // At most kDecimalDigits digits in all, but for those of a small number's beginning
        // (0.00…); meets the shape by intersection, so that it is counted once.
        at_most_digits_(
            pool.concat({pool.optional(pool.concat(
                             {pool.bytes("0."), pool.repeat(pool.bytes("0"), 0, kDecimalZeros)})),
                         pool.repeat(pool.concat({pool.optional(pool.bytes(".")), digit(pool)}), 1,
                                     kDecimalDigits)})) {}

  // Magnitudes [low, high] in plain notation.
  Expr plain(const std::optional<Bound>& low, const std::optional<Bound>& high) {
    Expr shape = pool_.concat({whole(), any_fraction_});
    if (low) shape = pool_.intersection(shape, bounded(*low, Side::kAtLeast));
    if (high) shape = pool_.intersection(shape, bounded(*high, Side::kAtMost));
    return pool_.intersection(shape, at_most_digits_);
  }

  // Magnitudes [low, high] as d(.d+)?e±dd, d non-zero: the bound's own exponent compares mantissas,
  // those between take any mantissa.
  Expr scientific(const std::optional<Bound>& low, const std::optional<Bound>& high) {
    int from = -kDecimalExponent;
    int to = kDecimalExponent;
    std::vector<Expr> out;
    const bool low_set = low && !low->value.zero();  // zero bounds no magnitude from below
    if (high && high->value.zero()) return pool_.nothing();
    const auto mantissa_bound = [](const Bound& b) {
      Bound m = b;
      m.value.point = 1;
      return m;
    };
    const int low_exponent = low_set ? low->value.point - 1 : -kDecimalExponent - 1;
    const int high_exponent = high ? high->value.point - 1 : kDecimalExponent + 1;
    if (low_exponent > high_exponent || low_exponent > kDecimalExponent ||
        high_exponent < -kDecimalExponent) {
      return pool_.nothing();
    }
    if (low_exponent == high_exponent) {
      return edge(low_exponent, mantissa_bound(*low), mantissa_bound(*high));
    }
    if (low_set) {
      out.push_back(edge(low_exponent, mantissa_bound(*low), std::nullopt));
      from = std::max(from, low_exponent + 1);
    }
    if (high) {
      out.push_back(edge(high_exponent, std::nullopt, mantissa_bound(*high)));
      to = std::min(to, high_exponent - 1);
    }
    out.push_back(pool_.concat({mantissa(std::nullopt, std::nullopt), exponents(from, to)}));
    return pool_.choice(out);
  }

  Expr unbounded() {
    const Expr magnitude =
        pool_.intersection(pool_.concat({whole(), any_fraction_}), at_most_digits_);
    const Expr exponent = pool_.concat({pool_.byte_set(ByteSet::of("eE")),
                                        pool_.optional(pool_.byte_set(ByteSet::of("+-"))),
                                        pool_.repeat(digit(pool_), 1, 2)});
    return pool_.concat({pool_.optional(pool_.bytes("-")), magnitude, pool_.optional(exponent)});
  }

 private:
  Expr whole() {
    return pool_.choice({pool_.bytes("0"), pool_.concat({pool_.byte_range('1', '9'),
                                                         pool_.repeat(digit(pool_), 0)})});
  }

  // All w(.f)? on the right side of the bound, leading zeros not excluded (the shape does that).
  Expr bounded(const Bound& bound, Side side) {
    const std::string w = bound.value.whole_part();
    const std::string f = bound.value.fraction();
    const Expr point = pool_.bytes(".");
    const Expr any = pool_.repeat(digit(pool_), 0);
    const Expr positive = pool_.concat({pool_.repeat(pool_.bytes("0"), 0),
                                        pool_.byte_range('1', '9'), pool_.repeat(digit(pool_), 0)});
    Expr fraction;  // what may follow a whole part equal to the bound's
    if (side == Side::kAtLeast) {
      const Expr equal = bound.open ? positive : any;
      // Built from the bound's last fraction digit forwards: a shorter fraction is smaller, its
      // digits are stripped.
      fraction = f.empty() && !bound.open
                     ? any_fraction_
                     : pool_.concat(
                           {point, f.empty() ? equal
                                             : compared_fraction(f, side, equal, pool_.nothing())});
    } else {
      const Expr equal = bound.open ? pool_.nothing() : pool_.repeat(pool_.bytes("0"), 0);
      const Expr stop = f.empty() && bound.open ? pool_.nothing() : pool_.empty();
      const Expr more = f.empty()
                            ? (bound.open ? pool_.nothing() : pool_.repeat(pool_.bytes("0"), 1))
                            : compared_fraction(f, side, equal, pool_.empty());
      fraction = pool_.choice({stop, pool_.concat({point, more})});
    }
    const Expr same_length = compared(pool_, w, 0, side, fraction, any_fraction_);
    if (side == Side::kAtLeast) {
      return pool_.choice(
          {same_length,
           pool_.concat({digits(pool_, w.size()), pool_.repeat(digit(pool_), 1), any_fraction_})});
    }
    if (w.size() == 1) return same_length;
    return pool_.choice(
        {same_length,
         pool_.concat({pool_.repeat(digit(pool_), 1, static_cast<std::uint32_t>(w.size() - 1)),
                       any_fraction_})});
  }

  // At least one digit, compared with f; `short_of` is what a proper, non-empty prefix of f may end
  // with.
  Expr compared_fraction(const std::string& f, Side side, Expr equal, Expr short_of) {
    const Expr any = pool_.repeat(digit(pool_), 0);
    Expr rest = equal;
    for (std::size_t i = f.size(); i-- > 0;) {
      const auto d = static_cast<unsigned char>(f[i]);
      Expr better = pool_.nothing();
      if (side == Side::kAtLeast && d < '9')
        better = pool_.byte_range(static_cast<unsigned char>(d + 1), '9');
      if (side == Side::kAtMost && d > '0')
        better = pool_.byte_range('0', static_cast<unsigned char>(d - 1));
      rest = pool_.choice({pool_.concat({pool_.bytes(std::string_view(f).substr(i, 1)), rest}),
                           pool_.concat({better, any})});
      if (i > 0) rest = pool_.choice({rest, short_of});
    }
    return rest;
  }

  Expr mantissa(const std::optional<Bound>& low, const std::optional<Bound>& high) {
    Expr shape =
        pool_.concat({pool_.byte_range('1', '9'),
                      pool_.optional(pool_.concat(
                          {pool_.bytes("."), pool_.repeat(digit(pool_), 1, kDecimalDigits - 1)}))});
    if (low) shape = pool_.intersection(shape, bounded(*low, Side::kAtLeast));
    if (high) shape = pool_.intersection(shape, bounded(*high, Side::kAtMost));
    return shape;
  }

  Expr edge(int exponent, const std::optional<Bound>& low, const std::optional<Bound>& high) {
    return pool_.concat({mantissa(low, high), exponents(exponent, exponent)});
  }

  // An exponent from..to: e or E, a sign that may be left out unless it is -, one or two digits.
  Expr exponents(int from, int to) {
    from = std::max(from, -kDecimalExponent);
    to = std::min(to, kDecimalExponent);
    std::vector<Expr> signs;
    if (to >= 0) {
      signs.push_back(pool_.concat(
          {pool_.optional(pool_.bytes("+")), one_or_two_digits(std::max(from, 0), to)}));
    }
    if (from <= 0) {
      signs.push_back(pool_.concat({pool_.bytes("-"), one_or_two_digits(std::max(-to, 0), -from)}));
    }
    return pool_.concat({pool_.byte_set(ByteSet::of("eE")), pool_.choice(signs)});
  }

  // low..high (0 <= low, high <= 99), those below ten also with a zero before; by the first digit,
  // so that no two alternatives begin alike.
  Expr one_or_two_digits(int low, int high) {
    const auto among = [&](int from, int to) {  // as one digit
      return from > to ? pool_.nothing()
                       : pool_.byte_range(static_cast<unsigned char>('0' + from),
                                          static_cast<unsigned char>('0' + to));
    };
    std::vector<Expr> out;
    Expr tail;
    int begin = 0;  // first digits begin.. share `tail`
    for (int first = 0; first <= 10; ++first) {
      Expr next = pool_.nothing();
      if (first < 10) {
        const Expr second = among(std::max(low - 10 * first, 0), std::min(high - 10 * first, 9));
        next = first >= low && first <= high ? pool_.optional(second) : second;
      }
      if (first > 0 && (next != tail || first == 10)) {
        out.push_back(pool_.concat({among(begin, first - 1), tail}));
        begin = first;
      }
      tail = next;
    }
    return pool_.choice(out);
  }

  ExpressionPool& pool_;
  Expr any_fraction_;
  Expr at_most_digits_;
};

}  // namespace

Expr integer_range(ExpressionPool& pool, const DecimalRange& range) {
  return by_sign(pool, range,
                 [&](const std::optional<Bound>& low, const std::optional<Bound>& high) {
                   return whole_magnitude(pool, low, high);
                 });
}

Expr decimal_range(ExpressionPool& pool, const DecimalRange& range) {
  DecimalBuilder builder(pool);
  if (!range.low && !range.high) return builder.unbounded();
  return by_sign(pool, range,
                 [&](const std::optional<Bound>& low, const std::optional<Bound>& high) {
                   return pool.choice({builder.plain(low, high), builder.scientific(low, high)});
                 });
}

Expr distinct_decimals(ExpressionPool& pool) {
  const Expr any = pool.repeat(digit(pool), 1);
  const Expr point = pool.bytes(".");
  const Expr fraction = pool.intersection(
      pool.concat({any, point, any}),
      pool.repeat(pool.concat({pool.optional(point), digit(pool)}), 1, kDistinctDigits));
  const Expr mantissa = pool.concat(
      {pool.byte_range('1', '9'),
       pool.optional(pool.concat(
           {point, pool.repeat(digit(pool), 0, kDistinctDigits - 2), pool.byte_range('1', '9')}))});
  const Expr exponent =
      pool.concat({pool.byte_set(ByteSet::of("eE")),
                   pool.optional(pool.byte_set(ByteSet::of("+-"))), pool.repeat(digit(pool), 1)});
  return pool.concat({pool.optional(pool.bytes("-")),
                      pool.choice({any, fraction, pool.concat({mantissa, exponent})})});
}

std::vector<std::string> decimal_spellings(const Decimal& decimal) {
  std::vector<std::string> out;
  const std::string plain = decimal.whole_part();
  std::string pointed = plain + ".";
  if (const std::string fraction = decimal.fraction(); fraction.empty()) {
    out.push_back(plain);
    pointed += "0";
  } else {
    pointed += fraction;
  }
  for (; pointed.size() - 1 <= kDistinctDigits; pointed += "0") out.push_back(pointed);
  const int exponent = decimal.point - 1;
  if (!decimal.zero() && decimal.digits.size() <= kDistinctDigits &&
      std::abs(exponent) <= kDecimalExponent) {
    std::string mantissa = decimal.digits.substr(0, 1);
    if (decimal.digits.size() > 1) mantissa += "." + decimal.digits.substr(1);
    const std::string size = std::to_string(std::abs(exponent));
    for (const char* e : {"e", "e+", "e-", "E", "E+", "E-"}) {
      const std::string_view sign = std::string_view(e).substr(1);
      if (sign == "-" ? exponent > 0 : exponent < 0) continue;
      out.push_back(mantissa + e + size);
      if (size.size() == 1) out.push_back(mantissa + e + "0" + size);
    }
  }
  const std::size_t count = out.size();
  if (decimal.zero()) {  // zero has both signs
    for (std::size_t i = 0; i < count; ++i) out.push_back("-" + out[i]);
  } else if (decimal.negative) {
    for (std::string& text : out) text.insert(0, "-");
  }
  return out;
}

}  // namespace espalier::grammar
