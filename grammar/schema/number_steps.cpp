#include "grammar/schema/number_steps.h"

#include <algorithm>
#include <array>
#include <bit>
#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/hash.h"
#include "grammar/intern_table.h"
#include "grammar/number_expression.h"
#include "grammar/schema/number_verdicts.h"

namespace espalier::grammar {
namespace {

using F = NumberForms;
using State = std::uint16_t;
constexpr State kDead = 0;
constexpr unsigned kDigits = 10;

// All that a number's text reads: ways are kept by these, in the order of bytes.
constexpr std::array<unsigned char, 15> kBytes = {'+', '-', '.', '0', '1', '2', '3', '4',
                                                  '5', '6', '7', '8', '9', 'E', 'e'};
enum Column : std::uint8_t { kPlus = 0, kMinus = 1, kPoint = 2, kDigit = 3, kE = 13 };

// States, each made after those that it leads to.
class States {
 public:
  struct Ways {
    std::array<State, kBytes.size()> to{};
    State accepting = 0;
    friend bool operator==(const Ways&, const Ways&) = default;
  };

  States(const ByteSet& readable, std::size_t most)
      : most_(std::min<std::size_t>(most, UINT16_MAX)) {
    for (std::size_t i = 0; i < kBytes.size(); ++i) {
      readable_[i] = readable.has(kBytes[i]);
      all_readable_ = all_readable_ && readable_[i];
    }
    all_.emplace_back();
  }
  [[nodiscard]] bool full() const { return full_; }
  [[nodiscard]] const Ways& ways(State q) const { return all_[q]; }

  // The one that does this; kDead where no text completes it.
  State add(Ways ways) {
    for (std::size_t i = 0; i < kBytes.size() && !all_readable_; ++i) {
      if (!readable_[i]) ways.to[i] = kDead;
    }
    const auto words = std::bit_cast<std::array<std::uint64_t, sizeof(Ways) / 8>>(ways);
    if (words == decltype(words){}) return kDead;
    std::size_t hash = 0;
    for (const std::uint64_t word : words) hash = mix(hash, word);
    const std::uint32_t known = ids_.find(hash, [&](std::uint32_t q) { return all_[q] == ways; });
    if (known != InternTable::kNone) return static_cast<State>(known);
    full_ = full_ || all_.size() > most_;
    if (full_) return kDead;
    const auto q = static_cast<State>(all_.size());
    ids_.insert(hash, q);
    all_.push_back(ways);
    return q;
  }

  // By layers from `start` on.
  [[nodiscard]] DfaSteps steps(State start) const {
    DfaSteps out;
    std::vector<State> number(all_.size(), kDead), order{kDead};
    const auto number_of = [&](State q) {
      if (q != kDead && number[q] == kDead) {
        number[q] = static_cast<State>(order.size());
        order.push_back(q);
      }
      return number[q];
    };
    number_of(start);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Ways& ways = all_[order[i]];
      out.accepting.push_back(static_cast<std::uint8_t>(ways.accepting));
      out.runs.add(0, kDead);
      State last = kDead;
      unsigned byte = 0;  // behind those that are said
      const auto add = [&](unsigned first, State to) {
        if (to != last) out.runs.add(first, number_of(to));
        last = to;
      };
      for (std::size_t c = 0; c < kBytes.size(); ++c) {
        if (byte != kBytes[c]) add(byte, kDead);
        add(kBytes[c], ways.to[c]);
        byte = kBytes[c] + 1U;
      }
      add(byte, kDead);
      out.runs.end_row();
    }
    return out;
  }

 private:
  std::size_t most_;
  std::array<bool, kBytes.size()> readable_{};
  bool all_readable_ = true;
  std::vector<Ways> all_;
  InternTable ids_;
  bool full_ = false;
};

// Behind e, E: whether a text may end there, by the exponent's size.
struct Exponents {
  static constexpr std::size_t kCount = kDecimalExponent + 1;
  std::bitset<kCount> up, down;  // down[0] is up[0]
};

// What those states read that stand behind an exponent's sign, or in its place.
class Powers {
 public:
  explicit Powers(States& states) : states_(states) {
    States::Ways end;
    end.accepting = 1;
    end_ = states.add(end);
  }

  State add(const Exponents& exponents) {
    States::Ways ways = sized(exponents.up);
    ways.to[kPlus] = states_.add(ways);
    ways.to[kMinus] = states_.add(sized(exponents.down));
    return states_.add(ways);
  }

