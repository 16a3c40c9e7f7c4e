#include "grammar/prefix_freedom.h"

#include <algorithm>
#include <unordered_set>

#include "grammar/schema/schema_graph.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kStates = 2000;  // states looked at before a question counts as undecided

}  // namespace

PrefixFreedom::PrefixFreedom(const ExpressionPool& pool) : pool_(pool), facts_(pool.size()) {
  // Twice: the first pass knows nothing of rules, the second reads what the first found of their
  // bodies.
  for (int pass = 0; pass < 2; ++pass) {
    for (std::uint32_t id = 0; id < facts_.size(); ++id) facts_[id] = compute(id);
  }
}

PrefixFreedom::Facts PrefixFreedom::compute(std::uint32_t id) const {
  const Expr e{id};
  const auto& node = pool_.node(e);
  const auto children = pool_.children(e);
  Facts out;
  switch (node.op) {
    case Op::kNothing:
      return {true, false, {}};
    case Op::kEmpty:
      return {true, true, {}};
    case Op::kBytes:
      out = {true, false, {}};
      out.first.add(static_cast<unsigned char>(pool_.bytes_of(e)[0]));
      return out;
    case Op::kSet:
      return {true, false, pool_.set_of(e)};
    case Op::kConcat:
      out = {true, true, {}};
      for (const Expr c : children) {
        const Facts& f = facts_[c.id];
        out.prefix_free &= f.prefix_free;
        if (out.nullable) out.first |= f.first;
        out.nullable &= f.nullable;
      }
      return out;
    case Op::kChoice:
      out = {told_apart_by_first_byte(children), false, {}};
      for (const Expr c : children) {
        const Facts& f = facts_[c.id];
        out.prefix_free &= f.prefix_free;
        out.first |= f.first;
        out.nullable |= f.nullable;
      }
      return out;
    case Op::kRepeat: {
      const Facts& f = facts_[children[0].id];
      return {f.prefix_free && node.a == node.b, f.nullable || node.a == 0, f.first};
    }
    case Op::kRule:
      return facts_[pool_.rule_body(node.a).id];
    case Op::kCapture:
      // What makes an object, an array or a JSON string brings its own brackets: nothing goes on
      // after them.
      switch (pool_.capture_of(e).kind) {
        case Capture::kObject:
          if (facts_[children[0].id].first == ByteSet::of("{"))
            return {true, false, ByteSet::of("{")};
          break;
        case Capture::kArray:
          if (facts_[children[0].id].first == ByteSet::of("["))
            return {true, false, ByteSet::of("[")};
          break;
        case Capture::kJsonString:
          if (facts_[children[0].id].first == ByteSet::of("\""))
            return {true, false, ByteSet::of("\"")};
          break;
        default:
          break;
      }
      return facts_[children[0].id];
    case Op::kCodePoints:
      return {true, false, facts_[children[0].id].first};
    case Op::kIntersection: {
      const Facts& a = facts_[children[0].id];
      const Facts& b = facts_[children[1].id];
      return {a.prefix_free || b.prefix_free, a.nullable && b.nullable, a.first & b.first};
    }
    case Op::kDifference:
      return facts_[children[0].id];
    case Op::kMultiple:
      return {false, false, ByteSet::range('0', '9')};
    case Op::kContextFree:
      return {};
    case Op::kFactor:
      return {false, false, pool_.source_of(e).next_bytes(pool_.source_of(e).start())};
    case Op::kSchema: {
      out = {!pool_.schema_of(e)->may_be_number(), false, ByteSet::of("{[\"tfn")};
      if (!out.prefix_free) out.first |= ByteSet::of("-0123456789");
      return out;
    }
  }
  return out;
}

bool PrefixFreedom::told_apart_by_first_byte(std::span<const Expr> alternatives) const {
  ByteSet seen;
  for (const Expr e : alternatives) {
    const Facts& f = facts_[e.id];
    if (f.nullable || !(seen & f.first).none()) return false;
    seen |= f.first;
  }
  return true;
}

bool PrefixFreedom::ends_decide(Automaton& scratch, Expr start, std::string_view follow) const {
  // Alternatives that differ in their first byte cannot spoil each other: only the open ones are
  // looked at.
  std::vector<Expr> work{start};
  std::unordered_set<std::uint32_t> seen;
  while (!work.empty()) {
    const Expr e = work.back();
    work.pop_back();
    if (prefix_free(e) || !seen.insert(e.id).second) continue;
    const auto& node = pool_.node(e);
    const auto children = pool_.children(e);
    if (node.op == Op::kSchema) {  // only a number may go on where it could end
      if (ByteSet::of("0123456789+-.eE").has(static_cast<unsigned char>(follow[0]))) return false;
    } else if (node.op == Op::kCapture) {
      work.push_back(children[0]);
    } else if (node.op == Op::kRule) {
      work.push_back(pool_.rule_body(node.a));
    } else if (node.op == Op::kChoice && told_apart_by_first_byte(children)) {
      work.insert(work.end(), children.begin(), children.end());
    } else if (!search(scratch, e, follow)) {
      return false;
    }
  }
  return true;
}

// Looks for words v and v·x (x not empty) such that v·follow is a proper prefix of v·x·follow.
bool PrefixFreedom::search(Automaton& scratch, Expr e, std::string_view follow) {
  const StateId start = scratch.operand_start(e);
  if (start == Automaton::kDead) return true;
  std::vector<StateId> reached{start};
  std::unordered_set<StateId> seen{start};
  for (std::size_t i = 0; i < reached.size(); ++i) {
    const StateId state = reached[i];
    if (scratch.operand_end(state)) {
      StateId after = state;
      for (std::size_t read = 1; read <= follow.size(); ++read) {
        after = scratch.step(after, static_cast<unsigned char>(follow[read - 1]));
        if (after == Automaton::kDead) break;
        const bool overlaps = follow.substr(read) == follow.substr(0, follow.size() - read);
        if (read == follow.size() || (scratch.operand_end(after) && overlaps)) return false;
      }
    }
    std::vector<ByteSet> classes{scratch.next_bytes(state)};
    scratch.byte_classes(state, classes);
    for (const ByteSet& c : classes) {
      if (c.none()) continue;
      const StateId next = scratch.step(state, static_cast<unsigned char>(c.lowest()));
      if (next == Automaton::kDead || !seen.insert(next).second) continue;
      if (reached.size() == kStates) return false;
      reached.push_back(next);
    }
  }
  return true;
}

}  // namespace espalier::grammar
