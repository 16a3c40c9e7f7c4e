#include "dsl/evaluate.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "dsl/convert.h"
#include "dsl/schema_text.h"

namespace espalier::dsl {
namespace {

using grammar::TypeKind;
using grammar::TypeRef;

Outcome<Value> checked(double value, const Span& span) {
  if (!std::isfinite(value)) return value_failure(span, "the result is too large for a float");
  return Value::number(value);
}

Outcome<Value> integer_arithmetic(BinaryOp op, std::int64_t a, std::int64_t b, bool whole_division,
                                  const Span& span) {
  std::int64_t out = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOp::kAdd:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case BinaryOp::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case BinaryOp::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    default:
      if (b == 0) return value_failure(span, "division by zero");
      if (op == BinaryOp::kDivide && !whole_division) {
        return Value::number(static_cast<double>(a) / static_cast<double>(b));
      }
      if (b == -1) {  // the one quotient that int64 does not hold
        if (op == BinaryOp::kRemainder) return Value::integer(0);
        overflow = __builtin_sub_overflow(std::int64_t{0}, a, &out);
      } else {
        out = op == BinaryOp::kDivide ? a / b : a % b;
      }
  }
  if (overflow) return value_failure(span, "the result is too large for an int");
  return Value::integer(out);
}

Outcome<Value> arithmetic(BinaryOp op, const Value& a, const Value& b, bool whole_division,
                          const Span& span) {
  if (a.kind() == ValueKind::kInt && b.kind() == ValueKind::kInt) {
    return integer_arithmetic(op, a.as_int(), b.as_int(), whole_division, span);
  }
  if (a.is_number() && b.is_number()) {
    const double x = a.as_double();
    const double y = b.as_double();
    switch (op) {
      case BinaryOp::kAdd:
        return checked(x + y, span);
      case BinaryOp::kSubtract:
        return checked(x - y, span);
      case BinaryOp::kMultiply:
        return checked(x * y, span);
      default:
        if (y == 0) return value_failure(span, "division by zero");
        return checked(op == BinaryOp::kDivide ? x / y : std::fmod(x, y), span);
    }
  }
  if (op == BinaryOp::kAdd && a.kind() == ValueKind::kString && b.kind() == ValueKind::kString) {
    if (a.weight() + b.weight() > Value::kMaxWeight) return text_too_long(span);
    return Value::string(a.as_string() + b.as_string());
  }
  if (op == BinaryOp::kAdd && a.kind() == ValueKind::kList && b.kind() == ValueKind::kList) {
    Value::List items = a.as_list();
    items.insert(items.end(), b.as_list().begin(), b.as_list().end());
    return made(Value::list(std::move(items)), span);
  }
  return value_failure(span, "`" + std::string(spelling(op)) + "` does not work on " +
                                 std::string(name(a.kind())) + " and " +
                                 std::string(name(b.kind())));
}

Outcome<bool> contains(const Value& container, const Value& part, const Span& span) {
  if (container.kind() == ValueKind::kRange) {
    return part.kind() == ValueKind::kInt && part.as_int() >= container.low() &&
           part.as_int() <= container.high();
  }
  if (container.kind() == ValueKind::kList) {
    const auto& items = container.as_list();
    return std::any_of(items.begin(), items.end(),
                       [&](const Value& item) { return equal(item, part); });
  }
  const auto text = text_of(container);
  const auto piece = text_of(part);
  if (text && piece) return text->find(*piece) != std::string::npos;
  if (container.kind() == ValueKind::kRecord && piece) return container.field(*piece) != nullptr;
  return value_failure(span, "`in` does not work on " + std::string(name(container.kind())));
}

class Evaluator {
 public:
  Evaluator(const Program& program, const Scope& scope, const Ready& ready)
      : program_(program), scope_(scope), ready_(ready) {}

  Outcome<Value> run(const Expr& expr) {
    if (const auto found = ready_.find(expr.id); found != ready_.end()) return found->second;
    return std::visit([&](const auto& node) { return at(expr, node); }, expr.node);
  }

  Outcome<std::string> text(const Text& text) {
    std::string out;
    for (const Chunk& chunk : text.chunks) {
      if (const auto* literal = std::get_if<LiteralChunk>(&chunk)) {
        out += literal->bytes;
      } else if (const auto* insert = std::get_if<Insert>(&chunk)) {
        auto piece = insertion(*insert->value);
        if (!piece) return tl::unexpected<Failure>(std::move(piece).error());
        out += piece->text;
      }
      if (out.size() > Value::kMaxWeight) return text_too_long(text.span);
    }
    return out;
  }

