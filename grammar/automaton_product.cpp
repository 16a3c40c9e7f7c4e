// Products: intersections and differences as pairs of states, and what closes a pair.
#include <algorithm>
#include <queue>

#include "grammar/automaton.h"
#include "grammar/closing_search.h"

namespace espalier::grammar {

std::uint32_t Automaton::pair(std::uint32_t expr, StateId a, StateId b) {
  const std::uint32_t parts[] = {expr, a, b};
  std::string key(reinterpret_cast<const char*>(parts), sizeof parts);
  const auto [it, fresh] =
      pair_ids_.try_emplace(std::move(key), static_cast<std::uint32_t>(pairs_.size()));
  if (fresh) {
    Pair p{expr, a, b, 0, 0, 0, false};
    const bool meets = pool_.node(Expr{expr}).op == Op::kIntersection;
    p.accepting = states_[a].operand_end && states_[b].operand_end == meets;
    pairs_.push_back(p);
    bytes_ += sizeof(Pair) + 80;
  }
  return it->second;
}

StateId Automaton::operand_start(Expr e) {
  if (program_->need(e) == Program::kNever) return kDead;
  return intern(closure(push(e, kOperandEnd, 0)), kNoScan);
}

std::uint32_t Automaton::product_start(Expr e) {
  const Program::Product known = program_->product(e);
  if (known == Program::Product::kEmpty || known == Program::Product::kUndecided) return 0;
  const Expr left = pool_.children(e)[0];
  const Expr right = pool_.children(e)[1];
  const StateId a = operand_start(left);
  const StateId b = operand_start(right);
  if (a == kDead || (b == kDead && pool_.node(e).op == Op::kIntersection)) return 0;
  const std::uint32_t first = pair(e.id, a, b);
  if (pairs_[first].known == 0 && known == Program::Product::kCloses) {
    std::uint32_t at = first;
    for (const char c : program_->product_closing(e)) {
      const std::uint32_t next = pair_step(at, static_cast<unsigned char>(c));
      pairs_[at].known = 1;
      pairs_[at].closing_next = next;
      pairs_[at].closing_byte = static_cast<unsigned char>(c);
      at = next - 1;
    }
    pairs_[at].known = 1;
  }
  return first + 1;
}

std::uint32_t Automaton::pair_step(std::uint32_t from, unsigned char byte) {
  const Pair at = pairs_[from];
  const StateId a = step(at.a, byte);
  if (a == kDead) return 0;
  const StateId b = at.b == kDead ? kDead : step(at.b, byte);
  if (b == kDead && pool_.node(Expr{at.expr}).op == Op::kIntersection) return 0;
  return pair(at.expr, a, b) + 1;
}

std::uint32_t Automaton::product_step(std::uint32_t from, unsigned char byte) {
  const std::uint32_t next = pair_step(from, byte);
  if (next == 0) return 0;
  Fuel fuel("states", kClosingSearch);
  return pair_closes(next - 1, fuel) ? next : 0;
}

// Whether `word` is a closing of the pair; then it is kept as the one of all pairs along it.
bool Automaton::pair_closes_as(std::uint32_t start, std::string_view word) {
  std::vector<std::uint32_t> along{start};
  while (pairs_[along.back()].known != 1 && along.size() <= word.size()) {
    const std::uint32_t next =
        pair_step(along.back(), static_cast<unsigned char>(word[along.size() - 1]));
    if (next == 0) return false;
    along.push_back(next - 1);
  }
  if (pairs_[along.back()].known != 1 && !pairs_[along.back()].accepting) return false;
  pairs_[along.back()].known = 1;
  for (std::size_t i = 0; i + 1 < along.size(); ++i) {  // of a pair that comes again, the last
    Pair& before = pairs_[along[i]];
    before.known = 1;
    before.closing_next = along[i + 1] + 1;
    before.closing_byte = static_cast<unsigned char>(word[i]);
  }
  return true;
}

bool Automaton::pair_closes(std::uint32_t start, Fuel& fuel) {
  if (pairs_[start].known != 0) return pairs_[start].known == 1;
  const auto estimate = [&](std::uint32_t p) {
    const std::uint64_t a = closing_estimate(pairs_[p].a);
    if (pool_.node(Expr{pairs_[p].expr}).op == Op::kDifference) return a;
    return std::max(a, closing_estimate(pairs_[p].b));
  };
  // Often what closes the one side closes both: a search would only find it again.
  if (estimate(start) == closing_estimate(pairs_[start].a) &&
      pair_closes_as(start, closing_word(pairs_[start].a))) {
    return true;
  }
  std::priority_queue<ClosingCandidate> open;
  std::unordered_map<std::uint32_t, ClosingStep> reached{{start, {0, 0}}};
  std::uint64_t order = 0;
  open.push({estimate(start), order++, start, 0});
  while (!open.empty()) {
    if (!fuel.spend()) return false;
    const ClosingCandidate at = open.top();
    open.pop();
    if (pairs_[at.node].accepting || pairs_[at.node].known == 1) {
      pairs_[at.node].known = 1;
      for (std::uint32_t p = at.node; p != start;) {
        const ClosingStep step = reached.at(p);
        Pair& before = pairs_[step.from];
        before.known = 1;
        before.closing_next = p + 1;
        before.closing_byte = step.byte;
        p = step.from;
      }
      return true;
    }
    std::vector<ByteSet> classes{next_bytes(pairs_[at.node].a)};
    CutBy cut;
    pair_classes(1 + at.node, classes, cut);
    for (const ByteSet& c : classes) {
      if (c.none()) continue;
      const unsigned char byte = program_->closing_byte(c);
      const std::uint32_t next = pair_step(at.node, byte);
      if (next == 0 || pairs_[next - 1].known == 2) continue;
      if (!reached.try_emplace(next - 1, ClosingStep{at.node, byte}).second) continue;
      open.push({at.length + 1 + estimate(next - 1), order++, next - 1, at.length + 1});
    }
  }
  for (const auto& [p, step] : reached)
    pairs_[p].known = 2;  // all of it was seen, and nothing ends
  return false;
}

std::uint32_t Automaton::pair_closing_size(std::uint32_t progress) const {
  std::uint32_t size = 0;
  for (std::uint32_t at = progress; pairs_[at - 1].closing_next != 0 && size < kTooLong;
       at = pairs_[at - 1].closing_next) {
    ++size;
  }
  return size;
}

void Automaton::pair_classes(std::uint32_t progress, std::vector<ByteSet>& classes,
                             CutBy& cut) const {
  byte_classes(pairs_[progress - 1].a, classes, cut);
  if (pairs_[progress - 1].b != kDead) byte_classes(pairs_[progress - 1].b, classes, cut);
}

void Automaton::append_product_closing(std::uint32_t at, std::string& out) const {
  while (pairs_[at].closing_next != 0) {
    out += static_cast<char>(pairs_[at].closing_byte);
    at = pairs_[at].closing_next - 1;
  }
}

std::optional<std::string> Automaton::find_product_closing(Expr product, Fuel& fuel) {
  const std::uint32_t first = product_start(product);
  if (first == 0 || !pair_closes(first - 1, fuel)) return std::nullopt;
  std::string word;
  append_product_closing(first - 1, word);
  return word;
}

}  // namespace espalier::grammar
