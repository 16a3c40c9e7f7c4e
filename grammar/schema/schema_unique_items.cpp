// Items that must differ: what they leave for later ones, and what stands after one without its
// text, which is one place for all that a string can have become, but for those texts that make a
// difference.
#include <algorithm>

#include "grammar/json_expression.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {

// Whether no part depends on the item before, whose place is that of after_any_item(): a string
// that can still become more than any list has, one of few texts, which would be told apart, or no
// string.
bool SchemaMachine::free_of_item(LeafId leaf) const {
  return std::ranges::all_of(leaves_[leaf].parts, [&](const LeafPart& part) {
    const ScalarRun& run = scalars_[part.scalar].run;
    return run.words() != nullptr || !run.string() || run.roomy(part.state);
  });
}

// Collects the texts that matter to what an array's rest asks of later items: whether those can
// come, and what they can be, depends on which of a few strings are gone, not on which of more than
// any list has. False where something else depends on an item's text.
bool SchemaMachine::find_apart(FormulaId rest, std::set<std::string>& apart) {
  constexpr std::size_t kMostLanguages = 64, kMostTexts = 256;
  bool known = true, repeats = false, bounded = false;
  std::vector<FormulaId> items, contained;  // of `contained`: one that matters as it is, or not
  formulas_.map(rest, [&](FormulaId l) {
    const Atom atom = formulas_.atom(l);
    const bool negated = formulas_.negated(l);
    switch (atom.kind) {
      case AtomKind::kType:
        break;
      case AtomKind::kItemsAtLeast:
        bounded = bounded || negated;
        break;
      case AtomKind::kUnique:
        repeats = repeats || negated;
        break;
      case AtomKind::kContains: {
        const FormulaId said = expand(atom.a);
        bounded = bounded || negated;
        contained.push_back(negated ? formulas_.negate(said) : said);
        break;
      }
      case AtomKind::kItems: {
        const ItemMap& map = formulas_.items_of(atom.a);
        known = known && !negated;
        bounded = bounded || atom.b < map.first.size() || map.other == Formulas::kFalse;
        for (std::size_t i = atom.b; i < map.first.size(); ++i) items.push_back(map.first[i]);
        items.push_back(map.other);
        break;
      }
      default:
        known = false;
    }
    return l;
  });
  // One must come twice: where any number may come, what comes next may be what a later one
  // repeats.
  if (!known || (repeats && bounded)) return false;
  const auto make_unique = [](std::vector<FormulaId>& some) {
    std::sort(some.begin(), some.end());
    some.erase(std::unique(some.begin(), some.end()), some.end());
  };
  std::vector<FormulaId> languages;  // of the strings among them
  if (items.empty()) items.push_back(Formulas::kTrue);
  make_unique(items);
  for (const FormulaId item : items) {
    languages.push_back(formulas_.restrict(expand(item), JsonTypes::kString));
  }
  make_unique(contained);
  for (const FormulaId one : contained) {
    const std::vector<FormulaId> before = languages;
    for (const FormulaId language : before) {
      languages.push_back(formulas_.restrict(formulas_.all({language, one}), JsonTypes::kString));
    }
    make_unique(languages);
    if (languages.size() > kMostLanguages) return false;
  }
  make_unique(languages);
  for (const FormulaId language : languages) {
    if (language == Formulas::kFalse) continue;
    const std::vector<std::uint32_t> strings =
        scalars(formulas_.all({formulas_.types(JsonTypes::kString), language}));
    for (const std::uint32_t s : strings) {
      const ScalarRun& run = scalars_[s].run;
      if (run.roomy(run.start())) continue;
      const WordTrie* words = run.words();
      if (words == nullptr || words->words_below(WordTrie::kStart) > kMostTexts) return false;
      words->for_each_below(WordTrie::kStart, [&](std::string_view text) {
        apart.emplace(text.substr(0, text.size() - 1));
      });
    }
  }
  return apart.size() <= kMostTexts;
}

