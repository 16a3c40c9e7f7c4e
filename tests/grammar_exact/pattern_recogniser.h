// Random regular expressions and a recogniser of their words from the textbook: an NFA over bytes
// with counts written out, the subset construction, and backward reachability for what is live.
// Shares nothing with the engine.
#pragma once

#include <algorithm>
#include <array>
#include <bitset>
#include <cstdint>
#include <cstdio>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace espalier::grammar::testing {

/// Finite automaton with all its states and steps; state 0 is the start.
struct PlainDfa {
  static constexpr std::uint32_t kDead = UINT32_MAX;
  std::vector<std::array<std::uint32_t, 256>> rows;
  std::vector<bool> accepting;
  std::vector<bool> live;

  using Place = std::uint32_t;
  [[nodiscard]] Place step(Place at, unsigned char byte) const {
    const std::uint32_t to = rows[at][byte];
    return to != kDead && live[to] ? to : kDead;
  }

  void find_live() {
    live = accepting;
    for (bool changed = true; changed;) {
      changed = false;
      for (std::size_t q = rows.size(); q-- > 0;) {
        if (live[q]) continue;
        for (const std::uint32_t to : rows[q]) {
          if (to == kDead || !live[to]) continue;
          live[q] = changed = true;
          break;
        }
      }
    }
  }
};

/// Words of both; empty `rows` where there would be more than `most` states.
inline PlainDfa intersection(const PlainDfa& a, const PlainDfa& b, std::size_t most) {
  PlainDfa out;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> numbers;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pairs;
  const auto number = [&](std::uint32_t x, std::uint32_t y) {
    const auto [it, fresh] = numbers.try_emplace({x, y}, static_cast<std::uint32_t>(pairs.size()));
    if (fresh) pairs.emplace_back(x, y);
    return it->second;
  };
  number(0, 0);
  for (std::size_t q = 0; q < pairs.size(); ++q) {
    if (pairs.size() > most) return {};
    const auto [x, y] = pairs[q];
    out.accepting.push_back(a.accepting[x] && b.accepting[y]);
    out.rows.emplace_back();
    for (unsigned c = 0; c < 256; ++c) {
      const std::uint32_t to_x = a.rows[x][c], to_y = b.rows[y][c];
      const bool dead = to_x == PlainDfa::kDead || to_y == PlainDfa::kDead;
      out.rows[q][c] = dead ? PlainDfa::kDead : number(to_x, to_y);
    }
  }
  out.find_live();
  return out;
}

/// A regular expression as a tree, with its text in the syntax that RE2 and ECMA-262 share.
class PlainPattern {
 public:
  /// How a character is written in the text that is matched.
  enum class Spelling : std::uint8_t { kPlain, kJsonString };

  static PlainPattern random(std::mt19937_64& random) {
    PlainPattern out;
    out.root_ = out.make(random, 0);
    return out;
  }
  /// Between `low` and `high` characters, any.
  static PlainPattern any_characters(std::uint32_t low, std::uint32_t high) {
    PlainPattern out;
    Node any{Op::kClass, {}, 0, 0, {}, {}};
    any.ascii.set();
    any.beyond = true;
    out.nodes_.push_back(any);
    out.nodes_.push_back({Op::kRepeat, {0}, low, high, {}, {}});
    out.root_ = 1;
    return out;
  }
  [[nodiscard]] std::string text() const { return text(root_); }

  /// Empty `rows` where there would be more than `most` states. `quoted`: between quotes.
  [[nodiscard]] PlainDfa dfa(Spelling spelling, bool quoted, std::size_t most) const {
    Nfa nfa;
    nfa.spelling = spelling;
    std::size_t at = nfa.add();
    const std::size_t start = at;
    if (quoted) at = nfa.bytes(at, "\"");
    at = build(nfa, root_, at);
    if (quoted) at = nfa.bytes(at, "\"");
    if (nfa.states.size() > 4 * most) return {};
    return determinise(nfa, start, at, most);
  }

