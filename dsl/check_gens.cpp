// What generators do to each other: which open turns, which call which. None may call itself,
// directly or around a loop: the cost bound of a program depends on it.
#include <functional>

#include "dsl/checker.h"

namespace espalier::dsl {
namespace {

/// Calls `visit` with each statement of a block and of the blocks in it (forks apart: they are
/// expressions).
void each_statement(const Block& block, const std::function<void(const Stmt&)>& visit) {
  for (const Stmt& statement : block.statements) {
    visit(statement);
    std::visit(
        [&](const auto& node) {
          using T = std::decay_t<decltype(node)>;
          if constexpr (std::is_same_v<T, RoleStmt> || std::is_same_v<T, ForStmt>)
            each_statement(node.body, visit);
          if constexpr (std::is_same_v<T, IfStmt>) {
            for (const IfBranch& branch : node.branches) each_statement(branch.body, visit);
            if (node.otherwise) each_statement(*node.otherwise, visit);
          }
          if constexpr (std::is_same_v<T, MatchStmt>)
            for (const MatchArm& arm : node.arms) each_statement(arm.body, visit);
          if constexpr (std::is_same_v<T, RetryStmt>) {
            each_statement(node.body, visit);
            if (node.otherwise) each_statement(*node.otherwise, visit);
          }
        },
        statement.node);
  }
}

/// Calls `visit` with each expression below a block, also in texts and forks.
class Expressions {
 public:
  explicit Expressions(std::function<void(const Expr&)> visit) : visit_(std::move(visit)) {}

  void block(const Block& block) {
    for (const Stmt& statement : block.statements) this->statement(statement);
  }

 private:
  void statement(const Stmt& statement) {
    std::visit(
        [&](const auto& node) {
          using T = std::decay_t<decltype(node)>;
          if constexpr (std::is_same_v<T, TextStmt>) text(node.text);
          if constexpr (std::is_same_v<T, RoleStmt>) expr(node.dynamic_role), block(node.body);
          if constexpr (std::is_same_v<T, LetStmt> || std::is_same_v<T, ReturnStmt> ||
                        std::is_same_v<T, YieldStmt>)
            expr(node.value);
          if constexpr (std::is_same_v<T, IfStmt>) {
            for (const IfBranch& branch : node.branches) expr(branch.condition), block(branch.body);
            if (node.otherwise) block(*node.otherwise);
          }
          if constexpr (std::is_same_v<T, ForStmt>) expr(node.list), block(node.body);
          if constexpr (std::is_same_v<T, MatchStmt>) {
            expr(node.value);
            for (const MatchArm& arm : node.arms) block(arm.body);
          }
          if constexpr (std::is_same_v<T, RetryStmt>) {
            block(node.body);
            if (node.otherwise) block(*node.otherwise);
          }
          if constexpr (std::is_same_v<T, RequireStmt>) {
            expr(node.condition);
            if (node.message) text(*node.message);
          }
          if constexpr (std::is_same_v<T, SpliceStmt>) expr(node.call);
        },
        statement.node);
  }
  void text(const Text& text) {
    for (const Chunk& chunk : text.chunks) {
      if (const auto* insert = std::get_if<Insert>(&chunk)) expr(insert->value);
      if (const auto* hole = std::get_if<Hole>(&chunk)) {
        expr(hole->from);
        for (const HoleOption& option : hole->options) expr(option.value);
      }
    }
  }
  void expr(const ExprPtr& pointer) {
    if (pointer == nullptr) return;
    visit_(*pointer);
    std::visit(
        [&](const auto& node) {
          using T = std::decay_t<decltype(node)>;
          if constexpr (std::is_same_v<T, TextExpr>) text(node.text);
          if constexpr (std::is_same_v<T, ListExpr>)
            for (const ExprPtr& item : node.items) expr(item);
          if constexpr (std::is_same_v<T, RecordExpr>)
            for (const RecordEntry& entry : node.entries) expr(entry.value);
          if constexpr (std::is_same_v<T, CallExpr>) {
            expr(node.callee);
            for (const Argument& argument : node.arguments) expr(argument.value);
          }
          if constexpr (std::is_same_v<T, MemberExpr>) expr(node.object);
          if constexpr (std::is_same_v<T, IndexExpr>) expr(node.object), expr(node.index);
          if constexpr (std::is_same_v<T, UnaryExpr> || std::is_same_v<T, RunExpr>)
            expr(node.operand);
          if constexpr (std::is_same_v<T, BinaryExpr>) expr(node.left), expr(node.right);
          if constexpr (std::is_same_v<T, ConditionalExpr>)
            expr(node.condition), expr(node.then), expr(node.otherwise);
          if constexpr (std::is_same_v<T, ForkExpr>) expr(node.over), block(node.body);
        },
        pointer->node);
  }

