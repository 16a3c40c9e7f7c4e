#include <algorithm>
#include <cmath>

#include "runtime/jinja/interpreter.h"

namespace espalier::runtime::jinja {
namespace {

const char* spelling(BinaryOp op) {
  switch (op) {
    case BinaryOp::kAdd:
      return "+";
    case BinaryOp::kSub:
      return "-";
    case BinaryOp::kMul:
      return "*";
    case BinaryOp::kDiv:
      return "/";
    case BinaryOp::kFloorDiv:
      return "//";
    case BinaryOp::kMod:
      return "%";
    case BinaryOp::kPow:
      return "**";
  }
  return "";
}

// Exact: -1, 0 or 1 of an integer against a float that is no NaN.
int order_mixed(std::int64_t left, double right) {
  if (right >= 9223372036854775808.0) return -1;
  if (right < -9223372036854775808.0) return 1;
  const double whole = std::floor(right);
  const auto integer = static_cast<std::int64_t>(whole);
  if (left != integer) return left < integer ? -1 : 1;
  return whole < right ? -1 : 0;
}

double floor_mod(double left, double right) {
  double rest = std::fmod(left, right);
  if (rest != 0.0 && (rest < 0) != (right < 0)) rest += right;
  if (rest == 0.0) rest = std::copysign(0.0, right);
  return rest;
}

double floor_divide(double left, double right) {
  // As CPython: from the remainder, so that the quotient is a whole number near left / right.
  const double rest = floor_mod(left, right);
  const double quotient = (left - rest) / right;
  if (quotient == 0.0) return std::copysign(0.0, left / right);
  const double whole = std::floor(quotient);
  return quotient - whole > 0.5 ? whole + 1.0 : whole;
}

}  // namespace

bool Interpreter::truth(const Value& value) {
  switch (value.kind) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return false;
    case Kind::kBool:
      return value.boolean;
    case Kind::kInt:
      return value.integer != 0;
    case Kind::kFloat:
      return value.real != 0.0;
    case Kind::kString:
      return value.string->size != 0;
    case Kind::kList:
    case Kind::kTuple:
      return value.list->size != 0;
    case Kind::kDict:
      return value.dict->size != 0;
    case Kind::kView:
      return value.view->dict->size != 0;
    case Kind::kRange:
      return value.range->size != 0;
    default:
      return true;
  }
}

std::optional<double> Interpreter::number(const Value& value) const {
  if (value.is(Kind::kFloat)) return value.real;
  if (value.is_integral()) return static_cast<double>(value.as_int());
  return std::nullopt;
}

Value Interpreter::negate(const Value& value) {
  if (value.is_undefined()) return fail_undefined(value);
  if (value.is(Kind::kFloat)) return Value::of(-value.real);
  if (!value.is_integral())
    return fail(std::string("- needs a number, not ") + type_name(value.kind));
  return integer_operation(BinaryOp::kSub, 0, value.as_int());
}

Value Interpreter::integer_operation(BinaryOp op, std::int64_t left, std::int64_t right) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (op) {
    case BinaryOp::kAdd:
      overflow = __builtin_add_overflow(left, right, &result);
      break;
    case BinaryOp::kSub:
      overflow = __builtin_sub_overflow(left, right, &result);
      break;
    case BinaryOp::kMul:
      overflow = __builtin_mul_overflow(left, right, &result);
      break;
    case BinaryOp::kDiv:
      if (right == 0) return fail("division by zero");
      return Value::of(static_cast<double>(left) / static_cast<double>(right));
    case BinaryOp::kFloorDiv:
    case BinaryOp::kMod: {
      if (right == 0) return fail("division by zero");
      if (right == -1)
        return op == BinaryOp::kMod ? Value::of(std::int64_t{0})
                                    : integer_operation(BinaryOp::kSub, 0, left);
      std::int64_t quotient = left / right;
      std::int64_t rest = left % right;
      if (rest != 0 && (rest < 0) != (right < 0)) {
        --quotient;
        rest += right;
      }
      return Value::of(op == BinaryOp::kMod ? rest : quotient);
    }
    case BinaryOp::kPow:
      if (right < 0) {
        if (left == 0) return fail("0 cannot be raised to a negative power");
        return Value::of(std::pow(static_cast<double>(left), static_cast<double>(right)));
      }
      result = 1;
      for (std::int64_t base = left, power = right; power > 0 && !overflow; power >>= 1) {
        if ((power & 1) != 0) overflow = __builtin_mul_overflow(result, base, &result);
        if (power > 1 && !overflow) overflow = __builtin_mul_overflow(base, base, &base);
      }
      break;
  }
  if (overflow) return fail("an integer has more than 63 bits", ErrorCode::kLimit);
  return Value::of(result);
}

