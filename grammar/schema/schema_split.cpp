// What a container may be after one more member or item, as alternatives: what the value satisfies,
// and what is left to satisfy then.
#include <algorithm>

#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostCompared = 8;  // parts of what is said of a value

}  // namespace

// Equal rests join their values, equal values their rests.
void SchemaMachine::group(std::vector<Pair>& pairs) {
  if (pairs.size() < 2) return;
  const auto join = [&](auto key, auto other) {
    std::unordered_map<FormulaId, std::size_t> at;
    std::vector<std::pair<FormulaId, std::vector<FormulaId>>> groups;
    for (const Pair& pair : pairs) {
      const auto [it, fresh] = at.try_emplace(key(pair), groups.size());
      if (fresh) groups.emplace_back(key(pair), std::vector<FormulaId>{});
      groups[it->second].second.push_back(other(pair));
    }
    return groups;
  };
  const auto value = [](const Pair& p) { return p.value; };
  const auto rest = [](const Pair& p) { return p.rest; };
  auto by_rest = join(rest, value);
  pairs.clear();
  for (auto& [r, values] : by_rest) pairs.push_back({formulas_.any(values), r});
  auto by_value = join(value, rest);
  pairs.clear();
  for (auto& [v, rests] : by_value) pairs.push_back({v, formulas_.any(rests)});
}

// A value's formula as what it says of the value where that is short, so that it can be seen of
// constants and types which exclude each other; else as it is. Values that are listed beside types
// are those of these types.
FormulaId SchemaMachine::comparable(FormulaId value) {
  if (const FormulaId* known = comparable_.find(value)) return *known;
  const auto literal = [&](FormulaId f) { return formulas_.op(f) == Formulas::Op::kLiteral; };
  const auto kind = [&](FormulaId f, AtomKind of) {
    return literal(f) && formulas_.atom(f).kind == of;
  };
  // Of a part of parts, bounds that hold for values of other types too, as `maximum` does.
  const auto bounds = [&](FormulaId f) {
    const auto inner = formulas_.children(f);
    return inner.size() == 2 && std::ranges::all_of(inner, [&](FormulaId part) {
             return kind(part, AtomKind::kType) || formulas_.is_bound(part);
           });
  };
  const FormulaId said = expand(value);
  FormulaId out = said;
  if (said > Formulas::kTrue && !literal(said)) {
    std::vector<FormulaId> parts(formulas_.children(said).begin(), formulas_.children(said).end());
    const bool is_short =
        parts.size() <= kMostCompared &&
        std::ranges::all_of(parts, [&](FormulaId part) { return literal(part) || bounds(part); });
    if (!is_short) out = value;
    const auto listed = [&](FormulaId part) {
      return kind(part, AtomKind::kIn) && !formulas_.negated(part);
    };
    if (is_short && formulas_.op(said) == Formulas::Op::kAnd &&
        std::ranges::any_of(parts, listed)) {
      const JsonTypes types = formulas_.types_of(said);
      std::erase_if(parts, [&](FormulaId part) { return kind(part, AtomKind::kType); });
      for (FormulaId& part : parts) {
        if (listed(part)) part = formulas_.restrict(part, types);
      }
      out = formulas_.all(parts);
    }
  }
  comparable_.set(value, out);
  return out;
}

// What split_by_products() would make, before any of it is seen to be impossible or equal; `told`
// counts what is said of the value on the way. Bounded by kManyProducts each.
std::size_t SchemaMachine::products(FormulaId f, std::size_t& told) {
  if (!has_child(f)) return 1;
  if (formulas_.op(f) == Formulas::Op::kLiteral) {
    told = std::min(told + 1, kManyProducts);
    return 1;
  }
  const bool all = formulas_.op(f) == Formulas::Op::kAnd;
  std::size_t out = all ? 1 : 0;
  for (const FormulaId part : formulas_.children(f)) {
    const std::size_t own = products(part, told);
    out = std::min(all ? out * own : out + own, kManyProducts);
    if (told == kManyProducts) break;  // no more are asked for than are told
  }
  return out;
}

