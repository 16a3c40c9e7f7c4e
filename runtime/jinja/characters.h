// Characters as Python's str methods see them: white space, case, classes (Unicode 14.0).
//
// A byte that is no part of well-formed UTF-8 counts as one character without properties.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace espalier::runtime::jinja {

/// The character at `text[at]`: its length in bytes (at least 1) and code point (kMalformed where
/// the bytes are not well-formed).
struct Character {
  char32_t code = 0;
  std::uint32_t length = 1;
};
inline constexpr char32_t kMalformed = 0xFFFFFFFF;
[[nodiscard]] Character character_at(std::string_view text, std::size_t at);
/// The start of the character that ends at `text[end)`; end > 0.
[[nodiscard]] std::size_t character_before(std::string_view text, std::size_t end);
/// Characters in `text`. O(n).
[[nodiscard]] std::size_t count_characters(std::string_view text);

/// str.isspace.
[[nodiscard]] bool is_space(char32_t code);
/// Where the white space that starts at `from` ends.
[[nodiscard]] std::size_t space_end(std::string_view text, std::size_t from);
[[nodiscard]] std::string_view strip_left(std::string_view text);
[[nodiscard]] std::string_view strip_right(std::string_view text);

enum class CharacterClass : std::uint8_t { kAlpha, kDecimal, kDigit, kNumeric, kPrintable };
[[nodiscard]] bool is(CharacterClass wanted, char32_t code);

enum class Case : std::uint8_t { kUpper, kLower, kTitle };
/// Appends `code` in that case (one to three characters). Σ is asked of lower_sigma() first.
void append_in_case(std::string& out, char32_t code, Case wanted);
inline constexpr char32_t kSigma = 0x3A3;
/// What Σ is in lower case, between a character and the text `after`: ς at the end of a word.
[[nodiscard]] char32_t lower_sigma(bool cased_before, std::string_view after);
/// Whether the character has upper and lower case (either change alters it).
[[nodiscard]] bool has_upper(char32_t code);  // lower() changes it
[[nodiscard]] bool has_lower(char32_t code);  // upper() changes it

namespace internal {
struct CharacterRange {
  char32_t first, last;
};
struct CaseRange {
  char32_t first, last;
  std::int32_t step, move;
};
struct CaseSpecial {
  char32_t code;
  const char* text;
};
extern const CaseRange kUpper[], kLower[];
extern const std::size_t kUpperSize, kLowerSize;
extern const CaseSpecial kUpperSpecial[], kLowerSpecial[], kTitleSpecial[];
extern const std::size_t kUpperSpecialSize, kLowerSpecialSize, kTitleSpecialSize;
extern const CharacterRange kAlpha[], kDecimal[], kDigit[], kNumeric[], kPrintable[];
extern const std::size_t kAlphaSize, kDecimalSize, kDigitSize, kNumericSize, kPrintableSize;
}  // namespace internal

}  // namespace espalier::runtime::jinja