Value Interpreter::binary(BinaryOp op, const Value& left, const Value& right) {
  if (failed_) return left;
  if (op == BinaryOp::kMod && left.is(Kind::kString)) return percent_format(left, right);
  if (left.is_undefined()) return fail_undefined(left);
  if (right.is_undefined()) return fail_undefined(right);
  if (left.is_integral() && right.is_integral())
    return integer_operation(op, left.as_int(), right.as_int());
  const auto l = number(left);
  const auto r = number(right);
  if (l && r) {
    switch (op) {
      case BinaryOp::kAdd:
        return Value::of(*l + *r);
      case BinaryOp::kSub:
        return Value::of(*l - *r);
      case BinaryOp::kMul:
        return Value::of(*l * *r);
      case BinaryOp::kDiv:
        return *r == 0.0 ? fail("division by zero") : Value::of(*l / *r);
      case BinaryOp::kFloorDiv:
        return *r == 0.0 ? fail("division by zero") : Value::of(floor_divide(*l, *r));
      case BinaryOp::kMod:
        return *r == 0.0 ? fail("division by zero") : Value::of(floor_mod(*l, *r));
      case BinaryOp::kPow: {
        const double power = std::pow(*l, *r);
        if (*l == 0.0 && *r < 0.0) return fail("0 cannot be raised to a negative power");
        if (std::isnan(power) && !std::isnan(*l) && !std::isnan(*r))
          return fail("complex numbers are not supported", ErrorCode::kUnsupported);
        if (std::isinf(power) && !std::isinf(*l) && !std::isinf(*r))
          return fail("the power is out of range");
        return Value::of(power);
      }
    }
  }
  if (op == BinaryOp::kAdd) return add(left, right);
  if (op == BinaryOp::kMul) return multiply(left, right);
  if ((op == BinaryOp::kSub) && left.is(Kind::kView) && right.is(Kind::kView))
    return fail("set operations are not supported", ErrorCode::kUnsupported);
  return fail(std::string("there is no ") + type_name(left.kind) + " " + spelling(op) + " " +
              type_name(right.kind));
}

Value Interpreter::add(const Value& left, const Value& right) {
  if (left.is(Kind::kString) && right.is(Kind::kString)) {
    // Markup escapes what it is joined with.
    const bool safe = left.safe || right.safe;
    const Str* l = safe && !left.safe ? escaped(left) : left.string;
    const Str* r = safe && !right.safe ? escaped(right) : right.string;
    if (!room(std::uint64_t{l->size} + r->size)) return left;
    return Value::of(concat(arena_, *l, *r), safe);
  }
  if ((left.is(Kind::kList) && right.is(Kind::kList)) ||
      (left.is(Kind::kTuple) && right.is(Kind::kTuple))) {
    const std::size_t size = std::size_t{left.list->size} + right.list->size;
    if (!room(size * sizeof(Value))) return left;
    Value* items = arena_.array<Value>(size);
    std::copy_n(left.list->items, left.list->size, items);
    std::copy_n(right.list->items, right.list->size, items + left.list->size);
    return Value::of(arena_.make(List{items, static_cast<std::uint32_t>(size)}), left.kind);
  }
  return fail(std::string("there is no ") + type_name(left.kind) + " + " + type_name(right.kind));
}

