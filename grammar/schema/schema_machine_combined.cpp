// The scalars that a formula admits, made of what is known of its parts: an automaton whose
// characters are counted while they are read, with texts taken away from it, or finished automata
// run side by side.
#include <algorithm>
#include <utility>

#include "grammar/decimal_multiple.h"
#include "grammar/schema/leading_looks.h"
#include "grammar/schema/number_condition.h"
#include "grammar/schema/number_steps.h"
#include "grammar/schema/scalar_combination.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/schema/schema_scalar.h"

namespace espalier::grammar {

// Of strings that are not some texts: the automaton of the others' language, which many places and
// schemas share, with the texts taken away.
std::optional<ScalarRun> SchemaMachine::with_texts_taken(FormulaId f, std::uint32_t& untaken) {
  std::vector<FormulaId> rest;
  std::vector<std::string> texts;
  bool string = false, number = false, takes = false;
  for (const FormulaId part : formulas_.parts(f)) {
    const bool literal = formulas_.op(part) == Formulas::Op::kLiteral;
    if (literal && formulas_.negated(part) && formulas_.atom(part).kind == AtomKind::kIn) {
      append_texts(formulas_.atom(part).a, texts);
      for (const Json& value : formulas_.set_of(formulas_.atom(part).a)) {
        if (!value.is_number()) continue;
        for (std::string& text : ScalarExpressions::all_spellings(value)) {
          texts.push_back(std::move(text));
        }
      }
      takes = true;
      continue;
    }
    if (literal && formulas_.atom(part).kind == AtomKind::kType && !formulas_.negated(part)) {
      const JsonTypes types(static_cast<std::uint8_t>(formulas_.atom(part).a));
      string = types == JsonTypes(JsonTypes::kString);
      number = (types & JsonTypes(JsonTypes::kNumber)) == types;
    }
    rest.push_back(part);
  }
  if (!takes || (!string && !number)) return std::nullopt;
  const FormulaId others = formulas_.all(rest);
  if (number && !number_condition(formulas_, others)) return std::nullopt;
  untaken = this->untaken(others);
  if (untaken == kNoScalar) return std::nullopt;
  ScalarRun& all = scalars_[untaken].run;
  if (all.empty()) return ScalarRun();
  ScalarRun run = all.anew();
  const std::size_t before = all.bytes();
  run.take_away(std::move(texts));
  bytes_ += all.bytes() - before;
  return run;
}

// The strings of `f` in canonical spelling, or its numbers in few, as something that texts can be
// taken away from.
std::uint32_t SchemaMachine::untaken(FormulaId f) {
  const auto [known, fresh] = untaken_.try_emplace(f, kNoScalar);
  if (!fresh) return known->second;
  std::optional<ScalarRun> run = with_length(f, true);
  if (!run) run = automaton(f, in_canonical(f), true);
  if (run && !run->empty() && !run->may_take_away()) run = side_by_side(f, true);
  bytes_ += 96;
  if (!run) return kNoScalar;
  const auto id = static_cast<std::uint32_t>(scalars_.size());
  scalars_.emplace_back().run = std::move(*run);
  bytes_ += scalars_[id].run.bytes() + sizeof(Scalar);
  return untaken_[f] = id;
}

// Parts run side by side as texts come by; nothing where it is not known whether there is a text,
// or searches for texts of others have cost so much that no more are begun.
std::optional<ScalarRun> SchemaMachine::side_by_side(
    std::shared_ptr<const ScalarCombination> parts) const {
  if (parts_->states_made >= ScalarProduct::kMostOfAll) return std::nullopt;
  auto product =
      std::make_shared<ScalarProduct>(std::move(parts), vocabulary_->json_bytes(),
                                      vocabulary_->single_bytes(), parts_, &library_->tables());
  if (product->start() != ScalarProduct::kNone) return ScalarRun(std::move(product));
  return product->undecided() ? std::nullopt : std::optional(ScalarRun());
}

// The same of strings, whatever automata there are of what they satisfy.
std::optional<ScalarRun> SchemaMachine::side_by_side(FormulaId f, bool canonical) {
  auto what = std::make_shared<ScalarCombination>();
  std::vector<FormulaId> own = formulas_.parts(f);
  std::erase(own, formulas_.types(JsonTypes::kString));
  if (canonical) std::erase(own, canonical_);
  std::optional<ScalarCombination::Node> root =
      combined_strings(*what, formulas_.all(own), canonical);
  if (!root) {
    const std::optional<ScalarLibrary::Entry> whole = scalar_program(f, canonical);
    if (!whole) return std::nullopt;
    if (whole->program == nullptr) return ScalarRun();
    root = what->words(whole->program);
  }
  what->set_root(*root);
  if (library_->canonical_string() != nullptr) what->settle(*library_->canonical_string());
  return side_by_side(std::move(what));
}

// What stands for the strings of `f` in canonical spelling alone.
FormulaId SchemaMachine::in_canonical(FormulaId f) { return formulas_.all({f, canonical_}); }

// The strings of `f` in canonical spelling, where their automaton in any is known: of that one.
std::optional<ScalarLibrary::Entry> SchemaMachine::in_canonical_spelling(FormulaId f) {
  const std::optional<ScalarLibrary::Entry> any = known_entry(scalar_key(formulas_, f));
  if (!any || any->dfa == nullptr || !any->dfa->quoted() ||
      library_->canonical_string() == nullptr) {
    return std::nullopt;
  }
  ScalarCombination what;
  const ScalarCombination::Node spelled =
      what.characters(library_->canonical_string(), 0, ScalarCombination::kUnbounded);
  return finished(what, what.all({what.words(any->dfa), spelled}));
}

// Of strings under a pattern that may be neither too long nor too short: the pattern's automaton,
// its characters counted while they are read. Nothing where it has to be made another way.
std::optional<ScalarRun> SchemaMachine::with_length(FormulaId f, bool canonical) {
  std::vector<FormulaId> rest, lower;
  std::uint64_t low = 0, high = ScalarRun::kUnbounded;
  bool pattern = false, string = false;
  for (const FormulaId part : formulas_.parts(f)) {
    const bool literal = formulas_.op(part) == Formulas::Op::kLiteral;
    if (literal && formulas_.atom(part).kind == AtomKind::kLength) {
      const std::uint64_t length = formulas_.atom(part).a;
      if (formulas_.negated(part)) {
        high = std::min(high, length - 1);
      } else {
        low = std::max(low, length);
        lower.push_back(part);
      }
      continue;
    }
    pattern = pattern || !literal || formulas_.atom(part).kind == AtomKind::kPattern;
    string = string || part == formulas_.types(JsonTypes::kString);
    rest.push_back(part);
  }
  const bool bounded = high != ScalarRun::kUnbounded;
  if (!pattern || !string || (low == 0 && !bounded)) return std::nullopt;
  if (low > ScalarRun::kMostCounted || (bounded && high > ScalarRun::kMostCounted)) {
    return std::nullopt;
  }
  if (low > high) return ScalarRun();
  const auto made = [&](FormulaId own) {
    return automaton(own, canonical ? in_canonical(own) : own, canonical);
  };
  const FormulaId others = formulas_.all(rest);
  std::optional<ScalarRun> run = made(others);
  if (!run || run->empty()) return run;
  if (run->dfa() == nullptr || !run->dfa()->counts()) return std::nullopt;
  std::shared_ptr<const ScalarDfa> own = run->dfa_ref();
  if (low == 1 && own->characters_left(own->start()) == 0) {
    rest.insert(rest.end(), lower.begin(), lower.end());
    const FormulaId some = formulas_.all(rest);
    own = without_empty(own, canonical ? in_canonical(some) : some);
    if (own == nullptr) return ScalarRun();
    if (!own->counts()) return std::nullopt;
  }
  const bool owes = !bounded && ScalarRun::may_owe(*own, low);
  if (low > own->characters_left(own->start()) && !own->stretches() && !owes) {
    if (!bounded) return std::nullopt;  // the least length becomes part of the automaton
    rest.insert(rest.end(), lower.begin(), lower.end());
    run = made(formulas_.all(rest));
    if (!run || run->empty()) return run;
    if (run->dfa() == nullptr || !run->dfa()->counts()) return std::nullopt;
    own = run->dfa_ref();
  }
  const std::uint32_t least = own->characters_left(own->start());
  if (least > high) return ScalarRun();
  const auto owed = low > least ? static_cast<std::uint32_t>(low) : 0;
  run = ScalarRun(std::move(own), owed, static_cast<std::uint32_t>(high));
  if (run->longest_owing(owed) > Program::kLongestClosing / 2) return std::nullopt;
  return run;
}

// Of the strings of `f`, which are those of `dfa` but for the empty one: kept for all schemas.
std::shared_ptr<const ScalarDfa> SchemaMachine::without_empty(
    const std::shared_ptr<const ScalarDfa>& dfa, FormulaId f) {
  const std::optional<std::string> name = scalar_key(formulas_, f);
  const std::optional<ScalarLibrary::Entry> entry = known_entry(name);
  if (entry && entry->dfa != nullptr) return entry->dfa;
  auto made = dfa->without_empty(vocabulary_->single_bytes(), library_->string());
  if (made == nullptr) return made;
  keep_entry(name, {nullptr, made, nullptr});
  return made;
}

// The scalars of `f` from those of its parts, where it has several: their finished automata, which
// many schemas share, side by side. Nothing where one of them is not finished or they are too many.
// `fails`: the automaton of it as it stands is not finished soon.
std::optional<ScalarLibrary::Entry> SchemaMachine::combined(FormulaId f, bool canonical,
                                                            bool fails) {
  std::vector<FormulaId> rest;
  JsonTypes types(JsonTypes::kAll);
  for (const FormulaId part : formulas_.parts(f)) {
    const bool type = formulas_.op(part) == Formulas::Op::kLiteral && !formulas_.negated(part) &&
                      formulas_.atom(part).kind == AtomKind::kType;
    if (type) {
      types = types & JsonTypes(static_cast<std::uint8_t>(formulas_.atom(part).a));
    } else {
      rest.push_back(part);
    }
  }
  ScalarCombination what;
  std::optional<ScalarCombination::Node> root;
  if (types == JsonTypes(JsonTypes::kString)) {
    const bool alone =
        rest.size() == 1 && formulas_.op(rest[0]) == Formulas::Op::kLiteral &&
        !(formulas_.negated(rest[0]) && formulas_.atom(rest[0]).kind == AtomKind::kPattern);
    if (!rest.empty() && !alone) {
      root = combined_strings(what, formulas_.all(rest), canonical);
    } else if (alone && formulas_.is_pattern(rest[0])) {
      const auto looks = leading_looks(formulas_.pattern_of(formulas_.atom(rest[0]).a).regex);
      if (looks && (looks->counts || fails)) {
        root = looks_apart(what, formulas_.atom(rest[0]), canonical);
      }
    }
  } else if (!(types & JsonTypes(JsonTypes::kNumber)).none()) {
    if ((types & JsonTypes(JsonTypes::kNumber)) == types) {
      if (std::optional<ScalarLibrary::Entry> entry = numbers(f, canonical, false)) return entry;
    }
    root = combined_multiples(what, types, rest);
  }
  if (!root) return std::nullopt;
  const bool strings = types == JsonTypes(JsonTypes::kString);
  if (strings && library_->canonical_string() != nullptr) {
    what.settle(*library_->canonical_string());
  }
  std::optional<ScalarLibrary::Entry> entry = finished(what, *root);
  if (!entry && strings) {
    entry = {nullptr, nullptr, std::make_shared<const ScalarCombination>(std::move(what))};
  }
  return entry;
}

// The automaton of a combination; nothing where it would be too large.
std::optional<ScalarLibrary::Entry> SchemaMachine::finished(ScalarCombination& what,
                                                            ScalarCombination::Node root) {
  what.set_root(root);
  bool empty = false;
  auto dfa = ScalarDfa::combine(what, ScalarLibrary::kCombinedStates, vocabulary_->single_bytes(),
                                library_->string(), &empty);
  if (empty) return ScalarLibrary::Entry{};
  if (dfa == nullptr) return std::nullopt;
  if (dfa->closing_size(dfa->start()) > Program::kLongestClosing) return ScalarLibrary::Entry{};
  return ScalarLibrary::Entry{nullptr, std::move(dfa), nullptr};
}

// As ScalarExpressions::content().
std::optional<ScalarCombination::Node> SchemaMachine::combined_strings(ScalarCombination& what,
                                                                       FormulaId f,
                                                                       bool canonical) {
  using Node = ScalarCombination::Node;
  if (f == Formulas::kFalse) return what.nothing();
  std::uint64_t low = 0, high = ScalarCombination::kUnbounded;
  std::vector<Node> all, none;
  const std::vector<FormulaId> own = formulas_.parts(f);
  const bool plain = canonical || formulas_.forbid_texts(own);
  for (const FormulaId part : own) {
    if (formulas_.op(part) == Formulas::Op::kOr) {
      std::vector<Node> any;
      const std::vector<FormulaId> children(formulas_.children(part).begin(),
                                            formulas_.children(part).end());
      for (const FormulaId child : children) {
        const std::optional<Node> node = combined_strings(what, child, plain);
        if (!node) return std::nullopt;
        any.push_back(*node);
      }
      all.push_back(what.any(std::move(any)));
      continue;
    }
    if (formulas_.op(part) != Formulas::Op::kLiteral) return std::nullopt;
    const Atom atom = formulas_.atom(part);
    if (atom.kind == AtomKind::kLength) {
      if (formulas_.negated(part)) {
        high = std::min<std::uint64_t>(high, atom.a - 1);
      } else {
        low = std::max<std::uint64_t>(low, atom.a);
      }
      continue;
    }
    if (atom.kind != AtomKind::kPattern) return std::nullopt;
    // What is not searched for has no surroundings that could be spelled another way.
    const bool spelled = plain && formulas_.pattern_of(atom.a).search;
    // Each is looked up once: where alternatives exclude one another they speak of all patterns.
    const std::uint64_t id = 2 * std::uint64_t{atom.a} + (spelled ? 1 : 0);
    if (!what.made_for(id)) {
      const FormulaId alone =
          formulas_.all({formulas_.types(JsonTypes::kString), formulas_.literal(atom)});
      const auto entry = entry_of(alone, spelled ? in_canonical(alone) : alone, spelled);
      if (!entry) return std::nullopt;
      const std::optional<Node> made = entry->dfa != nullptr       ? what.words(entry->dfa)
                                       : entry->program != nullptr ? what.words(entry->program)
                                       : entry->parts != nullptr ? looks_apart(what, atom, spelled)
                                                                 : what.nothing();
      if (!made) return std::nullopt;
      what.made_for(id) = made;
    }
    const Node node = *what.made_for(id);
    (formulas_.negated(part) ? none : all).push_back(node);
  }
  if (low > high) return what.nothing();
  if (all.empty() || low > 0 || high != ScalarCombination::kUnbounded) {
    const Terminal* string = plain ? library_->canonical_string() : library_->string();
    const bool counts =
        low <= ScalarCombination::kMostCounted &&
        (high == ScalarCombination::kUnbounded || high <= ScalarCombination::kMostCounted);
    if (string == nullptr || !counts) return std::nullopt;
    all.push_back(
        what.characters(string, static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(high)));
  }
  Node out = what.all(std::move(all));
  if (!none.empty()) out = what.all({out, what.negation(what.any(std::move(none)))});
  return out;
}

// Of a pattern with look-ahead near its beginning: what it asks for, each by itself.
std::optional<ScalarCombination::Node> SchemaMachine::looks_apart(ScalarCombination& what,
                                                                  const Atom& of, bool canonical) {
  const StringPattern& whole = formulas_.pattern_of(of.a);
  const auto looks = whole.search ? leading_looks(whole.regex) : std::nullopt;
  if (!looks) return std::nullopt;
  const auto searched = [&](const std::string& regex) {
    return formulas_.literal({AtomKind::kPattern, formulas_.pattern({regex, true}), 0});
  };
  std::vector<FormulaId> parts{searched(looks->rest)};
  for (const std::string& one : looks->ahead) parts.push_back(searched(one));
  for (const std::string& one : looks->denied) {
    parts.push_back(formulas_.negate(searched(one)));
  }
  return combined_strings(what, formulas_.all(parts), canonical);
}

// The numbers of bounds alone, made directly; `plain`: without an exponent.
std::optional<ScalarLibrary::Entry> SchemaMachine::numbers(FormulaId f, bool canonical,
                                                           bool plain) {
  auto condition = number_condition(formulas_, formulas_.restrict(f, JsonTypes::kNumber));
  if (!condition) return std::nullopt;
  condition->distinct = canonical;
  condition->plain = plain;
  const std::optional<DfaSteps> made =
      number_steps(*condition, vocabulary_->json_bytes(), ScalarLibrary::kCombinedStates);
  if (!made) return std::nullopt;
  bool empty = false;
  auto dfa = ScalarDfa::create(*made, vocabulary_->single_bytes(), nullptr, &empty);
  if (empty) return ScalarLibrary::Entry{};
  if (dfa == nullptr) return std::nullopt;
  return ScalarLibrary::Entry{nullptr, std::move(dfa), nullptr};
}

// Numbers that are multiples, or are not: those of the rest, and the multiples of each. Where some
// may not come it is of spellings that they have.
std::optional<ScalarCombination::Node> SchemaMachine::combined_multiples(
    ScalarCombination& what, JsonTypes types, const std::vector<FormulaId>& parts) {
  std::vector<FormulaId> rest{formulas_.types(types)};
  std::vector<Decimal> steps, not_steps;
  for (const FormulaId part : parts) {
    if (formulas_.op(part) != Formulas::Op::kLiteral ||
        formulas_.atom(part).kind != AtomKind::kMultipleOf) {
      rest.push_back(part);
      continue;
    }
    (formulas_.negated(part) ? not_steps : steps)
        .push_back(formulas_.number_of(formulas_.atom(part).a));
  }
  if (steps.empty() && not_steps.empty()) return std::nullopt;
  steps = DecimalMultiple::joined(steps);
  std::vector<ScalarCombination::Node> all, none;
  const Terminal* terminal = rest.size() == 1 ? library_->terminal(types) : nullptr;
  const FormulaId others = formulas_.all(rest);
  if (!not_steps.empty()) {
    const std::optional<ScalarLibrary::Entry> plain = numbers(others, false, true);
    if (!plain) return std::nullopt;
    all.push_back(plain->dfa != nullptr ? what.words(plain->dfa) : what.nothing());
  } else if (terminal != nullptr) {
    all.push_back(what.characters(terminal, 0, ScalarCombination::kUnbounded));
  } else {
    const std::optional<ScalarRun> run = automaton(others, others, false);
    if (!run || (!run->empty() && run->dfa() == nullptr)) return std::nullopt;
    all.push_back(run->empty() ? what.nothing() : what.words(run->dfa_ref()));
  }
  for (const auto& [of, nodes] : {std::pair(&steps, &all), std::pair(&not_steps, &none)}) {
    for (const Decimal& step : *of) {
      auto dfa = multiples(step);
      if (dfa == nullptr) return std::nullopt;
      nodes->push_back(what.words(std::move(dfa)));
    }
  }
  if (!none.empty()) all.push_back(what.negation(what.any(std::move(none))));
  return what.all(std::move(all));
}

// Kept for all schemas; nullptr where it would be too large.
std::shared_ptr<const ScalarDfa> SchemaMachine::multiples(const Decimal& of) {
  const std::string name = "multiples of " + of.text();
  if (const std::optional<ScalarLibrary::Entry> known = known_entry(name)) return known->dfa;
  Fuel fuel("steps", kSteps);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  ScalarExpressions expressions(*pool, formulas_, nullptr);
  const Expr root = expressions.multiples(of);
  auto program =
      Program::create(pool, root, VocabularyRef(VocabularyRef(), vocabulary_.get()), {}, {}, fuel);
  if (!program || (*program)->empty()) return nullptr;
  const ScalarLibrary::Entry made{
      nullptr, ScalarDfa::create(*program, ScalarLibrary::kDfaSteps, nullptr), nullptr};
  keep_entry(name, made);
  return made.dfa;
}

}  // namespace espalier::grammar
