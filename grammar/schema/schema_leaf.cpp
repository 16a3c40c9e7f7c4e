// Scalars and keys while they are read: what may be read where a value or a key begins, step by
// step, and what follows at its end.
#include <algorithm>
#include <iterator>
#include <utility>

#include "grammar/hash.h"
#include "grammar/json_expression.h"
#include "grammar/make_room.h"
#include "grammar/schema/rising.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

constexpr std::size_t kFewSteps = 6;  // of a leaf, before it gets a row

}  // namespace

std::uint32_t SchemaMachine::extend(std::uint32_t text, unsigned char byte) {
  if (text == kLostText) return text;
  const std::size_t hash = mix(text, byte);
  std::uint32_t id = text_ids_.find(
      hash, [&](std::uint32_t t) { return texts_[t].before == text && texts_[t].byte == byte; });
  if (id == InternTable::kNone) {
    id = static_cast<std::uint32_t>(texts_.size());
    text_ids_.insert(hash, id);
    make_room(texts_);
    texts_.push_back({text, byte});
    bytes_ += 48;
  }
  return id;
}

// A name as it is read: canonical, without quotes.
const std::string& SchemaMachine::spelled(std::uint32_t name) {
  const auto [at, fresh] = name_texts_.try_emplace(name);
  if (fresh) {
    at->second = JsonExpressions::spelled(formulas_.name_of(name));
    bytes_ += at->second.size() + 96;
  }
  return at->second;
}

bool SchemaMachine::own_key(const Level& object, std::string_view spelled) {
  const auto keys = own_keys(object);
  return std::binary_search(keys->begin(), keys->end(), spelled);
}

// Where any other key may come. Kept for a few objects, since each member of a map of thousands
// would keep a list of all before it; made of one that lacks a single key where there is such.
std::shared_ptr<const OwnKeys> SchemaMachine::own_keys(const Level& object) {
  constexpr std::size_t kKept = 16;
  const Names& seen = seen_sets_[object.seen];
  const KeptOwnKeys* before = nullptr;
  for (const KeptOwnKeys& kept : own_keys_) {
    if (kept.names != object.names) continue;
    if (kept.seen == object.seen) return kept.keys;
    const Names& fewer = seen_sets_[kept.seen];
    if (fewer.size() + 1 == seen.size() && std::ranges::includes(seen, fewer)) before = &kept;
  }
  auto keys = std::make_shared<OwnKeys>();
  if (before != nullptr) {
    const Names& fewer = seen_sets_[before->seen];
    const auto differs = std::ranges::mismatch(fewer, seen).in2;
    *keys = *before->keys;
    const std::string_view key = spelled(*differs);
    const auto at = std::ranges::lower_bound(*keys, key);
    if (at == keys->end() || *at != key) keys->insert(at, key);
  } else {
    Names all;
    std::ranges::set_union(*object.names, seen, std::back_inserter(all));
    for (const std::uint32_t name : all) keys->push_back(spelled(name));
    std::ranges::sort(*keys);
  }
  if (own_keys_.size() == kKept) own_keys_.erase(own_keys_.begin());
  own_keys_.push_back({object.names, object.seen, keys});
  return keys;
}

std::string SchemaMachine::text_of(std::uint32_t text) const {
  std::string out;
  if (text == kLostText) return out;
  for (; text != 0; text = texts_[text].before) out += static_cast<char>(texts_[text].byte);
  std::reverse(out.begin(), out.end());
  return out;
}

std::string SchemaMachine::key_so_far(LevelId object, std::uint32_t text) const {
  std::string out = text_of(text);
  if (!levels_[object].recorded) return out;
  std::size_t start = 0;  // of the last string
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] != '"') continue;
    start = ++i;
    while (i < out.size() && out[i] != '"') i += out[i] == '\\' ? 2 : 1;
  }
  return out.substr(start);
}

SchemaMachine::LevelId SchemaMachine::value_after_spelled(LevelId object, std::string spelled) {
  if (spelled.find('\\') != std::string::npos) {
    const Json key = Json::parse("\"" + spelled + "\"", nullptr, false);
    if (!key.is_string()) return 0;
    spelled = key.get_ref<const std::string&>();
  }
  return value_after_key(object, spelled);
}

// A key, or the whole value, that begins as none of the texts which were taken away: its places are
// those of the scalar before that, the same whatever was.
void SchemaMachine::leave_taken(LeafPart& part) {
  const Scalar& own = scalars_[part.scalar];
  if (part.next != 0 || own.untaken == kNoScalar || own.run.taken_node(part.state) != 0) return;
  ScalarRun& all = scalars_[own.untaken].run;
  const std::size_t before = all.bytes();
  part = {own.untaken, own.run.untaken(part.state, all), 0};
  bytes_ += all.bytes() - before;
}

