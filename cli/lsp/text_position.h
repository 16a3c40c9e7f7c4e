// Places in a text as LSP counts them: a line and a character of it, both from 0, the character in
// UTF-16 code units, or in bytes where the client and the server agreed on utf-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dsl/source.h"
#include "grammar/json.h"

namespace espalier::cli::lsp {

enum class Encoding : std::uint8_t { kUtf16, kUtf8 };

struct TextPosition {
  std::uint32_t line = 0;
  std::uint32_t character = 0;
};

/// Turns byte offsets of one text into positions and back. Offsets that go up are counted on from
/// the last one, so that a pass over a text is linear whatever its lines' lengths. Holds a
/// reference to the text; bytes that are not UTF-8 count as one unit each.
class TextPositions {
 public:
  TextPositions(const dsl::Source& source, Encoding encoding)
      : source_(source), encoding_(encoding) {}

  [[nodiscard]] TextPosition at(std::uint32_t offset);
  /// The byte of a position; one behind a line's end is its end, a line behind the last the text's
  /// end.
  [[nodiscard]] std::uint32_t offset(const TextPosition& position) const;
  /// {"start": …, "end": …}
  [[nodiscard]] Json range(const dsl::Span& span);

 private:
  const dsl::Source& source_;
  Encoding encoding_;
  std::uint32_t last_offset_ = 0;  // counted so far: last_ stands there
  TextPosition last_;
};

/// Units of `text` in that encoding.
[[nodiscard]] std::uint32_t units(std::string_view text, Encoding encoding);

}  // namespace espalier::cli::lsp