// Where an item that must differ from others ends: the level that stands for those after any of its
// texts. A list with another text in it leaves what a string that can be more has anyway.
const SchemaMachine::AnyItem& SchemaMachine::after_any_item(const LeafPart& part) {
  const std::uint64_t key = (std::uint64_t{part.next} << 32) | part.scalar;
  if (const auto known = any_items_.find(key); known != any_items_.end()) return known->second;
  const auto find = [&]() -> AnyItem {
    const ScalarRun& run = scalars_[part.scalar].run;
    if (part.next == 0 || !run.roomy(run.start())) return {};
    const Json witness = Json::parse(scalars_[part.scalar].closing, nullptr, false);
    if (!witness.is_string()) return {};
    std::set<std::string> apart;
    Level next;
    next.kind = levels_[part.next].kind;
    next.depth = levels_[part.next].depth;
    next.seen = levels_[part.next].seen;
    for (std::size_t i = 0; i < levels_[part.next].alternatives.size(); ++i) {
      const Alternative a = levels_[part.next].alternatives[i];
      if (!find_apart(a.formula, apart)) return {};
      const FormulaId f = with_value(a.formula, witness);
      if (plan(next.kind, f, next.seen).verdict != Verdict::kYes) return {};
      next.alternatives.push_back({f, a.next});
    }
    if (apart.contains('"' + JsonExpressions::spelled(witness.get_ref<const std::string&>()))) {
      return {};
    }
    AnyItem out;
    out.level = level(std::move(next));
    out.apart.assign(apart.begin(), apart.end());
    return out;
  };
  AnyItem out = find();
  bytes_ += 64 + out.held_bytes();
  return any_items_.emplace(key, std::move(out)).first->second;
}

// The string that is being read at an item's place. Nothing where its text is lost.
std::optional<SchemaMachine::ItemSoFar> SchemaMachine::item_so_far(const State& at) const {
  if (at.phase != Phase::kLeaf || at.text == kLostText) return std::nullopt;
  constexpr std::size_t kHex = 6;  // \uXXXX
  const std::string read = text_of(at.text);
  std::size_t start = std::string::npos;
  std::size_t escape = std::string::npos, high = std::string::npos;  // open; a pair's first half
  for (std::size_t i = 0; i < read.size();) {
    if (read[i] != '"') {
      ++i;
      continue;
    }
    for (start = i++; i < read.size() && read[i] != '"';) {
      escape = read[i] == '\\' ? i : std::string::npos;
      const std::string_view rest = std::string_view(read).substr(i);
      const bool hex = rest.starts_with("\\u");
      i += escape == std::string::npos ? 1 : hex ? kHex : 2;
      if (i <= read.size()) escape = std::string::npos;
      const bool first = hex && rest.size() >= kHex && (rest[2] == 'd' || rest[2] == 'D') &&
                         std::string_view("89abAB").find(rest[3]) != std::string_view::npos;
      if (first) {
        high = i - kHex;
      } else if (escape == std::string::npos) {
        high = std::string::npos;
      }
    }
    if (i < read.size()) start = std::string::npos;
    i = std::min(i, read.size()) + 1;
  }
  if (start == std::string::npos) return std::nullopt;
  const std::size_t end = std::min({read.size(), escape, high});
  ItemSoFar out{read.substr(start, end - start), end < read.size()};
  if (out.text.find('\\') == std::string::npos) return out;
  const Json value = Json::parse(out.text + '"', nullptr, false);
  if (!value.is_string()) return std::nullopt;
  out.text = '"' + JsonExpressions::spelled(value.get_ref<const std::string&>());
  return out;
}

// Whether an array's rest that some items satisfy is satisfied by others as well, whatever value
// is gone besides: all values that an item of one kind can have, by what is asked of it, are more
// than all items that must come.
bool SchemaMachine::never_runs_out(FormulaId rest) {
  constexpr std::size_t kMostKinds = 32, kMostTexts = 256;
  bool known = true;
  std::vector<FormulaId> items, asked;
  std::vector<JsonValueId> taken;
  std::uint64_t must_come = 0;
  formulas_.map(rest, [&](FormulaId l) {
    const Atom atom = formulas_.atom(l);
    const bool negated = formulas_.negated(l);
    switch (atom.kind) {
      case AtomKind::kType:
        break;
      case AtomKind::kItemsAtLeast:
        if (!negated) must_come += atom.a;
        break;
      case AtomKind::kUnique: {
        const auto& list = formulas_.values_of(atom.a);
        taken.insert(taken.end(), list.begin(), list.end());
        break;
      }
      case AtomKind::kContains:
        if (!negated) must_come += atom.b;
        asked.push_back(expand(atom.a));
        break;
      case AtomKind::kItems: {
        const ItemMap& map = formulas_.items_of(atom.a);
        known = known && !negated;
        for (std::size_t i = atom.b; i < map.first.size(); ++i) items.push_back(map.first[i]);
        must_come += map.first.size() - std::min<std::size_t>(atom.b, map.first.size());
        items.push_back(map.other);
        break;
      }
      default:
        known = false;
    }
    return l;
  });
  if (!known) return false;
  const auto make_unique = [](auto& some) {
    std::sort(some.begin(), some.end());
    some.erase(std::unique(some.begin(), some.end()), some.end());
  };
  make_unique(items);
  make_unique(asked);
  make_unique(taken);
  std::vector<FormulaId> kinds;
  if (items.empty()) items.push_back(Formulas::kTrue);
  for (const FormulaId item : items) kinds.push_back(expand(item));
  for (const FormulaId one : asked) {
    if (2 * kinds.size() > kMostKinds) return false;
    const std::vector<FormulaId> before = std::move(kinds);
    kinds.clear();
    for (const FormulaId kind : before) {
      for (const FormulaId said : {one, formulas_.negate(one)}) {
        const FormulaId both = formulas_.all({kind, said});
        if (both != Formulas::kFalse) kinds.push_back(both);
      }
    }
  }
  make_unique(kinds);
  for (const FormulaId kind : kinds) {
    const std::vector<std::uint32_t> own = scalars(kind);
    const bool endless = std::ranges::any_of(
        own, [&](std::uint32_t s) { return scalars_[s].run.roomy(scalars_[s].run.start()); });
    if (endless) continue;
    if (formulas_.restrict(kind, JsonTypes::kObject) != Formulas::kFalse ||
        formulas_.restrict(kind, JsonTypes::kArray) != Formulas::kFalse) {
      return false;
    }
    std::vector<JsonValueId> left;
    for (const std::uint32_t s : own) {
      const WordTrie* words = scalars_[s].run.words();
      if (words == nullptr || words->words_below(WordTrie::kStart) > kMostTexts) return false;
      words->for_each_below(WordTrie::kStart, [&](std::string_view text) {
        const JsonValueId value = formulas_.value(Json::parse(text, nullptr, false));
        if (!std::binary_search(taken.begin(), taken.end(), value)) left.push_back(value);
      });
    }
    make_unique(left);  // a number has several texts
    if (!own.empty() && left.size() <= must_come) return false;
  }
  return true;
}

