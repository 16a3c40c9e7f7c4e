// The shortest word of every expression that a context-free grammar is made of.
//
// Found as Knuth generalised Dijkstra's algorithm to grammars ("A generalization of Dijkstra's
// algorithm", 1977): expressions settle in the order of their shortest words, each once all it
// needs has settled, so recursion of any kind ends. An expression is productive iff it has a word,
// and nullable iff its shortest one is empty. Cost: O(n log n) in the expressions reachable from
// the kContextFree ones; the others are not looked at.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "grammar/expression.h"
#include "grammar/held_bytes.h"

namespace espalier::grammar {

class ContextFreeFacts {
 public:
  static constexpr std::uint32_t kNever = UINT32_MAX;  // no word
  static constexpr std::uint32_t kLongest = 1u << 30;  // sizes above are counted as this

  ContextFreeFacts() = default;
  /// `product_size` gives the size of an intersection's or difference's known word, or kNever.
  ContextFreeFacts(const ExpressionPool& pool, std::span<const Expr> roots,
                   const std::function<std::uint32_t(Expr)>& product_size);

  /// Bytes of the shortest word; kNever where there is none or `e` is outside of all grammars.
  [[nodiscard]] std::uint32_t size(Expr e) const {
    return e.id < sizes_.size() ? sizes_[e.id] : kNever;
  }
  [[nodiscard]] bool productive(Expr e) const { return size(e) != kNever; }
  [[nodiscard]] bool nullable(Expr e) const { return size(e) == 0; }

  [[nodiscard]] std::size_t held_bytes() const { return grammar::held_bytes(sizes_); }

  static std::uint32_t sum(std::uint32_t a, std::uint32_t b) {
    if (a == kNever || b == kNever) return kNever;
    return a + b > kLongest ? kLongest : a + b;
  }
  static std::uint32_t times(std::uint32_t size, std::uint32_t count) {
    if (count == 0) return 0;
    if (size == kNever) return kNever;
    const std::uint64_t all = std::uint64_t{size} * count;
    return all > kLongest ? kLongest : static_cast<std::uint32_t>(all);
  }

 private:
  std::vector<std::uint32_t> sizes_;
};

}  // namespace espalier::grammar
