// A slice of a vocabulary: the tokens that are whole code points of one class, by their length in
// code points.
//
// Where a repeated character class is read (the body of a string), all of them are allowed at once:
// a mask is the slice's table for that length, and only the other tokens, a few per cent, are
// walked. Immutable; built once a vocabulary, class and excluded byte, and kept by the vocabulary.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "grammar/expression.h"
#include "grammar/token_trie.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

class TokenSlice {
 public:
  static constexpr std::size_t kLongest =
      64;  // longer tokens (in code points) are among the others

  /// `excluded`: tokens that hold this byte are among the others too. Cost: O(bytes of the
  /// vocabulary).
  TokenSlice(const Vocabulary& vocabulary, std::span<const CodePointRange> ranges,
             std::optional<unsigned char> excluded);

  /// Code points of its longest token.
  [[nodiscard]] std::size_t longest() const { return up_to_.size() - 1; }
  /// The tokens of 1..n code points, as mask words.
  [[nodiscard]] std::span<const std::uint64_t> up_to(std::size_t n) const {
    return up_to_[std::min(n, longest())];
  }
  /// The trie of all other tokens.
  [[nodiscard]] const TokenTrie& others() const { return *others_; }

 private:
  std::vector<std::vector<std::uint64_t>> up_to_;
  std::optional<TokenTrie> others_;
};

}  // namespace espalier::grammar
