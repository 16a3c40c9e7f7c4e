// Conditions by constants of one member, or of one inside it (`if` it is this `then` that, for many
// constants), as the choice that they are: one alternative for each constant, one for any other
// value, and those where the member is absent. As a conjunction each of them is open until the
// member comes, and what stands before it multiplies their ways.
#include <algorithm>
#include <compare>
#include <map>
#include <optional>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kMost = 4096;        // conditions by one member
constexpr std::size_t kLongestPath = 8;    // of members
constexpr std::ptrdiff_t kMostDenied = 8;  // that one condition may be seen to ask

}  // namespace

// Reads on from a value that the last member of the path must have. False where it asks for more.
bool SchemaGraph::asked(FormulaId value, Asked& out) const {
  const auto is = [&](FormulaId l, AtomKind kind) {
    return formulas_.op(l) == Formulas::Op::kLiteral && formulas_.atom(l).kind == kind &&
           !formulas_.negated(l);
  };
  for (;;) {
    if (is(value, AtomKind::kNode)) value = nodes_[formulas_.atom(value).a].expanded;
    JsonTypes types;
    std::optional<std::uint32_t> set, members, required;
    for (const FormulaId part : formulas_.parts(value)) {
      const std::uint32_t a = formulas_.atom(part).a;
      if (is(part, AtomKind::kType)) {
        types = JsonTypes(static_cast<std::uint8_t>(a));
      } else if (is(part, AtomKind::kIn) && !set) {
        set = a;
      } else if (is(part, AtomKind::kMembers) && !members) {
        members = a;
      } else if (is(part, AtomKind::kHas) && !required) {
        required = a;
      } else {
        return false;
      }
    }
    if (set) {
      out.values = *set;
      return !members && !required &&
             std::ranges::all_of(formulas_.set_of(*set),
                                 [&](const Json& v) { return !(type_of(v) & types).none(); });
    }
    const bool typed = types == JsonTypes(JsonTypes::kObject);
    if (!members || out.path.size() == kLongestPath || (!typed && types != JsonTypes()))
      return false;
    const MemberMap& map = formulas_.members_of(*members);
    if (map.named.size() != 1 || map.other != Formulas::kTrue || !map.patterns.empty())
      return false;
    const auto [name, inner] = map.named[0];
    if (required && *required != name) return false;
    out.path.push_back({name, required.has_value(), typed});
    value = inner;
  }
}

// That the last member of a path satisfies `value`; `whole`: and that it is there.
FormulaId SchemaGraph::at_path(const std::vector<Asked::Step>& path, FormulaId value, bool whole) {
  for (std::size_t i = path.size(); i-- > 0;) {
    MemberMap map;
    map.named.emplace_back(path[i].name, value);
    std::vector<FormulaId> all{
        formulas_.literal({AtomKind::kMembers, formulas_.members(std::move(map)), 0})};
    if (whole || path[i].required) {
      all.push_back(formulas_.literal({AtomKind::kHas, path[i].name, 0}));
    }
    if (whole || path[i].typed) all.push_back(formulas_.types(JsonTypes::kObject));
    value = formulas_.all(all);
  }
  return value;
}

// A conjunction with its conditions by constants of one member as a choice; itself where there are
// only few.
FormulaId SchemaGraph::by_constants(const std::vector<FormulaId>& all) {
  struct Condition {
    std::size_t part = 0;  // of `all`
    Asked what;
    FormulaId follows = 0;
  };
  std::map<std::vector<Asked::Step>, std::vector<Condition>> groups;
  const FormulaId no_object = formulas_.negate(formulas_.types(JsonTypes::kObject));
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (formulas_.op(all[i]) != Formulas::Op::kOr) continue;
    const std::vector<FormulaId> ways(formulas_.children(all[i]).begin(),
                                      formulas_.children(all[i]).end());
    const auto denies = [&](FormulaId way) {
      return formulas_.op(way) == Formulas::Op::kLiteral && formulas_.negated(way) &&
             formulas_.atom(way).kind == AtomKind::kMembers;
    };
    if (std::ranges::count_if(ways, denies) > kMostDenied) continue;
    for (const FormulaId way : ways) {
      Condition one;
      one.part = i;
      if (!denies(way) || !asked(formulas_.negate(way), one.what)) continue;
      Asked::Step& first = one.what.path.front();
      const FormulaId absent = formulas_.literal({AtomKind::kHas, first.name, 0}, true);
      std::vector<FormulaId> then;
      for (const FormulaId other : ways) {
        if (other == absent) first.required = true;
        if (other == no_object) first.typed = true;
        if (other != way && other != absent && other != no_object) then.push_back(other);
      }
      one.follows = formulas_.any(then);
      groups[one.what.path].push_back(std::move(one));
    }
  }
  std::vector<FormulaId> out;
  std::vector<bool> done(all.size());
  for (auto& [path, conditions] : groups) {
    std::vector<Condition> own;
    std::vector<Json> values;
    std::size_t told = 0;
    for (Condition& one : conditions) {
      if (done[one.part] || (!own.empty() && own.back().part == one.part)) continue;
      const std::vector<Json>& set = formulas_.set_of(one.what.values);
      values.insert(values.end(), set.begin(), set.end());
      told += set.size();
      own.push_back(std::move(one));
    }
    if (own.size() < kFewestConditions || own.size() > kMost) continue;
    const std::uint32_t any = formulas_.set(std::move(values));
    if (formulas_.set_of(any).size() != told) continue;  // some value is of two
    // Where the member is there, at most one condition holds; elsewhere all of them, or none.
    const FormulaId there = at_path(path, Formulas::kTrue, true);
    std::vector<FormulaId> choice, always{formulas_.negate(there)};
    for (const Condition& one : own) {
      done[one.part] = true;
      const FormulaId is = formulas_.literal({AtomKind::kIn, one.what.values, 0});
      choice.push_back(formulas_.all({at_path(path, is, true), one.follows}));
      always.push_back(one.follows);
    }
    const FormulaId known = formulas_.literal({AtomKind::kIn, any, 0});
    choice.push_back(formulas_.negate(at_path(path, known, false)));
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
