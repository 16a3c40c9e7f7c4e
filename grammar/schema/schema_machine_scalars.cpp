// The scalars that a formula admits, by type: which of them are terminals, words or automata, and
// whether one scalar satisfies a formula.
#include <algorithm>
#include <cmath>

#include "base/utf8.h"
#include "grammar/compiled_grammar.h"
#include "grammar/decimal_multiple.h"
#include "grammar/schema/pattern_beginning.h"
#include "grammar/schema/schema_machine.h"
#include "grammar/schema/schema_scalar.h"

namespace espalier::grammar {
namespace {

// All bytes that an expression of the pool reads.
ByteSet alphabet(const ExpressionPool& pool) {
  ByteSet out;
  for (std::uint32_t id = 0; id < pool.size(); ++id) {
    const Expr e{id};
    switch (pool.node(e).op) {
      case Op::kBytes:
        for (const char c : pool.bytes_of(e)) out.add(static_cast<unsigned char>(c));
        break;
      case Op::kSet:
        out |= pool.set_of(e);
        break;
      case Op::kMultiple:
        out |= ByteSet::of("0123456789.");
        break;
      default:
        break;
    }
  }
  return out;
}

// Whether what completes the empty string completes each that may begin a scalar.
bool goes_on(const ProgramRef& program, const Terminal* characters) {
  if (characters == nullptr) return false;
  Automaton automaton(program);
  const StateId opened = automaton.step(automaton.start({}), '"');
  return opened != Automaton::kDead && keeps_its_beginning(automaton, opened, *characters);
}

// Whether a pattern means the same as one of several alternatives, and is found at the text's
// beginning alone: no flags that go on behind it, and no counts, which may take many states.
bool stands_alone(std::string_view regex) {
  if (!regex.starts_with('^') || regex.find('{') != std::string_view::npos) return false;
  for (std::size_t at = regex.find("(?"); at != std::string_view::npos;
       at = regex.find("(?", at + 1)) {
    if (!regex.substr(at).starts_with("(?:")) return false;
  }
  return true;
}

// Kinds of strings, those that are patterns which stand_alone() and begin apart from each other as
// one pattern: its automaton parts them by their first characters, where theirs would run side by
// side.
std::vector<FormulaId> joined_patterns(Formulas& formulas, std::vector<FormulaId> kinds) {
  constexpr std::size_t kMostBytes = 8192;
  std::vector<FormulaId> out;
  std::vector<PatternBeginning> beginnings;  // of those that are joined
  std::string joined;
  const auto close = [&] {
    if (!joined.empty()) {
      const std::uint32_t id = formulas.pattern({std::move(joined), true});
      out.push_back(formulas.literal({AtomKind::kPattern, id, 0}));
    }
    joined.clear();
    beginnings.clear();
  };
  for (const FormulaId kind : kinds) {
    const bool pattern = formulas.is_pattern(kind) && !formulas.negated(kind);
    const StringPattern own =
        pattern ? formulas.pattern_of(formulas.atom(kind).a) : StringPattern{"", false};
    if (!own.search || !stands_alone(own.regex)) {
      out.push_back(kind);
      continue;
    }
    if (joined.size() + own.regex.size() >= kMostBytes) close();
    PatternBeginning beginning(own.regex);
    if (!std::ranges::all_of(beginnings, [&](const PatternBeginning& other) {
          return PatternBeginning::apart(beginning, other);
        })) {
      out.push_back(kind);
      continue;
    }
    beginnings.push_back(std::move(beginning));
    joined += (joined.empty() ? "" : "|") + own.regex;
  }
  close();
  return out;
}

}  // namespace

// The automaton of the scalars that `f` admits; one without an automaton where there is none.
std::uint32_t SchemaMachine::scalar(FormulaId f) {
  if (const std::uint32_t* known = scalar_ids_.find(f)) return *known;
  // By what it says of scalars alone: objects and arrays that differ share it.
  const FormulaId own = formulas_.restrict(
      formulas_.all({f, formulas_.types(static_cast<std::uint8_t>(
                            JsonTypes::kAll & ~(JsonTypes::kObject | JsonTypes::kArray)))}),
      static_cast<std::uint8_t>(JsonTypes::kAll & ~(JsonTypes::kObject | JsonTypes::kArray)));
  if (const std::uint32_t* known = own != f ? scalar_ids_.find(own) : nullptr) {
    const std::uint32_t id = *known;
    scalar_ids_.set(f, id);
    return id;
  }
  const auto id = static_cast<std::uint32_t>(scalars_.size());
  scalars_.emplace_back();
  scalar_ids_.set(f, id);
  scalar_ids_.set(own, id);
  std::optional<ScalarRun> run = terminal(own);
  if (auto multiples = run ? std::nullopt : IntegerMultiples::of(formulas_, own);
      multiples && (IntegerMultiples::alphabet() & ~vocabulary_->single_bytes()).none()) {
    run = ScalarRun(std::move(*multiples));
  }
  Scalar made;
  if (!run) run = with_texts_taken(own, made.untaken);
  if (!run) run = with_length(own, false);
  if (!run) run = automaton(own, own, false);
  if (!run) {
    undecided_ = true;
    return id;
  }
  if (run->empty()) return id;
  bytes_ += run->bytes() - run->shared_bytes() + 128;
  made.run = std::move(*run);
  made.closing = made.run.closing_word(made.run.start());
  scalars_[id] = std::move(made);
  return id;
}

// What the library has of that name, or this machine where that is full.
std::optional<ScalarLibrary::Entry> SchemaMachine::known_entry(
    const std::optional<std::string>& name) const {
  if (!name) return std::nullopt;
  if (auto known = library_->find(*name)) return known;
  const auto own = entries_.find(*name);
  return own != entries_.end() ? std::optional(own->second) : std::nullopt;
}

void SchemaMachine::keep_entry(const std::optional<std::string>& name,
                               const ScalarLibrary::Entry& entry) {
  if (!name || library_->add(*name, entry)) return;
  if (entries_.try_emplace(*name, entry).second) {
    bytes_ += name->size() + (entry.dfa != nullptr ? entry.dfa->memory() : 0) + 128;
  }
}

// The scalars of `f`, strings in canonical spelling alone where `canonical`; `key` is a formula
// that stands for both. Nothing where it could not be decided.
std::optional<ScalarLibrary::Entry> SchemaMachine::entry_of(FormulaId f, FormulaId key,
                                                            bool canonical) {
  const std::optional<std::string> name = scalar_key(formulas_, key);
  std::optional<ScalarLibrary::Entry> entry = known_entry(name);
  if (!entry) {
    const std::vector<FormulaId> parts = formulas_.parts(f);
    if (parts.size() > 1 && std::find(parts.begin(), parts.end(), canonical_) != parts.end()) {
      f = formulas_.without(f, canonical_);
      canonical = true;
    }
    if (canonical) entry = in_canonical_spelling(f);
    if (!entry) entry = combined(f, canonical);
    if (!entry) entry = scalar_program(f, canonical);
    if (entry) keep_entry(name, *entry);
  }
  return entry;
}

// The same, to be run.
std::optional<ScalarRun> SchemaMachine::automaton(FormulaId f, FormulaId key, bool canonical) {
  const std::optional<ScalarLibrary::Entry> entry = entry_of(f, key, canonical);
  if (!entry) return std::nullopt;
  if (entry->dfa != nullptr) return ScalarRun(entry->dfa);
  if (entry->parts != nullptr) return side_by_side(entry->parts);
  if (entry->program == nullptr) return ScalarRun();
  spelled_ = spelled_ && (vocabulary_->single_bytes() == ByteSet::all() ||
                          (alphabet(entry->program->pool()) & ~vocabulary_->single_bytes()).none());
  // Then its states keep their tokens.
  if (formulas_.types_of(f) == JsonTypes(JsonTypes::kString)) {
    auto alone = std::make_shared<ScalarCombination>();
    alone->set_root(alone->words(entry->program));
    if (auto run = side_by_side(std::move(alone))) return run;
  }
  return ScalarRun(entry->program);
}

// The strings of a set, as they are written.
void SchemaMachine::append_texts(std::uint32_t set, std::vector<std::string>& out) const {
  std::vector<Json> strings;
  for (const Json& value : formulas_.set_of(set)) {
    if (value.is_string()) strings.push_back(value);
  }
  for (std::string& text : ScalarExpressions::spellings(strings)) out.push_back(std::move(text));
}

// For a formula that says no more than a standard scalar and how long a string is, or lists values.
std::optional<ScalarRun> SchemaMachine::terminal(FormulaId f) {
  std::optional<JsonTypes> types;
  std::uint64_t low = 0, high = ScalarRun::kUnbounded;
  std::vector<std::string> taken;
  bool canonical = false;  // where texts are taken away too: none may be left in another spelling
  const auto read = [&](FormulaId part) {
    if (part == canonical_) return canonical = true;
    if (formulas_.op(part) != Formulas::Op::kLiteral) return false;
    const Atom atom = formulas_.atom(part);
    if (atom.kind == AtomKind::kType && !types) {
      types = JsonTypes(static_cast<std::uint8_t>(atom.a));
      return true;
    }
    if (atom.kind == AtomKind::kIn && formulas_.negated(part)) {
      append_texts(atom.a, taken);
      return canonical = true;
    }
    if (atom.kind != AtomKind::kLength) return false;
    if (formulas_.negated(part)) {
      high = std::min<std::uint64_t>(high, atom.a - 1);
    } else {
      low = std::max<std::uint64_t>(low, atom.a);
    }
    return true;
  };
  // Values that a condition lists, those of them that satisfy the rest.
  const auto in_set = [&](FormulaId part) {
    return formulas_.op(part) == Formulas::Op::kLiteral && !formulas_.negated(part) &&
           formulas_.atom(part).kind == AtomKind::kIn;
  };
  const auto listed = [&](FormulaId part) {
    return in_set(part) || (formulas_.op(part) == Formulas::Op::kOr &&
                            std::ranges::all_of(formulas_.children(part), in_set));
  };
  FormulaId list = listed(f) ? f : Formulas::kFalse;
  std::vector<FormulaId> others;
  if (list == Formulas::kFalse && formulas_.op(f) == Formulas::Op::kAnd) {
    for (const FormulaId part : formulas_.children(f)) {
      if (list == Formulas::kFalse && listed(part)) {
        list = part;
      } else {
        others.push_back(part);
      }
    }
  }
  if (list != Formulas::kFalse) {
    std::vector<Json> values;
    if (in_set(list)) {
      values = formulas_.set_of(formulas_.atom(list).a);
    } else {
      for (const FormulaId part : formulas_.children(list)) {
        const auto& more = formulas_.set_of(formulas_.atom(part).a);
        values.insert(values.end(), more.begin(), more.end());
      }
    }
    const FormulaId rest = formulas_.all(others);
    std::erase_if(values, [&](const Json& value) { return !holds(rest, value); });
    std::vector<std::string> words = ScalarExpressions::spellings(values);
    std::erase_if(words, [](const auto& w) { return w.size() > Program::kLongestClosing; });
    return words.empty() ? ScalarRun() : ScalarRun(WordTrie(std::move(words)));
  }
  if (formulas_.op(f) == Formulas::Op::kAnd) {
    for (const FormulaId part : formulas_.children(f)) {
      if (!read(part)) return std::nullopt;
    }
  } else if (!read(f)) {
    return std::nullopt;
  }
  if (!types) return std::nullopt;
  if (*types == JsonTypes(JsonTypes::kString)) {
    const bool counts = (high == ScalarRun::kUnbounded || high <= ScalarRun::kMostCounted) &&
                        low <= std::min<std::uint64_t>(high, Program::kLongestClosing / 2);
    const Terminal* string = canonical ? library_->canonical_string() : library_->string();
    if (string == nullptr || !counts) return std::nullopt;
    ScalarRun run(string, static_cast<std::uint32_t>(low), static_cast<std::uint32_t>(high));
    run.take_away(std::move(taken));
    return run;
  }
  if (canonical || low > 0 || high != ScalarRun::kUnbounded) return std::nullopt;
  const Terminal* known = library_->terminal(*types);
  return known != nullptr ? std::optional(ScalarRun(known)) : std::nullopt;
}

// The scalars that `f` admits, one kind a type.
const std::vector<std::uint32_t>& SchemaMachine::scalars(FormulaId f) {
  if (const auto it = scalars_by_type_.find(f); it != scalars_by_type_.end()) return it->second;
  std::vector<std::uint32_t> out;
  for (const std::uint8_t type :
       {std::uint8_t{JsonTypes::kString}, std::uint8_t{JsonTypes::kNumber},
        std::uint8_t{JsonTypes::kNull}, std::uint8_t{JsonTypes::kBoolean}}) {
    const FormulaId own = formulas_.restrict(f, type);
    if (own == Formulas::kFalse) continue;
    for (const FormulaId kind : type == JsonTypes::kString ? ways(own) : std::vector{own}) {
      const std::uint32_t s = scalar(formulas_.all({formulas_.types(type), kind}));
      const bool known = std::find(out.begin(), out.end(), s) != out.end();
      if (!scalars_[s].run.empty() && !known) out.push_back(s);
    }
  }
  return scalars_by_type_.emplace(f, std::move(out)).first->second;
}

// Of strings of several kinds, each kind alone: its automaton is small, or known. Values that are
// listed stay one, and so do kinds that exclude each other: their automata are of the same parts.
// Very many kinds stay one too, but for the values.
std::vector<FormulaId> SchemaMachine::ways(FormulaId f) {
  constexpr std::size_t kMost = 12;
  if (formulas_.op(f) == Formulas::Op::kAnd) return listed_apart(f);
  if (formulas_.op(f) != Formulas::Op::kOr) return {f};
  std::vector<FormulaId> out, listed;
  for (const FormulaId part : formulas_.children(f)) {
    const bool set = formulas_.op(part) == Formulas::Op::kLiteral && !formulas_.negated(part) &&
                     formulas_.atom(part).kind == AtomKind::kIn;
    (set ? listed : out).push_back(part);
  }
  const bool exclude = std::ranges::all_of(out, [&](FormulaId part) {
    return std::ranges::any_of(formulas_.parts(part), [&](FormulaId one) {
      return formulas_.op(one) == Formulas::Op::kLiteral && formulas_.negated(one) &&
             formulas_.atom(one).kind == AtomKind::kPattern;
    });
  });
  if (out.empty()) return {f};
  if (out.size() > kMost) out = joined_patterns(formulas_, std::move(out));
  if (out.size() > kMost || (exclude && out.size() > 2)) out = {formulas_.any(out)};
  if (!listed.empty()) out.push_back(formulas_.any(listed));
  return out;
}

// Of strings that are listed in some alternatives and may not be in others: those of them that
// hold, and what the others must satisfy. Then no automaton has the lists in it.
std::vector<FormulaId> SchemaMachine::listed_apart(FormulaId f) {
  const std::vector<FormulaId> parts = formulas_.parts(f);
  const bool choice = std::ranges::any_of(
      parts, [&](FormulaId part) { return formulas_.op(part) == Formulas::Op::kOr; });
  if (!choice) return {f};
  std::vector<Json> texts;
  bool taken = false, plain = true;
  formulas_.map(f, [&](FormulaId l) {
    const Atom atom = formulas_.atom(l);
    if (atom.kind != AtomKind::kIn) {
      plain = plain && (atom.kind == AtomKind::kPattern || atom.kind == AtomKind::kLength);
      return l;
    }
    for (const Json& value : formulas_.set_of(atom.a)) {
      if (value.is_string()) texts.push_back(value);
    }
    taken = taken || formulas_.negated(l);
    return l;
  });
  // Where some may not come, those that may have one spelling.
  if (!taken || !plain) return {f};
  const FormulaId others = formulas_.map(f, [&](FormulaId l) {
    if (formulas_.atom(l).kind != AtomKind::kIn) return l;
    return formulas_.negated(l) ? Formulas::kTrue : Formulas::kFalse;
  });
  const FormulaId list = formulas_.literal({AtomKind::kIn, formulas_.set(texts), 0});
  std::erase_if(texts, [&](const Json& text) { return !holds(f, text); });
  std::vector<FormulaId> out;
  if (!texts.empty()) {
    out.push_back(formulas_.literal({AtomKind::kIn, formulas_.set(std::move(texts)), 0}));
  }
  const FormulaId rest = formulas_.all({others, formulas_.negate(list)});
  if (rest != Formulas::kFalse) out.push_back(rest);
  return out;
}

// The one with the shortest closing; nullptr where there is none.
const SchemaMachine::Scalar* SchemaMachine::least_scalar(FormulaId f) {
  const Scalar* least = nullptr;
  for (const std::uint32_t s : scalars(f)) {
    if (least == nullptr || scalars_[s].closing.size() < least->closing.size()) {
      least = &scalars_[s];
    }
  }
  return least;
}

// Nothing where it could not be decided.
std::optional<ScalarLibrary::Entry> SchemaMachine::scalar_program(FormulaId f, bool canonical) {
  Fuel fuel("steps", kSteps);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  ScalarExpressions expressions(*pool, formulas_,
                                [this](FormulaId g, const Json& value) { return holds(g, value); });
  const Expr root = expressions.scalars(f, canonical);
  if (root == pool->nothing() && pool->ok()) return ScalarLibrary::Entry{};
  auto program =
      Program::create(pool, root, VocabularyRef(VocabularyRef(), vocabulary_.get()), {}, {}, fuel);
  if (!program || (*program)->rests_on_undecided()) return std::nullopt;
  if ((*program)->empty() || (*program)->closing_size(root) > Program::kLongestClosing) {
    return ScalarLibrary::Entry{};
  }
  constexpr std::size_t kUsualSteps = 2000;
  bool own = false, large = false;  // of a schema's own pattern; formats are made once for all
  formulas_.map(f, [&](FormulaId l) {
    const Atom atom = formulas_.atom(l);
    if (atom.kind == AtomKind::kPattern) {
      const StringPattern& pattern = formulas_.pattern_of(atom.a);
      own = own || pattern.search;
      large = large || (!pattern.search && large_format(pattern.regex));
    }
    return l;
  });
  std::size_t steps = ScalarLibrary::kDfaSteps;
  if (own) steps = std::max(steps, large_steps_);
  if (large && !own) steps = ScalarLibrary::kFormatSteps;
  ScalarLibrary::Entry entry{*program, nullptr, nullptr};
  // Where any string goes on, masks are as fast without one that would be large.
  bool finish = true;
  if (own) {
    entry.dfa = ScalarDfa::create(*program, kUsualSteps, library_->string());
    if (entry.dfa == nullptr) {
      if (auto looks = combined(f, canonical, true)) return looks;
    }
    finish = entry.dfa == nullptr &&
             !goes_on(*program, canonical ? library_->canonical_string() : library_->string());
  }
  if (finish) entry.dfa = ScalarDfa::create(*program, steps, library_->string());
  if (large && !own && entry.dfa != nullptr) entry.dfa->prepare(library_->tables());
  // Not many large ones a schema; a state takes some six steps.
  const std::size_t tried = finish ? steps : kUsualSteps;
  const std::size_t made = entry.dfa != nullptr ? 6 * entry.dfa->size() : tried;
  if (own && made > ScalarLibrary::kDfaSteps) large_steps_ -= std::min(large_steps_, made);
  if (entry.dfa == nullptr && Automaton(*program).start({}) == Automaton::kDead)
    return ScalarLibrary::Entry{};
  return entry;
}

bool SchemaMachine::holds(FormulaId f, const Json& value) {
  const JsonTypes type = type_of(value);
  return formulas_.evaluate(f, [&](FormulaId l) {
    const Atom atom = formulas_.atom(l);
    bool yes = true;
    switch (atom.kind) {
      case AtomKind::kType:
        yes = !(JsonTypes(static_cast<std::uint8_t>(atom.a)) & type).none();
        break;
      case AtomKind::kIn: {
        const auto& set = formulas_.set_of(atom.a);
        yes = std::find_if(set.begin(), set.end(),
                           [&](const Json& v) { return same_value(v, value); }) != set.end();
        break;
      }
      case AtomKind::kAtLeast:
        yes = !value.is_number() || *Decimal::of(value) >= formulas_.number_of(atom.a);
        break;
      case AtomKind::kAbove:
        yes = !value.is_number() || *Decimal::of(value) > formulas_.number_of(atom.a);
        break;
      case AtomKind::kMultipleOf:
        if (value.is_number()) {
          const auto multiple = DecimalMultiple::of(formulas_.number_of(atom.a));
          yes = multiple && multiple->divides(*Decimal::of(value));
        }
        break;
      case AtomKind::kLength:
        yes = !value.is_string() || utf8::count(value.get_ref<const std::string&>()) >= atom.a;
        break;
      case AtomKind::kPattern:
        if (value.is_string()) {
          // The text below is in its canonical spelling, and keys are asked for that way.
          const FormulaId alone =
              formulas_.all({formulas_.types(JsonTypes::kString), formulas_.literal(atom)});
          const std::uint32_t s =
              scalar(formulas_.pattern_of(atom.a).search ? in_canonical(alone) : alone);
          yes = false;
          ScalarRun& run = scalars_[s].run;
          std::uint32_t at = run.start();
          for (const char c : value.dump()) {
            if (at != ScalarRun::kNone) at = run.step(at, static_cast<unsigned char>(c));
          }
          yes = at != ScalarRun::kNone && run.accepting(at);
        }
        break;
      case AtomKind::kDiffers: {
        const auto& values = formulas_.values_of(atom.a);
        yes = std::find(values.begin(), values.end(), formulas_.value(value)) == values.end();
        break;
      }
      default:
        break;  // of objects and arrays: holds for every scalar
    }
    return yes != formulas_.negated(l);
  });
}

}  // namespace espalier::grammar
