// Keys by the patterns they match: the classes of keys that may come next, the languages they are
// read by, and those that closings and searches take of them.
#include <algorithm>
#include <iterator>
#include <optional>
#include <string>

#include "grammar/json_expression.h"
#include "grammar/schema/language_classes.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostParts = 384;        // of all classes of keys that match several
constexpr std::size_t kMostMatched = 4096;     // sets of patterns that are looked at for these
constexpr std::size_t kMostStatePairs = 2048;  // of two patterns' automata
constexpr std::size_t kMostTogether = 4096;    // states of all patterns' automata together …
constexpr std::size_t kMostWork = 65536;       // … and such states times patterns
constexpr std::size_t kMostOfClasses = 65536;  // such states, of all classes

}  // namespace

// The finished automaton of a pattern's keys in their one spelling, whether it is denied or not;
// nullptr where there is none.
std::shared_ptr<const ScalarDfa> SchemaMachine::key_automaton(FormulaId pattern) {
  FormulaId whole = expand_key(pattern);
  if (formulas_.op(whole) != Formulas::Op::kLiteral ||
      formulas_.atom(whole).kind != AtomKind::kPattern) {
    return nullptr;
  }
  if (formulas_.negated(whole)) whole = formulas_.negate(whole);
  const FormulaId alone = in_canonical(formulas_.all({formulas_.types(JsonTypes::kString), whole}));
  const ScalarRun& run = scalars_[scalar(alone)].run;
  return run.dfa() != nullptr ? run.dfa_ref() : nullptr;
}

LanguageRelation SchemaMachine::key_relation(FormulaId a, FormulaId b) {
  const std::uint64_t id = std::uint64_t{a} << 32 | b;
  if (const LanguageRelation* known = key_relations_.find(id)) return *known;
  LanguageRelation out;
  const auto first = key_automaton(a), second = key_automaton(b);
  if (first != nullptr && second != nullptr && first->quoted() && second->quoted()) {
    const LanguageRelation own = language_relation(*first, *second, kMostStatePairs);
    // By whether a key is of the first's and of the second's; whether some is of neither is not
    // asked.
    const bool some[2][2] = {{true, own.second_alone}, {own.first_alone, own.both}};
    const int in = formulas_.negated(expand_key(a)) ? 0 : 1;
    const int in_other = formulas_.negated(expand_key(b)) ? 0 : 1;
    out = {some[in][in_other], some[in][1 - in_other], some[1 - in][in_other]};
  }
  key_relations_.set(id, out);
  key_relations_.set(std::uint64_t{b} << 32 | a, {out.both, out.second_alone, out.first_alone});
  return out;
}

// The class of the keys that match just these patterns, without those patterns that follow from
// the others. Nothing where two of them show that there is no such key.
std::optional<KeyClass> SchemaMachine::key_class(const Patterns& patterns,
                                                 const Patterns& matched) {
  KeyClass out;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    const FormulaId p = patterns[i];
    const bool matches = std::ranges::find(matched, p) != matched.end();
    bool follows = false;
    for (std::size_t j = 0; j < patterns.size() && !follows; ++j) {
      const FormulaId q = patterns[j];
      if (p == q) continue;
      const bool other = std::ranges::find(matched, q) != matched.end();
      const LanguageRelation to = key_relation(p, q);
      const bool some = matches ? (other ? to.both : to.first_alone) : !other || to.second_alone;
      if (!some) return std::nullopt;
      // Of two that say the same the first stays.
      const bool same = matches == other && !to.first_alone && !to.second_alone;
      if (same && i < j) continue;
      follows = matches ? other && !to.second_alone : other ? !to.both : !to.first_alone;
    }
    if (follows) continue;
    out.patterns.push_back(p);
    if (matches) out.matched.push_back(p);
  }
  return out;
}

// The classes that keys make by the patterns that they match, those of the fewest first. Where two
// patterns alone were asked for more than a few, all of them together are, if their automata are
// small enough for that: else some classes may have no key. Where classes are too many, keys that
// match more patterns than so many at once are not read: undecided.
const std::vector<KeyClass>& SchemaMachine::key_classes(const Patterns& patterns) {
  const auto [it, fresh] = key_classes_.try_emplace(patterns);
  std::vector<KeyClass>& out = it->second;
  if (!fresh) return out;
  bool whole = classes_by_pairs(patterns, out);
  if (!whole || out.size() > 2 * patterns.size() + 1) {
    if (const auto all = classes_together(patterns, out)) whole = *all;
  }
  if (!whole) undecided_ = true;
  for (const KeyClass& one : out) bytes_ += sizeof one + one.held_bytes();
  return out;
}

