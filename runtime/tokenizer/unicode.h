// The Unicode classes that pre-tokenizers split by: \p{L} (and its upper, lower and uncased parts),
// \p{M}, \p{N}, \p{P}, \p{S} and \s (White_Space).
//
// ASCII answers at once; the rest in two steps of a table made at first use (about 60 KiB) from
// generated ranges (unicode_tables.cpp names its version). Code points that a later Unicode assigns
// are kOther here, as they are for any tokenizer of that age.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace espalier::runtime {

enum class CharClass : std::uint8_t {
  kOther,
  kUpper,    // Lu, Lt
  kLower,    // Ll
  kUncased,  // Lm, Lo
  kMark,
  kNumber,
  kPunctuation,
  kSymbol,
  kSpace,
};

[[nodiscard]] constexpr bool is_letter(CharClass kind) {
  return kind >= CharClass::kUpper && kind <= CharClass::kUncased;
}

[[nodiscard]] CharClass char_class(char32_t code_point);

/// One step of a scan: the character at `offset`, which must lie inside `text`. A byte that is not
/// part of well-formed UTF-8 is a character of its own, of class kSymbol (as U+FFFD is), so that
/// any bytes can be split.
struct Scanned {
  char32_t code_point = 0;  // U+FFFD for a malformed byte
  std::uint8_t length = 1;
  CharClass kind = CharClass::kOther;
};
[[nodiscard]] Scanned scan(std::string_view text, std::size_t offset);

namespace internal {
struct ClassRange {
  char32_t first, last;
  CharClass kind;
};
extern const ClassRange kClassRanges[];  // ascending; kOther is what lies between them
extern const std::size_t kClassRangesSize;
}  // namespace internal

}  // namespace espalier::runtime