  Outcome<Insertion> insertion(const Expr& expr) {
    const NameInfo& info = program_.names[expr.id];
    if (info.kind == NameKind::kType)
      return Insertion{schema_text(program_.types[info.index]), nullptr, {}};
    if (info.kind == NameKind::kTool)
      return Insertion{tool_text(program_.tools[info.index]), nullptr, {}};
    auto value = run(expr);
    if (!value) return tl::unexpected<Failure>(std::move(value).error());
    if (value->weight() > Value::kMaxWeight) return text_too_long(expr.span);
    std::string text = print(*value);
    auto origin = value->shared_origin();
    return Insertion{std::move(text), std::move(origin), std::move(*value)};
  }

 private:
  static tl::unexpected<Failure> unknown(const Expr& expr) {
    return tl::unexpected<Failure>(
        Failure{FailureKind::kUnknown, {ErrorCode::kInternal, "not known yet"}, expr.span});
  }

  Outcome<Value> at(const Expr&, const NullExpr&) { return Value(); }
  Outcome<Value> at(const Expr&, const BoolExpr& node) { return Value::boolean(node.value); }
  Outcome<Value> at(const Expr&, const NumberExpr& node) {
    return node.number.integer ? Value::integer(node.number.int_value)
                               : Value::number(node.number.value);
  }
  Outcome<Value> at(const Expr&, const TextExpr& node) {
    auto out = text(node.text);
    if (!out) return tl::unexpected<Failure>(std::move(out).error());
    return Value::string(std::move(*out));
  }
  Outcome<Value> at(const Expr& expr, const NameExpr& node) {
    const NameKind kind = program_.names[expr.id].kind;
    if (kind == NameKind::kType || kind == NameKind::kTool) return declared(expr);
    const Value* value = scope_.find(node.name.text);
    if (value == nullptr) return unknown(expr);
    return *value;
  }
  // A type or a tool as a value: the cases of an enum, a tool's name.
  Outcome<Value> declared(const Expr& expr) {
    const NameInfo& info = program_.names[expr.id];
    if (info.kind == NameKind::kTool) return Value::string(program_.tools[info.index].real_name);
    const TypeRef type = info.kind == NameKind::kType ? program_.types[info.index].type : nullptr;
    if (type == nullptr || type->kind != TypeKind::kEnum)
      return value_failure(expr.span, "this has no list of values");
    Value::List cases;
    for (std::size_t i = 0; i < type->cases.size(); ++i) cases.push_back(Value::variant(type, i));
    return made(Value::list(std::move(cases)), expr.span);
  }
  Outcome<Value> at(const Expr& expr, const SelectorExpr&) {
    return value_failure(expr.span, "a selector stands only as an argument");
  }
  Outcome<Value> at(const Expr& expr, const ListExpr& node) {
    Value::List items;
    for (const ExprPtr& item : node.items) {
      auto value = run(*item);
      if (!value) return value;
      items.push_back(std::move(*value));
    }
    return made(Value::list(std::move(items)), expr.span);
  }
  Outcome<Value> at(const Expr& expr, const RecordExpr& node) {
    Value::Entries entries;
    for (const RecordEntry& entry : node.entries) {
      auto value = run(*entry.value);
      if (!value) return value;
      entries.push_back({entry.key.text, std::move(*value)});
    }
    const TypeRef& type = program_.values[expr.id];
    const bool typed = type != nullptr && type->kind == TypeKind::kRecord;
    return made(Value::record(std::move(entries), typed ? type : nullptr), expr.span);
  }

  Outcome<Value> at(const Expr& expr, const CallExpr&) {
    const CallInfo& call = program_.calls[expr.id];
    if (call.kind == CalleeKind::kTool) return tool_call(expr, call);
    if (call.kind != CalleeKind::kBuiltin) return unknown(expr);
    std::vector<Value> values(call.arguments.size());
    std::vector<const Value*> arguments(call.arguments.size(), nullptr);
    std::string_view selector;
    for (std::size_t i = 0; i < call.arguments.size(); ++i) {
      if (call.arguments[i] == nullptr) continue;
      if (const auto* key = std::get_if<SelectorExpr>(&call.arguments[i]->node)) {
        selector = key->key.text;
        continue;
      }
      auto value = run(*call.arguments[i]);
      if (!value) return value;
      values[i] = std::move(*value);
      arguments[i] = &values[i];
    }
    return call_builtin(call.builtin, arguments, selector, expr.span);
  }

  Outcome<Value> tool_call(const Expr& expr, const CallInfo& call) {
    const ToolInfo& tool = program_.tools[call.index];
    Value::Entries entries;
    for (std::size_t i = 0; i < tool.parameters.size() && i < call.arguments.size(); ++i) {
      const Parameter& parameter = tool.parameters[i];
      if (call.arguments[i] != nullptr) {
        auto value = run(*call.arguments[i]);
        if (!value) return value;
        // An omittable argument that is null is left out, as if it had not been written.
        if (parameter.omittable && value->is_null()) continue;
        entries.push_back({parameter.name, conform(program_, std::move(*value), parameter.type)});
      } else if (parameter.fallback) {
        auto value = made(from_json(program_, *parameter.fallback, parameter.type, parameter.name),
                          expr.span);
        if (!value) return value;
        entries.push_back({parameter.name, std::move(*value)});
      }
    }
    auto arguments = made(Value::record(std::move(entries), tool.arguments), expr.span);
    if (!arguments) return arguments;
    return made(Value::call(tool.name, std::move(*arguments)), expr.span);
  }

