// Which texts make no difference near the end of a budget: strings, whose texts are not kept; and
// keys and members' strings in items that must differ from others, which close alike but for the
// few that a closing itself is made of or that stand already.
#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"
#include "grammar/json_expression.h"
#include "grammar/schema/schema_machine.h"

namespace espalier::grammar {
namespace {

// A text in its canonical spelling whose first character `escape`, \u and some digits or more, may
// become: adds what would be left to be read then, each digit in both cases. False where that is
// not told: of a character that takes two escapes.
bool add_respelled(const std::string& text, const std::string& escape,
                   std::vector<std::string>& out) {
  constexpr std::size_t kPrefix = 2, kDigits = 4;
  const Json value = Json::parse('"' + text + '"', nullptr, false);
  if (!value.is_string()) return false;
  const auto& decoded = value.get_ref<const std::string&>();
  if (decoded.empty()) return true;
  const utf8::Decoded first = utf8::decode(decoded, 0);
  const char32_t c = first.code_point;
  const auto unit = static_cast<unsigned>(c < 0x10000 ? c : 0xD800 + ((c - 0x10000) >> 10));
  std::vector<std::string> left{""};
  for (std::size_t i = 0; i < kDigits; ++i) {
    const char digit = "0123456789abcdef"[(unit >> (4 * (kDigits - 1 - i))) & 15];
    const char capital = static_cast<char>(std::toupper(static_cast<unsigned char>(digit)));
    if (kPrefix + i < escape.size()) {
      const char read = escape[kPrefix + i];
      if (read != digit && read != capital) return true;
      continue;
    }
    for (std::size_t n = left.size(); n-- > 0;) {
      if (capital != digit) left.push_back(left[n] + capital);
      left[n] += digit;
    }
  }
  if (c >= 0x10000) return false;
  const std::string rest = JsonExpressions::spelled(decoded.substr(first.length));
  for (const std::string& digits : left) out.push_back(digits + rest);
  return true;
}

}  // namespace

std::uint32_t SchemaMachine::text_group(const State& at) const {
  if (at.phase == Phase::kKey) return at.a;
  if (at.phase != Phase::kLeaf) return 0;
  const bool kept = leaves_[at.a].recorded;
  const bool strings = std::ranges::all_of(leaves_[at.a].parts, [&](const LeafPart& part) {
    const ScalarRun& run = scalars_[part.scalar].run;
    return run.string() && (kept || run.words() == nullptr);
  });
  return strings && !leaves_[at.a].accepting ? at.a : 0;
}

// Of keys where any may be completed by any characters.
std::optional<std::uint64_t> SchemaMachine::text_bound(const State& at, std::uint32_t group) {
  const bool key = at.phase == Phase::kKey;
  if (key && (!levels_[at.b].any_key || !leaves_[group].bytes.has('a'))) return std::nullopt;
  const State any = key ? State{Phase::kKey, 0, group, at.b, 0} : State{Phase::kLeaf, 0, group};
  return with_repeats(closing_bound(any), at, vocabulary_->longest_token());
}

// By class, whatever place of it the key ended at.
std::uint64_t SchemaMachine::text_end(const State& at, std::uint32_t group) const {
  constexpr std::uint64_t kClass = std::uint64_t{1} << 32;
  if (at.phase != Phase::kKey) return group;
  const auto& values = levels_[at.b].key_values;
  const LeafParts& parts = leaves_[group].parts;
  const auto value =
      std::ranges::find(values, parts[0].scalar, [](const auto& v) { return v.first; });
  return parts.size() == 1 && value != values.end() ? kClass | value->second : group;
}

// What stands in items around these levels that later ones must differ from: the strings and the
// names in it. Nothing where some item must come twice, whose text closings repeat then.
std::optional<std::set<std::string>> SchemaMachine::texts_around(std::vector<LevelId> levels) {
  std::set<LevelId> reached(levels.begin(), levels.end());
  std::set<FormulaId> asked;
  std::set<std::string> out;
  std::vector<FormulaId> formulas;
  std::vector<JsonValueId> open;
  while (!levels.empty()) {
    const LevelId at = levels.back();
    levels.pop_back();
    if (at == 0) continue;
    for (const Alternative& a : levels_[at].alternatives) {
      if (reached.insert(a.next).second) levels.push_back(a.next);
      if (asked.insert(a.formula).second) formulas.push_back(a.formula);
    }
  }
  while (!formulas.empty()) {
    const FormulaId f = formulas.back();
    formulas.pop_back();
    if (f <= Formulas::kTrue) continue;
    if (formulas_.op(f) != Formulas::Op::kLiteral) {
      for (const FormulaId part : formulas_.children(f)) {
        if (asked.insert(part).second) formulas.push_back(part);
      }
      continue;
    }
    const Atom atom = formulas_.atom(f);
    if (atom.kind != AtomKind::kUnique && atom.kind != AtomKind::kDiffers) continue;
    if (formulas_.negated(f)) return std::nullopt;
    const auto& own = formulas_.values_of(atom.a);
    open.insert(open.end(), own.begin(), own.end());
  }
  const JsonValues& values = formulas_.json_values();
  std::set<JsonValueId> known(open.begin(), open.end());
  while (!open.empty()) {
    const JsonValueId v = open.back();
    open.pop_back();
    if (values.kind(v) == JsonValues::Kind::kScalar) {
      const Json scalar = values.scalar(v);
      if (scalar.is_string()) {
        out.insert(JsonExpressions::spelled(scalar.get_ref<const std::string&>()));
      }
    }
    const auto enter = [&](JsonValueId inner) {
      if (known.insert(inner).second) open.push_back(inner);
    };
    for (const auto& [name, inner] : values.members(v)) {
      out.insert(spelled(name));
      enter(inner);
    }
    for (const JsonValueId inner : values.items(v)) enter(inner);
  }
  return out;
}

// What the texts that begin as the one at `at` would be, from there on, as they are spelled. Of
// keys the object's own ones, and those that searches have found; of a value all strings that stand
// in items, and the shortest of each scalar, which closings are made of.
std::optional<ToldApart> SchemaMachine::told_apart(const State& at) {
  ToldApart out;
  const LeafParts& parts = leaves_[at.a].parts;
  const ScalarRun& run = scalars_[parts[0].scalar].run;
  const Terminal* terminal = parts.size() == 1 ? run.terminal() : nullptr;
  out.any_character = terminal != nullptr && run.taken_node(parts[0].state) == 0 &&
                      run.place(parts[0].state).q == terminal->boundary();
  std::string begun;
  const auto add = [&](std::string_view text) {
    if (text.starts_with(begun)) out.rests.emplace_back(text.substr(begun.size()));
  };
  const bool key = at.phase == Phase::kKey;
  std::string escape;  // \u and a part of what it takes
  std::vector<LevelId> around;
  if (key) {
    const Level& object = levels_[at.b];
    begun = key_so_far(at.b, at.text);
    if (object.any_key) std::ranges::for_each(*own_keys(object), add);
    for (const std::string& text : found_keys_) add(JsonExpressions::spelled(text));
    if (!object.recorded) return out;
    around.push_back(at.b);
    out.repeated = true;
  } else if (leaves_[at.a].recorded) {
    const auto read = item_so_far(at);
    if (!read) return std::nullopt;
    begun = read->text.substr(1);
    out.escape = read->escape == "\\";
    (out.escape ? begun : escape) += read->escape;
    // A string that is an item itself is one that later ones can't be; what is inside of items
    // others may have too.
    for (const LeafPart& part : parts) {
      if (part.next == 0) return std::nullopt;
      around.push_back(part.next);
      out.repeated = out.repeated || levels_[part.next].recorded;
      if (levels_[part.next].kind != Kind::kArray || !joins_list(part.next)) continue;
      if (const WordTrie* words = scalars_[part.scalar].run.words()) {
        if (words->words_below(WordTrie::kStart) > kMostTexts) return std::nullopt;
        words->for_each_below(WordTrie::kStart, [&](std::string_view text) {
          add(std::string(text.substr(1, text.size() - 2)));
        });
        continue;
      }
      const AnyItem& any = after_any_item(part);
      if (any.level == 0) return std::nullopt;
      for (const std::string& text : any.apart) add(text.substr(1));
    }
  }
  if (around.empty()) return out;
  const auto texts = texts_around(std::move(around));
  if (!texts) return std::nullopt;
  std::ranges::for_each(*texts, add);
  if (key) return out;
  for (const Scalar& scalar : scalars_) {
    const std::string& closing = scalar.closing;
    if (scalar.run.words() != nullptr || !closing.starts_with('"')) continue;
    if (closing.find('\\') == std::string::npos) {
      add(closing.substr(1, closing.size() - 2));
      continue;
    }
    const Json value = Json::parse(closing, nullptr, false);
    if (value.is_string()) add(JsonExpressions::spelled(value.get_ref<const std::string&>()));
  }
  if (!escape.empty()) {
    std::vector<std::string> left;
    for (const std::string& rest : out.rests) {
      if (!add_respelled(rest, escape, left)) return std::nullopt;
    }
    out.rests = std::move(left);
  }
  return out;
}

std::size_t SchemaMachine::told_apart_count(const State& at) const {
  if (at.phase == Phase::kKey) return found_keys_.size();
  return leaves_[at.a].recorded ? scalars_.size() : 0;
}

}  // namespace espalier::grammar
