// Bounds of one thing beside each other: of those that must all hold the tightest says what the
// others do, and two that leave nothing between them decide the whole.
#include <algorithm>
#include <compare>
#include <optional>

#include "grammar/schema/formula.h"

namespace espalier::grammar {
namespace {

// What an atom bounds from below, 0 where it is no bound: numbers, a string's code points, members
// and items still to come. Denied, it bounds from above, and says that the value has the type.
constexpr std::size_t kThings = 5;
std::size_t bounded(AtomKind kind) {
  switch (kind) {
    case AtomKind::kAtLeast:
    case AtomKind::kAbove:
      return 1;
    case AtomKind::kLength:
      return 2;
    case AtomKind::kMembersAtLeast:
      return 3;
    case AtomKind::kItemsAtLeast:
      return 4;
    default:
      return 0;
  }
}

}  // namespace

bool Formulas::is_bound(FormulaId f) const {
  return nodes_[f].op == Op::kLiteral && bounded(nodes_[f].atom.kind) != 0;
}

// Of two bounds of one thing, by where they cut: a number itself lies behind the cut of kAtLeast
// and before that of kAbove.
std::strong_ordering Formulas::compare_bounds(FormulaId a, FormulaId b) const {
  const Atom &first = nodes_[a].atom, &second = nodes_[b].atom;
  if (bounded(first.kind) != 1) return first.a <=> second.a;
  if (first.a != second.a) return numbers_[first.a] <=> numbers_[second.a];
  return first.kind <=> second.kind;
}

// Whether a bound that stands beside another one's conjunction or disjunction (`op`) leaves it no
// say: nothing, or that it holds with the bound anyway (true), or never does (false; in a
// disjunction the other way round).
std::optional<bool> Formulas::settled_by(Op op, FormulaId bound, FormulaId other) const {
  if (bounded(nodes_[bound].atom.kind) != bounded(nodes_[other].atom.kind)) return std::nullopt;
  const auto order = compare_bounds(bound, other);
  const bool negated = nodes_[bound].negated;
  if (negated == (op == Op::kOr) ? order < 0 : order > 0) return std::nullopt;
  return nodes_[other].negated == negated;
}

std::optional<bool> Formulas::settled_by(Op op, const Bounds& bounds, FormulaId other) const {
  if (bounds.empty() || !is_bound(other)) return std::nullopt;
  for (const FormulaId bound : bounds) {
    if (const auto settled = settled_by(op, bound, other)) return settled;
  }
  return std::nullopt;
}

// Leaves the bounds that say something beside the others, also in `bounds`. False where two of them
// decide the whole.
bool Formulas::merge_bounds(Op op, Parts& flat, Bounds& bounds) {
  for (const FormulaId f : flat) {
    if (is_bound(f)) bounds.push_back(f);
  }
  if (bounds.size() < 2) return true;
  FormulaId best[kThings][2] = {};
  for (const FormulaId f : bounds) {
    FormulaId& one = best[bounded(nodes_[f].atom.kind)][nodes_[f].negated ? 1 : 0];
    if (one == 0 || settled_by(op, f, one).has_value()) one = f;
  }
  for (const auto& [above, below] : best) {
    if (above != 0 && below != 0 && settled_by(op, above, below).has_value()) return false;
  }
  bounds.clear();
  const auto rest = std::remove_if(flat.begin(), flat.end(), [&](FormulaId f) {
    if (!is_bound(f)) return false;
    const bool kept = best[bounded(nodes_[f].atom.kind)][nodes_[f].negated ? 1 : 0] == f;
    if (kept) bounds.push_back(f);
    return !kept;
  });
  flat.shorten(static_cast<std::size_t>(rest - flat.begin()));
  return true;
}

}  // namespace espalier::grammar
