#include "grammar/regex.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <utility>

#include "grammar/compiled_grammar.h"
#include "grammar/json_expression.h"

namespace espalier::grammar {
namespace {

constexpr std::uint32_t kAnyCharacter =
    UINT32_MAX;  // the class of the padding around a searched pattern

// What a part of the pattern matches in one context: the empty word (with its captures) and the
// others, and both together in their simplest form.
struct Parts {
  Expr empty, rest, whole;
};
// By context: index 2 * (the text begins here) + (the text ends here).
struct Table {
  bool anchored = false;  // the contexts differ
  std::array<Parts, 4> at;
};
constexpr std::size_t context(bool begins, bool ends) { return (begins ? 2 : 0) + (ends ? 1 : 0); }

class RegexBuilder {
 public:
  RegexBuilder(ExpressionPool& pool, Regex regex, const RegexUse& use)
      : pool_(pool), json_(pool), regex_(std::move(regex)), use_(use) {}

  Result<Expr> run() {
    if (use_.search && !use_.captures) trim();
    if (use_.search || regex_.looks) pad();
    named_ =
        use_.captures && std::any_of(regex_.groups.begin(), regex_.groups.end(),
                                     [](const RegexGroup& group) { return !group.name.empty(); });
    anchors_ = regex_.looks;
    for (const RegexNode& node : regex_.nodes) {
      anchors_ = anchors_ || node.op == RegexOp::kBegin || node.op == RegexOp::kEnd;
    }
    boundaries_ = nodes_with_boundaries(regex_);
    tables_.reserve(regex_.nodes.size());
    for (const RegexNode& node : regex_.nodes) {
      if (!pool_.ok()) break;
      tables_.push_back(build(node));
    }
    ESP_TRY(pool_.status());
    if (regex_.looks) return looked_around();
    const Expr whole = tables_[regex_.root].at[context(true, true)].whole;
    return named_ ? pool_.capture(Capture::kObject, whole) : whole;
  }

 private:
  // What is searched for ends where its least ends: anything may follow, so `ab{1,255}` is found
  // where `ab` is, and counting on would make states for nothing. The same at its beginning, but
  // for what a look-around there sees.
  void trim() {
    struct Edge {
      std::uint32_t node;
      bool last;
    };
    std::vector<Edge> work{{regex_.root, true}};
    if (!regex_.looks) work.push_back({regex_.root, false});
    while (!work.empty()) {
      const Edge at = work.back();
      work.pop_back();
      RegexNode& node = regex_.nodes[at.node];
      const auto inside = children(node);
      switch (node.op) {
        case RegexOp::kRepeat:
          node.b = node.a;
          if (node.a == 1) work.push_back({inside[0], at.last});
          break;
        case RegexOp::kGroup:
        case RegexOp::kAlternate:
          for (const std::uint32_t child : inside) work.push_back({child, at.last});
          break;
        case RegexOp::kConcat:
          for (std::size_t i = 0; i < inside.size(); ++i) {
            const std::uint32_t child = inside[at.last ? inside.size() - 1 - i : i];
            work.push_back({child, at.last});
            const bool becomes_empty =
                regex_.nodes[child].op == RegexOp::kRepeat && regex_.nodes[child].a == 0;
            if (!becomes_empty) break;
          }
          break;
        default:
          break;
      }
    }
  }

  // .* on both sides, of any character in any spelling.
  void pad() {
    const auto add = [&](RegexOp op, std::uint32_t a, std::uint32_t b,
                         std::initializer_list<std::uint32_t> children) {
      regex_.nodes.push_back({op, a, b, static_cast<std::uint32_t>(regex_.children.size()),
                              static_cast<std::uint32_t>(children.size()), 0});
      regex_.children.insert(regex_.children.end(), children);
      return static_cast<std::uint32_t>(regex_.nodes.size() - 1);
    };
    const std::uint32_t any = add(RegexOp::kClass, kAnyCharacter, 0, {});
    padding_ = add(RegexOp::kRepeat, 0, ExpressionPool::kUnbounded, {any});
    if (!regex_.looks) regex_.root = add(RegexOp::kConcat, 0, 0, {padding_, regex_.root, padding_});
  }

