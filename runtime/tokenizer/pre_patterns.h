// The expressions of pre-tokenizers that cut a text in several steps. Each gives the length of its
// match at `at`, which lies inside `piece`, or 0. Work over a whole piece is linear for each.
#pragma once

#include <cstddef>
#include <string_view>

#include "runtime/tokenizer/unicode.h"

namespace espalier::runtime {

/// \p{N}{1,most}
template <std::size_t most>
std::size_t match_digits(std::string_view piece, std::size_t at) {
  std::size_t end = at;
  for (std::size_t count = 0; count < most && end < piece.size(); ++count) {
    const Scanned next = scan(piece, end);
    if (next.kind != CharClass::kNumber) break;
    end += next.length;
  }
  return end - at;
}

/// [0-9][0-9][0-9]
std::size_t match_three_ascii_digits(std::string_view piece, std::size_t at);
/// [\r\n]
std::size_t match_newline(std::string_view piece, std::size_t at);
/// [^\n]+|[\n]+
std::size_t match_line(std::string_view piece, std::size_t at);
/// \s+$
std::size_t match_trailing_white_space(std::string_view piece, std::size_t at);

/// [\p{P}\$\+<=>\^~\|`]+ and the same without the grave accent
std::size_t match_falcon_punctuation(std::string_view piece, std::size_t at);
std::size_t match_default_punctuation(std::string_view piece, std::size_t at);

/// \s?\p{L}+ and \s?\p{P}+
std::size_t match_spaced_letters(std::string_view piece, std::size_t at);
std::size_t match_spaced_punctuation(std::string_view piece, std::size_t at);
/// DeepSeek LLM's \s?[...]+ with its own lists of cased letters and of punctuation
std::size_t match_deepseek_letters(std::string_view piece, std::size_t at);
std::size_t match_deepseek_punctuation(std::string_view piece, std::size_t at);
/// [一-龥ࠀ-一가-퟿]+
std::size_t match_deepseek_cjk(std::string_view piece, std::size_t at);

/// [一-龥぀-ゟ゠-ヿ]+
std::size_t match_han_and_kana(std::string_view piece, std::size_t at);
/// [!-/:-@\[-`{-~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*
/// |\s*[\r\n]+|\s+(?!\S)|\s+
std::size_t match_deepseek3_words(std::string_view piece, std::size_t at);

/// " ?[^(\s|.,!?…。，、।۔،)]+"
std::size_t match_bloom_words(std::string_view piece, std::size_t at);

}  // namespace espalier::runtime
