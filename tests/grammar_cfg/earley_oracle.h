// The oracle of the context-free tests: a grammar over small productions, recognised by Earley's
// algorithm straight from the textbook, and its words listed. Shares nothing with the code under
// test.
#pragma once

#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::grammar::testing {

/// Rules 'A', 'B', …; a symbol is an upper-case letter (a rule) or any other byte (itself). The
/// start is 'A'.
struct Productions {
  std::map<char, std::vector<std::string>> rules;

  [[nodiscard]] std::string gbnf() const {
    std::string out;
    for (const auto& [name, alternatives] : rules) {
      out += (name == 'A' ? std::string("root") : std::string(1, name)) + " ::= ";
      for (std::size_t i = 0; i < alternatives.size(); ++i) {
        if (i > 0) out += " | ";
        if (alternatives[i].empty()) out += "\"\" ";
        for (const char c : alternatives[i]) {
          if (c >= 'A' && c <= 'Z') {
            out += c == 'A' ? "root " : std::string(1, c) + " ";
          } else {
            out += std::string("\"") + c + "\" ";
          }
        }
      }
      out += "\n";
    }
    return out;
  }
};

/// Earley (1970), with sets closed to a fixpoint so that nullable rules need no special case.
class EarleyOracle {
 public:
  explicit EarleyOracle(const Productions& grammar) : grammar_(grammar) {}

  /// `text` is a word.
  bool matches(std::string_view text) const {
    const auto sets = parse(text);
    for (const Item& item : sets.back()) {
      if (item.rule == 'A' && item.origin == 0 && item.dot == alternative(item).size()) return true;
    }
    return false;
  }

 private:
  struct Item {
    char rule;
    std::size_t which, dot, origin;
    auto operator<=>(const Item&) const = default;
  };
  const std::string& alternative(const Item& i) const { return grammar_.rules.at(i.rule)[i.which]; }

  std::vector<std::set<Item>> parse(std::string_view text) const {
    std::vector<std::set<Item>> sets(text.size() + 1);
    for (std::size_t a = 0; a < grammar_.rules.at('A').size(); ++a) sets[0].insert({'A', a, 0, 0});
    for (std::size_t k = 0; k <= text.size(); ++k) {
      for (bool changed = true; changed;) {
        changed = false;
        const std::vector<Item> items(sets[k].begin(), sets[k].end());
        for (const Item& item : items) {
          const std::string& body = alternative(item);
          if (item.dot == body.size()) {
            const std::vector<Item> callers(sets[item.origin].begin(), sets[item.origin].end());
            for (const Item& c : callers) {
              if (c.dot < alternative(c).size() && alternative(c)[c.dot] == item.rule) {
                changed |= sets[k].insert({c.rule, c.which, c.dot + 1, c.origin}).second;
              }
            }
          } else if (const char next = body[item.dot]; next >= 'A' && next <= 'Z') {
            for (std::size_t a = 0; a < grammar_.rules.at(next).size(); ++a) {
              changed |= sets[k].insert({next, a, 0, k}).second;
            }
          } else if (k < text.size() && text[k] == next) {
            sets[k + 1].insert({item.rule, item.which, item.dot + 1, item.origin});
          }
        }
      }
    }
    return sets;
  }

  const Productions& grammar_;
};

/// Up to three rules of up to three alternatives of up to four symbols: recursion of every kind,
/// nullable rules, unit cycles, rules without words.
inline Productions random_productions(std::mt19937& random) {
  Productions out;
  const unsigned count = 1 + random() % 3;
  for (unsigned r = 0; r < count; ++r) {
    auto& alternatives = out.rules[static_cast<char>('A' + r)];
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      std::string body;
      for (unsigned k = random() % 5; k > 0; --k) {
        body += random() % 5 < 2 ? static_cast<char>('A' + random() % count) : "ab"[random() % 2];
      }
      alternatives.push_back(body);
    }
  }
  return out;
}

}  // namespace espalier::grammar::testing
