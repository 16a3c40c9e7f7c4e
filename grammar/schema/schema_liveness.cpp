// Whether some text completes a value or a container, and which: searched for once, then
// remembered.
//
// A formula whose answer is still open counts as having no text: the least text of a formula never
// holds, inside itself, a value that must satisfy the same formula. "No" is remembered only where
// it did not rest on such a question.
#include <algorithm>
#include <optional>
#include <tuple>

#include "grammar/schema/excluded_members.h"
#include "grammar/schema/joined_members.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

// Bytes of a key in its canonical spelling, at most.
std::size_t spelled_size(const std::string& key) {
  std::size_t out = key.size();
  for (const char c : key) {
    const auto u = static_cast<unsigned char>(c);
    if (u < 0x20) out += 5;
    if (c == '"' || c == '\\') ++out;
  }
  return out;
}

}  // namespace

// What is to be read of a value's formula inside an array or an object, before the first of it.
FormulaId SchemaMachine::inside(FormulaId f, Kind kind) {
  if (kind == Kind::kArray) return formulas_.restrict(f, JsonTypes::kArray);
  const FormulaId object = formulas_.restrict(f, JsonTypes::kObject);
  if (const FormulaId* known = objects_.find(object)) return *known;
  // Of values that are told apart by constants or types.
  const auto tells = [&](FormulaId value) {
    return std::ranges::any_of(formulas_.parts(value), [&](FormulaId part) {
      const AtomKind said = formulas_.atom(part).kind;
      return formulas_.op(part) == Formulas::Op::kLiteral &&
             (said == AtomKind::kIn || said == AtomKind::kType);
    });
  };
  const FormulaId out = without_excluded(formulas_, object, [&](FormulaId a, FormulaId b) {
    const FormulaId one = comparable(a), other = comparable(b);
    return tells(one) && tells(other) && formulas_.all({one, other}) == Formulas::kFalse;
  });
  const FormulaId joined = with_joined_members(formulas_, out);
  objects_.set(object, joined);
  return joined;
}

SchemaMachine::ValueFacts SchemaMachine::value_facts(FormulaId f) {
  {
    ValueFacts& known = value_facts_.at(f);
    if (known.verdict == Verdict::kOpen) ++taints_;
    if (known.verdict != Verdict::kNew) return known;
    known.verdict = Verdict::kOpen;
  }
  ValueFacts facts;
  facts.verdict = Verdict::kNo;
  const std::uint64_t taints = taints_;
  ++open_;
  if (f != Formulas::kFalse) {
    if (const Scalar* least = least_scalar(f)) {
      facts = {Verdict::kYes, Kind::kValue, least->closing.size(), 0};
    } else if (nesting_ >= kMaxNesting) {
      facts.verdict = Verdict::kUndecided;
    } else {
      ++nesting_;
      for (const Kind kind : {Kind::kArray, Kind::kObject}) {
        const FormulaId rest = inside(f, kind);
        if (rest == Formulas::kFalse) continue;
        const Plan& closing = plan(kind, rest, 0);
        if (closing.verdict == Verdict::kUndecided) facts.verdict = Verdict::kUndecided;
        if (closing.verdict != Verdict::kYes) continue;
        const ValueFacts found{Verdict::kYes, kind, closing.size + 1, closing.height + 1};
        const bool better = facts.verdict != Verdict::kYes ||
                            std::tie(found.height, found.size) < std::tie(facts.height, facts.size);
        if (better) facts = found;
      }
      --nesting_;
    }
  }
  --open_;
  if (facts.verdict == Verdict::kUndecided) undecided_ = true;
  ValueFacts& known = value_facts_.at(f);
  known = facts;
  if (facts.verdict == Verdict::kNo && taints_ != taints && open_ > 0) {
    static constexpr ValueFacts kNoForNow{Verdict::kNo, Kind::kValue, 0, 0};
    known.verdict = Verdict::kNew;
    return kNoForNow;
  }
  return known;
}

// Where a conjunction keeps an order of members: the first of those that must come, kNoName where
// none must. Nothing where it keeps none.
std::optional<std::uint32_t> SchemaMachine::first_in_order(FormulaId f) const {
  if (!graph_->ordered()) return std::nullopt;
  const std::vector<FormulaId> parts =
      formulas_.op(f) == Formulas::Op::kAnd
          ? std::vector<FormulaId>(formulas_.children(f).begin(), formulas_.children(f).end())
          : std::vector<FormulaId>{f};
  for (const FormulaId part : parts) {
    if (formulas_.op(part) != Formulas::Op::kLiteral ||
        formulas_.atom(part).kind != AtomKind::kOrder) {
      continue;
    }
    for (const std::uint32_t name : formulas_.name_list_of(formulas_.atom(part).a)) {
      for (const FormulaId other : parts) {
        if (formulas_.op(other) == Formulas::Op::kLiteral && !formulas_.negated(other) &&
            formulas_.atom(other).kind == AtomKind::kHas && formulas_.atom(other).a == name) {
          return name;
        }
      }
    }
  }
  return kNoName;
}