  Outcome<Value> at(const Expr& expr, const MemberExpr& node) {
    if (program_.names[expr.id].kind != NameKind::kNone) return declared(expr);
    if (const NameInfo& info = program_.names[node.object->id];
        info.kind == NameKind::kType && program_.types[info.index].type->kind == TypeKind::kEnum) {
      const TypeRef& type = program_.types[info.index].type;
      for (std::size_t i = 0; i < type->cases.size(); ++i) {
        if (type->cases[i].name == node.key.text) return Value::variant(type, i);
      }
      return value_failure(node.key.span,
                           "`" + type->name + "` has no case `" + node.key.text + "`");
    }
    auto object = run(*node.object);
    if (!object) return object;
    return member(*object, node.key.text, expr.span);
  }

  Outcome<Value> at(const Expr& expr, const IndexExpr& node) {
    auto object = run(*node.object);
    if (!object) return object;
    auto index = run(*node.index);
    if (!index) return index;
    if (object->kind() == ValueKind::kRecord && index->kind() == ValueKind::kString) {
      const Value* field = object->field(index->as_string());
      if (field != nullptr) return *field;
      return value_failure(expr.span, "the record has no field \"" + index->as_string() + "\"");
    }
    if (index->kind() == ValueKind::kRange) return part_of(*object, *index, expr.span);
    const bool listed = object->kind() == ValueKind::kList || object->kind() == ValueKind::kRange;
    if (!listed || index->kind() != ValueKind::kInt) {
      return value_failure(expr.span, std::string(name(object->kind())) + " has no item at " +
                                          std::string(name(index->kind())));
    }
    if (index->as_int() < 0 || static_cast<std::uint64_t>(index->as_int()) >= object->length()) {
      return value_failure(expr.span, "index " + std::to_string(index->as_int()) +
                                          " of a list of " + std::to_string(object->length()));
    }
    return object->item(static_cast<std::uint64_t>(index->as_int()));
  }

  Outcome<Value> at(const Expr& expr, const UnaryExpr& node) {
    auto value = run(*node.operand);
    if (!value) return value;
    if (node.op == UnaryOp::kNot) {
      if (value->kind() != ValueKind::kBool) {
        return value_failure(expr.span,
                             "`not` does not work on " + std::string(name(value->kind())));
      }
      return Value::boolean(!value->as_bool());
    }
    if (value->kind() == ValueKind::kInt) {
      return integer_arithmetic(BinaryOp::kSubtract, 0, value->as_int(), false, expr.span);
    }
    if (value->kind() == ValueKind::kFloat) return Value::number(-value->as_double());
    return value_failure(expr.span, "`-` does not work on " + std::string(name(value->kind())));
  }

  Outcome<Value> at(const Expr& expr, const BinaryExpr& node) {
    auto left = run(*node.left);
    if (!left) return left;
    if (node.op == BinaryOp::kAnd || node.op == BinaryOp::kOr) {
      if (left->kind() != ValueKind::kBool) {
        return value_failure(node.left->span,
                             "expected a bool, got " + std::string(name(left->kind())));
      }
      if (left->as_bool() == (node.op == BinaryOp::kOr)) return left;
      auto right = run(*node.right);
      if (right && right->kind() != ValueKind::kBool) {
        return value_failure(node.right->span,
                             "expected a bool, got " + std::string(name(right->kind())));
      }
      return right;
    }
    auto right = run(*node.right);
    if (!right) return right;
    switch (node.op) {
      case BinaryOp::kEqual:
        return Value::boolean(equal(*left, *right));
      case BinaryOp::kNotEqual:
        return Value::boolean(!equal(*left, *right));
      case BinaryOp::kLess:
      case BinaryOp::kLessEqual:
      case BinaryOp::kGreater:
      case BinaryOp::kGreaterEqual:
        return order(node, *left, *right);
      case BinaryOp::kIn: {
        auto inside = contains(*right, *left, expr.span);
        if (!inside) return tl::unexpected<Failure>(std::move(inside).error());
        return Value::boolean(*inside);
      }
      case BinaryOp::kRange:
        if (left->kind() != ValueKind::kInt || right->kind() != ValueKind::kInt) {
          return value_failure(expr.span, "a range needs two ints");
        }
        return Value::range(left->as_int(), right->as_int());
      default: {
        const TypeRef& type = program_.values[expr.id];
        const bool whole = type != nullptr && type->kind == TypeKind::kInt;
        return arithmetic(node.op, *left, *right, whole, expr.span);
      }
    }
  }

