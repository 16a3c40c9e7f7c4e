#include "dsl/parser.h"

#include <algorithm>
#include <array>

#include "base/utf8.h"
#include "dsl/ast_builder.h"
#include "dsl/program.h"
#include "dsl/syntax_tree.h"

namespace espalier::dsl {

bool is_keyword(std::string_view word) {
  static constexpr std::array<std::string_view, 35> kWords = {
      "use",  "as",     "config", "record",  "enum",      "type",   "grammar", "tool",  "gen",
      "test", "expect", "system", "user",    "assistant", "let",    "if",      "else",  "for",
      "in",   "match",  "retry",  "require", "splice",    "return", "yield",   "break", "null",
      "true", "false",  "select", "run",     "or",        "and",    "not",     "fork"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

Parsed parse(const Source& source, std::uint32_t index, Diagnostics& diagnostics,
             const File& after) {
  Parsed result;
  result.file.expressions = after.expressions;
  result.file.holes = after.holes;
  result.file.patterns = after.patterns;
  const std::string& text = source.text();
  const auto refuse = [&](std::size_t at, std::string message, std::string label) {
    const auto offset = static_cast<std::uint32_t>(std::min<std::size_t>(at, kMaxSource));
    diagnostics.error("E0114", {index, offset, offset}, std::move(message), std::move(label));
    result.complete = false;
  };
  if (text.size() > kMaxSource) {
    refuse(0,
           "the file has " + std::to_string(text.size()) + " bytes, more than the limit of " +
               std::to_string(kMaxSource),
           "pass data as arguments instead");
    return result;
  }
  if (const auto bad = utf8::find_malformed(text); bad != std::string_view::npos) {
    refuse(bad,
           "the file is not UTF-8: the byte at offset " + std::to_string(bad) +
               " belongs to no character",
           "here");
    return result;
  }
  if (const auto bad = text.find('\0'); bad != std::string::npos) {
    refuse(bad, "the file holds a NUL byte at offset " + std::to_string(bad), "here");
    return result;
  }
  SyntaxResult matched = match_syntax(source, index, diagnostics);
  result.complete = matched.complete;
  result.file = AstBuilder(source, index, matched.tree, diagnostics, after).file();
  result.skipped = std::move(matched.tree.skipped);
  return result;
}

}  // namespace espalier::dsl
