#include "runtime/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "base/utf8.h"
#include "runtime/jinja/characters.h"

namespace espalier::runtime::jinja {
namespace {

bool name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool name_char(char c) { return name_start(c) || is_ascii_digit(c); }

// \n alone ends lines, and one newline at the very end does not count.
std::string normalized(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(normalized(source)) {}

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) ESP_TRY(root());
    push(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] tl::unexpected<Error> wrong(std::string what,
                                            ErrorCode code = ErrorCode::kInvalid) const {
    return fail(code, "line " + std::to_string(line_) + ": " + std::move(what));
  }
  void push(TokenKind kind, std::string text) { tokens_.push_back({kind, line_, std::move(text)}); }
  [[nodiscard]] bool here(std::string_view mark) const {
    return std::string_view(source_).substr(at_, mark.size()) == mark;
  }
  // Moves on, counting lines.
  void skip_to(std::size_t place) {
    line_ += static_cast<std::uint32_t>(
        std::count(source_.begin() + static_cast<std::ptrdiff_t>(at_),
                   source_.begin() + static_cast<std::ptrdiff_t>(place), '\n'));
    if (place > at_) line_starts_ = source_[place - 1] == '\n';
    at_ = place;
  }
  void skip_space() { skip_to(space_end(source_, at_)); }

  // The text up to a tag's mark whose sign is `sign`, stripped as the sign and lstrip_blocks say.
  [[nodiscard]] std::string_view before(std::size_t tag, char sign, bool variable) const {
    const auto text = std::string_view(source_).substr(at_, tag - at_);
    if (sign == '-') return strip_right(text);
    if (sign == '+' || variable) return text;
    const std::size_t line = text.rfind('\n') + 1;  // 0 where there is none
    if ((line > 0 || line_starts_) && line < text.size() && space_end(text, line) == text.size())
      return text.substr(0, line);
    return text;
  }

  Status root() {
    std::size_t tag = at_;
    do {
      tag = source_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= source_.size()) {
        push(TokenKind::kData, source_.substr(at_));
        skip_to(source_.size());
        return {};
      }
    } while (source_[tag + 1] != '{' && source_[tag + 1] != '%' && source_[tag + 1] != '#' &&
             ++tag);
    const char kind = source_[tag + 1];
    char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    if (const auto text = before(tag, sign, kind == '{'); !text.empty())
      push(TokenKind::kData, std::string(text));
    skip_to(tag);
    const std::size_t inside = tag + 2 + (sign != '\0' ? 1 : 0);
    if (kind == '#') return comment(inside);
    if (kind == '%') {
      if (const std::size_t raw = raw_start(inside); raw != 0) return raw_block(raw);
    }
    push(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, "");
    skip_to(inside);
    return kind == '{' ? inner("}}", TokenKind::kVariableEnd) : inner("%}", TokenKind::kBlockEnd);
  }

  // Where the mark `end` (of a block or comment) with its sign stops, standing at `place`; 0 where
  // it does not stand there.
  [[nodiscard]] std::size_t end_of_mark(std::size_t place, std::string_view end) const {
    const auto rest = std::string_view(source_).substr(place);
    if (rest.starts_with(end)) {
      const std::size_t after = place + end.size();
      return after < source_.size() && source_[after] == '\n' ? after + 1 : after;
    }
    if (rest.size() > end.size() && rest.substr(1).starts_with(end)) {
      if (rest[0] == '+') return place + 1 + end.size();
      if (rest[0] == '-') return space_end(source_, place + 1 + end.size());
    }
    return 0;
  }

  Status comment(std::size_t inside) {
    const std::size_t end = source_.find("#}", inside);
    if (end == std::string::npos) return wrong("the comment has no end");
    const char sign = end > inside ? source_[end - 1] : '\0';
    const std::size_t mark = sign == '-' || sign == '+' ? end - 1 : end;
    skip_to(end_of_mark(mark, "#}"));
    return {};
  }

  // `{% raw %}`: where its content starts, or 0.
  [[nodiscard]] std::size_t raw_start(std::size_t inside) const {
    std::size_t place = space_end(source_, inside);
    if (source_.compare(place, 3, "raw") != 0) return 0;
    place = space_end(source_, place + 3);
    if (source_.compare(place, 2, "%}") == 0) return place + 2;
    if (source_.compare(place, 3, "-%}") == 0) return space_end(source_, place + 3);
    return 0;
  }

