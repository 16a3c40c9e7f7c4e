// What a formula says of whole numbers of one sign, by their magnitudes: bounds, multiples, what is
// none, all of several and one of several. The least magnitude from a given one on that satisfies
// it is found by leaps to where something it speaks of changes, so one of many multiples (`oneOf`)
// takes a few divisions for each.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "grammar/decimal.h"
#include "grammar/schema/formula.h"

namespace espalier::grammar {

/// The least magnitude at or beyond that of `bound`, the greatest at or before it (open: not at
/// it); nothing where it takes more than 64 bits, or lies below 0.
std::optional<std::uint64_t> least_magnitude(const Decimal& bound, bool open);
std::optional<std::uint64_t> most_magnitude(const Decimal& bound, bool open);

class MagnitudeCondition {
 public:
  /// Steps that a search takes. One that needs more finds nothing.
  static constexpr std::size_t kMostLeaps = 100;

  /// What all of `parts` say of whole numbers of the sign; nothing where they say something of them
  /// but kinds, bounds and multiples, or too much.
  static std::optional<MagnitudeCondition> of(const Formulas& formulas,
                                              const std::vector<FormulaId>& parts, bool negative);

  [[nodiscard]] bool holds(std::uint64_t magnitude) const {
    return leap(root_, magnitude) == magnitude;
  }
  /// The least of from..to that satisfies it.
  [[nodiscard]] std::optional<std::uint64_t> first(std::uint64_t from, std::uint64_t to) const;
  /// Of which number all magnitudes are multiples where that is all it says; 0: none but 0.
  [[nodiscard]] std::optional<std::uint64_t> only_modulus() const;
  [[nodiscard]] std::size_t held_bytes() const { return held_by_all(nodes_, children_); }

 private:
  enum class Op : std::uint8_t { kMultiple, kNoMultiple, kFrom, kTo, kAll, kAny };
  struct Node {
    Op op = Op::kAll;
    std::uint64_t value = 0;             // a modulus (0: of 0 alone), or a bound
    std::uint32_t first = 0, count = 0;  // in children_
  };
  class Reader;

  [[nodiscard]] std::optional<std::uint64_t> leap(std::uint32_t node, std::uint64_t from) const;

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> children_;
  std::uint32_t root_ = 0;
};

}  // namespace espalier::grammar