 private:
  static constexpr std::uint32_t kNoEnd = UINT32_MAX;
  enum class Op : std::uint8_t { kText, kClass, kConcat, kChoice, kRepeat };
  struct Node {
    Op op = Op::kText;
    std::vector<std::size_t> children;
    std::uint32_t low = 0, high = 0;
    std::bitset<128> ascii;
    std::string text;  // kText: a word; kClass: as it is written
    bool beyond = false;
  };
  struct Nfa {
    struct State {
      std::vector<std::pair<unsigned char, std::size_t>> steps;
      std::vector<std::size_t> free;
    };
    Spelling spelling = Spelling::kPlain;
    std::vector<State> states;
    std::size_t add() {
      states.emplace_back();
      return states.size() - 1;
    }
    std::size_t bytes(std::size_t at, const std::string& word) {
      for (const char c : word) {
        const std::size_t to = add();
        states[at].steps.emplace_back(static_cast<unsigned char>(c), to);
        at = to;
      }
      return at;
    }
    void range(std::size_t from, unsigned low, unsigned high, std::size_t to) {
      for (unsigned b = low; b <= high; ++b) {
        states[from].steps.emplace_back(static_cast<unsigned char>(b), to);
      }
    }
    // All characters of two bytes and more.
    void beyond_ascii(std::size_t from, std::size_t to) {
      const std::size_t one = add(), two = add(), three = add();
      range(one, 0x80, 0xBF, to);
      range(two, 0x80, 0xBF, one);
      range(three, 0x80, 0xBF, two);
      range(from, 0xC2, 0xDF, one);
      const auto narrowed = [&](unsigned first, unsigned low, unsigned high, std::size_t then) {
        const std::size_t at = add();
        range(from, first, first, at);
        range(at, low, high, then);
      };
      narrowed(0xE0, 0xA0, 0xBF, one);
      range(from, 0xE1, 0xEC, two);
      narrowed(0xED, 0x80, 0x9F, one);
      range(from, 0xEE, 0xEF, two);
      narrowed(0xF0, 0x90, 0xBF, two);
      range(from, 0xF1, 0xF3, three);
      narrowed(0xF4, 0x80, 0x8F, two);
    }
    [[nodiscard]] std::string spelled(unsigned char c) const {
      if (spelling == Spelling::kPlain) return std::string(1, static_cast<char>(c));
      switch (c) {
        case '"':
          return "\\\"";
        case '\\':
          return "\\\\";
        case '\b':
          return "\\b";
        case '\f':
          return "\\f";
        case '\n':
          return "\\n";
        case '\r':
          return "\\r";
        case '\t':
          return "\\t";
        default:
          break;
      }
      if (c >= 0x20) return std::string(1, static_cast<char>(c));
      std::array<char, 8> hex{};
      std::snprintf(hex.data(), hex.size(), "\\u%04x", static_cast<unsigned>(c));
      return hex.data();
    }
  };

  std::size_t add(Node node) {
    nodes_.push_back(std::move(node));
    return nodes_.size() - 1;
  }

  std::size_t make(std::mt19937_64& random, int depth) {
    static const char* const kWords[] = {"a",  "b",   "the", "1",  "é",     "日本", " ",
                                         "id", "foo", "@",   "_x", "hello", "-",    "0"};
    struct Class {
      const char* text;
      const char* members;
      bool negated;
    };
    static const Class kClasses[] = {{"[a-c]", "abc", false},
                                     {"[0-9]", "0123456789", false},
                                     {"\\d", "0123456789", false},
                                     {"[^ab]", "ab", true},
                                     {"[^ \\n]", " \n", true},
                                     {"[A-Fa-f]", "ABCDEFabcdef", false},
                                     {"[a-z]", "abcdefghijklmnopqrstuvwxyz", false},
                                     {"[ ,.]", " ,.", false},
                                     {"[^\"]", "\"", true}};
    const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    switch (pick(depth >= 4 ? 3 : 8)) {
      case 0: {
        Node node{Op::kText, {}, 0, 0, {}, kWords[pick(std::size(kWords))]};
        return add(std::move(node));
      }
      case 1:
      case 2: {
        const Class& c = kClasses[pick(std::size(kClasses))];
        Node node{Op::kClass, {}, 0, 0, {}, c.text};
        for (const char* m = c.members; *m != 0; ++m) node.ascii.set(static_cast<unsigned>(*m));
        if (c.negated) node.ascii.flip();
        node.beyond = c.negated;
        return add(std::move(node));
      }
      case 3:
      case 4: {
        Node node{Op::kConcat, {}, 0, 0, {}, {}};
        for (std::size_t n = 2 + pick(2); n > 0; --n)
          node.children.push_back(make(random, depth + 1));
        return add(std::move(node));
      }
      case 5: {
        Node node{Op::kChoice, {}, 0, 0, {}, {}};
        for (std::size_t n = 2 + pick(2); n > 0; --n)
          node.children.push_back(make(random, depth + 1));
        return add(std::move(node));
      }
      default: {
        static constexpr std::pair<std::uint32_t, std::uint32_t> kCounts[] = {
            {0, kNoEnd}, {1, kNoEnd}, {0, 1}, {2, 3}, {1, 4}, {2, kNoEnd}, {0, 7}};
        const auto [low, high] = kCounts[pick(std::size(kCounts))];
        Node node{Op::kRepeat, {make(random, depth + 1)}, low, high, {}, {}};
        return add(std::move(node));
      }
    }
  }

