// Formulas: what a JSON value still has to satisfy, as hash-consed boolean formulas over atoms.
//
// An atom is one assertion about a value ("at least 3 members", "every item satisfies f"); its
// argument counts what is still owed, so an atom is also its own progress: the derivative of a
// formula by a member or an item is another formula (Brzozowski's idea over JSON's events; an
// alternating automaton over nested words). Negation stands at atoms only. All atoms but kType and
// kIn speak of one type of value and hold for every other.
//
// Equal formulas have equal numbers; conjunctions and disjunctions are flattened, sorted and
// simplified by the units and bounds beside them. Nothing is ever freed; `size()` is what a caller
// bounds. Copyable: a schema's formulas are made once, and each running automaton goes on from a
// copy. Recursion is as deep as formulas nest, which the schema's reader bounds.
#pragma once

#include <compare>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "grammar/byte_set.h"
#include "grammar/decimal.h"
#include "grammar/held_bytes.h"
#include "grammar/intern_table.h"
#include "grammar/json.h"
#include "grammar/json_schema_keywords.h"
#include "grammar/number_map.h"
#include "grammar/schema/json_values.h"
#include "grammar/small_vector.h"

namespace espalier::grammar {

using FormulaId = std::uint32_t;

enum class AtomKind : std::uint8_t {
  kNode,        // a: the schema with this number holds (see SchemaGraph); expanded before it is run
  kType,        // a: JsonTypes bits; never negated
  kAtLeast,     // a: number >= numbers[a]
  kAbove,       // a: number > numbers[a]
  kMultipleOf,  // a: number is a multiple of numbers[a]
  kLength,      // a: at least so many code points
  kPattern,     // a: the string is in patterns[a]
  kIn,          // a: the value is one of the scalars sets[a]
  kHas,         // a: the member names[a] still comes
  kMembersAtLeast,  // a: at least so many members still come
  kMembers,         // a: all members that still come satisfy member_maps[a]
  kItemsAtLeast,    // a: at least so many items still come
  kItems,           // a: all items that still come satisfy item_maps[a]; b: the next one's index
  kContains,        // a: formula that at least b of the items still to come satisfy
  kUnique,          // a: items so far, values[a]; all that come differ from them and each other
  kDiffers,  // a: the value, with what was read of it, is none of values[a] (what remains of them)
  kOrder,    // a: members that still come keep the order of name_lists[a]; b: the next one's index
  kUnknown,  // a: what a keyword says that is not enforced; expanded away before it is run
  kChild,    // a: formula that the member or item at hand satisfies; inside derivatives only
};

struct Atom {
  AtomKind kind = AtomKind::kType;
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  friend bool operator==(const Atom&, const Atom&) = default;
};

/// What members must satisfy, by key. A key's formula is the conjunction of `named` and of all
/// `patterns` it matches; `other` where there is none. Pattern keys are formulas over strings.
struct MemberMap {
  std::vector<std::pair<std::uint32_t, FormulaId>> named;  // name -> formula, sorted
  std::vector<std::pair<FormulaId, FormulaId>> patterns;   // of the key -> of the value
  FormulaId other = 1;
  [[nodiscard]] std::size_t held_bytes() const { return held_by_all(named, patterns); }
  friend bool operator==(const MemberMap&, const MemberMap&) = default;
};

struct ItemMap {
  std::vector<FormulaId> first;
  FormulaId other = 1;
  [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(first); }
  friend bool operator==(const ItemMap&, const ItemMap&) = default;
};

/// A regular language over strings.
struct StringPattern {
  std::string regex;
  bool search = true;  // ECMA-262 search, as `pattern` has it; else all of the string matches
  [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(regex); }
  friend bool operator==(const StringPattern&, const StringPattern&) = default;
};

class Formulas {
 public:
  static constexpr FormulaId kFalse = 0;
  static constexpr FormulaId kTrue = 1;
  enum class Op : std::uint8_t { kFalse, kTrue, kLiteral, kAnd, kOr };

  Formulas();

  FormulaId literal(const Atom& atom, bool negated = false);
  FormulaId types(JsonTypes types);
  FormulaId all(std::span<const FormulaId> parts) { return combine(Op::kAnd, parts); }
  FormulaId any(std::span<const FormulaId> parts) { return combine(Op::kOr, parts); }
  FormulaId all(std::initializer_list<FormulaId> parts) { return all(std::span(parts)); }
  FormulaId any(std::initializer_list<FormulaId> parts) { return any(std::span(parts)); }
  /// Order is how a value is written, not what it is: it has no negation, and falls away in one.
  FormulaId negate(FormulaId f);
  /// A conjunction without one of its parts, which may be all of it.
  FormulaId without(FormulaId f, FormulaId part);
  /// The value is this one.
  FormulaId equals(const Json& value) { return equals(this->value(value)); }
  FormulaId equals(JsonValueId value);