 private:
  // One digit or two.
  States::Ways sized(const std::bitset<Exponents::kCount>& sizes) {
    States::Ways out;
    States::Ways last;
    for (unsigned first = 0; first < kDigits; ++first) {
      States::Ways ways;
      ways.accepting = sizes[first] ? 1 : 0;
      for (unsigned d = 0; d < kDigits; ++d) {
        if (sizes[kDigits * first + d]) ways.to[kDigit + d] = end_;
      }
      out.to[kDigit + first] =
          first > 0 && ways == last ? out.to[kDigit + first - 1] : states_.add(ways);
      last = ways;
    }
    return out;
  }

  States& states_;
  State end_ = kDead;
};

// The numbers of one sign. A text's digits, from the first that is not 0 on, stand somewhere among
// the bounds' digits, wherever the points are: at those that begin so (zeros follow each), or
// between two.
class Magnitudes {
 public:
  Magnitudes(const NumberVerdicts::OneSign& verdicts, bool distinct, States& states)
      : bounds_(verdicts.bounds),
        verdicts_(verdicts),
        distinct_(distinct),
        states_(states),
        powers_(states),
        ranks_(bounds_.size()) {
    std::vector<std::uint32_t> by_digits(bounds_.size());
    for (std::uint32_t i = 0; i < by_digits.size(); ++i) by_digits[i] = i;
    std::ranges::stable_sort(
        by_digits, {}, [&](std::uint32_t i) -> const std::string& { return bounds_[i].digits; });
    for (std::uint32_t r = 0; r < by_digits.size(); ++r) {
      ranks_[by_digits[r]] = r;
      digits_.push_back(bounds_[by_digits[r]].digits);
    }
    F::Bits some = verdicts.zero | verdicts.below.back();
    for (std::size_t i = 0; i < bounds_.size(); ++i) {
      const F::Bits own = verdicts.at[i] | verdicts.below[i];
      some |= own;
      if ((own & F::kLongWhole) != 0) longest_ = std::max(longest_, bounds_[i].point);
    }
    longest_ = std::min(longest_, kIntegerDigits);
    fractions_ = (some & (F::kRound | F::kLongRound | F::kBroken | F::kLongBroken)) != 0;
    powers_read_ = (some & (F::kTidyPower | F::kLoosePower)) != 0;
    std::uint32_t before = 0;
    for (int point = kLeastPoint; point <= kMostPoint; ++point) {
      while (before < bounds_.size() && bounds_[before].point < point) ++before;
      first_[static_cast<std::size_t>(point - kLeastPoint)] = before;
    }
    if ((verdicts.zero & F::kAnyPower) != 0) {
      Exponents all;
      all.up.set();
      all.down.set();
      any_power_ = powers_.add(all);
    }
  }

  States::Ways start() {
    States::Ways ways;
    each_digit(ways, {0, size()}, 0,
               [&](unsigned d, Place behind) { return d == 0 ? zero() : whole(1, behind); });
    return ways;
  }

 private:
  // Of those that may be read, where a mantissa's point moved; one more.
  static constexpr int kLeastPoint = -kDecimalExponent, kMostPoint = kDecimalExponent + 2;
  static constexpr int kIntegerDigits = 20;  // of 64 bits
  // Bounds by the order of their digits: those that begin as the text does, or none.
  struct Place {
    std::uint32_t low = 0, high = 0;  // low == high: the text lies below that one
    [[nodiscard]] bool between() const { return low == high; }
    friend bool operator==(const Place&, const Place&) = default;
  };
  // Where a text stands that has a point.
  struct Fraction {
    int point = 0;        // as Decimal has it
    unsigned depth = 0;   // digits from the first that is not 0 on
    unsigned left = 0;    // that may come
    unsigned total = 0;   // digits in all, where that tells texts apart; no more than one too many
    bool broken = false;  // one behind the point is not 0
    bool zero = false;    // the last one is, where that tells texts apart
  };
  enum Kind : std::uint8_t { kWhole, kFraction, kDecided, kPower };

  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(bounds_.size()); }

  // Behind one digit more.
  [[nodiscard]] Place step(Place place, std::size_t depth, unsigned digit) const {
    const auto at = [&](std::uint32_t r) {
      return depth < digits_[r].size() ? static_cast<unsigned>(digits_[r][depth] - '0') : 0;
    };
    while (place.low < place.high && at(place.low) < digit) ++place.low;
    std::uint32_t high = place.low;
    while (high < place.high && at(high) == digit) ++high;
    return {place.low, high};
  }

