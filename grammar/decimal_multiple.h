// Decimal numbers that are multiples of a decimal, as an automaton of remainders.
//
// The language: digits, perhaps a point and more digits (no sign, no exponent, leading zeros
// allowed), whose value is a multiple of modulus · 10^-places. The divisor is scaled to an integer;
// what is read so far is kept modulo it, so a state is a remainder and how many digits stand after
// the point. A fraction that no further digits make a multiple is dead at once. States are numbers,
// made as they are reached: nothing is built ahead, whatever the divisor.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "grammar/byte_set.h"
#include "grammar/decimal.h"

namespace espalier::grammar {

class DecimalMultiple {
 public:
  using State = std::uint32_t;
  static constexpr State kStart = 0;

  /// Multiples of `divisor`. Nothing where it is not greater than 0 or takes more than 2^32 states
  /// (modulus · (places + 3)).
  static std::optional<DecimalMultiple> of(const Decimal& divisor);

  /// Nothing where no number goes on with the byte.
  [[nodiscard]] std::optional<State> step(State at, unsigned char byte) const;
  [[nodiscard]] bool accepting(State at) const;
  [[nodiscard]] ByteSet bytes(State at) const;
  /// The shortest digits that complete a number, the least of these; the closing after its first
  /// byte is the rest of it.
  [[nodiscard]] std::string closing(State at) const;

  /// Whether a number is a multiple, whatever its size.
  [[nodiscard]] bool divides(const Decimal& number) const;

  friend bool operator==(const DecimalMultiple&, const DecimalMultiple&) = default;

  /// Numbers whose multiples together are those of all of these, positive ones: as few as have an
  /// automaton. Side by side the automata of several have as many states as that of one, each of
  /// which would be made.
  static std::vector<Decimal> joined(const std::vector<Decimal>& divisors);

 private:
  // What a state says: nothing yet, or the remainder and the phase. Phase 0: before the point; 1:
  // after it; 1 + n: n digits after it, the last phase: all that count, and zeros.
  struct Place {
    std::uint64_t remainder = 0;
    std::uint32_t phase = 0;
  };
  DecimalMultiple(std::uint64_t modulus, std::uint32_t places)
      : modulus_(modulus), places_(places) {}
  [[nodiscard]] std::uint32_t phases() const { return places_ + 3; }
  [[nodiscard]] Place place(State at) const {
    return {(at - 1) / phases(), static_cast<std::uint32_t>((at - 1) % phases())};
  }
  [[nodiscard]] State state(const Place& p) const {
    return static_cast<State>(1 + p.remainder * phases() + p.phase);
  }
  [[nodiscard]] std::uint32_t places_left(std::uint32_t phase) const;
  [[nodiscard]] std::optional<std::string> digits_to(const Place& at) const;

  std::uint64_t modulus_;
  std::uint32_t places_;
};

}  // namespace espalier::grammar
