// A slice of a vocabulary: the tokens that are whole code points of one class, by their length in
// code points.
//
// Where a repeated character class is read (the body of a string), all of them are allowed at once:
// a mask is the slice's table for that length, and only the other tokens, a few per cent, are
// walked. Immutable; built once a vocabulary, class and excluded byte, and kept by the vocabulary.
// A class that few tokens are made of (digits, blanks) has none: walking them costs less than a
// copy of all other tokens holds.
#pragma once

#include <cstdint>
#include <memory>
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
  static constexpr std::size_t kLeastShare = 64;

  /// `excluded`: tokens that hold this byte are among the others too. nullptr where the class reads
  /// less than one in kLeastShare of the trie's nodes, which are all that a walk looks at. Cost:
  /// O(nodes of the trie).
  static std::unique_ptr<const TokenSlice> create(const Vocabulary& vocabulary,
                                                  std::span<const CodePointRange> ranges,
                                                  std::optional<unsigned char> excluded);

  /// Code points of its longest token.
  [[nodiscard]] std::size_t longest() const { return up_to_.size() - 1; }
  /// The tokens of 1..n code points, as mask words.
  [[nodiscard]] std::span<const std::uint64_t> up_to(std::size_t n) const {
    return up_to_[std::min(n, longest())];
  }
  /// All other tokens.
  [[nodiscard]] const TokenWalk& others() const { return *others_; }

 private:
  TokenSlice() = default;

  std::vector<std::vector<std::uint64_t>> up_to_;
  std::optional<TokenWalk> others_;
};

}  // namespace espalier::grammar