SchemaMachine::LeafId SchemaMachine::leaf(LeafParts parts) {
  if (parts.empty()) return 0;
  for (LeafPart& part : parts) leave_taken(part);
  std::size_t hash = parts.size();
  for (const LeafPart& part : parts) hash = mix(mix(mix(hash, part.scalar), part.state), part.next);
  LeafId id = leaf_ids_.find(hash, [&](LeafId other) { return leaves_[other].parts == parts; });
  if (id == InternTable::kNone) {
    id = static_cast<LeafId>(leaves_.size());
    leaf_ids_.insert(hash, id);
    Leaf made;
    for (const LeafPart& part : parts) {
      const ScalarRun& run = scalars_[part.scalar].run;
      made.bytes |= run.tried_bytes(part.state);
      if (run.accepting(part.state)) {
        made.accepting = true;
        made.finishes = made.finishes || part.next == 0;
      }
      made.recorded =
          made.recorded || joins_list(part.next) || (part.next != 0 && levels_[part.next].recorded);
    }
    made.goes_on = !made.bytes.none();
    bytes_ += sizeof(Leaf) + 2 * parts.size() * sizeof(LeafPart) + 96;
    made.parts = std::move(parts);
    leaves_.push_back(std::move(made));
  }
  return id;
}

SchemaMachine::LeafId SchemaMachine::leaf_step(LeafId at, unsigned char byte) {
  constexpr LeafId kUnknown = UINT32_MAX;
  {
    const Leaf& from = leaves_[at];
    if (!from.bytes.has(byte)) return 0;
    if (from.row != nullptr) {
      if (from.row[byte] != kUnknown) return from.row[byte];
    } else {
      for (const auto& [b, to] : from.known) {
        if (b == byte) return to;
      }
    }
  }
  LeafParts parts;
  for (const LeafPart& part : leaves_[at].parts) {
    ScalarRun& run = scalars_[part.scalar].run;
    const std::size_t before = run.bytes();
    const std::uint32_t next = run.step(part.state, byte);
    if (next != ScalarRun::kNone) parts.push_back({part.scalar, next, part.next});
    bytes_ += run.bytes() - before;
  }
  const LeafId to = leaf(std::move(parts));
  Leaf& from = leaves_[at];
  if (from.row == nullptr && from.known.size() == kFewSteps) {
    from.row = std::make_unique<LeafId[]>(256);
    std::fill_n(from.row.get(), 256, kUnknown);
    for (const auto& [b, known] : from.known) from.row[b] = known;
    from.known = {};
    bytes_ += 256 * sizeof(LeafId);
  }
  if (from.row != nullptr) {
    from.row[byte] = to;
  } else {
    from.known.push_back({byte, to});
  }
  return to;
}

SchemaMachine::State SchemaMachine::read(const State& at, std::string_view bytes, std::size_t& i) {
  const bool key = at.phase == Phase::kKey;
  const bool inside =
      key ? !levels_[at.b].recorded : at.phase == Phase::kLeaf && !leaves_[at.a].recorded;
  if (!inside || leaves_[at.a].parts.size() != 1) {
    return read(at, static_cast<unsigned char>(bytes[i++]));
  }
  LeafPart part = leaves_[at.a].parts[0];
  const std::uint32_t from = part.state;
  ScalarRun& run = scalars_[part.scalar].run;
  const std::size_t before = run.bytes();
  State s = at;
  const std::size_t first = i;
  for (; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const std::uint32_t next = run.step(part.state, byte);
    if (next == ScalarRun::kNone || run.accepting(next)) break;
    part.state = next;
    if (key) s.text = extend(s.text, byte);
  }
  bytes_ += run.bytes() - before;
  if (i == first) return read(at, static_cast<unsigned char>(bytes[i++]));
  if (part.state != from) s.a = leaf(LeafParts(&part, &part + 1));
  return s;
}

SchemaMachine::State SchemaMachine::leaf_end(LeafId at, std::uint32_t text) {
  Levels ends;
  for (const LeafPart& part : leaves_[at].parts) {
    if (scalars_[part.scalar].run.accepting(part.state)) ends.push_back(part.next);
  }
  return after_value(ends, text);
}

SchemaMachine::LeafId SchemaMachine::scalars_of(LevelId value) {
  if (levels_[value].has_leaf) return levels_[value].leaf;
  LeafParts parts;
  const Alternatives& from = levels_[value].alternatives;
  for (const Alternative& a : from) {
    for (const std::uint32_t s : scalars(a.formula)) {
      parts.push_back({s, scalars_[s].run.start(), a.next});
    }
  }
  drop_implied(parts, [&](const LeafPart& narrow, const LeafPart& wide) {
    return narrow.scalar == wide.scalar && implies(narrow.next, wide.next);
  });
  const LeafId id = leaf(std::move(parts));
  levels_[value].leaf = id;
  levels_[value].has_leaf = true;
  return id;
}

