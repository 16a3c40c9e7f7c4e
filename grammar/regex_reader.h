// A pattern's text and a place in it: how characters, classes and escapes are written there, in
// RE2's syntax and ECMA-262's. What they are put together to is the parser's (regex_parser.cpp).
//
// Every read moves past what it read. Errors end in "at offset N".
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "grammar/regex_class.h"
#include "grammar/regex_parser.h"

namespace espalier::grammar {

class RegexReader {
 public:
  RegexReader(std::string_view pattern, RegexDialect dialect, const RegexFlags& flags)
      : text_(pattern), ecma_(dialect == RegexDialect::kEcma), flags_(flags) {}

  static bool is_digit(char c) { return c >= '0' && c <= '9'; }
  static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
  static bool is_word(char c) { return is_digit(c) || is_letter(c) || c == '_'; }

  /// How a message begins: what is no mistake, but no pattern here either, says so.
  static std::string refusal(ErrorCode code) {
    return code == ErrorCode::kUnsupported ? "regex: not supported: " : "regex: ";
  }

 protected:
  [[nodiscard]] tl::unexpected<Error> error(ErrorCode code, const std::string& what,
                                            std::size_t offset) const {
    return fail(code, refusal(code) + what + " at offset " + std::to_string(offset));
  }
  [[nodiscard]] bool looking_at(std::string_view prefix) const {
    return text_.substr(at_).starts_with(prefix);
  }

  /// \d \D \s \S \w \W \p \P at a backslash; nothing, and nothing read, where it is another escape.
  Result<std::optional<RegexClass>> class_escape();
  /// One escaped character, in or out of a class, at its backslash.
  Result<char32_t> character_escape(bool in_class);
  /// A class in brackets, at its [.
  Result<RegexClass> bracket_class();

  std::string_view text_;
  bool ecma_;
  std::size_t at_ = 0;
  RegexFlags flags_;

 private:
  Result<RegexClass> unicode_class();
  Result<char32_t> digit_escape(char c, std::size_t start);
  std::optional<char32_t> hex_digits(std::size_t count);
  Result<char32_t> braced_hex(std::size_t start);
  Result<char32_t> hex_escape(std::size_t start);
  Result<char32_t> unit_escape(std::size_t start);
  Result<char32_t> long_escape(std::size_t start);
  Result<char32_t> class_character(std::size_t start);
};

}  // namespace espalier::grammar
