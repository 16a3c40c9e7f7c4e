// What a formula becomes when a container reads one more member or item, and when it ends.
#include <algorithm>

#include "grammar/schema/rising.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

// A value that differs from `values` after one more member or item: `cut(v)` gives the part of v
// that it must be compared with and what remains of v, or nothing where v differs already.
template <class Cut>
FormulaId still_differs(Formulas& formulas, std::uint32_t values, Cut&& cut) {
  std::vector<JsonValues::Cut> cuts;
  for (std::size_t i = 0; i < formulas.values_of(values).size(); ++i) {
    const JsonValues::Cut one = cut(formulas.values_of(values)[i]);
    if (one.part != JsonValues::kNone) cuts.push_back(one);
  }
  std::stable_sort(cuts.begin(), cuts.end(),
                   [](const auto& a, const auto& b) { return a.part < b.part; });
  const auto child = [&](FormulaId f) { return formulas.literal({AtomKind::kChild, f, 0}); };
  const auto differs = [&](std::vector<JsonValueId> list) {
    return formulas.literal({AtomKind::kDiffers, formulas.values(std::move(list)), 0});
  };
  std::vector<JsonValueId> parts, rests;
  std::vector<FormulaId> any;
  for (auto at = cuts.begin(); at != cuts.end();) {  // those that agree in the part
    const JsonValueId part = at->part;
    rests.clear();
    for (; at != cuts.end() && at->part == part; ++at) rests.push_back(at->rest);
    any.push_back(formulas.all({child(formulas.equals(part)), differs(rests)}));
    parts.push_back(part);
  }
  any.push_back(child(differs(std::move(parts))));
  return formulas.any(any);
}

// What members satisfy of which one has come, which comes once: what a condition says of few is
// settled when all of them have. kTrue where nothing is left.
FormulaId without_member(Formulas& formulas, FormulaId l, std::uint32_t name) {
  constexpr std::size_t kFew = 8;  // names: each set of those that are left is a formula of its own
  const Atom atom = formulas.atom(l);
  const MemberMap& map = formulas.members_of(atom.a);
  if (map.named.size() > kFew || map.other != Formulas::kTrue || !map.patterns.empty()) return l;
  const auto own = std::ranges::find(map.named, name, [](const auto& one) { return one.first; });
  if (own == map.named.end()) return l;
  MemberMap left;
  left.named.assign(map.named.begin(), own);
  left.named.insert(left.named.end(), own + 1, map.named.end());
  return formulas.literal({AtomKind::kMembers, formulas.members(std::move(left)), 0},
                          formulas.negated(l));
}

}  // namespace

// Schemas by number give way to what they say of the value at hand.
FormulaId SchemaMachine::expand(FormulaId f) {
  if (f <= Formulas::kTrue) return f;
  if (const FormulaId* known = expanded_.find(f)) return *known;
  FormulaId out = formulas_.map(f, [&](FormulaId l) -> FormulaId {
    const Atom atom = formulas_.atom(l);
    if (atom.kind != AtomKind::kNode) return l;
    const FormulaId whole = graph_->expanded(atom.a);
    return formulas_.negated(l) ? formulas_.negate(whole) : whole;
  });
  if (graph_->has_unknown()) {
    // What is not enforced may hold or not: the language is what either would admit.
    out = formulas_.map(out, [&](FormulaId l) {
      return formulas_.atom(l).kind == AtomKind::kUnknown ? Formulas::kTrue : l;
    });
  }
  expanded_.set(f, out);
  return out;
}

// What a key satisfies. What is not enforced of it counts as not said: `propertyNames` is the
// exclusion of what its schema denies.
FormulaId SchemaMachine::expand_key(FormulaId f) {
  if (!graph_->has_unknown()) return expand(f);
  const FormulaId whole = formulas_.map(f, [&](FormulaId l) -> FormulaId {
    const Atom atom = formulas_.atom(l);
    if (atom.kind != AtomKind::kNode) return l;
    const FormulaId inner = graph_->expanded(atom.a);
    return formulas_.negated(l) ? formulas_.negate(inner) : inner;
  });
  return formulas_.map(whole, [&](FormulaId l) {
    return formulas_.atom(l).kind == AtomKind::kUnknown ? Formulas::kFalse : l;
  });
}

