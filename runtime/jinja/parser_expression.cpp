#include <charconv>
#include <cmath>
#include <cstdlib>

#include "runtime/jinja/parser_state.h"

namespace espalier::runtime::jinja {

void Parser::deepen(Expr& parent, const Expr* child) {
  if (child == nullptr) return;
  parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > kMaxNesting)
    fail_at(parent.line, "an expression nested deeper than " + std::to_string(kMaxNesting),
            ErrorCode::kLimit);
}

Expr* Parser::expression(bool condition) {
  const Nested nested(*this);
  if (error_) return nullptr;
  Expr* value = or_expression();
  while (condition && !error_ && is_name("if")) {
    const std::uint32_t line = now().line;
    next();
    ++soft_;
    Expr* test = or_expression();
    Expr* otherwise = skip_name("else") ? expression() : nullptr;
    --soft_;
    auto* made = node<ConditionExpr>(ExprKind::kCondition, line, {test, value, otherwise});
    made->test = test;
    made->then = value;
    made->otherwise = otherwise;
    value = made;
  }
  return value;
}

Expr* Parser::or_expression() {
  Expr* left = and_expression();
  while (!error_ && is_name("or")) {
    const std::uint32_t line = now().line;
    next();
    Expr* right = and_expression();
    auto* made = node<BinaryExpr>(ExprKind::kOr, line, {left, right});
    made->left = left;
    made->right = right;
    left = made;
  }
  return left;
}

Expr* Parser::and_expression() {
  Expr* left = not_expression();
  while (!error_ && is_name("and")) {
    const std::uint32_t line = now().line;
    next();
    Expr* right = not_expression();
    auto* made = node<BinaryExpr>(ExprKind::kAnd, line, {left, right});
    made->left = left;
    made->right = right;
    left = made;
  }
  return left;
}

Expr* Parser::not_expression() {
  std::vector<std::uint32_t> lines;  // of each `not`, the outermost first
  while (is_name("not")) {
    lines.push_back(now().line);
    next();
  }
  Expr* value = compare_expression();
  for (; !lines.empty() && !error_; lines.pop_back()) {
    auto* made = node<UnaryExpr>(ExprKind::kNot, lines.back(), {value});
    made->operand = value;
    value = made;
  }
  return value;
}

Expr* Parser::compare_expression() {
  Expr* left = binary_expression(0);
  std::vector<Comparison> rest;
  const std::uint32_t line = now().line;
  while (!error_) {
    std::optional<CompareOp> op;
    if (now().kind == TokenKind::kOperator) {
      const std::string& text = now().text;
      if (text == "==") op = CompareOp::kEq;
      if (text == "!=") op = CompareOp::kNe;
      if (text == "<") op = CompareOp::kLt;
      if (text == "<=") op = CompareOp::kLe;
      if (text == ">") op = CompareOp::kGt;
      if (text == ">=") op = CompareOp::kGe;
    } else if (is_name("in")) {
      op = CompareOp::kIn;
    } else if (is_name("not") && look().kind == TokenKind::kName && look().text == "in") {
      next();
      op = CompareOp::kNotIn;
    }
    if (!op) break;
    next();
    rest.push_back({*op, binary_expression(0)});
  }
  if (rest.empty()) return left;
  auto* made = node<CompareExpr>(ExprKind::kCompare, line, {left});
  made->left = left;
  for (const Comparison& it : rest) deepen(*made, it.right);
  made->rest = arena_.copy(rest);
  return made;
}