  [[nodiscard]] std::string text(std::size_t at) const {
    const Node& node = nodes_[at];
    std::string out;
    switch (node.op) {
      case Op::kText:
      case Op::kClass:
        return node.text;
      case Op::kConcat:
        for (const std::size_t c : node.children) out += text(c);
        return "(?:" + out + ")";
      case Op::kChoice:
        for (const std::size_t c : node.children) out += (out.empty() ? "" : "|") + text(c);
        return "(?:" + out + ")";
      case Op::kRepeat:
        out = "(?:" + text(node.children[0]) + "){" + std::to_string(node.low) + ",";
        return out + (node.high == kNoEnd ? "" : std::to_string(node.high)) + "}";
    }
    return out;
  }

  std::size_t build(Nfa& nfa, std::size_t at, std::size_t from) const {
    const Node& node = nodes_[at];
    switch (node.op) {
      case Op::kText:
        for (const char c : node.text) {
          const auto byte = static_cast<unsigned char>(c);
          from = nfa.bytes(from, byte < 0x80 ? nfa.spelled(byte) : std::string(1, c));
        }
        return from;
      case Op::kClass: {
        const std::size_t to = nfa.add();
        for (unsigned c = 0; c < 128; ++c) {
          if (!node.ascii[c]) continue;
          const std::size_t end = nfa.bytes(from, nfa.spelled(static_cast<unsigned char>(c)));
          nfa.states[end].free.push_back(to);
        }
        if (node.beyond) nfa.beyond_ascii(from, to);
        return to;
      }
      case Op::kConcat:
        for (const std::size_t c : node.children) from = build(nfa, c, from);
        return from;
      case Op::kChoice: {
        const std::size_t to = nfa.add();
        for (const std::size_t c : node.children) {
          const std::size_t in = nfa.add();
          nfa.states[from].free.push_back(in);
          const std::size_t end = build(nfa, c, in);
          nfa.states[end].free.push_back(to);
        }
        return to;
      }
      case Op::kRepeat: {
        for (std::uint32_t i = 0; i < node.low; ++i) from = build(nfa, node.children[0], from);
        const std::size_t to = nfa.add();
        if (node.high == kNoEnd) {
          const std::size_t in = nfa.add();
          nfa.states[from].free.push_back(in);
          const std::size_t end = build(nfa, node.children[0], in);
          nfa.states[end].free.push_back(in);
          nfa.states[in].free.push_back(to);
          return to;
        }
        for (std::uint32_t i = node.low; i < node.high; ++i) {
          nfa.states[from].free.push_back(to);
          const std::size_t in = nfa.add();
          nfa.states[from].free.push_back(in);
          from = build(nfa, node.children[0], in);
        }
        nfa.states[from].free.push_back(to);
        return to;
      }
    }
    return from;
  }

  static PlainDfa determinise(const Nfa& nfa, std::size_t start, std::size_t end,
                              std::size_t most) {
    const auto closed = [&](std::vector<std::size_t> set) {
      std::vector<bool> in(nfa.states.size());
      for (const std::size_t s : set) in[s] = true;
      for (std::size_t i = 0; i < set.size(); ++i) {
        for (const std::size_t to : nfa.states[set[i]].free) {
          if (!in[to]) in[to] = true, set.push_back(to);
        }
      }
      std::sort(set.begin(), set.end());
      return set;
    };
    PlainDfa out;
    std::map<std::vector<std::size_t>, std::uint32_t> numbers;
    std::vector<std::vector<std::size_t>> sets;
    const auto number = [&](std::vector<std::size_t> set) {
      const auto [it, fresh] = numbers.try_emplace(set, static_cast<std::uint32_t>(sets.size()));
      if (fresh) sets.push_back(std::move(set));
      return it->second;
    };
    number(closed({start}));
    for (std::size_t q = 0; q < sets.size(); ++q) {
      if (sets.size() > most) return {};
      const std::vector<std::size_t> set = sets[q];
      out.accepting.push_back(std::binary_search(set.begin(), set.end(), end));
      out.rows.emplace_back().fill(PlainDfa::kDead);
      std::map<unsigned, std::vector<std::size_t>> steps;
      for (const std::size_t s : set) {
        for (const auto& [byte, to] : nfa.states[s].steps) steps[byte].push_back(to);
      }
      std::map<std::vector<std::size_t>, std::uint32_t> seen;  // bytes often lead alike
      for (auto& [byte, to] : steps) {
        const auto [it, fresh] = seen.try_emplace(to, 0);
        if (fresh) it->second = number(closed(to));
        out.rows[q][byte] = it->second;
      }
    }
    out.find_live();
    return out;
  }

  std::vector<Node> nodes_;
  std::size_t root_ = 0;
};

}  // namespace espalier::grammar::testing