  static Outcome<Value> order(const BinaryExpr& node, const Value& left, const Value& right) {
    const auto c = compare(left, right);
    if (!c) {
      return value_failure(node.op_span, std::string(name(left.kind())) + " and " +
                                             std::string(name(right.kind())) + " have no order");
    }
    switch (node.op) {
      case BinaryOp::kLess:
        return Value::boolean(*c < 0);
      case BinaryOp::kLessEqual:
        return Value::boolean(*c <= 0);
      case BinaryOp::kGreater:
        return Value::boolean(*c > 0);
      default:
        return Value::boolean(*c >= 0);
    }
  }

  Outcome<Value> at(const Expr&, const ConditionalExpr& node) {
    auto condition = run(*node.condition);
    if (!condition) return condition;
    if (condition->kind() != ValueKind::kBool) {
      return value_failure(node.condition->span,
                           "expected a bool, got " + std::string(name(condition->kind())));
    }
    return run(condition->as_bool() ? *node.then : *node.otherwise);
  }
  Outcome<Value> at(const Expr& expr, const RunExpr&) { return unknown(expr); }
  Outcome<Value> at(const Expr& expr, const ForkExpr&) { return unknown(expr); }

  const Program& program_;
  const Scope& scope_;
  const Ready& ready_;
};

}  // namespace

bool waits(const Program& program, const Expr& expr) {
  const auto any = [&](const ExprPtr& child) { return child != nullptr && waits(program, *child); };
  struct Visitor {
    const Program& program;
    const Expr& expr;
    const decltype(any)& any_child;
    bool operator()(const RunExpr&) const { return true; }
    bool operator()(const ForkExpr&) const { return true; }
    bool operator()(const CallExpr& node) const {
      if (program.calls[expr.id].kind == CalleeKind::kGen) return true;
      return std::any_of(node.arguments.begin(), node.arguments.end(),
                         [&](const Argument& argument) { return any_child(argument.value); });
    }
    bool operator()(const TextExpr& node) const {
      return std::any_of(node.text.chunks.begin(), node.text.chunks.end(), [&](const Chunk& chunk) {
        const auto* insert = std::get_if<Insert>(&chunk);
        return insert != nullptr && any_child(insert->value);
      });
    }
    bool operator()(const ListExpr& node) const {
      return std::any_of(node.items.begin(), node.items.end(), any_child);
    }
    bool operator()(const RecordExpr& node) const {
      return std::any_of(node.entries.begin(), node.entries.end(),
                         [&](const RecordEntry& entry) { return any_child(entry.value); });
    }
    bool operator()(const MemberExpr& node) const { return any_child(node.object); }
    bool operator()(const IndexExpr& node) const {
      return any_child(node.object) || any_child(node.index);
    }
    bool operator()(const UnaryExpr& node) const { return any_child(node.operand); }
    bool operator()(const BinaryExpr& node) const {
      return any_child(node.left) || any_child(node.right);
    }
    bool operator()(const ConditionalExpr& node) const {
      return any_child(node.condition) || any_child(node.then) || any_child(node.otherwise);
    }
    bool operator()(const NullExpr&) const { return false; }
    bool operator()(const BoolExpr&) const { return false; }
    bool operator()(const NumberExpr&) const { return false; }
    bool operator()(const NameExpr&) const { return false; }
    bool operator()(const SelectorExpr&) const { return false; }
  };
  return std::visit(Visitor{program, expr, any}, expr.node);
}

Outcome<Value> evaluate(const Program& program, const Scope& scope, const Expr& expr,
                        const Ready& ready) {
  return Evaluator(program, scope, ready).run(expr);
}

Outcome<std::string> evaluate_text(const Program& program, const Scope& scope, const Expr& expr,
                                   const Ready& ready) {
  auto inserted = Evaluator(program, scope, ready).insertion(expr);
  if (!inserted) return tl::unexpected<Failure>(std::move(inserted).error());
  return std::move(inserted->text);
}

Outcome<Insertion> evaluate_insert(const Program& program, const Scope& scope, const Expr& expr,
                                   const Ready& ready) {
  return Evaluator(program, scope, ready).insertion(expr);
}

Outcome<bool> evaluate_condition(const Program& program, const Scope& scope, const Expr& expr,
                                 const Ready& ready) {
  auto value = evaluate(program, scope, expr, ready);
  if (!value) return tl::unexpected<Failure>(std::move(value).error());
  if (value->kind() != ValueKind::kBool) {
    return value_failure(expr.span, "expected a bool, got " + std::string(name(value->kind())));
  }
  return value->as_bool();
}

}  // namespace espalier::dsl