// f = the disjunction of (value and rest) over `out`. False where that is too long.
bool SchemaMachine::split(FormulaId f, std::vector<Pair>& out) {
  std::size_t told = 0;
  const std::size_t made = products(f, told);
  if (made > kFewProducts && made / kFewATold > told) {
    const std::size_t before = out.size();
    if (split_by_values(f, out)) return true;
    if (!says_too_much(f) && split_by_cases(f, out)) return true;
    out.resize(before);
  }
  return split_by_products(f, out);
}

// A formula's parts, which must all hold: what they say of the value, of the rest, and of both.
SchemaMachine::SplitParts SchemaMachine::split_parts(FormulaId f) {
  SplitParts out;
  for (const FormulaId part : formulas_.parts(f)) {
    if (!has_child(part)) {
      out.rests.push_back(part);
    } else if (formulas_.op(part) == Formulas::Op::kLiteral) {
      out.values.push_back(comparable(formulas_.atom(part).a));
    } else {
      out.mixed.push_back(part);
    }
  }
  return out;
}

// By the values that a formula tells apart, where all that it says of a value under conditions is
// whether it is one of some: what is left then by value, and for any other. A condition is looked
// into once for all others and once for each value that it names, few in a long list of `if` by
// constants; and so is an alternative of the only condition.
bool SchemaMachine::split_by_values(FormulaId f, std::vector<Pair>& out) {
  const SplitParts parts = split_parts(f);
  const bool any = parts.mixed.size() == 1 && formulas_.op(parts.mixed[0]) == Formulas::Op::kOr;
  std::vector<FormulaId> mixed = parts.mixed;
  if (any) {
    const auto alternatives = formulas_.children(parts.mixed[0]);
    mixed.assign(alternatives.begin(), alternatives.end());
  }
  // By value the conditions that name it.
  std::map<Json, std::vector<std::size_t>> named;
  bool known = true;
  std::size_t places = 0;
  for (std::size_t i = 0; i < mixed.size() && known; ++i) {
    formulas_.map(mixed[i], [&](FormulaId l) {
      if (formulas_.atom(l).kind != AtomKind::kChild || !known) return l;
      const FormulaId said = comparable(formulas_.atom(l).a);
      known = formulas_.op(said) == Formulas::Op::kLiteral &&
              formulas_.atom(said).kind == AtomKind::kIn && ++places <= kMaxPairs;
      if (!known) return l;
      for (const Json& value : formulas_.set_of(formulas_.atom(said).a)) {
        std::vector<std::size_t>& of = named[value];
        if (of.empty() || of.back() != i) of.push_back(i);
      }
      known = named.size() <= kMaxPairs;
      return l;
    });
  }
  if (!known || !fuel_.spend(named.size() + places)) return false;
  // What a condition leaves where the value is this one, or none of them.
  const auto left_by = [&](FormulaId part, const Json* value) {
    return formulas_.map(part, [&](FormulaId l) -> FormulaId {
      if (formulas_.atom(l).kind != AtomKind::kChild) return l;
      const FormulaId said = comparable(formulas_.atom(l).a);
      const bool among =
          value != nullptr && std::ranges::any_of(formulas_.set_of(formulas_.atom(said).a),
                                                  [&](const Json& v) { return v == *value; });
      return among != formulas_.negated(said) ? Formulas::kTrue : Formulas::kFalse;
    });
  };
  std::vector<FormulaId> usual(mixed.size());
  for (std::size_t i = 0; i < mixed.size(); ++i) usual[i] = left_by(mixed[i], nullptr);
  std::vector<std::pair<FormulaId, std::vector<Json>>> by_rest;
  NumberMap<std::uint32_t> at;  // by rest: 1 + its place there
  const FormulaId common = formulas_.all(parts.rests);
  std::vector<FormulaId> left;
  const FormulaId decides = any ? Formulas::kTrue : Formulas::kFalse;
  const auto rest_of = [&](const Json* value, std::span<const std::size_t> conditions) {
    left.clear();
    std::size_t next = 0;
    for (std::size_t i = 0; i < mixed.size(); ++i) {
      const bool own = next < conditions.size() && conditions[next] == i;
      if (own) ++next;
      const FormulaId one = own ? left_by(mixed[i], value) : usual[i];
      if (one == decides) return any ? common : Formulas::kFalse;
      left.push_back(one);
    }
    if (any) left.assign(1, formulas_.any(left));
    left.push_back(common);
    return formulas_.all(left);
  };
  const FormulaId other = rest_of(nullptr, {});
  std::vector<Json> apart;
  for (const auto& [value, conditions] : named) {
    if (!fuel_.spend(1 + mixed.size() / 16)) return false;
    const FormulaId rest = rest_of(&value, conditions);
    if (rest == other) continue;
    apart.push_back(value);
    std::uint32_t& place = at.at(rest);
    if (place == 0) {
      by_rest.emplace_back(rest, std::vector<Json>{});
      place = static_cast<std::uint32_t>(by_rest.size());
    }
    by_rest[place - 1].second.push_back(value);
  }
  const auto add = [&](std::vector<Json> of, bool negated, FormulaId rest) {
    if (rest == Formulas::kFalse) return;
    std::vector<FormulaId> all = parts.values;
    if (!of.empty()) {
      all.push_back(formulas_.literal({AtomKind::kIn, formulas_.set(std::move(of)), 0}, negated));
    }
    const FormulaId value = formulas_.all(all);
    if (value != Formulas::kFalse) out.push_back({value, rest});
  };
  for (auto& [rest, of] : by_rest) add(std::move(of), false, rest);
  add(std::move(apart), true, other);
  return true;
}

