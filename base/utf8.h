// UTF-8 (RFC 3629): strict decoding, no surrogates, nothing above U+10FFFF, no overlong forms.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace espalier::utf8 {

/// What some editors put before a text.
inline constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

struct Decoded {
  char32_t code_point = 0;
  std::uint8_t length =
      0;  // bytes consumed; 0 where the bytes at the position are not well-formed UTF-8
};

/// Decodes the code point that starts at `text[offset]`. O(1). length == 0 at the end or on
/// malformed bytes.
Decoded decode(std::string_view text, std::size_t offset);

/// Appends `code_point` (a Unicode scalar value) as UTF-8.
void append(std::string& out, char32_t code_point);

/// The offset of the first malformed byte, or npos where all of `text` is well-formed. O(n).
std::size_t find_malformed(std::string_view text);

/// Code points in well-formed `text`. O(n).
std::size_t count(std::string_view text);

}  // namespace espalier::utf8