// The classes that no two patterns show to have no key; whether these are all.
bool SchemaMachine::classes_by_pairs(const Patterns& patterns, std::vector<KeyClass>& out) {
  struct Matched {
    std::vector<FormulaId> patterns;
    std::size_t next = 0;  // of all, behind them
  };
  std::vector<Matched> sets, larger{{}};
  std::size_t parts = 0;
  bool whole = patterns.size() <= SchemaGraph::kMaxKeyPatterns;
  for (std::size_t size = 0; !larger.empty() && whole; ++size) {
    sets.swap(larger);
    larger.clear();
    std::vector<KeyClass> own;
    for (const Matched& set : sets) {
      if (auto one = key_class(patterns, set.patterns)) {
        parts += one->patterns.size();
        own.push_back(std::move(*one));
      }
      whole = (size <= 1 || parts <= kMostParts) && larger.size() <= kMostMatched;
      if (!whole || !fuel_.spend()) break;
      for (std::size_t i = set.next; i < patterns.size(); ++i) {
        const bool meet = std::ranges::all_of(
            set.patterns, [&](FormulaId p) { return key_relation(p, patterns[i]).both; });
        if (!meet) continue;
        larger.push_back({set.patterns, i + 1});
        larger.back().patterns.push_back(patterns[i]);
      }
    }
    whole = whole && !fuel_.exhausted();
    if (whole || size <= 1) std::ranges::move(own, std::back_inserter(out));
  }
  return whole;
}

// The classes that have a key, by the states of all patterns' automata together; whether these are
// all. Nothing, and `out` as it was, where a pattern has no automaton or the states are too many.
std::optional<bool> SchemaMachine::classes_together(const Patterns& patterns,
                                                    std::vector<KeyClass>& out) {
  if (patterns.size() > SchemaGraph::kMaxKeyPatterns) return std::nullopt;
  std::vector<std::shared_ptr<const ScalarDfa>> automata;
  std::vector<const ScalarDfa*> languages;
  std::vector<bool> denied;
  for (const FormulaId p : patterns) {
    automata.push_back(key_automaton(p));
    if (automata.back() == nullptr || !automata.back()->quoted()) return std::nullopt;
    languages.push_back(automata.back().get());
    denied.push_back(formulas_.negated(expand_key(p)));
  }
  const std::size_t most_states = std::min(kMostTogether, kMostWork / patterns.size());
  const auto found = language_classes(languages, most_states);
  if (!fuel_.spend(found ? found->states : most_states) || !found) return std::nullopt;
  std::vector<std::vector<FormulaId>> sets;
  for (const std::vector<std::uint32_t>& in : found->sets) {
    std::vector<FormulaId>& matched = sets.emplace_back();
    for (std::uint32_t i = 0; i < patterns.size(); ++i) {
      if (std::binary_search(in.begin(), in.end(), i) != denied[i]) matched.push_back(patterns[i]);
    }
  }
  std::ranges::stable_sort(sets, {}, &std::vector<FormulaId>::size);
  const std::size_t most =
      std::max(patterns.size() + 1, kMostOfClasses / std::max<std::size_t>(found->states, 1));
  out.clear();
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (i > most && sets[i].size() > sets[i - 1].size()) return false;
    if (auto one = key_class(patterns, sets[i])) out.push_back(std::move(*one));
  }
  return true;
}