FormulaId SchemaMachine::literal_after_member(FormulaId l, std::uint32_t name) {
  const Atom atom = formulas_.atom(l);
  const bool negated = formulas_.negated(l);
  switch (atom.kind) {
    case AtomKind::kHas:
      if (name != atom.a) return l;
      return negated ? Formulas::kFalse : Formulas::kTrue;
    case AtomKind::kMembersAtLeast:
      return formulas_.literal({atom.kind, atom.a - 1, 0}, negated);
    case AtomKind::kMembers: {
      SmallVector<FormulaId, 8> all;
      const auto& named = formulas_.members_of(atom.a).named;
      auto own = std::lower_bound(named.begin(), named.end(),
                                  std::pair<std::uint32_t, FormulaId>(name, 0));
      for (; own != named.end() && own->first == name; ++own) all.push_back(own->second);
      // By index: whether a pattern matches may make formulas.
      for (std::size_t i = 0; i < formulas_.members_of(atom.a).patterns.size(); ++i) {
        const auto [pattern, value] = formulas_.members_of(atom.a).patterns[i];
        if (key_matches(pattern, name)) all.push_back(value);
      }
      if (all.empty()) all.push_back(formulas_.members_of(atom.a).other);
      const FormulaId child = formulas_.literal({AtomKind::kChild, formulas_.all(all), 0}, negated);
      return negated ? formulas_.any({child, without_member(formulas_, l, name)})
                     : formulas_.all({child, l});
    }
    case AtomKind::kOrder: {
      const auto& names = formulas_.name_list_of(atom.a);
      const auto it = std::find(names.begin(), names.end(), name);
      if (it == names.end()) return l;
      const auto index = static_cast<std::uint32_t>(it - names.begin());
      if (index < atom.b) return Formulas::kFalse;
      return formulas_.literal({AtomKind::kOrder, atom.a, index + 1});
    }
    case AtomKind::kDiffers: {
      const FormulaId rest = still_differs(formulas_, atom.a, [&](JsonValueId value) {
        return formulas_.json_values().without_member(value, name);
      });
      return negated ? formulas_.negate(rest) : rest;
    }
    default:
      return l;
  }
}

// What the parts of `f` become after a member, and which of them names which: see PartsByName.
PartsByName SchemaMachine::parts_by_name(FormulaId f) {
  PartsByName out;
  out.known = true;
  const FormulaId says_nothing =
      formulas_.op(f) == Formulas::Op::kAnd ? Formulas::kTrue : Formulas::kFalse;
  const std::vector<FormulaId> parts(formulas_.children(f).begin(), formulas_.children(f).end());
  std::vector<std::uint32_t> names;
  for (std::uint32_t place = 0; place < parts.size(); ++place) {
    names.clear();
    bool any_name = false;
    formulas_.map(parts[place], [&](FormulaId l) {
      const Atom& atom = formulas_.atom(l);
      if (atom.kind == AtomKind::kHas) names.push_back(atom.a);
      if (atom.kind == AtomKind::kOrder || atom.kind == AtomKind::kDiffers) any_name = true;
      if (atom.kind != AtomKind::kMembers) return l;
      const MemberMap& map = formulas_.members_of(atom.a);
      any_name = any_name || !map.patterns.empty();
      for (const auto& [name, value] : map.named) names.push_back(name);
      return l;
    });
    if (any_name) {
      out.any_name.push_back(place);
      continue;
    }
    make_rising(names);
    for (const std::uint32_t name : names) out.named[name].push_back(place);
    const FormulaId after =
        formulas_.map(parts[place], [&](FormulaId l) { return literal_after_member(l, kNoName); });
    if (after != says_nothing) out.others.emplace_back(place, after);
  }
  bytes_ += out.held_bytes();
  return out;
}

FormulaId SchemaMachine::after_member(FormulaId whole, std::uint32_t name) {
  NumberMap<FormulaId> made;  // of parts that are no literals
  const auto after = [&](auto&& self, FormulaId f) -> FormulaId {
    if (f <= Formulas::kTrue) return f;
    if (formulas_.op(f) == Formulas::Op::kLiteral) {
      if (!fuel_.spend()) undecided_ = true;
      return fuel_.exhausted() ? Formulas::kFalse : literal_after_member(f, name);
    }
    if (const FormulaId* known = made.find(f)) return *known;
    const bool all = formulas_.op(f) == Formulas::Op::kAnd;
    const FormulaId decides = all ? Formulas::kFalse : Formulas::kTrue;
    const auto count = static_cast<std::uint32_t>(formulas_.children(f).size());
    SmallVector<FormulaId, 16> parts;
    const auto add = [&](std::uint32_t place) {
      parts.push_back(self(self, formulas_.children(f)[place]));
      return parts.back() != decides;
    };
    PartsByName* by_name = nullptr;
    if (count >= PartsByName::kFewest) {
      const auto [at, fresh] = parts_by_name_.try_emplace(f);
      by_name = &at->second;
      if (!fresh && !by_name->known && fuel_.spend(count)) *by_name = parts_by_name(f);
    }
    bool open = true;  // not decided
    if (by_name == nullptr || !by_name->known) {
      for (std::uint32_t place = 0; place < count && open; ++place) open = add(place);
    } else {
      const auto own = by_name->named.find(name);
      static const std::vector<std::uint32_t> kNone;
      const auto& named = own != by_name->named.end() ? own->second : kNone;
      for (const std::uint32_t place : named) open = open && add(place);
      for (const std::uint32_t place : by_name->any_name) open = open && add(place);
      for (const auto& [place, other] : by_name->others) {
        if (!std::ranges::binary_search(named, place)) parts.push_back(other);
      }
    }
    const FormulaId out = !open ? decides : all ? formulas_.all(parts) : formulas_.any(parts);
    made.set(f, out);
    return out;
  };
  return after(after, whole);
}