  // Payloads: equal ones have equal numbers.
  std::uint32_t name(std::string_view text);
  std::uint32_t number(Decimal value);
  std::uint32_t pattern(StringPattern pattern);
  std::uint32_t set(std::vector<Json> scalars);  // sorted and made unique
  JsonValueId value(const Json& value) {
    return json_values_.add(value, [&](std::string_view text) { return name(text); });
  }
  std::uint32_t values(std::vector<JsonValueId> list);  // sorted and made unique
  std::uint32_t name_list(std::vector<std::uint32_t> names);
  std::uint32_t members(MemberMap map);
  std::uint32_t items(ItemMap map);

  [[nodiscard]] Op op(FormulaId f) const { return nodes_[f].op; }
  [[nodiscard]] const Atom& atom(FormulaId f) const { return nodes_[f].atom; }
  [[nodiscard]] bool negated(FormulaId f) const { return nodes_[f].negated; }
  [[nodiscard]] std::span<const FormulaId> children(FormulaId f) const {
    return std::span(children_).subspan(nodes_[f].first, nodes_[f].count);
  }
  /// What must all hold: a conjunction's children, nothing of kTrue, else the formula itself.
  [[nodiscard]] std::vector<FormulaId> parts(FormulaId f) const;
  /// Whether one of these forbids texts, so that none may be left in another spelling.
  [[nodiscard]] bool forbid_texts(std::span<const FormulaId> parts) const;
  [[nodiscard]] const std::string& name_of(std::uint32_t i) const { return names_[i]; }
  [[nodiscard]] const Decimal& number_of(std::uint32_t i) const { return numbers_[i]; }
  [[nodiscard]] std::size_t numbers() const { return numbers_.size(); }
  [[nodiscard]] std::size_t patterns() const { return patterns_.size(); }
  [[nodiscard]] const StringPattern& pattern_of(std::uint32_t i) const { return patterns_[i]; }
  [[nodiscard]] const std::vector<Json>& set_of(std::uint32_t i) const { return sets_[i]; }
  [[nodiscard]] const std::vector<JsonValueId>& values_of(std::uint32_t i) const {
    return values_[i];
  }
  [[nodiscard]] JsonValues& json_values() { return json_values_; }
  [[nodiscard]] const JsonValues& json_values() const { return json_values_; }
  [[nodiscard]] const std::vector<std::uint32_t>& name_list_of(std::uint32_t i) const {
    return name_lists_[i];
  }
  [[nodiscard]] const MemberMap& members_of(std::uint32_t i) const { return members_[i]; }
  [[nodiscard]] std::size_t member_maps() const { return members_.size(); }
  [[nodiscard]] const ItemMap& items_of(std::uint32_t i) const { return items_[i]; }
  [[nodiscard]] std::size_t item_maps() const { return items_.size(); }
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] std::size_t held_bytes() const {
    return held_by_all(nodes_, children_, by_hash_, restricted_, merged_pairs_, names_, name_ids_,
                       numbers_, patterns_, sets_, values_, value_lists_, json_values_, equal_,
                       name_lists_, members_, items_, payload_ids_);
  }
  /// Whether the names and the scalars of sets are written with these bytes alone.
  [[nodiscard]] bool written_with(const ByteSet& bytes) const;

  /// `f` with every literal replaced by `to(literal)`; shared parts are visited once, and none
  /// behind a part that decides what they are in.
  template <class To>
  FormulaId map(FormulaId f, To&& to) {
    if (f <= kTrue) return f;
    if (nodes_[f].op == Op::kLiteral) return to(f);
    NumberMap<FormulaId> known;
    return map_parts(f, to, known);
  }
  /// What `f` is where each literal is as `is` says; patterns, which are costly, are asked last.
  template <class Is>
  [[nodiscard]] bool evaluate(FormulaId f, Is&& is) const {
    NumberMap<bool> known;
    return evaluate(f, is, known);
  }
  /// The types that its parts leave a value.
  [[nodiscard]] JsonTypes types_of(FormulaId f) const;
  /// Whether an atom of the kind is in it, formulas inside of atoms not counted. Costs nothing.
  [[nodiscard]] bool has_atom(FormulaId f, AtomKind kind) const {
    return (nodes_[f].kinds >> static_cast<unsigned>(kind) & 1) != 0;
  }
  /// A pattern, or that there is none.
  [[nodiscard]] bool is_pattern(FormulaId f) const {
    return nodes_[f].op == Op::kLiteral && nodes_[f].atom.kind == AtomKind::kPattern;
  }
  /// The least or most of a number, or of a count.
  [[nodiscard]] bool is_bound(FormulaId f) const;
  /// Whether it is or consists of something that says nothing of values of other types than these,
  /// those of one JSON type.
  [[nodiscard]] bool speaks_of(FormulaId f, JsonTypes only) const;
  /// `f` for a value of the types `only`: what speaks of others is gone.
  FormulaId restrict(FormulaId f, JsonTypes only);

