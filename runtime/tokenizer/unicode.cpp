#include "runtime/tokenizer/unicode.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/utf8.h"

namespace espalier::runtime {
namespace {

bool contains(std::span<const internal::CodePointRange> ranges, char32_t code_point) {
  const auto after = std::upper_bound(
      ranges.begin(), ranges.end(), code_point,
      [](char32_t wanted, const internal::CodePointRange& range) { return wanted < range.first; });
  return after != ranges.begin() && code_point <= std::prev(after)->last;
}

constexpr std::array<CharClass, 128> ascii_classes() {
  std::array<CharClass, 128> classes{};
  for (char32_t c = 0; c < 128; ++c) {
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') classes[c] = CharClass::kLetter;
    if (c >= '0' && c <= '9') classes[c] = CharClass::kNumber;
    if (c == ' ' || (c >= 9 && c <= 13)) classes[c] = CharClass::kSpace;
  }
  return classes;
}
constexpr auto kAscii = ascii_classes();

}  // namespace

CharClass char_class(char32_t code_point) {
  if (code_point < kAscii.size()) return kAscii[code_point];
  if (contains({internal::kLetters, internal::kLettersSize}, code_point)) return CharClass::kLetter;
  if (contains({internal::kNumbers, internal::kNumbersSize}, code_point)) return CharClass::kNumber;
  if (contains({internal::kSpaces, internal::kSpacesSize}, code_point)) return CharClass::kSpace;
  return CharClass::kOther;
}

Scanned scan(std::string_view text, std::size_t offset) {
  const auto byte = static_cast<unsigned char>(text[offset]);
  if (byte < kAscii.size()) return {byte, 1, kAscii[byte]};
  const utf8::Decoded decoded = utf8::decode(text, offset);
  if (decoded.length == 0) return {0xFFFD, 1, CharClass::kOther};
  return {decoded.code_point, decoded.length, char_class(decoded.code_point)};
}

}  // namespace espalier::runtime
