// The regular expression that most byte-level vocabularies were trained with, and its variants.
//
// GPT-2:    's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
// Llama 3:  (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}
//           | ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// GPT-4o:   words with their inner capitals apart ("HTML|Parser"), contractions as their endings.
// They differ in the fields of WordPattern alone. Matching is by hand, in one pass; every character
// begins a match, and the total work over a text is linear.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "runtime/tokenizer/unicode.h"

namespace espalier::runtime {

struct WordPattern {
  enum class Contractions : std::uint8_t { kNone, kLower, kAnyCase, kEnding };
  enum class Words : std::uint8_t {
    kAfterSpace,   //  ?\p{L}+
    kAfterAny,     // [^\r\n\p{L}\p{N}]?\p{L}+
    kWithMarks,    // [^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+, and no marks in the runs of other characters
    kCapitalised,  // [^\r\n\p{L}\p{N}]?U*L+, else [^\r\n\p{L}\p{N}]?U+L*, where U is
                   // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and L is [\p{Ll}\p{Lm}\p{Lo}\p{M}]
  };
  static constexpr std::size_t kAll = static_cast<std::size_t>(-1);

  Contractions contractions = Contractions::kAnyCase;
  Words words = Words::kAfterAny;
  std::size_t digits = 1;                  // of one piece: \p{N}{1,digits}
  bool space_before_digits = false;        //  ?\p{N}+
  std::string_view after_others = "\r\n";  // characters that a run of others takes along: [\r\n]*
  bool newlines = true;                    // \s*[\r\n]+

  /// The length of the match at `at`, which lies inside `text`; never 0.
  [[nodiscard]] std::size_t match(std::string_view text, std::size_t at) const;
};

/// \s*[\r\n]+ where `newlines`, else \s+(?!\S), else \s+; 0 where `at` is no white space.
[[nodiscard]] std::size_t match_white_space(std::string_view text, std::size_t at, bool newlines);

/// The end of the run of characters from `at` on of which `belongs(Scanned)` is true.
template <class Belongs>
[[nodiscard]] std::size_t end_of_run(std::string_view text, std::size_t at, Belongs&& belongs) {
  while (at < text.size()) {
    const Scanned next = scan(text, at);
    if (!belongs(next)) break;
    at += next.length;
  }
  return at;
}

}  // namespace espalier::runtime
