#include "dsl/cost.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "dsl/context.h"
#include "dsl/hole_room.h"
#include "dsl/holes.h"
#include "dsl/select.h"
#include "dsl/static_types.h"
#include "grammar/longest_text.h"

namespace espalier::dsl {
namespace {

constexpr std::uint64_t kDefaultMax = 256;  // of a hole that says nothing

std::uint64_t sum(std::uint64_t a, std::uint64_t b) { return std::min(a + b, Bound::kMost); }
std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  return a != 0 && b > Bound::kMost / a ? Bound::kMost : a * b;
}

Cost& operator+=(Cost& a, const Cost& b) {
  a.generated += b.generated;
  a.holes += b.holes;
  a.steps += b.steps;
  a.scored += b.scored;
  a.calls += b.calls;
  a.again += b.again;
  return a;
}
Cost times(const Cost& a, const Bound& n) {
  return {a.generated.times(n), a.holes.times(n), a.steps.times(n),
          a.scored.times(n),    a.calls.times(n), a.again.times(n)};
}
Cost larger(const Cost& a, const Cost& b) {
  return {a.generated.or_larger(b.generated), a.holes.or_larger(b.holes),
          a.steps.or_larger(b.steps),         a.scored.or_larger(b.scored),
          a.calls.or_larger(b.calls),         a.again.or_larger(b.again)};
}

class CostWalker {
 public:
  explicit CostWalker(const Program& program) : program_(program) {}

  // What a generator calls comes before it, with a stack of our own: chains may be long.
  Cost of(const GenInfo& gen) {
    std::vector<std::pair<const GenInfo*, bool>> open = {{&gen, false}};
    while (!open.empty()) {
      const auto [at, called] = open.back();
      if (known_.count(at) > 0) {
        open.pop_back();
      } else if (called) {
        known_.emplace(at, block(at->decl->body));
        open.pop_back();
      } else {
        open.back().second = true;
        for (const GenInfo* one : called_gens(program_, *at))
          if (known_.count(one) == 0) open.emplace_back(one, false);
      }
    }
    return known_.at(&gen);
  }

  /// Tokens of a hole's value.
  Bound value_of(const Hole& hole) {
    std::uint64_t most = static_cast<std::uint64_t>(
        program_.config.max.value_or(static_cast<std::int64_t>(kDefaultMax)));
    Bound value = Bound::of(most);
    for (const HoleOption& option : hole.options) {
      if (option.name.text != "max") continue;
      const auto number = constant(*option.value);
      value = number ? Bound::of(*number) : Bound::symbol(written(*option.value));
      most = number.value_or(Bound::kMost);
    }
    const std::uint64_t room =
        hole_room({.budget = most, .longest = grammar::longest_text(program_.holes[hole.id].type)},
                  nullptr)
            .value;
    return room < most ? Bound::of(room) : value;
  }

 private:
  Cost block(const Block& block) {
    Cost cost;
    for (const Stmt& stmt : block.statements)
      cost += std::visit([&](const auto& node) { return at(node); }, stmt.node);
    return cost;
  }

  Cost text(const Text& text) {
    Cost cost;
    for (std::size_t i = 0; i < text.chunks.size(); ++i) {
      if (const auto* written = std::get_if<Hole>(&text.chunks[i])) {
        cost += hole(*written, follow_of(text, i));
      } else if (const auto* insert = std::get_if<Insert>(&text.chunks[i])) {
        cost += expr(insert->value);
      }
    }
    return cost;
  }

  Cost hole(const Hole& hole, std::string_view follow) {
    const HoleInfo& info = program_.holes[hole.id];
    Cost cost;
    cost += expr(hole.from);
    for (const HoleOption& option : hole.options) cost += expr(option.value);
    cost.holes += Bound::of(1);
    const auto end = [&](std::string_view text) {
      return hole_room({.follow = text}, nullptr).behind;
    };
    if (hole.select) {
      if (const auto choices = choices_of(info.type)) {
        std::uint64_t bytes = 0;
        for (const Choice& one : *choices) bytes = sum(bytes, one.text.size() + end(follow));
        cost.scored += Bound::of(info.by == SelectBy::kPrior ? product(bytes, 2) : bytes);
      }
      cost.steps += Bound::of(info.by == SelectBy::kPrior ? 2 : 1);
      return cost;
    }
    Bound written = value_of(hole);
    written += Bound::of(end(info.think ? Context::kThoughtEnd : follow));
    cost.generated += written;
    cost.steps += written;
    if (info.think) cost.again += Bound::of(1);
    return cost;
  }