// Whether more is said of the value than cases can tell apart in reasonable time, or more of what
// it holds: of such things none decides another.
bool SchemaMachine::says_too_much(FormulaId f) {
  NumberMap<bool> said, any;
  formulas_.map(f, [&](FormulaId l) {
    if (formulas_.atom(l).kind != AtomKind::kChild) return l;
    const FormulaId value = comparable(formulas_.atom(l).a);
    any.set(value, true);
    formulas_.map(value, [&](FormulaId part) {
      switch (formulas_.atom(part).kind) {
        case AtomKind::kNode:
        case AtomKind::kHas:
        case AtomKind::kMembers:
        case AtomKind::kItems:
        case AtomKind::kContains:
          said.set(value, true);
          break;
        default:
          break;
      }
      return part;
    });
    return l;
  });
  return said.size() > kMostHeld || any.size() > kMostTold;
}

// By what is said of the value, one by one: it holds or it doesn't. The values of two pairs exclude
// each other, and there are few where one condition decides others, as where alternatives that
// exclude each other are told apart by a constant. False where more than kMostCases are to be told.
bool SchemaMachine::split_by_cases(FormulaId whole_formula, std::vector<Pair>& out) {
  // What is told next: first whether the value is of the type that it is told of, for of others it
  // says nothing.
  const auto next_said = [&](FormulaId at, FormulaId value) {
    while (formulas_.op(at) != Formulas::Op::kLiteral) {
      const auto parts = formulas_.children(at);
      at = *std::ranges::find_if(parts, [&](FormulaId part) { return has_child(part); });
    }
    const FormulaId said = comparable(formulas_.atom(at).a);
    const JsonTypes may = formulas_.types_of(value);
    for (const std::uint8_t type : {JsonTypes::kString, JsonTypes::kNumber}) {
      const JsonTypes only(type);
      const bool told = (may & only).none() || (may & only) == may;
      if (!told && formulas_.speaks_of(said, only)) return formulas_.types(only);
    }
    return said;
  };
  // Of what is known what was known `before` has decided all that it decides, but for types and
  // bounds, which say more beside others.
  const auto new_of = [&](FormulaId known, FormulaId before) {
    if (formulas_.types_of(known) != formulas_.types_of(before)) return known;
    std::vector<FormulaId> parts = formulas_.parts(known);
    const std::vector<FormulaId> old = formulas_.parts(before);  // sorted
    std::erase_if(parts, [&](FormulaId part) {
      const bool alone = formulas_.op(part) != Formulas::Op::kLiteral || formulas_.is_pattern(part);
      return alone && std::ranges::binary_search(old, part);
    });
    return formulas_.all(parts);
  };
  const auto given = [&](FormulaId f, FormulaId known) {
    const JsonTypes may = formulas_.types_of(known);
    const auto decided = [&](FormulaId said) -> std::optional<FormulaId> {
      if (said <= Formulas::kTrue) return said;
      const FormulaId both = formulas_.all({known, said});
      if (both == known) return Formulas::kTrue;
      if (both == Formulas::kFalse) return Formulas::kFalse;
      const bool excluded = formulas_.all({known, formulas_.negate(said)}) == known;
      return excluded ? std::optional(Formulas::kFalse) : std::nullopt;
    };
    // As it was told, or, of a value of these types, by what it says of them.
    const auto left_of = [&](FormulaId l) {
      FormulaId said = comparable(formulas_.atom(l).a);
      if (const auto told = decided(said)) return *told;
      const FormulaId whole = said;
      if (may != JsonTypes(JsonTypes::kAll)) said = formulas_.restrict(said, may);
      if (may == JsonTypes(JsonTypes::kString)) said = by_patterns(known, said);
      return said != whole ? decided(said).value_or(l) : l;
    };
    NumberMap<FormulaId> seen;  // the same things are said in many places
    return formulas_.map(f, [&](FormulaId l) -> FormulaId {
      if (formulas_.atom(l).kind != AtomKind::kChild) return l;
      if (const FormulaId* one = seen.find(l)) return *one;
      const FormulaId found = left_of(l);
      seen.set(l, found);
      return found;
    });
  };
  // What a formula is to be told of a value of which this is known, and was `before`.
  struct Case {
    FormulaId formula, value, before;
  };
  std::vector<Case> open{{whole_formula, Formulas::kTrue, Formulas::kTrue}};
  for (std::size_t cases = 0; !open.empty(); ++cases) {
    const auto [formula, value, before] = open.back();
    open.pop_back();
    if (value == Formulas::kFalse) continue;
    const std::size_t size = formulas_.size();
    // What was told followed from the value where it is the same: then all of it decides.
    const FormulaId f = given(formula, value == before ? value : new_of(value, before));
    if (cases == kMostCases || !fuel_.spend(1 + formulas_.size() - size)) return false;
    if (has_child(f)) {
      const FormulaId said = next_said(f, value);
      open.push_back({f, formulas_.all({value, formulas_.negate(said)}), value});
      open.push_back({f, formulas_.all({without_implied(value, said), said}), value});
    } else if (f != Formulas::kFalse) {
      out.push_back({value, f});
    }
  }
  return true;
}

