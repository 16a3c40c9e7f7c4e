// Inside one rule: what an item expands to, what its leaves read, and what is left of it.
#include "grammar/context_free_machine.h"

#include <algorithm>

#include "grammar/automaton.h"
#include "grammar/hash.h"
#include "grammar/program.h"

namespace espalier::grammar {

ContextFreeMachine::LocalId ContextFreeMachine::local(std::uint32_t expr, std::uint32_t progress,
                                                      LocalId next) {
  const Local l{expr, progress, next};
  const std::size_t hash = mix(mix(mix(0, expr), progress), next);
  const LocalId known = local_ids_.find(hash, [&](LocalId id) { return locals_[id] == l; });
  if (known != InternTable::kNone) return known;
  const auto id = static_cast<LocalId>(locals_.size());
  local_ids_.insert(hash, id);
  locals_.push_back(l);
  expansions_.emplace_back();
  seen_.push_back(0);
  left_.push_back(0);
  local_sizes_.push_back(ContextFreeFacts::sum(remaining(l), local_sizes_[next]));
  products_.bytes_ += sizeof(Local) + sizeof(Expansion) + 80;
  return id;
}

// Bytes of the shortest word of what remains of the frame itself.
std::uint32_t ContextFreeMachine::remaining(const Local& l) {
  const Expr e{l.expr};
  const auto& node = pool_.node(e);
  switch (node.op) {
    case Op::kBytes:
      return facts_.size(e) - l.progress;
    case Op::kConcat: {
      if (l.progress == 0) return facts_.size(e);
      std::vector<std::uint32_t>& sizes = concat_sizes_[e.id];
      if (sizes.empty()) {
        const auto children = pool_.children(e);
        sizes.assign(children.size() + 1, 0);
        for (std::size_t i = children.size(); i-- > 0;) {
          sizes[i] = ContextFreeFacts::sum(facts_.size(children[i]), sizes[i + 1]);
        }
        products_.bytes_ += sizes.size() * sizeof(std::uint32_t);
      }
      return sizes[l.progress];
    }
    case Op::kRepeat:
      return ContextFreeFacts::times(facts_.size(pool_.children(e)[0]),
                                     l.progress < node.a ? node.a - l.progress : 0);
    case Op::kIntersection:
    case Op::kDifference:
      return l.progress == 0 ? facts_.size(e) : products_.pair_closing_size(l.progress);
    default:
      return facts_.size(e);
  }
}

// A product whose word is complete: it closes by none of its bytes, but as what comes behind it.
bool ContextFreeMachine::complete_product(LocalId leaf) const {
  const Local& at = locals_[leaf];
  const Op op = pool_.node(Expr{at.expr}).op;
  return (op == Op::kIntersection || op == Op::kDifference) &&
         products_.pairs_[at.progress - 1].accepting;
}

const ContextFreeMachine::Expansion& ContextFreeMachine::expansion(LocalId from) {
  if (expansions_[from].known) return expansions_[from];
  Expansion out;
  out.known = true;
  const std::uint32_t stamp = ++stamp_;
  std::vector<LocalId> work{from};
  for (std::size_t visits = 0; !work.empty(); ++visits) {
    if (visits > kMostVisits) {
      out.beyond = true;
      break;
    }
    const LocalId id = work.back();
    work.pop_back();
    if (id == kEnd) {
      out.ends = true;
      continue;
    }
    if (seen_[id] == stamp) continue;
    seen_[id] = stamp;
    const Local at = locals_[id];
    const Expr e{at.expr};
    if (!facts_.productive(e)) continue;
    const auto& node = pool_.node(e);
    switch (node.op) {
      case Op::kNothing:
        break;
      case Op::kEmpty:
        work.push_back(at.next);
        break;
      case Op::kBytes:
      case Op::kSet:
        out.leaves.push_back(id);
        break;
      case Op::kConcat: {
        const LocalId rest =
            at.progress + 1 == node.count ? at.next : local(at.expr, at.progress + 1, at.next);
        work.push_back(push(pool_.children(e)[at.progress], rest));
        break;
      }
      case Op::kChoice:
        for (const Expr child : pool_.children(e)) work.push_back(push(child, at.next));
        break;
      case Op::kRepeat: {
        const Expr child = pool_.children(e)[0];
        // Turns of a nullable child may all be empty, so it owes none and only turns that read are
        // counted: coming back without having read leads out alone.
        const bool nullable = facts_.nullable(child);
        if (at.progress >= node.a || nullable) work.push_back(at.next);
        if (left_[id] == stamp || at.progress >= node.b || !facts_.productive(child)) break;
        const std::uint32_t cap = node.b == ExpressionPool::kUnbounded ? node.a : node.b;
        const LocalId again = local(at.expr, std::min(at.progress + 1, cap), at.next);
        if (nullable && again != id) left_[again] = stamp;
        work.push_back(push(child, again));
        break;
      }
      case Op::kRule: {
        out.calls.push_back({node.a, at.next});
        if (facts_.nullable(e)) work.push_back(at.next);
        break;
      }
      case Op::kCodePoints: {
        const LocalId whole = push(pool_.children(e)[0], at.next);
        if (whole != from) {
          for (const LocalId leaf : expansion(whole).leaves) origins_.try_emplace(leaf, e, at.next);
        }
        work.push_back(whole);
        break;
      }
      case Op::kCapture:
      case Op::kContextFree:
        work.push_back(push(pool_.children(e)[0], at.next));
        break;
      case Op::kSchema:
      case Op::kFactor:
      case Op::kMultiple:
        break;  // stand inside products alone: see lark.cpp
      case Op::kIntersection:
      case Op::kDifference: {
        LocalId running = id;
        if (at.progress == 0) {
          const std::uint32_t first = products_.product_start(e);
          if (first == 0) break;
          running = local(at.expr, first, at.next);
          if (seen_[running] == stamp) break;
          seen_[running] = stamp;
        }
        if (products_.pairs_[locals_[running].progress - 1].accepting) work.push_back(at.next);
        out.leaves.push_back(running);
        break;
      }
    }
  }
  products_.bytes_ += out.leaves.size() * sizeof(LocalId) + out.calls.size() * sizeof(Call);
  expansions_[from] = std::move(out);
  return expansions_[from];
}

// Where a leaf goes on; UINT32_MAX where it does not read the byte.
ContextFreeMachine::LocalId ContextFreeMachine::read(LocalId leaf, unsigned char byte) {
  const Local at = locals_[leaf];
  const Expr e{at.expr};
  switch (pool_.node(e).op) {
    case Op::kBytes: {
      const std::string& text = pool_.bytes_of(e);
      if (static_cast<unsigned char>(text[at.progress]) != byte) return UINT32_MAX;
      if (at.progress + 1 == text.size()) return at.next;
      return local(at.expr, at.progress + 1, at.next);
    }
    case Op::kSet:
      return pool_.set_of(e).has(byte) ? at.next : UINT32_MAX;
    default: {
      const std::uint32_t next = products_.product_step(at.progress - 1, byte);
      return next == 0 ? UINT32_MAX : local(at.expr, next, at.next);
    }
  }
}

ByteSet ContextFreeMachine::leaf_bytes(LocalId leaf) const {
  const Local& at = locals_[leaf];
  const Expr e{at.expr};
  if (pool_.node(e).op == Op::kSet) return pool_.set_of(e);
  if (pool_.node(e).op == Op::kBytes) {
    ByteSet one;
    one.add(static_cast<unsigned char>(pool_.bytes_of(e)[at.progress]));
    return one;
  }
  return products_.pair_bytes(e, at.progress);
}

unsigned char ContextFreeMachine::leaf_closing_byte(LocalId leaf) const {
  const Local& at = locals_[leaf];
  const Expr e{at.expr};
  if (pool_.node(e).op == Op::kSet) return program_.closing_byte(pool_.set_of(e));
  if (pool_.node(e).op == Op::kBytes) {
    return static_cast<unsigned char>(pool_.bytes_of(e)[at.progress]);
  }
  return products_.pairs_[at.progress - 1].closing_byte;
}

}  // namespace espalier::grammar
