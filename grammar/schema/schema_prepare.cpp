// What some mask would be long for, made with the schema: automata of patterns and of classes of
// keys, and what the members of one of several objects may be.
#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "grammar/schema/rising.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

// About how many characters a pattern's bounds of repetition write out: the sum of their last
// numbers.
std::size_t counted(std::string_view regex) {
  constexpr std::size_t kMost = 1'000'000;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t sum = 0;
  for (std::size_t at = regex.find('{'); at != std::string_view::npos; at = regex.find('{', at)) {
    std::size_t last = 0;
    for (++at; at < regex.size() && (digit(regex[at]) || regex[at] == ','); ++at) {
      last = regex[at] == ','
                 ? 0
                 : std::min(kMost, last * 10 + static_cast<std::size_t>(regex[at] - '0'));
    }
    if (at < regex.size() && regex[at] == '}') sum += last;
  }
  return sum;
}

}  // namespace

// Formulas of objects that speak of keys by patterns: what several keywords say together
// (`patternProperties` and `propertyNames`), and what one of them says that stands alone.
std::vector<FormulaId> SchemaMachine::objects_by_patterns() {
  const auto map_of = [&](FormulaId l) -> std::optional<std::uint32_t> {
    const bool members = formulas_.op(l) == Formulas::Op::kLiteral && !formulas_.negated(l) &&
                         formulas_.atom(l).kind == AtomKind::kMembers;
    if (!members || formulas_.members_of(formulas_.atom(l).a).patterns.empty()) return std::nullopt;
    return formulas_.atom(l).a;
  };
  std::size_t maps = 0;
  for (std::uint32_t i = 0; i < formulas_.member_maps(); ++i) {
    maps += formulas_.members_of(i).patterns.empty() ? 0 : 1;
  }
  std::vector<FormulaId> out;
  if (maps == 0) return out;
  std::vector<bool> together(formulas_.member_maps(), false);
  for (FormulaId f = 0; f < formulas_.size(); ++f) {
    if (maps < 2 || formulas_.op(f) != Formulas::Op::kAnd) continue;
    std::vector<std::uint32_t> own;
    for (const FormulaId part : formulas_.children(f)) {
      if (const auto map = map_of(part)) own.push_back(*map);
    }
    if (own.size() < 2) continue;
    for (const std::uint32_t map : own) together[map] = true;
    out.push_back(f);
  }
  for (std::uint32_t i = 0; i < together.size(); ++i) {
    if (!together[i] && formulas_.members_of(i).patterns.size() >= 2) {
      out.push_back(formulas_.literal({AtomKind::kMembers, i, 0}));
    }
  }
  return out;
}

// What a mask needs where a key of a language has just begun; how many states were made.
std::size_t SchemaMachine::prepare_key(FormulaId language) {
  ScalarRun& run = scalars_[scalar(language)].run;
  if (const ScalarDfa* dfa = run.dfa(); dfa != nullptr) {
    dfa->prepare(library_->tables());
    if (dfa->quoted()) {
      static_cast<void>(dfa->tokens(library_->tables(), dfa->next(dfa->start(), '"')));
    }
    return dfa->size();
  }
  ScalarProduct* const product = run.product();
  if (product == nullptr) return 0;
  const std::size_t before = product->bytes();
  const ScalarProduct::State opened = product->next(product->start(), '"');
  if (opened != ScalarProduct::kNone) {
    static_cast<void>(product->tokens(opened, TokenTrie::kRoot));
  }
  bytes_ += product->bytes() - before;
  return product->size();
}

