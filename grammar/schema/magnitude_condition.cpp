#include "grammar/schema/magnitude_condition.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <string>
#include <utility>

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostNodes = 1U << 15;  // shared parts of a formula count each time

// 0 where it takes more than 64 bits.
std::uint64_t product(std::uint64_t a, std::uint64_t b) {
  return a != 0 && b > UINT64_MAX / a ? 0 : a * b;
}

// Without as many factors as `times` has of it.
std::uint64_t without(std::uint64_t value, std::uint64_t factor, std::int64_t times) {
  for (; times > 0 && value % factor == 0; --times) value /= factor;
  return value;
}

std::optional<std::uint64_t> read(const std::string& digits) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return error == std::errc() ? std::optional(out) : std::nullopt;
}

// Of which number integers are multiples that are so of `step`, a positive one; 0 where it takes
// more than 64 bits. Nothing where it has too many digits. An integer n is a multiple of d / 10^k
// iff n · 10^k is one of d.
std::optional<std::uint64_t> modulus_of(const Decimal& step) {
  auto out = read(step.digits);
  if (!out || *out == 0) return std::nullopt;
  std::int64_t exponent = step.point - static_cast<std::int64_t>(step.digits.size());
  if (exponent < 0) out = without(without(*out, 2, -exponent), 5, -exponent);
  for (; exponent > 0 && *out != 0; --exponent) out = product(*out, 10);
  return out;
}

std::uint64_t common(std::uint64_t a, std::uint64_t b) {
  return a == 0 || b == 0 ? 0 : product(a, b / std::gcd(a, b));
}

}  // namespace

std::optional<std::uint64_t> least_magnitude(const Decimal& bound, bool open) {
  const auto whole = read(bound.whole_part());
  const bool next = open || !bound.whole();
  if (!whole || (next && *whole == UINT64_MAX)) return std::nullopt;
  return *whole + (next ? 1 : 0);
}

std::optional<std::uint64_t> most_magnitude(const Decimal& bound, bool open) {
  const auto whole = read(bound.whole_part());
  const bool before = open && bound.whole();
  if (!whole || (before && *whole == 0)) return std::nullopt;
  return *whole - (before ? 1 : 0);
}

class MagnitudeCondition::Reader {
 public:
  Reader(const Formulas& formulas, bool negative, MagnitudeCondition& out)
      : formulas_(formulas), negative_(negative), out_(out) {}

  // Nothing where it says too much.
  std::optional<std::uint32_t> all(const std::vector<FormulaId>& parts) {
    std::optional<std::uint64_t> modulus;
    std::vector<std::uint32_t> bounds, others;
    for (const FormulaId part : parts) {
      if (formulas_.op(part) == Formulas::Op::kLiteral &&
          formulas_.atom(part).kind == AtomKind::kMultipleOf && !formulas_.negated(part)) {
        const auto own = modulus_of(formulas_.number_of(formulas_.atom(part).a));
        if (!own) return std::nullopt;
        modulus = modulus ? common(*modulus, *own) : *own;
        continue;
      }
      const auto node = read(part);
      if (!node) return std::nullopt;
      const Op op = out_.nodes_[*node].op;
      (op == Op::kFrom || op == Op::kTo ? bounds : others).push_back(*node);
    }
    // What leaps farthest first: none of the others is asked where it does.
    std::vector<std::uint32_t> children;
    if (modulus) children.push_back(add({Op::kMultiple, *modulus, 0, 0}));
    children.insert(children.end(), bounds.begin(), bounds.end());
    children.insert(children.end(), others.begin(), others.end());
    return join(Op::kAll, children);
  }

  [[nodiscard]] bool full() const { return out_.nodes_.size() > kMostNodes; }

 private:
  std::uint32_t add(Node node) {
    out_.nodes_.push_back(node);
    return static_cast<std::uint32_t>(out_.nodes_.size() - 1);
  }

  std::uint32_t join(Op op, const std::vector<std::uint32_t>& children) {
    if (children.size() == 1) return children[0];
    const auto first = static_cast<std::uint32_t>(out_.children_.size());
    out_.children_.insert(out_.children_.end(), children.begin(), children.end());
    return add({op, 0, first, static_cast<std::uint32_t>(children.size())});
  }

  std::uint32_t always(bool yes) { return join(yes ? Op::kAll : Op::kAny, {}); }

