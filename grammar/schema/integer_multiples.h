// Whole numbers that are multiples of one, within bounds, by arithmetic: a state is what was read
// so far, a sign and digits, and whether some multiple begins so is a division for each number of
// digits that may still come. An automaton has a state for each remainder and place, which are many
// (30,030 for a multiple of 2, 3, 5, 7, 11 and 13), and those of several numbers multiply.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grammar/byte_set.h"
#include "grammar/decimal.h"
#include "grammar/intern_table.h"
#include "grammar/number_expression.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

class IntegerMultiples {
 public:
  /// 0 is no state; every other one can be completed.
  static constexpr std::uint32_t kNone = 0;

  /// The numbers of `f`, -?(0|[1-9][0-9]*) with "-0" where 0 is one, where it says nothing but
  /// that they are bounded and multiples of some, so that all are whole, and an automaton of them
  /// would be large. Of integers that is all; of numbers, as many zeros behind a point as numbers
  /// have digits (decimal_range()).
  static std::optional<IntegerMultiples> of(Formulas& formulas, FormulaId f);

  /// kNone where there are none.
  [[nodiscard]] std::uint32_t start() const { return start_; }
  std::uint32_t step(std::uint32_t state, unsigned char byte);
  [[nodiscard]] bool accepting(std::uint32_t state) const;
  [[nodiscard]] ByteSet bytes_of(std::uint32_t state) const;
  /// The shortest text that completes it, the least of these; what remains after its first byte is
  /// that of the state there.
  std::string closing_word(std::uint32_t state);
  std::uint64_t closing_size(std::uint32_t state) { return closing_word(state).size(); }
  [[nodiscard]] std::size_t bytes() const { return states_.size() * 2 * sizeof(Place) + 64; }
  [[nodiscard]] std::size_t held_bytes() const { return held_by_all(states_, ids_); }

 private:
  enum class Phase : std::uint8_t { kStart, kSign, kDigits, kPoint, kZeros };
  struct Place {
    Phase phase = Phase::kStart;
    bool negative = false;
    std::uint8_t zeros = 0;  // behind the point
    std::uint64_t magnitude = 0;
    friend bool operator==(const Place&, const Place&) = default;
  };
  // The magnitudes of a sign; none where `some` is not set.
  struct Bounds {
    bool some = false;
    std::uint64_t least = 0, most = 0;
  };
  // `range` has both bounds, within 64 bits.
  IntegerMultiples(std::uint64_t modulus, const DecimalRange& range, bool points);
  [[nodiscard]] bool complete(const Place& at) const;
  [[nodiscard]] std::optional<Place> after(const Place& at, unsigned char byte) const;
  [[nodiscard]] std::optional<std::string> digits_to(const Place& at) const;
  [[nodiscard]] bool live(const Place& at) const;
  std::uint32_t state(const Place& at);

  std::uint64_t modulus_;         // 0: greater than any
  bool points_;                   // zeros may stand behind a point
  std::array<Bounds, 2> bounds_;  // of numbers without and with a sign
  std::vector<Place> states_{1};
  InternTable ids_;
  std::uint32_t start_ = kNone;
};

}  // namespace espalier::grammar
