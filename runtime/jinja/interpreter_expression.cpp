#include <algorithm>

#include "runtime/jinja/interpreter.h"

namespace espalier::runtime::jinja {

Value Interpreter::eval(const Expr* expr, Frame* frame) {
  const Deeper deeper(*this);
  line_ = expr->line;
  if (!spend()) return Value::of(Kind::kNone);
  switch (expr->kind) {
    case ExprKind::kConst:
      return static_cast<const ConstExpr*>(expr)->value;
    case ExprKind::kName:
      return eval_name(*static_cast<const NameExpr*>(expr), frame);
    case ExprKind::kList:
    case ExprKind::kTuple:
      return eval_list(*static_cast<const ListExpr*>(expr), frame);
    case ExprKind::kDict:
      return eval_dict(*static_cast<const DictExpr*>(expr), frame);
    case ExprKind::kNot:
      return Value::of(!truth(eval(static_cast<const UnaryExpr*>(expr)->operand, frame)));
    case ExprKind::kNegate:
      return negate(eval(static_cast<const UnaryExpr*>(expr)->operand, frame));
    case ExprKind::kPlus: {
      const Value value = eval(static_cast<const UnaryExpr*>(expr)->operand, frame);
      if (value.is_undefined()) return fail_undefined(value);
      if (value.is(Kind::kBool)) return Value::of(value.as_int());
      if (value.is(Kind::kInt) || value.is(Kind::kFloat)) return value;
      return fail(std::string("+ needs a number, not ") + type_name(value.kind));
    }
    case ExprKind::kBinary: {
      const auto* it = static_cast<const BinaryExpr*>(expr);
      const Value left = eval(it->left, frame);
      const Value right = eval(it->right, frame);
      line_ = expr->line;
      return binary(it->op, left, right);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      const auto* it = static_cast<const BinaryExpr*>(expr);
      const Value left = eval(it->left, frame);
      return truth(left) == (expr->kind == ExprKind::kAnd) ? eval(it->right, frame) : left;
    }
    case ExprKind::kConcat:
      return eval_concat(*static_cast<const ConcatExpr*>(expr), frame);
    case ExprKind::kCompare:
      return eval_compare(*static_cast<const CompareExpr*>(expr), frame);
    case ExprKind::kCondition: {
      const auto* it = static_cast<const ConditionExpr*>(expr);
      if (truth(eval(it->test, frame))) return eval(it->then, frame);
      if (it->otherwise != nullptr) return eval(it->otherwise, frame);
      return undefined_hint("the inline if was false and has no else");
    }
    case ExprKind::kFilter:
      return eval_filter(*static_cast<const FilterExpr*>(expr), frame, nullptr);
    case ExprKind::kTest:
      return eval_test(*static_cast<const FilterExpr*>(expr), frame);
    case ExprKind::kCall:
      return eval_call(*static_cast<const CallExpr*>(expr), frame, nullptr);
    case ExprKind::kAttribute: {
      const auto* it = static_cast<const AttributeExpr*>(expr);
      const Value object = eval(it->object, frame);
      return attribute(object, *it->name);
    }
    case ExprKind::kItem: {
      const auto* it = static_cast<const ItemExpr*>(expr);
      const Value object = eval(it->object, frame);
      const Value key = eval(it->key, frame);
      return item(object, key);
    }
    case ExprKind::kSlice:
      return eval_slice(*static_cast<const SliceExpr*>(expr), frame);
  }
  return Value::of(Kind::kNone);
}

Value Interpreter::eval_name(const NameExpr& expr, Frame* frame) {
  const Frame* at = frame;
  for (std::uint32_t i = 0; i < expr.hops; ++i) at = at->parent;
  const Value& value = at->slots[expr.slot];
  return value.is(Kind::kMissing) ? undefined(UndefinedInfo::Why::kName, expr.name, "") : value;
}

Value Interpreter::eval_list(const ListExpr& expr, Frame* frame) {
  Value* items = arena_.array<Value>(expr.items.size());
  for (std::size_t i = 0; i < expr.items.size() && !failed_; ++i)
    items[i] = eval(expr.items[i], frame);
  const auto size = static_cast<std::uint32_t>(expr.items.size());
  return Value::of(arena_.make(List{items, size}),
                   expr.kind == ExprKind::kTuple ? Kind::kTuple : Kind::kList);
}

Value Interpreter::eval_dict(const DictExpr& expr, Frame* frame) {
  Entry* entries = arena_.array<Entry>(expr.keys.size());
  Dict dict{entries, 0};
  for (std::size_t i = 0; i < expr.keys.size() && !failed_; ++i) {
    const Value key = eval(expr.keys[i], frame);
    const Value value = eval(expr.values[i], frame);
    if (failed_) break;
    if (!hashable(key)) return fail(std::string("a ") + type_name(key.kind) + " cannot be a key");
    if (const auto known = find_index(dict, key))
      entries[*known].value = value;
    else
      entries[dict.size++] = {key, value};
  }
  return Value::of(arena_.make(dict));
}

Value Interpreter::eval_concat(const ConcatExpr& expr, Frame* frame) {
  StrBuilder joined;
  for (const Expr* part : expr.parts) {
    const Str* text = text_of(eval(part, frame));
    if (!grows(joined, text->size)) break;
    joined.append(*text);
  }
  return Value::of(joined.finish(arena_));
}

Value Interpreter::eval_compare(const CompareExpr& expr, Frame* frame) {
  Value left = eval(expr.left, frame);
  for (const Comparison& it : expr.rest) {
    const Value right = eval(it.right, frame);
    line_ = expr.line;
    if (!compare(it.op, left, right)) return Value::of(false);
    left = right;
  }
  return Value::of(true);
}

CallArguments Interpreter::arguments(const Arguments& from, Frame* frame, const Macro* caller) {
  std::span<const Value> more;
  Value* positional = nullptr;
  std::size_t count = from.positional.size();
  if (from.more_positional == nullptr) {
    positional = arena_.array<Value>(count);
    for (std::size_t i = 0; i < count; ++i) positional[i] = eval(from.positional[i], frame);
  } else {
    std::vector<Value> values;
    for (const Expr* it : from.positional) values.push_back(eval(it, frame));
    more = items_of(eval(from.more_positional, frame));
    values.insert(values.end(), more.begin(), more.end());
    count = values.size();
    positional = arena_.copy(values).data();
  }
  if (from.keywords.empty() && from.more_keywords == nullptr && caller == nullptr)
    return {{positional, count}, {}};
  std::vector<NamedValue> named;
  for (const KeywordArgument& it : from.keywords) named.push_back({it.name, eval(it.value, frame)});
  if (from.more_keywords != nullptr) {
    const Value more_named = eval(from.more_keywords, frame);
    if (!more_named.is(Kind::kDict)) {
      fail("the argument after ** must be a dictionary");
      return {};
    }
    for (const Entry& it : more_named.dict->span()) {
      if (!it.key.is(Kind::kString)) {
        fail("the keys of the argument after ** must be strings");
        return {};
      }
      for (const NamedValue& other : named) {
        if (!spend()) return {};
        if (other.name->view() == it.key.string->view()) {
          fail("the argument '" + std::string(other.name->view()) + "' is given twice");
          return {};
        }
      }
      named.push_back({it.key.string, it.value});
    }
  }
  if (caller != nullptr)
    named.push_back({make_str(arena_, "caller", kTemplate), Value::of(caller)});
  return {{positional, count}, arena_.copy(named)};
}

Value Interpreter::eval_filter(const FilterExpr& expr, Frame* frame, const Value* written) {
  const Value subject = written != nullptr ? *written : eval(expr.subject, frame);
  const CallArguments given = arguments(expr.arguments, frame);
  line_ = expr.line;
  if (failed_) return Value::of(Kind::kNone);
  return filter(static_cast<FilterId>(expr.id), *expr.name, subject, given);
}

Value Interpreter::eval_test(const FilterExpr& expr, Frame* frame) {
  const Value subject = eval(expr.subject, frame);
  const CallArguments given = arguments(expr.arguments, frame);
  line_ = expr.line;
  if (failed_) return Value::of(Kind::kNone);
  return Value::of(test(static_cast<TestId>(expr.id), *expr.name, subject, given));
}

Value Interpreter::eval_call(const CallExpr& expr, Frame* frame, const Macro* caller) {
  const Value callee = eval(expr.callee, frame);
  const CallArguments given = arguments(expr.arguments, frame, caller);
  line_ = expr.line;
  if (failed_) return Value::of(Kind::kNone);
  return call(callee, given);
}

Value Interpreter::eval_slice(const SliceExpr& expr, Frame* frame) {
  const Value object = eval(expr.object, frame);
  const Value bounds[3] = {expr.start == nullptr ? Value::none() : eval(expr.start, frame),
                           expr.stop == nullptr ? Value::none() : eval(expr.stop, frame),
                           expr.step == nullptr ? Value::none() : eval(expr.step, frame)};
  if (failed_) return Value::of(Kind::kNone);
  if (object.is_undefined()) return fail_undefined(object);
  const bool sliceable = object.is(Kind::kString) || object.is(Kind::kList) ||
                         object.is(Kind::kTuple) || object.is(Kind::kRange);
  if (!sliceable) return fail(std::string("a ") + type_name(object.kind) + " cannot be sliced");
  for (const Value& bound : bounds) {
    if (!bound.is(Kind::kNone) && !bound.is_integral())
      return fail("the bounds of a slice must be integers");
  }
  const std::int64_t step = bounds[2].is(Kind::kNone) ? 1 : bounds[2].as_int();
  if (step == 0) return fail("the step of a slice cannot be 0");
  const std::int64_t length = length_of(object).value_or(0);
  // As Python's slice.indices: a bound from the end, then held within the sequence.
  const auto bounded = [&](const Value& bound, std::int64_t otherwise) {
    if (bound.is(Kind::kNone)) return otherwise;
    std::int64_t at = bound.as_int();
    if (at < 0) at = at < -length ? -1 : at + length;
    const std::int64_t low = step > 0 ? 0 : -1;
    const std::int64_t high = step > 0 ? length : length - 1;
    return std::clamp(at, low, std::max(low, high));
  };
  const std::int64_t start = bounded(bounds[0], step > 0 ? 0 : length - 1);
  const std::int64_t stop = bounded(bounds[1], step > 0 ? length : -1);
  std::int64_t count = 0;
  if (step > 0 && start < stop) count = (stop - start - 1) / step + 1;
  if (step < 0 && start > stop) {
    // −step does not fit for the least integer; one item is what such a step gives.
    count = step == INT64_MIN ? 1 : (start - stop - 1) / -step + 1;
  }
  if (object.is(Kind::kString)) return characters_slice(object, start, count, step);
  if (object.is(Kind::kRange)) {
    std::int64_t scaled = 0;
    if (count <= 1 || __builtin_mul_overflow(object.range->step, step, &scaled)) scaled = 1;
    const std::int64_t first = object.range->at(start);
    return Value::of(arena_.make(
        Range{first, scaled, static_cast<std::uint32_t>(count), first + scaled * count}));
  }
  if (!room(static_cast<std::uint64_t>(count) * sizeof(Value))) return object;
  Value* items = arena_.array<Value>(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) items[i] = object.list->items[start + i * step];
  return Value::of(arena_.make(List{items, static_cast<std::uint32_t>(count)}), object.kind);
}

}  // namespace espalier::runtime::jinja