bool SchemaMachine::has_seen(std::uint32_t seen, std::uint32_t name) const {
  return std::binary_search(seen_sets_[seen].begin(), seen_sets_[seen].end(), name);
}

std::uint32_t SchemaMachine::seen_with(std::uint32_t seen, const std::string& key) {
  const std::uint32_t name = formulas_.name(key);
  std::vector<std::uint32_t> set = seen_sets_[seen];
  set.insert(std::lower_bound(set.begin(), set.end(), name), name);
  std::size_t hash = set.size();
  for (const std::uint32_t n : set) hash = mix(hash, n);
  std::uint32_t id = seen_ids_.find(hash, [&](std::uint32_t s) { return seen_sets_[s] == set; });
  if (id == InternTable::kNone) {
    id = static_cast<std::uint32_t>(seen_sets_.size());
    seen_ids_.insert(hash, id);
    bytes_ += 2 * set.size() * sizeof(std::uint32_t) + 96;
    seen_sets_.push_back(std::move(set));
  }
  return id;
}

// All keys that may come next: the names that formulas speak of, and the others by the patterns
// they match. Keys of the last kind that stand already are excluded when they end.
SchemaMachine::LeafId SchemaMachine::keys_of(LevelId object) {
  if (levels_[object].has_leaf) return levels_[object].leaf;
  bool plain = true;
  Names joined;
  Patterns patterns;
  const std::uint32_t seen = levels_[object].seen;
  const Alternatives& from = levels_[object].alternatives;
  for (const Alternative& a : from) {
    const KeyFacts& own = key_facts(a.formula);
    plain = plain && own.plain;
    if (from.size() > 1) joined.insert(joined.end(), own.names->begin(), own.names->end());
    patterns.insert(patterns.end(), own.patterns.begin(), own.patterns.end());
  }
  make_rising(joined);
  make_rising(patterns);
  const Names& names = from.size() > 1 ? joined : *key_facts(from[0].formula).names;
  LeafParts parts;
  if (patterns.empty()) {
    // Where any other key may come, every beginning can become one: whether a key may stand is
    // decided where it ends.
    if (plain) {
      for (const Alternative& a : from) {
        const ValueFacts value = value_facts(expand(key_facts(a.formula).other));
        if (value.verdict != Verdict::kYes || !fits(levels_[object].depth, value.height)) continue;
        levels_[object].any_key = true;
        levels_[object].after_key =
            std::max(levels_[object].after_key, value.size + level_bound(object) + 8);
      }
    } else if (const auto fresh = fresh_key(KeyClass{}, names, seen)) {
      const LevelId other = value_after_key(object, *fresh);
      levels_[object].any_key = other != 0;
      levels_[object].other_value = other;
      levels_[object].after_key = level_bound(other);
    }
    if (levels_[object].any_key) {
      const std::uint32_t s = scalar(any_key_);
      if (!scalars_[s].run.empty()) parts.push_back({s, scalars_[s].run.start(), 0});
      levels_[object].names =
          from.size() > 1 ? name_set(std::move(joined)) : key_facts(from[0].formula).names;
      levels_[object].leaf = leaf(std::move(parts));
      levels_[object].has_leaf = true;
      return levels_[object].leaf;
    }
  }
  Names left;
  std::ranges::set_difference(names, seen_sets_[seen], std::back_inserter(left));
  std::vector<std::uint32_t> live = may_come(object, left);
  if (!live.empty()) {
    const KeyWords::Place words = key_words(std::move(live));
    parts.push_back({words.scalar, words.state, 0});
  }
  static const std::vector<KeyClass> kNone;
  for (const KeyClass& key : patterns.empty() ? kNone : key_classes(patterns)) {
    const auto fresh = fresh_key(key, names, seen);
    const LevelId value = fresh ? value_after_key(object, *fresh) : 0;
    if (value == 0) continue;  // else the class has that key, and so a scalar
    levels_[object].after_key = std::max(levels_[object].after_key, level_bound(value));
    for (const FormulaId language : open_languages(key, names, seen)) {
      const std::uint32_t s = scalar(language);
      const bool known = std::any_of(parts.begin(), parts.end(),
                                     [&](const LeafPart& part) { return part.scalar == s; });
      if (scalars_[s].run.empty() || known) continue;
      parts.push_back({s, scalars_[s].run.start(), 0});
      levels_[object].key_values.emplace_back(s, value);
      if (scalars_[s].untaken != kNoScalar) {
        levels_[object].key_values.emplace_back(scalars_[s].untaken, value);
      }
    }
  }
  const LeafId id = leaf(std::move(parts));
  levels_[object].leaf = id;
  levels_[object].has_leaf = true;
  return id;
}