FormulaId SchemaMachine::after_item(FormulaId f) {
  return formulas_.map(f, [&](FormulaId l) -> FormulaId {
    if (!fuel_.spend()) undecided_ = true;
    if (fuel_.exhausted()) return Formulas::kFalse;
    const Atom atom = formulas_.atom(l);
    const bool negated = formulas_.negated(l);
    const auto child = [&](FormulaId value) {
      return formulas_.literal({AtomKind::kChild, value, 0}, negated);
    };
    switch (atom.kind) {
      case AtomKind::kItemsAtLeast:
        return formulas_.literal({atom.kind, atom.a - 1, 0}, negated);
      case AtomKind::kItems: {
        const ItemMap& map = formulas_.items_of(atom.a);
        const FormulaId value = atom.b < map.first.size() ? map.first[atom.b] : map.other;
        const std::uint32_t index =
            std::min(atom.b + 1, static_cast<std::uint32_t>(map.first.size()));
        const FormulaId rest = formulas_.literal({atom.kind, atom.a, index}, negated);
        return negated ? formulas_.any({child(value), rest}) : formulas_.all({child(value), rest});
      }
      case AtomKind::kContains: {
        // At least b of the rest: this one and b - 1 others, or b without it.
        const FormulaId less = formulas_.literal({atom.kind, atom.a, atom.b - 1}, negated);
        return negated ? formulas_.all({formulas_.any({child(atom.a), less}), l})
                       : formulas_.any({formulas_.all({child(atom.a), less}), l});
      }
      case AtomKind::kUnique: {
        // The item itself joins the list when it ends (with_value).
        const FormulaId differs = child(formulas_.literal({AtomKind::kDiffers, atom.a, 0}));
        return negated ? formulas_.any({differs, l}) : formulas_.all({differs, l});
      }
      case AtomKind::kDiffers: {
        const FormulaId rest = still_differs(formulas_, atom.a, [&](JsonValueId value) {
          return formulas_.json_values().without_first(value);
        });
        return negated ? formulas_.negate(rest) : rest;
      }
      default:
        return l;
    }
  });
}

bool SchemaMachine::at_end(FormulaId f) {
  return formulas_.map(f, [&](FormulaId l) -> FormulaId {
    const AtomKind kind = formulas_.atom(l).kind;
    bool holds = kind == AtomKind::kMembers || kind == AtomKind::kItems ||
                 kind == AtomKind::kUnique || kind == AtomKind::kOrder;
    if (kind == AtomKind::kDiffers) {
      const auto& values = formulas_.values_of(formulas_.atom(l).a);
      holds = std::none_of(values.begin(), values.end(),
                           [&](JsonValueId v) { return formulas_.json_values().empty(v); });
    }
    return holds != formulas_.negated(l) ? Formulas::kTrue : Formulas::kFalse;
  }) == Formulas::kTrue;
}

// The rest of an array once its last item is known.
FormulaId SchemaMachine::with_value(FormulaId f, JsonValueId value) {
  return formulas_.map(f, [&](FormulaId l) -> FormulaId {
    const Atom atom = formulas_.atom(l);
    if (atom.kind != AtomKind::kUnique) return l;
    std::vector<JsonValueId> list = formulas_.values_of(atom.a);
    list.push_back(value);
    return formulas_.literal({AtomKind::kUnique, formulas_.values(std::move(list)), 0},
                             formulas_.negated(l));
  });
}

namespace {

// The first of those that a sorted list holds most often; nothing where it holds none twice.
std::optional<std::uint32_t> most_frequent(std::span<const std::uint32_t> sorted) {
  std::optional<std::uint32_t> out;
  std::size_t most = 1;
  for (auto at = sorted.begin(); at != sorted.end();) {
    const auto end = std::find_if(at, sorted.end(), [&](std::uint32_t n) { return n != *at; });
    if (static_cast<std::size_t>(end - at) > most) {
      most = static_cast<std::size_t>(end - at);
      out = *at;
    }
    at = end;
  }
  return out;
}

}  // namespace