  [[nodiscard]] std::span<const std::uint32_t> children(const RegexNode& node) const {
    return std::span(regex_.children).subspan(node.first, node.count);
  }

  static Table same(Parts parts) { return {false, {parts, parts, parts, parts}}; }

  // The table of words `whole` of which `empty` is the empty one; the others are `rest`.
  Table plain(Expr empty, Expr rest, Expr whole) { return same({empty, rest, whole}); }

  Table build(const RegexNode& node) {
    if (boundaries_[tables_.size()]) return {};  // see onward()
    switch (node.op) {
      case RegexOp::kEmpty:
        return plain(pool_.empty(), pool_.nothing(), pool_.empty());
      case RegexOp::kClass: {
        const Expr one = character(node.a);
        return plain(pool_.nothing(), one, one);
      }
      case RegexOp::kBegin:
      case RegexOp::kEnd: {
        Table out;
        out.anchored = true;
        for (std::size_t c = 0; c < 4; ++c) {
          const bool holds = node.op == RegexOp::kBegin ? c >= 2 : c % 2 == 1;
          const Expr empty = holds ? pool_.empty() : pool_.nothing();
          out.at[c] = {empty, pool_.nothing(), empty};
        }
        return out;
      }
      case RegexOp::kConcat:
        return concat(children(node));
      case RegexOp::kAlternate:
        return alternate(children(node));
      case RegexOp::kRepeat:
        lazy_ = node.lazy && named_;
        return repeat(tables_[children(node)[0]], node.a, node.b);
      case RegexOp::kAhead:
      case RegexOp::kNotAhead:
      case RegexOp::kBehind:
      case RegexOp::kNotBehind:
        return tables_[children(node)[0]];  // what is looked for; see looked_around()
      case RegexOp::kBoundary:
      case RegexOp::kNoBoundary:
        break;
      case RegexOp::kGroup: {
        Table out = tables_[children(node)[0]];
        const std::string& name = regex_.groups[node.a].name;
        if (!named_ || name.empty()) return out;
        for (Parts& parts : out.at) {
          for (Expr* e : {&parts.empty, &parts.rest, &parts.whole}) *e = pool_.field(name, *e);
        }
        return out;
      }
    }
    return {};
  }

  Expr character(std::uint32_t index) {
    if (index == kAnyCharacter) {
      static constexpr CodePointRange kAll[] = {{0, 0x10FFFF}};
      if (!use_.json) return pool_.code_points(kAll);
      return use_.canonical || regex_.looks ? json_.string_characters_of(kAll)
                                            : json_.string_character();
    }
    const auto& ranges = regex_.classes[index];
    return use_.json ? json_.string_characters_of(ranges) : pool_.code_points(ranges);
  }

  // Runs of children without anchors are joined at once; the runs are folded from the right.
  Table concat(std::span<const std::uint32_t> parts) {
    Table out = same({pool_.empty(), pool_.nothing(), pool_.empty()});
    bool first = true;
    for (std::size_t end = parts.size(); end > 0;) {
      std::size_t begin = end - 1;
      Table piece = tables_[parts[begin]];
      if (!piece.anchored) {
        while (begin > 0 && !tables_[parts[begin - 1]].anchored) --begin;
        piece = run(parts.subspan(begin, end - begin));
      }
      out = first ? piece : pair(piece, out);
      first = false;
      end = begin;
    }
    return out;
  }

