// A .gen file cut into its lexemes, also one that does not parse: for colours and for what may be
// written at a place. The parser has a grammar of its own and needs none of this.
//
// Whether `/` divides or begins a pattern is guessed from what stands before it, which is exact
// wherever the file parses. O(bytes), no recursion.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace espalier::dsl {

enum class LexemeKind : std::uint8_t {
  kWord,  // a name or a keyword
  kNumber,
  kSign,     // operators and brackets
  kText,     // a run of literal text in quotes, with them
  kEscape,   // in a text
  kMark,     // `${`, `$[` and what closes them
  kPattern,  // `/…/`
  kComment,
};

struct Lexeme {
  LexemeKind kind{};
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
};

/// What stands open where the text ends.
enum class OpenPlace : std::uint8_t { kCode, kInsert, kHole, kText, kPattern, kComment };

struct Lexemes {
  std::vector<Lexeme> all;  // in order, without white space
  OpenPlace end = OpenPlace::kCode;
  std::uint32_t depth = 0;  // brackets that are open at the end, of the innermost code
};

[[nodiscard]] Lexemes lexemes(std::string_view text);

}  // namespace espalier::dsl