// Of strings that satisfy something else by how long they are: those of each range of lengths in
// which they satisfy the same, so that lengths are counted and not written out.
std::vector<FormulaId> SchemaMachine::by_lengths(FormulaId f) {
  constexpr std::size_t kMost = 16;  // ranges
  if (f == Formulas::kFalse) return {};
  const auto length = [&](FormulaId l) {
    return formulas_.op(l) == Formulas::Op::kLiteral && formulas_.atom(l).kind == AtomKind::kLength;
  };
  std::vector<std::uint64_t> ends{0};
  formulas_.map(f, [&](FormulaId l) {
    if (length(l)) ends.push_back(formulas_.atom(l).a);
    return l;
  });
  std::sort(ends.begin(), ends.end());
  ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
  if (ends.size() > kMost) return {f};
  std::vector<FormulaId> out;
  FormulaId last = Formulas::kFalse;
  std::uint64_t low = 0;
  const auto add = [&](std::optional<std::uint64_t> end) {
    std::vector<FormulaId> range{last};
    const auto at_least = [&](std::uint64_t n) {
      return formulas_.literal({AtomKind::kLength, static_cast<std::uint32_t>(n), 0});
    };
    if (low > 0) range.push_back(at_least(low));
    if (end) range.push_back(formulas_.negate(at_least(*end)));
    const FormulaId language = formulas_.all(range);
    if (language != Formulas::kFalse) out.push_back(language);
  };
  for (const std::uint64_t from : ends) {
    const FormulaId here = formulas_.map(f, [&](FormulaId l) {
      if (!length(l)) return l;
      return (from >= formulas_.atom(l).a) != formulas_.negated(l) ? Formulas::kTrue
                                                                   : Formulas::kFalse;
    });
    if (here == last) continue;
    if (last != Formulas::kFalse) add(from);
    last = here;
    low = from;
  }
  if (last != Formulas::kFalse) add(std::nullopt);
  return out;
}

bool SchemaMachine::in_class(const KeyClass& key, std::uint32_t name) {
  return std::ranges::all_of(key.patterns, [&](FormulaId p) {
    return key_matches(p, name) == (std::ranges::find(key.matched, p) != key.matched.end());
  });
}

// What is known of a class beside some names.
FoundKeys& SchemaMachine::found_class(const KeyClass& key, const Names& names) {
  const auto [it, fresh] = found_classes_.try_emplace({key.patterns, key.matched, names});
  FoundKeys& of = it->second;
  if (!fresh) return of;
  std::ranges::copy_if(names, std::back_inserter(of.names),
                       [&](std::uint32_t name) { return in_class(key, name); });
  bytes_ += (key.patterns.size() + names.size() + of.names.size()) * sizeof(std::uint32_t) + 320;
  suggest_keys(of, key);
  note_found(of, 0);
  return of;
}

void SchemaMachine::note_found(const FoundKeys& of, std::size_t from) {
  for (; from < of.keys.size(); ++from) {
    found_keys_.insert(of.keys[from]);
    bytes_ += 2 * of.keys[from].size() + 160;
  }
}

// The keys of a class that may come where those of `seen` stand.
std::vector<FormulaId> SchemaMachine::open_languages(const KeyClass& key, const Names& names,
                                                     std::uint32_t seen) {
  FoundKeys& of = found_class(key, names);
  std::vector<std::uint32_t> taken;
  for (const std::uint32_t name : seen_sets_[seen]) {
    if (!std::binary_search(names.begin(), names.end(), name) && in_class(key, name)) {
      taken.push_back(name);
    }
  }
  if (!taken.empty()) return class_languages(key, of.names, taken);
  if (!of.languages) {
    of.languages = class_languages(key, of.names, {});
    bytes_ += of.languages->size() * sizeof(FormulaId);
  }
  return *of.languages;
}

// The keys of a class, but for names of it that formulas speak of and for those that stand already,
// since the rest of a key may be forced; by ranges of their lengths. All in their canonical
// spelling, so that no key is another one in disguise.
std::vector<FormulaId> SchemaMachine::class_languages(const KeyClass& key,
                                                      std::span<const std::uint32_t> names,
                                                      std::span<const std::uint32_t> taken) {
  std::vector<FormulaId> all;
  for (const FormulaId p : key.patterns) {
    const bool matched = std::find(key.matched.begin(), key.matched.end(), p) != key.matched.end();
    const FormulaId whole = expand_key(p);
    all.push_back(matched ? whole : formulas_.negate(whole));
  }
  std::vector<Json> without;
  for (const std::uint32_t name : names) without.emplace_back(formulas_.name_of(name));
  for (const std::uint32_t name : taken) without.emplace_back(formulas_.name_of(name));
  all.push_back(formulas_.literal({AtomKind::kIn, formulas_.set(std::move(without)), 0}, true));
  std::vector<FormulaId> out =
      by_lengths(formulas_.restrict(formulas_.all(all), JsonTypes::kString));
  for (FormulaId& language : out) {
    language = in_canonical(formulas_.all({formulas_.types(JsonTypes::kString), language}));
  }
  return out;
}

