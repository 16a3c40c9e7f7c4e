// Byte-pair merging (Sennrich et al., ACL 2016): within a piece, the adjacent pair of lowest rank
// merges first, the leftmost of equals, until no pair has a rule.
//
// Pairs wait in a heap and symbols in a linked list, so a piece of n symbols takes O(n log n)
// whatever its content. Rules are found by binary search among those of their left symbol; no
// hashing that a hostile file could defeat. Immutable; safe from any thread with a Scratch a call.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/token.h"

namespace espalier::runtime {

class BytePair {
 public:
  struct Rule {
    TokenId left = kNoToken, right = kNoToken, merged = kNoToken;
    std::uint32_t rank = 0;
  };
  class Scratch {
    friend class BytePair;
    struct Symbol {
      TokenId id;
      std::uint32_t before, after;  // positions in the piece, kNone at its ends
    };
    struct Candidate {
      std::uint32_t rank, at;  // the pair's left symbol
      TokenId left, right, merged;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };

  /// Ids in [0, tokens); fewer than 2^32 rules. Of equal pairs the lowest rank counts.
  BytePair(std::size_t tokens, std::span<const Rule> rules);

  /// Appends the tokens that `piece` (fewer than 2^32 symbols) merges to.
  void merge(std::span<const TokenId> piece, Scratch& scratch, std::vector<TokenId>& out) const;

 private:
  struct Entry {
    TokenId right;
    std::uint32_t rank;
    TokenId merged;
  };
  [[nodiscard]] const Entry* find(TokenId left, TokenId right) const;
  void offer(Scratch& scratch, std::uint32_t at) const;

  std::vector<std::uint32_t> first_;  // by left id: where its entries start; one more at the end
  std::vector<Entry> entries_;        // of each left id, sorted by right id
};

}  // namespace espalier::runtime
