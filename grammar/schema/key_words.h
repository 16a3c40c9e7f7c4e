// Sets of names that an object's next key is one of, as states of tries. A key that was read leaves
// the others, so of such a set mostly one name goes: it is then another state of the same trie
// (WordTrie::without), and beginnings that it does not concern are the same states as before.
//
// Names are sorted numbers of a Formulas. Memory: a set's names, each set once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

#include "grammar/held_bytes.h"

namespace espalier::grammar {

class KeyWords {
 public:
  using Names = std::vector<std::uint32_t>;
  /// The words of a set: a scalar of few words, and its state before the first byte.
  struct Place {
    std::uint32_t scalar = 0;
    std::uint32_t state = 0;
  };
  /// Words of which some are to be taken away.
  struct Larger {
    Place from;
    Names without;
  };

  [[nodiscard]] const Place* find(const Names& names) const;
  /// Of those that are known, one of which not very many names must go to leave these (at least
  /// one): the newest of its trie that holds them all, else the first.
  [[nodiscard]] std::optional<Larger> larger(const Names& names) const;
  /// Makes a set known: whose trie is its own, or which was made from larger().
  void add(Names names, Place place);

  [[nodiscard]] std::size_t held_bytes() const {
    return held_by_all(places_, tries_, scalars_, by_name_);
  }

 private:
  struct Trie {
    Names first, newest;
    Place from, last;
    [[nodiscard]] std::size_t held_bytes() const { return held_by_all(first, newest); }
  };
  std::map<Names, Place> places_;
  std::vector<Trie> tries_;
  std::unordered_map<std::uint32_t, std::uint32_t> scalars_;               // their tries
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> by_name_;  // tries with it
};

}  // namespace espalier::grammar
