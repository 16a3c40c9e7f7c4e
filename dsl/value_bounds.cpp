#include "dsl/value_bounds.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "dsl/static_types.h"

namespace espalier::dsl {
namespace {

// A longer sum is called by the name it is bound to: sums of sums would take no end of memory.
constexpr std::size_t kMostTermsKept = 16;

// Of what `name` is bound to.
Bound kept(const std::optional<Bound>& known, std::string symbol) {
  return known && known->terms() <= kMostTermsKept ? *known : Bound::symbol(std::move(symbol));
}

const BinaryExpr* binary(const Expr& expr, BinaryOp op) {
  const auto* node = std::get_if<BinaryExpr>(&expr.node);
  return node != nullptr && node->op == op ? node : nullptr;
}

std::optional<std::int64_t> constant(const Expr& expr) {
  const auto* number = std::get_if<NumberExpr>(&expr.node);
  if (number == nullptr || !number->number.integer) return std::nullopt;
  return number->number.int_value;
}

}  // namespace

void ValueBounds::bind(const std::string& name, const Expr& value) {
  bound_[name] = {kept(known_length(value), "len(" + name + ")"), kept(known_most(value), name)};
}

void ValueBounds::bind_list(const std::string& name, const Bound& length) {
  bound_[name] = {kept(length, "len(" + name + ")"), std::nullopt};
}

void ValueBounds::bind_item(const std::string& name, const Expr& list) {
  Meaning item;
  if (const BinaryExpr* range = binary(list, BinaryOp::kRange)) {
    if (Bound last = most(*range->right); last.terms() <= kMostTermsKept)
      item.most = std::move(last);
  }
  bound_[name] = std::move(item);
}

const ValueBounds::Meaning* ValueBounds::meaning(const Expr& expr) const {
  const auto* name = std::get_if<NameExpr>(&expr.node);
  if (name == nullptr) return nullptr;
  const auto found = bound_.find(name->name.text);
  return found == bound_.end() ? nullptr : &found->second;
}

const Expr* ValueBounds::given_to(Builtin function, const Expr& call) const {
  if (!std::holds_alternative<CallExpr>(call.node)) return nullptr;
  const CallInfo& info = program_->calls[call.id];
  const bool is_it = info.kind == CalleeKind::kBuiltin && info.builtin == function;
  return is_it && !info.arguments.empty() ? info.arguments[0] : nullptr;
}

bool ValueBounds::names_itself(const Expr& expr) const {
  return std::holds_alternative<NameExpr>(expr.node) && meaning(expr) == nullptr;
}

std::string ValueBounds::written(const Expr& expr) const {
  return std::string(program_->sources[expr.span.file].slice(expr.span));
}

Bound ValueBounds::length(const Expr& list) const {
  const auto known = known_length(list);
  return known ? *known : Bound::symbol("len(" + written(list) + ")");
}

Bound ValueBounds::most(const Expr& number) const {
  const auto known = known_most(number);
  return known ? *known : Bound::symbol(written(number));
}

Bound ValueBounds::branches(const ForkExpr& fork) const {
  if (fork.over == nullptr) return Bound::of(1);
  return fork.variable ? length(*fork.over) : most(*fork.over);
}

std::optional<Bound> ValueBounds::known_length(const Expr& list) const {
  if (const BinaryExpr* range = binary(list, BinaryOp::kRange)) {
    const auto low = constant(*range->left);
    const Bound high = most(*range->right);
    if (!low || *low < 0) {
      const auto end = constant(*range->right);
      if (low && end)
        return Bound::of(*end < *low ? 0 : static_cast<std::uint64_t>(*end - *low) + 1);
      return std::nullopt;
    }
    const auto from = static_cast<std::uint64_t>(*low);
    if (const auto to = high.number()) return Bound::of(*to >= from ? *to - from + 1 : 0);
    Bound numbers = high;
    if (from == 0) numbers += Bound::of(1);
    return numbers;
  }
  if (const auto* items = std::get_if<ListExpr>(&list.node)) return Bound::of(items->items.size());
  if (const auto* fork = std::get_if<ForkExpr>(&list.node)) return branches(*fork);
  if (const BinaryExpr* both = binary(list, BinaryOp::kAdd)) {
    Bound items = length(*both->left);
    items += length(*both->right);
    return items;
  }
  if (const auto* either = std::get_if<ConditionalExpr>(&list.node))
    return length(*either->then).or_larger(length(*either->otherwise));
  for (const Builtin same : {Builtin::kKeys, Builtin::kSort, Builtin::kReverse})
    if (const Expr* given = given_to(same, list)) return length(*given);
  if (const auto* index = std::get_if<IndexExpr>(&list.node);
      index != nullptr && binary(*index->index, BinaryOp::kRange) != nullptr)
    return known_length(*index->index);  // at most
  if (std::holds_alternative<NameExpr>(list.node) &&
      program_->names[list.id].kind == NameKind::kType) {
    const TypeRef named = resolve(program_->types[program_->names[list.id].index].type);
    if (named != nullptr) return Bound::of(named->cases.size());
  }
  if (const Meaning* name = meaning(list); name != nullptr && name->length) return name->length;
  const TypeRef type = resolve(program_->values[list.id]);
  if (type != nullptr && (type->kind == TypeKind::kList || type->kind == TypeKind::kMap) &&
      type->high) {
    return Bound::of(*type->high);
  }
  if (names_itself(list)) return Bound::symbol("len(" + written(list) + ")");
  return std::nullopt;
}

std::optional<Bound> ValueBounds::known_most(const Expr& number) const {
  if (const auto known = constant(number))
    return Bound::of(static_cast<std::uint64_t>(std::max<std::int64_t>(0, *known)));
  if (const Meaning* name = meaning(number); name != nullptr && name->most) return name->most;
  if (const BinaryExpr* both = binary(number, BinaryOp::kAdd)) {
    Bound total = most(*both->left);
    total += most(*both->right);
    return total;
  }
  // Of two that may be negative, neither difference nor product is bounded by what bounds them.
  if (const auto* both = std::get_if<BinaryExpr>(&number.node)) {
    const std::int64_t left = constant(*both->left).value_or(-1);
    const std::int64_t right = constant(*both->right).value_or(-1);
    if (both->op == BinaryOp::kSubtract && right >= 0) return most(*both->left);
    if (both->op == BinaryOp::kRemainder && right >= 1)
      return Bound::of(static_cast<std::uint64_t>(right) - 1);
    if (both->op == BinaryOp::kMultiply && (left >= 0 || right >= 0))
      return most(*both->left).times(most(*both->right));
  }
  if (const auto* either = std::get_if<ConditionalExpr>(&number.node))
    return most(*either->then).or_larger(most(*either->otherwise));
  if (const Expr* list = given_to(Builtin::kLen, number)) return length(*list);
  const TypeRef type = resolve(program_->values[number.id]);
  if (type != nullptr && type->kind == TypeKind::kInt && type->int_high) {
    return Bound::of(static_cast<std::uint64_t>(std::max<std::int64_t>(0, *type->int_high)));
  }
  if (names_itself(number)) return Bound::symbol(written(number));
  return std::nullopt;
}

}  // namespace espalier::dsl
