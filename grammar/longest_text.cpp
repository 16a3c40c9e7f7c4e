#include "grammar/longest_text.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/fuel.h"
#include "grammar/matcher.h"
#include "grammar/type_expression.h"

namespace espalier::grammar {
namespace {

// One walk, depth first with a stack of its own. What is met again before it is known is recursion,
// and has no end, as everything unknown.
class LongestText {
 public:
  explicit LongestText(const ExpressionPool& pool)
      : pool_(pool), known_(pool.size(), kNoEnd), seen_(pool.size(), false) {}

  std::uint64_t of(Expr root) {
    std::vector<std::pair<Expr, std::size_t>> open = {{root, 0}};
    seen_[root.id] = true;
    while (!open.empty()) {
      auto& [at, next] = open.back();
      while (next < parts(at) && seen_[part(at, next).id]) ++next;
      if (next < parts(at)) {
        const Expr inside = part(at, next);
        seen_[inside.id] = true;
        open.emplace_back(inside, 0);
      } else {
        known_[at.id] = measure(at);
        open.pop_back();
      }
    }
    return known_[root.id];
  }

  static constexpr std::uint64_t kNoEnd = std::numeric_limits<std::uint64_t>::max();

 private:
  [[nodiscard]] std::size_t parts(Expr e) const {
    return pool_.node(e).op == Op::kRule ? 1 : pool_.children(e).size();
  }
  [[nodiscard]] Expr part(Expr e, std::size_t i) const {
    const ExpressionPool::Node& node = pool_.node(e);
    return node.op == Op::kRule ? pool_.rule_body(node.a) : pool_.children(e)[i];
  }

  [[nodiscard]] std::uint64_t measure(Expr e) const {
    const ExpressionPool::Node& node = pool_.node(e);
    const auto longest = [&](std::size_t i) { return known_[part(e, i).id]; };
    std::uint64_t all = 0;
    switch (node.op) {
      case Op::kNothing:
      case Op::kEmpty:
        return 0;
      case Op::kBytes:
        return pool_.bytes_of(e).size();
      case Op::kSet:
        return 1;
      case Op::kConcat:
        for (std::size_t i = 0; i < node.count; ++i)
          all = longest(i) < kNoEnd - all ? all + longest(i) : kNoEnd;
        return all;
      case Op::kChoice:
        for (std::size_t i = 0; i < node.count; ++i) all = std::max(all, longest(i));
        return all;
      case Op::kRepeat:
        if (longest(0) == 0 || node.b == 0) return 0;
        if (node.b == ExpressionPool::kUnbounded || longest(0) > (kNoEnd - 1) / node.b)
          return kNoEnd;
        return longest(0) * node.b;
      case Op::kIntersection:
        return std::min(longest(0), longest(1));
      case Op::kDifference:
      case Op::kCapture:
      case Op::kCodePoints:
      case Op::kContextFree:
      case Op::kRule:
        return longest(0);
      case Op::kFactor:
        return std::min<std::uint64_t>(pool_.source_of(e).bytes().size(), SpanSource::kLongestSpan);
      case Op::kSchema:
      case Op::kMultiple:
        break;
    }
    return kNoEnd;
  }

  const ExpressionPool& pool_;
  std::vector<std::uint64_t> known_;
  std::vector<bool> seen_;
};

// Whether calls stand in the text as the model's template has them: not inside JSON.
bool writes_calls(const TypeRef& type, int depth) {
  if (type == nullptr || depth > TypeExpressions::kDepth) return false;
  const auto inside = [&](const TypeRef& item) { return writes_calls(item, depth + 1); };
  switch (type->kind) {
    case TypeKind::kCall:
      return true;
    case TypeKind::kReference:
      return inside(type->target.lock());
    case TypeKind::kUnion:
      return std::any_of(type->items.begin(), type->items.end(), inside);
    case TypeKind::kList:
      return type->items.size() == 1 && type->items[0] != nullptr &&
             type->items[0]->kind == TypeKind::kCall;
    default:
      return false;
  }
}

}  // namespace

std::optional<std::uint64_t> longest_text(const ExpressionPool& pool, Expr root) {
  const std::uint64_t bytes = LongestText(pool).of(root);
  if (bytes == LongestText::kNoEnd) return std::nullopt;
  return bytes;
}

std::optional<std::uint64_t> longest_text(const TypeRef& type, const SpanSourceRef& source,
                                          const CallForm* calls) {
  if (calls == nullptr && writes_calls(type, 0)) return std::nullopt;
  Fuel fuel("compile steps (limits.compile_fuel)", Limits().compile_fuel);
  ExpressionPool pool(fuel);
  const auto root =
      TypeExpressions(pool, source, calls != nullptr ? *calls : kPlainCall).plain(type);
  if (!root || !pool.ok()) return std::nullopt;
  return longest_text(pool, *root);
}

}  // namespace espalier::grammar
