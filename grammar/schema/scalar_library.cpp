#include "grammar/schema/scalar_library.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "grammar/json_expression.h"
#include "grammar/number_expression.h"
#include "grammar/per_vocabulary.h"

namespace espalier::grammar {
namespace {

void describe(const Formulas& formulas, FormulaId f, std::string& out) {
  if (out.size() > ScalarLibrary::kLongestKey) return;
  switch (formulas.op(f)) {
    case Formulas::Op::kFalse:
      out += 'F';
      return;
    case Formulas::Op::kTrue:
      out += 'T';
      return;
    case Formulas::Op::kAnd:
    case Formulas::Op::kOr: {
      // Children stand in the order in which their pool met them: here in one that is the same for
      // all pools.
      std::vector<std::string> children;
      std::size_t size = out.size();
      for (const FormulaId c : formulas.children(f)) {
        describe(formulas, c, children.emplace_back());
        size += children.back().size();
        if (size > ScalarLibrary::kLongestKey) break;
      }
      std::sort(children.begin(), children.end());
      out += formulas.op(f) == Formulas::Op::kAnd ? "(&" : "(|";
      for (const std::string& child : children) out += child;
      out += ')';
      return;
    }
    case Formulas::Op::kLiteral:
      break;
  }
  const Atom& atom = formulas.atom(f);
  out += formulas.negated(f) ? '-' : '+';
  out += static_cast<char>('a' + static_cast<int>(atom.kind));
  switch (atom.kind) {
    case AtomKind::kAtLeast:
    case AtomKind::kAbove:
    case AtomKind::kMultipleOf:
      out += formulas.number_of(atom.a).text();
      break;
    case AtomKind::kPattern:
      out += formulas.pattern_of(atom.a).search ? 's' : 'w';
      out +=
          std::to_string(formulas.pattern_of(atom.a).regex.size());  // so it is seen where it ends
      out += '"';
      out += formulas.pattern_of(atom.a).regex;
      break;
    case AtomKind::kIn: {
      std::size_t bytes = 0;
      for (const Json& value : formulas.set_of(atom.a)) {
        const std::string text = value.dump();
        bytes += text.size();
        out += text;
        out += ',';
        if (bytes > ScalarLibrary::kLongestKey) return;
      }
      break;
    }
    default:
      out += std::to_string(atom.a);
  }
  out += ';';
}

// Whether some part is a pattern that all of a string matches, as describe() names it: those of
// formats. Of texts that look like it too.
bool speaks_of_format(std::string_view key) {
  static constexpr char kPattern[] = {'a' + static_cast<int>(AtomKind::kPattern), 'w'};
  constexpr std::string_view kBegin(kPattern, sizeof kPattern);
  for (std::size_t at = key.find(kBegin); at != key.npos; at = key.find(kBegin, at + 1)) {
    const std::string_view size = key.substr(at + kBegin.size());
    const std::size_t end = size.find_first_not_of("0123456789");
    if (end != 0 && end != size.npos && size[end] == '"') return true;
  }
  return false;
}

}  // namespace

std::optional<std::string> scalar_key(const Formulas& formulas, FormulaId f) {
  std::string out;
  describe(formulas, f, out);
  if (out.size() > ScalarLibrary::kLongestKey) return std::nullopt;
  return out;
}

constexpr std::size_t kPlaces = 512;  // nodes of the trie that structure alone leads to

ScalarLibrary::ScalarLibrary(const Vocabulary& vocabulary) {
  const auto make = [&](bool string, auto&& language) -> std::unique_ptr<const Terminal> {
    Fuel fuel("steps", 1'000'000);
    const auto pool = std::make_shared<ExpressionPool>(fuel);
    const Expr root = language(*pool);
    const auto program =
        Program::create(pool, root, VocabularyRef(VocabularyRef(), &vocabulary), {}, {}, fuel);
    return program ? Terminal::create(*program, string) : nullptr;
  };
  const auto quoted = [](ExpressionPool& pool, Expr character) {
    return pool.concat({pool.bytes("\""), pool.repeat(character, 0), pool.bytes("\"")});
  };
  string_ = make(true, [&](ExpressionPool& pool) {
    return quoted(pool, JsonExpressions(pool).string_character());
  });
  canonical_string_ = make(true, [&](ExpressionPool& pool) {
    static constexpr CodePointRange kAll[] = {{0, 0x10FFFF}};
    return quoted(pool, JsonExpressions(pool).string_characters_of(kAll));
  });
  null_ = make(false, [](ExpressionPool& pool) { return pool.bytes("null"); });
  boolean_ = make(false, [](ExpressionPool& pool) {
    const std::string words[] = {"true", "false"};
    return pool.words(words);
  });
  integer_ = make(false, [](ExpressionPool& pool) {
    return integer_range(pool, {INT64_MIN, INT64_MAX, false, false});
  });
  number_ = make(false, [](ExpressionPool& pool) { return decimal_range(pool, {}); });
  sort_by_bytes(vocabulary);
  find_exits(vocabulary);
  // Strings and keys are opened by a quote after structure: those nodes of the trie.
  const TokenTrie& trie = vocabulary.trie();
  std::vector<std::uint32_t> open{TokenTrie::kRoot};
  std::vector<std::uint32_t> places{TokenTrie::kRoot};
  std::vector<std::uint32_t> quotes{TokenTrie::kRoot};
  while (!open.empty()) {
    const std::uint32_t at = open.back();
    open.pop_back();
    for (const char c : std::string_view("{}[],: \n")) {
      const std::uint32_t below = trie.child(at, static_cast<std::uint8_t>(c));
      if (below == TokenTrie::kNone || places.size() == kPlaces) continue;
      open.push_back(below);
      places.push_back(below);
    }
    const std::uint32_t quote = trie.child(at, '"');
    if (quote != TokenTrie::kNone) quotes.push_back(quote);
  }
  for (const Terminal* terminal : {string(), canonical_string()}) {
    if (terminal == nullptr) continue;
    for (const std::uint32_t node : quotes) {
      static_cast<void>(terminal->piece(vocabulary, terminal->boundary(), node));
    }
    terminal->make_root_pieces(vocabulary);
  }
  for (const Terminal* terminal : {integer_.get(), number_.get()}) {
    if (terminal != nullptr) terminal->make_root_pieces(vocabulary);
  }
  for (const Terminal* terminal :
       {string(), null_.get(), boolean_.get(), integer_.get(), number_.get()}) {
    if (terminal == nullptr) continue;
    for (const std::uint32_t node : places) {
      static_cast<void>(terminal->piece(vocabulary, terminal->start(), node));
    }
  }
}

void ScalarLibrary::sort_by_bytes(const Vocabulary& vocabulary) {
  holding_.resize(256);
  if (string() == nullptr) return;
  const Terminal::Piece* inside =
      string()->piece(vocabulary, string()->boundary(), TokenTrie::kRoot);
  std::vector<std::uint64_t> words((vocabulary.size() + 63) / 64);
  inside->add_to(words);
  // 64 tokens at a time, for the memory's sake.
  std::array<std::uint64_t, 256> at_once{};
  for (std::size_t w = 0; w < words.size(); ++w) {
    ByteSet found;
    for (std::uint64_t rest = words[w]; rest != 0; rest &= rest - 1) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(rest));
      for (const char c : vocabulary.bytes(static_cast<TokenId>(w * 64 + bit))) {
        at_once[static_cast<unsigned char>(c)] |= std::uint64_t{1} << bit;
        found.add(static_cast<unsigned char>(c));
      }
    }
    found &= ~ByteSet::range(0x80, 0xBF);  // a character's first byte is there too
    for (; !found.none(); found.remove(found.lowest())) {
      MaskTable& table = holding_[found.lowest()];
      if (table.words.empty()) table.words.resize(words.size());
      table.words[w] = std::exchange(at_once[found.lowest()], 0);
    }
  }
}