  Cost at(const TextStmt& stmt) { return text(stmt.text); }
  Cost at(const RoleStmt& stmt) {
    Cost cost = expr(stmt.dynamic_role);
    cost += block(stmt.body);
    return cost;
  }
  Cost at(const LetStmt& stmt) { return expr(stmt.value); }
  Cost at(const IfStmt& stmt) {
    Cost conditions, most;
    for (const IfBranch& branch : stmt.branches) {
      conditions += expr(branch.condition);
      most = larger(most, block(branch.body));
    }
    if (stmt.otherwise) most = larger(most, block(*stmt.otherwise));
    conditions += most;
    return conditions;
  }
  Cost at(const ForStmt& stmt) {
    Cost cost = expr(stmt.list);
    cost += times(block(stmt.body), length(*stmt.list));
    return cost;
  }
  Cost at(const MatchStmt& stmt) {
    Cost most;
    for (const MatchArm& arm : stmt.arms) most = larger(most, block(arm.body));
    Cost cost = expr(stmt.value);
    cost += most;
    return cost;
  }
  Cost at(const RetryStmt& stmt) {
    Cost cost = times(
        block(stmt.body),
        Bound::of(static_cast<std::uint64_t>(std::max<std::int64_t>(1, stmt.count.int_value))));
    if (stmt.otherwise) cost += block(*stmt.otherwise);
    return cost;
  }
  Cost at(const RequireStmt& stmt) {
    Cost cost = expr(stmt.condition);
    if (stmt.message) cost += text(*stmt.message);
    return cost;
  }
  Cost at(const SpliceStmt& stmt) { return expr(stmt.call); }
  Cost at(const ReturnStmt& stmt) { return expr(stmt.value); }
  Cost at(const YieldStmt& stmt) { return expr(stmt.value); }
  Cost at(const BreakStmt&) { return {}; }

  Cost expr(const ExprPtr& pointer) {
    if (pointer == nullptr) return {};
    return std::visit([&](const auto& node) { return inside(*pointer, node); }, pointer->node);
  }
  Cost inside(const Expr&, const TextExpr& node) { return text(node.text); }
  Cost inside(const Expr&, const ListExpr& node) {
    Cost cost;
    for (const ExprPtr& item : node.items) cost += expr(item);
    return cost;
  }
  Cost inside(const Expr&, const RecordExpr& node) {
    Cost cost;
    for (const RecordEntry& entry : node.entries) cost += expr(entry.value);
    return cost;
  }
  Cost inside(const Expr& whole, const CallExpr& node) {
    Cost cost;
    for (const Argument& argument : node.arguments) cost += expr(argument.value);
    const CallInfo& call = program_.calls[whole.id];
    if (call.kind != CalleeKind::kGen) return cost;
    const GenInfo& gen = program_.gens[call.index];
    std::map<std::string, Bound> meaning;
    for (std::size_t i = 0; i < gen.parameters.size(); ++i) {
      const Parameter& parameter = gen.parameters[i];
      const Expr* given = i < call.arguments.size() ? call.arguments[i] : nullptr;
      if (given != nullptr) {
        const auto number = constant(*given);
        meaning[parameter.name] = number ? Bound::of(*number) : Bound::symbol(written(*given));
        meaning["len(" + parameter.name + ")"] = length(*given);
      } else if (parameter.fallback) {
        if (parameter.fallback->is_number_unsigned() || parameter.fallback->is_number_integer())
          meaning[parameter.name] = Bound::of(static_cast<std::uint64_t>(
              std::max<std::int64_t>(0, parameter.fallback->get<std::int64_t>())));
        if (parameter.fallback->is_array())
          meaning["len(" + parameter.name + ")"] = Bound::of(parameter.fallback->size());
      }
    }
    Cost callee = of(gen);
    for (Bound* bound : {&callee.generated, &callee.holes, &callee.steps, &callee.scored,
                         &callee.calls, &callee.again})
      *bound = bound->with(meaning);
    cost += callee;
    return cost;
  }
  Cost inside(const Expr&, const MemberExpr& node) { return expr(node.object); }
  Cost inside(const Expr&, const IndexExpr& node) {
    Cost cost = expr(node.object);
    cost += expr(node.index);
    return cost;
  }
  Cost inside(const Expr&, const UnaryExpr& node) { return expr(node.operand); }
  Cost inside(const Expr&, const BinaryExpr& node) {
    Cost cost = expr(node.left);
    cost += expr(node.right);
    return cost;
  }
  Cost inside(const Expr&, const ConditionalExpr& node) {
    Cost cost = expr(node.condition);
    cost += larger(expr(node.then), expr(node.otherwise));
    return cost;
  }
  Cost inside(const Expr&, const RunExpr& node) {
    Cost cost = expr(node.operand);
    const TypeRef type = resolve(program_.values[node.operand->id]);
    const bool several = type != nullptr && type->kind == TypeKind::kList;
    cost.calls += several ? length(*node.operand) : Bound::of(1);
    return cost;
  }
  Cost inside(const Expr&, const ForkExpr& node) {
    Cost cost = expr(node.over);
    Bound count = Bound::of(1);
    if (node.variable) {
      count = length(*node.over);
    } else if (node.over != nullptr) {
      const auto number = constant(*node.over);
      count = number ? Bound::of(*number) : Bound::symbol(written(*node.over));
    }
    const Cost branch = block(node.body);
    Cost all = times(branch, count);
    all.steps = branch.steps;  // they write together
    cost += all;
    return cost;
  }
  template <class Leaf>
  Cost inside(const Expr&, const Leaf&) {
    return {};
  }

