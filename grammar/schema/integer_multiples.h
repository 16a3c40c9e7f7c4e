// Whole numbers that are multiples of one or some, or are not, within bounds, by arithmetic: a
// state is what was read so far, a sign and digits, and whether some number that may come begins so
// is a search, mostly a division, for each number of digits that may still follow. An automaton has
// a state for each remainder and place, which are many (30,030 for a multiple of 2, 3, 5, 7, 11 and
// 13), and those of several numbers multiply.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "grammar/byte_set.h"
#include "grammar/decimal.h"
#include "grammar/intern_table.h"
#include "grammar/number_expression.h"
#include "grammar/schema/formula.h"
#include "grammar/schema/magnitude_condition.h"

namespace espalier::grammar {

class IntegerMultiples {
 public:
  /// 0 is no state; every other one can be completed.
  static constexpr std::uint32_t kNone = 0;

  /// The numbers of `f`, -?(0|[1-9][0-9]*) with "-0" where 0 is one, where it says nothing but
  /// bounds and of what they are multiples, so that all are whole, and an automaton of them would
  /// be large. Of integers that is all; of numbers, as many zeros behind a point as numbers have
  /// digits (decimal_range()).
  static std::optional<IntegerMultiples> of(Formulas& formulas, FormulaId f);

  /// kNone where there are none.
  [[nodiscard]] std::uint32_t start() const { return start_; }
  std::uint32_t step(std::uint32_t state, unsigned char byte);
  [[nodiscard]] bool accepting(std::uint32_t state) const;
  [[nodiscard]] ByteSet bytes_of(std::uint32_t state) const;
  /// Whether there are any; where it may end there, mostly found at the first digit.
  [[nodiscard]] bool goes_on(std::uint32_t state) const;
  /// What the numbers are written with.
  [[nodiscard]] static ByteSet alphabet() { return ByteSet::of("-.0123456789"); }
  /// The shortest text that completes it, the least of these; what remains after its first byte is
  /// that of the state there.
  std::string closing_word(std::uint32_t state);
  std::uint64_t closing_size(std::uint32_t state) {
    return states_[state].phase == Phase::kDigits ? rests_[state].digits
                                                  : closing_word(state).size();
  }
  [[nodiscard]] std::size_t bytes() const {
    return states_.size() * 2 * (sizeof(Place) + sizeof(Rest)) + 64;
  }
  [[nodiscard]] std::size_t held_bytes() const {
    return held_by_all(states_, rests_, ids_, conditions_[0], conditions_[1]);
  }

 private:
  enum class Phase : std::uint8_t { kStart, kSign, kDigits, kPoint, kZeros };
  struct Place {
    Phase phase = Phase::kStart;
    bool negative = false;
    std::uint8_t zeros = 0;  // behind the point
    std::uint64_t magnitude = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };
  // Of digits: the fewest that make a number which may come, and the least that do.
  struct Rest {
    std::uint8_t digits = 0;
    std::uint64_t number = 0;
  };
  using Step = std::pair<Place, Rest>;
  // The magnitudes of a sign; none where `some` is not set.
  struct Bounds {
    bool some = false;
    std::uint64_t least = 0, most = 0;
  };
  // `range` has both bounds, within 64 bits.
  IntegerMultiples(std::array<MagnitudeCondition, 2> conditions, const DecimalRange& range,
                   bool points);
  [[nodiscard]] std::optional<Step> after(const Place& at, const Rest& rest,
                                          unsigned char byte) const;
  [[nodiscard]] std::optional<Rest> rest_of(const Place& at, std::uint8_t digits) const;
  std::uint32_t state(const Step& at);

  bool points_;                                   // zeros may stand behind a point
  std::array<MagnitudeCondition, 2> conditions_;  // of numbers without and with a sign
  std::array<Bounds, 2> bounds_;
  std::vector<Place> states_{1};
  std::vector<Rest> rests_{1};
  InternTable ids_;
  std::uint32_t start_ = kNone;
};

}  // namespace espalier::grammar
