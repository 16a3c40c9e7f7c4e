#include "dsl/cost.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "dsl/context.h"
#include "dsl/hole_room.h"
#include "dsl/holes.h"
#include "dsl/select.h"
#include "dsl/static_types.h"
#include "dsl/value_bounds.h"
#include "grammar/longest_text.h"

namespace espalier::dsl {
namespace {

constexpr std::uint64_t kDefaultMax = 256;  // of a hole that says nothing

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
  explicit CostWalker(const Program& program) : program_(program), values_(program) {}

  // What a generator calls comes before it, with a stack of our own: chains may be long.
  Cost of(const GenInfo& gen) {
    std::vector<std::pair<const GenInfo*, bool>> open = {{&gen, false}};
    while (!open.empty()) {
      const auto [at, called] = open.back();
      if (known_.count(at) > 0) {
        open.pop_back();
      } else if (called) {
        values_ = ValueBounds(program_);
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
      value = values_.most(*option.value);
      most = value.number().value_or(Bound::kMost);
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
        Bound bytes;
        for (const Choice& one : *choices) bytes += Bound::of(one.text.size() + end(follow));
        cost.scored += bytes.times(Bound::of(info.by == SelectBy::kPrior ? 2 : 1));
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
  Cost at(const LetStmt& stmt) {
    if (stmt.value != nullptr) values_.bind(stmt.name.text, *stmt.value);
    return expr(stmt.value);
  }
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
    values_.bind_item(stmt.variable.text, *stmt.list);
    const Bound turns = values_.length(*stmt.list);
    cost += times(block(stmt.body), turns);
    if (stmt.collected) values_.bind_list(stmt.collected->text, turns);
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
        meaning[parameter.name] = values_.most(*given);
        meaning["len(" + parameter.name + ")"] = values_.length(*given);
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
    cost.calls += several ? values_.length(*node.operand) : Bound::of(1);
    return cost;
  }
  Cost inside(const Expr&, const ForkExpr& node) {
    Cost cost = expr(node.over);
    if (node.variable) values_.bind_item(node.variable->text, *node.over);
    const Cost branch = block(node.body);
    Cost all = times(branch, values_.branches(node));
    all.steps = branch.steps;  // they write together
    cost += all;
    return cost;
  }
  template <class Leaf>
  Cost inside(const Expr&, const Leaf&) {
    return {};
  }

  const Program& program_;
  ValueBounds values_;  // of what the walk has met so far
  std::map<const GenInfo*, Cost> known_;
};

}  // namespace

Cost cost_of(const Program& program, const GenInfo& gen) { return CostWalker(program).of(gen); }

Bound value_tokens(const Program& program, const Hole& hole) {
  return CostWalker(program).value_of(hole);
}

}  // namespace espalier::dsl
