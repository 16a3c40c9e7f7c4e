// Statements, blocks and patterns. A statement whose head could not be read keeps its body, so that
// errors in it are still found: its missing parts are expressions with an empty name.
#include "dsl/ast_builder.h"

namespace espalier::dsl {

std::string_view spelling(Role role) {
  switch (role) {
    case Role::kSystem:
      return "system";
    case Role::kUser:
      return "user";
    case Role::kAssistant:
      return "assistant";
    case Role::kTool:
      return "tool";
  }
  return "";
}

Block AstBuilder::block(Node node) {
  Block result;
  result.span = span(node);
  for (auto parts = children(node); !parts.done();)
    result.statements.push_back(statement(parts.next()));
  return result;
}

Block AstBuilder::body(Node node) {
  if (kind(node) == Kind::kBlock) return block(node);
  Block result;
  result.span = span(node);
  result.statements.push_back(statement(node));
  return result;
}

Stmt AstBuilder::statement(Node node) {
  Stmt result;
  result.span = span(node);
  auto parts = children(node);
  const auto next_expr = [&] {
    return parts.is(Kind::kExpr) ? expr(parts.next()) : missing(result.span);
  };
  switch (kind(node)) {
    case Kind::kRole: {
      RoleStmt role;
      const Node word = parts.next();
      role.word = span(word);
      const std::string_view written = slice(word);
      role.role = written == "system"      ? Role::kSystem
                  : written == "user"      ? Role::kUser
                  : written == "assistant" ? Role::kAssistant
                                           : Role::kTool;
      role.body = body(parts.next());
      result.node = std::move(role);
      break;
    }
    case Kind::kTurn: {
      RoleStmt role;
      role.word = {index_, result.span.begin, result.span.begin + 4};
      role.dynamic_role = next_expr();
      role.body = body(parts.next());
      result.node = std::move(role);
      break;
    }
    case Kind::kLet: {
      LetStmt let;
      let.name = identifier(parts.next());
      if (const auto written = parts.take(Kind::kType)) let.type = type(*written);
      if (const auto loop = parts.take(Kind::kFor)) {
        ForStmt made = for_loop(*loop);
        made.collected = std::move(let.name);
        made.collected_type = std::move(let.type);
        result.node = std::move(made);
        break;
      }
      let.value = next_expr();
      result.node = std::move(let);
      break;
    }
    case Kind::kIf: {
      IfStmt made;
      while (!parts.done() && !parts.is(Kind::kElse)) {
        IfBranch branch;
        branch.condition = next_expr();
        branch.body = block(parts.next());
        made.branches.push_back(std::move(branch));
      }
      if (const auto otherwise = parts.take(Kind::kElse)) {
        auto inner = children(*otherwise);
        made.otherwise = block(inner.next());
      }
      result.node = std::move(made);
      break;
    }
    case Kind::kFor:
      result.node = for_loop(node);
      break;
    case Kind::kMatch:
      return match(node);
    case Kind::kRetry: {
      RetryStmt made;
      made.count = {result.span, true, 1, 1.0};
      if (const auto count = parts.take(Kind::kNumber)) made.count = number(*count);
      if (const auto as = parts.take(Kind::kAs)) {
        auto inner = children(*as);
        made.why = identifier(inner.next());
      }
      made.body = block(parts.next());
      if (const auto otherwise = parts.take(Kind::kElse)) {
        auto inner = children(*otherwise);
        made.otherwise = block(inner.next());
      }
      result.node = std::move(made);
      break;
    }
    case Kind::kRequire: {
      RequireStmt made;
      made.condition = next_expr();
      if (!parts.done()) made.message = text(parts.next());
      result.node = std::move(made);
      break;
    }
    case Kind::kSplice:
      result.node = SpliceStmt{next_expr()};
      break;
    case Kind::kReturn:
      result.node = ReturnStmt{parts.done() ? nullptr : expr(parts.next())};
      break;
    case Kind::kYield:
      result.node = YieldStmt{next_expr()};
      break;
    case Kind::kBreak:
      result.node = BreakStmt{};
      break;
    default:
      result.node = TextStmt{text(node)};
      break;
  }
  return result;
}

ForStmt AstBuilder::for_loop(Node node) {
  ForStmt made;
  auto parts = children(node);
  if (const auto name = parts.take(Kind::kName)) made.variable = identifier(*name);
  made.list = parts.is(Kind::kExpr) ? expr(parts.next()) : missing(span(node));
  made.body = block(parts.next());
  return made;
}

Stmt AstBuilder::match(Node node) {
  Stmt result;
  result.span = span(node);
  MatchStmt made;
  auto parts = children(node);
  made.value = parts.is(Kind::kExpr) ? expr(parts.next()) : missing(result.span);
  while (!parts.done()) {
    auto inner = children(parts.next());
    MatchArm arm;
    arm.pattern = pattern(inner.next());
    arm.body = body(inner.next());
    made.arms.push_back(std::move(arm));
  }
  result.node = std::move(made);
  return result;
}

Pattern AstBuilder::pattern(Node node) {
  Pattern result;
  result.id = patterns_++;
  result.span = span(node);
  auto parts = children(node);
  const Node first = parts.next();
  switch (kind(first)) {
    case Kind::kString:
      result.kind = PatternKind::kString;
      result.string = string_literal(first).value;
      break;
    case Kind::kNumber:
      result.kind = PatternKind::kNumber;
      result.number = number(first);
      break;
    case Kind::kNull:
      result.kind = PatternKind::kNull;
      break;
    case Kind::kTrue:
      result.kind = PatternKind::kTrue;
      break;
    case Kind::kFalse:
      result.kind = PatternKind::kFalse;
      break;
    default:
      result.name = identifier(first);
      if (const auto written = parts.take(Kind::kType)) result.type = type(*written);
      if (const auto bindings = parts.take(Kind::kBindings)) {
        result.called = true;
        for (auto inner = children(*bindings); !inner.done();)
          result.bindings.push_back(identifier(inner.next()));
      }
  }
  return result;
}

}  // namespace espalier::dsl