  std::function<void(const Expr&)> visit_;
};

}  // namespace

std::optional<std::uint32_t> Checker::called_gen(const Expr& expr) const {
  const auto* call = std::get_if<CallExpr>(&expr.node);
  const auto name = call == nullptr ? std::nullopt : spelled_name(*call->callee);
  const Declared* const at = name ? declared(name->text) : nullptr;
  if (at == nullptr || at->entity != Entity::kGen) return std::nullopt;
  return at->index;
}

void Checker::collect_traits() {
  const std::size_t count = program_.gens.size();
  traits_.assign(count, {});
  std::vector<std::vector<std::uint32_t>> spliced_by(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const InFile here(*this, program_.gens[i].decl->name.span.file);
    Traits& out = traits_[i];
    const auto look = [&](const Stmt& statement) {
      if (std::holds_alternative<RoleStmt>(statement.node)) out.turns = true;
      if (const auto* text = std::get_if<TextStmt>(&statement.node))
        for (const Chunk& chunk : text->text.chunks)
          out.holes = out.holes || std::holds_alternative<Hole>(chunk);
      if (const auto* splice = std::get_if<SpliceStmt>(&statement.node)) {
        if (const auto gen = called_gen(*splice->call)) spliced_by[*gen].push_back(i);
      }
    };
    each_statement(program_.gens[i].decl->body, look);
    Expressions([&](const Expr& expr) {
      if (const auto* fork = std::get_if<ForkExpr>(&expr.node)) each_statement(fork->body, look);
    }).block(program_.gens[i].decl->body);
  }
  // A generator has what it splices: carried up until nothing changes.
  std::vector<std::uint32_t> work(count);
  for (std::uint32_t i = 0; i < count; ++i) work[i] = i;
  while (!work.empty()) {
    const std::uint32_t from = work.back();
    work.pop_back();
    for (const std::uint32_t to : spliced_by[from]) {
      const bool turns = traits_[to].turns || traits_[from].turns;
      const bool holes = traits_[to].holes || traits_[from].holes;
      if (turns == traits_[to].turns && holes == traits_[to].holes) continue;
      traits_[to] = {turns, holes};
      work.push_back(to);
    }
  }
  for (std::uint32_t i = 0; i < count; ++i) program_.gens[i].turns = traits_[i].turns;
}

void Checker::refuse_recursion() {
  struct Call {
    std::uint32_t to;
    Span span;
  };
  const std::size_t count = program_.gens.size();
  std::vector<std::vector<Call>> calls(count);
  for (std::size_t i = 0; i < count; ++i) {
    const InFile here(*this, program_.gens[i].decl->name.span.file);
    Expressions([&](const Expr& expr) {
      if (const auto gen = called_gen(expr))
        calls[i].push_back({*gen, std::get<CallExpr>(expr.node).callee->span});
    }).block(program_.gens[i].decl->body);
  }

  // Depth first with a stack of our own: a chain of generators may be long.
  enum class Mark : std::uint8_t { kNew, kOpen, kDone };
  std::vector<Mark> marks(count, Mark::kNew);
  for (std::uint32_t start = 0; start < count; ++start) {
    if (marks[start] != Mark::kNew) continue;
    std::vector<std::pair<std::uint32_t, std::size_t>> path = {{start, 0}};
    marks[start] = Mark::kOpen;
    while (!path.empty()) {
      auto& [gen, next] = path.back();
      if (next == calls[gen].size()) {
        marks[gen] = Mark::kDone;
        path.pop_back();
        continue;
      }
      const Call call = calls[gen][next++];
      if (marks[call.to] == Mark::kNew) {
        marks[call.to] = Mark::kOpen;
        path.emplace_back(call.to, 0);
      } else if (marks[call.to] == Mark::kOpen) {
        const bool direct = call.to == gen;
        Diagnostic& diagnostic = error(
            "E0108", call.span,
            "`" + program_.gens[call.to].name + "` calls itself" + (direct ? "" : " around a loop"),
            direct ? "here" : "closes the loop");
        diagnostic.secondary.push_back({program_.gens[call.to].decl->name.span, ""});
        diagnostic.help = "generators don't recurse: use `for` over a range, which bounds the cost";
      }
    }
  }
}

}  // namespace espalier::dsl