 private:
  struct Node {
    Op op = Op::kFalse;
    bool negated = false;
    Atom atom;
    std::uint32_t first = 0, count = 0;
    FormulaId negation = 0;   // 0: not made yet
    std::uint32_t kinds = 0;  // of its atoms, a bit each
  };
  template <class To>
  FormulaId map_into(FormulaId f, To& to, NumberMap<FormulaId>& known) {
    if (f <= kTrue) return f;
    if (nodes_[f].op == Op::kLiteral) return to(f);
    if (const FormulaId* mapped = known.find(f)) return *mapped;
    const FormulaId out = map_parts(f, to, known);
    known.set(f, out);
    return out;
  }
  template <class To>
  FormulaId map_parts(FormulaId f, To& to, NumberMap<FormulaId>& known) {
    const std::uint32_t count = nodes_[f].count;
    const FormulaId decides = nodes_[f].op == Op::kAnd ? kFalse : kTrue;
    SmallVector<FormulaId, 16> parts;
    parts.reserve(count);
    bool same = true;
    for (std::uint32_t i = 0; i < count; ++i) {
      const FormulaId part = children_[nodes_[f].first + i];
      parts.push_back(map_into(part, to, known));
      if (parts.back() == decides) return decides;
      same = same && parts.back() == part;
    }
    if (same) return f;
    return nodes_[f].op == Op::kAnd ? all(parts) : any(parts);
  }
  template <class Is>
  bool evaluate(FormulaId f, Is& is, NumberMap<bool>& known) const {
    if (f <= kTrue) return f == kTrue;
    if (nodes_[f].op == Op::kLiteral) return is(f);
    if (const bool* decided = known.find(f)) return *decided;
    const bool settles = nodes_[f].op == Op::kOr;  // one part that is this settles it
    bool out = !settles;
    for (const bool costly : {false, true}) {
      for (std::uint32_t i = 0; i < nodes_[f].count && out != settles; ++i) {
        const FormulaId part = children_[nodes_[f].first + i];
        const bool pattern =
            nodes_[part].op != Op::kLiteral || nodes_[part].atom.kind == AtomKind::kPattern;
        if (pattern == costly && evaluate(part, is, known) == settles) out = settles;
      }
    }
    known.set(f, out);
    return out;
  }
  FormulaId intern(Node node, std::span<const FormulaId> children);
  FormulaId combine(Op op, std::span<const FormulaId> parts);
  static constexpr std::ptrdiff_t kMergedByPairs = 8;
  using Parts = SmallVector<FormulaId, 24>;
  bool merge_sets(Op op, Parts& flat);
  FormulaId merged_pair(Op op, FormulaId a, FormulaId b);
  // formula_bounds.cpp
  using Bounds = SmallVector<FormulaId, 4>;
  [[nodiscard]] std::strong_ordering compare_bounds(FormulaId a, FormulaId b) const;
  [[nodiscard]] std::optional<bool> settled_by(Op op, FormulaId bound, FormulaId other) const;
  [[nodiscard]] std::optional<bool> settled_by(Op op, const Bounds& bounds, FormulaId other) const;
  bool merge_bounds(Op op, Parts& flat, Bounds& bounds);

  std::vector<Node> nodes_;
  std::vector<FormulaId> children_;
  InternTable by_hash_;
  NumberMap<FormulaId> restricted_;
  NumberMap<FormulaId> merged_pairs_;  // of sets, by both and what joins them
  std::vector<std::string> names_;
  std::unordered_map<std::string, std::uint32_t> name_ids_;
  std::vector<Decimal> numbers_;
  std::vector<StringPattern> patterns_;
  std::vector<std::vector<Json>> sets_;
  JsonValues json_values_;
  std::vector<std::vector<JsonValueId>> values_;
  InternTable value_lists_;  // their numbers: with unique items they are the most and the longest
  NumberMap<FormulaId> equal_;  // by value
  std::vector<std::vector<std::uint32_t>> name_lists_;
  std::vector<MemberMap> members_;
  std::vector<ItemMap> items_;
  std::unordered_map<std::string, std::uint32_t> payload_ids_;
};

/// Whether JSON Schema holds the values equal: 1 and 1.0 are one number, members have no order.
bool same_value(const Json& a, const Json& b);
/// `value` with its members in the order of their names: equal values have equal forms.
Json in_name_order(Json value);

}  // namespace espalier::grammar