// Levels, loosest first: + and -, ~, * / // %, **.
Expr* Parser::binary_expression(int level) {
  if (level == 4) return unary_expression(true);
  Expr* left = binary_expression(level + 1);
  if (level == 1) {
    if (!is_op("~")) return left;
    const std::uint32_t line = now().line;
    std::vector<Expr*> parts{left};
    while (!error_ && skip_op("~")) parts.push_back(binary_expression(level + 1));
    auto* made = node<ConcatExpr>(ExprKind::kConcat, line);
    for (const Expr* part : parts) deepen(*made, part);
    made->parts = arena_.copy(parts);
    return made;
  }
  while (!error_ && now().kind == TokenKind::kOperator) {
    const std::string& text = now().text;
    std::optional<BinaryOp> op;
    if (level == 0 && text == "+") op = BinaryOp::kAdd;
    if (level == 0 && text == "-") op = BinaryOp::kSub;
    if (level == 2 && text == "*") op = BinaryOp::kMul;
    if (level == 2 && text == "/") op = BinaryOp::kDiv;
    if (level == 2 && text == "//") op = BinaryOp::kFloorDiv;
    if (level == 2 && text == "%") op = BinaryOp::kMod;
    if (level == 3 && text == "**") op = BinaryOp::kPow;
    if (!op) break;
    const std::uint32_t line = now().line;
    next();
    Expr* right = binary_expression(level + 1);
    auto* made = node<BinaryExpr>(ExprKind::kBinary, line, {left, right});
    made->op = *op;
    made->left = left;
    made->right = right;
    left = made;
  }
  return left;
}

Expr* Parser::unary_expression(bool with_filters) {
  Expr* value = nullptr;
  if (is_op("-") || is_op("+")) {
    const Nested nested(*this);
    if (error_) return nullptr;
    const ExprKind kind = is_op("-") ? ExprKind::kNegate : ExprKind::kPlus;
    const std::uint32_t line = now().line;
    next();
    Expr* operand = unary_expression(false);
    auto* made = node<UnaryExpr>(kind, line, {operand});
    made->operand = operand;
    value = made;
  } else {
    value = primary();
  }
  value = postfix(value);
  return with_filters ? filters(value) : value;
}

NameExpr* Parser::name_node(std::string_view name, std::uint32_t line) {
  auto* made = node<NameExpr>(ExprKind::kName, line);
  made->name = name_text(name);
  return made;
}

Expr* Parser::primary() {
  if (error_) return nullptr;
  const Token& token = now();
  const auto constant = [&](Value value) {
    auto* made = node<ConstExpr>(ExprKind::kConst, token.line);
    made->value = value;
    return made;
  };
  switch (token.kind) {
    case TokenKind::kName:
      next();
      if (token.text == "true" || token.text == "True") return constant(Value::of(true));
      if (token.text == "false" || token.text == "False") return constant(Value::of(false));
      if (token.text == "none" || token.text == "None") return constant(Value::none());
      return name_node(token.text, token.line);
    case TokenKind::kString: {
      std::string text;
      while (now().kind == TokenKind::kString) {
        text += now().text;
        next();
      }
      return constant(Value::of(make_str(arena_, text, kTemplate)));
    }
    case TokenKind::kInteger: {
      next();
      int base = 10;
      const char* first = token.text.data();
      const char* last = first + token.text.size();
      if (token.text.size() > 2 && token.text[0] == '0') {
        const char mark = static_cast<char>(token.text[1] | 0x20);
        base = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
        if (base != 10) first += 2;
      }
      std::int64_t value = 0;
      const auto parsed = std::from_chars(first, last, value, base);
      if (parsed.ec != std::errc() || parsed.ptr != last) {
        fail_at(token.line, "the integer " + token.text.substr(0, 40) + " has more than 63 bits",
                ErrorCode::kLimit);
        return nullptr;
      }
      return constant(Value::of(value));
    }
    case TokenKind::kFloat:
      next();
      return constant(Value::of(std::strtod(token.text.c_str(), nullptr)));
    case TokenKind::kOperator:
      if (token.text == "(") {
        const Nested nested(*this);
        next();
        Expr* value = tuple(true, true);
        expect_op(")");
        return value;
      }
      if (token.text == "[") return list();
      if (token.text == "{") return dictionary();
      break;
    default:
      break;
  }
  fail("expected an expression, found " + describe_now());
  return nullptr;
}