// Whether an item must come twice: then an item that changes nothing else is no waste, since it is
// what a later one repeats.
bool SchemaMachine::wants_repeat(FormulaId f) {
  if (!has_unique(f)) return false;
  bool out = false;
  formulas_.map(f, [&](FormulaId l) {
    const Atom& atom = formulas_.atom(l);
    out = out || (atom.kind == AtomKind::kUnique && formulas_.negated(l) &&
                  formulas_.values_of(atom.a).size() <= SchemaGraph::kMaxUniquePrefix);
    return l;
  });
  return out;
}

// The members that every alternative of a disjunction must have.
std::vector<std::uint32_t> SchemaMachine::required_by_all(FormulaId f) const {
  std::optional<std::vector<std::uint32_t>> common;
  for (const FormulaId c : formulas_.children(f)) {
    const std::span<const FormulaId> parts = formulas_.op(c) == Formulas::Op::kAnd
                                                 ? formulas_.children(c)
                                                 : std::span<const FormulaId>(&c, 1);
    std::vector<std::uint32_t> own;
    for (const FormulaId part : parts) {
      if (formulas_.op(part) == Formulas::Op::kLiteral && !formulas_.negated(part) &&
          formulas_.atom(part).kind == AtomKind::kHas) {
        own.push_back(formulas_.atom(part).a);
      }
    }
    if (!common) {
      common = std::move(own);
    } else {
      std::erase_if(*common, [&](std::uint32_t name) {
        return std::find(own.begin(), own.end(), name) == own.end();
      });
    }
    if (common->empty()) break;
  }
  return common.value_or(std::vector<std::uint32_t>{});
}

// The members that must come, in a conjunction whose other parts stay the same after each of them:
// found in linear time. A search would derive a formula for each of their rests, and others again
// where members come in another order. Nothing where it is not so, or some value has no text yet.
std::shared_ptr<const RequiredMembers> SchemaMachine::required_alone(FormulaId f,
                                                                     std::uint32_t seen) {
  if (graph_->ordered() || formulas_.op(f) != Formulas::Op::kAnd) return nullptr;
  auto out = std::make_shared<RequiredMembers>();
  std::vector<FormulaId> others, counts;
  for (const FormulaId part : formulas_.children(f)) {
    const bool literal = formulas_.op(part) == Formulas::Op::kLiteral;
    if (literal && !formulas_.negated(part) && formulas_.atom(part).kind == AtomKind::kHas) {
      out->members.push_back({part, 0, 0, 0});
    } else if (literal && formulas_.atom(part).kind == AtomKind::kMembersAtLeast) {
      counts.push_back(part);
    } else {
      others.push_back(part);
    }
  }
  const FormulaId rest = formulas_.all(others);
  if (!counts.empty()) {  // they hold of these members and no others
    out->counted = true;
    if (!key_facts(rest).steady) return nullptr;
    for (const FormulaId count : counts) {
      const bool as_many = formulas_.atom(count).a <= out->members.size();
      if (as_many == formulas_.negated(count)) return nullptr;
    }
  }
  if (out->members.empty() || !at_end(rest) || !fuel_.spend(out->members.size())) return nullptr;
  std::uint64_t size = 0;
  std::uint32_t height = 1;
  const KeyFacts& facts_of_rest = key_facts(rest);
  for (auto member = out->members.rbegin(); member != out->members.rend(); ++member) {
    const std::uint32_t name = formulas_.atom(member->part).a;
    if (has_seen(seen, name)) return nullptr;
    std::optional<FormulaId> value;
    if (facts_of_rest.steady) {
      value = member_value(rest, facts_of_rest, name);
    } else {
      std::vector<Pair> pairs;
      if (split_member(rest, name, pairs) && pairs.size() == 1 && pairs[0].rest == rest) {
        value = pairs[0].value;
      }
    }
    if (!value) return nullptr;
    member->value = expand(*value);
    const ValueFacts facts = value_facts(member->value);
    if (facts.verdict != Verdict::kYes) return nullptr;
    member->size = size += facts.size + spelled_size(formulas_.name_of(name)) + 4;
    member->height = height = std::max(height, facts.height);
  }
  bytes_ += sizeof(RequiredMembers) + out->members.size() * sizeof(RequiredMembers::Member);
  return out;
}

