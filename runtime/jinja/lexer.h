// Tokens of a Jinja template, with the whitespace rules that chat templates are written for
// (trim_blocks and lstrip_blocks on, one trailing newline dropped; `-` and `+` marks).
//
// The lexical grammar is that of the Jinja 3.1 documentation; block, variable and comment marks are
// the default ones.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace espalier::runtime::jinja {

enum class TokenKind : std::uint8_t {
  kData,           // text outside tags; `text` is what is written
  kVariableBegin,  // {{
  kVariableEnd,
  kBlockBegin,  // {%
  kBlockEnd,
  kName,
  kString,  // `text` with its escapes resolved
  kInteger,
  kFloat,
  kOperator,  // `text` is its spelling
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::uint32_t line = 0;
  std::string text;
};

/// Well-formed UTF-8 in; tokens end with kEnd. O(n). Errors name the line: an unterminated tag,
/// string, comment or raw block, unbalanced brackets, a character that no token starts with.
[[nodiscard]] Result<std::vector<Token>> tokenize(std::string_view source);

}  // namespace espalier::runtime::jinja
