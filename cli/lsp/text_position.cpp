#include "cli/lsp/text_position.h"

#include <algorithm>

namespace espalier::cli::lsp {
namespace {

/// Units that begin with this byte of UTF-8: a code point of four bytes has two in UTF-16, counted
/// at its first byte; the bytes that continue one have none.
std::uint32_t units_of(char c, Encoding encoding) {
  if (encoding == Encoding::kUtf8) return 1;
  const auto byte = static_cast<unsigned char>(c);
  if ((byte & 0xC0) == 0x80) return 0;
  return byte >= 0xF0 ? 2 : 1;
}

}  // namespace

std::uint32_t units(std::string_view text, Encoding encoding) {
  if (encoding == Encoding::kUtf8) return static_cast<std::uint32_t>(text.size());
  std::uint32_t count = 0;
  for (const char c : text) count += units_of(c, encoding);
  return count;
}

TextPosition TextPositions::at(std::uint32_t offset) {
  const std::string_view text = source_.text();
  offset = std::min(offset, static_cast<std::uint32_t>(text.size()));
  const std::uint32_t line = source_.line_of(offset) - 1;
  std::uint32_t from = source_.line_start(line + 1);
  std::uint32_t before = 0;
  if (line == last_.line && last_offset_ <= offset && last_offset_ >= from) {
    from = last_offset_;
    before = last_.character;
  }
  last_ = {line, before + units(text.substr(from, offset - from), encoding_)};
  last_offset_ = offset;
  return last_;
}

std::uint32_t TextPositions::offset(const TextPosition& position) const {
  const auto size = static_cast<std::uint32_t>(source_.text().size());
  if (position.line >= source_.lines()) return size;
  const std::uint32_t start = source_.line_start(position.line + 1);
  const std::string_view line = source_.line(position.line + 1);
  std::uint32_t count = 0;
  std::size_t i = 0;
  for (; i < line.size(); ++i) {
    const std::uint32_t more = units_of(line[i], encoding_);
    // In the middle of a surrogate pair counts as before it.
    if (count + more > position.character) break;
    count += more;
  }
  // Not inside a code point, which utf-8 positions could name.
  while (i > 0 && i < line.size() && (static_cast<unsigned char>(line[i]) & 0xC0) == 0x80) --i;
  return start + static_cast<std::uint32_t>(i);
}

Json TextPositions::range(const dsl::Span& span) {
  const TextPosition begin = at(span.begin);
  const TextPosition end = at(span.end);
  return {{"start", {{"line", begin.line}, {"character", begin.character}}},
          {"end", {{"line", end.line}, {"character", end.character}}}};
}

}  // namespace espalier::cli::lsp