// Depth first over what may be read next, derived as it is tried: most searches end with the first
// that is. What changes nothing in the formula, or only leaves less, can be left out of any text,
// so it is not tried; a member that must come is tried alone, since members come in any order.
const SchemaMachine::Plan& SchemaMachine::plan(Kind kind, FormulaId start,
                                               std::uint32_t seen_start) {
  static const Plan kNoForNow{Verdict::kNo, false, {}, 0, 0, 0, 0, 0, {}, 0};
  static const Plan kUndecidedForNow{Verdict::kUndecided, false, {}, 0, 0, 0, 0, 0, {}, 0};
  const auto id_of = [&](FormulaId f, std::uint32_t seen) {
    return (std::uint64_t{f} << 32) | (std::uint64_t{seen} << 1) | (kind == Kind::kObject ? 1 : 0);
  };
  struct Step {
    std::string key;
    FormulaId value, rest;
    std::uint32_t seen;
  };
  struct Frame {
    FormulaId formula;
    std::uint32_t seen;
    std::vector<Step> steps;  // so far
    std::size_t next = 0;
    bool opened = false;
    std::uint64_t taints = 0;
    bool undecided = false;
    bool item = false;                 // an item is to be derived, or these members
    std::vector<std::uint32_t> names;  // the last first
    bool others = false;               // and, after the names, keys of the classes
    std::vector<KeyClass> classes;
    const KeyFacts* facts = nullptr;
  };
  // False where it is not all.
  const auto add = [&](Frame& frame, const std::optional<std::string>& text) -> bool {
    const FormulaId f = frame.formula;
    std::vector<Pair> pairs;
    std::uint32_t after = 0;
    bool whole = true;
    if (text) {
      after = seen_with(frame.seen, *text);
      whole = split_member(f, formulas_.name(*text), pairs);
    } else {
      whole = split(after_item(f), pairs);
    }
    for (const Pair& pair : pairs) {
      if (pair.rest == Formulas::kFalse || (pair.rest == f && !wants_repeat(f))) continue;
      FormulaId value = expand(pair.value);
      if (value == Formulas::kFalse) continue;
      if (has_unique(pair.rest)) value = without_dead_ends(value, pair.rest);
      frame.steps.push_back(
          {text.value_or(std::string()), value, after_witness(pair.rest, value), after});
    }
    return whole;
  };
  // What is to be derived, if need be.
  const auto open = [&](Frame& frame) {
    const FormulaId f = frame.formula;
    if (kind == Kind::kArray) {
      frame.item = true;
      return;
    }
    // A member that must come, if there is one.
    const auto required = [&](FormulaId l) {
      return formulas_.op(l) == Formulas::Op::kLiteral &&
             formulas_.atom(l).kind == AtomKind::kHas && !formulas_.negated(l);
    };
    std::optional<std::uint32_t> must;
    bool ordered = false;
    const auto look = [&](FormulaId l) {
      if (required(l) && !must) must = formulas_.atom(l).a;
    };
    look(f);
    if (formulas_.op(f) == Formulas::Op::kAnd) {
      bool varies = false;
      for (const FormulaId c : formulas_.children(f)) {
        look(c);
        varies = varies || formulas_.op(c) == Formulas::Op::kOr || formulas_.negated(c);
      }
      // Of those, what tells most alternatives apart.
      const auto most = must && varies ? key_facts(f).most_wanted : std::nullopt;
      const auto wanted = [&](FormulaId c) { return required(c) && formulas_.atom(c).a == most; };
      if (most && std::ranges::any_of(formulas_.children(f), wanted)) must = most;
    } else if (formulas_.op(f) == Formulas::Op::kOr) {
      if (const std::vector<std::uint32_t> all = required_by_all(f); !all.empty()) {
        const auto most = key_facts(f).most_wanted;
        must = most && std::ranges::find(all, *most) != all.end() ? *most : all[0];
      }
    }
    if (const auto first = first_in_order(f); first || must) {
      // In an order the first of those that must come is tried first, but others may have to come
      // before it.
      ordered = first.has_value();
      if (first && *first != kNoName) must = first;
    }
    if (!must || ordered) {
      frame.facts = &key_facts(f);
      frame.others = frame.facts->any_wanted;
      const auto& wanted = frame.facts->wanted;
      const auto& names = frame.others ? *frame.facts->names : wanted;
      for (auto name = names.rbegin(); name != names.rend(); ++name) {
        if (!has_seen(frame.seen, *name) && must != *name) frame.names.push_back(*name);
      }
      // Those that must come somewhere first.
      std::stable_partition(frame.names.begin(), frame.names.end(), [&](std::uint32_t name) {
        return !std::binary_search(wanted.begin(), wanted.end(), name);
      });
      // And of these, what tells most alternatives apart.
      const auto most = frame.facts->most_wanted;
      const auto at = most ? std::ranges::find(frame.names, *most) : frame.names.end();
      if (at != frame.names.end()) std::rotate(at, at + 1, frame.names.end());
    }
    if (must && !has_seen(frame.seen, *must)) frame.names.push_back(*must);
  };
  // Derives some more; false where nothing is left.
  const auto derive = [&](Frame& frame) -> bool {
    if (frame.item) {
      frame.item = false;
      frame.undecided = !add(frame, std::nullopt) || frame.undecided;
      return true;
    }
    if (frame.names.empty() && std::exchange(frame.others, false)) {
      frame.classes = key_classes(frame.facts->patterns);
      std::reverse(frame.classes.begin(), frame.classes.end());
    }
    if (frame.names.empty() && frame.classes.empty()) return false;
    if (!fuel_.spend()) {
      frame.undecided = true;
      return false;
    }
    std::optional<std::string> key;
    if (!frame.names.empty()) {
      key = formulas_.name_of(frame.names.back());
      frame.names.pop_back();
    } else {
      key = fresh_key(frame.classes.back(), *frame.facts->names, frame.seen);
      frame.classes.pop_back();
    }
    if (key) frame.undecided = !add(frame, key) || frame.undecided;
    return true;
  };
  std::vector<Frame> stack;
  const auto push = [&](FormulaId f, std::uint32_t seen) {
    Frame& frame = stack.emplace_back();
    frame.formula = f;
    frame.seen = seen;
  };
  push(start, seen_start);
  ++open_;
  const Plan* result = nullptr;  // of the frame that was just closed
  bool failed_undecided = false;
  const auto settle = [&](Frame& frame, Plan made) -> const Plan* {
    Plan& known = plans_[id_of(frame.formula, frame.seen)];
    if (made.verdict == Verdict::kNo && taints_ != frame.taints &&
        (open_ > 1 || stack.size() > 1)) {
      known.verdict = Verdict::kNew;
      return &kNoForNow;
    }
    known = std::move(made);
    bytes_ += sizeof(Plan) + 96;
    return &known;
  };
  // A choice is closed as that of its branches which is known to be closed soonest. A search of its
  // own could begin with another member after each one that came, so that a closing would not end.
  const auto known_part = [&](const Frame& frame) -> const Plan* {
    if (formulas_.op(frame.formula) != Formulas::Op::kOr) return nullptr;
    const Plan* least = nullptr;
    for (const FormulaId branch : formulas_.children(frame.formula)) {
      const auto at = plans_.find(id_of(branch, frame.seen));
      if (at == plans_.end() || at->second.verdict != Verdict::kYes) continue;
      if (least == nullptr || at->second.size < least->size) least = &at->second;
    }
    return least;
  };
  const auto next_required = [&](Frame& frame, std::shared_ptr<const RequiredMembers> required,
                                 std::uint32_t next) -> const Plan* {
    const RequiredMembers::Member& member = required->members[next];
    Plan made{Verdict::kYes, false, {}, member.value, 0, 0, member.size, member.height, {}, 0};
    made.key = formulas_.name_of(formulas_.atom(member.part).a);
    if (required->counted) {
      std::vector<Pair> pairs;
      if (!split_member(frame.formula, formulas_.name(made.key), pairs) || pairs.size() != 1) {
        return nullptr;  // fuel ran out
      }
      made.rest = pairs[0].rest;
    } else {
      made.rest = formulas_.without(frame.formula, member.part);
    }
    made.seen = seen_with(frame.seen, made.key);
    if (++next < required->members.size()) {
      Plan& after = plans_[id_of(made.rest, made.seen)];
      if (after.verdict == Verdict::kNew) {
        after.required = std::move(required);
        after.next = next;
      }
    }
    return settle(frame, std::move(made));
  };
  while (!stack.empty()) {
    Frame& top = stack.back();
    if (!top.opened) {
      top.opened = true;
      top.taints = taints_;
      Plan& known = plans_[id_of(top.formula, top.seen)];
      if (known.verdict == Verdict::kOpen) {
        ++taints_;
        result = &kNoForNow;
        stack.pop_back();
        continue;
      }
      if (known.verdict != Verdict::kNew) {
        result = &known;
        stack.pop_back();
        continue;
      }
      if (at_end(top.formula)) {
        known = {Verdict::kYes, true, {}, 0, 0, 0, 1, 0, {}, 0};
        result = &known;
        stack.pop_back();
        continue;
      }
      known.verdict = Verdict::kOpen;
      if (kind == Kind::kObject && known.required == nullptr) {
        known.required = required_alone(top.formula, top.seen);
      }
      if (known.required != nullptr) {
        result = next_required(top, known.required, known.next);
        if (result != nullptr) {
          stack.pop_back();
          continue;
        }
      }
      if (const Plan* least = known_part(top)) {
        result = settle(top, Plan(*least));
        stack.pop_back();
        continue;
      }
      if (fuel_.spend()) {
        open(top);
      } else {
        top.undecided = true;
      }
      result = nullptr;
    }
    Frame& frame = stack.back();
    if (result != nullptr && frame.next > 0) {  // what followed the last step tried
      const Step& step = frame.steps[frame.next - 1];
      if (result->verdict == Verdict::kYes) {
        const ValueFacts facts = value_facts(step.value);
        Plan made;
        made.verdict = Verdict::kYes;
        made.key = step.key;
        made.value = step.value;
        made.rest = step.rest;
        made.seen = step.seen;
        made.size =
            result->size + facts.size + (kind == Kind::kObject ? spelled_size(step.key) + 4 : 1);
        made.height = std::max(result->height, facts.height);
        result = settle(frame, std::move(made));
        stack.pop_back();
        continue;
      }
      frame.undecided = frame.undecided || result->verdict == Verdict::kUndecided;
    }
    result = nullptr;
    bool descended = false;
    while (frame.next < frame.steps.size() || derive(frame)) {
      if (frame.next == frame.steps.size()) continue;
      const Step& step = frame.steps[frame.next++];
      if (!fuel_.spend() || stack.size() > kLongestPlan) {
        frame.undecided = true;
        break;
      }
      const ValueFacts facts = value_facts(step.value);
      frame.undecided = frame.undecided || facts.verdict == Verdict::kUndecided;
      if (facts.verdict != Verdict::kYes) continue;
      push(step.rest, step.seen);
      descended = true;
      break;
    }
    if (descended) continue;
    Plan none;
    none.verdict = frame.undecided ? Verdict::kUndecided : Verdict::kNo;
    if (frame.undecided) failed_undecided = true;
    result = settle(frame, std::move(none));
    stack.pop_back();
  }
  --open_;
  if (failed_undecided && result->verdict == Verdict::kUndecided) undecided_ = true;
  return result != nullptr ? *result : kUndecidedForNow;
}