// What is said of a string of which `known` holds, where the patterns in that decide those in this.
FormulaId SchemaMachine::by_patterns(FormulaId known, FormulaId said) {
  std::vector<FormulaId> patterns = formulas_.parts(known);
  std::erase_if(patterns, [&](FormulaId part) { return !formulas_.is_pattern(part); });
  if (patterns.empty()) return said;
  return formulas_.map(said, [&](FormulaId l) -> FormulaId {
    if (!formulas_.is_pattern(l)) return l;
    const bool negated = formulas_.negated(l);
    const FormulaId own = negated ? formulas_.negate(l) : l;
    for (const FormulaId p : patterns) {
      const bool matches = !formulas_.negated(p);
      const LanguageRelation to = key_relation(matches ? p : formulas_.negate(p), own);
      if (matches ? !to.both : !to.second_alone)
        return negated ? Formulas::kTrue : Formulas::kFalse;
      if (matches && !to.first_alone) return negated ? Formulas::kFalse : Formulas::kTrue;
    }
    return l;
  });
}

// Without patterns that a string which matches `said` cannot match anyway.
FormulaId SchemaMachine::without_implied(FormulaId value, FormulaId said) {
  if (!formulas_.is_pattern(said) || formulas_.negated(said)) return value;
  std::vector<FormulaId> parts = formulas_.parts(value);
  std::erase_if(parts, [&](FormulaId part) {
    return formulas_.is_pattern(part) && formulas_.negated(part) &&
           !key_relation(formulas_.negate(part), said).both;
  });
  return formulas_.all(parts);
}