// Whether the key that is being read can still become so many that it makes no difference which
// one of its object's class stands already: names that formulas speak of are none of a class.
bool SchemaMachine::free_of_key(const State& at) const {
  const Level& object = levels_[at.b];
  if (object.any_key) return true;
  return std::ranges::all_of(leaves_[at.a].parts, [&](const LeafPart& part) {
    const bool of_class = std::ranges::any_of(
        object.key_values, [&](const auto& value) { return value.first == part.scalar; });
    return !of_class || scalars_[part.scalar].run.roomy(part.state);
  });
}

// Where any_key: the value after a key that stands for all others. It need not be remembered as a
// key that stands: no walk goes on to a second one.
SchemaMachine::LevelId SchemaMachine::other_value(LevelId object) {
  if (levels_[object].other_value != 0) return levels_[object].other_value;
  std::vector<std::pair<FormulaId, Alternatives>> values;
  const std::uint32_t depth = levels_[object].depth;
  for (const Alternative& a : levels_[object].alternatives) {
    const FormulaId value = expand(key_facts(a.formula).other);
    const ValueFacts facts = value_facts(value);
    if (facts.verdict != Verdict::kYes || !fits(depth, facts.height)) continue;
    auto at = std::find_if(values.begin(), values.end(),
                           [&](const auto& one) { return one.first == value; });
    if (at == values.end()) at = values.insert(at, {value, {}});
    at->second.push_back(a);
  }
  Level out;
  out.depth = depth;
  for (auto& [value, rests] : values) {
    Level rest;
    rest.kind = Kind::kObject;
    rest.depth = depth;
    rest.seen = levels_[object].seen;
    rest.alternatives = std::move(rests);
    out.alternatives.push_back({value, level(std::move(rest))});
  }
  const LevelId id = level(std::move(out));
  levels_[object].other_value = id;
  return id;
}

// The members by which an alternative closes, each with what its value satisfies. Nothing where
// that is not known, or they must keep an order.
std::optional<SchemaMachine::Planned> SchemaMachine::planned(const Level& object,
                                                             const Alternative& a) {
  if (graph_->ordered()) return std::nullopt;
  Planned out;
  FormulaId f = a.formula;
  std::uint32_t seen = object.seen;
  for (;;) {
    const Plan& next = plan(Kind::kObject, f, seen);
    if (next.verdict != Verdict::kYes || !fits(object.depth, next.height)) return std::nullopt;
    if (next.end) return out;
    out.emplace_back(formulas_.name(next.key), next.value);
    f = next.rest;
    seen = next.seen;
  }
}

// Whether an alternative surely closes behind a member, if it comes next: as without it where
// nothing else changes, or by the others of the plan that it is one of, since members have no
// order. The bytes of its value then; nothing where that has to be searched for.
std::optional<std::uint64_t> SchemaMachine::closes_behind(const Level& object, const Alternative& a,
                                                          const Planned& plan, std::uint32_t name) {
  std::vector<Pair> pairs;
  if (!split_member(a.formula, name, pairs) || pairs.size() != 1) return std::nullopt;
  const FormulaId value = expand(pairs[0].value);
  const ValueFacts facts = value_facts(value);
  if (facts.verdict != Verdict::kYes || !fits(object.depth, facts.height)) return std::nullopt;
  const auto own = std::ranges::find(plan, name, [](const auto& step) { return step.first; });
  const bool closes = own != plan.end() ? formulas_.all({own->second, value}) == own->second
                                        : pairs[0].rest == a.formula;
  return closes ? std::optional(facts.size) : std::nullopt;
}

// The words that are one of these names.
KeyWords::Place SchemaMachine::key_words(std::vector<std::uint32_t> names) {
  if (const KeyWords::Place* known = key_words_.find(names)) return *known;
  const auto word = [&](std::uint32_t name) { return '"' + spelled(name) + '"'; };
  KeyWords::Place made;
  if (const auto larger = key_words_.larger(names)) {
    made = larger->from;
    ScalarRun& run = scalars_[made.scalar].run;
    const std::size_t before = run.bytes();
    for (const std::uint32_t name : larger->without) {
      made.state = run.without_word(made.state, word(name));
    }
    bytes_ += run.bytes() - before;
  } else {
    std::vector<std::string> words;
    for (const std::uint32_t name : names) words.push_back(word(name));
    Scalar one;
    one.run = ScalarRun(WordTrie(std::move(words)));
    one.closing = one.run.closing_word(one.run.start());
    bytes_ += one.run.bytes();
    made = {static_cast<std::uint32_t>(scalars_.size()), one.run.start()};
    scalars_.push_back(std::move(one));
  }
  bytes_ += names.size() * sizeof(std::uint32_t) + 128;
  key_words_.add(std::move(names), made);
  return made;
}

}  // namespace espalier::grammar
