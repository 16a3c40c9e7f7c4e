// Text that comes in pieces of bytes: which part of it is whole characters.
#pragma once

#include <cstddef>
#include <string_view>

namespace espalier::cli {

/// Bytes of `text` up to the end of its last character that cannot be continued
/// by more bytes.
[[nodiscard]] inline std::size_t whole_characters(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back <= text.size(); ++back) {
    const auto c = static_cast<unsigned char>(text[text.size() - back]);
    if ((c & 0xC0) == 0x80) continue;  // a continuation byte: its first byte stands further back
    const std::size_t length = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    return length > back ? text.size() - back : text.size();
  }
  return text.size();
}

}  // namespace espalier::cli