  Status raw_block(std::size_t start) {
    skip_to(start);
    for (std::size_t tag = source_.find("{%", start); tag != std::string::npos;
         tag = source_.find("{%", tag + 1)) {
      std::size_t place = tag + 2;
      char sign = place < source_.size() ? source_[place] : '\0';
      if (sign == '-' || sign == '+')
        ++place;
      else
        sign = '\0';
      place = space_end(source_, place);
      if (source_.compare(place, 6, "endraw") != 0) continue;
      const std::size_t end = end_of_mark(space_end(source_, place + 6), "%}");
      if (end == 0) continue;
      if (const auto text = before(tag, sign, false); !text.empty())
        push(TokenKind::kData, std::string(text));
      skip_to(end);
      return {};
    }
    return wrong("the raw block has no {% endraw %}");
  }

  // Tokens of a tag up to its end mark. Inside brackets the mark's characters are operators.
  Status inner(std::string_view end, TokenKind kind) {
    const std::uint32_t opened = line_;
    std::string brackets;
    while (at_ < source_.size()) {
      if (brackets.empty()) {
        std::size_t after = 0;
        if (kind == TokenKind::kBlockEnd) {
          after = end_of_mark(at_, end);
        } else if (here(end)) {
          after = at_ + end.size();
        } else if (source_[at_] == '-' && source_.compare(at_ + 1, end.size(), end) == 0) {
          after = space_end(source_, at_ + 1 + end.size());
        }
        if (after != 0) {
          push(kind, "");
          skip_to(after);
          return {};
        }
      }
      ESP_TRY(token(brackets));
    }
    line_ = opened;
    return wrong("the tag has no end " + std::string(end));
  }

  Status token(std::string& brackets) {
    const char c = source_[at_];
    if (space_end(source_, at_) != at_) {
      skip_space();
      return {};
    }
    if (is_ascii_digit(c)) return number();
    if (name_start(c)) {
      std::size_t end = at_;
      while (end < source_.size() && name_char(source_[end])) ++end;
      push(TokenKind::kName, source_.substr(at_, end - at_));
      skip_to(end);
      return {};
    }
    if (c == '\'' || c == '"') return string(c);
    return operation(brackets);
  }