Expr* Parser::tuple(bool condition, bool parentheses) {
  const std::uint32_t line = now().line;
  const auto ends = [&] {
    return now().kind == TokenKind::kVariableEnd || now().kind == TokenKind::kBlockEnd ||
           is_op(")");
  };
  std::vector<Expr*> items;
  bool is_tuple = false;
  while (!error_) {
    if (!items.empty() && !expect_op(",")) break;
    if (ends()) break;
    items.push_back(expression(condition));
    if (!is_op(",")) break;
    is_tuple = true;
  }
  if (error_) return nullptr;
  if (!is_tuple) {
    if (!items.empty()) return items.front();
    if (!parentheses) {
      fail("expected an expression, found " + describe_now());
      return nullptr;
    }
  }
  auto* made = node<ListExpr>(ExprKind::kTuple, line);
  for (const Expr* item : items) deepen(*made, item);
  made->items = arena_.copy(items);
  return made;
}

Expr* Parser::list() {
  const Nested nested(*this);
  auto* made = node<ListExpr>(ExprKind::kList, now().line);
  next();
  std::vector<Expr*> items;
  while (!error_ && !is_op("]")) {
    if (!items.empty()) {
      expect_op(",");
      if (is_op("]")) break;
    }
    items.push_back(expression());
    deepen(*made, items.back());
  }
  expect_op("]");
  made->items = arena_.copy(items);
  return made;
}

Expr* Parser::dictionary() {
  const Nested nested(*this);
  auto* made = node<DictExpr>(ExprKind::kDict, now().line);
  next();
  std::vector<Expr*> keys;
  std::vector<Expr*> values;
  while (!error_ && !is_op("}")) {
    if (!keys.empty()) {
      expect_op(",");
      if (is_op("}")) break;
    }
    keys.push_back(expression());
    expect_op(":");
    values.push_back(expression());
    deepen(*made, keys.back());
    deepen(*made, values.back());
  }
  expect_op("}");
  made->keys = arena_.copy(keys);
  made->values = arena_.copy(values);
  return made;
}

Expr* Parser::postfix(Expr* value) {
  while (!error_) {
    if (is_op(".") || is_op("["))
      value = subscript(value);
    else if (is_op("("))
      value = call(value);
    else
      break;
  }
  return value;
}

Expr* Parser::filters(Expr* value) {
  while (!error_) {
    if (is_op("|")) {
      next();
      value = filter(value);
    } else if (is_name("is")) {
      value = test(value);
    } else if (is_op("(")) {
      value = call(value);
    } else {
      break;
    }
  }
  return value;
}

std::string Parser::dotted_name() {
  std::string name;
  do {
    if (now().kind != TokenKind::kName) {
      fail("expected a name, found " + describe_now());
      return name;
    }
    if (!name.empty()) name += '.';
    name += now().text;
    next();
  } while (skip_op("."));
  return name;
}

Expr* Parser::filter(Expr* subject) {
  const std::uint32_t line = now().line;
  const std::string name = dotted_name();
  auto* made = node<FilterExpr>(ExprKind::kFilter, line, {subject});
  made->subject = subject;
  made->name = name_text(name);
  const FilterId id = filter_named(name);
  made->id = static_cast<std::uint16_t>(id);
  if (id == FilterId::kUnknown && soft_ == 0) fail_at(line, "there is no filter '" + name + "'");
  if (id == FilterId::kUnsupported && soft_ == 0)
    fail_at(line, "the filter '" + name + "' is not supported", ErrorCode::kUnsupported);
  if (is_op("(")) arguments(made->arguments, made);
  return made;
}

Expr* Parser::test(Expr* subject) {
  const std::uint32_t line = now().line;
  next();
  const bool negated = skip_name("not");
  const std::string name = dotted_name();
  auto* made = node<FilterExpr>(ExprKind::kTest, line, {subject});
  made->subject = subject;
  made->name = name_text(name);
  const TestId id = test_named(name);
  made->id = static_cast<std::uint16_t>(id);
  if (id == TestId::kUnknown && soft_ == 0) fail_at(line, "there is no test '" + name + "'");
  const auto starts_argument = [&] {
    switch (now().kind) {
      case TokenKind::kName:
        return !is_name("else") && !is_name("or") && !is_name("and");
      case TokenKind::kString:
      case TokenKind::kInteger:
      case TokenKind::kFloat:
        return true;
      default:
        return is_op("[") || is_op("{");
    }
  };
  if (is_op("(")) {
    arguments(made->arguments, made);
  } else if (starts_argument()) {
    if (is_name("is")) fail("tests with `is` cannot be chained");
    std::vector<Expr*> one{postfix(primary())};
    deepen(*made, one.front());
    made->arguments.positional = arena_.copy(one);
  }
  if (!negated) return made;
  auto* inverted = node<UnaryExpr>(ExprKind::kNot, line, {made});
  inverted->operand = made;
  return inverted;
}

