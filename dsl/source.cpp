#include "dsl/source.h"

#include <algorithm>

#include "base/utf8.h"

namespace espalier::dsl {

Source::Source(std::string name, std::string text)
    : name_(std::move(name)), text_(std::move(text)) {
  starts_.push_back(0);
  for (std::size_t i = 0; i < text_.size(); ++i)
    if (text_[i] == '\n') starts_.push_back(static_cast<std::uint32_t>(i + 1));
}

std::string_view Source::slice(const Span& span) const {
  const std::string_view all = text_;
  if (span.begin >= all.size()) return {};
  return all.substr(span.begin, span.end > span.begin ? span.end - span.begin : 0);
}

std::uint32_t Source::line_of(std::uint32_t offset) const {
  const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
  return static_cast<std::uint32_t>(next - starts_.begin());
}

Position Source::position(std::uint32_t offset) const {
  offset = std::min(offset, static_cast<std::uint32_t>(text_.size()));
  const std::uint32_t line = line_of(offset);
  const std::string_view before =
      std::string_view(text_).substr(line_start(line), offset - line_start(line));
  std::uint32_t column = 1;
  for (const char c : before) column += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
  return {line, column};
}

std::string_view Source::line(std::uint32_t line) const {
  if (line == 0 || line > starts_.size()) return {};
  const std::size_t begin = starts_[line - 1];
  std::size_t end = line < starts_.size() ? starts_[line] - 1 : text_.size();
  if (end > begin && text_[end - 1] == '\r') --end;
  return std::string_view(text_).substr(begin, end - begin);
}

}  // namespace espalier::dsl