Value Interpreter::multiply(const Value& left, const Value& right) {
  if (left.is_integral()) {
    if (right.is_integral())
      return integer_operation(BinaryOp::kMul, left.as_int(), right.as_int());
    return multiply(right, left);
  }
  const bool repeatable = left.is(Kind::kString) || left.is(Kind::kList) || left.is(Kind::kTuple);
  if (!repeatable || !right.is_integral())
    return fail(std::string("there is no ") + type_name(left.kind) + " * " + type_name(right.kind));
  const std::uint64_t times = static_cast<std::uint64_t>(std::max<std::int64_t>(right.as_int(), 0));
  const std::uint64_t one =
      left.is(Kind::kString) ? left.string->size : left.list->size * sizeof(Value);
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(one, times, &bytes)) bytes = UINT64_MAX;
  if (!room(bytes)) return left;
  if (left.is(Kind::kString)) {
    StrBuilder out;
    if (one != 0) {
      for (std::uint64_t i = 0; i < times; ++i) out.append(*left.string);
    }
    return Value::of(out.finish(arena_), left.safe);
  }
  std::vector<Value> items;
  if (one != 0) {
    for (std::uint64_t i = 0; i < times; ++i)
      items.insert(items.end(), left.list->items, left.list->items + left.list->size);
  }
  return list(items, left.kind);
}

bool Interpreter::equal(const Value& left, const Value& right, std::uint32_t depth) {
  if (depth > kMaxDataNesting) {
    fail("values nested deeper than " + std::to_string(kMaxDataNesting), ErrorCode::kLimit);
    return false;
  }
  if (!spend()) return false;
  if (left.is_integral() && right.is_integral()) return left.as_int() == right.as_int();
  if (left.is(Kind::kFloat) && right.is_integral()) return equal(right, left, depth);
  if (left.is_integral() && right.is(Kind::kFloat))
    return !std::isnan(right.real) && order_mixed(left.as_int(), right.real) == 0;
  if (left.kind != right.kind) return false;
  switch (left.kind) {
    case Kind::kMissing:
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kFloat:
      return left.real == right.real;
    case Kind::kString:
      return spend(left.string->size / 32) && left.string->view() == right.string->view();
    case Kind::kList:
    case Kind::kTuple: {
      if (left.list == right.list) return true;
      if (left.list->size != right.list->size) return false;
      for (std::uint32_t i = 0; i < left.list->size; ++i) {
        if (!equal(left.list->items[i], right.list->items[i], depth + 1)) return false;
      }
      return true;
    }
    case Kind::kDict: {
      if (left.dict == right.dict) return true;
      if (left.dict->size != right.dict->size) return false;
      for (const Entry& entry : left.dict->span()) {
        const Value* other = find(*right.dict, entry.key);
        if (other == nullptr || !equal(entry.value, *other, depth + 1)) return false;
      }
      return true;
    }
    case Kind::kRange:
      if (left.range->size != right.range->size) return false;
      return left.range->size == 0 ||
             (left.range->start == right.range->start &&
              (left.range->size == 1 || left.range->step == right.range->step));
    case Kind::kMethod:
      return left.method->name == right.method->name &&
             equal(left.method->object, right.method->object, depth + 1);
    case Kind::kFunction:
      return left.function == right.function;
    case Kind::kNamespace:
      return left.ns == right.ns;
    case Kind::kMacro:
      return left.macro == right.macro;
    case Kind::kLoop:
      return left.loop == right.loop;
    case Kind::kIterator:
      return left.iterator == right.iterator;
    case Kind::kCycler:
      return left.cycler == right.cycler;
    case Kind::kJoiner:
      return left.joiner == right.joiner;
    case Kind::kView:
      if (left.view == right.view) return true;
      fail("dictionary views cannot be compared", ErrorCode::kUnsupported);
      return false;
    case Kind::kBool:
    case Kind::kInt:
      break;  // above
  }
  return false;
}