// All ways in which a token can leave a scalar behind some of its bytes: by a quote, and what is
// not a string by a byte of structure.
void ScalarLibrary::find_exits(const Vocabulary& vocabulary) {
  const ByteSet structure = ByteSet::of(",]} \n");
  const ByteSet plain = ByteSet::of("+-.0123456789Eeaflnrstu");  // of numbers and words
  const TokenTrie& trie = vocabulary.trie();
  const auto nodes = trie.nodes();
  std::vector<Terminal::FoundExit> quoted, bare;
  std::vector<std::uint32_t> path(trie.longest() + 1);
  std::size_t plain_to = 0;  // bytes of the path before the first that is not plain
  // Inside a string, from between two characters on: where the path is, and what it began.
  struct Characters {
    Terminal::State q = Terminal::kDead;
    std::uint32_t begun = 0;
  };
  std::vector<Characters> characters(trie.longest() + 1);
  if (string() != nullptr) characters[0].q = string()->boundary();
  for (std::uint32_t i = 0; i < nodes.size(); ++i) {
    const std::uint8_t byte = nodes[i].byte;
    const auto size = static_cast<std::uint16_t>(nodes[i].depth - 1);
    path[nodes[i].depth] = i;
    const Characters before = characters[size];
    characters[nodes[i].depth] = {};
    if (before.q != Terminal::kDead) {
      const bool begins = before.q == string()->boundary();
      characters[nodes[i].depth] = {string()->next(before.q, byte),
                                    before.begun + (begins ? 1 : 0)};
    }
    plain_to = std::min<std::size_t>(plain_to, size);
    const bool leaves_bare = size > 0 && plain_to == size && structure.has(byte);
    if (plain_to == size && plain.has(byte)) ++plain_to;
    if (size == 0 || (byte != '"' && !leaves_bare)) continue;
    for (const TokenId id : trie.tokens_below(i)) {
      (leaves_bare ? bare : quoted).push_back({path[size], {id, before.begun, 0, size}});
    }
  }
  Terminal::set_exits(vocabulary, 1, std::move(quoted), quoted_exits_);
  Terminal::set_exits(vocabulary, 0, std::move(bare), bare_exits_);
  for (std::size_t id = 0; id < vocabulary.size(); ++id) {
    const auto token = static_cast<TokenId>(id);
    if (vocabulary.bytes(token).size() > ScalarDfa::kHorizon) longer_.push_back(token);
  }
  tables_.longer = &longer_;
  tables_.vocabulary = &vocabulary;
  tables_.quoted = &quoted_exits_;
  tables_.bare = &bare_exits_;
  if (canonical_string() != nullptr) {
    tables_.canonical = canonical_string();
    tables_.canonical_inside =
        canonical_string()->piece(vocabulary, canonical_string()->boundary(), TokenTrie::kRoot);
  }
  if (string() == nullptr) return;
  tables_.string = string();
  tables_.inside = string()->piece(vocabulary, string()->boundary(), TokenTrie::kRoot);
  tables_.holding = &holding_;
}

