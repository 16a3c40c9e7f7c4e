#include "runtime/tokenizer/byte_pair.h"

#include <algorithm>
#include <limits>

namespace espalier::runtime {
namespace {

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

// The heap's top is the greatest, so "less" means: merges later.
constexpr auto kLater = [](const auto& a, const auto& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
};

}  // namespace

BytePair::BytePair(std::size_t tokens, std::span<const Rule> rules) : first_(tokens + 1, 0) {
  for (const Rule& rule : rules) ++first_[static_cast<std::size_t>(rule.left) + 1];
  for (std::size_t i = 1; i < first_.size(); ++i) first_[i] += first_[i - 1];
  entries_.resize(rules.size());
  std::vector<std::uint32_t> next(first_.begin(), first_.end() - 1);
  for (const Rule& rule : rules) {
    entries_[next[static_cast<std::size_t>(rule.left)]++] = {rule.right, rule.rank, rule.merged};
  }
  for (std::size_t left = 0; left < tokens; ++left) {
    // By rank among equals, so that find()'s lower bound meets the first rule of a pair.
    std::sort(entries_.begin() + first_[left], entries_.begin() + first_[left + 1],
              [](const Entry& a, const Entry& b) {
                return a.right != b.right ? a.right < b.right : a.rank < b.rank;
              });
  }
}

const BytePair::Entry* BytePair::find(TokenId left, TokenId right) const {
  const Entry* begin = entries_.data() + first_[static_cast<std::size_t>(left)];
  const Entry* end = entries_.data() + first_[static_cast<std::size_t>(left) + 1];
  const Entry* found = std::lower_bound(
      begin, end, right, [](const Entry& entry, TokenId wanted) { return entry.right < wanted; });
  return found != end && found->right == right ? found : nullptr;
}

void BytePair::offer(Scratch& scratch, std::uint32_t at) const {
  const auto& left = scratch.symbols[at];
  if (left.after == kNone) return;
  const TokenId right = scratch.symbols[left.after].id;
  if (const Entry* entry = find(left.id, right)) {
    scratch.heap.push_back({entry->rank, at, left.id, right, entry->merged});
  }
}

void BytePair::merge(std::span<const TokenId> piece, Scratch& scratch,
                     std::vector<TokenId>& out) const {
  auto& symbols = scratch.symbols;
  auto& heap = scratch.heap;
  symbols.clear();
  heap.clear();
  const auto count = static_cast<std::uint32_t>(piece.size());
  for (std::uint32_t i = 0; i < count; ++i)
    symbols.push_back({piece[i], i == 0 ? kNone : i - 1, i + 1});
  if (count > 0) symbols.back().after = kNone;
  for (std::uint32_t i = 0; i < count; ++i) offer(scratch, i);
  std::make_heap(heap.begin(), heap.end(), kLater);

  while (!heap.empty()) {
    const auto best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), kLater);
    heap.pop_back();
    auto& left = symbols[best.at];
    // A candidate is stale once either of its symbols has merged; a symbol that is gone has no id.
    if (left.id != best.left || left.after == kNone || symbols[left.after].id != best.right)
      continue;
    auto& right = symbols[left.after];
    left.id = best.merged;
    right.id = kNoToken;
    left.after = right.after;
    if (left.after != kNone) symbols[left.after].before = best.at;
    const auto push = [&](std::uint32_t at) {
      const std::size_t before = heap.size();
      offer(scratch, at);
      if (heap.size() > before) std::push_heap(heap.begin(), heap.end(), kLater);
    };
    push(best.at);
    if (left.before != kNone) push(left.before);
  }
  for (std::uint32_t at = count > 0 ? 0 : kNone; at != kNone; at = symbols[at].after)
    out.push_back(symbols[at].id);
}

}  // namespace espalier::runtime