// One list for all formulas that speak of the same names.
const SchemaMachine::Names* SchemaMachine::name_set(Names&& names) {
  const auto [at, fresh] = name_sets_.insert(std::move(names));
  if (fresh) bytes_ += at->size() * sizeof(std::uint32_t) + 64;
  return &*at;
}

const KeyFacts& SchemaMachine::key_facts(FormulaId f) {
  if (const auto it = key_facts_.find(f); it != key_facts_.end()) return it->second;
  KeyFacts facts;
  Names names;
  bool plain = true;
  facts.steady = facts.keys_alone = true;
  std::size_t asserted_members = 0, members = 0;  // of the conjunction, anywhere
  const auto look = [&](FormulaId l) {
    const bool asserted = formulas_.op(l) == Formulas::Op::kLiteral && !formulas_.negated(l);
    if (asserted && formulas_.atom(l).kind == AtomKind::kMembers) {
      ++asserted_members;
      plain = plain && !facts.members && formulas_.members_of(formulas_.atom(l).a).patterns.empty();
      facts.members = formulas_.atom(l).a;
    } else if (!asserted || formulas_.atom(l).kind != AtomKind::kHas) {
      facts.steady = false;
    } else {
      facts.wanted.push_back(formulas_.atom(l).a);
    }
  };
  if (formulas_.op(f) == Formulas::Op::kAnd) {
    for (const FormulaId part : formulas_.children(f)) look(part);
  } else if (f != Formulas::kTrue) {
    look(f);
  }
  plain = plain && facts.steady;
  if (!plain) facts.members.reset();
  facts.plain = plain;
  facts.other = facts.members ? formulas_.members_of(*facts.members).other : Formulas::kTrue;
  if (facts.plain) {  // the usual object, asked for after each member: no more than it needs
    make_rising(facts.wanted);
    if (facts.members) {
      for (const auto& [name, value] : formulas_.members_of(*facts.members).named) {
        names.push_back(name);
      }
    }
    if (!std::ranges::includes(names, facts.wanted)) {
      names.insert(names.end(), facts.wanted.begin(), facts.wanted.end());
    }
    make_rising(names);
    facts.names = name_set(std::move(names));
    return key_facts_.emplace(f, std::move(facts)).first->second;
  }
  facts.wanted.clear();
  formulas_.map(f, [&](FormulaId l) {
    const Atom atom = formulas_.atom(l);
    const bool negated = formulas_.negated(l);
    members += atom.kind == AtomKind::kMembers ? 1 : 0;
    facts.keys_alone =
        facts.keys_alone && (atom.kind == AtomKind::kMembers || atom.kind == AtomKind::kHas ||
                             atom.kind == AtomKind::kMembersAtLeast);
    if (atom.kind == AtomKind::kHas) names.push_back(atom.a);
    if (atom.kind == AtomKind::kHas && !negated) facts.wanted.push_back(atom.a);
    if (atom.kind == AtomKind::kDiffers || (atom.kind == AtomKind::kMembersAtLeast && !negated)) {
      facts.any_wanted = true;
    }
    if (atom.kind == AtomKind::kOrder) {
      const auto& list = formulas_.name_list_of(atom.a);
      names.insert(names.end(), list.begin(), list.end());
    }
    if (atom.kind == AtomKind::kDiffers) {
      for (const JsonValueId value : formulas_.values_of(atom.a)) {
        for (const auto& [name, inner] : formulas_.json_values().members(value)) {
          names.push_back(name);
        }
      }
    }
    if (atom.kind == AtomKind::kMembers) {
      const MemberMap& map = formulas_.members_of(atom.a);
      for (const auto& [name, value] : map.named) {
        names.push_back(name);
        if (negated && value != Formulas::kTrue) facts.wanted.push_back(name);
      }
      for (const auto& [pattern, value] : map.patterns) {
        facts.patterns.push_back(pattern);
        facts.any_wanted = facts.any_wanted || (negated && value != Formulas::kTrue);
      }
      facts.any_wanted = facts.any_wanted || (negated && map.other != Formulas::kTrue);
    }
    return l;
  });
  facts.keys_alone = facts.keys_alone && members == asserted_members;
  std::ranges::sort(facts.wanted);
  facts.most_wanted = most_frequent(facts.wanted);
  for (auto* numbers : {&names, &facts.wanted, &facts.patterns}) make_rising(*numbers);
  facts.names = name_set(std::move(names));
  return key_facts_.emplace(f, std::move(facts)).first->second;
}

bool SchemaMachine::key_matches(FormulaId pattern, std::uint32_t name) {
  const std::uint64_t id = (std::uint64_t{pattern} << 32) | name;
  if (const bool* known = key_matches_.find(id)) return *known;
  const bool out = holds(expand_key(pattern), Json(formulas_.name_of(name)));
  key_matches_.set(id, out);
  return out;
}

}  // namespace espalier::grammar
