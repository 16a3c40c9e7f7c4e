// Conditions by constants of one member (`if` it is this `then` that, for many constants) as the
// choice that they are: one alternative for each constant, one for any other value, and those where
// the member is absent. As a conjunction each of them is open until the member comes, and what
// stands before it multiplies their ways.
#include <algorithm>
#include <map>
#include <optional>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kMost = 4096;  // conditions by one member

}  // namespace

// Of a literal: the member that must come and be none of some values.
struct SchemaGraph::Denied {
  std::uint32_t name = 0;
  std::uint32_t values = 0;  // a set
};

std::optional<SchemaGraph::Denied> SchemaGraph::denied(FormulaId f) const {
  const auto is = [&](FormulaId l, AtomKind kind, bool negated) {
    return formulas_.op(l) == Formulas::Op::kLiteral && formulas_.atom(l).kind == kind &&
           formulas_.negated(l) == negated;
  };
  if (!is(f, AtomKind::kMembers, true)) return std::nullopt;
  const MemberMap& map = formulas_.members_of(formulas_.atom(f).a);
  if (map.named.size() != 1 || map.other != Formulas::kTrue || !map.patterns.empty()) {
    return std::nullopt;
  }
  FormulaId value = map.named[0].second;
  if (is(value, AtomKind::kNode, false)) value = nodes_[formulas_.atom(value).a].expanded;
  JsonTypes types;
  std::optional<std::uint32_t> set;
  for (const FormulaId part : formulas_.parts(value)) {
    if (is(part, AtomKind::kType, false)) {
      types = JsonTypes(static_cast<std::uint8_t>(formulas_.atom(part).a));
    } else if (is(part, AtomKind::kIn, false) && !set) {
      set = formulas_.atom(part).a;
    } else {
      return std::nullopt;
    }
  }
  const auto typed = [&](const Json& v) { return !(type_of(v) & types).none(); };
  if (!set || !std::ranges::all_of(formulas_.set_of(*set), typed)) return std::nullopt;
  return Denied{map.named[0].first, *set};
}

// A conjunction with its conditions by constants of one member as a choice; itself where there are
// only few.
FormulaId SchemaGraph::by_constants(const std::vector<FormulaId>& all) {
  struct Condition {
    std::size_t part = 0;  // of `all`
    FormulaId denies = 0;  // the literal
    Denied what;
  };
  // By member, and whether the condition fails where it is absent.
  std::map<std::pair<std::uint32_t, bool>, std::vector<Condition>> groups;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (formulas_.op(all[i]) != Formulas::Op::kOr) continue;
    const auto ways = formulas_.children(all[i]);
    for (const FormulaId way : ways) {
      const auto what = denied(way);
      if (!what) continue;
      const FormulaId absent = formulas_.literal({AtomKind::kHas, what->name, 0}, true);
      const bool fails =
          std::ranges::find(formulas_.children(all[i]), absent) != formulas_.children(all[i]).end();
      groups[{what->name, fails}].push_back({i, way, *what});
    }
  }
  std::vector<FormulaId> out;
  std::vector<bool> done(all.size());
  for (const auto& [by, conditions] : groups) {
    std::vector<Condition> own;
    std::vector<Json> values;
    std::size_t told = 0;
    for (const Condition& one : conditions) {
      if (done[one.part] || (!own.empty() && own.back().part == one.part)) continue;
      own.push_back(one);
      const std::vector<Json>& set = formulas_.set_of(one.what.values);
      values.insert(values.end(), set.begin(), set.end());
      told += set.size();
    }
    if (own.size() < kFewestConditions || own.size() > kMost) continue;
    const std::uint32_t any = formulas_.set(std::move(values));
    if (formulas_.set_of(any).size() != told) continue;  // some value is of two
    const FormulaId has = formulas_.literal({AtomKind::kHas, by.first, 0});
    const FormulaId absent = formulas_.negate(has);
    const FormulaId object = formulas_.types(JsonTypes::kObject);
    std::vector<FormulaId> choice, always;
    for (const Condition& one : own) {
      done[one.part] = true;
      std::vector<FormulaId> then;
      for (const FormulaId way : formulas_.children(all[one.part])) {
        if (way != one.denies && !(by.second && way == absent)) then.push_back(way);
      }
      const FormulaId follows = formulas_.any(then);
      choice.push_back(formulas_.all({object, has, formulas_.negate(one.denies), follows}));
      always.push_back(follows);
    }
    MemberMap map;
    map.named.emplace_back(by.first, formulas_.literal({AtomKind::kIn, any, 0}));
    const FormulaId other =
        formulas_.literal({AtomKind::kMembers, formulas_.members(std::move(map)), 0}, true);
    choice.push_back(other);
    // Of what is no object each condition holds.
    const FormulaId no_object = formulas_.negate(object);
    if (by.second) choice.push_back(absent);
    always.push_back(by.second ? no_object : formulas_.any({absent, no_object}));
    choice.push_back(formulas_.all(always));
    out.push_back(formulas_.any(choice));
  }
  if (out.empty()) return formulas_.all(all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!done[i]) out.push_back(all[i]);
  }
  return formulas_.all(out);
}

Status SchemaGraph::tell_conditions_apart() {
  NumberMap<FormulaId> known;
  const auto told = [&](auto& self, FormulaId f) -> FormulaId {
    if (f <= Formulas::kTrue || formulas_.op(f) == Formulas::Op::kLiteral) return f;
    if (const FormulaId* one = known.find(f)) return *one;
    std::vector<FormulaId> parts(formulas_.children(f).begin(), formulas_.children(f).end());
    for (FormulaId& part : parts) part = self(self, part);
    const bool all = formulas_.op(f) == Formulas::Op::kAnd;
    const FormulaId out = all ? by_constants(parts) : formulas_.any(parts);
    known.set(f, out);
    return out;
  };
  for (Node& node : nodes_) {
    const std::size_t before = formulas_.size();
    node.expanded = told(told, node.expanded);
    if (!fuel_->spend(1 + formulas_.size() - before)) {
      return fail(fuel_->error("schema " + node.place.pointer));
    }
  }
  return {};
}

}  // namespace espalier::grammar
