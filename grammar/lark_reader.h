// A Lark grammar's text and a place in it: blanks and comments, names, counts, strings and JSON
// objects. What they are put together to is the parser's (lark_syntax.cpp).
//
// Every read moves past what it read; names and counts past the blanks behind them, too. Errors
// name line and column.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ascii.h"
#include "base/result.h"
#include "grammar/context_free.h"
#include "grammar/json.h"

namespace espalier::grammar {

class LarkReader {
 public:
  explicit LarkReader(std::string_view text) : text_(text) {}

 protected:
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  [[nodiscard]] bool sees(std::string_view what) const {
    return text_.substr(at_, what.size()) == what;
  }
  /// Where that character is next; moves past it and the blanks behind it.
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    skip_space(false);
    return true;
  }
  [[nodiscard]] tl::unexpected<Error> error(std::string_view what,
                                            ErrorCode code = ErrorCode::kInvalid) const {
    return fail(code, "grammar " + place_in(text_, at_) + ": " + std::string(what));
  }
  [[nodiscard]] tl::unexpected<Error> unsupported(std::string_view what) const {
    return error(std::string(what) + " not supported", ErrorCode::kUnsupported);
  }

  /// Blanks and comments; the ends of lines too where `newlines`.
  void skip_space(bool newlines);
  Result<std::string> read_name();
  Result<std::uint32_t> read_count();
  /// A JSON object that stands in the grammar.
  Result<Json> read_object();
  /// At its opening quote.
  Result<std::string> read_string();

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace espalier::grammar