  Table run(std::span<const std::uint32_t> parts) {
    std::vector<Expr> wholes;
    std::vector<Expr> empties;
    bool nullable = true;
    for (const std::uint32_t part : parts) {
      wholes.push_back(tables_[part].at[0].whole);
      empties.push_back(tables_[part].at[0].empty);
      nullable = nullable && empties.back() != pool_.nothing();
    }
    const Expr whole = pool_.concat(wholes);
    if (!anchors_ || !nullable) return plain(pool_.nothing(), whole, whole);
    Expr rest = pool_.nothing();
    for (std::size_t i = parts.size(); i-- > 0 && pool_.ok();) {
      std::vector<Expr> here = {tables_[parts[i]].at[0].rest};
      here.insert(here.end(), wholes.begin() + static_cast<std::ptrdiff_t>(i) + 1, wholes.end());
      rest = pool_.choice({pool_.concat(here), pool_.concat({empties[i], rest})});
    }
    return plain(pool_.concat(empties), rest, whole);
  }

  Table pair(const Table& a, const Table& b) {
    Table out;
    out.anchored = true;
    for (const bool begins : {false, true}) {
      for (const bool ends : {false, true}) {
        const Parts& a_alone = a.at[context(begins, ends)];  // b is empty
        const Parts& a_then = a.at[context(begins, false)];  // b is not
        const Parts& b_alone = b.at[context(begins, ends)];
        const Parts& b_after = b.at[context(false, ends)];
        Parts& parts = out.at[context(begins, ends)];
        parts.empty = pool_.concat({a_alone.empty, b_alone.empty});
        parts.rest = pool_.choice({pool_.concat({a_then.empty, b_alone.rest}),
                                   pool_.concat({a_alone.rest, b_after.empty}),
                                   pool_.concat({a_then.rest, b_after.rest})});
        const bool a_settled =
            !a.anchored || (a_alone.empty == a_then.empty && a_alone.rest == a_then.rest);
        const bool b_settled =
            !b.anchored || (b_alone.empty == b_after.empty && b_alone.rest == b_after.rest);
        if (a_settled && b_settled) {
          parts.whole = pool_.concat({a_alone.whole, b_alone.whole});
        } else if (a_settled) {
          parts.whole = pool_.choice({pool_.concat({a_alone.empty, b_alone.whole}),
                                      pool_.concat({a_alone.rest, b_after.whole})});
        } else if (b_settled) {
          parts.whole = pool_.choice({pool_.concat({a_alone.whole, b_alone.empty}),
                                      pool_.concat({a_then.whole, b_alone.rest})});
        } else {
          parts.whole = pool_.choice({parts.empty, parts.rest});
        }
      }
    }
    return out;
  }

  Table alternate(std::span<const std::uint32_t> parts) {
    Table out;
    for (const std::uint32_t part : parts) out.anchored = out.anchored || tables_[part].anchored;
    for (std::size_t c = 0; c < (out.anchored ? 4U : 1U); ++c) {
      std::vector<Expr> empties, rests, wholes;
      for (const std::uint32_t part : parts) {
        const Parts& child = tables_[part].at[c];
        empties.push_back(child.empty);
        rests.push_back(child.rest);
        wholes.push_back(child.whole);
      }
      out.at[c] = {pool_.choice(empties), pool_.choice(rests), pool_.choice(wholes)};
    }
    return out.anchored ? out : same(out.at[0]);
  }