  // The same among some bounds alone.
  [[nodiscard]] Place among(std::span<const std::uint32_t> ranks, Place place) const {
    const auto low = std::lower_bound(ranks.begin(), ranks.end(), place.low);
    const auto high = std::lower_bound(low, ranks.end(), place.high);
    if (low != high) return {*low, *(high - 1) + 1};
    const std::uint32_t above = low != ranks.end() ? *low : size();
    return {above, above};
  }

  // Of the bounds with that many digits before the point, or zeros behind it, the first, and the
  // ranks.
  [[nodiscard]] std::size_t first_at(int point) const {
    return first_[static_cast<std::size_t>(point - kLeastPoint)];
  }
  [[nodiscard]] std::span<const std::uint32_t> ranks_at(int point) const {
    return std::span(ranks_).subspan(first_at(point), first_at(point + 1) - first_at(point));
  }

  // The ranks of those with as many or more; of one digit all, for it may be a mantissa.
  std::span<const std::uint32_t> ranks_from(int point) {
    while (std::ssize(from_) < point) {
      const auto next = static_cast<int>(from_.size()) + 1;
      std::vector<std::uint32_t> ranks;
      for (std::size_t i = 0; i < bounds_.size(); ++i) {
        if (next == 1 || bounds_[i].point >= next) ranks.push_back(ranks_[i]);
      }
      std::ranges::sort(ranks);
      from_.push_back(std::move(ranks));
    }
    return from_[static_cast<std::size_t>(point) - 1];
  }

  // Of a text of so many digits that ends there.
  [[nodiscard]] F::Bits verdict(int point, Place place, std::size_t depth) const {
    const std::span<const std::uint32_t> same = ranks_at(point);
    if (same.empty()) return verdicts_.below[first_at(point)];
    const auto at = std::lower_bound(same.begin(), same.end(), place.low);
    const std::size_t i = first_at(point) + static_cast<std::size_t>(at - same.begin());
    const bool equal = at != same.end() && *at < place.high && digits_[*at].size() <= depth;
    return equal ? verdicts_.at[i] : verdicts_.below[i];
  }

  // "0".
  State zero() {
    States::Ways ways;
    ways.accepting = (verdicts_.zero & F::kWhole) != 0 ? 1 : 0;
    if (fractions_ || any_power_ != kDead) ways.to[kPoint] = zeros(0);
    ways.to[kE] = ways.to[kE + 1] = any_power_;
    return states_.add(ways);
  }

  // "0.", and so many zeros more.
  State zeros(unsigned count) {
    const auto most = [](unsigned zeros) {  // digits behind the point
      return kDecimalDigits + std::min(zeros, kDecimalZeros);
    };
    States::Ways ways;
    if (count > 0) {
      const bool is_long = count + 1 > kDistinctDigits;
      ways.accepting = (verdicts_.zero & (is_long ? F::kLongRound : F::kRound)) != 0 ? 1 : 0;
      ways.to[kE] = ways.to[kE + 1] = any_power_;
    }
    if (count + 1 <= most(count)) {
      Fraction behind;
      behind.point = -static_cast<int>(count);
      behind.depth = 1;
      behind.left = most(count) - count - 1;
      behind.total = distinct_ ? std::min(count + 2, kDistinctDigits + 1) : 0;
      behind.broken = true;
      const Place all = among(ranks_at(behind.point), {0, size()});
      each_digit(ways, all, 0,
                 [&](unsigned d, Place there) { return d == 0 ? kDead : fraction(behind, there); });
    }
    if (count + 1 <= most(count + 1)) ways.to[kDigit] = zeros(count + 1);
    return states_.add(ways);
  }

  // Behind so many digits, the first not 0.
  State whole(int count, Place place) {
    if (count > longest_) return kDead;
    const std::span<const std::uint32_t> ranks = ranks_from(count);
    if (ranks.empty() && verdicts_.below.back() == 0) return kDead;
    place = among(ranks, place);
    const auto size = static_cast<unsigned>(count);
    return once(key(kWhole, size, place), [&] {
      States::Ways ways;
      const bool decimal = size <= kDecimalDigits;
      const F::Bits form = decimal ? F::kWhole : F::kLongWhole;
      ways.accepting = (verdict(count, place, size) & form) != 0 ? 1 : 0;
      each_digit(ways, place, size,
                 [&](unsigned, Place behind) { return whole(count + 1, behind); });
      if (size < kDecimalDigits && (fractions_ || any_power_ != kDead || powers_read_)) {
        ways.to[kPoint] = point(size, place);
      }
      if (decimal) {
        ways.to[kE] = ways.to[kE + 1] = count == 1 ? power(place, size, true) : any_power_;
      }
      return ways;
    });
  }

