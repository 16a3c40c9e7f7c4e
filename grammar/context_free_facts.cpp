#include "grammar/context_free_facts.h"

#include <queue>
#include <utility>

namespace espalier::grammar {
namespace {

// What an expression waits for: its children, and a rule's for its body. Products wait for nothing:
// their words are known.
void for_each_need(const ExpressionPool& pool, Expr e, const std::function<void(Expr)>& f) {
  const auto& node = pool.node(e);
  if (node.op == Op::kIntersection || node.op == Op::kDifference) return;
  if (node.op == Op::kRule) f(pool.rule_body(node.a));
  for (const Expr child : pool.children(e)) f(child);
}

}  // namespace

ContextFreeFacts::ContextFreeFacts(const ExpressionPool& pool, std::span<const Expr> roots,
                                   const std::function<std::uint32_t(Expr)>& product_size) {
  const std::size_t n = pool.size();
  sizes_.assign(n, kNever);
  std::vector<std::uint32_t> found;
  std::vector<bool> seen(n, false);
  const auto find = [&](Expr e) {
    if (!seen[e.id]) found.push_back(e.id);
    seen[e.id] = true;
  };
  for (const Expr root : roots) find(root);
  for (std::size_t i = 0; i < found.size(); ++i) for_each_need(pool, Expr{found[i]}, find);

  // Who waits for an expression, as one array with offsets.
  std::vector<std::uint32_t> offsets(n + 1, 0);
  std::vector<std::uint32_t> owed(n, 0);    // needs of a kConcat that have not settled
  std::vector<std::uint32_t> summed(n, 0);  // of those that have
  for (const std::uint32_t id : found) {
    for_each_need(pool, Expr{id}, [&](Expr need) { ++offsets[need.id + 1], ++owed[id]; });
  }
  for (std::size_t i = 1; i <= n; ++i) offsets[i] += offsets[i - 1];
  std::vector<std::uint32_t> waiting(offsets[n]);
  std::vector<std::uint32_t> filled(offsets.begin(), offsets.end() - 1);
  for (const std::uint32_t id : found) {
    for_each_need(pool, Expr{id}, [&](Expr need) { waiting[filled[need.id]++] = id; });
  }

  using Candidate = std::pair<std::uint32_t, std::uint32_t>;  // size, expression
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> open;
  for (const std::uint32_t id : found) {
    const auto& node = pool.node(Expr{id});
    switch (node.op) {
      case Op::kEmpty:
        open.emplace(0, id);
        break;
      case Op::kBytes:
        open.emplace(sum(static_cast<std::uint32_t>(pool.bytes_of(Expr{id}).size()), 0), id);
        break;
      case Op::kSet:
        open.emplace(1, id);
        break;
      case Op::kRepeat:
        if (node.a == 0) open.emplace(0, id);
        break;
      case Op::kIntersection:
      case Op::kDifference:
        if (const std::uint32_t size = product_size(Expr{id}); size != kNever) {
          open.emplace(size, id);
        }
        break;
      default:
        break;
    }
  }
  while (!open.empty()) {
    const auto [size, id] = open.top();
    open.pop();
    if (sizes_[id] != kNever) continue;
    sizes_[id] = size;
    for (std::uint32_t i = offsets[id]; i < offsets[id + 1]; ++i) {
      const std::uint32_t waits = waiting[i];
      if (sizes_[waits] != kNever) continue;
      const auto& node = pool.node(Expr{waits});
      if (node.op == Op::kConcat) {
        summed[waits] = sum(summed[waits], size);
        if (--owed[waits] == 0) open.emplace(summed[waits], waits);
      } else if (node.op == Op::kRepeat) {
        open.emplace(times(size, node.a), waits);
      } else {
        open.emplace(size, waits);
      }
    }
  }
}

}  // namespace espalier::grammar
