#include "grammar/schema/joined_members.h"

#include <cstddef>
#include <map>
#include <utility>
#include <vector>

namespace espalier::grammar {
namespace {

constexpr std::size_t kFew = 8;  // parts, which are left as they are

}  // namespace

FormulaId with_joined_members(Formulas& formulas, FormulaId f) {
  const auto speaks_of_some = [&](FormulaId part) {
    if (formulas.op(part) != Formulas::Op::kLiteral || formulas.negated(part)) return false;
    const Atom& atom = formulas.atom(part);
    return atom.kind == AtomKind::kMembers && formulas.members_of(atom.a).other == Formulas::kTrue;
  };
  std::vector<FormulaId> joined, all;
  for (const FormulaId part : formulas.parts(f))
    (speaks_of_some(part) ? joined : all).push_back(part);
  if (joined.size() <= kFew) return f;
  std::map<std::uint32_t, std::vector<FormulaId>> named, patterns;
  for (const FormulaId part : joined) {
    const MemberMap& map = formulas.members_of(formulas.atom(part).a);
    for (const auto& [name, value] : map.named) named[name].push_back(value);
    for (const auto& [pattern, value] : map.patterns) patterns[pattern].push_back(value);
  }
  MemberMap out;
  out.other = Formulas::kTrue;
  for (const auto& [name, values] : named) out.named.emplace_back(name, formulas.all(values));
  for (const auto& [key, values] : patterns) out.patterns.emplace_back(key, formulas.all(values));
  all.push_back(formulas.literal({AtomKind::kMembers, formulas.members(std::move(out)), 0}));
  return formulas.all(all);
}

}  // namespace espalier::grammar
