// The oracle of the grammar room: an expression run straight from its definition, as sets of end
// positions.
//
// ends(e, i) is the set of j with text[i, j) in e's language, memoised; no automaton, no products,
// nothing shared with the code under test but the expression itself. Rules must not be
// left-recursive. Exponential in nothing, but slow: O(expressions · positions²).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/utf8.h"
#include "grammar/expression.h"

namespace espalier::grammar::testing {

class NaiveExpression {
 public:
  NaiveExpression(const ExpressionPool& pool, Expr root) : pool_(pool), root_(root) {}

  bool matches(std::string_view text) {
    text_ = text;
    memo_.clear();
    const auto& found = ends(root_, 0);
    return std::binary_search(found.begin(), found.end(), text.size());
  }

 private:
  using Positions = std::vector<std::size_t>;  // sorted

  const Positions& ends(Expr e, std::size_t from) {
    const std::uint64_t key = (std::uint64_t{e.id} << 32) | from;
    if (const auto it = memo_.find(key); it != memo_.end()) return it->second;
    Positions out = compute(e, from);
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return memo_.emplace(key, std::move(out)).first->second;  // references into the map stay good
  }

  Positions compute(Expr e, std::size_t from) {
    const auto& node = pool_.node(e);
    const auto children = pool_.children(e);
    switch (node.op) {
      case Op::kNothing:
        return {};
      case Op::kEmpty:
        return {from};
      case Op::kBytes: {
        const std::string& bytes = pool_.bytes_of(e);
        if (text_.substr(from, bytes.size()) == bytes) return {from + bytes.size()};
        return {};
      }
      case Op::kSet:
        if (from < text_.size() && pool_.set_of(e).has(static_cast<unsigned char>(text_[from]))) {
          return {from + 1};
        }
        return {};
      case Op::kConcat: {
        Positions at = {from};
        for (const Expr child : children) at = after(at, child);
        return at;
      }
      case Op::kChoice: {
        Positions out;
        for (const Expr child : children) {
          const Positions& more = ends(child, from);
          out.insert(out.end(), more.begin(), more.end());
        }
        return out;
      }
      case Op::kRepeat:
        return repeat(children[0], node.a, node.b, from);
      case Op::kRule:
        return ends(pool_.rule_body(node.a), from);
      case Op::kCapture:
      case Op::kContextFree:
        return ends(children[0], from);
      case Op::kIntersection:
      case Op::kDifference: {
        const Positions& a = ends(children[0], from);
        const Positions& b = ends(children[1], from);
        Positions out;
        if (node.op == Op::kIntersection) {
          std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
        } else {
          std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out));
        }
        return out;
      }
      case Op::kCodePoints: {
        const utf8::Decoded decoded = utf8::decode(text_, from);
        if (decoded.length == 0) return {};
        for (const auto& [low, high] : pool_.ranges_of(e)) {
          if (decoded.code_point >= low && decoded.code_point <= high)
            return {from + decoded.length};
        }
        return {};
      }
      case Op::kMultiple: {
        Positions out;
        bool point = false;
        for (std::size_t to = from; to < text_.size(); ++to) {
          const bool digit = text_[to] >= '0' && text_[to] <= '9';
          if (!digit && (text_[to] != '.' || point || to == from)) break;
          point = point || !digit;
          if (digit &&
              pool_.multiple_of(e).divides(*Decimal::read(text_.substr(from, to + 1 - from)))) {
            out.push_back(to + 1);
          }
        }
        return out;
      }
      case Op::kFactor:
      case Op::kSchema:
        std::abort();  // both have oracles of their own (tests/grammar_schema, tests/grammar)
    }
    return {};
  }

  Positions after(const Positions& starts, Expr e) {
    Positions out;
    for (const std::size_t from : starts) {
      const Positions& more = ends(e, from);
      out.insert(out.end(), more.begin(), more.end());
    }
    std::sort(out.begin(), out.end());
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

  Positions repeat(Expr child, std::uint32_t low, std::uint32_t high, std::size_t from) {
    Positions frontier = {from};
    Positions out;
    std::vector<bool> seen(text_.size() + 1, false);
    for (std::uint64_t count = 0;; ++count) {
      if (count >= low) {  // reached with fewer turns is as good as with more
        std::erase_if(frontier, [&](std::size_t p) { return seen[p]; });
        for (const std::size_t p : frontier) seen[p] = true;
        out.insert(out.end(), frontier.begin(), frontier.end());
      }
      if (frontier.empty() || count == high) return out;
      Positions next = after(frontier, child);
      if (count < low && next == frontier) {  // turns that match nothing: go straight to `low`
        count = low - 1;
      }
      frontier = std::move(next);
    }
  }

  const ExpressionPool& pool_;
  Expr root_;
  std::string_view text_;
  std::unordered_map<std::uint64_t, Positions> memo_;
};

}  // namespace espalier::grammar::testing