// The rest of an array after the item that closes `value`: it may not come again where items are
// unique. Which item it is makes no difference where all satisfy the same; where they don't,
// without_dead_ends() has taken away those that do.
FormulaId SchemaMachine::after_witness(FormulaId rest, FormulaId value) {
  if (!has_unique(rest)) return rest;
  const auto item = witness(value);
  return item ? with_value(rest, *item) : rest;
}

// A value that satisfies `f`, by the plans of its containers.
std::optional<Json> SchemaMachine::witness(FormulaId f) {
  if (const Scalar* own = least_scalar(f)) return Json::parse(own->closing, nullptr, false);
  const ValueFacts facts = value_facts(f);
  if (facts.verdict != Verdict::kYes || nesting_ >= kMaxNesting) return std::nullopt;
  ++nesting_;
  const bool object = facts.kind == Kind::kObject;
  Json out = object ? Json::object() : Json::array();
  FormulaId rest = inside(f, facts.kind);
  std::uint32_t seen = 0;
  bool whole = true;
  for (;;) {
    const Plan next = plan(facts.kind, rest, seen);
    whole = next.verdict == Verdict::kYes && fuel_.spend();
    if (!whole || next.end) break;
    auto inside = witness(next.value);
    whole = inside.has_value();
    if (!whole) break;
    if (object) {
      out[next.key] = std::move(*inside);
    } else {
      out.push_back(std::move(*inside));
    }
    rest = next.rest;
    seen = next.seen;
  }
  --nesting_;
  return whole ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace espalier::grammar