  std::optional<std::uint32_t> read(FormulaId f) {
    if (full()) return std::nullopt;
    switch (formulas_.op(f)) {
      case Formulas::Op::kFalse:
      case Formulas::Op::kTrue:
        return always(f == Formulas::kTrue);
      case Formulas::Op::kLiteral:
        return literal(f);
      case Formulas::Op::kAnd:
        return all(formulas_.parts(f));
      case Formulas::Op::kOr:
        break;
    }
    std::vector<std::uint32_t> any;
    for (const FormulaId child : formulas_.children(f)) {
      const auto node = read(child);
      if (!node) return std::nullopt;
      any.push_back(*node);
    }
    return join(Op::kAny, any);
  }

  std::optional<std::uint32_t> literal(FormulaId f) {
    const Atom& atom = formulas_.atom(f);
    const bool negated = formulas_.negated(f);
    switch (atom.kind) {
      case AtomKind::kType:
        return always(JsonTypes(static_cast<std::uint8_t>(atom.a)).has(JsonTypes::kInteger));
      case AtomKind::kMultipleOf: {
        const auto modulus = modulus_of(formulas_.number_of(atom.a));
        if (!modulus) return std::nullopt;
        return add({negated ? Op::kNoMultiple : Op::kMultiple, *modulus, 0, 0});
      }
      case AtomKind::kAtLeast:
      case AtomKind::kAbove:
        return bound(formulas_.number_of(atom.a), (atom.kind == AtomKind::kAbove) != negated,
                     negated);
      default:
        return std::nullopt;
    }
  }

  // A least number is a greatest magnitude of those with a sign.
  std::uint32_t bound(const Decimal& bound, bool open, bool most) {
    const bool greatest = most != negative_;
    if (bound.negative != negative_ && !bound.zero()) return always(!greatest);
    const auto value = greatest ? most_magnitude(bound, open) : least_magnitude(bound, open);
    if (value) return add({greatest ? Op::kTo : Op::kFrom, *value, 0, 0});
    return always(greatest && !bound.zero());  // beyond 64 bits, or below 0
  }

  const Formulas& formulas_;
  bool negative_;
  MagnitudeCondition& out_;
};

std::optional<MagnitudeCondition> MagnitudeCondition::of(const Formulas& formulas,
                                                         const std::vector<FormulaId>& parts,
                                                         bool negative) {
  MagnitudeCondition out;
  Reader reader(formulas, negative, out);
  const auto root = reader.all(parts);
  if (!root || reader.full()) return std::nullopt;
  out.root_ = *root;
  return out;
}

// A magnitude before which, from `from` on, none satisfies the node: `from` itself iff it does.
// Nothing where none does.
std::optional<std::uint64_t> MagnitudeCondition::leap(std::uint32_t node,
                                                      std::uint64_t from) const {
  const Node& at = nodes_[node];
  std::optional<std::uint64_t> best;
  switch (at.op) {
    case Op::kMultiple: {
      if (at.value == 0) return from == 0 ? std::optional(from) : std::nullopt;
      const std::uint64_t past = from % at.value;
      if (past == 0) return from;
      const std::uint64_t more = at.value - past;
      return from > UINT64_MAX - more ? std::nullopt : std::optional(from + more);
    }
    case Op::kNoMultiple:
      if (at.value == 0 ? from != 0 : from % at.value != 0) return from;
      return at.value == 1 || from == UINT64_MAX ? std::nullopt : std::optional(from + 1);
    case Op::kFrom:
      return std::max(from, at.value);
    case Op::kTo:
      return from <= at.value ? std::optional(from) : std::nullopt;
    case Op::kAll:
      for (std::uint32_t i = 0; i < at.count; ++i) {
        const auto to = leap(children_[at.first + i], from);
        if (to != from) return to;
      }
      return from;
    case Op::kAny:
      for (std::uint32_t i = 0; i < at.count && best != from; ++i) {
        const auto to = leap(children_[at.first + i], from);
        if (to && (!best || *to < *best)) best = to;
      }
      return best;
  }
  return best;
}

std::optional<std::uint64_t> MagnitudeCondition::first(std::uint64_t from, std::uint64_t to) const {
  for (std::size_t leaps = 0; leaps < kMostLeaps && from <= to; ++leaps) {
    const auto next = leap(root_, from);
    if (!next || *next == from) return next;
    from = *next;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> MagnitudeCondition::only_modulus() const {
  const Node& root = nodes_[root_];
  return root.op == Op::kMultiple ? std::optional(root.value) : std::nullopt;
}

}  // namespace espalier::grammar