  [[nodiscard]] Expr turns(Expr child, std::uint32_t low, std::uint32_t high) {
    return lazy_ ? pool_.lazy_repeat(child, low, high) : pool_.repeat(child, low, high);
  }
  Table repeat(const Table& child, std::uint32_t low, std::uint32_t high) {
    const bool endless = high == ExpressionPool::kUnbounded;
    if (!child.anchored) {
      const Parts& one = child.at[0];
      const Expr whole = turns(one.whole, low, high);
      const bool nullable = one.empty != pool_.nothing();
      const Expr empty = low == 0 ? pool_.empty() : one.empty;
      const Expr rest = !anchors_   ? whole
                        : high == 0 ? pool_.nothing()
                                    : turns(one.rest, nullable ? 1 : std::max(low, 1U), high);
      return plain(empty, rest, whole);
    }
    Table out;
    out.anchored = true;
    for (const bool begins : {false, true}) {
      for (const bool ends : {false, true}) {
        const Parts& only = child.at[context(begins, ends)];
        const Parts& first = child.at[context(begins, false)];
        const Parts& middle = child.at[context(false, false)];
        const Parts& last = child.at[context(false, ends)];
        // Turns that match nothing fill up the least count wherever one may stand.
        const bool outer = first.empty != pool_.nothing() || last.empty != pool_.nothing();
        const bool fill = outer || middle.empty != pool_.nothing();
        Parts& parts = out.at[context(begins, ends)];
        parts.empty = low == 0 ? pool_.empty() : only.empty;
        parts.rest = pool_.nothing();
        if (high >= 1 && (low <= 1 || outer)) parts.rest = only.rest;
        const std::uint32_t least = fill ? 2 : std::max(low, 2U);
        if (high >= least) {
          const Expr between =
              turns(middle.rest, least - 2, endless ? ExpressionPool::kUnbounded : high - 2);
          parts.rest = pool_.choice({parts.rest, pool_.concat({first.rest, between, last.rest})});
        }
        parts.whole = pool_.choice({parts.empty, parts.rest});
      }
    }
    return out;
  }

  // ---- look-around ----
  // In an outermost sequence what a look-ahead looks at is the rest of the text, so the rest is
  // met with "what is looked for, then anything"; a look-behind meets what stands before it.

  // `words` that begin the same as `seen` (or none of these), in the contexts for which `wanted`.
  Table met(const Table& words, const Table& seen, bool negated, bool behind) {
    Table out;
    out.anchored = true;
    for (const bool begins : {false, true}) {
      for (const bool ends : {false, true}) {
        const Parts& from = words.at[context(begins, ends)];
        const Parts& by = seen.at[context(begins, ends)];
        Parts& parts = out.at[context(begins, ends)];
        parts = {pool_.nothing(), pool_.nothing(), pool_.nothing()};
        if (behind ? !begins : !ends) continue;  // not next to the text's edge: never asked for
        if ((by.empty != pool_.nothing()) != negated) parts.empty = from.empty;
        parts.rest =
            negated ? pool_.difference(from.rest, by.rest) : pool_.intersection(from.rest, by.rest);
        parts.whole = pool_.choice({parts.empty, parts.rest});
      }
    }
    return out;
  }
  // What may follow a place, behind a word character and behind another one or the text's edge.
  struct Rest {
    Table word, other;
    bool differ = false;
  };
  Rest after(std::uint32_t look, const Rest& rest) {
    const Table& any = tables_[padding_];
    const Rest seen = onward(children(regex_.nodes[look])[0], {any, any});
    const bool negated = regex_.nodes[look].op == RegexOp::kNotAhead;
    if (!seen.differ && !rest.differ) {
      const Table one = met(rest.word, seen.word, negated, false);
      return {one, one};
    }
    return {met(rest.word, seen.word, negated, false), met(rest.other, seen.other, negated, false),
            true};
  }
  Table before(std::uint32_t look, const Table& head) {
    return met(head, pair(tables_[padding_], tables_[look]),
               regex_.nodes[look].op == RegexOp::kNotBehind, true);
  }

