// Which expressions are prefix-free, and whether a literal that follows a value ends it
// unmistakably (CONTRACTS 18).
#pragma once

#include <string_view>
#include <vector>

#include "grammar/automaton.h"
#include "grammar/expression.h"

namespace espalier::grammar {

class PrefixFreedom {
 public:
  /// Linear in the pool. Sound, not complete: rules count as prefix-free only where their body is
  /// without them.
  explicit PrefixFreedom(const ExpressionPool& pool);

  /// No word of `e` is a proper prefix of another.
  [[nodiscard]] bool prefix_free(Expr e) const { return facts_[e.id].prefix_free; }
  /// No word of e·follow is a proper prefix of another. Exact for small regular languages, else
  /// false where it is not proven within a fixed number of states.
  [[nodiscard]] bool ends_decide(Automaton& scratch, Expr e, std::string_view follow) const;

 private:
  struct Facts {
    bool prefix_free = false;
    bool nullable = true;
    ByteSet first = ByteSet::all();
  };
  [[nodiscard]] Facts compute(std::uint32_t id) const;
  [[nodiscard]] bool told_apart_by_first_byte(std::span<const Expr> alternatives) const;
  static bool search(Automaton& scratch, Expr e, std::string_view follow);

  const ExpressionPool& pool_;
  std::vector<Facts> facts_;
};

}  // namespace espalier::grammar
