#include "grammar/lark_reader.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "grammar/json_text.h"

namespace espalier::grammar {

void LarkReader::skip_space(bool newlines) {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '#' || sees("//")) {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == ' ' || c == '\t' || (newlines && (c == '\n' || c == '\r'))) {
      ++at_;
    } else {
      return;
    }
  }
}

Result<std::string> LarkReader::read_name() {
  const std::size_t from = at_;
  while (at_ < text_.size() && is_name_byte(text_[at_])) ++at_;
  const std::string name(text_.substr(from, at_ - from));
  const std::size_t letter = name.find_first_not_of('_');
  if (letter == std::string::npos || !is_ascii_letter(name[letter])) {
    at_ = from;
    return error("a name is expected here");
  }
  skip_space(false);
  return name;
}

Result<std::uint32_t> LarkReader::read_count() {
  if (!is_ascii_digit(peek())) return error("a count is expected here");
  std::uint64_t value = 0;
  for (; is_ascii_digit(peek()); ++at_) {
    value =
        std::min<std::uint64_t>(value * 10 + static_cast<std::uint64_t>(peek() - '0'), UINT32_MAX);
  }
  if (value == UINT32_MAX) return error("this count is too large", ErrorCode::kLimit);
  skip_space(false);
  return static_cast<std::uint32_t>(value);
}

Result<Json> LarkReader::read_object() {
  const std::size_t begins = at_;
  if (peek() != '{') return error("`{` is expected here");
  std::size_t depth = 0;
  bool string = false;
  for (; at_ < text_.size(); ++at_) {
    const char c = text_[at_];
    if (string) {
      if (c == '\\') ++at_;
      if (c == '"') string = false;
    } else if (c == '"') {
      string = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      ++at_;
      auto value = read_json_exactly(text_.substr(begins, at_ - begins));
      if (!value) {
        at_ = begins;
        return error(value.error().message, value.error().code);
      }
      return std::move(*value);
    }
  }
  at_ = begins;
  return error("this JSON object is never closed");
}

Result<std::string> LarkReader::read_string() {
  const std::size_t begins = at_++;
  std::string out;
  char32_t high_surrogate = 0;
  while (peek() != '"') {
    if (at_ >= text_.size() || peek() == '\n') {
      at_ = begins;
      return error("this string is never closed");
    }
    if (peek() != '\\') {
      out += text_[at_++];
      continue;
    }
    static constexpr std::string_view kEscapes = "\"\\/bfnrt'";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t'";
    const char escape = peek(1);
    if (const std::size_t i = kEscapes.find(escape);
        escape != '\0' && i != std::string_view::npos) {
      out += kMeanings[i];
      at_ += 2;
      continue;
    }
    if (escape != 'x' && escape != 'u') {
      return error("unknown escape; \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\xHH \\uHHHH are known");
    }
    const std::size_t digits = escape == 'x' ? 2 : 4;
    char32_t value = 0;
    for (std::size_t i = 0; i < digits; ++i) {
      const char c = peek(2 + i);
      const int hex = is_ascii_digit(c)      ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
      if (hex < 0) return error(std::to_string(digits) + " hexadecimal digits are expected");
      value = value * 16 + static_cast<char32_t>(hex);
    }
    if (value >= 0xDC00 && value <= 0xDFFF && high_surrogate != 0) {
      value = 0x10000 + ((high_surrogate - 0xD800) << 10) + (value - 0xDC00);
      high_surrogate = 0;
    } else if (value >= 0xD800 && value <= 0xDBFF && text_.substr(at_ + 6, 2) == "\\u" &&
               high_surrogate == 0) {
      high_surrogate = value;
      at_ += 6;
      continue;
    }
    if (high_surrogate != 0 || (value >= 0xD800 && value <= 0xDFFF)) {
      return error("half of a surrogate pair is no character");
    }
    utf8::append(out, value);
    at_ += 2 + digits;
  }
  ++at_;
  return out;
}

}  // namespace espalier::grammar
