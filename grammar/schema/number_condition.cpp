#include "grammar/schema/number_condition.h"

#include <cstdint>
#include <utility>

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostConditions = 4096;  // shared parts of a formula count each time

class Reader {
 public:
  Reader(const Formulas& formulas, Decimal top) : formulas_(formulas), top_(std::move(top)) {}

  std::optional<NumberCondition> read(FormulaId f, JsonTypes types) {
    NumberCondition out;
    if (++conditions_ > kMostConditions) return std::nullopt;
    if (f == Formulas::kFalse) {
      out.types = JsonTypes(0);
      return out;
    }
    std::vector<FormulaId> choices;
    for (const FormulaId part : formulas_.parts(f)) {
      if (formulas_.op(part) == Formulas::Op::kOr) {
        choices.push_back(part);
      } else if (!narrow(formulas_, part, types, out.range)) {
        return std::nullopt;
      }
    }
    if (types == JsonTypes(JsonTypes::kInteger)) bound_integers(out.range, top_);
    out.types = types;
    for (const FormulaId choice : choices) {
      std::vector<NumberCondition>& any = out.choices.emplace_back();
      for (const FormulaId child : formulas_.children(choice)) {
        std::optional<NumberCondition> one = read(child, types);
        if (!one) return std::nullopt;
        any.push_back(std::move(*one));
      }
    }
    return out;
  }

 private:
  const Formulas& formulas_;
  Decimal top_;
  std::size_t conditions_ = 0;
};

}  // namespace

bool narrow(const Formulas& formulas, FormulaId literal, JsonTypes& types, DecimalRange& range) {
  const Atom atom = formulas.atom(literal);
  const bool negated = formulas.negated(literal);
  switch (atom.kind) {
    case AtomKind::kType:
      types = types & JsonTypes(static_cast<std::uint8_t>(atom.a));
      return true;
    case AtomKind::kAtLeast:
    case AtomKind::kAbove: {
      const Decimal& bound = formulas.number_of(atom.a);
      const bool open = (atom.kind == AtomKind::kAbove) != negated;
      negated ? range.at_most(bound, open) : range.at_least(bound, open);
      return true;
    }
    default:
      return false;
  }
}

Decimal top_integer(Formulas& formulas, FormulaId f) {
  bool above = false;
  formulas.map(f, [&](FormulaId l) {
    const Atom atom = formulas.atom(l);
    const bool bound = atom.kind == AtomKind::kAtLeast || atom.kind == AtomKind::kAbove;
    above = above || (bound && formulas.number_of(atom.a) >= Decimal(INT64_MAX));
    return l;
  });
  return above ? Decimal(UINT64_MAX) : Decimal(INT64_MAX);
}

void bound_integers(DecimalRange& range, const Decimal& top) {
  range.at_least(Decimal(INT64_MIN), false);
  range.at_most(top, false);
}

std::optional<NumberCondition> number_condition(Formulas& formulas, FormulaId f) {
  return Reader(formulas, top_integer(formulas, f)).read(f, JsonTypes(JsonTypes::kNumber));
}

}  // namespace espalier::grammar
