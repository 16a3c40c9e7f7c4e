#include "grammar/schema/formula.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optional>

#include "grammar/hash.h"

namespace espalier::grammar {
namespace {

JsonTypes spoken_of(AtomKind kind) {
  switch (kind) {
    case AtomKind::kAtLeast:
    case AtomKind::kAbove:
    case AtomKind::kMultipleOf:
      return JsonTypes::kNumber;
    case AtomKind::kLength:
    case AtomKind::kPattern:
      return JsonTypes::kString;
    case AtomKind::kHas:
    case AtomKind::kMembersAtLeast:
    case AtomKind::kMembers:
    case AtomKind::kOrder:
      return JsonTypes::kObject;
    case AtomKind::kItemsAtLeast:
    case AtomKind::kItems:
    case AtomKind::kContains:
    case AtomKind::kUnique:
      return JsonTypes::kArray;
    default:
      return JsonTypes::kAll;
  }
}

// The order of scalars in sets: equal numbers are neighbours, however they are kept.
bool before(const Json& a, const Json& b) {
  return a.is_number() && b.is_number() ? compare_numbers(a, b) < 0 : a < b;
}

}  // namespace

bool same_value(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return compare_numbers(a, b) == 0;
  return a.is_structured() ? in_name_order(a) == in_name_order(b) : a == b;
}

Json in_name_order(Json value) {
  if (value.is_array()) {
    for (Json& item : value) item = in_name_order(std::move(item));
  } else if (value.is_object()) {
    auto& members = value.get_ref<Json::object_t&>();
    std::vector<std::pair<std::string, Json>> sorted;
    for (auto& [key, inner] : members) sorted.emplace_back(key, in_name_order(std::move(inner)));
    std::sort(sorted.begin(), sorted.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    value = Json::object();
    for (auto& [key, inner] : sorted) value.emplace(key, std::move(inner));
  }
  return value;
}

Formulas::Formulas() {
  nodes_.resize(2);
  nodes_[0].op = Op::kFalse;
  nodes_[1].op = Op::kTrue;
}

FormulaId Formulas::intern(Node node, std::span<const FormulaId> children) {
  std::size_t hash = mix(static_cast<std::size_t>(node.op) * 2 + (node.negated ? 1 : 0),
                         static_cast<std::uint64_t>(node.atom.kind));
  hash = mix(mix(hash, node.atom.a), node.atom.b);
  for (const FormulaId c : children) hash = mix(hash, c);
  const FormulaId same = by_hash_.find(hash, [&](FormulaId f) {
    const Node& known = nodes_[f];
    return known.op == node.op && known.negated == node.negated && known.atom == node.atom &&
           std::ranges::equal(this->children(f), children);
  });
  if (same != InternTable::kNone) return same;
  if (node.op == Op::kLiteral)
    node.kinds = std::uint32_t{1} << static_cast<unsigned>(node.atom.kind);
  for (const FormulaId c : children) node.kinds |= nodes_[c].kinds;
  node.first = static_cast<std::uint32_t>(children_.size());
  node.count = static_cast<std::uint32_t>(children.size());
  children_.insert(children_.end(), children.begin(), children.end());
  const auto id = static_cast<FormulaId>(nodes_.size());
  nodes_.push_back(node);
  by_hash_.insert(hash, id);
  return id;
}

std::vector<FormulaId> Formulas::parts(FormulaId f) const {
  if (f == kTrue) return {};
  if (op(f) != Op::kAnd) return {f};
  return {children(f).begin(), children(f).end()};
}

bool Formulas::forbid_texts(std::span<const FormulaId> parts) const {
  return std::ranges::any_of(parts, [&](FormulaId part) {
    return op(part) == Op::kLiteral && negated(part) && atom(part).kind != AtomKind::kLength;
  });
}

FormulaId Formulas::types(JsonTypes types) {
  if (types.none()) return kFalse;
  if (types == JsonTypes()) return kTrue;
  return intern({Op::kLiteral, false, {AtomKind::kType, types.bits(), 0}, 0, 0, 0}, {});
}

FormulaId Formulas::literal(const Atom& atom, bool negated) {
  switch (atom.kind) {
    case AtomKind::kType: {
      const auto bits = static_cast<std::uint8_t>(atom.a);
      return types(negated ? static_cast<std::uint8_t>(JsonTypes::kAll & ~bits) : bits);
    }
    case AtomKind::kLength:
    case AtomKind::kMembersAtLeast:
    case AtomKind::kItemsAtLeast:
      if (atom.a == 0) return negated ? kFalse : kTrue;
      break;
    case AtomKind::kContains:
      if (atom.b == 0) return negated ? kFalse : kTrue;
      break;
    case AtomKind::kMembers: {
      const MemberMap& map = members_[atom.a];
      const auto holds = [](const auto& entry) { return entry.second == kTrue; };
      if (map.other == kTrue && std::ranges::all_of(map.named, holds) &&
          std::ranges::all_of(map.patterns, holds)) {
        return negated ? kFalse : kTrue;
      }
      break;
    }
    case AtomKind::kItems: {
      const ItemMap& map = items_[atom.a];
      bool holds = map.other == kTrue;
      for (std::size_t i = atom.b; i < map.first.size(); ++i) holds &= map.first[i] == kTrue;
      if (holds) return negated ? kFalse : kTrue;
      break;
    }
    case AtomKind::kIn:
      if (sets_[atom.a].empty()) return negated ? kTrue : kFalse;
      break;
    case AtomKind::kDiffers:
      if (values_[atom.a].empty()) return negated ? kFalse : kTrue;
      break;
    case AtomKind::kOrder:
      if (negated) return kFalse;
      if (name_lists_[atom.a].size() < 2) return kTrue;  // no member comes twice anyway
      break;
    case AtomKind::kChild: {
      const FormulaId inner = negated ? negate(atom.a) : atom.a;
      if (inner <= kTrue) return inner;
      return intern({Op::kLiteral, false, {AtomKind::kChild, inner, 0}, 0, 0, 0}, {});
    }
    default:
      break;
  }
  return intern({Op::kLiteral, negated, atom, 0, 0, 0}, {});
}

FormulaId Formulas::negate(FormulaId f) {
  if (f <= kTrue) return 1 - f;
  if (nodes_[f].negation != 0) return nodes_[f].negation;
  FormulaId out = 0;
  if (nodes_[f].op == Op::kLiteral) {
    const Node node = nodes_[f];
    out = literal(node.atom, !node.negated);
  } else {
    std::vector<FormulaId> parts(children(f).begin(), children(f).end());
    for (FormulaId& part : parts) part = negate(part);
    out = nodes_[f].op == Op::kAnd ? any(parts) : all(parts);
  }
  // Where an order is kept the negation's negation is another formula.
  if (out > kTrue && !has_atom(f, AtomKind::kOrder)) {
    nodes_[f].negation = out;
    nodes_[out].negation = f;
  }
  return out;
}

FormulaId Formulas::without(FormulaId f, FormulaId part) {
  if (f == part) return kTrue;
  std::vector<FormulaId> kept(children(f).begin(), children(f).end());
  std::erase(kept, part);
  return kept.size() == 1 ? kept[0] : intern({Op::kAnd, false, {}, 0, 0, 0}, kept);
}

// One literal for all sets of scalars: those of a conjunction that the value is in meet, less those
// that it is not in; in a disjunction the other way round. False where that decides all.
bool Formulas::merge_sets(Op op, Parts& flat) {
  const auto is_set = [&](FormulaId f) {
    return nodes_[f].op == Op::kLiteral && nodes_[f].atom.kind == AtomKind::kIn;
  };
  const auto sets = std::count_if(flat.begin(), flat.end(), is_set);
  if (sets < 2) return true;
  if (sets <= kMergedByPairs) {
    // Two at a time, since the same pairs meet again and again; not where they are many, for each
    // pair's set is kept.
    std::optional<FormulaId> all;
    const auto rest = std::remove_if(flat.begin(), flat.end(), [&](FormulaId f) {
      if (!is_set(f)) return false;
      all = !all ? f : *all <= kTrue ? *all : merged_pair(op, *all, f);
      return true;
    });
    flat.shorten(static_cast<std::size_t>(rest - flat.begin()));
    if (*all <= kTrue) return false;
    flat.push_back(*all);
    std::sort(flat.begin(), flat.end());
    return true;
  }
  const bool negated = op == Op::kOr;  // of those that meet
  std::optional<std::vector<Json>> meet;
  std::vector<Json> join;
  const auto rest = std::remove_if(flat.begin(), flat.end(), [&](FormulaId f) {
    if (!is_set(f)) return false;
    const std::vector<Json>& own = sets_[nodes_[f].atom.a];
    if (nodes_[f].negated != negated) {
      join.insert(join.end(), own.begin(), own.end());
    } else if (meet) {
      std::vector<Json> both;
      std::ranges::set_intersection(*meet, own, std::back_inserter(both), before);
      meet = std::move(both);
    } else {
      meet = own;
    }
    return true;
  });
  flat.shorten(static_cast<std::size_t>(rest - flat.begin()));
  std::ranges::sort(join, before);
  std::vector<Json> merged;
  if (meet) {
    std::ranges::set_difference(*meet, join, std::back_inserter(merged), before);
    if (merged.empty()) return false;
  } else {
    merged = std::move(join);
  }
  const FormulaId f =
      literal({AtomKind::kIn, set(std::move(merged)), 0}, meet ? negated : !negated);
  flat.push_back(f);
  std::sort(flat.begin(), flat.end());
  return true;
}

// merge_sets() of two; kFalse or kTrue where they decide the whole.
FormulaId Formulas::merged_pair(Op op, FormulaId a, FormulaId b) {
  if (a > b) std::swap(a, b);
  const std::uint64_t key = (std::uint64_t{a} << 33) | (std::uint64_t{b} << 1) | (op == Op::kOr);
  if (const FormulaId* known = merged_pairs_.find(key)) return *known;
  const bool negated = op == Op::kOr;  // of those that meet
  const auto meets = [&](FormulaId f) { return nodes_[f].negated == negated; };
  if (!meets(a)) std::swap(a, b);
  const std::vector<Json>& first = sets_[nodes_[a].atom.a];
  const std::vector<Json>& second = sets_[nodes_[b].atom.a];
  std::vector<Json> merged;
  if (!meets(a)) {
    std::ranges::set_union(first, second, std::back_inserter(merged), before);
  } else if (meets(b)) {
    std::ranges::set_intersection(first, second, std::back_inserter(merged), before);
  } else {
    std::ranges::set_difference(first, second, std::back_inserter(merged), before);
  }
  FormulaId out = op == Op::kAnd ? kFalse : kTrue;
  if (!merged.empty()) {
    out = literal({AtomKind::kIn, set(std::move(merged)), 0}, nodes_[a].negated);
  }
  merged_pairs_.set(key, out);
  return out;
}

// Written for kAnd; kOr is its mirror image: `zero` decides the whole, `one` says nothing.
FormulaId Formulas::combine(Op op, std::span<const FormulaId> parts) {
  if (parts.size() == 1) return parts[0];
  const FormulaId zero = op == Op::kAnd ? kFalse : kTrue;
  const FormulaId one = 1 - zero;
  const Op dual = op == Op::kAnd ? Op::kOr : Op::kAnd;
  Parts flat;
  for (const FormulaId part : parts) {
    if (part == zero) return zero;
    if (part == one) continue;
    if (nodes_[part].op == op) {
      flat.append(children(part).begin(), children(part).end());
    } else {
      flat.push_back(part);
    }
  }
  // One literal for all types.
  JsonTypes types = op == Op::kAnd ? JsonTypes() : JsonTypes(0);
  bool typed = false;
  const auto untyped = std::remove_if(flat.begin(), flat.end(), [&](FormulaId f) {
    if (nodes_[f].op != Op::kLiteral || nodes_[f].atom.kind != AtomKind::kType) return false;
    const JsonTypes own(static_cast<std::uint8_t>(nodes_[f].atom.a));
    types = op == Op::kAnd ? types & own : types | own;
    typed = true;
    return true;
  });
  flat.shorten(static_cast<std::size_t>(untyped - flat.begin()));
  if (typed) {
    const FormulaId merged = this->types(types);
    if (merged == zero) return zero;
    if (merged != one) flat.push_back(merged);
  }
  std::sort(flat.begin(), flat.end());
  flat.shorten(static_cast<std::size_t>(std::unique(flat.begin(), flat.end()) - flat.begin()));
  Bounds bounds;
  if (!merge_sets(op, flat) || !merge_bounds(op, flat, bounds)) return zero;
  const auto holds = [&](FormulaId f) { return std::binary_search(flat.begin(), flat.end(), f); };
  // Units: a literal beside its opposite decides; inside a dual part it decides or falls away.
  SmallVector<FormulaId, 8> changed;
  Parts kept;
  for (const FormulaId f : flat) {
    if (nodes_[f].op == Op::kLiteral) {
      const FormulaId opposite = nodes_[f].negation;
      if (opposite != 0 && holds(opposite)) return zero;
      kept.push_back(f);
      continue;
    }
    bool decided = false;
    SmallVector<FormulaId, 16> rest;
    const std::uint32_t count = nodes_[f].count;
    for (std::uint32_t i = 0; i < count && !decided; ++i) {
      const FormulaId c = children_[nodes_[f].first + i];
      if (holds(c) || (nodes_[c].op == op && std::ranges::all_of(children(c), holds))) {
        decided = true;  // absorbed
      } else if (nodes_[c].op == Op::kLiteral && nodes_[c].atom.kind == AtomKind::kType && typed) {
        const JsonTypes own(static_cast<std::uint8_t>(nodes_[c].atom.a));
        const JsonTypes both = own & types;
        if (op == Op::kAnd) {
          if (both == types) {
            decided = true;
          } else if (!both.none()) {
            rest.push_back(c);
          }
        } else if ((own | types) == types) {
          decided = true;
        } else {
          rest.push_back(c);
        }
      } else if (const auto settled = settled_by(op, bounds, c)) {
        decided = *settled;
      } else if (nodes_[c].negation == 0 || !holds(nodes_[c].negation)) {
        rest.push_back(c);
      }
    }
    if (decided) continue;
    if (rest.size() == count) {
      kept.push_back(f);
    } else {
      changed.push_back(combine(dual, rest));
    }
  }
  if (!changed.empty()) {
    kept.append(changed.begin(), changed.end());
    return combine(op, kept);
  }
  if (kept.empty()) return one;
  if (kept.size() == 1) return kept[0];
  return intern({op, false, {}, 0, 0, 0}, kept);
}

JsonTypes Formulas::types_of(FormulaId f) const {
  JsonTypes out(JsonTypes::kAll);
  for (const FormulaId part : parts(f)) {
    const bool type = nodes_[part].op == Op::kLiteral && nodes_[part].atom.kind == AtomKind::kType;
    if (type) out = out & JsonTypes(static_cast<std::uint8_t>(nodes_[part].atom.a));
  }
  return out;
}

bool Formulas::speaks_of(FormulaId f, JsonTypes only) const {
  const auto alone = [&](FormulaId l) {
    return nodes_[l].op == Op::kLiteral && spoken_of(nodes_[l].atom.kind) == only;
  };
  const auto holds_one = [&](FormulaId part) {
    return alone(part) || (part > kTrue && std::ranges::any_of(children(part), alone));
  };
  return holds_one(f) || (f > kTrue && std::ranges::any_of(children(f), holds_one));
}

FormulaId Formulas::restrict(FormulaId f, JsonTypes only) {
  if (f <= kTrue) return f;
  const std::uint64_t key = (std::uint64_t{f} << 8) | only.bits();
  if (const FormulaId* known = restricted_.find(key)) return *known;
  const FormulaId out = map(f, [&](FormulaId l) -> FormulaId {
    const Atom atom = nodes_[l].atom;
    const bool negated = nodes_[l].negated;
    if (atom.kind == AtomKind::kType) {
      const JsonTypes left = JsonTypes(static_cast<std::uint8_t>(atom.a)) & only;
      if (left.none()) return kFalse;
      return left == only ? kTrue : types(left);
    }
    if (atom.kind == AtomKind::kIn) {
      const std::vector<Json>& all = sets_[atom.a];
      const auto fits = [&](const Json& value) { return !(type_of(value) & only).none(); };
      if (std::ranges::none_of(all, fits)) return negated ? kTrue : kFalse;
      if (std::ranges::all_of(all, fits)) return l;
      std::vector<Json> left;
      std::ranges::copy_if(all, std::back_inserter(left), fits);
      return literal({AtomKind::kIn, set(std::move(left)), 0}, negated);
    }
    if (atom.kind == AtomKind::kDiffers) {
      std::vector<JsonValueId> left;
      bool structured = false;
      for (const JsonValueId value : values_[atom.a]) {
        const JsonValues::Kind kind = json_values_.kind(value);
        const JsonTypes type = kind == JsonValues::Kind::kObject ? JsonTypes::kObject
                               : kind == JsonValues::Kind::kArray
                                   ? JsonTypes::kArray
                                   : type_of(json_values_.scalar(value));
        if ((type & only).none()) continue;
        structured = structured || kind != JsonValues::Kind::kScalar;
        left.push_back(value);
      }
      if (!structured) {
        std::vector<Json> scalars;
        for (const JsonValueId value : left) scalars.push_back(json_values_.scalar(value));
        return literal({AtomKind::kIn, set(std::move(scalars)), 0}, !negated);
      }
      if (left.size() == values_[atom.a].size()) return l;
      return literal({AtomKind::kDiffers, values(std::move(left)), 0}, negated);
    }
    if ((spoken_of(atom.kind) & only).none()) return negated ? kFalse : kTrue;
    return l;
  });
  restricted_.set(key, out);
  return out;
}

bool Formulas::written_with(const ByteSet& bytes) const {
  const auto fits = [&](const std::string& text) {
    return std::all_of(text.begin(), text.end(), [&](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte < 0x20 || bytes.has(byte);  // controls are escaped
    });
  };
  return std::all_of(names_.begin(), names_.end(), fits) &&
         std::all_of(sets_.begin(), sets_.end(), [&](const std::vector<Json>& set) {
           return std::all_of(set.begin(), set.end(), [&](const Json& value) {
             return !value.is_string() || fits(value.get_ref<const std::string&>());
           });
         });
}

std::uint32_t Formulas::name(std::string_view text) {
  const auto [it, fresh] =
      name_ids_.try_emplace(std::string(text), static_cast<std::uint32_t>(names_.size()));
  if (fresh) names_.emplace_back(text);
  return it->second;
}

std::uint32_t Formulas::number(Decimal value) {
  const auto [it, fresh] =
      payload_ids_.try_emplace("n" + value.text(), static_cast<std::uint32_t>(numbers_.size()));
  if (fresh) numbers_.push_back(std::move(value));
  return it->second;
}

std::uint32_t Formulas::pattern(StringPattern pattern) {
  const auto [it, fresh] = payload_ids_.try_emplace((pattern.search ? "p" : "q") + pattern.regex,
                                                    static_cast<std::uint32_t>(patterns_.size()));
  if (fresh) patterns_.push_back(std::move(pattern));
  return it->second;
}

std::uint32_t Formulas::set(std::vector<Json> scalars) {
  if (!std::is_sorted(scalars.begin(), scalars.end(), before)) {
    std::sort(scalars.begin(), scalars.end(), before);
  }
  scalars.erase(std::unique(scalars.begin(), scalars.end(), same_value), scalars.end());
  std::string key = "s";
  for (const Json& value : scalars) {
    if (value.is_string()) {  // most are; it is said where one ends
      const auto& text = value.get_ref<const std::string&>();
      key += '"' + std::to_string(text.size()) + ':' + text;
    } else {
      key += value.dump() + ',';
    }
  }
  const auto [it, fresh] =
      payload_ids_.try_emplace(std::move(key), static_cast<std::uint32_t>(sets_.size()));
  if (fresh) sets_.push_back(std::move(scalars));
  return it->second;
}

FormulaId Formulas::equals(JsonValueId value) {
  if (const FormulaId* known = equal_.find(value)) return *known;
  FormulaId out = kFalse;
  switch (json_values_.kind(value)) {
    case JsonValues::Kind::kScalar:
      out = literal({AtomKind::kIn, set({json_values_.scalar(value)}), 0});
      break;
    case JsonValues::Kind::kObject: {
      std::vector<FormulaId> parts{types(JsonTypes::kObject)};
      MemberMap map;
      map.other = kFalse;
      for (const auto& [name, inner] : json_values_.members(value)) {
        map.named.emplace_back(name, equals(inner));
        parts.push_back(literal({AtomKind::kHas, name, 0}));
      }
      parts.push_back(literal({AtomKind::kMembers, members(std::move(map)), 0}));
      out = all(parts);
      break;
    }
    case JsonValues::Kind::kArray: {
      ItemMap map;
      map.other = kFalse;
      for (const JsonValueId inner : json_values_.items(value)) map.first.push_back(equals(inner));
      const auto count = static_cast<std::uint32_t>(map.first.size());
      out = all({types(JsonTypes::kArray), literal({AtomKind::kItems, items(std::move(map)), 0}),
                 literal({AtomKind::kItemsAtLeast, count, 0})});
      break;
    }
  }
  equal_.set(value, out);
  return out;
}

std::uint32_t Formulas::name_list(std::vector<std::uint32_t> names) {
  std::string key = "o";
  for (const std::uint32_t n : names) append_bytes(key, n);
  const auto [it, fresh] =
      payload_ids_.try_emplace(std::move(key), static_cast<std::uint32_t>(name_lists_.size()));
  if (fresh) name_lists_.push_back(std::move(names));
  return it->second;
}

std::uint32_t Formulas::values(std::vector<JsonValueId> list) {
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  std::size_t hash = list.size();
  for (const JsonValueId value : list) hash = mix(hash, value);
  const std::uint32_t known =
      value_lists_.find(hash, [&](std::uint32_t i) { return values_[i] == list; });
  if (known != InternTable::kNone) return known;
  const auto id = static_cast<std::uint32_t>(values_.size());
  values_.push_back(std::move(list));
  value_lists_.insert(hash, id);
  return id;
}

std::uint32_t Formulas::members(MemberMap map) {
  std::string key = "m";
  append_bytes(key, map.other);
  append_bytes(key, map.named.size());
  for (const auto& [name, f] : map.named) append_bytes(key, name), append_bytes(key, f);
  for (const auto& [name, f] : map.patterns) append_bytes(key, name), append_bytes(key, f);
  const auto [it, fresh] =
      payload_ids_.try_emplace(std::move(key), static_cast<std::uint32_t>(members_.size()));
  if (fresh) members_.push_back(std::move(map));
  return it->second;
}

std::uint32_t Formulas::items(ItemMap map) {
  std::string key = "i";
  append_bytes(key, map.other);
  for (const FormulaId f : map.first) append_bytes(key, f);
  const auto [it, fresh] =
      payload_ids_.try_emplace(std::move(key), static_cast<std::uint32_t>(items_.size()));
  if (fresh) items_.push_back(std::move(map));
  return it->second;
}

}  // namespace espalier::grammar