std::optional<int> Interpreter::order(const Value& left, const Value& right, std::uint32_t depth) {
  if (depth > kMaxDataNesting) {
    fail("values nested deeper than " + std::to_string(kMaxDataNesting), ErrorCode::kLimit);
    return std::nullopt;
  }
  if (!spend()) return std::nullopt;
  if (left.is_undefined() || right.is_undefined()) {
    fail_undefined(left.is_undefined() ? left : right);
    return std::nullopt;
  }
  const auto sign = [](auto a, auto b) { return a < b ? -1 : b < a ? 1 : 0; };
  if (left.is_integral() && right.is_integral()) return sign(left.as_int(), right.as_int());
  const auto l = number(left);
  const auto r = number(right);
  if (l && r) {
    if (std::isnan(*l) || std::isnan(*r)) return 2;  // unordered: every comparison is false
    if (left.is_integral()) return order_mixed(left.as_int(), *r);
    if (right.is_integral()) return -order_mixed(right.as_int(), *l);
    return sign(*l, *r);
  }
  if (left.is(Kind::kString) && right.is(Kind::kString)) {
    if (!spend(std::min(left.string->size, right.string->size) / 32)) return std::nullopt;
    return sign(left.string->view().compare(right.string->view()), 0);  // UTF-8 sorts by code point
  }
  if ((left.is(Kind::kList) && right.is(Kind::kList)) ||
      (left.is(Kind::kTuple) && right.is(Kind::kTuple))) {
    for (std::uint32_t i = 0; i < std::min(left.list->size, right.list->size); ++i) {
      if (equal(left.list->items[i], right.list->items[i], depth + 1)) continue;
      if (failed_) return std::nullopt;
      return order(left.list->items[i], right.list->items[i], depth + 1);
    }
    return sign(left.list->size, right.list->size);
  }
  fail(std::string("a ") + type_name(left.kind) + " and a " + type_name(right.kind) +
       " have no order");
  return std::nullopt;
}

bool Interpreter::compare(CompareOp op, const Value& left, const Value& right) {
  if (failed_) return false;
  switch (op) {
    case CompareOp::kEq:
      return equal(left, right);
    case CompareOp::kNe:
      return !equal(left, right);
    case CompareOp::kIn:
      return contains(right, left);
    case CompareOp::kNotIn:
      return !contains(right, left);
    default:
      break;
  }
  const auto found = order(left, right);
  if (!found || *found == 2) return false;
  switch (op) {
    case CompareOp::kLt:
      return *found < 0;
    case CompareOp::kLe:
      return *found <= 0;
    case CompareOp::kGt:
      return *found > 0;
    default:
      return *found >= 0;
  }
}

bool Interpreter::contains(const Value& container, const Value& wanted) {
  switch (container.kind) {
    case Kind::kString:
      if (wanted.is_undefined() || !wanted.is(Kind::kString)) {
        fail(std::string("a string can contain strings only, not ") + type_name(wanted.kind));
        return false;
      }
      return spend(container.string->size / 32) &&
             container.string->view().find(wanted.string->view()) != std::string_view::npos;
    case Kind::kDict:
      if (!hashable(wanted)) {
        fail(std::string("a ") + type_name(wanted.kind) + " cannot be a key");
        return false;
      }
      return find(*container.dict, wanted) != nullptr;
    case Kind::kIterator:
      while (container.iterator->at < container.iterator->size && !failed_) {
        if (equal(container.iterator->items[container.iterator->at++], wanted)) return true;
      }
      if (!failed_ && container.iterator->failure != nullptr)
        fail(std::string(container.iterator->failure->view()));
      return false;
    default:
      for (const Value& item : items_of(container)) {
        if (failed_) return false;
        if (equal(item, wanted)) return true;
      }
      return false;
  }
}

}  // namespace espalier::runtime::jinja
