// A slice of a vocabulary: the tokens that are whole code points of one class, by their length in
// code points.
//
// Where a repeated character class is read (the body of a string), all of them are allowed at once,
// or those of the lengths that fit, and only the other tokens are walked. Of a class that most
// tokens are made of (any character but a quote) these are a few per cent, and have a trie of their
// own; of others (letters) they are most of the vocabulary, and the slice has a bit for each node
// of the vocabulary's trie instead of a copy of most of it. Immutable; built once a vocabulary,
// class and excluded byte, and kept by the vocabulary. A class that few tokens are made of (digits,
// blanks) has none: walking all costs as little.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "grammar/expression.h"
#include "grammar/token_characters.h"
#include "grammar/token_trie.h"
#include "grammar/vocabulary.h"

namespace espalier::grammar {

class TokenSlice {
 public:
  static constexpr std::size_t kLongest =
      TokenCharacters::kMost;  // longer ones are among the others
  static constexpr std::size_t kLeastShare = 64;

  /// `characters`: the vocabulary's. `excluded`: tokens that hold this byte are among the others
  /// too. nullptr where fewer than one token in kLeastShare is of the class. Cost: O(tokens).
  static std::unique_ptr<const TokenSlice> create(const Vocabulary& vocabulary,
                                                  const TokenCharacters& characters,
                                                  std::span<const CodePointRange> ranges,
                                                  std::optional<unsigned char> excluded);

  /// Code points of its longest token.
  [[nodiscard]] std::size_t longest() const { return by_length_.size() - 1; }
  /// Adds the tokens of each number of code points that `lengths` has true to mask words;
  /// `lengths[n]` for n from 1 to longest(). O(the vocabulary's words + the fewer of what is added
  /// and what is not).
  void allow(const std::vector<bool>& lengths, std::vector<std::uint64_t>& words) const;
  /// All other tokens, where they are few; nullptr where they are not.
  [[nodiscard]] const TokenWalk* others() const { return others_ ? &*others_ : nullptr; }
  /// Else the nodes of the vocabulary's trie at or below which one of them ends: bit i%64 of word
  /// i/64 for node i.
  [[nodiscard]] std::span<const std::uint64_t> beside() const { return beside_; }

 private:
  TokenSlice() = default;

  std::vector<std::uint64_t> all_;               // of any length, as mask words
  std::vector<std::vector<TokenId>> by_length_;  // in code points
  std::optional<TokenWalk> others_;
  std::vector<std::uint64_t> beside_;
};

}  // namespace espalier::grammar
