// Which of the names that an object's formulas speak of may be its next key.
#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "grammar/json_expression.h"
#include "grammar/program.h"
#include "grammar/schema/rising.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kFewNames = 8;  // that are each tried

}  // namespace

// Of some names those that may come because the members of all of them together, or one of them
// with those that must come, are a whole object: where a formula says nothing but what members
// satisfy, which of them come and how many. `unsure`: the others, where a formula says more, or
// neither is one.
SchemaMachine::Names SchemaMachine::may_come_together(LevelId object, const Names& names,
                                                      Names& unsure) {
  Names out;
  const Alternatives& alternatives = levels_[object].alternatives;
  bool whole = true;
  for (std::size_t i = 0; i < alternatives.size(); ++i) {
    const FormulaId f = alternatives[i].formula;
    const KeyFacts& facts = key_facts(f);
    whole = whole && facts.keys_alone;
    if (!facts.keys_alone) continue;
    Names live;
    std::uint64_t size = 0;
    for (const std::uint32_t name : names) {
      const std::optional<FormulaId> value = member_value(f, facts, name);
      whole = whole && value.has_value();
      if (!value) continue;
      const ValueFacts own = value_facts(expand(*value));
      if (own.verdict != Verdict::kYes || !fits(levels_[object].depth, own.height)) continue;
      live.push_back(name);
      size += own.size + spelled(name).size() + 6;
    }
    if (live.empty()) continue;
    const std::uint64_t bound = size + level_bound(object) + 8;
    if (bound > Program::kLongestClosing / 2) {
      whole = false;
      continue;
    }
    // Whether a whole object is left where just these come.
    const auto holds_with = [&](const Names& coming) {
      return formulas_.evaluate(f, [&](FormulaId l) {
        const Atom atom = formulas_.atom(l);
        const bool yes =
            atom.kind == AtomKind::kMembers ||
            (atom.kind == AtomKind::kHas ? std::binary_search(coming.begin(), coming.end(), atom.a)
                                         : coming.size() >= atom.a);
        return yes != formulas_.negated(l);
      });
    };
    bool some = false;
    const auto add = [&](std::uint32_t name) {
      out.push_back(name);
      some = true;
    };
    if (holds_with(live)) {
      std::ranges::for_each(live, add);
    } else {
      Names must;
      for (const FormulaId part : formulas_.parts(f)) {
        if (formulas_.op(part) == Formulas::Op::kLiteral && !formulas_.negated(part) &&
            formulas_.atom(part).kind == AtomKind::kHas) {
          must.push_back(formulas_.atom(part).a);
        }
      }
      std::sort(must.begin(), must.end());
      if (std::ranges::includes(live, must)) {
        for (const std::uint32_t name : live) {
          Names coming = must;
          const auto at = std::lower_bound(coming.begin(), coming.end(), name);
          if (at == coming.end() || *at != name) coming.insert(at, name);
          if (holds_with(coming)) add(name);
        }
      }
      whole = false;
    }
    if (some) levels_[object].after_key = std::max(levels_[object].after_key, bound);
  }
  make_rising(out);
  if (!whole) std::ranges::set_difference(names, out, std::back_inserter(unsure));
  return out;
}

// Of names that do not stand yet, sorted, those that may come.
SchemaMachine::Names SchemaMachine::may_come(LevelId object, const Names& names) {
  Names out;
  Level& level = levels_[object];
  const bool known = std::ranges::all_of(level.alternatives, [&](const Alternative& a) {
    return key_facts(a.formula).members.has_value();
  });
  const auto lives = [&](FormulaId value) {
    const ValueFacts facts = value_facts(expand(value));
    if (facts.verdict != Verdict::kYes || !fits(level.depth, facts.height)) return false;
    level.after_key = std::max(level.after_key, facts.size + level_bound(object) + 8);
    return true;
  };
  const bool steady = !known && std::ranges::all_of(level.alternatives, [&](const Alternative& a) {
    return key_facts(a.formula).steady;
  });
  if (steady) {  // by the values alone too
    bool whole = true;
    for (const std::uint32_t name : names) {
      bool may = false;
      for (const Alternative& a : level.alternatives) {
        const auto value = member_value(a.formula, key_facts(a.formula), name);
        whole = whole && value.has_value();
        may = (value && lives(*value)) || may;
      }
      if (may) out.push_back(name);
    }
    if (whole) return out;
    out.clear();
  }
  if (!known) {
    Names unsure;
    out = may_come_together(object, names, unsure);
    const auto planned = level.alternatives.size() == 1 && unsure.size() > kFewNames
                             ? this->planned(level, level.alternatives[0])
                             : std::nullopt;
    for (const std::uint32_t name : unsure) {
      const auto size =
          planned ? closes_behind(level, level.alternatives[0], *planned, name) : std::nullopt;
      if (size) {
        out.push_back(name);
        level.after_key = std::max(level.after_key, *size + level_bound(object) + 8);
        continue;
      }
      const LevelId value = value_after_key(object, std::string(formulas_.name_of(name)));
      if (value == 0) continue;
      out.push_back(name);
      levels_[object].after_key = std::max(levels_[object].after_key, level_bound(value));
    }
    std::sort(out.begin(), out.end());
    return out;
  }
  // By their members' values, one alternative after the other: what it names, and where any other
  // may come all that it does not name.
  enum : std::uint8_t { kLeft, kMay, kMayNot };
  std::vector<std::uint8_t> found(names.size(), kLeft);
  std::size_t left = names.size();
  std::vector<std::size_t> dead;
  for (std::size_t i = 0; i < level.alternatives.size() && left > 0; ++i) {
    const MemberMap map = formulas_.members_of(*key_facts(level.alternatives[i].formula).members);
    dead.clear();
    std::size_t at = 0;  // of names; both lists rise
    for (const auto& [name, value] : map.named) {
      while (at < names.size() && names[at] < name) ++at;
      if (at == names.size()) break;
      if (names[at] != name || found[at] == kMay) continue;
      if (lives(value)) {
        found[at] = kMay;
        --left;
      } else {
        found[at] = kMayNot;
        dead.push_back(at);
      }
    }
    if (left > dead.size() && lives(map.other)) {
      for (std::uint8_t& one : found) {
        if (one != kLeft) continue;
        one = kMay;
        --left;
      }
    }
    for (const std::size_t which : dead) found[which] = kLeft;
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (found[i] == kMay) out.push_back(names[i]);
  }
  return out;
}

}  // namespace espalier::grammar