  // Behind the point, before any digit.
  State point(unsigned count, Place place) {
    Fraction at;
    at.point = static_cast<int>(count);
    at.depth = count;
    at.left = kDecimalDigits - count;
    at.total = distinct_ ? std::min(count, kDistinctDigits + 1) : 0;
    if (count > 1) place = among(ranks_at(at.point), place);
    States::Ways ways;
    each_digit(ways, place, at.depth,
               [&](unsigned d, Place behind) { return further(at, behind, d); });
    return states_.add(ways);
  }

  State further(Fraction at, Place place, unsigned digit) {
    ++at.depth;
    --at.left;
    if (distinct_) at.total = std::min(at.total + 1, kDistinctDigits + 1);
    at.broken = at.broken || digit != 0;
    at.zero = distinct_ && digit == 0;
    return fraction(at, place);
  }

  static F::Bits form(const Fraction& at) {
    if (at.total > kDistinctDigits) return at.broken ? F::kLongBroken : F::kLongRound;
    return at.broken ? F::kBroken : F::kRound;
  }
  static bool tidy(const Fraction& at) { return !at.zero && at.total <= kDistinctDigits; }

  State fraction(const Fraction& at, Place place) {
    const bool mantissa = at.point == 1;
    if (!mantissa) place = among(ranks_at(at.point), place);
    if (place.between()) {
      const State neat = mantissa ? power(place, at.depth, true) : any_power_;
      const State loose = mantissa && distinct_ ? power(place, at.depth, false) : neat;
      return decided(at, verdict(at.point, place, at.depth), neat, loose);
    }
    return once(key(kFraction, static_cast<unsigned>(at.point + 32), place, at), [&] {
      States::Ways ways;
      ways.accepting = (verdict(at.point, place, at.depth) & form(at)) != 0 ? 1 : 0;
      if (at.left > 0) {
        each_digit(ways, place, at.depth,
                   [&](unsigned d, Place behind) { return further(at, behind, d); });
      }
      ways.to[kE] = ways.to[kE + 1] = mantissa ? power(place, at.depth, tidy(at)) : any_power_;
      return ways;
    });
  }

  // Where no digit changes what is said of the number: `neat` and `loose` read its exponent.
  State decided(Fraction at, F::Bits said, State neat, State loose) {
    constexpr F::Bits kRounds = F::kRound | F::kLongRound;
    constexpr unsigned kBrokenShift = 2;
    static_assert(kRounds << kBrokenShift == (F::kBroken | F::kLongBroken));
    said &= kRounds | (kRounds << kBrokenShift);
    if (said == 0 && neat == kDead && loose == kDead) return kDead;
    at.broken = at.broken || (said & kRounds) == (said >> kBrokenShift);
    const std::uint64_t own = key(kDecided, 0, {}, at) | (std::uint64_t{said} << 24) |
                              (std::uint64_t{neat} << 32) | (std::uint64_t{loose} << 48);
    return once(own, [&] {
      States::Ways ways;
      ways.accepting = (said & form(at)) != 0 ? 1 : 0;
      ways.to[kE] = ways.to[kE + 1] = tidy(at) ? neat : loose;
      if (at.left == 0) return ways;
      Fraction next = at;
      --next.left;
      if (distinct_) next.total = std::min(next.total + 1, kDistinctDigits + 1);
      next.zero = distinct_;
      const State zero = decided(next, said, neat, loose);
      const bool same = next.broken && !next.zero;
      next.zero = false;
      next.broken = true;
      const State other = same ? zero : decided(next, said, neat, loose);
      ways.to[kDigit] = zero;
      std::fill_n(ways.to.begin() + kDigit + 1, kDigits - 1, other);
      return ways;
    });
  }