// The automata that some mask would be long for: of patterns, where one mask may need several at
// some tenths of a millisecond each, or that are long; of several that a string must match at once.
void SchemaMachine::prepare_patterns() {
  constexpr std::size_t kMany = 4, kLong = 96, kLongCounted = 160, kMostStates = 8000;
  constexpr std::size_t kMost = SchemaGraph::kMaxKeyPatterns;
  constexpr std::size_t kLarge = 256, kMostValues = 4096;  // states; that are looked at
  std::size_t states = 0;
  const auto make = [&](auto&& scalar_run) {
    if (states > kMostStates) return;
    fuel_ = Fuel("steps", kSteps);
    const ScalarDfa* dfa = scalar_run();
    states += dfa != nullptr ? dfa->size() : kMostStates / 16;
    if (dfa != nullptr) dfa->prepare(library_->tables());
  };
  const auto canonical = [&](FormulaId alone) -> const ScalarDfa* {
    const auto run = automaton(alone, in_canonical(alone), true);
    return run ? run->dfa() : nullptr;
  };
  const auto is_long = [&](std::uint32_t p) {
    const std::string& regex = formulas_.pattern_of(p).regex;
    return regex.size() >= kLong || regex.size() + counted(regex) >= kLongCounted;
  };
  std::vector<std::uint32_t> searched;
  for (std::uint32_t i = 0; i < formulas_.patterns() && searched.size() < kMost; ++i) {
    if (formulas_.pattern_of(i).search) searched.push_back(i);
  }
  if (searched.size() < kMany)
    std::erase_if(searched, [&](std::uint32_t p) { return !is_long(p); });
  for (const std::uint32_t p : searched) {
    make([&] {
      const FormulaId alone = formulas_.all(
          {formulas_.types(JsonTypes::kString), formulas_.literal({AtomKind::kPattern, p, 0})});
      const ScalarDfa* dfa = scalars_[scalar(alone)].run.dfa();
      return dfa != nullptr ? dfa : canonical(alone);
    });
  }
  // Keys have one spelling.
  for (std::uint32_t i = 0; i < formulas_.member_maps(); ++i) {
    for (std::size_t k = 0; k < std::min(formulas_.members_of(i).patterns.size(), kMost); ++k) {
      const FormulaId key = formulas_.members_of(i).patterns[k].first;
      const Atom atom = formulas_.atom(key);
      if (formulas_.op(key) != Formulas::Op::kLiteral || atom.kind != AtomKind::kPattern ||
          !is_long(atom.a)) {
        continue;
      }
      make([&] { return canonical(formulas_.all({formulas_.types(JsonTypes::kString), key})); });
    }
  }
  // What conditions say of the strings of one value together, where they are many or an automaton
  // among theirs is large: patterns beside a format, a list of many patterns, a pattern beside
  // texts that may not come.
  NumberMap<bool> values;  // that were looked at
  const auto large = [&](std::uint32_t p) {
    const FormulaId alone = formulas_.all(
        {formulas_.types(JsonTypes::kString), formulas_.literal({AtomKind::kPattern, p, 0})});
    const auto known = known_entry(scalar_key(formulas_, alone));
    return known && known->dfa != nullptr && known->dfa->size() >= kLarge;
  };
  const auto value = [&](FormulaId of) {
    if (states > kMostStates || values.size() >= kMostValues || of <= Formulas::kTrue) return;
    if (std::exchange(values.at(of), true)) return;
    const FormulaId said = expand(of);
    std::vector<std::uint32_t> own;
    bool denies = false;
    formulas_.map(formulas_.restrict(said, JsonTypes::kString), [&](FormulaId l) {
      const Atom atom = formulas_.atom(l);
      if (atom.kind == AtomKind::kPattern) own.push_back(atom.a);
      const bool texts = atom.kind == AtomKind::kPattern || atom.kind == AtomKind::kIn;
      denies = denies || (texts && formulas_.negated(l));
      return l;
    });
    make_rising(own);
    if (own.size() < kMany && ((own.size() < 2 && !denies) || std::ranges::none_of(own, large)))
      return;
    make([&] {
      const ScalarDfa* last = nullptr;
      for (const std::uint32_t one : scalars(said)) {
        if (const ScalarDfa* dfa = scalars_[one].run.dfa()) last = dfa;
      }
      return last;
    });
  };
  for (std::uint32_t i = 0; formulas_.patterns() > 0 && i < formulas_.member_maps(); ++i) {
    const MemberMap map = formulas_.members_of(i);
    for (const auto& [name, of] : map.named) value(of);
    for (const auto& [key, of] : map.patterns) value(of);
    value(map.other);
  }
  for (std::uint32_t i = 0; formulas_.patterns() > 0 && i < formulas_.item_maps(); ++i) {
    const ItemMap map = formulas_.items_of(i);
    for (const FormulaId of : map.first) value(of);
    value(map.other);
  }
  // And where there are several, each class of them has an automaton of its own, and a key begins
  // in all of them at once.
  for (const FormulaId object : objects_by_patterns()) {
    if (states > kMostStates) break;
    fuel_ = Fuel("steps", kSteps);
    const KeyFacts& facts = key_facts(object);
    const Names& names = *facts.names;
    if (facts.patterns.size() < 2 || facts.patterns.size() > kMost) continue;
    for (const KeyClass& key : key_classes(std::vector<FormulaId>(facts.patterns))) {
      if (states > kMostStates) break;
      fuel_ = Fuel("steps", kSteps);
      for (const FormulaId language : open_languages(key, names, 0)) {
        states += prepare_key(language);
      }
      static_cast<void>(fresh_key(key, names, 0));
    }
  }
}

// What some mask would be long for, made now: automata, and, of several objects of which one is
// meant, or of one under many conditions by numbers (each range between them is a case of its own),
// what members may be and how far from its end the text is behind their keys. Of many (calls of
// tools) the members that all of them have alone: that takes some microseconds an object.
void SchemaMachine::prepare() {
  constexpr std::size_t kSomeObjects = 6, kManyObjects = 64, kMostSteps = 6000;
  constexpr std::size_t kManyNumbers = 24;
  constexpr std::ptrdiff_t kManyConditions = 24;
  prepare_patterns();
  const State open = enter(states_[start_].a, Kind::kObject);
  if (open.phase == Phase::kDead || levels_[open.a].alternatives.size() != 1) return;
  const FormulaId objects = levels_[open.a].alternatives[0].formula;
  const auto parts = formulas_.children(objects);
  const auto is_choice = [&](FormulaId f) { return formulas_.op(f) == Formulas::Op::kOr; };
  const bool conditions = formulas_.numbers() >= kManyNumbers &&
                          formulas_.op(objects) == Formulas::Op::kAnd &&
                          std::ranges::count_if(parts, is_choice) >= kManyConditions;
  if (!conditions && !(is_choice(objects) && parts.size() >= kSomeObjects)) return;
  const bool many = is_choice(objects) && parts.size() >= kManyObjects;
  std::uint64_t steps = 0;
  for (const std::uint32_t name : many ? required_by_all(objects) : *key_facts(objects).names) {
    fuel_ = Fuel("steps", kSteps);
    const LevelId value = value_after_key(open.a, std::string(formulas_.name_of(name)));
    if (!many) level_bound(value);
    steps += fuel_.used();
    if (!many && steps > kMostSteps) break;
  }
}

}  // namespace espalier::grammar
