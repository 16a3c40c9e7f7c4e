// What characters each token of a vocabulary is made of, as far as asking whether it is made of a
// class alone takes: which ASCII ones, how many, and whether there are others.
//
// By the token's id. Immutable; built once a vocabulary, when a slice is first asked for
// (token_slice.h). Cost: O(bytes of all tokens), 18 bytes a token.
#pragma once

#include <cstdint>
#include <vector>

namespace espalier::grammar {

class Vocabulary;

struct TokenCharacters {
  static constexpr std::size_t kMost = 64;  // characters that are counted

  explicit TokenCharacters(const Vocabulary& vocabulary);

  struct Ascii {
    std::uint64_t low = 0, high = 0;  // bit c%64 for character c
  };
  std::vector<Ascii> ascii;  // those that the token holds
  // Its code points; 0: it is not made of whole ones, or of more than kMost, or it ends turns.
  std::vector<std::uint8_t> count;
  std::vector<std::uint8_t> beyond;  // 1: some are not ASCII
};

}  // namespace espalier::grammar