  // Behind e, E of a mantissa of so many digits.
  State power(Place place, std::size_t depth, bool tidy) {
    if (!powers_read_) return kDead;
    std::uint32_t high = place.low;  // the bounds whose digits these are: they come first
    while (high < place.high && digits_[high].size() <= depth) ++high;
    place.high = high;
    const std::uint64_t own = key(kPower, tidy ? 1 : 0, place);
    if (const State* known = find(own)) return *known;
    const F::Bits form = tidy ? F::kTidyPower : F::kLoosePower;
    Exponents out;
    for (int e = -kDecimalExponent; e <= kDecimalExponent;) {
      // Alike up to the next bound's.
      const std::size_t next = first_at(e + 1);
      const int far = next < bounds_.size() ? bounds_[next].point - 1 : INT32_MAX;
      const int end = std::min(std::max(far, e + 1), kDecimalExponent + 1);
      const bool yes = (verdict(e + 1, place, depth) & form) != 0;
      for (; e < end; ++e) {
        if (yes && e <= 0) out.down.set(static_cast<std::size_t>(-e));
        if (yes && e >= 0) out.up.set(static_cast<std::size_t>(e));
      }
    }
    return keep(own, powers_.add(out));
  }

  // The states behind each digit: one of those that lead between the same two bounds, but for 0.
  template <class To>
  void each_digit(States::Ways& ways, Place place, std::size_t depth, To&& to) {
    Place last;
    for (unsigned d = 0; d < kDigits; ++d) {
      const Place behind = step(place, depth, d);
      State& state = ways.to[kDigit + d];
      const bool alike = d > 1 && behind.between() && behind == last;
      state = alike ? ways.to[kDigit + d - 1] : to(d, behind);
      last = behind;
    }
  }

  static std::uint64_t key(Kind kind, unsigned number, Place place, const Fraction& at) {
    static_assert(kMostNumberBounds < 1 << 11);
    return std::uint64_t{kind} | (std::uint64_t{at.left} << 2) | (std::uint64_t{at.total} << 7) |
           (std::uint64_t{at.broken} << 12) | (std::uint64_t{at.zero} << 13) |
           (std::uint64_t{number} << 14) | (std::uint64_t{place.low} << 24) |
           (std::uint64_t{place.high} << 36);
  }
  static std::uint64_t key(Kind kind, unsigned number, Place place) {
    return key(kind, number, place, Fraction());
  }
  const State* find(std::uint64_t key) const {
    const std::uint32_t i = known_ids_.find(
        mix(0, key), [&](std::uint32_t other) { return known_[other].first == key; });
    return i != InternTable::kNone ? &known_[i].second : nullptr;
  }
  State keep(std::uint64_t key, State state) {
    known_ids_.insert(mix(0, key), static_cast<std::uint32_t>(known_.size()));
    known_.emplace_back(key, state);
    return state;
  }
  template <class Make>
  State once(std::uint64_t key, Make&& make) {
    if (const State* known = find(key)) return *known;
    if (states_.full()) return kDead;
    return keep(key, states_.add(make()));
  }

  const std::vector<Decimal>& bounds_;  // by magnitude: by point, then by digits
  const NumberVerdicts::OneSign& verdicts_;
  bool distinct_;
  States& states_;
  Powers powers_;
  std::vector<std::uint32_t> ranks_;      // by bound, among all by digits
  std::vector<std::string_view> digits_;  // by rank
  std::array<std::uint32_t, kMostPoint - kLeastPoint + 1> first_{};  // bound, by point
  std::vector<std::vector<std::uint32_t>> from_;
  int longest_ = kDecimalDigits;  // digits before the point
  bool fractions_ = false;        // some number may be written with a point; with an exponent
  bool powers_read_ = false;
  State any_power_ = kDead;
  std::vector<std::pair<std::uint64_t, State>> known_;
  InternTable known_ids_;
};

}  // namespace

std::optional<DfaSteps> number_steps(const NumberCondition& condition, const ByteSet& readable,
                                     std::size_t most_states) {
  const NumberVerdicts verdicts(condition);
  if (verdicts.bounds() > kMostNumberBounds) return std::nullopt;
  States states(readable, most_states);
  const NumberVerdicts::OneSign below = verdicts.of_sign(true), above = verdicts.of_sign(false);
  const State negative = states.add(Magnitudes(below, condition.distinct, states).start());
  States::Ways ways = Magnitudes(above, condition.distinct, states).start();
  ways.to[kMinus] = negative;
  const State start = states.add(ways);
  if (states.full()) return std::nullopt;
  return states.steps(start);
}

}  // namespace espalier::grammar
