// The Unicode classes that pre-tokenizers split by: \p{L} (and its upper, lower and uncased parts),
// \p{M}, \p{N}, \p{P}, \p{S} and \s (White_Space); and the mappings of BERT's normalizer.
//
// ASCII answers at once; the rest in two steps of a table made at first use (about 60 KiB) from
// generated ranges (unicode_tables.cpp names its version). Code points that a later Unicode assigns
// are kOther here, as they are for any tokenizer of that age.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace espalier::runtime {

enum class CharClass : std::uint8_t {
  kOther,
  kUpper,    // Lu, Lt
  kLower,    // Ll
  kUncased,  // Lm, Lo
  kAccent,   // Mn, the marks that take no room of their own
  kMark,     // Mc, Me
  kNumber,
  kPunctuation,
  kSymbol,
  kSpace,
};

[[nodiscard]] constexpr bool is_letter(CharClass kind) {
  return kind >= CharClass::kUpper && kind <= CharClass::kUncased;
}

[[nodiscard]] constexpr bool is_mark(CharClass kind) {
  return kind == CharClass::kAccent || kind == CharClass::kMark;
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

/// The lower case of one code point (Unicode's simple mapping).
[[nodiscard]] char32_t to_lower(char32_t code_point);
/// Appends what is left of the code point's canonical decomposition (NFD) without its accents; not
/// for accents themselves.
void append_base(std::u32string& out, char32_t code_point);

namespace internal {
struct LowerRange {
  char32_t first, last;
  std::uint8_t step;
  std::int32_t shift;
};
extern const LowerRange kLowerRanges[];  // ascending
extern const std::size_t kLowerRangesSize;
struct Base {
  char32_t code_point;
  std::array<char32_t, 3> kept;  // zeros at the end
};
extern const Base kBases[];  // ascending
extern const std::size_t kBasesSize;
struct ClassRange {
  char32_t first, last;
  CharClass kind;
};
extern const ClassRange kClassRanges[];  // ascending; kOther is what lies between them
extern const std::size_t kClassRangesSize;
}  // namespace internal

}  // namespace espalier::runtime
