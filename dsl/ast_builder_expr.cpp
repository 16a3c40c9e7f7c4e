// Types and expressions. An expression's nodes stand flat (operands and operators in a row);
// precedence climbing puts them together, as the grammar's levels have already shown to be
// possible.
#include "dsl/ast_builder.h"

namespace espalier::dsl {
namespace {

struct Operator {
  BinaryOp op{};
  int precedence = 0;
};

Operator binary_operator(std::string_view written) {
  constexpr int kOr = 1, kAnd = 2, kCompare = 3, kRangeLevel = 4, kSum = 5, kProduct = 6;
  if (written == "or") return {BinaryOp::kOr, kOr};
  if (written == "and") return {BinaryOp::kAnd, kAnd};
  if (written == "==") return {BinaryOp::kEqual, kCompare};
  if (written == "!=") return {BinaryOp::kNotEqual, kCompare};
  if (written == "<=") return {BinaryOp::kLessEqual, kCompare};
  if (written == ">=") return {BinaryOp::kGreaterEqual, kCompare};
  if (written == "<") return {BinaryOp::kLess, kCompare};
  if (written == ">") return {BinaryOp::kGreater, kCompare};
  if (written == "in") return {BinaryOp::kIn, kCompare};
  if (written == "..") return {BinaryOp::kRange, kRangeLevel};
  if (written == "+") return {BinaryOp::kAdd, kSum};
  if (written == "-") return {BinaryOp::kSubtract, kSum};
  if (written == "*") return {BinaryOp::kMultiply, kProduct};
  if (written == "/") return {BinaryOp::kDivide, kProduct};
  return {BinaryOp::kRemainder, kProduct};
}

bool is_suffix(Kind kind) {
  return kind == Kind::kCall || kind == Kind::kMember || kind == Kind::kIndex;
}

}  // namespace

std::string_view spelling(UnaryOp op) { return op == UnaryOp::kNot ? "not" : "-"; }

std::string_view spelling(BinaryOp op) {
  switch (op) {
    case BinaryOp::kOr:
      return "or";
    case BinaryOp::kAnd:
      return "and";
    case BinaryOp::kEqual:
      return "==";
    case BinaryOp::kNotEqual:
      return "!=";
    case BinaryOp::kLessEqual:
      return "<=";
    case BinaryOp::kGreaterEqual:
      return ">=";
    case BinaryOp::kLess:
      return "<";
    case BinaryOp::kGreater:
      return ">";
    case BinaryOp::kIn:
      return "in";
    case BinaryOp::kRange:
      return "..";
    case BinaryOp::kAdd:
      return "+";
    case BinaryOp::kSubtract:
      return "-";
    case BinaryOp::kMultiply:
      return "*";
    case BinaryOp::kDivide:
      return "/";
    case BinaryOp::kRemainder:
      return "%";
  }
  return "";
}

// ---- types
// --------------------------------------------------------------------------------------------------------

TypePtr AstBuilder::type(Node node) {
  std::vector<TypePtr> alternatives;
  for (auto parts = children(node); !parts.done();) {
    const Node part = parts.next();
    if (kind(part) == Kind::kQuestion || kind(part) == Kind::kLength) {
      auto wrapped = std::make_unique<TypeExpr>();
      wrapped->span = join(alternatives.back()->span, span(part));
      if (kind(part) == Kind::kQuestion) {
        wrapped->node = OptionalType{std::move(alternatives.back())};
      } else {
        ListType list{std::move(alternatives.back()), {}};
        if (auto inner = children(part); inner.is(Kind::kRange)) list.length = range(inner.next());
        wrapped->node = std::move(list);
      }
      alternatives.back() = std::move(wrapped);
    } else {
      alternatives.push_back(type_primary(part));
    }
  }
  if (alternatives.size() == 1) return std::move(alternatives.front());
  auto result = std::make_unique<TypeExpr>();
  result->span = span(node);
  result->node = UnionType{std::move(alternatives)};
  return result;
}

TypePtr AstBuilder::type_primary(Node node) {
  if (kind(node) == Kind::kParenType) {
    auto inner = children(node);
    TypePtr result = type(inner.next());
    result->span = span(node);
    return result;
  }
  auto result = std::make_unique<TypeExpr>();
  result->span = span(node);
  auto parts = children(node);
  switch (kind(node)) {
    case Kind::kRecordType:
      result->node = RecordType{fields(parts)};
      break;
    case Kind::kRegex:
      result->node = RegexType{regex_pattern(node)};
      break;
    case Kind::kString:
      result->node = LiteralType{string_literal(node).value};
      break;
    case Kind::kNumber:
      result->node = LiteralType{number(node)};
      break;
    case Kind::kNull:
      result->node = NamedType{identifier(node), std::nullopt, false, {}};
      break;
    default: {  // kNamedType
      NamedType named;
      named.name = identifier(parts.next());
      if (const auto member = parts.take(Kind::kMember)) {
        auto inner = children(*member);
        named.member = identifier(inner.next());
      }
      if (const auto written = parts.take(Kind::kTypeArguments)) {
        named.called = true;
        for (auto inner = children(*written); !inner.done();) {
          const Node argument = inner.next();
          if (kind(argument) == Kind::kRange) {
            named.arguments.emplace_back(range(argument));
          } else if (kind(argument) == Kind::kRegex) {
            named.arguments.emplace_back(type_primary(argument));
          } else {
            named.arguments.emplace_back(type(argument));
          }
        }
      }
      result->node = std::move(named);
    }
  }
  return result;
}

FieldDecl AstBuilder::field(Node node) {
  FieldDecl result;
  result.span = span(node);
  auto parts = children(node);
  result.name = identifier(parts.next());
  if (const auto as = parts.take(Kind::kAs)) {
    auto inner = children(*as);
    result.as = string_literal(inner.next());
  }
  result.omittable = parts.take(Kind::kQuestion).has_value();
  result.type = type(parts.next());
  if (const auto value = parts.take(Kind::kDefault)) {
    auto inner = children(*value);
    result.value = expr(inner.next());
  }
  result.doc = doc(node, true);
  return result;
}

// ---- expressions
// --------------------------------------------------------------------------------------------------

ExprPtr AstBuilder::missing(Span span) { return make(span, NameExpr{{"", span}}); }

ExprPtr AstBuilder::expr(Node node) {
  auto parts = children(node);
  if (parts.is(Kind::kConditional)) {
    const Node conditional = parts.next();
    auto inner = children(conditional);
    ConditionalExpr result;
    result.condition = expr(inner.next());
    result.then = expr(inner.next());
    result.otherwise = expr(inner.next());
    return make(span(conditional), std::move(result));
  }
  if (parts.is(Kind::kRunExpr)) {
    const Node run = parts.next();
    auto inner = children(run);
    return make(span(run), RunExpr{expr(inner.next())});
  }
  return binary(parts, 1);
}

ExprPtr AstBuilder::binary(Children& parts, int least) {
  ExprPtr left = unary(parts);
  while (parts.is(Kind::kOperator)) {
    Children ahead = parts;
    const Node written = ahead.next();
    const Operator found = binary_operator(slice(written));
    if (found.precedence < least) break;
    parts.next();
    ExprPtr right = binary(parts, found.precedence + 1);
    const Span place = join(left->span, right->span);
    left = make(place, BinaryExpr{found.op, span(written), std::move(left), std::move(right)});
  }
  return left;
}

ExprPtr AstBuilder::unary(Children& parts) {
  std::vector<Node> prefixes;
  while (parts.is(Kind::kPrefix)) prefixes.push_back(parts.next());
  const Node first = parts.next();
  ExprPtr result;
  if (kind(first) == Kind::kNumber && !prefixes.empty() && slice(prefixes.back()) == "-" &&
      (parts.done() || !is_suffix(parts.kind()))) {
    Number value = number(first, true);
    value.span = join(span(prefixes.back()), value.span);
    prefixes.pop_back();
    result = make(value.span, NumberExpr{value});
  } else {
    result = primary(first);
  }
  while (!parts.done() && is_suffix(parts.kind()))
    result = postfix(std::move(result), parts.next());
  for (; !prefixes.empty(); prefixes.pop_back()) {
    const UnaryOp op = slice(prefixes.back()) == "-" ? UnaryOp::kNegate : UnaryOp::kNot;
    const Span place = join(span(prefixes.back()), result->span);
    result = make(place, UnaryExpr{op, std::move(result)});
  }
  return result;
}

ExprPtr AstBuilder::primary(Node node) {
  const Span place = span(node);
  auto parts = children(node);
  switch (kind(node)) {
    case Kind::kNumber:
      return make(place, NumberExpr{number(node)});
    case Kind::kText:
    case Kind::kBlockText:
      return make(place, TextExpr{text(node)});
    case Kind::kTrue:
      return make(place, BoolExpr{true});
    case Kind::kFalse:
      return make(place, BoolExpr{false});
    case Kind::kNull:
      return make(place, NullExpr{});
    case Kind::kFork:
      return fork(node);
    case Kind::kRecordLiteral:
      return record_literal(node);
    case Kind::kList: {
      ListExpr result;
      while (!parts.done()) result.items.push_back(expr(parts.next()));
      return make(place, std::move(result));
    }
    case Kind::kSelector:
      return make(place, SelectorExpr{identifier(parts.next())});
    case Kind::kParen: {
      ExprPtr inner = expr(parts.next());
      inner->span = place;
      return inner;
    }
    default:
      return make(place, NameExpr{identifier(node)});
  }
}

ExprPtr AstBuilder::postfix(ExprPtr object, Node suffix) {
  const Span place = join(object->span, span(suffix));
  auto parts = children(suffix);
  if (kind(suffix) == Kind::kMember)
    return make(place, MemberExpr{std::move(object), identifier(parts.next())});
  if (kind(suffix) == Kind::kIndex) {
    ExprPtr position = expr(parts.next());
    return make(place, IndexExpr{std::move(object), std::move(position)});
  }
  CallExpr call{std::move(object), {}};
  while (!parts.done()) {
    auto inner = children(parts.next());
    Argument argument;
    if (const auto named = inner.take(Kind::kArgumentName)) {
      auto word = children(*named);
      argument.name = identifier(word.next());
    }
    argument.value = expr(inner.next());
    call.arguments.push_back(std::move(argument));
  }
  return make(place, std::move(call));
}

ExprPtr AstBuilder::record_literal(Node node) {
  RecordExpr result;
  for (auto parts = children(node); !parts.done();) {
    auto inner = children(parts.next());
    RecordEntry entry;
    entry.key = identifier(inner.next());
    entry.value = inner.done() ? make(entry.key.span, NameExpr{entry.key}) : expr(inner.next());
    result.entries.push_back(std::move(entry));
  }
  return make(span(node), std::move(result));
}

ExprPtr AstBuilder::fork(Node node) {
  ForkExpr result;
  auto parts = children(node);
  if (const auto each = parts.take(Kind::kForkEach)) {
    auto inner = children(*each);
    result.variable = identifier(inner.next());
    result.over = expr(inner.next());
  } else if (parts.is(Kind::kExpr)) {
    result.over = expr(parts.next());
  }
  result.body = block(parts.next());
  return make(span(node), std::move(result));
}

}  // namespace espalier::dsl