Expr* Parser::call(Expr* callee) {
  auto* made = node<CallExpr>(ExprKind::kCall, now().line, {callee});
  made->callee = callee;
  arguments(made->arguments, made);
  return made;
}

void Parser::arguments(Arguments& out, Expr* owner) {
  const Nested nested(*this);
  if (!expect_op("(")) return;
  std::vector<Expr*> positional;
  std::vector<KeywordArgument> keywords;
  bool first = true;
  while (!error_ && !is_op(")")) {
    if (!first) {
      if (!expect_op(",")) return;
      if (is_op(")")) break;
    }
    first = false;
    const bool dynamic = out.more_positional != nullptr || out.more_keywords != nullptr;
    if (is_op("*") && !dynamic) {
      next();
      out.more_positional = expression();
      deepen(*owner, out.more_positional);
    } else if (is_op("**") && out.more_keywords == nullptr) {
      next();
      out.more_keywords = expression();
      deepen(*owner, out.more_keywords);
    } else if (now().kind == TokenKind::kName && look().kind == TokenKind::kOperator &&
               look().text == "=" && out.more_keywords == nullptr) {
      const Str* name = name_text(now().text);
      for (const KeywordArgument& other : keywords) {
        if (other.name->view() == name->view())
          fail("the argument '" + now().text + "' is given twice");
      }
      next();
      next();
      keywords.push_back({name, expression()});
      deepen(*owner, keywords.back().value);
    } else if (!dynamic && keywords.empty()) {
      positional.push_back(expression());
      deepen(*owner, positional.back());
    } else {
      fail("a positional argument cannot follow here");
    }
  }
  expect_op(")");
  out.positional = arena_.copy(positional);
  out.keywords = arena_.copy(keywords);
}

Expr* Parser::subscript(Expr* object) {
  const Nested nested(*this);
  const std::uint32_t line = now().line;
  const auto item = [&](Expr* key) {
    auto* made = node<ItemExpr>(ExprKind::kItem, line, {object, key});
    made->object = object;
    made->key = key;
    return made;
  };
  if (skip_op(".")) {
    const Token& token = now();
    if (token.kind == TokenKind::kName) {
      next();
      auto* made = node<AttributeExpr>(ExprKind::kAttribute, line, {object});
      made->object = object;
      made->name = name_text(token.text);
      return made;
    }
    if (token.kind == TokenKind::kInteger) return item(primary());
    fail("expected a name or a number, found " + describe_now());
    return nullptr;
  }
  next();  // [
  Expr* parts[3] = {nullptr, nullptr, nullptr};
  int part = 0;
  if (!is_op(":")) parts[0] = expression();
  while (!error_ && part < 2 && skip_op(":")) {
    ++part;
    if (!is_op(":") && !is_op("]") && !is_op(",")) parts[part] = expression();
  }
  if (part > 0) {
    if (is_op(",")) fail("several slices in one index are not supported", ErrorCode::kUnsupported);
    expect_op("]");
    auto* made = node<SliceExpr>(ExprKind::kSlice, line, {object, parts[0], parts[1], parts[2]});
    made->object = object;
    made->start = parts[0];
    made->stop = parts[1];
    made->step = parts[2];
    return made;
  }
  if (!is_op(",")) {
    expect_op("]");
    return item(parts[0]);
  }
  std::vector<Expr*> keys{parts[0]};
  while (!error_ && skip_op(",")) {
    if (is_op("]")) break;
    keys.push_back(expression());
  }
  expect_op("]");
  auto* several = node<ListExpr>(ExprKind::kTuple, line);
  for (const Expr* key : keys) deepen(*several, key);
  several->items = arena_.copy(keys);
  return item(several);
}

}  // namespace espalier::runtime::jinja
