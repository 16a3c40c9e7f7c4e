// select: the choices of a finite type, and how their scores become a distribution (CONTRACTS 22).
#pragma once

#include <string>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "dsl/program.h"
#include "grammar/json.h"
#include "grammar/type.h"

namespace espalier::dsl {

inline constexpr std::size_t kMaxChoices = 10'000;

struct Choice {
  std::string text;   // as it stands in the prompt
  Json value;         // as from_json() takes it
  std::string label;  // its name in `.dist`: an enum case's name, else the text
};

/// Every string of `type`, in declared order, each once. kUnsupported where it is not finite,
/// kLimit past kMaxChoices.
[[nodiscard]] Result<std::vector<Choice>> choices_of(const grammar::TypeRef& type);

/// Softmax of `scores` (log-probabilities up to a constant). Sums to 1.
[[nodiscard]] std::vector<double> distribution(const std::vector<double>& scores);

/// The most probable index (the first of equals) at temperature 0; else one drawn from
/// distribution^(1/temperature).
[[nodiscard]] std::size_t choose(const std::vector<double>& distribution, double temperature,
                                 const RandomKey& key);

}  // namespace espalier::dsl