  /// Items of a list or numbers of a range, at most.
  Bound length(const Expr& list) {
    if (const auto* range = std::get_if<BinaryExpr>(&list.node);
        range != nullptr && range->op == BinaryOp::kRange) {
      const auto low = constant(*range->left);
      const auto high = constant(*range->right);
      if (low && high) return Bound::of(*high >= *low ? *high - *low + 1 : 0);
      if (low == std::uint64_t{1}) return Bound::symbol(written(*range->right));
      return Bound::symbol("len(" + written(list) + ")");
    }
    if (const auto* items = std::get_if<ListExpr>(&list.node))
      return Bound::of(items->items.size());
    if (std::holds_alternative<NameExpr>(list.node) &&
        program_.names[list.id].kind == NameKind::kType) {
      const TypeRef named = resolve(program_.types[program_.names[list.id].index].type);
      if (named != nullptr) return Bound::of(named->cases.size());
    }
    const TypeRef type = resolve(program_.values[list.id]);
    if (type != nullptr && type->kind == TypeKind::kList && type->high)
      return Bound::of(*type->high);
    return Bound::symbol("len(" + written(list) + ")");
  }

  static std::optional<std::uint64_t> constant(const Expr& expr) {
    const auto* number = std::get_if<NumberExpr>(&expr.node);
    if (number == nullptr || !number->number.integer || number->number.int_value < 0)
      return std::nullopt;
    return static_cast<std::uint64_t>(number->number.int_value);
  }
  std::string written(const Expr& expr) const {
    return std::string(program_.sources[expr.span.file].slice(expr.span));
  }

  const Program& program_;
  std::map<const GenInfo*, Cost> known_;
};

}  // namespace

Bound Bound::of(std::uint64_t number) {
  Bound out;
  if (number > 0) out.terms_[{}] = std::min(number, kMost);
  return out;
}

Bound Bound::symbol(std::string name) {
  Bound out;
  out.terms_[{std::move(name)}] = 1;
  return out;
}

Bound& Bound::operator+=(const Bound& other) {
  for (const auto& [symbols, number] : other.terms_) {
    std::uint64_t& here = terms_[symbols];
    here = sum(here, number);
  }
  if (terms_.size() > kMostTerms) *this = of(kMost);
  return *this;
}

Bound Bound::times(const Bound& other) const {
  Bound out;
  for (const auto& [a, m] : terms_)
    for (const auto& [b, n] : other.terms_) {
      std::vector<std::string> both = a;
      both.insert(both.end(), b.begin(), b.end());
      std::sort(both.begin(), both.end());
      std::uint64_t& here = out.terms_[both];
      here = sum(here, product(m, n));
      if (out.terms_.size() > kMostTerms) return of(kMost);
    }
  return out;
}

Bound Bound::or_larger(const Bound& other) const {
  Bound out = *this;
  for (const auto& [symbols, number] : other.terms_) {
    std::uint64_t& here = out.terms_[symbols];
    here = std::max(here, number);
  }
  return out;
}

Bound Bound::with(const std::map<std::string, Bound>& meaning) const {
  Bound out;
  for (const auto& [symbols, number] : terms_) {
    Bound term = Bound::of(number);
    for (const std::string& one : symbols) {
      const auto known = meaning.find(one);
      term = term.times(known == meaning.end() ? Bound::symbol(one) : known->second);
    }
    out += term;
  }
  return out;
}

std::string Bound::text() const {
  if (terms_.empty()) return "0";
  std::string out;
  // Products with the most symbols first.
  std::vector<std::pair<std::vector<std::string>, std::uint64_t>> order(terms_.begin(),
                                                                        terms_.end());
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  for (const auto& [symbols, number] : order) {
    if (number == kMost) return "more than " + std::to_string(kMost - 1);
    std::string term = number == 1 && !symbols.empty() ? "" : std::to_string(number);
    for (const std::string& one : symbols) term += (term.empty() ? "" : "·") + one;
    out += (out.empty() ? "" : " + ") + term;
  }
  return out;
}

Cost cost_of(const Program& program, const GenInfo& gen) { return CostWalker(program).of(gen); }

Bound value_tokens(const Program& program, const Hole& hole) {
  return CostWalker(program).value_of(hole);
}

}  // namespace espalier::dsl
