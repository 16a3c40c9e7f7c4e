#include "grammar/regex_reader.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "base/utf8.h"
#include "grammar/unicode_tables.h"

namespace espalier::grammar {
namespace {

bool is_octal(char c) { return c >= '0' && c <= '7'; }
int hex_value(char c) {
  if (RegexReader::is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

// \p{…} \P{…} \pL; `at_` stands on the p. The class, folded and negated as it says.
Result<RegexClass> RegexReader::unicode_class() {
  const std::size_t start = at_ - 1;
  bool negated = text_[at_++] == 'P';
  std::string_view name;
  if (at_ < text_.size() && text_[at_] == '{') {
    const std::size_t end = text_.find('}', at_);
    if (end == std::string_view::npos) {
      return error(ErrorCode::kInvalid, "missing } of a Unicode class", start);
    }
    name = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    if (!ecma_ && name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
  } else {
    if (ecma_ || at_ >= text_.size()) {
      return error(ErrorCode::kInvalid, "a Unicode class needs a name", start);
    }
    const std::size_t length = utf8::decode(text_, at_).length;
    name = text_.substr(at_, length);
    at_ += length;
  }
  RegexClass set;
  std::string_view value = name;
  std::optional<unicode::Kind> kind;
  if (ecma_) {
    kind = unicode::Kind::kCategory;
    if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
      const std::string_view property = name.substr(0, equals);
      value = name.substr(equals + 1);
      if (property == "Script" || property == "sc") {
        kind = unicode::Kind::kScript;
      } else if (property != "General_Category" && property != "gc") {
        value = {};
      }
    }
  }
  if (value == "Any") {
    set.add(0, 0x10FFFF);
  } else if (ecma_ && value == "ASCII") {
    set.add(0, 0x7F);
  } else if (!ecma_ && value == "C") {  // as RE2 has it: without the code points not assigned
    for (const char* part : {"Cc", "Cf", "Co"})
      set.add(*unicode::find(part, unicode::Kind::kCategory));
  } else if (const auto found = unicode::find(value, kind)) {
    set.add(*found);
  } else if (const auto binary = unicode::find(name, unicode::Kind::kBinary); ecma_ && binary) {
    set.add(*binary);
  } else {
    return error(ErrorCode::kUnsupported, "the Unicode class `" + std::string(name) + "`", start);
  }
  if (flags_.fold_case) set.fold();
  if (negated) set.negate();
  return set;
}

// \d \D \s \S \w \W \p \P at a backslash, and moves past it; nothing where it is another escape.
Result<std::optional<RegexClass>> RegexReader::class_escape() {
  if (at_ + 1 >= text_.size()) return std::nullopt;
  const char c = text_[at_ + 1];
  if (c == 'p' || c == 'P') {
    ++at_;
    ESP_ASSIGN(RegexClass set, unicode_class());
    return std::optional(std::move(set));
  }
  const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (lower != 'd' && lower != 's' && lower != 'w') return std::nullopt;
  at_ += 2;
  RegexClass set = perl_class(lower, ecma_);
  if (flags_.fold_case) set.fold();
  if (c != lower) set.negate();
  return std::optional(std::move(set));
}

// One escaped character, in or out of a class; `at_` stands on the backslash.
Result<char32_t> RegexReader::character_escape(bool in_class) {
  const std::size_t start = at_++;
  if (at_ >= text_.size()) return error(ErrorCode::kInvalid, "trailing \\", start);
  const utf8::Decoded decoded = utf8::decode(text_, at_);
  at_ += decoded.length;
  const char c = decoded.code_point < 0x80 ? static_cast<char>(decoded.code_point) : '\0';
  switch (c) {
    case 'f':
      return U'\f';
    case 'n':
      return U'\n';
    case 'r':
      return U'\r';
    case 't':
      return U'\t';
    case 'v':
      return U'\v';
    case 'x':
      return hex_escape(start);
    default:
      break;
  }
  if (is_digit(c)) return digit_escape(c, start);
  if (c == 'u') return unit_escape(start);
  if (ecma_) {
    if (c == 'c' && at_ < text_.size() && is_letter(text_[at_])) {
      return static_cast<char32_t>(text_[at_++] & 31);
    }
    if (in_class && c == 'b') return U'\b';
    if (in_class && c == '-') return U'-';
    if (c != '\0' && std::string_view("^$\\.*+?()[]{}|/").find(c) != std::string_view::npos) {
      return decoded.code_point;
    }
    // Without the u flag these stand for themselves, and schemas are full of them.
    if (c != '\0' && !is_word(c)) return decoded.code_point;
  } else {
    if (c == 'a') return U'\a';
    if (c == 'U') return long_escape(start);
    if (c != '\0' && (c == '_' || !is_word(c))) return decoded.code_point;
  }
  return error(ErrorCode::kInvalid, "unknown escape", start);
}

Result<char32_t> RegexReader::digit_escape(char c, std::size_t start) {
  if (ecma_) {
    if (c == '0' && (at_ >= text_.size() || !is_digit(text_[at_]))) return U'\0';
    return error(c == '0' ? ErrorCode::kInvalid : ErrorCode::kUnsupported,
                 c == '0' ? "unknown escape" : "back references are not regular", start);
  }
  const bool octal = c == '0' || (is_octal(c) && at_ < text_.size() && is_octal(text_[at_]));
  if (!octal) return error(ErrorCode::kUnsupported, "back references are not regular", start);
  char32_t value = static_cast<char32_t>(c - '0');
  for (int more = 0; more < 2 && at_ < text_.size() && is_octal(text_[at_]); ++more) {
    value = value * 8 + static_cast<char32_t>(text_[at_++] - '0');
  }
  return value;
}

std::optional<char32_t> RegexReader::hex_digits(std::size_t count) {
  char32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const int digit = at_ + i < text_.size() ? hex_value(text_[at_ + i]) : -1;
    if (digit < 0) return std::nullopt;
    value = value * 16 + static_cast<char32_t>(digit);
  }
  at_ += count;
  return value;
}
// The inside of {…} in hexadecimal; `at_` stands on the brace.
Result<char32_t> RegexReader::braced_hex(std::size_t start) {
  char32_t value = 0;
  std::size_t i = at_ + 1;
  for (; i < text_.size() && hex_value(text_[i]) >= 0 && value <= 0x10FFFF; ++i) {
    value = value * 16 + static_cast<char32_t>(hex_value(text_[i]));
  }
  if (i == at_ + 1 || i >= text_.size() || text_[i] != '}' || value > 0x10FFFF) {
    return error(ErrorCode::kInvalid, "a bad code point", start);
  }
  at_ = i + 1;
  return value;
}
Result<char32_t> RegexReader::hex_escape(std::size_t start) {
  if (!ecma_ && looking_at("{")) return braced_hex(start);
  if (const auto value = hex_digits(2)) return *value;
  return error(ErrorCode::kInvalid, "\\x needs two hexadecimal digits", start);
}
Result<char32_t> RegexReader::long_escape(std::size_t start) {
  const auto value = hex_digits(8);
  if (!value) return error(ErrorCode::kInvalid, "\\U needs eight hexadecimal digits", start);
  if (*value > 0x10FFFF || (*value >= 0xD800 && *value < 0xE000)) {
    return error(ErrorCode::kInvalid, "a bad code point", start);
  }
  return *value;
}
Result<char32_t> RegexReader::unit_escape(std::size_t start) {
  if (looking_at("{")) return braced_hex(start);
  const auto unit = hex_digits(4);
  if (!unit) return error(ErrorCode::kInvalid, "\\u needs four hexadecimal digits", start);
  if (*unit >= 0xD800 && *unit < 0xDC00 && looking_at("\\u")) {
    at_ += 2;
    const auto low = hex_digits(4);
    if (low && *low >= 0xDC00 && *low < 0xE000) {
      return 0x10000 + ((*unit - 0xD800) << 10) + (*low - 0xDC00);
    }
    return error(ErrorCode::kUnsupported, "half of a surrogate pair", start);
  }
  if (*unit >= 0xD800 && *unit < 0xE000) {
    return error(ErrorCode::kUnsupported, "half of a surrogate pair", start);
  }
  return *unit;
}

Result<RegexClass> RegexReader::bracket_class() {
  const std::size_t start = at_++;
  const bool negated = looking_at("^");
  if (negated) ++at_;
  RegexClass set;
  bool first = true;
  for (;; first = false) {
    if (at_ >= text_.size()) return error(ErrorCode::kInvalid, "missing ]", start);
    if (text_[at_] == ']' && (ecma_ || !first)) break;
    if (!ecma_ && looking_at("[:")) {
      const std::size_t end = text_.find(":]", at_ + 2);
      if (end != std::string_view::npos) {
        std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
        const bool inverse = name.starts_with('^');
        if (inverse) name.remove_prefix(1);
        auto members = posix_class(name);
        if (!members) return error(ErrorCode::kInvalid, "unknown [: :] class", at_);
        if (flags_.fold_case) members->fold();
        if (inverse) members->negate();
        set.add(*members);
        at_ = end + 2;
        continue;
      }
    }
    if (text_[at_] == '\\') {
      ESP_ASSIGN(std::optional<RegexClass> members, class_escape());
      if (members) {
        set.add(*members);
        continue;
      }
    }
    const std::size_t from = at_;
    ESP_ASSIGN(const char32_t low, class_character(start));
    char32_t high = low;
    if (looking_at("-") && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
      ++at_;
      ESP_ASSIGN(high, class_character(start));
      if (high < low) return error(ErrorCode::kInvalid, "range out of order", from);
    }
    RegexClass range;
    range.add(low, high);
    if (flags_.fold_case) range.fold();
    set.add(range);
  }
  ++at_;
  if (negated) set.negate();
  return set;
}

Result<char32_t> RegexReader::class_character(std::size_t start) {
  if (at_ >= text_.size()) return error(ErrorCode::kInvalid, "missing ]", start);
  if (text_[at_] == '\\') return character_escape(true);
  const utf8::Decoded decoded = utf8::decode(text_, at_);
  at_ += decoded.length;
  return decoded.code_point;
}

}  // namespace espalier::grammar
