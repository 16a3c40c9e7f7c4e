// Items that must differ: what they leave for later ones, and what stands after one without its
// text, which is one place for all that a string can have become, but for those texts that make a
// difference.
#include <algorithm>

#include "grammar/json_expression.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kMostKinds = 64;

template <class T>
void make_unique(std::vector<T>& some) {
  std::sort(some.begin(), some.end());
  some.erase(std::unique(some.begin(), some.end()), some.end());
}

}  // namespace

// What an array's rest asks of its items. Nothing where it asks for more than is told here.
std::optional<ItemsAsked> SchemaMachine::items_asked(FormulaId rest) {
  ItemsAsked out;
  bool known = true;
  formulas_.map(rest, [&](FormulaId l) {
    const Atom atom = formulas_.atom(l);
    const bool negated = formulas_.negated(l);
    switch (atom.kind) {
      case AtomKind::kType:
        break;
      case AtomKind::kItemsAtLeast:
        out.bounded = out.bounded || negated;
        if (!negated) out.must_come += atom.a;
        break;
      case AtomKind::kUnique: {
        const auto& list = formulas_.values_of(atom.a);
        out.taken.insert(out.taken.end(), list.begin(), list.end());
        out.repeats = out.repeats || negated;
        break;
      }
      case AtomKind::kContains:
        out.bounded = out.bounded || negated;
        if (!negated) out.must_come += atom.b;
        (negated ? out.limited : out.wanted).push_back(expand(atom.a));
        break;
      case AtomKind::kItems: {
        const ItemMap& map = formulas_.items_of(atom.a);
        known = known && !negated;
        out.bounded = out.bounded || map.other == Formulas::kFalse || atom.b < map.first.size();
        for (std::size_t i = atom.b; i < map.first.size(); ++i, ++out.must_come) {
          out.kinds.push_back(map.first[i]);
        }
        out.kinds.push_back(map.other);
        break;
      }
      default:
        known = false;
    }
    return l;
  });
  if (!known) return std::nullopt;
  if (out.kinds.empty()) out.kinds.push_back(Formulas::kTrue);
  for (FormulaId& kind : out.kinds) kind = expand(kind);
  make_unique(out.kinds);
  make_unique(out.wanted);
  make_unique(out.limited);
  make_unique(out.taken);
  return out;
}

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
  auto asked = items_asked(rest);
  // One must come twice: where any number may come, what comes next may be what a later one
  // repeats.
  if (!asked || (asked->repeats && asked->bounded)) return false;
  std::vector<FormulaId> matters = asked->wanted;
  for (const FormulaId one : asked->limited) matters.push_back(formulas_.negate(one));
  std::vector<FormulaId>& languages = asked->kinds;  // of the strings among them
  for (FormulaId& one : languages) one = formulas_.restrict(one, JsonTypes::kString);
  for (const FormulaId one : matters) {
    for (std::size_t i = languages.size(); i-- > 0;) {
      languages.push_back(
          formulas_.restrict(formulas_.all({languages[i], one}), JsonTypes::kString));
    }
    make_unique(languages);
    if (languages.size() > kMostKinds) return false;
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

// A string of a scalar that is none of those `apart`.
std::optional<Json> SchemaMachine::text_of_most(std::uint32_t scalar,
                                                const std::set<std::string>& apart) {
  ScalarRun& run = scalars_[scalar].run;
  const auto read = [&](const std::string& text) -> std::optional<Json> {
    Json out = Json::parse(text, nullptr, false);
    if (!out.is_string()) return std::nullopt;
    if (apart.contains('"' + JsonExpressions::spelled(out.get_ref<const std::string&>()))) {
      return std::nullopt;
    }
    return out;
  };
  if (auto shortest = read(scalars_[scalar].closing)) return shortest;
  const std::uint32_t begun = run.step(run.start(), '"');
  for (ByteSet rest = run.next_bytes(begun); !rest.none(); rest.remove(rest.lowest())) {
    const auto byte = static_cast<unsigned char>(rest.lowest());
    const std::uint32_t to = run.step(begun, byte);
    if (byte == '"' || to == ScalarRun::kNone) continue;
    if (auto text = read(std::string("\"") + static_cast<char>(byte) + run.closing_word(to))) {
      return text;
    }
  }
  return std::nullopt;
}

// Where an item that must differ from others ends: the level that stands for those after any of its
// texts. A list with another text in it leaves what a string that can be more has anyway.
const AnyItem& SchemaMachine::after_any_item(const LeafPart& part) {
  const std::uint64_t key = (std::uint64_t{part.next} << 32) | part.scalar;
  if (const auto known = any_items_.find(key); known != any_items_.end()) return known->second;
  const auto find = [&]() -> AnyItem {
    const ScalarRun& run = scalars_[part.scalar].run;
    if (part.next == 0 || !run.roomy(run.start())) return {};
    std::set<std::string> apart;
    for (std::size_t i = 0; i < levels_[part.next].alternatives.size(); ++i) {
      if (!find_apart(levels_[part.next].alternatives[i].formula, apart)) return {};
    }
    const std::optional<Json> witness = text_of_most(part.scalar, apart);
    if (!witness) return {};
    Level next;
    next.kind = levels_[part.next].kind;
    next.depth = levels_[part.next].depth;
    next.seen = levels_[part.next].seen;
    for (std::size_t i = 0; i < levels_[part.next].alternatives.size(); ++i) {
      const Alternative a = levels_[part.next].alternatives[i];
      const FormulaId f = with_value(a.formula, *witness);
      if (plan(next.kind, f, next.seen).verdict != Verdict::kYes) return {};
      next.alternatives.push_back({f, a.next});
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

// Whether every alternative of an array is complete where it stands, whatever item joins its list.
bool SchemaMachine::complete_anyway(LevelId array) {
  const auto& alternatives = levels_[array].alternatives;
  return may_end(array) && levels_[array].ends.size() == alternatives.size() &&
         std::ranges::none_of(alternatives,
                              [&](const Alternative& a) { return wants_repeat(a.formula); });
}

// The string that is being read at an item's place. Nothing where its text is lost.
std::optional<ItemSoFar> SchemaMachine::item_so_far(const State& at) const {
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
  ItemSoFar out{read.substr(start, end - start), read.substr(end)};
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
  auto asked = items_asked(rest);
  if (!asked) return false;
  std::vector<FormulaId> told = asked->wanted;
  told.insert(told.end(), asked->limited.begin(), asked->limited.end());
  make_unique(told);
  std::vector<FormulaId>& kinds = asked->kinds;
  for (const FormulaId one : told) {
    if (2 * kinds.size() > kMostKinds) return false;
    for (std::size_t i = kinds.size(); i-- > 0;) {
      kinds.push_back(formulas_.all({kinds[i], formulas_.negate(one)}));
      kinds[i] = formulas_.all({kinds[i], one});
    }
    std::erase(kinds, Formulas::kFalse);
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
        if (left.size() > asked->must_come) return;
        const JsonValueId value = formulas_.value(Json::parse(text, nullptr, false));
        const bool taken = std::binary_search(asked->taken.begin(), asked->taken.end(), value);
        // A number has several texts.
        if (!taken && std::ranges::find(left, value) == left.end()) left.push_back(value);
      });
    }
    if (!own.empty() && left.size() <= asked->must_come) return false;
  }
  return true;
}

// Of an item of an array in which one must come twice: where only so many may come, `value` without
// what would leave none for the repeat.
FormulaId SchemaMachine::that_repeats(FormulaId value, FormulaId rest) {
  bool ends = false;
  formulas_.map(rest, [&](FormulaId l) {
    const Atom& atom = formulas_.atom(l);
    ends = ends || (atom.kind == AtomKind::kItemsAtLeast && formulas_.negated(l)) ||
           (atom.kind == AtomKind::kItems && formulas_.items_of(atom.a).other == Formulas::kFalse);
    return l;
  });
  const auto asked = ends ? items_asked(rest) : std::nullopt;
  if (!asked) return value;
  std::vector<JsonValueId> told = asked->taken;
  const auto add = [&](FormulaId f) {
    if (const auto one = witness(f)) told.push_back(formulas_.value(*one));
    formulas_.map(f, [&](FormulaId l) {
      if (formulas_.atom(l).kind == AtomKind::kIn) {
        for (const Json& v : formulas_.set_of(formulas_.atom(l).a)) {
          told.push_back(formulas_.value(v));
        }
      }
      return l;
    });
  };
  for (const auto* of : {&asked->kinds, &asked->wanted, &asked->limited}) {
    for (const FormulaId one : *of) {
      add(one);
      add(formulas_.all({value, one}));
    }
  }
  make_unique(told);
  if (told.size() > kMostTexts) {
    undecided_ = true;
    return Formulas::kFalse;
  }
  const auto goes_on = [&](FormulaId item) {
    const auto one = witness(item);
    return one && plan(Kind::kArray, with_value(rest, *one), 0).verdict == Verdict::kYes;
  };
  std::vector<FormulaId> some;
  std::vector<JsonValueId> none;
  for (const JsonValueId one : told) {
    const FormulaId item = formulas_.all({value, formulas_.equals(one)});
    if (value_facts(item).verdict != Verdict::kYes) continue;
    if (goes_on(item)) {
      some.push_back(item);
    } else {
      none.push_back(one);
    }
  }
  // Of the others one stands for all of which the same is asked.
  const FormulaId differs =
      formulas_.literal({AtomKind::kDiffers, formulas_.values(std::move(told)), 0});
  std::vector<FormulaId> alike{formulas_.all({value, differs})};
  for (const auto* of : {&asked->kinds, &asked->wanted, &asked->limited}) {
    for (const FormulaId one : *of) {
      for (std::size_t i = alike.size(); i-- > 0;) {
        alike.push_back(formulas_.all({alike[i], formulas_.negate(one)}));
        alike[i] = formulas_.all({alike[i], one});
      }
      make_unique(alike);
      std::erase_if(alike, [&](FormulaId f) { return value_facts(f).verdict != Verdict::kYes; });
      if (alike.size() > kMostKinds) {
        undecided_ = true;
        return formulas_.any(some);
      }
    }
  }
  const std::size_t kinds = alike.size();
  std::erase_if(alike, [&](FormulaId f) { return !goes_on(f); });
  if (alike.size() < kinds) {
    some.insert(some.end(), alike.begin(), alike.end());
    return formulas_.any(some);
  }
  if (none.empty()) return value;
  return formulas_.all(
      {value, formulas_.literal({AtomKind::kDiffers, formulas_.values(std::move(none)), 0})});
}

// Of an item that must differ from others: `value` without the values that would leave no value
// for a later item. Only what is one of few can run out: enumerated values, and the last value of
// an item.
FormulaId SchemaMachine::without_dead_ends(FormulaId value, FormulaId rest) {
  if (wants_repeat(rest)) return that_repeats(value, rest);
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