// By the parts of conjunctions and disjunctions.
bool SchemaMachine::split_by_products(FormulaId f, std::vector<Pair>& out) {
  if (f == Formulas::kFalse) return true;
  if (!has_child(f)) {
    out.push_back({Formulas::kTrue, f});
    return true;
  }
  if (formulas_.op(f) == Formulas::Op::kLiteral) {
    out.push_back({comparable(formulas_.atom(f).a), Formulas::kTrue});
    return true;
  }
  if (formulas_.op(f) == Formulas::Op::kOr) {
    const std::vector<FormulaId> parts(formulas_.children(f).begin(), formulas_.children(f).end());
    std::vector<FormulaId> plain;
    bool whole = true;
    for (const FormulaId part : parts) {
      if (!has_child(part)) {
        plain.push_back(part);
      } else {
        whole = split_by_products(part, out) && whole;
      }
      if (out.size() > kMaxAlternatives || !fuel_.spend()) return false;
    }
    if (!plain.empty()) out.push_back({Formulas::kTrue, formulas_.any(plain)});
    group(out);
    return whole;
  }
  const SplitParts own = split_parts(f);
  std::vector<Pair> product{{formulas_.all(own.values), formulas_.all(own.rests)}};
  for (const FormulaId part : own.mixed) {
    std::vector<Pair> more;
    if (!split_by_products(part, more)) return false;
    if (product.size() * more.size() > kMaxPairs || !fuel_.spend(product.size() * more.size())) {
      return false;
    }
    std::vector<Pair> next;
    for (const Pair& a : product) {
      const bool held = std::ranges::any_of(more, [&](const Pair& b) {
        return b.rest == Formulas::kTrue && formulas_.all({a.value, b.value}) == a.value;
      });
      if (held) {  // by the value alone
        next.push_back(a);
        continue;
      }
      for (const Pair& b : more) {
        const Pair both{formulas_.all({a.value, b.value}), formulas_.all({a.rest, b.rest})};
        if (both.value != Formulas::kFalse && both.rest != Formulas::kFalse) next.push_back(both);
      }
    }
    group(next);
    product = std::move(next);
  }
  out.insert(out.end(), product.begin(), product.end());
  return true;
}

// Of a formula that stays the same after a member, what the member's value satisfies.
std::optional<FormulaId> SchemaMachine::member_value(FormulaId f, const KeyFacts& facts,
                                                     std::uint32_t name) {
  if (facts.plain) {
    if (!facts.members) return facts.other;
    const auto& named = formulas_.members_of(*facts.members).named;
    const auto own =
        std::lower_bound(named.begin(), named.end(), std::pair<std::uint32_t, FormulaId>(name, 0));
    return own != named.end() && own->first == name ? own->second : facts.other;
  }
  std::vector<FormulaId> values;
  std::vector<FormulaId> parts{f};
  if (formulas_.op(f) == Formulas::Op::kAnd) {
    parts.assign(formulas_.children(f).begin(), formulas_.children(f).end());
  }
  for (const FormulaId part : parts) {
    if (formulas_.atom(part).kind != AtomKind::kMembers) continue;
    const std::uint64_t id = std::uint64_t{part} << 32 | name;
    const FormulaId* known = member_values_.find(id);
    if (known == nullptr) {
      std::vector<Pair> own;
      const bool whole = split(after_member(part, name), own);
      if (!whole || own.size() > 1 || (!own.empty() && own[0].rest != part)) return std::nullopt;
      member_values_.set(id, own.empty() ? Formulas::kFalse : own[0].value);
      known = member_values_.find(id);
    }
    values.push_back(*known);
  }
  return formulas_.all(values);
}

// split() of what `f` becomes after a member.
bool SchemaMachine::split_member(FormulaId f, std::uint32_t name, std::vector<Pair>& out) {
  const KeyFacts& facts = key_facts(f);
  if (!facts.steady || !fuel_.spend()) return split(after_member(f, name), out);
  const std::optional<FormulaId> value = member_value(f, facts, name);
  if (!value) return split(after_member(f, name), out);
  const auto comes = [&](FormulaId l) {
    return formulas_.op(l) == Formulas::Op::kLiteral && formulas_.atom(l).kind == AtomKind::kHas &&
           formulas_.atom(l).a == name;
  };
  FormulaId rest = f;
  if (comes(f)) {
    rest = Formulas::kTrue;
  } else if (formulas_.op(f) == Formulas::Op::kAnd) {
    const auto parts = formulas_.children(f);
    const auto has = std::ranges::find_if(parts, comes);
    if (has != parts.end()) rest = formulas_.without(f, *has);
  }
  if (*value != Formulas::kFalse) out.push_back({*value, rest});
  return true;
}

}  // namespace espalier::grammar
