// Upper bounds in a generator's parameters: "336·depth·width + 40". A value type.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

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
  [[nodiscard]] std::size_t terms() const { return terms_.size(); }
  /// Its value where it has no symbols.
  [[nodiscard]] std::optional<std::uint64_t> number() const;
  /// "0", "2688", "336·depth·width + 40"; "more than 4611686018427387903" where it saturated.
  [[nodiscard]] std::string text() const;

 private:
  std::map<std::vector<std::string>, std::uint64_t> terms_;  // by sorted symbols; none is 0
};

}  // namespace espalier::dsl