// Keys of a class to begin with: without an automaton of it, those that one of its patterns, or
// none, suggests and that each pattern alone agrees to. All of them where a pattern has but a few.
void SchemaMachine::suggest_keys(FoundKeys& of, const KeyClass& key) {
  constexpr std::uint32_t kFew = 16;  // keys of a pattern
  static constexpr std::string_view kPlain[] = {"", "a", "0", "_", "a1", "A-"};
  const auto suggest = [&](const std::string& text) {
    const std::uint32_t name = formulas_.name(text);
    if (!in_class(key, name) || std::binary_search(of.names.begin(), of.names.end(), name)) return;
    if (std::ranges::find(of.keys, text) == of.keys.end()) of.keys.push_back(text);
  };
  // The automata that have them, in the one spelling that keys have.
  std::vector<std::shared_ptr<const ScalarDfa>> matched;
  for (const FormulaId p : key.patterns) {
    const auto dfa = key_automaton(p);
    if (dfa == nullptr) return;
    const bool matches = std::ranges::find(key.matched, p) != key.matched.end();
    if (matches != formulas_.negated(expand_key(p))) matched.push_back(dfa);
  }
  const auto as_key = [&](const std::string& word) {
    const Json text = Json::parse(word, nullptr, false);
    if (text.is_string()) suggest(text.get_ref<const std::string&>());
  };
  for (const auto& dfa : matched) {
    if (dfa->completions(dfa->start()) > kFew) continue;
    for (const std::string& word : dfa->words()) as_key(word);
    std::stable_sort(of.keys.begin(), of.keys.end(),
                     [](const auto& a, const auto& b) { return a.size() < b.size(); });
    of.whole = true;
    return;
  }
  for (const auto& dfa : matched) as_key(dfa->closing_word(dfa->start()));
  for (const std::string_view text : kPlain) suggest(std::string(text));
  // Several patterns may be more than an automaton can be made of; then no key of the class is
  // read.
  if (of.keys.empty() || key.patterns.size() < 3) return;
  of.languages = class_languages(key, of.names, {});
  const bool read = std::ranges::any_of(
      *of.languages, [&](FormulaId language) { return !scalars_[scalar(language)].run.empty(); });
  if (read) return;
  of.keys.clear();
  of.whole = true;
}

// The shortest key of the class behind those that are known.
bool SchemaMachine::find_next_key(FoundKeys& of, const KeyClass& key) {
  if (of.whole) return false;
  std::vector<std::uint32_t> known;
  for (const std::string& text : of.keys) known.push_back(formulas_.name(text));
  const Scalar* least = nullptr;
  for (const FormulaId language : class_languages(key, of.names, known)) {
    const Scalar& one = scalars_[scalar(language)];
    if (one.run.empty()) continue;
    if (least == nullptr || one.closing.size() < least->closing.size()) least = &one;
  }
  const Json text = least != nullptr ? Json::parse(least->closing, nullptr, false) : Json();
  of.whole = !text.is_string();
  if (!of.whole) of.keys.push_back(text.get<std::string>());
  return !of.whole;
}

// A key of the class that no formula names and that does not stand yet. Which one it is depends on
// the keys that stand only as far as these are among those that were found before it.
std::optional<std::string> SchemaMachine::fresh_key(const KeyClass& key, const Names& names,
                                                    std::uint32_t seen) {
  if (key.patterns.empty()) {
    for (std::size_t i = seen_sets_[seen].size();; ++i) {
      const std::string text = i == 0 ? "a" : "a" + std::to_string(i);
      const std::uint32_t name = formulas_.name(text);
      if (std::binary_search(names.begin(), names.end(), name)) continue;
      found_keys_.insert(text);
      if (!has_seen(seen, name)) return text;
    }
  }
  FoundKeys& of = found_class(key, names);
  for (std::size_t i = 0;; ++i) {
    if (i == of.keys.size()) {
      if (!find_next_key(of, key)) return std::nullopt;
      note_found(of, i);
    }
    if (!has_seen(seen, formulas_.name(of.keys[i]))) return of.keys[i];
  }
}

}  // namespace espalier::grammar
