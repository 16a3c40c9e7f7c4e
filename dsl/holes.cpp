#include "dsl/holes.h"

#include <cstdint>
#include <set>
#include <span>
#include <vector>

#include "dsl/evaluate.h"

namespace espalier::dsl {
namespace {

// Walks blocks and expressions; generators wait in a list, so depth is bounded by the parser's
// nesting.
class HoleWalker {
 public:
  HoleWalker(const Program& program,
             const std::function<void(const Hole& hole, std::string_view follow)>& visit,
             bool follow_calls)
      : program_(program), visit_(visit), follow_calls_(follow_calls) {}

  std::vector<const GenInfo*> called(const GenInfo& gen) {
    block(gen.decl->body);
    return std::move(waiting_);
  }
  void run(const GenInfo& gen) {
    waiting_.push_back(&gen);
    while (!waiting_.empty()) {
      const GenInfo* next = waiting_.back();
      waiting_.pop_back();
      if (seen_.insert(next).second) block(next->decl->body);
    }
  }

 private:
  void block(const Block& block) {
    for (const Stmt& stmt : block.statements) {
      std::visit([&](const auto& node) { at(node); }, stmt.node);
    }
  }
  void text(const Text& text) {
    for (std::size_t i = 0; i < text.chunks.size(); ++i) {
      if (const auto* hole = std::get_if<Hole>(&text.chunks[i])) {
        visit_(*hole, follow_of(text, i));
        expr(hole->from);
        for (const HoleOption& option : hole->options) expr(option.value);
      } else if (const auto* insert = std::get_if<Insert>(&text.chunks[i])) {
        expr(insert->value);
      }
    }
  }
  void expr(const ExprPtr& pointer) {
    if (pointer == nullptr) return;
    if (follow_calls_ && std::holds_alternative<CallExpr>(pointer->node)) {
      const CallInfo& call = program_.calls[pointer->id];
      if (call.kind == CalleeKind::kGen) waiting_.push_back(&program_.gens[call.index]);
    }
    std::visit([&](const auto& node) { inside(node); }, pointer->node);
  }

  void at(const TextStmt& stmt) { text(stmt.text); }
  void at(const RoleStmt& stmt) {
    expr(stmt.dynamic_role);
    block(stmt.body);
  }
  void at(const LetStmt& stmt) { expr(stmt.value); }
  void at(const IfStmt& stmt) {
    for (const IfBranch& branch : stmt.branches) {
      expr(branch.condition);
      block(branch.body);
    }
    if (stmt.otherwise) block(*stmt.otherwise);
  }
  void at(const ForStmt& stmt) {
    expr(stmt.list);
    block(stmt.body);
  }
  void at(const MatchStmt& stmt) {
    expr(stmt.value);
    for (const MatchArm& arm : stmt.arms) block(arm.body);
  }
  void at(const RetryStmt& stmt) {
    block(stmt.body);
    if (stmt.otherwise) block(*stmt.otherwise);
  }
  void at(const RequireStmt& stmt) {
    expr(stmt.condition);
    if (stmt.message) text(*stmt.message);
  }
  void at(const SpliceStmt& stmt) {
    const CallInfo& call = program_.calls[stmt.call->id];
    if (call.kind == CalleeKind::kGen) waiting_.push_back(&program_.gens[call.index]);
    expr(stmt.call);
  }
  void at(const ReturnStmt& stmt) { expr(stmt.value); }
  void at(const YieldStmt& stmt) { expr(stmt.value); }
  void at(const BreakStmt&) {}

  void inside(const TextExpr& node) { text(node.text); }
  void inside(const ListExpr& node) {
    for (const ExprPtr& item : node.items) expr(item);
  }
  void inside(const RecordExpr& node) {
    for (const RecordEntry& entry : node.entries) expr(entry.value);
  }
  void inside(const CallExpr& node) {
    for (const Argument& argument : node.arguments) expr(argument.value);
  }
  void inside(const MemberExpr& node) { expr(node.object); }
  void inside(const IndexExpr& node) {
    expr(node.object);
    expr(node.index);
  }
  void inside(const UnaryExpr& node) { expr(node.operand); }
  void inside(const BinaryExpr& node) {
    expr(node.left);
    expr(node.right);
  }
  void inside(const ConditionalExpr& node) {
    expr(node.condition);
    expr(node.then);
    expr(node.otherwise);
  }
  void inside(const RunExpr& node) { expr(node.operand); }
  void inside(const ForkExpr& node) {
    expr(node.over);
    block(node.body);
  }
  template <class Leaf>
  void inside(const Leaf&) {}