// Of an item that must differ from others: `value` without the values that would leave no value
// for a later item. Only what is one of few can run out: enumerated values, and the last value of
// an item.
FormulaId SchemaMachine::without_dead_ends(FormulaId value, FormulaId rest) {
  constexpr std::size_t kMost = 256;  // values
  std::vector<FormulaId> later;
  bool uniform = true;
  bool unique = false;  // where an item must come twice no value is missed
  formulas_.map(rest, [&](FormulaId l) {
    const Atom atom = formulas_.atom(l);
    unique = unique || (atom.kind == AtomKind::kUnique && !formulas_.negated(l));
    if (atom.kind == AtomKind::kContains) later.push_back(expand(atom.a)), uniform = false;
    if (atom.kind == AtomKind::kItems) {
      const ItemMap map = formulas_.items_of(atom.a);
      for (std::size_t i = atom.b; i < map.first.size(); ++i) later.push_back(expand(map.first[i]));
      uniform = uniform && atom.b >= map.first.size() && map.first.empty();
    }
    return l;
  });
  if (uniform || !unique || never_runs_out(rest)) return value;
  std::vector<JsonValueId> candidates;
  const auto add = [&](const Json& v) { candidates.push_back(formulas_.value(v)); };
  for (const Json& scalar : {Json(nullptr), Json(true), Json(false), Json("")}) add(scalar);
  for (const Json& container : graph_->enumerated()) add(container);
  FormulaId taken = Formulas::kTrue;
  formulas_.map(rest, [&](FormulaId l) {
    if (formulas_.atom(l).kind == AtomKind::kUnique && !formulas_.negated(l)) {
      taken = formulas_.literal({AtomKind::kDiffers, formulas_.atom(l).a, 0});
    }
    return l;
  });
  for (const FormulaId f : later) {
    const auto last = witness(formulas_.all({f, taken}));
    if (last) add(*last);
    formulas_.map(f, [&](FormulaId l) {
      if (formulas_.atom(l).kind == AtomKind::kIn && !formulas_.negated(l)) {
        for (const Json& v : formulas_.set_of(formulas_.atom(l).a)) add(v);
      }
      return l;
    });
  }
  std::sort(candidates.begin(), candidates.end());
  candidates.erase(std::unique(candidates.begin(), candidates.end()), candidates.end());
  if (candidates.size() > kMost) undecided_ = true;
  std::vector<JsonValueId> fatal;
  for (const JsonValueId candidate : candidates) {
    if (candidates.size() <= kMost &&
        value_facts(formulas_.all({value, formulas_.equals(candidate)})).verdict != Verdict::kYes) {
      continue;
    }
    if (candidates.size() > kMost ||
        plan(Kind::kArray, with_value(rest, candidate), 0).verdict != Verdict::kYes) {
      fatal.push_back(candidate);
    }
  }
  if (fatal.empty()) return value;
  return formulas_.all(
      {value, formulas_.literal({AtomKind::kDiffers, formulas_.values(std::move(fatal)), 0})});
}

}  // namespace espalier::grammar