  Status operation(std::string& brackets) {
    static constexpr std::array<std::string_view, 7> kTwo = {
        "//", "**", "==", "!=", ">=", "<=", ""};
    static constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    for (const auto two : kTwo) {
      if (!two.empty() && here(two)) {
        push(TokenKind::kOperator, std::string(two));
        skip_to(at_ + 2);
        return {};
      }
    }
    const char c = source_[at_];
    if (kOne.find(c) == std::string_view::npos) {
      const std::size_t length = std::max<std::size_t>(utf8::decode(source_, at_).length, 1);
      return wrong("a template cannot have '" + source_.substr(at_, length) + "' here");
    }
    if (c == '(' || c == '[' || c == '{') {
      brackets += c == '(' ? ')' : static_cast<char>(c + 2);
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets.empty()) return wrong(std::string("unexpected '") + c + "'");
      if (brackets.back() != c)
        return wrong(std::string("unexpected '") + c + "', expected '" + brackets.back() + "'");
      brackets.pop_back();
    }
    push(TokenKind::kOperator, std::string(1, c));
    skip_to(at_ + 1);
    return {};
  }

  // Digits with single underscores between them, from `place`; its end.
  [[nodiscard]] std::size_t digits(std::size_t place, bool (*is)(char)) const {
    std::size_t end = place;
    while (end < source_.size()) {
      if (is(source_[end])) {
        ++end;
      } else if (source_[end] == '_' && end > place && end + 1 < source_.size() &&
                 is(source_[end + 1])) {
        end += 2;
      } else {
        break;
      }
    }
    return end;
  }

  Status number() {
    const auto at = [&](std::size_t place) {
      return place < source_.size() ? source_[place] : '\0';
    };
    if (source_[at_] == '0') {
      const char base = static_cast<char>(at(at_ + 1) | 0x20);
      bool (*is)(char) = nullptr;
      if (base == 'b') is = [](char c) { return c == '0' || c == '1'; };
      if (base == 'o') is = [](char c) { return c >= '0' && c <= '7'; };
      if (base == 'x')
        is = [](char c) {
          return is_ascii_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        };
      if (is != nullptr) {
        std::size_t start = at_ + 2 + (at(at_ + 2) == '_' ? 1 : 0);
        if (const std::size_t end = digits(start, is); end > start)
          return take_number(end, TokenKind::kInteger);
      }
    }
    std::size_t end = digits(at_, is_ascii_digit);
    TokenKind kind = TokenKind::kInteger;
    const bool after_dot = at_ > 0 && source_[at_ - 1] == '.';
    if (!after_dot && at(end) == '.' && is_ascii_digit(at(end + 1))) {
      end = digits(end + 1, is_ascii_digit);
      kind = TokenKind::kFloat;
    }
    if (!after_dot && (at(end) | 0x20) == 'e') {
      const std::size_t power = end + (at(end + 1) == '+' || at(end + 1) == '-' ? 2 : 1);
      if (is_ascii_digit(at(power))) {
        end = digits(power, is_ascii_digit);
        kind = TokenKind::kFloat;
      }
    }
    if (kind == TokenKind::kInteger && source_[at_] == '0') {  // 0 and 00, but 01 is two numbers
      end = digits(at_, [](char c) { return c == '0'; });
    }
    return take_number(end, kind);
  }
  Status take_number(std::size_t end, TokenKind kind) {
    std::string text = source_.substr(at_, end - at_);
    std::erase(text, '_');
    push(kind, std::move(text));
    skip_to(end);
    return {};
  }

  Status string(char quote) {
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return wrong("the string has no end");
    const auto raw = std::string_view(source_).substr(at_ + 1, end - at_ - 1);
    std::string text;
    ESP_TRY(unescape(raw, text));
    push(TokenKind::kString, std::move(text));
    skip_to(end + 1);
    return {};
  }

  Status unescape(std::string_view raw, std::string& out) const {
    for (std::size_t i = 0; i < raw.size(); ++i) {
      if (raw[i] != '\\') {
        out += raw[i];
        continue;
      }
      const char c = raw[++i];
      static constexpr std::string_view kFrom = "\\'\"abfnrtv";
      static constexpr std::string_view kTo = "\\'\"\a\b\f\n\r\t\v";
      if (const auto found = kFrom.find(c); found != std::string_view::npos) {
        out += kTo[found];
      } else if (c == '\n') {
        continue;  // a line that goes on
      } else if (c >= '0' && c <= '7') {
        char32_t code = 0;
        std::size_t end = i;
        while (end < raw.size() && end < i + 3 && raw[end] >= '0' && raw[end] <= '7')
          code = code * 8 + static_cast<char32_t>(raw[end++] - '0');
        utf8::append(out, code);
        i = end - 1;
      } else if (c == 'x' || c == 'u' || c == 'U') {
        const std::size_t length = c == 'x' ? 2 : c == 'u' ? 4 : 8;
        char32_t code = 0;
        for (std::size_t k = 1; k <= length; ++k) {
          const int value = i + k < raw.size() ? hex(raw[i + k]) : -1;
          if (value < 0) return wrong(std::string("the escape \\") + c + " is not whole");
          code = code * 16 + static_cast<char32_t>(value);
        }
        if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
          return wrong(std::string("the escape \\") + c + " names no character");
        utf8::append(out, code);
        i += length;
      } else if (c == 'N') {
        return wrong("the string escape \\N{…} is not supported", ErrorCode::kUnsupported);
      } else {
        out += '\\';
        out += c;
      }
    }
    return {};
  }
  static int hex(char c) {
    if (is_ascii_digit(c)) return c - '0';
    const char low = static_cast<char>(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
  }

  std::string source_;
  std::size_t at_ = 0;
  std::uint32_t line_ = 1;
  bool line_starts_ = true;  // what was read last ended with a newline
  std::vector<Token> tokens_;
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace espalier::runtime::jinja
