// The three Unicode classes that pre-tokenizers split by: \p{L}, \p{N} and \s (White_Space).
//
// ASCII answers at once; the rest by binary search in generated ranges (unicode_tables.cpp names
// its version). Code points that a later Unicode assigns are kOther here, as they are for any
// tokenizer of that age.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace espalier::runtime {

enum class CharClass : std::uint8_t { kOther, kLetter, kNumber, kSpace };

[[nodiscard]] CharClass char_class(char32_t code_point);

/// One step of a scan: the character at `offset`, which must lie inside `text`. A byte that is not
/// part of well-formed UTF-8 is a character of its own, of class kOther (as U+FFFD would be), so
/// that any bytes can be split.
struct Scanned {
  char32_t code_point = 0;  // U+FFFD for a malformed byte
  std::uint8_t length = 1;
  CharClass kind = CharClass::kOther;
};
[[nodiscard]] Scanned scan(std::string_view text, std::size_t offset);

namespace internal {
struct CodePointRange {
  char32_t first, last;
};
extern const CodePointRange kLetters[], kNumbers[], kSpaces[];
extern const std::size_t kLettersSize, kNumbersSize, kSpacesSize;
}  // namespace internal

}  // namespace espalier::runtime