  const Program& program_;
  const std::function<void(const Hole& hole, std::string_view follow)>& visit_;
  bool follow_calls_;
  std::vector<const GenInfo*> waiting_;
  std::set<const GenInfo*> seen_;
};

// What a statement is to the search for the last hole.
enum class Last : std::uint8_t { kNothing, kFound, kUnknown };

Last last_of(const Program& program, const Block& block, std::set<HoleId>& out);

Last last_of(const Text& text, std::set<HoleId>& out) {
  for (auto chunk = text.chunks.rbegin(); chunk != text.chunks.rend(); ++chunk) {
    const auto* hole = std::get_if<Hole>(&*chunk);
    if (hole == nullptr) continue;
    out.insert(hole->id);
    return Last::kFound;
  }
  return Last::kNothing;
}

// Of several ways of which one is gone: known only where each is.
Last of_ways(const Program& program, std::span<const Block* const> ways, bool may_pass,
             std::set<HoleId>& out) {
  bool found = false, nothing = may_pass;
  for (const Block* way : ways) {
    switch (last_of(program, *way, out)) {
      case Last::kUnknown:
        return Last::kUnknown;
      case Last::kFound:
        found = true;
        break;
      case Last::kNothing:
        nothing = true;
    }
  }
  if (!found) return Last::kNothing;
  return nothing ? Last::kUnknown : Last::kFound;
}

Last last_of(const Program& program, const Stmt& stmt, std::set<HoleId>& out) {
  if (const auto* text = std::get_if<TextStmt>(&stmt.node)) return last_of(text->text, out);
  if (const auto* role = std::get_if<RoleStmt>(&stmt.node))
    return last_of(program, role->body, out);
  std::vector<const Block*> ways;
  if (const auto* condition = std::get_if<IfStmt>(&stmt.node)) {
    for (const IfBranch& one : condition->branches) ways.push_back(&one.body);
    if (condition->otherwise) ways.push_back(&*condition->otherwise);
    return of_ways(program, ways, !condition->otherwise, out);
  }
  if (const auto* match = std::get_if<MatchStmt>(&stmt.node)) {
    for (const MatchArm& one : match->arms) ways.push_back(&one.body);
    return of_ways(program, ways, false, out);
  }
  if (std::holds_alternative<ForStmt>(stmt.node) || std::holds_alternative<RetryStmt>(stmt.node) ||
      std::holds_alternative<SpliceStmt>(stmt.node))
    return Last::kUnknown;
  // A fork in an expression goes on from here; what else waits is taken for one.
  const Expr* expression = nullptr;
  if (const auto* let = std::get_if<LetStmt>(&stmt.node)) expression = let->value.get();
  if (const auto* yield = std::get_if<YieldStmt>(&stmt.node)) expression = yield->value.get();
  if (const auto* require = std::get_if<RequireStmt>(&stmt.node))
    expression = require->condition.get();
  return expression != nullptr && waits(program, *expression) ? Last::kUnknown : Last::kNothing;
}

Last last_of(const Program& program, const Block& block, std::set<HoleId>& out) {
  for (auto stmt = block.statements.rbegin(); stmt != block.statements.rend(); ++stmt)
    if (const Last last = last_of(program, *stmt, out); last != Last::kNothing) return last;
  return Last::kNothing;
}

}  // namespace

std::string_view follow_of(const Text& text, std::size_t index) {
  if (index + 1 >= text.chunks.size()) return {};
  const auto* next = std::get_if<LiteralChunk>(&text.chunks[index + 1]);
  return next == nullptr ? std::string_view() : std::string_view(next->bytes);
}

void each_hole(const Program& program, const GenInfo& gen,
               const std::function<void(const Hole& hole, std::string_view follow)>& visit) {
  HoleWalker(program, visit, true).run(gen);
}

void each_hole(const Program& program,
               const std::function<void(const Hole& hole, std::string_view follow)>& visit) {
  HoleWalker walker(program, visit, false);
  for (const GenInfo& gen : program.gens) walker.run(gen);
}

void each_own_hole(const Program& program, const GenInfo& gen,
                   const std::function<void(const Hole& hole, std::string_view follow)>& visit) {
  HoleWalker(program, visit, false).run(gen);
}

std::vector<const GenInfo*> called_gens(const Program& program, const GenInfo& gen) {
  const std::function<void(const Hole&, std::string_view)> nothing = [](const Hole&,
                                                                        std::string_view) {};
  return HoleWalker(program, nothing, true).called(gen);
}

std::set<HoleId> last_holes(const Program& program, const Block& block) {
  std::set<HoleId> out;
  last_of(program, block, out);
  return out;
}

}  // namespace espalier::dsl
