// What a generator may cost, before it runs: bounds in its parameters.
//
// Every loop is over a list or a range, generators don't call themselves and every hole has a
// budget, so a bound always exists. It holds for any model: a token has one byte at least. Branches
// of an `if` or `match` count as the larger one, term by term; a retry as all of its tries.
#pragma once

#include "dsl/bound.h"
#include "dsl/program.h"

namespace espalier::dsl {

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
