// What a generator may cost, before it runs: bounds in its parameters.
//
// Every loop is over a list or a range, generators don't call themselves and every hole has a
// budget, so a bound always exists. It holds for any model: a token has one byte at least. Branches
// of an `if` or `match` count as the larger one, term by term; a retry as all of its tries.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "dsl/program.h"

namespace espalier::dsl {

/// A sum of products of numbers and symbols ("depth", "len(shots)"), saturating at kMost; one of
/// more than kMostTerms products is kMost as well.
class Bound {
 public:
  static constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
  static constexpr std::size_t kMostTerms = 1000;

  Bound() = default;
  static Bound of(std::uint64_t number);
  static Bound symbol(std::string name);

  Bound& operator+=(const Bound& other);
  [[nodiscard]] Bound times(const Bound& other) const;
  /// The larger coefficient of each product: a bound of both.
  [[nodiscard]] Bound or_larger(const Bound& other) const;
  /// With each symbol that `meaning` has replaced by its bound.
  [[nodiscard]] Bound with(const std::map<std::string, Bound>& meaning) const;

  [[nodiscard]] bool zero() const { return terms_.empty(); }
  /// "0", "2688", "336·depth·width + 40"; "more than 4611686018427387903" where it saturated.
  [[nodiscard]] std::string text() const;

 private:
  std::map<std::vector<std::string>, std::uint64_t> terms_;  // by sorted symbols; none is 0
};

struct Cost {
  /// Tokens that holes generate, with the text that ends each; not what healing writes again (at
  /// most 8 tokens a hole).
  Bound generated;
  Bound holes;  // `select` too
  /// Tokens and choices one after another: the branches of a fork write together, and count once.
  /// Where there is no room for all of them at once, it takes more; prompts are not in it.
  Bound steps;
  Bound scored;  // tokens that `select` scores
  Bound calls;   // of tools
  Bound again;   // turns that are computed again because something was thought in them
};

[[nodiscard]] Cost cost_of(const Program& program, const GenInfo& gen);
/// Tokens that the value of a hole that is no `select` may take. The program may have errors.
[[nodiscard]] Bound value_tokens(const Program& program, const Hole& hole);

}  // namespace espalier::dsl