const Terminal* ScalarLibrary::terminal(JsonTypes types) const {
  switch (types.bits()) {
    case JsonTypes::kNull:
      return null_.get();
    case JsonTypes::kBoolean:
      return boolean_.get();
    case JsonTypes::kInteger:
      return integer_.get();
    case JsonTypes::kNumber:
      return number_.get();
    default:
      return nullptr;
  }
}

std::shared_ptr<ScalarLibrary> ScalarLibrary::of(const VocabularyRef& vocabulary) {
  return per_vocabulary<ScalarLibrary>(vocabulary, [&] {
    auto library = std::make_shared<ScalarLibrary>(*vocabulary);
    library->vocabulary_ = vocabulary;
    return library;
  });
}

std::optional<ScalarLibrary::Entry> ScalarLibrary::find(const std::string& key) {
  if (auto known = find_known(key)) return known;
  if (!speaks_of_format(key)) return std::nullopt;
  if (!brought_.exchange(true)) {
    // To make formats that are to be kept comes by here again, with others; other threads make
    // what they need meanwhile.
    if (const VocabularyRef vocabulary = vocabulary_.lock()) bring_formats(*this, vocabulary);
    if (auto known = find_known(key)) return known;
  }
  return find_kept(key);
}

std::optional<ScalarLibrary::Entry> ScalarLibrary::find_known(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto it = entries_.find(key);
  if (it == entries_.end()) return std::nullopt;
  Kept& kept = it->second;
  if (kept.used != by_use_.end()) by_use_.splice(by_use_.begin(), by_use_, kept.used);
  stay(kept);
  return kept.entry;
}

void ScalarLibrary::take(KeptFormats formats, TablesFile file) {
  auto brought = std::make_shared<const Brought>(Brought{std::move(formats), std::move(file)});
  const std::lock_guard lock(mutex_);
  on_disk_ = std::move(brought);
}

std::optional<ScalarLibrary::Entry> ScalarLibrary::find_kept(const std::string& key) {
  std::shared_ptr<const Brought> brought;
  {
    const std::lock_guard lock(mutex_);
    brought = on_disk_;
  }
  if (brought == nullptr) return std::nullopt;
  bool whole = true;
  auto dfa = brought->formats.find(key, tables_, &whole);
  if (!whole) {
    brought->file.remove();
    const std::lock_guard lock(mutex_);
    on_disk_ = nullptr;
  }
  if (dfa == nullptr) return std::nullopt;
  const Entry entry{nullptr, std::move(dfa), nullptr};
  add(key, entry);
  return entry;
}

bool ScalarLibrary::add(const std::string& key, const Entry& entry) {
  const std::lock_guard lock(mutex_);
  const std::size_t bytes = entry.dfa != nullptr ? entry.dfa->memory() : 0;
  if (entries_.contains(key)) return true;
  if (bytes > kDfaBytes) return false;
  while (entries_.size() >= kEntries || dfa_bytes_ + bytes > kDfaBytes) {
    if (by_use_.empty()) return false;
    const auto oldest = entries_.find(*by_use_.back());
    by_use_.pop_back();
    dfa_bytes_ -= oldest->second.bytes;
    entries_.erase(oldest);
  }
  const auto made = entries_.emplace(key, Kept{entry, bytes, by_use_.end()}).first;
  made->second.used = by_use_.insert(by_use_.begin(), &made->first);
  dfa_bytes_ += bytes;
  stay(made->second);
  return true;
}

void ScalarLibrary::keep_for_good(bool keep) {
  const std::lock_guard lock(mutex_);
  for_good_ = keep;
}

void ScalarLibrary::stay(Kept& kept) {
  if (!for_good_ || kept.used == by_use_.end() || staying_ == kEntries / 4) return;
  by_use_.erase(kept.used);
  kept.used = by_use_.end();
  ++staying_;
}

}  // namespace espalier::grammar
