// Earley's algorithm a byte at a time, for walks over a vocabulary's trie: a chart whose columns
// are taken back where the walk turns. From the textbook, over productions without useless symbols,
// so that a text is the beginning of a word iff its column is not empty. Shares nothing with the
// engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "tests/grammar_cfg/earley_oracle.h"

namespace espalier::grammar::testing {

class EarleyChart {
 public:
  /// `grammar` must derive some word.
  explicit EarleyChart(const Productions& grammar) {
    std::set<char> productive;
    const auto derives = [&](const std::string& body) {
      return std::all_of(body.begin(), body.end(),
                         [&](char c) { return !is_rule(c) || productive.contains(c); });
    };
    for (bool changed = true; changed;) {
      changed = false;
      for (const auto& [name, bodies] : grammar.rules) {
        for (const std::string& body : bodies) {
          if (derives(body)) changed |= productive.insert(name).second;
        }
      }
    }
    for (const auto& [name, bodies] : grammar.rules) {
      for (const std::string& body : bodies) {
        if (derives(body)) bodies_.push_back({name, body});
      }
    }
    empty_ = !productive.contains('A');
    columns_.emplace_back();
    for (std::uint32_t i = 0; i < bodies_.size(); ++i) {
      if (bodies_[i].rule == 'A') columns_[0].push_back({i, 0, 0});
    }
    close();
  }

  [[nodiscard]] bool empty() const { return empty_; }
  /// Bytes read.
  [[nodiscard]] std::size_t size() const { return columns_.size() - 1; }
  void cut(std::size_t bytes) { columns_.resize(bytes + 1); }
  /// False, and nothing read, where no word begins so.
  bool read(unsigned char byte) {
    std::vector<Item> next;
    for (const Item& item : columns_.back()) {
      const std::string& body = bodies_[item.body].text;
      if (item.dot < body.size() && !is_rule(body[item.dot]) &&
          static_cast<unsigned char>(body[item.dot]) == byte) {
        next.push_back({item.body, item.dot + 1, item.origin});
      }
    }
    if (next.empty()) return false;
    columns_.push_back(std::move(next));
    close();
    return true;
  }
  [[nodiscard]] bool complete() const {
    return std::any_of(columns_.back().begin(), columns_.back().end(), [&](const Item& i) {
      return i.origin == 0 && bodies_[i.body].rule == 'A' && i.dot == bodies_[i.body].text.size();
    });
  }

 private:
  struct Body {
    char rule = 0;
    std::string text;
  };
  struct Item {
    std::uint32_t body = 0, dot = 0, origin = 0;
    auto operator<=>(const Item&) const = default;
  };
  static bool is_rule(char c) { return c >= 'A' && c <= 'Z'; }

  // To a fixpoint, so that nullable rules need no special case.
  void close() {
    const auto here = static_cast<std::uint32_t>(columns_.size() - 1);
    std::vector<Item>& column = columns_.back();
    std::set<Item> known(column.begin(), column.end());
    const auto add = [&](const Item& item) {
      if (known.insert(item).second) column.push_back(item);
    };
    for (std::size_t before = 0; before != column.size();) {
      before = column.size();
      for (std::size_t i = 0; i < column.size(); ++i) {
        const Item item = column[i];
        const std::string& body = bodies_[item.body].text;
        if (item.dot == body.size()) {
          for (std::size_t c = 0; c < columns_[item.origin].size(); ++c) {
            const Item caller = columns_[item.origin][c];
            const std::string& outer = bodies_[caller.body].text;
            if (caller.dot < outer.size() && outer[caller.dot] == bodies_[item.body].rule) {
              add({caller.body, caller.dot + 1, caller.origin});
            }
          }
        } else if (is_rule(body[item.dot])) {
          for (std::uint32_t b = 0; b < bodies_.size(); ++b) {
            if (bodies_[b].rule == body[item.dot]) add({b, 0, here});
          }
        }
      }
    }
  }

  std::vector<Body> bodies_;
  std::vector<std::vector<Item>> columns_;
  bool empty_ = false;
};

}  // namespace espalier::grammar::testing