  Table word_character() {
    static constexpr CodePointRange kWord[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    const Expr one = use_.json ? json_.string_characters_of(kWord) : pool_.code_points(kWord);
    return plain(pool_.nothing(), one, one);
  }
  Table either(const Table& a, const Table& b) {
    Table out;
    out.anchored = true;
    for (std::size_t c = 0; c < 4; ++c) {
      const Parts &x = a.at[c], &y = b.at[c];
      out.at[c] = {pool_.choice({x.empty, y.empty}), pool_.choice({x.rest, y.rest}),
                   pool_.choice({x.whole, y.whole})};
    }
    return out;
  }

  // The words of `part` and what follows them, which their last character decides on; behind the
  // empty word what stood before does.
  Rest joined(const Table& part, const Rest& rest) {
    if (!rest.differ) {
      const Table one = pair(part, rest.word);
      return {one, one};
    }
    const Expr ending = pool_.concat({tables_[padding_].at[0].whole, word_character().at[0].whole});
    Table empty = part, word = part, other = part;
    for (std::size_t c = 0; c < 4; ++c) {
      const Parts& own = part.at[c];
      const Expr in = pool_.intersection(own.rest, ending);
      const Expr out = pool_.difference(own.rest, ending);
      empty.at[c] = {own.empty, pool_.nothing(), own.empty};
      word.at[c] = {pool_.nothing(), in, in};
      other.at[c] = {pool_.nothing(), out, out};
    }
    const Table read = either(pair(word, rest.word), pair(other, rest.other));
    const bool nullable = std::any_of(part.at.begin(), part.at.end(), [&](const Parts& own) {
      return own.empty != pool_.nothing();
    });
    if (!nullable) return {read, read};
    return {either(pair(empty, rest.word), read), either(pair(empty, rest.other), read), true};
  }

  // What may be read from before a node on, where `rest` is what may be behind it.
  Rest onward(std::uint32_t at, const Rest& rest) {
    const RegexNode& node = regex_.nodes[at];
    if (node.op == RegexOp::kAhead || node.op == RegexOp::kNotAhead) return after(at, rest);
    if (!pool_.ok()) return rest;
    if (!boundaries_[at]) return joined(tables_[at], rest);
    const auto inside = children(node);
    switch (node.op) {
      case RegexOp::kBoundary:
      case RegexOp::kNoBoundary: {
        const Table word = pair(word_character(), tables_[padding_]);
        const bool same = node.op == RegexOp::kNoBoundary;
        return {met(rest.word, word, !same, false), met(rest.other, word, same, false), true};
      }
      case RegexOp::kConcat: {
        Rest out = rest;
        for (std::size_t i = inside.size(); i-- > 0;) out = onward(inside[i], out);
        return out;
      }
      case RegexOp::kAlternate: {
        Rest out = onward(inside[0], rest);
        for (const std::uint32_t one : inside.subspan(1)) out = either(out, onward(one, rest));
        return out;
      }
      case RegexOp::kRepeat: {
        Rest turns = rest;  // behind so many turns
        std::optional<Rest> out;
        for (std::uint32_t n = 0;; ++n) {
          if (n >= node.a) out = out ? either(*out, turns) : turns;
          if (n == node.b) return *out;
          turns = onward(inside[0], turns);
        }
      }
      default:
        return onward(inside[0], rest);  // a group
    }
  }
  Rest either(const Rest& a, const Rest& b) {
    return {either(a.word, b.word), either(a.other, b.other), a.differ || b.differ};
  }

  Result<Expr> looked_around() {
    const RegexNode root = regex_.nodes[regex_.root];
    std::vector<std::uint32_t> alternatives{regex_.root};
    if (root.op == RegexOp::kAlternate) {
      alternatives.assign(children(root).begin(), children(root).end());
    }
    std::vector<Expr> any;
    for (const std::uint32_t alternative : alternatives) {
      ESP_ASSIGN(const Table table, sequence(alternative));
      any.push_back(table.at[context(true, true)].whole);
    }
    ESP_TRY(pool_.status());
    return pool_.choice(any);
  }

  Result<Table> sequence(std::uint32_t node) {
    const auto ahead = [&](std::uint32_t part) {
      return regex_.nodes[part].op == RegexOp::kAhead ||
             regex_.nodes[part].op == RegexOp::kNotAhead;
    };
    const auto behind = [&](std::uint32_t part) {
      return regex_.nodes[part].op == RegexOp::kBehind ||
             regex_.nodes[part].op == RegexOp::kNotBehind;
    };
    std::vector<std::uint32_t> parts{node};
    if (regex_.nodes[node].op == RegexOp::kConcat) {
      parts.assign(children(regex_.nodes[node]).begin(), children(regex_.nodes[node]).end());
    }
    // At the text's edges looks see all of the text.
    std::vector<std::uint32_t> whole;
    if (regex_.nodes[parts.front()].op == RegexOp::kBegin || !use_.search) {
      std::size_t i = regex_.nodes[parts.front()].op == RegexOp::kBegin ? 1 : 0;
      while (i < parts.size() && ahead(parts[i])) {
        whole.push_back(parts[i]);
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    if (!parts.empty() && (regex_.nodes[parts.back()].op == RegexOp::kEnd || !use_.search)) {
      std::size_t end = parts.size() - (regex_.nodes[parts.back()].op == RegexOp::kEnd ? 1 : 0);
      for (; end > 0 && behind(parts[end - 1]); --end) {
        whole.push_back(parts[end - 1]);
        parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(end - 1));
      }
    }
    if (use_.search) {
      parts.insert(parts.begin(), padding_);
      parts.push_back(padding_);
    }
    std::size_t split = 0;  // look-behinds stand before it, look-aheads behind it
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (behind(parts[i])) split = i + 1;
    }
    for (std::size_t i = 0; i < split; ++i) {
      if (ahead(parts[i])) {
        return fail(ErrorCode::kUnsupported,
                    "regex: not supported: look-behind after look-ahead at offset " +
                        std::to_string(regex_.nodes[parts[i]].offset));
      }
    }
    const Table nothing_yet = same({pool_.empty(), pool_.nothing(), pool_.empty()});
    Rest right{nothing_yet, nothing_yet};
    for (std::size_t i = parts.size(); i-- > split;) right = onward(parts[i], right);
    Table left = nothing_yet;
    for (std::size_t i = 0; i < split; ++i) {
      left = behind(parts[i]) ? before(parts[i], left) : pair(left, tables_[parts[i]]);
    }
    // (No text stands before its beginning, and nothing looks behind beside word boundaries.)
    Table out = split == 0 ? right.other : pair(left, right.other);
    for (const std::uint32_t look : whole) {
      out = ahead(look) ? after(look, {out, out}).other : before(look, out);
    }
    return out;
  }

  ExpressionPool& pool_;
  JsonExpressions json_;
  Regex regex_;
  RegexUse use_;
  bool named_ = false;    // groups are captured
  bool lazy_ = false;     // the repeat at hand prefers fewer turns
  bool anchors_ = false;  // without anchors nobody asks for the empty and the other words apart
  std::vector<bool> boundaries_;  // by node: \b or \B in it
  std::vector<Table> tables_;
  std::uint32_t padding_ = 0;  // any text, where the pattern is searched for or looks around
};

}  // namespace

Result<Expr> regex_expression(ExpressionPool& pool, std::string_view pattern, const RegexUse& use) {
  ESP_ASSIGN(Regex regex, parse_regex(pattern, use.dialect, use.flags));
  return RegexBuilder(pool, std::move(regex), use).run();
}

Result<GrammarRef> compile_regex(VocabularyRef vocabulary, std::string_view pattern,
                                 std::string_view follow, const Limits& limits) {
  Fuel fuel("compile steps (limits.compile_fuel)", limits.compile_fuel);
  auto pool = std::make_shared<ExpressionPool>(fuel);
  ESP_ASSIGN(const Expr root, regex_expression(*pool, pattern));
  ESP_ASSIGN(GrammarRef compiled, compile_expression(std::move(vocabulary), std::move(pool), root,
                                                     follow, limits, fuel));
  return compiled;
}

}  // namespace espalier::grammar
